"""A view: follows the changelog of all partitions and answers like a worker, without counting. Start at `app.view.process`."""
