"""The Faust app of a worker: in which order a worker starts its parts, and closes HTTP, stores and membership.

Faust starts and stops services. Wordcount adds its own steps in the methods that are named here.

Starting:

1. `on_first_start`: `WorkerParts.prepare` opens and checks everything that an operator may have got wrong. The watchdog and the
   measurement of the event loop's delay begin.
2. Faust starts its services in the order of `BootStrategy.server`: sensors, Faust's producer, HTTP (`WebFirst.web_server`), the
   consumer, which joins the group, agents, conductor, tables.
3. `on_started_init_extra_tasks`, after the first assignment: the tasks begin that flush due buffers and examine idle partitions, and
   the worker asks the URL that it advertises whether it leads to this worker, and takes part in the duty of the watches.

Stopping, at SIGTERM, Ctrl-C or `end`:

0. `Worker`, at SIGTERM only: readiness becomes false, and the worker goes on for `WORDCOUNT_DRAIN_S`.
1. `on_stop`: readiness becomes false, streams of events end, and the deadline begins. The deadline ends the process if a later step
   hangs, as steps do while the broker does not answer.
2. Faust's `App.on_stop` stops fetcher and tables, so that no more records are taken in. Then Faust's signal `on_before_shutdown` calls
   `_flush_and_close`: buffers are flushed and committed while membership, heartbeats and HTTP still live; the texts of HTTP requests
   under way are sent to their end; watches and query threads end; stores and connections are closed.
3. Faust stops its other services in reverse order: conductor, agents; the consumer, which leaves the group; then HTTP, so that probes
   are answered until this moment; Faust's producer, sensors. Finally Faust cancels the tasks of this app.
4. `on_shutdown`: the process ends with the exit code of the error that stopped the worker.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Any

import faust
import structlog
from faust.app.base import BootStrategy

from agents.source.consumer import BatchTransport
from agents.source.worker_app import ConsumerOptions, WorkerApp
from agents.topology import Topology
from app.exit_codes import exit_code
from app.watches.duty import WatchDuty
from app.worker.ending import Deadline, say
from app.worker.loop_delay import watch_loop
from tables.errors import WordcountError
from tables.partitions.partitions import Partitions

_log = structlog.get_logger(__name__)

UNASSIGNED_STOP_S = 5.0
"""Longest stop of a worker without partitions: nothing is lost when the process is ended, and Faust may hang in such a stop.

Faust hangs while the thread of its consumer starts.
"""


@dataclass(frozen=True, slots=True)
class WorkerParts:
    """The parts of a worker beside Faust's services. Callables are called on the event loop.

    Attributes:
        topology: agent, partitions, watchdog.
        consumer_options: options of the consumer.
        prepare: opens and checks everything that must work before records are consumed or HTTP is served. Raises WordcountError.
        web_server: makes the service that serves HTTP. Called once, before `prepare`.
        start_draining: makes readiness false, with the reason that is passed, and each answer the last one of its connection.
        end_streams: ends all answers with events, so that no client's stream delays the end of HTTP.
        close_ingest: takes no more texts over HTTP, and returns when those under way are confirmed or in doubt.
        drain_s: time for which the worker goes on after SIGTERM, in seconds.
        watches: evaluates watches and sends crossings when it is this worker's turn; None = there are none.
        close_reads: ends the threads of queries and the connections to other workers; no query is answered afterwards.
        watch_address: asks whether the advertised URL leads to this worker, and looks whether it is the URL of others, too.
        loop_delayed: see `app.worker.loop_delay.watch_loop`.
        deadline: ends the process if a stop hangs.
        flush_timeout_s: longest duration of the last flush, in seconds.
    """

    topology: Topology
    consumer_options: ConsumerOptions
    prepare: Callable[[], Awaitable[None]]
    web_server: Callable[[], Any]
    start_draining: Callable[[str], None]
    end_streams: Callable[[], None]
    close_ingest: Callable[[], Awaitable[None]]
    drain_s: float
    watches: WatchDuty | None
    close_reads: Callable[[], Awaitable[None]]
    watch_address: Callable[[], Coroutine[Any, Any, None]]
    loop_delayed: Callable[[float, float], None]
    deadline: Deadline
    flush_timeout_s: float


class WebFirst(BootStrategy):
    """Starts HTTP before Faust's recovery. Faust's own strategy starts HTTP after the recovery, when probes have long failed.

    No code of this module closes HTTP: Faust stops its services in reverse order, HTTP after the consumer has left the group.
    """

    def web_server(self) -> Iterable[Any]:
        """Return our web server; empty if Faust's flag `--without-web` is set."""
        return [self.app.parts.web_server()] if self.app.conf.web_enabled else []


class Worker(faust.Worker):
    """Faust's worker, which drains its app before it obeys SIGTERM (`tests/integration/workers/test_drain.py` notices an upgrade)."""

    async def _stop_on_signal(self, number: signal.Signals) -> None:
        if number == signal.SIGTERM:
            await self.app.drain()
        await super()._stop_on_signal(number)


class WordcountApp(faust.App, WorkerApp):
    """A Faust app that counts words. The methods are listed in the order in which they are called.

    Attributes:
        parts: set once by `app.worker.bootstrap.build_worker`, after the app was created, because some parts refer to the app.
        fatal_error: the error because of which the process ends; None = there is no error.
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
        """The options of the consumer."""
        return self.parts.consumer_options

    def _new_transport(self) -> BatchTransport:
        return BatchTransport(self.conf.broker_consumer, self)

    async def on_first_start(self) -> None:
        """Check everything that an operator may have got wrong, before records are consumed or HTTP is served."""
        try:
            await self.parts.prepare()
        except WordcountError as error:
            # Nothing has to be closed yet, and a traceback through Faust would hide the line that helps.
            say(str(error))
            os._exit(exit_code(error))
        # All objects that exist now live as long as the process. If the garbage collector went through them again and again, each time
        # would stop the event loop for 80 ms.
        gc.collect()
        gc.freeze()
        # These tasks cannot begin with Faust's own tasks, which begin after the first assignment: if the group refuses this worker,
        # there is no assignment.
        self.add_future(self.parts.topology.watchdog.watch())
        self.add_future(watch_loop(self.parts.loop_delayed))
        await super().on_first_start()

    async def on_started_init_extra_tasks(self) -> None:
        """Start Faust's tasks, and the tasks that flush due buffers, examine idle partitions and ask the advertised URL."""
        await super().on_started_init_extra_tasks()
        self.add_future(self.parts.topology.tick_forever())
        self.add_future(self.parts.topology.examine_forever())
        self.add_future(self.parts.watch_address())
        if self.parts.watches is not None:
            self.parts.watches.start()

    def end(self, error: Exception) -> None:
        """Stop the whole process because of `error`: in order if possible, otherwise at the deadline. Later errors are ignored."""
        if self.fatal_error is None:
            self.fatal_error = error
            if isinstance(error, WordcountError):
                say(str(error))
            else:
                # A mistake of the program, whoever met it: its text alone may be empty.
                _log.error("unexpected error", error=repr(error), exc_info=error)
                say(f"unexpected error: {error!r}")
            self.parts.deadline.start(exit_code(error))
            os.kill(os.getpid(), signal.SIGTERM)

    async def drain(self) -> None:
        """Count and answer on for a while, so that who asks finds another worker. Not after an error."""
        if self.fatal_error is None and self.parts.drain_s:
            _log.info("draining", seconds=self.parts.drain_s)
            self.parts.start_draining("stopping")
            await asyncio.sleep(self.parts.drain_s)

    async def on_stop(self) -> None:
        """Stop in the order of this module's docstring."""
        if self.partitions.partition_numbers():
            self.parts.deadline.start()
        else:
            self.parts.deadline.start(0, at_most_s=UNASSIGNED_STOP_S)
        self.parts.start_draining("stopping")
        self.parts.end_streams()
        self.on_before_shutdown.connect(self._flush_and_close)
        await super().on_stop()

    async def _flush_and_close(self, *_: Any, **__: Any) -> None:
        await self.partitions.suspend(clean=True, timeout_s=self.parts.flush_timeout_s)
        await self.parts.close_ingest()
        if self.parts.watches is not None:
            await self.parts.watches.close()
        await self.parts.close_reads()
        await self.parts.topology.close_stores_and_connections()

    async def on_shutdown(self) -> None:
        """Leave with the exit code of the fatal error, if any, when everything has stopped: Faust would leave with 0."""
        await super().on_shutdown()
        if self.fatal_error is not None:
            os._exit(exit_code(self.fatal_error))
