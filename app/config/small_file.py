"""A file of settings that is read as a whole, if it is not too large to be one."""

from __future__ import annotations

from pathlib import Path

from tables.errors import ConfigurationError


def small_content(file: Path, named: str, most_bytes: int, entries: str) -> bytes:
    """Return the bytes of `file`.

    Args:
        file: the file.
        named: what messages call it.
        most_bytes: most bytes that it may have, inclusive.
        entries: what has to be removed from a larger one, such as `tokens`.

    Raises:
        ConfigurationError: the file cannot be read, or is too large.
    """
    try:
        with file.open("rb") as opened:
            content = opened.read(most_bytes + 1)
    except OSError as error:
        raise ConfigurationError(
            f"{named} cannot be read ({error.strerror or error})", "name a file that this user can read"
        ) from None
    if len(content) > most_bytes:
        raise ConfigurationError(f"{named} has more than {most_bytes} bytes", f"remove {entries}")
    return content
