"""`python -m app`: the command line, for places where the script `wordcount` is not on the path."""

from __future__ import annotations

from app.entry import main

main()
