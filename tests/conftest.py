"""What holds for every test."""

import signal


def pytest_configure() -> None:
    """Let Ctrl-C reach what tests start, also where they run in the background of a script: shells have it ignored there."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
