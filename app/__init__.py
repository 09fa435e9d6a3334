"""The outer layer: settings, command line, HTTP, metrics and the life of a worker process. Start at `app.cli`."""
