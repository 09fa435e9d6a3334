"""Shell: settings, command line, web, metrics and the life of a worker process. Start at `app.cli`."""
