"""One module per command of `wordcount`; `app.cli` puts them together."""
