"""HTTP, one module per resource. Start at `app.web.asgi`; `app.web.ports` is what it asks of the process."""
