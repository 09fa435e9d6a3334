"""HTTP: server, connections, routing, problems. Start at `app.web.asgi`; resources ask `app.reads` and `app.web.ports`."""
