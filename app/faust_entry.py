"""`faust -A app.faust_entry worker`: the one module that builds something when it is imported, because Faust wants it so."""

from __future__ import annotations

from app.bootstrap import build_worker
from app.settings import load_settings
from tables.errors import WordcountError

try:
    app = build_worker(load_settings())
except WordcountError as error:
    raise SystemExit(f"wordcount: {error}") from None
