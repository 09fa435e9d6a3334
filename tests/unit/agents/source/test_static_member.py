"""Static members: when losses of the membership mean that another process uses the same static id."""

from agents.source.static_member import LOSS_SPAN_SESSIONS, LOSSES, TakeoverDetector

SESSION_S = 10.0


def test_losing_a_membership_that_was_just_accepted_again_and_again_is_a_takeover() -> None:
    detector = TakeoverDetector(SESSION_S)
    for number in range(LOSSES):
        assert not detector.is_taken()
        detector.note_loss(100.0 + 6 * number, 97.0 + 6 * number)
    assert detector.is_taken()


def test_a_member_that_was_too_slow_is_not_taken_over() -> None:
    detector = TakeoverDetector(SESSION_S)
    for number in range(2 * LOSSES):
        detector.note_loss(100.0 + 15 * number, 100.0 + 15 * number - SESSION_S)
    assert not detector.is_taken()


def test_losses_that_lie_far_apart_are_no_takeover() -> None:
    detector = TakeoverDetector(SESSION_S)
    for number in range(2 * LOSSES):
        detector.note_loss(1000.0 + LOSS_SPAN_SESSIONS * SESSION_S * number / (LOSSES - 1), 999.0)
    assert not detector.is_taken()
