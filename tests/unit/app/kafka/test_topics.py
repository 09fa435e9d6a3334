import pytest

from app.config.settings import Settings
from app.kafka.topics import (
    Change,
    check_cleanup_policy,
    command,
    compacted_topics,
    plan,
    topic_config,
    used_topics,
)
from tables.errors import ConfigurationError
from tables.kafka.broker_errors import TOPIC_UNAUTHORIZED, UNKNOWN_TOPIC
from tables.kafka.topic_description import TopicDescription

SETTINGS = Settings(topic="in", group="g", partitions=8)
MISSING = TopicDescription(UNKNOWN_TOPIC)


def topics(source, changelog, dead_letters=MISSING):
    return {"in": source, "g-in-changelog": changelog, "g-in-dead-letters": dead_letters}


def with_partitions(count):
    return TopicDescription(0, count)


def changes(found):
    return [(change.topic, change.kind, change.partitions) for change in plan(SETTINGS, found)]


def test_what_is_missing_is_created_with_the_partitions_of_the_settings():
    assert changes(topics(MISSING, MISSING)) == [
        ("in", "create", 8),
        ("g-in-changelog", "create", 8),
        ("g-in-dead-letters", "create", 8),
    ]


def test_the_topic_of_watches_is_used_where_there_are_some_and_has_one_partition(tmp_path):
    watched = SETTINGS.model_copy(update={"watches": tmp_path})
    assert [*used_topics(watched)] == [*used_topics(SETTINGS), "g-in-watches"]
    found = {"in": with_partitions(3), "g-in-watches": MISSING}
    (change,) = plan(watched, found)
    assert (change.topic, change.partitions, change.config["cleanup.policy"]) == (
        "g-in-watches",
        1,
        "compact",
    )


def test_an_input_that_exists_gives_the_others_their_partitions():
    assert changes(topics(with_partitions(3), MISSING)) == [
        ("g-in-changelog", "create", 3),
        ("g-in-dead-letters", "create", 3),
    ]


def test_a_changelog_with_fewer_partitions_is_extended_and_dead_letters_are_left_alone():
    assert changes(topics(with_partitions(6), with_partitions(4), with_partitions(1))) == [
        ("g-in-changelog", "extend", 6)
    ]


def test_equal_counts_need_nothing():
    assert changes(topics(with_partitions(6), with_partitions(6), with_partitions(6))) == []


def test_a_changelog_with_more_partitions_than_the_input_is_refused_with_both_counts():
    with pytest.raises(ConfigurationError) as caught:
        plan(SETTINGS, topics(with_partitions(4), with_partitions(6)))
    for part in ('"g-in-changelog" has 6', '"in" has 4', "WORDCOUNT_GROUP"):
        assert part in str(caught.value)


def test_an_input_that_vanished_is_not_made_smaller_than_its_changelog():
    with pytest.raises(ConfigurationError) as caught:
        plan(SETTINGS, topics(MISSING, with_partitions(12)))
    for part in ('"g-in-changelog" has 12', '"in" does not exist', "WORDCOUNT_PARTITIONS is 8"):
        assert part in str(caught.value)
    assert changes(topics(MISSING, with_partitions(8), with_partitions(8))) == [("in", "create", 8)]


def test_a_topic_that_may_not_be_described_is_named():
    with pytest.raises(ConfigurationError, match=r'no right to Describe on topic "in"; run: kafka-acls'):
        plan(SETTINGS, topics(TopicDescription(TOPIC_UNAUTHORIZED), MISSING))


def test_the_changelog_is_compacted_but_not_before_owners_have_looked():
    config = topic_config(SETTINGS.model_copy(update={"compaction_lag_ms": 7000}), "g-in-changelog")
    assert (config["cleanup.policy"], config["min.compaction.lag.ms"]) == ("compact", "7000")
    assert int(config["delete.retention.ms"]) <= 3_600_000


def test_the_input_gets_the_defaults_of_the_brokers():
    assert topic_config(SETTINGS, "in") == {}


def test_commands_are_lines_for_kafkas_own_tool():
    create = Change("t", "create", 3, {"cleanup.policy": "compact"})
    line = "kafka-topics.sh --bootstrap-server 127.0.0.1:9092 --create --topic t --partitions 3"
    assert command(SETTINGS, create) == f"{line} --config cleanup.policy=compact"
    replicated = SETTINGS.model_copy(update={"replication_factor": 2})
    assert command(replicated, create) == f"{line} --replication-factor 2 --config cleanup.policy=compact"
    assert command(replicated, Change("t", "extend", 4, {})) == (
        "kafka-topics.sh --bootstrap-server 127.0.0.1:9092 --alter --topic t --partitions 4"
    )


@pytest.mark.parametrize("policy", ["delete", "compact,delete", "delete, compact"])
@pytest.mark.parametrize(
    ("name", "told"),
    [
        (
            SETTINGS.topics.changelog,
            r"changelog \"g-in-changelog.*deletes counts; run: kafka-configs.sh.*wordcount reset",
        ),
        (
            SETTINGS.topics.watches,
            r"watches \"g-in-watches.*deletes what was found .*kafka-configs.sh.*=compact$",
        ),
    ],
)
def test_a_topic_that_deletes_what_has_to_stay_is_refused(name, told, policy):
    with pytest.raises(ConfigurationError, match=told):
        check_cleanup_policy(SETTINGS, name, policy)


@pytest.mark.parametrize("policy", ["compact", None])
def test_a_changelog_that_compacts_or_may_not_be_looked_at_is_taken(policy):
    check_cleanup_policy(SETTINGS, SETTINGS.topics.changelog, policy)


def test_the_topic_of_watches_has_to_compact_where_there_are_watches(tmp_path):
    assert compacted_topics(SETTINGS) == (SETTINGS.topics.changelog,)
    watching = Settings(topic="in", group="g", watches=tmp_path / "watches.toml")
    assert compacted_topics(watching) == ("g-in-changelog", "g-in-watches")
