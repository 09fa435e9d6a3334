"""What holds for every test."""

import signal

from hypothesis import settings


def pytest_configure() -> None:
    """Let Ctrl-C reach what tests start, also where they run in the background of a script: shells have it ignored there.

    Hypothesis is about what is right, not how fast it is: on a busy machine any example may take longer than its deadline.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    settings.register_profile("wordcount", deadline=None)
    settings.load_profile("wordcount")
