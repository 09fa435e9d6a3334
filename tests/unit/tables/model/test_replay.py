"""Which row, which marker and which word to heal come out of changelog records."""

from collections.abc import Mapping, Sequence

import pytest

from tables.errors import InexactError
from tables.model import replay as replay_module
from tables.model.event_clock import EventClock
from tables.model.names import MARKER_KEY
from tables.model.records import ChangelogSlice
from tables.model.replay import Replay
from tables.model.rows import Marker, Owner, StoreState, encode_marker
from tables.model.windows import NOTHING_CLEARED, Pane, SizeRule, WindowRules, begun
from tests.fakes.rows import pack_row

EMPTY = StoreState(marker=None, examined=0, max_upto=0)
Record = tuple[bytes, bytes]
T = 1_735_732_800


class Rows:
    """Stored rows."""

    def __init__(self, rows: Mapping[bytes, bytes]) -> None:
        self.rows = rows

    def get_many(self, words: Sequence[bytes]) -> list[bytes | None]:
        return [self.rows.get(word) for word in words]


def row(word: bytes, upto: int) -> Record:
    return word, pack_row(100 + upto, upto)


def marker(position: int, changelog_id: str = "") -> Record:
    value = Marker(topic="input", profile="p", origin=0, position=position, changelog_id=changelog_id)
    return MARKER_KEY, encode_marker(value)


def records(*parts: Record, end: int = 99) -> ChangelogSlice:
    return ChangelogSlice.of(parts, end)


def replayed(
    *slices: ChangelogSlice, stored: Mapping[bytes, bytes] | None = None, state: StoreState = EMPTY
) -> Replay:
    replay = Replay(Rows({} if stored is None else stored), state, Owner("group", "input"))
    for part in slices:
        replay.apply(part)
    return replay


def taken(replay: Replay) -> dict[bytes, bytes]:
    rows = replay.take()
    found = dict(zip(rows.keys(), rows.values(), strict=True))
    assert list(found) == sorted(found)
    return found


@pytest.fixture(autouse=True, params=[1, 60, 1 << 20])
def _merging(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """After each slice, after some, and not before rows are taken."""
    monkeypatch.setattr(replay_module, "MERGE_BYTES", request.param)


def test_the_row_with_the_larger_upto_stays() -> None:
    replay = replayed(records(row(b"a", 5), row(b"b", 5)), records(row(b"a", 9)), records(row(b"b", 3)))
    assert taken(replay) == dict([row(b"a", 9), row(b"b", 5)])


def test_a_word_is_stale_while_its_latest_record_is_not_its_best() -> None:
    stored: dict[bytes, bytes] = {}
    best, worse = records(row(b"a", 9), row(b"b", 9), row(b"c", 9)), records(row(b"a", 5), row(b"b", 5))
    replay = replayed(best, worse, stored=stored)
    for part, stale in [
        (None, {b"a", b"b"}),
        (records(row(b"a", 9)), {b"b"}),
        (records(row(b"b", 12), row(b"d", 12)), set()),
    ]:
        if part is not None:
            replay.apply(part)
        stored.update(taken(replay))
        assert replay.stale == stale


def test_a_stored_row_beats_an_older_record() -> None:
    stored = dict([row(b"a", 9)])
    replay = replayed(
        records(row(b"a", 5), row(b"b", 5)),
        stored=stored,
        state=StoreState(marker=None, examined=3, max_upto=9),
    )
    assert (taken(replay), replay.stale) == (dict([row(b"b", 5)]), {b"a"})


def test_rows_that_were_taken_count_as_stored() -> None:
    stored: dict[bytes, bytes] = {}
    replay = replayed(records(row(b"a", 9)), stored=stored)
    stored.update(taken(replay))
    replay.apply(records(row(b"a", 5), row(b"b", 5)))
    assert (taken(replay), replay.stale) == (dict([row(b"b", 5)]), {b"a"})


def test_the_same_word_twice_in_a_slice_is_merged() -> None:
    replay = replayed(records(row(b"a", 5), row(b"a", 7), row(b"a", 6)))
    assert (taken(replay), replay.stale) == (dict([row(b"a", 7)]), {b"a"})
    replay = replayed(records(row(b"a", 5), row(b"a", 5)))
    assert (taken(replay), replay.stale) == (dict([row(b"a", 5)]), set())


def test_the_position_is_that_of_the_marker_that_is_furthest() -> None:
    replay = replayed(records(marker(9), row(b"a", 12), marker(12)), records(marker(7)))
    assert replay.marker is not None
    assert replay.marker.position == 12


def test_nothing_is_readable_below_what_any_row_or_marker_has_reached() -> None:
    assert replayed(records(row(b"a", 5), marker(5)), records(marker(3))).max_upto == 5
    assert replayed(records(marker(8), marker(3))).max_upto == 8
    assert replayed(records(row(b"a", 5)), records(row(b"b", 2))).max_upto == 5
    assert replayed(state=StoreState(marker=None, examined=3, max_upto=9)).max_upto == 9


def test_what_is_examined_follows_the_slices() -> None:
    assert replayed().examined == 0
    assert replayed(records(end=7)).examined == 7
    assert replayed(records(row(b"a", 5), end=4), records(marker(5), end=6)).examined == 6


def test_no_row_and_no_marker_is_refused() -> None:
    with pytest.raises(InexactError):
        replayed(records((b"a", b"")))
    with pytest.raises(InexactError):
        replayed(records((MARKER_KEY, b"{}")))


def test_markers_of_two_changelogs_in_one_are_refused() -> None:
    replay = replayed(records(marker(5, "old"), marker(6), marker(7, "old")))
    assert replay.marker is not None
    with pytest.raises(InexactError, match="reset"):
        replayed(records(marker(5, "old")), records(marker(6, "new")))


def test_rows_have_to_be_taken_once_merging_does_not_make_them_fewer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(replay_module, "MERGE_BYTES", 4000)
    replay = replayed(*(records(row(b"a", upto)) for upto in range(1, 1000)))
    assert not replay.full
    number = 0
    while not replay.full:
        number += 1
        replay.apply(records(row(b"%d" % number, 2000)))
    assert 2000 / 40 < number < 4000 / 30
    assert len(replay.take()) == number + 1
    assert not replay.full


def test_a_late_marker_that_knows_less_than_one_before_it_is_healed() -> None:
    replay = replayed(records(marker(9)), records(marker(7)))
    assert replay.needs_healing()
    healed = replay.healed_marker()
    assert healed is not None
    assert (healed.position, healed.prior_position) == (9, 0)

    replay.apply(records((MARKER_KEY, encode_marker(healed))))
    assert not replay.needs_healing()
    assert replay.marker == healed


def test_what_an_earlier_program_knew_of_a_marker_that_is_gone_is_not_forgotten() -> None:
    known = Marker(topic="input", profile="p", origin=0, position=7, prior_position=9)
    replay = replayed(records((MARKER_KEY, encode_marker(known))))
    assert replay.max_upto == 9
    assert not replay.needs_healing()
    assert known.advanced(8, known.totals).furthest_position == 9
    assert known.advanced(9, known.totals).prior_position == 0


def test_after_healing_nothing_needs_healing_until_more_is_read() -> None:
    replay = replayed(records(marker(9), row(b"a", 9)), records(row(b"a", 5), marker(7)))
    replay.take()
    assert (replay.stale, replay.needs_healing()) == ({b"a"}, True)
    replay.healed()
    assert (replay.stale, replay.needs_healing()) == (set(), False)
    replay.apply(records(marker(8)))
    assert replay.needs_healing()


def pane_key(minute: int, word: bytes = b"a") -> bytes:
    return Pane(60, T + 60 * minute).prefix + word


def windowed_marker(position: int, stream_s: int) -> Record:
    windows = begun(WindowRules((SizeRule(60, 0, 600),)), 0).at(EventClock(stream_s * 1000))
    value = Marker(topic="input", profile="p", origin=0, position=position, windows=windows)
    return MARKER_KEY, encode_marker(value)


def test_tombstones_clear_rows_that_count_no_longer() -> None:
    gone, kept = pane_key(0), pane_key(20)
    written = records(row(b"a", 5), row(gone, 5), row(kept, 5), windowed_marker(5, T + 661))
    replay = replayed(written, records((gone, b"")))
    assert taken(replay) == dict([row(b"a", 5), row(kept, 5)])
    assert replay.cleared == ([(gone, gone + b"\0")], 1)
    assert not replay.needs_healing()
    assert taken(replay) == {}
    assert replay.cleared == NOTHING_CLEARED


@pytest.mark.parametrize("stored", [False, True])
def test_a_tombstone_of_a_row_that_counts_is_healed(*, stored: bool) -> None:
    kept, unknown = pane_key(20), pane_key(21)
    rows = dict([row(kept, 5)])
    first = (
        records(windowed_marker(5, T + 661)) if stored else records(row(kept, 5), windowed_marker(5, T + 661))
    )
    replay = replayed(first, records((kept, b""), (unknown, b"")), stored=rows if stored else {})
    assert taken(replay) == ({} if stored else rows)
    assert replay.stale == {kept}
    assert replay.cleared == NOTHING_CLEARED


def test_a_stale_row_that_was_removed_needs_no_healing() -> None:
    gone = pane_key(0)
    replay = replayed(records(row(gone, 9), row(gone, 5), windowed_marker(9, T + 661)), stored={})
    taken(replay)
    assert replay.stale == {gone}
    replay.apply(records((gone, b""), row(gone, 5), windowed_marker(9, T + 661)))
    assert taken(replay) == {}
    assert not replay.stale


def test_nothing_is_cleared_while_rows_are_ahead_of_the_position() -> None:
    gone = pane_key(0)
    replay = replayed(records(row(gone, 5), windowed_marker(5, T + 661), row(b"a", 8), (gone, b"")))
    assert taken(replay) == dict([row(b"a", 8), row(gone, 5)])
    replay.apply(records(windowed_marker(8, T + 661)))
    assert taken(replay) == {}
    assert replay.cleared == ([(gone, gone + b"\0")], 1)


def test_rows_of_words_come_first() -> None:
    rows = replayed(
        records(row(pane_key(1), 5), row(b"b", 5), row("\U0010ffff".encode(), 5), row(b"", 5))
    ).take()
    assert list(rows.of_words().keys()) == [b"", b"b", "\U0010ffff".encode()]
    assert len(replayed(records(row(pane_key(1), 5))).take().of_words()) == 0
    assert len(replayed().take().of_words()) == 0
