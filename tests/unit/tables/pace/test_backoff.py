"""Waiting before another attempt."""

from tables.pace.backoff import FIRST_S, MOST_S, backoff_s


def test_it_grows_to_a_bound_and_never_falls() -> None:
    longest = [backoff_s(attempts, 0.999) for attempts in range(1, 5000)]
    assert longest == sorted(longest)
    assert FIRST_S / 2 <= longest[0] <= FIRST_S
    assert MOST_S * 0.9 < longest[-1] <= MOST_S


def test_those_that_fail_together_do_not_try_again_together() -> None:
    waits = [backoff_s(10, chance / 256) for chance in range(256)]
    assert max(waits) - min(waits) > MOST_S / 3
    assert min(waits) >= MOST_S / 2
