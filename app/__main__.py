"""`python -m app`: the command line, where its script is not on the path."""

from __future__ import annotations

from app.entry import main

main()
