"""The Faust app of a worker: its parts, and the order in which they start and stop.

Faust starts and stops services; what is Wordcount's is hung into its order at the methods named here.

Starting:

1. `on_first_start`: `WorkerParts.prepare` opens and checks what an operator may have got wrong. Watchdog and watch of the event loop
   begin.
2. Faust starts its services in the order of `BootStrategy.server`: sensors, its producer, HTTP (`WebFirst.web_server`), the consumer,
   which joins the group, agents, conductor, tables.
3. `on_started_init_extra_tasks`, after the first assignment: what is due is flushed, idle partitions are examined.

Stopping, at SIGTERM, Ctrl-C or `end`:

1. `on_stop`: the deadline begins, which ends the process where a later step hangs, as it does while the broker is away. Readiness
   false.
2. `App.on_stop` of Faust: fetcher and tables stop, so that nothing more is taken in; then its signal `on_before_shutdown` calls
   `_flush_and_close`: buffers are flushed and committed while membership, heartbeats and HTTP still live; the threads of queries end;
   stores and connections are closed.
3. Faust stops its other services in reverse order: conductor, agents; the consumer leaves the group; then HTTP, so that probes are
   answered until here; its producer, sensors. Last it cancels the tasks of this app.
4. `on_shutdown`: the process leaves with the exit code of the error that ended it.
"""

from __future__ import annotations

import gc
import math
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
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
from tables.partitions.partitions import Partitions

_log = structlog.get_logger(__name__)

UNASSIGNED_STOP_S = 5.0
"""Longest stop of a worker without partitions: ending it loses nothing, and Faust hangs while its consumer's thread starts."""


@dataclass(frozen=True, slots=True)
class WorkerParts:
    """What a worker consists of beside Faust's services. Callables are called on the event loop.

    Attributes:
        topology: agent, counts, watchdog.
        consumer_options: what the consumer is built from.
        prepare: opens and checks what is needed before anything is consumed or served. Raises WordcountError.
        web_server: makes the service that serves HTTP. Called once, before `prepare` is.
        start_draining: makes readiness false, for the reason given.
        end_query_threads: ends reads; nothing is answered from then on.
        loop_delayed: told of each look at the clock how many seconds late it came.
        deadline: ends a stop that hangs.
        flush_timeout_s: longest time of the last flush.
    """

    topology: Topology
    consumer_options: ConsumerOptions
    prepare: Callable[[], Awaitable[None]]
    web_server: Callable[[], Any]
    start_draining: Callable[[str], None]
    end_query_threads: Callable[[], None]
    loop_delayed: Callable[[float], None]
    deadline: Deadline
    flush_timeout_s: float


class WebFirst(BootStrategy):
    """Serves HTTP before recovery; Faust's own helper starts it afterwards, when probes have long failed.

    Nobody here closes HTTP: Faust stops its services in reverse order, this one after the consumer has left the group.
    """

    def web_server(self) -> Iterable[Any]:
        """Our web server, unless `--without-web`."""
        return [self.app.parts.web_server()] if self.app.conf.web_enabled else []


class Deadline:
    """Ends the process when stopping takes longer than `timeout_s`. A plain thread: it must not depend on the event loop."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._timer: threading.Timer | None = None

    def start(self, code: int = EXIT_DEADLINE, *, at_most_s: float = math.inf) -> None:
        """Begin to count; the process would end with exit code `code`. Later calls change nothing."""
        if self._timer is None:
            timeout_s = min(self._timeout_s, at_most_s)
            self._timer = threading.Timer(timeout_s, self._end, [code, timeout_s])
            self._timer.daemon = True
            self._timer.start()

    def _end(self, code: int, timeout_s: float) -> None:
        say(f"not stopped within {timeout_s:g} s; ending now, what was not flushed will be counted again")
        os._exit(code)


class WordcountApp(faust.App, WorkerApp):
    """A Faust app that counts words. Methods stand in the order in which they are called.

    Attributes:
        parts: set once, by `app.worker.bootstrap.build_worker`, after the app was made, because some of the parts refer to the app.
        fatal_error: why the process ends; None = nothing is wrong.
    """

    parts: WorkerParts
    fatal_error: Exception | None = None

    BootStrategy = WebFirst

    @property
    def partitions(self) -> Partitions:
        """The partitions of this worker."""
        return self.parts.topology.partitions

    @property
    def consumer_options(self) -> ConsumerOptions:
        """What the consumer is built from."""
        return self.parts.consumer_options

    def _new_transport(self) -> BatchTransport:
        return BatchTransport(self.conf.broker_consumer, self)

    async def on_first_start(self) -> None:
        """Check everything that an operator may have got wrong, before anything is consumed or served."""
        try:
            await self.parts.prepare()
        except WordcountError as error:
            # Nothing is open yet. A traceback through Faust would bury the one line that helps.
            say(str(error))
            os._exit(exit_code(error))
        # All that was set up so far stays. Looking through it for garbage again and again stops the event loop for 80 ms each time.
        gc.collect()
        gc.freeze()
        # Faust's own tasks begin after the first assignment, which never comes where the group refuses this worker.
        self.add_future(self.parts.topology.watchdog.watch())
        self.add_future(watch_loop(self.parts.loop_delayed))
        await super().on_first_start()

    async def on_started_init_extra_tasks(self) -> None:
        """Faust's, and the flushing of what is due."""
        await super().on_started_init_extra_tasks()
        self.add_future(self.parts.topology.tick_forever())
        self.add_future(self.parts.topology.examine_forever())

    def end(self, error: Exception) -> None:
        """Stop the whole process because of `error`: in order where possible, at the deadline otherwise."""
        if self.fatal_error is None:
            self.fatal_error = error
            say(str(error))
            self.parts.deadline.start(exit_code(error))
            os.kill(os.getpid(), signal.SIGTERM)

    async def on_stop(self) -> None:
        """Stop in the order of this module's docstring."""
        if self.partitions.partition_numbers():
            self.parts.deadline.start()
        else:
            self.parts.deadline.start(0, at_most_s=UNASSIGNED_STOP_S)
        self.parts.start_draining("stopping")
        self.on_before_shutdown.connect(self._flush_and_close)
        await super().on_stop()

    async def _flush_and_close(self, *_: Any, **__: Any) -> None:
        await self.partitions.suspend(clean=True, timeout_s=self.parts.flush_timeout_s)
        self.parts.end_query_threads()
        await self.parts.topology.close_stores_and_connections()

    async def on_shutdown(self) -> None:
        """Everything has stopped: leave with the exit code of the error that ended it, which Faust would turn into 0."""
        await super().on_shutdown()
        if self.fatal_error is not None:
            os._exit(exit_code(self.fatal_error))


def say(message: str) -> None:
    """One line for the operator, past Faust's redirection of standard error."""
    stream = sys.__stderr__
    if stream is not None:
        stream.write(f"wordcount: {printable(message)}\n")
        stream.flush()
