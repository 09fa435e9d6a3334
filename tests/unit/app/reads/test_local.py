"""What a process tells of its own partitions to whoever asks for totals."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from time import monotonic
from types import SimpleNamespace
from typing import Any

import msgspec

from app.reads.answers import Behind, FollowerStatus, PartitionStatus
from app.reads.holdings import Held
from app.reads.local import LocalReads
from app.reads.questions import TOLD, TotalsAsked
from tables.model.rows import StoreState
from tests.fakes.served import state_at

OWNED = PartitionStatus("counting", 123, 130)


class Holdings:
    """Owns partitions 0 and 1, and follows 1 to 3; answers for 0 to 2."""

    waited_for = 0

    def owned(self) -> Collection[int]:
        return (0, 1)

    def followed(self) -> Collection[int]:
        return (1, 2, 3)

    def partitions(self) -> Mapping[int, PartitionStatus]:
        return {0: OWNED, 1: OWNED}

    def standbys(self) -> Mapping[int, FollowerStatus]:
        return {
            1: FollowerStatus("restoring", None, Behind(9, 1.0), 0.5),
            2: FollowerStatus("following", 40, Behind(3, 0.2), 1.0),
            3: FollowerStatus("stopped", 7, Behind(0, 0.0), 1.0, "truncated"),
        }

    def asked(self) -> None:
        self.waited_for += 1

    async def held(self, numbers: Collection[int], max_lag_records: int | None, end_s: float) -> Held:
        rows: Any = "rows"
        return Held(dict.fromkeys((0, 1, 2), rows), {0: "active", 1: "active", 2: "standby"})


class Stores:
    """Tells the same position of every partition."""

    def states(self, rows: Mapping[int, Any]) -> Mapping[int, StoreState]:
        return dict.fromkeys(rows, state_at(40, 40))


async def test_totals_come_with_the_status_of_followed_partitions_too() -> None:
    stores: Any = Stores()
    local = LocalReads(Holdings(), stores, process="p", version="1")
    told = await local.ask(TotalsAsked(partitions=[0, 1, 2]), monotonic() + 5, monotonic() + 5)
    followed = PartitionStatus("following", 40)
    assert told.value.partitions == {0: OWNED, 1: OWNED, 2: followed}
    assert followed.lag_records is None
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(told), type=TOLD[TotalsAsked]) == told


async def test_counting_pauses_for_questions_alone_whose_answers_somebody_waits_for() -> None:
    stores: Any = Stores()
    holdings = Holdings()
    local = LocalReads(holdings, stores, process="p", version="1")
    for is_patient in (True, False, True):
        question = TotalsAsked(partitions=[0], is_patient=is_patient)
        sent = msgspec.msgpack.decode(msgspec.msgpack.encode(question), type=TotalsAsked)
        await local.ask(sent, monotonic() + 5, monotonic() + 5)
    assert holdings.waited_for == 1


async def test_a_follower_that_has_stopped_still_answers_and_says_why() -> None:
    holdings: Any = SimpleNamespace(
        asked=Holdings().asked,
        held=Holdings().held,
        partitions=dict,
        standbys=lambda: {0: Holdings().standbys()[3]},
    )
    stores: Any = SimpleNamespace(states=lambda rows: {0: state_at(7, 7)})
    told = await LocalReads(holdings, stores, process="p", version="1").ask(
        TotalsAsked(partitions=[0, 1, 2]), monotonic() + 5, monotonic() + 5
    )
    assert told.value.partitions == {0: PartitionStatus("stopped", 7, error="truncated")}
