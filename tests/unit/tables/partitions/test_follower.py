"""What a follower shows of a changelog, whatever the slices end with, and what it leaves for an owner."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from rocksdict import Cache

from tables.cache.vocabulary import VocabularyLimit
from tables.errors import ForeignChangelogError, InexactError
from tables.model import replay as replay_module
from tables.model.event_clock import EventClock
from tables.model.names import MARKER_KEY
from tables.model.records import ChangelogSlice
from tables.model.rows import Marker, Owner, StoreState, decode_state, encode_marker
from tables.model.windows import END_OF_PANES, FIRST_PANE_KEY, Pane, SizeRule, WindowRules, begun
from tables.partitions import follower as follower_module
from tables.partitions.follower import Follower
from tables.ports import Tailed
from tables.store.partition_store import PartitionStore
from tests.fakes.rows import pack_row

Record = tuple[bytes, bytes]
A_LOT = 1 << 20


def row(word: bytes, upto: int) -> Record:
    return word, pack_row(100 + upto, upto)


def marker(position: int, *, prior: int = 0, topic: str = "input") -> Record:
    value = Marker(topic=topic, group="g", profile="p", origin=0, position=position, prior_position=prior)
    return MARKER_KEY, encode_marker(value)


class Following:
    """A follower, the changelog as far as it was delivered, and a clock."""

    def __init__(self, folder: Path) -> None:
        self.now_s = 1000.0
        self.store = PartitionStore(folder, Cache(1 << 20))
        self.follower = self.made()

    def made(self) -> Follower:
        return Follower(0, self.store, Owner("g", "input"), VocabularyLimit(1000), lambda: self.now_s)

    def begin(self, end: int = 0, most_bytes: int = A_LOT) -> "Following":
        self.follower.begin("changelog", end, self.now_s, most_bytes)
        self.poll(end=end)
        return self

    def poll(self, *slices: Sequence[Record], end: int | None = None) -> None:
        next_offset, parts = self.follower.next, []
        for records in slices:
            next_offset += len(records)
            parts.append(ChangelogSlice.of(records, next_offset))
        self.follower.apply(Tailed(parts, next_offset if end is None else end, self.now_s))

    def again(self) -> "Following":
        """Follow anew on the same store, as after a start."""
        self.follower = self.made()
        return self

    @property
    def shown(self) -> tuple[int, list[bytes]] | None:
        """Position and words, as readers see them."""
        if not self.follower.readable:
            return None
        with self.follower.served.snapshot() as view:
            assert view.position is not None
            return view.position, [word for word, _ in view.rows()]

    @property
    def examined(self) -> int:
        return self.store.state.examined


@pytest.fixture
def following(tmp_path: Path) -> Iterator[Following]:
    made = Following(tmp_path / "0")
    yield made
    made.store.close()


def test_rows_are_shown_with_their_marker_and_not_before(following: Following) -> None:
    following.begin()
    following.poll([row(b"a", 5), row(b"b", 5)])
    assert following.shown is None
    following.poll([row(b"c", 5), marker(5), row(b"d", 8)])
    assert following.shown == (5, [b"a", b"b", b"c"])
    following.poll([row(b"e", 8)])
    assert following.shown == (5, [b"a", b"b", b"c"])
    assert following.follower.next == 6
    following.poll([marker(8)])
    assert following.shown == (8, [b"a", b"b", b"c", b"d", b"e"])


def test_markers_without_rows_show_the_position(following: Following) -> None:
    following.begin()
    following.poll([marker(5), marker(8)])
    assert following.shown == (8, [])


def test_what_is_held_is_read_again_after_a_start(following: Following) -> None:
    following.begin()
    following.poll([row(b"a", 5), marker(5)])
    following.poll([row(b"b", 8), marker(8), row(b"c", 9)])
    assert (following.shown, following.examined) == ((8, [b"a", b"b"]), 2)
    following.again().begin(end=5)
    assert following.follower.next == 2
    following.poll([row(b"b", 8), marker(8), row(b"c", 9)], end=6)
    following.poll([marker(9)])
    assert following.shown == (9, [b"a", b"b", b"c"])
    assert following.examined == 6


def test_nothing_is_shown_before_the_end_was_reached_once(following: Following) -> None:
    following.begin()
    following.poll([row(b"a", 5), marker(5)])
    following.again().begin(end=4)
    assert (following.shown, following.follower.state) == (None, "restoring")
    following.poll([row(b"b", 8)], end=4)
    assert following.shown is None
    following.poll([marker(8)])
    assert (following.shown, following.follower.state) == ((8, [b"a", b"b"]), "following")


def test_a_marker_that_compaction_may_have_overtaken_is_not_shown(following: Following) -> None:
    # The row of "a" below the first marker gave way to its row behind the marker.
    following.begin(end=4)
    following.poll([marker(5)], end=4)
    assert following.shown is None
    following.poll([row(b"a", 8), row(b"b", 8)], end=4)
    assert following.shown is None
    following.poll([marker(8)], end=4)
    assert following.shown == (8, [b"a", b"b"])


def test_large_parts_are_written_on_the_way_to_the_end_and_not_shown(
    following: Following, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay_module, "MERGE_BYTES", 1)
    following.begin(end=4, most_bytes=1)
    following.poll([row(b"a", 5), marker(5)], end=4)
    assert (following.store.state.position, following.store.state.exact_position) == (5, None)
    assert following.examined == 2
    following.poll([row(b"b", 8), marker(8)], end=4)
    assert following.shown == (8, [b"a", b"b"])


def test_a_store_that_was_left_on_the_way_is_shown_once_it_is_whole(
    following: Following, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay_module, "MERGE_BYTES", 1)
    following.begin(end=9, most_bytes=1)
    following.poll([row(b"a", 5), marker(5)], end=9)
    following.again().begin(end=2)
    assert following.shown == (5, [b"a"])


def test_a_follower_that_was_away_reads_to_the_end_before_it_shows_more(following: Following) -> None:
    following.begin()
    following.poll([row(b"a", 5), marker(5)])
    following.now_s += follower_module.CATCH_UP_S + 1
    following.poll([marker(8)], end=5)
    assert (following.shown, following.follower.state) == ((5, [b"a"]), "restoring")
    following.poll([row(b"a", 9), marker(9)])
    assert (following.shown, following.follower.state) == ((9, [b"a"]), "following")


def test_a_marker_at_the_end_that_rows_follow_is_shown_after_a_start_if_they_are_no_rows_ahead(
    following: Following,
) -> None:
    following.begin(end=4)
    following.poll([row(b"a", 3), row(b"b", 5), marker(5), row(b"a", 3)])
    assert following.shown == (5, [b"a", b"b"])


def test_a_torn_flush_at_the_end_is_shown_by_nobody_who_has_not_seen_the_flush_before(
    following: Following,
) -> None:
    following.begin(end=3)
    following.poll([row(b"a", 5), marker(5), row(b"b", 8)])
    assert (following.shown, following.follower.state) == (None, "following")
    assert following.store.state.max_upto == 8
    following.poll([row(b"b", 9), marker(9)])
    assert following.shown == (9, [b"a", b"b"])


def test_rows_for_which_memory_has_no_room_are_rows_ahead(
    following: Following, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay_module, "MERGE_BYTES", 1)
    following.begin(most_bytes=1)
    following.poll([row(b"a", 5), marker(5)])
    assert following.shown == (5, [b"a"])
    following.poll([row(b"b", 8)])
    assert following.shown is None
    following.poll([row(b"c", 8), marker(8)])
    assert following.shown == (8, [b"a", b"b", b"c"])


def test_a_marker_that_falls_back_changes_nothing_until_it_is_healed(following: Following) -> None:
    following.begin()
    following.poll([row(b"a", 8), marker(8)])
    following.poll([row(b"a", 5), marker(5)])
    assert following.shown == (8, [b"a"])
    assert following.examined == 2
    following.poll([row(b"a", 8), marker(8)])
    assert following.examined == 6
    following.poll([row(b"b", 9), marker(9)])
    assert following.shown == (9, [b"a", b"b"])
    assert following.store.get_many([b"a"]) == [row(b"a", 8)[1]]


def test_the_store_stays_before_foreign_records_until_they_are_healed(following: Following) -> None:
    following.begin()
    following.poll([row(b"a", 8), marker(8)])
    following.poll([row(b"a", 5), row(b"b", 9), marker(9)])
    following.poll([row(b"c", 10), marker(10)])
    assert following.shown == (10, [b"a", b"b", b"c"])
    assert following.examined == 2
    following.poll([row(b"a", 8), marker(10)])
    assert following.examined == 9


def test_changelogs_of_others_and_unreadable_ones_are_refused_and_nothing_of_them_is_written(
    following: Following,
) -> None:
    following.begin()
    following.poll([row(b"a", 5), marker(5)])
    before = following.store.state
    with pytest.raises(ForeignChangelogError):
        following.poll([row(b"x", 9), marker(9, topic="theirs")])
    with pytest.raises(InexactError, match="gone"):
        following.follower.apply(Tailed((), None, 0, InexactError("gone")))
    assert following.store.state is before
    following.follower.stop("gone")
    assert (following.follower.state, following.shown) == ("stopped", (5, [b"a"]))


def test_the_marker_of_a_changelog_that_was_deleted_is_refused(following: Following) -> None:
    following.begin()
    deleted = Marker(topic="input", profile="p", origin=0, position=5, changelog_id="deleted")
    with pytest.raises(InexactError, match="input partition 0: a worker that counted up to 5"):
        following.poll([row(b"a", 5), (MARKER_KEY, encode_marker(deleted))])
    assert (following.shown, following.store.state.max_upto) == (None, 0)


def test_how_far_a_follower_is_behind(following: Following) -> None:
    follower = following.begin(end=4).follower
    following.now_s += 2
    following.poll([row(b"a", 5)], end=4)
    assert (follower.behind_records, follower.behind_s, follower.progress.share) == (3, 2, 0.25)
    following.poll([row(b"b", 5), row(b"c", 5), marker(5)])
    assert (follower.behind_records, follower.behind_s, follower.progress.share) == (0, 0, 1)
    following.now_s += 1
    following.poll(end=6)
    following.now_s += 3
    following.poll(end=6)
    assert (follower.behind_records, follower.behind_s) == (2, 4)
    following.poll([row(b"b", 8), marker(8)])
    assert follower.behind_s == 0
    following.now_s += follower_module.HEARD_S + 1
    assert follower.behind_s == follower_module.HEARD_S + 1


def test_an_empty_cache_of_the_present_vocabulary_answers_nothing(tmp_path: Path) -> None:
    limit = VocabularyLimit(10)
    store = PartitionStore(tmp_path / "1", Cache(1 << 20))
    follower = Follower(1, store, Owner("g", "input"), limit, lambda: 0.0)
    former = follower.served.cache
    assert follower.served.cache is former
    limit.current = type(limit.current)(10)
    assert follower.served.cache.vocabulary is limit.current
    assert follower.served.count_of(b"a") is None
    store.close()


def test_a_state_of_an_earlier_version_is_whole() -> None:
    state = decode_state(b'{"marker":null,"changelog_next":3,"ahead":2}')
    assert state == StoreState(marker=None, examined=3, max_upto=2, whole=True)


MINUTES = WindowRules((SizeRule(60, 0, 600),))
T = 1_735_732_800


def windowed_marker(position: int, stream_s: int) -> Record:
    windows = begun(MINUTES, 0).at(EventClock(stream_s * 1000))
    value = Marker(topic="input", group="g", profile="p", origin=0, position=position, windows=windows)
    return MARKER_KEY, encode_marker(value)


def pane_row(minute: int, word: bytes, upto: int) -> Record:
    return Pane(60, T + 60 * minute).prefix + word, pack_row(1, upto)


def stored_panes(following: Following) -> list[bytes]:
    return [key for part in following.store.slices(FIRST_PANE_KEY, END_OF_PANES) for key, _ in part]


@pytest.mark.parametrize("cut", [1, 3, 4, 5, 9])
def test_rows_of_windows_that_the_owner_removed_leave_the_store_and_no_others(
    following: Following, cut: int
) -> None:
    kept, gone = pane_row(11, b"a", 6), [pane_row(minute, b"a", 6) for minute in (0, 1)]
    records = [
        row(b"a", 6),
        *gone,
        kept,
        windowed_marker(6, T + 700),
        *((key, b"") for key, _ in gone),
        row(b"a", 9),
        windowed_marker(9, T + 722),
    ]
    following.begin().poll(records[:cut], end=len(records))
    following.poll(records[cut:], end=len(records))
    assert stored_panes(following) == [kept[0]]
    assert following.shown == (9, [b"a"])


def test_a_tombstone_removes_no_row_that_counts(following: Following) -> None:
    counting = pane_row(0, b"a", 6)
    following.begin().poll([counting, (counting[0], b""), windowed_marker(6, T + 100)])
    assert stored_panes(following) == [counting[0]]
