"""Keys of ids of records, and which of their rows count no longer."""

import pytest

from tables.model.names import END_OF_WORDS, IDENTIFIED_VERSION, STATE_KEY, WINDOWED_VERSION
from tables.model.record_ids import IdState, generation_prefix, id_key, is_id_key
from tables.model.rows import Marker, decode_marker, encode_marker
from tables.model.tally import Totals, repeated
from tables.model.windows import FIRST_PANE_KEY


@pytest.mark.parametrize("record_id", [b"a", b"\xff" * 64, b"\0"])
@pytest.mark.parametrize("generation", [0, 1, 255, 256, 1 << 40])
def test_keys_of_ids_lie_between_words_and_panes(record_id: bytes, generation: int) -> None:
    key = id_key(generation, record_id)
    assert is_id_key(key)
    assert "\U0010ffff".encode() < END_OF_WORDS <= key < FIRST_PANE_KEY < STATE_KEY
    assert generation_prefix(generation) <= key < generation_prefix(generation + 1)
    assert not is_id_key(b"a")
    assert not is_id_key(FIRST_PANE_KEY)


@pytest.mark.parametrize(("records", "first_kept"), [(0, 0), (9, 0), (10, 0), (19, 0), (20, 1), (35, 2)])
def test_the_rows_of_two_generations_count(records: int, first_kept: int) -> None:
    start, end = IdState(records, 10).dead_range
    assert (start, end) == (END_OF_WORDS, generation_prefix(first_kept))


def test_a_marker_keeps_ids_and_no_earlier_program_reads_it() -> None:
    marker = Marker(topic="t", profile="p", origin=0, position=0)
    marker = marker.advanced(5, Totals(records=5, counted=5), None, IdState(5, 2))
    marker = marker.advanced(9, repeated(4), None, IdState(9, 2))
    assert decode_marker(encode_marker(marker)) == marker
    assert marker.version == IDENTIFIED_VERSION > WINDOWED_VERSION
    assert marker.totals == Totals(records=9, counted=5, skipped={"duplicate": 4})
    assert marker.dead_ranges()[0] == (END_OF_WORDS, generation_prefix(3))


@pytest.mark.parametrize("ids", [IdState(-1, 2), IdState(6, 2), IdState(1, 0)])
def test_ids_that_cannot_be_true_are_a_flaw(ids: IdState) -> None:
    marker = Marker(topic="t", profile="p", origin=0, position=5, records=5, counted=5, ids=ids)
    assert "ids" in marker.flaw
