"""The simulation of one seed, from its plan to its verdict, with disks, clock and locks of `tables` replaced by fakes."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any
from unittest.mock import Mock

import pytest

from app.reads import judge as judge_module
from app.reads import pace as pace_module
from app.reads import pane_parties as pane_parties_module
from app.reads import parties as parties_module
from app.reads import store_reads as store_reads_module
from app.reads import sums as sums_module
from app.reads import top_search as top_search_module
from tables.cache import pane_counts as pane_counts_module
from tables.model import event_clock as event_clock_module
from tables.model import replay as replay_module
from tables.partitions import actions as actions_module
from tables.partitions import expiry as expiry_module
from tables.partitions import follower as follower_module
from tables.partitions import followers as followers_module
from tables.partitions import freshness as freshness_module
from tables.partitions import partitions as partitions_module
from tables.partitions import served_rows as served_rows_module
from tables.partitions import settled_tail as settled_tail_module
from tables.partitions import shard as shard_module
from tables.store import stores as stores_module
from tables.top import leaders as leaders_module
from tables.top import pane_leaders as pane_leaders_module
from tests.simulation.asked_windows import MOST_PANE_LEADERS
from tests.simulation.event_time import CONFIRMING_RECORDS, SPREAD_RECORDS
from tests.simulation.plan import USUAL, Bias, Plan, Step, ranges
from tests.simulation.schedule import Schedule
from tests.simulation.standbys import CATCH_UP_S
from tests.simulation.threads import Lock, breathe
from tests.simulation.virtual_time import StuckError, VirtualLoop
from tests.simulation.wrong_error import WrongError

Mutate = Callable[[pytest.MonkeyPatch], None]


MOST_LEADERS = 3
"""Number of leaders of a partition; smaller than the number of words, so that some words are not leaders."""


ROWS_PER_FLUSH = 3
"""Number of rows that count no longer and that a flush removes; small, so that rows are left for later flushes."""


NEW_WORDS = 8
"""Words that may be new while counts in memory are added up; few, because an array with room for many takes a tenth of a schedule."""


LOGGING = (
    shard_module,
    stores_module,
    partitions_module,
    actions_module,
    followers_module,
    store_reads_module,
)
"""Modules whose logs are left out."""


TIMED = (
    pace_module,
    judge_module,
    top_search_module,
    parties_module,
    store_reads_module,
)
"""Modules of questions that read a clock."""


def simulate(
    seed: int,
    mutate: Mutate | None = None,
    *,
    bias: Bias = USUAL,
    steps: Sequence[Step] | None = None,
    honour_lag: bool = True,
) -> list[str]:
    """Run the schedule of `seed`, and return a trace of what happened.

    Args:
        seed: decides everything that happens.
        mutate: plants a bug in `tables`, to show that the simulation notices the bug; None = no bug.
        bias: see `Plan`.
        steps: the steps to take; None = all steps of the plan.
        honour_lag: see `Schedule`.

    Raises:
        WrongError: a promise is broken; the text has the trace.
    """
    plan = Plan.of(seed, bias)
    steps = plan.steps if steps is None else steps
    schedule = Schedule(plan, honour_lag=honour_lag)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stores_module, "PartitionStore", schedule.disks.open)
        patch.setattr(stores_module, "destroy_store", schedule.disks.destroy)
        patch.setattr(stores_module, "Cache", Mock())
        for module in LOGGING:
            patch.setattr(module, "_log", _Silent())
        patch.setattr(replay_module, "MERGE_BYTES", plan.restore_bytes)
        patch.setattr(followers_module, "MOST_BYTES", plan.held_bytes)
        patch.setattr(follower_module, "CATCH_UP_S", CATCH_UP_S)
        # Shorter than in reality, because polls come seldom in the simulation.
        patch.setattr(settled_tail_module, "SETTLE_S", 0.02)
        patch.setattr(freshness_module, "OWNER_S", 0.015)
        patch.setattr(followers_module, "CONFIRM_S", 0.0)
        patch.setattr(served_rows_module, "MOST_LEADERS", MOST_LEADERS)
        for module in (pane_leaders_module, pane_counts_module, pane_parties_module):
            patch.setattr(module, "MOST_PANE_LEADERS", MOST_PANE_LEADERS)
        patch.setattr(pane_parties_module, "_FEWEST_LEADERS", MOST_PANE_LEADERS)
        patch.setattr(expiry_module, "ROWS_PER_FLUSH", ROWS_PER_FLUSH)
        patch.setattr(expiry_module, "SLICE_ROWS", ROWS_PER_FLUSH)
        patch.setattr(event_clock_module, "CONFIRMING_RECORDS", CONFIRMING_RECORDS)
        patch.setattr(event_clock_module, "SPREAD_RECORDS", SPREAD_RECORDS)
        patch.setattr(leaders_module, "Lock", Lock)
        patch.setattr(sums_module, "sleep", breathe)
        patch.setattr(sums_module, "_NEW_WORDS", NEW_WORDS)
        patch.setattr(asyncio, "to_thread", _at_once)
        for timed in TIMED:
            patch.setattr(timed, "monotonic", lambda: asyncio.get_running_loop().time())
        if mutate is not None:
            mutate(patch)
        try:
            with asyncio.Runner(loop_factory=VirtualLoop) as runner:
                runner.run(schedule.run(steps))
        except (AssertionError, StuckError) as error:
            promise = error.promise if isinstance(error, WrongError) else _raised_in(error)
            text = f"{error!r}\nseed {seed}, steps {ranges([step.number for step in steps])}\n" + "\n".join(
                schedule.trace
            )
            raise WrongError(promise, text, schedule.taken) from error
        finally:
            for process in schedule.ever:
                process.end_threads()
    return schedule.trace


def _raised_in(error: BaseException) -> str:
    """Return the text that stands for the promise of an assertion: the error's type and the function that raised it."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = trace.tb_frame.f_code.co_qualname if trace is not None else ""
    return f"{type(error).__name__} in {place}"


async def _at_once(function: Callable[..., Any], /, *arguments: Any) -> Any:
    """Do what `asyncio.to_thread` does without a thread of its own, whose end no virtual time would wait for."""
    await asyncio.sleep(0)
    return function(*arguments)


class _Silent:
    """A logger that writes nothing."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_, **__: None
