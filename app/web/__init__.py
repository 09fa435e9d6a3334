"""HTTP: server, connections, routing, problems. Start at `app.web.asgi`; `app.web.ports` is what it asks of the process."""
