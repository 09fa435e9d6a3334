"""The commands, one module each: it has a function or a `typer.Typer` of the module's own name."""
