import asyncio

import pytest
from aiokafka.coordinator.protocol import ConsumerProtocolMemberMetadata
from aiokafka.errors import GroupAuthorizationFailedError, NotCoordinatorForGroupError

from agents.source.group_map import Card, encode_card
from app.kafka import group_members as module
from app.kafka.group_members import GroupMember, group_members

CARD = Card("http://10.0.0.7:8080", [1], [1, 2])


def metadata(user_data):
    return ConsumerProtocolMemberMetadata(1, ["texts"], user_data).encode()


class FakeAdmin:
    """Tells what the coordinator says, one answer after the other; the last one again and again."""

    def __init__(self, *answers):
        self.answers = list(answers)

    async def described_group(self, group):
        assert group == "g"
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def stable(user_data):
    return "Stable", [("id", "wordcount", "/10.0.0.7", user_data, b"")]


def found(*answers):
    return asyncio.run(group_members(FakeAdmin(*answers), "g"))


def test_a_member_tells_where_it_is_asked():
    # The sticky assignor's own data stand before the card.
    assert found(stable(metadata(b"\x00\x00" + encode_card(CARD)))) == [
        GroupMember("wordcount at 10.0.0.7", CARD)
    ]


@pytest.mark.parametrize(
    "said",
    [b"", b"\x00", metadata(None), metadata(b"of a former version"), b"\xff" * 40, b"\x00\x01" + b"\x7f" * 9],
)
def test_a_member_without_a_card_is_a_member(said):
    assert found(stable(said)) == [GroupMember("wordcount at 10.0.0.7", None)]


def test_the_end_of_a_rebalance_is_awaited():
    moving = "PreparingRebalance", stable(b"")[1]
    completing = "CompletingRebalance", stable(b"")[1]
    (member,) = found(moving, completing, stable(metadata(encode_card(CARD))))
    assert member.card == CARD


def test_a_rebalance_without_end_is_not_awaited_for_ever(monkeypatch):
    monkeypatch.setattr(module, "SETTLE_S", 0.05)
    (member,) = found(("PreparingRebalance", stable(b"")[1]))
    assert member.card is None


def test_a_group_that_does_not_exist_has_no_members():
    assert found(("Dead", [])) == []


def test_a_coordinator_that_is_just_loading_the_group_is_asked_again():
    assert found(NotCoordinatorForGroupError(), ("Empty", [])) == []


def test_a_question_that_is_refused_is_not_asked_again():
    with pytest.raises(GroupAuthorizationFailedError):
        found(GroupAuthorizationFailedError(), ("Empty", []))


def test_a_coordinator_that_does_not_come_is_not_awaited_for_ever(monkeypatch):
    monkeypatch.setattr(module, "SETTLE_S", 0.05)
    with pytest.raises(NotCoordinatorForGroupError):
        found(NotCoordinatorForGroupError())
