"""The worker process: how a worker is built, starts, reports and ends. Start reading at `app.worker.bootstrap`."""
