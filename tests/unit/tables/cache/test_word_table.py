"""The table of short words: growth, crowded slots, look-ups beside an addition."""

import threading

import numpy as np
import pyarrow as pa

from tables.cache.word_table import WordTable


def column(words: list[bytes]) -> pa.BinaryArray:
    return pa.array(words, pa.binary())


def test_a_table_that_grows_keeps_every_word() -> None:
    table = WordTable()
    words = [b"w%d" % i for i in range(50_000)]
    for start in range(0, len(words), 7_000):
        part = words[start : start + 7_000]
        table.add(column(part), np.arange(start, start + len(part)))
    assert table.find(column(words[::-1])).tolist() == list(range(len(words)))[::-1]
    assert table.words_of(np.arange(len(words))) == words


def test_words_that_want_the_same_slot_are_told_apart() -> None:
    table = WordTable()
    table._factors = (0, 0, 1)
    words = [b"%d" % i for i in range(300)]
    table.add(column(words[:100]), np.arange(100))
    table.add(column(words[100:200]), np.arange(100, 200))
    assert table.find(column(words)).tolist() == [*range(200), *[-1] * 100]
    assert [table.id_of(word) for word in words] == [*range(200), *[None] * 100]


def test_words_are_found_while_others_are_added() -> None:
    table = WordTable()
    known = [b"known%d" % i for i in range(500)]
    table.add(column(known), np.arange(len(known)))
    ended = threading.Event()
    wrong: list[bytes] = []

    def look() -> None:
        while not ended.is_set():
            wrong.extend(word for number, word in enumerate(known) if table.id_of(word) != number)

    reader = threading.Thread(target=look)
    reader.start()
    for start in range(500, 120_000, 500):
        table.add(column([b"new%d" % i for i in range(start, start + 500)]), np.arange(start, start + 500))
    ended.set()
    reader.join()
    assert wrong == []
