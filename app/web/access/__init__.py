"""Access to HTTP: tokens, rate limit, pages of other origins, TLS. Everything is off unless set. Start at `app.web.access.options`."""
