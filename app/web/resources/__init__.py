"""One module per resource of HTTP. `app.web.asgi` lists them."""
