"""A worker process: how it is put together, starts, reports and ends. Start at `app.worker.bootstrap`."""
