"""Replay refuses a changelog with markers for another changelog, as after a deletion, or of another deployment."""

from __future__ import annotations

import msgspec
import pytest

from tables.errors import ForeignChangelogError, InexactError
from tables.model.names import MARKER_KEY
from tables.model.records import ChangelogSlice
from tables.model.replay import Replay
from tables.model.rows import Marker, Owner, StoreState, encode_marker
from tests.fakes.rows import pack_row

MARKER = Marker(topic="texts", changelog_id="C", profile="whitespace/1", origin=0, position=10)


OWNER = Owner("readers", "texts")


class NoRows:
    def get_many(self, words: list[bytes]) -> list[bytes | None]:
        return [None] * len(words)


def replay(*changelog_ids: str, before: Marker | None = None) -> Replay:
    replayed = Replay(NoRows(), StoreState(marker=before, examined=0, max_upto=0), OWNER)
    for changelog_id in changelog_ids:
        value = encode_marker(msgspec.structs.replace(MARKER, changelog_id=changelog_id))
        replayed.apply(ChangelogSlice.of([(MARKER_KEY, value)], replayed.examined + 1))
    return replayed


def test_markers_for_one_changelog_are_read() -> None:
    assert replay("C", "C", before=MARKER).marker == MARKER


def test_markers_from_before_ids_were_known_are_read() -> None:
    assert replay("", "C").marker == MARKER
    assert replay("C", "").examined == 2


def test_markers_for_two_changelogs_in_one_are_refused() -> None:
    with pytest.raises(InexactError, match="for two changelogs"):
        replay("C", "D")
    with pytest.raises(InexactError, match="wordcount reset"):
        replay("D", before=MARKER)


@pytest.mark.parametrize(("group", "topic"), [("others", "texts"), ("readers", "other"), ("", "other")])
@pytest.mark.parametrize("number", range(3))
def test_any_marker_of_another_owner_is_refused_before_a_row_of_its_slice_is_adopted(
    group: str, topic: str, number: int
) -> None:
    markers = [MARKER, msgspec.structs.replace(MARKER, group="readers"), MARKER]
    markers[number] = msgspec.structs.replace(MARKER, group=group, topic=topic)
    records = [(b"word", pack_row(1, 5)), *((MARKER_KEY, encode_marker(marker)) for marker in markers)]
    replayed = replay()
    with pytest.raises(ForeignChangelogError, match=f"counts of topic {topic}"):
        replayed.apply(ChangelogSlice.of(records, 4))
    assert len(replayed.take()) == 0
