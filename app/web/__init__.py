"""HTTP: server, connections, routing, problems. Start at `app.web.asgi`; `app.reads` and `app.web.ports` are what is asked."""
