"""The Faust app of a worker: our transport, our web server, our order of stopping.

Stopping, in this order: readiness false; intake stopped; buffers flushed and committed while membership, heartbeats and HTTP
still live; stores closed; group left; HTTP closed. `Deadline` ends the process where that hangs, as it does while the broker is away.
"""

from __future__ import annotations

import gc
import math
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import faust
import structlog
from faust.app.base import BootStrategy

from agents.source.consumer import BatchTransport
from agents.source.worker_app import ConsumerOptions, WorkerApp
from agents.topology import Topology
from app.exit_codes import EXIT_DEADLINE, exit_code
from app.printable import printable
from app.worker.loop_delay import watch_loop
from tables.errors import WordcountError
from tables.partitions.partitions import WordCounts

_log = structlog.get_logger(__name__)

UNASSIGNED_STOP_S = 5.0
"""Longest stop of a worker without partitions: ending it loses nothing, and Faust hangs while its consumer's thread starts."""

FLUSH_SHARE = 0.6
"""Share of the shutdown timeout that the last flush may take."""


class WebFirst(BootStrategy):
    """Serves HTTP before recovery; Faust's own helper starts it afterwards, when probes have long failed."""

    def web_server(self) -> Iterable[Any]:
        """Our web server, unless `--without-web`."""
        return [self.app.web_server_factory()] if self.app.conf.web_enabled else []


class Deadline:
    """Ends the process when stopping takes longer than `timeout_s`. A plain thread: it must not depend on the event loop."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._timer: threading.Timer | None = None

    def start(self, exit_code: int = EXIT_DEADLINE, *, at_most_s: float = math.inf) -> None:
        """Begin to count; later calls change nothing."""
        if self._timer is None:
            timeout_s = min(self._timeout_s, at_most_s)
            self._timer = threading.Timer(timeout_s, self._end, [exit_code, timeout_s])
            self._timer.daemon = True
            self._timer.start()

    def _end(self, exit_code: int, timeout_s: float) -> None:
        say(f"not stopped within {timeout_s:g} s; ending now, what was not flushed will be counted again")
        os._exit(exit_code)


class WordcountApp(faust.App, WorkerApp):
    """A Faust app that counts words. `app.worker.bootstrap.build_worker` sets the attributes below before it runs."""

    topology: Topology
    consumer_options: ConsumerOptions
    web_server_factory: Callable[[], Any]
    deadline: Deadline
    flush_timeout_s: float
    prepare: Callable[[], Awaitable[None]]
    on_draining: Callable[[str], None]
    on_closing: Callable[[], None]
    on_loop_delay: Callable[[float], None]
    fatal_error: Exception | None = None

    BootStrategy = WebFirst

    @property
    def word_counts(self) -> WordCounts:
        """The partitions of this worker."""
        return self.topology.word_counts

    def _new_transport(self) -> BatchTransport:
        return BatchTransport(self.conf.broker_consumer, self)

    async def on_first_start(self) -> None:
        """Check everything that an operator may have got wrong, before anything is consumed or served."""
        try:
            await self.prepare()
        except WordcountError as error:
            # Nothing is open yet. A traceback through Faust would bury the one line that helps.
            say(str(error))
            os._exit(exit_code(error))
        # All that was set up so far stays. Looking through it for garbage again and again stops the event loop for 80 ms each time.
        gc.collect()
        gc.freeze()
        # Faust's own tasks begin after the first assignment, which never comes where the group refuses this worker.
        self.add_future(self.topology.watchdog.watch())
        self.add_future(watch_loop(self.on_loop_delay))
        await super().on_first_start()

    async def on_started_init_extra_tasks(self) -> None:
        """Faust's, and the flushing of what is due."""
        await super().on_started_init_extra_tasks()
        self.add_future(self.topology.tick_forever())
        self.add_future(self.topology.examine_forever())

    async def on_stop(self) -> None:
        """Stop in the order of this module's docstring."""
        if self.word_counts.partition_numbers():
            self.deadline.start()
        else:
            self.deadline.start(0, at_most_s=UNASSIGNED_STOP_S)
        self.on_draining("stopping")
        self.on_before_shutdown.connect(self._flush_and_close)
        await super().on_stop()

    async def on_shutdown(self) -> None:
        """Everything has stopped: leave with the exit code of the error that ended it, which Faust would turn into 0."""
        await super().on_shutdown()
        if self.fatal_error is not None:
            os._exit(exit_code(self.fatal_error))

    async def _flush_and_close(self, *_: Any, **__: Any) -> None:
        await self.word_counts.suspend(clean=True, timeout_s=self.flush_timeout_s)
        self.on_closing()
        await self.topology.close()

    def end(self, error: Exception) -> None:
        """Stop the whole process because of `error`: in order where possible, at the deadline otherwise."""
        if self.fatal_error is None:
            self.fatal_error = error
            say(str(error))
            self.deadline.start(exit_code(error))
            os.kill(os.getpid(), signal.SIGTERM)


def say(message: str) -> None:
    """One line for the operator, past Faust's redirection of standard error."""
    stream = sys.__stderr__
    if stream is not None:
        stream.write(f"wordcount: {printable(message)}\n")
        stream.flush()
