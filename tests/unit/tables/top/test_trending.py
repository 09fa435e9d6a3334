"""The score of trending words, and which of them are certain."""

from __future__ import annotations

import math
from random import Random

import pytest

from tables.top.trending import LEAST_SCORE, Telling, decided, look_ups, score


def test_the_score_is_the_distance_from_the_baseline_in_standard_deviations() -> None:
    expected = 2 * (math.sqrt(30.375) - math.sqrt(10.375 / 10)) / math.sqrt(1.1)
    assert score(30, 10, 10) == pytest.approx(expected)
    assert score(31, 10, 10) > score(30, 10, 10) > score(30, 11, 10)
    assert score(5, 50, 10) < LEAST_SCORE
    for share in range(1000):  # No word that is at its share of the baseline trends.
        assert score(share, 10 * share, 10) < 1.3


def test_scores_of_words_whose_rate_stays_are_spread_like_a_standard_normal() -> None:
    random = Random(1)

    def poisson(mean: float) -> int:
        left, product = math.exp(-mean), random.random()
        count = 0
        while product > left:
            product *= random.random()
            count += 1
        return count

    for rate in (3, 10, 40):
        scores = [score(poisson(rate), sum(poisson(rate) for _ in range(5)), 5) for _ in range(3000)]
        mean = sum(scores) / len(scores)
        spread = math.sqrt(sum((one - mean) ** 2 for one in scores) / len(scores))
        assert abs(mean) < 0.15
        assert 0.9 < spread < 1.1
        assert sum(one >= LEAST_SCORE for one in scores) / len(scores) < 0.006


def test_one_party_proves_its_words_by_the_least_count() -> None:
    telling = Telling({b"a": (30, 0), b"b": (20, 0), b"c": (9, 0), b"the": (100, 1000)}, 9)
    found = decided([telling], 5, 10, 10)
    assert [one.word for one in found.words] == ["a", "b"]
    assert found.max_score is None
    assert decided([telling], 5, 10, 9).max_score == pytest.approx(score(9, 0, 10))
    assert decided([telling], 1, 10, 1).max_score is None


def test_words_that_a_party_has_not_told_are_looked_up_or_left_open() -> None:
    tellings = [Telling({b"a": (30, 0), b"b": (12, 0)}, 2), Telling({b"b": (1, 30)}, 2)]
    assert look_ups(tellings, 5, 10, 5, 100) == [[], [b"a"]]
    found = decided(tellings, 5, 10, 5)
    assert ([one.word for one in found.words], found.max_score) == (["b"], pytest.approx(score(32, 0, 10)))
    tellings[1] = Telling({b"b": (1, 30), b"a": (0, 4000)}, 2)
    assert look_ups(tellings, 5, 10, 5, 100) == [[], []]
    assert [one.word for one in decided(tellings, 5, 10, 5).words] == ["b"]


@pytest.mark.parametrize("seed", range(200))
def test_what_is_said_to_be_certain_is_true(seed: int) -> None:
    """Parties tell what the rules demand of them, and leave out as much as the rules allow."""
    random, windows, min_count, k = Random(seed), 3, random_count(seed), 2
    parties = [
        {
            b"%c" % (97 + word): (random.choice([0, 1, 3, 9, 20]), random.choice([0, 0, 2, 9, 40]))
            for word in range(6)
        }
        for _ in range(random.randint(1, 3))
    ]
    tellings = []
    for counts in parties:
        bound = random.choice([0, 1, 3, 9])
        told = {
            word: pair
            for word, pair in counts.items()
            if pair[0] > max(bound, pair[1] / windows) or random.random() < 0.2
        }
        tellings.append(Telling(told, bound))
    for _ in range(2):
        wanted = look_ups(tellings, k, windows, min_count, 100)
        tellings = [
            Telling({**telling.counts, **{word: counts[word] for word in words}}, telling.bound)
            for telling, counts, words in zip(tellings, parties, wanted, strict=True)
        ]
    true = []
    for word in parties[0]:
        count, before = (sum(counts[word][place] for counts in parties) for place in (0, 1))
        if count >= min_count and (height := score(count, before, windows)) >= LEAST_SCORE:
            true.append((-height, word.decode(), count))
    found = decided(tellings, k, windows, min_count)
    listed = [(-one.score, one.word, one.count) for one in found.words]
    if found.max_score is None:
        assert listed == sorted(true)[:k]
    else:
        assert all(
            -height <= found.max_score or (height, word, count) in listed for height, word, count in true
        )


def random_count(seed: int) -> int:
    return [1, 5, 12][seed % 3]
