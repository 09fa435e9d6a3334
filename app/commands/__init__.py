"""The commands of `wordcount`, one module each: every module has a function or a `typer.Typer` with the module's name."""
