from collections import Counter
from itertools import chain

import pytest

from bench.corpus import CORPORA, distinct_lines, library_lines, zipf_lines
from bench.prepared import KINDS, prepared_load


def text(chunks) -> list[bytes]:
    return list(chain.from_iterable(chunks))


@pytest.mark.slow
@pytest.mark.parametrize("name", CORPORA)
def test_a_corpus_has_as_many_lines_as_asked_for_and_is_the_same_each_time(name):
    lines = text(CORPORA[name].lines(1003))
    assert len(lines) == 1003
    assert lines == text(CORPORA[name].lines(1003))
    assert all(lines)


def test_chunks_do_not_change_what_is_drawn(monkeypatch):
    whole = text(zipf_lines(500, 150))
    monkeypatch.setattr("bench.corpus._CHUNK_LINES", 70)
    assert text(zipf_lines(500, 150)) == whole


def test_each_word_of_distinct_occurs_twice():
    counts = Counter(b" ".join(text(CORPORA["distinct"].lines(1000))).split())
    assert set(counts.values()) == {2}
    assert len(counts) == 5000


def test_a_number_of_distinct_words_can_be_asked_for():
    counts = Counter(b" ".join(text(distinct_lines(1000, 100))).split())
    assert set(counts.values()) == {100}
    assert len(counts) == 100


def test_half_of_the_hot_corpus_is_one_word():
    counts = Counter(b" ".join(text(CORPORA["hot-word"].lines(2000))).split())
    assert 0.45 < counts[b"the"] / counts.total() < 0.55


def test_the_library_has_enough_text_to_be_natural():
    words = b" ".join(library_lines()).split()
    assert len(words) > 100_000
    assert len(set(words)) > 10_000


def test_a_prepared_load_knows_what_it_handed_out():
    load = prepared_load("topic", 2, 3)
    assert load.truth() == Counter()
    handed_out = [load.next() for _ in range(KINDS + 2)]
    assert handed_out[0] is handed_out[KINDS]
    assert handed_out[0] is not handed_out[1]
    assert load.truth() == sum([*load.counts, *load.counts[:2]], Counter())
    assert load.truth().total() == (KINDS + 2) * 2 * 3 * 10
