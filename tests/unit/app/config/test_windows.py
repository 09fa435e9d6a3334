import subprocess
import sys

import pytest

from app.config.loading import load_settings
from app.config.settings import Settings
from app.config.types import variable
from app.config.windows import window_of, windows_of
from tables.errors import ConfigurationError
from tables.model.durations import LONGEST_SIZE_S, duration_s, duration_text
from tables.model.windows import SizeRule

DAY_S = 86_400


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch, tmp_path):
    """No variable and no `.env` but those that a test makes."""
    for name in [variable(field) for field in Settings.model_fields]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def rules(**settings) -> tuple[SizeRule, ...]:
    return windows_of(load_settings(**settings)).rules.sizes


def refusal(**settings) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(**settings)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_without_windows_no_times_are_read():
    found = windows_of(load_settings())
    assert (found.listed, found.rules.sizes) == ((), ())
    assert not found.need_record_times


def test_windows_are_listed_as_they_are_written(monkeypatch):
    monkeypatch.setenv("WORDCOUNT_WINDOWS", " 1m, 1h ,1h/5m")
    found = windows_of(load_settings())
    assert [(one.name, one.size_s, one.advance_s, one.panes) for one in found.listed] == [
        ("1m", 60, 60, 1),
        ("1h", 3600, 3600, 1),
        ("1h/5m", 3600, 300, 12),
    ]
    assert [rule.size_s for rule in found.rules.sizes] == [60, 300, 3600]
    assert found.need_record_times


@pytest.mark.parametrize(
    ("size", "grace_s", "retention_s"),
    [
        ("1s", 5, DAY_S),
        ("1m", 6, DAY_S),
        ("5m", 30, 5 * DAY_S),
        ("1h", 300, 60 * DAY_S),
        ("1d", 300, 90 * DAY_S),
        ("366d", 300, 90 * DAY_S),
    ],
)
def test_grace_and_retention_follow_from_the_size(size, grace_s, retention_s):
    (rule,) = rules(windows=size)
    assert (rule.grace_s, rule.retention_s) == (grace_s, retention_s)


def test_a_window_is_kept_at_least_as_long_as_a_record_may_jump():
    assert rules(windows="1m", max_jump="30d") == (SizeRule(60, 6, 30 * DAY_S),)
    message = refusal(windows="1m,1h", retention="1h=23h")
    assert "WORDCOUNT_RETENTION keeps 1h for 23h, less than WORDCOUNT_MAX_JUMP (1d)" in message
    assert "lower WORDCOUNT_MAX_JUMP" in message
    assert rules(windows="1m", retention="10m", max_jump="10m") == (SizeRule(60, 6, 600),)


def test_durations_are_for_all_windows_or_for_those_that_are_named():
    assert rules(windows="1m,1h", grace="7s", retention="2d") == (
        SizeRule(60, 7, 2 * DAY_S),
        SizeRule(3600, 7, 2 * DAY_S),
    )
    assert rules(windows="1m,1h", grace="60s=0s", retention="2d,1h=3d") == (
        SizeRule(60, 0, 2 * DAY_S),
        SizeRule(3600, 300, 3 * DAY_S),
    )


def test_panes_of_a_hopping_window_are_kept_until_the_whole_window_is_gone():
    (rule,) = rules(windows="1h/5m", grace="10s", retention="1d")
    assert rule == SizeRule(300, 10, DAY_S + 3300)
    # The last window with the first pane expires exactly when the pane does.
    window_end_s = 3600
    gone_ms = (window_end_s + 10 + DAY_S) * 1000
    assert rule.first_kept_s(gone_ms - 1) == 0
    assert rule.first_kept_s(gone_ms) == 300


def test_a_pane_of_two_windows_exists_once_with_the_longest_of_both():
    assert rules(windows="5m,1h/5m", grace="5m=20s,1h/5m=10s", retention="5m=2d,1h/5m=1d") == (
        SizeRule(300, 20, 2 * DAY_S),
    )
    assert rules(windows="1h/5m,5m", grace="5m=20s,1h/5m=30s", retention="5m=1d,1h/5m=1d") == (
        SizeRule(300, 30, DAY_S + 3300),
    )


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ("1m,1x", 'the entry "1x": "1x" is not a duration such as 30s, 5m, 1h or 7d'),
        ("60", 'the entry "60": "60" is not a duration'),
        ("1.5h", 'the entry "1.5h": "1.5h" is not a duration'),
        ("-1m", 'the entry "-1m": "-1m" is not a duration'),
        ("٣m", 'the entry "٣m": "٣m" is not a duration'),
        ("0s", 'the entry "0s": 0s is not from 1s to 366d'),
        ("367d", 'the entry "367d": 367d is not from 1s to 366d'),
        ("1h/7m", 'the entry "1h/7m": 7m does not divide 1h'),
        ("5m/1h", 'the entry "5m/1h": 1h does not divide 5m'),
        ("1h/", 'the entry "1h/": "" is not a duration'),
        ("1h/5m/1m", 'the entry "1h/5m/1m": "5m/1m" is not a duration'),
        ("2d/1m", 'the entry "2d/1m": it would be 2,880 panes of 1m, more than 1,440'),
        ("1m,60s", 'the entry "60s", which is the same window as "1m"'),
        ("1s,2s,3s,4s,5s,6s,7s,8s,9s", "9 windows, more than 8"),
    ],
)
def test_a_wrong_window_is_refused_by_name(value, what):
    message = refusal(windows=value)
    assert "WORDCOUNT_WINDOWS has " + what in message


@pytest.mark.parametrize("name", ["grace", "retention"])
@pytest.mark.parametrize(
    ("value", "what"),
    [
        ("soon", 'the entry "soon": "soon" is not a duration'),
        ("1m=", 'the entry "1m=": "" is not a duration'),
        ("1m=9999999d", '"9999999d" is not a duration from'),
        ("5m=10d", 'the entry "5m=10d", but WORDCOUNT_WINDOWS has no window "5m"'),
        ("1h/5m=10d", 'the entry "1h/5m=10d", but WORDCOUNT_WINDOWS has no window "1h/5m"'),
        ("1m=2d,60s=3d", 'the entry "60s=3d", but an entry before it is for the same windows'),
        ("2d,3d", 'the entry "3d", but an entry before it is for the same windows'),
    ],
)
def test_a_wrong_duration_is_refused_by_setting_and_entry(name, value, what):
    message = refusal(windows="1m,1h", **{name: value})
    assert message.startswith(f"{variable(name)} has the entry ")
    assert what in message


def test_a_retention_of_nothing_is_refused_and_a_grace_of_nothing_is_not():
    assert '"0s" is not a duration from 1s' in refusal(windows="1m", retention="0s")
    assert rules(windows="1m", grace="0s")[0].grace_s == 0


@pytest.mark.parametrize("value", ["", "0s", "367d", "1 d", "day"])
def test_a_wrong_jump_is_refused(value):
    assert "WORDCOUNT_MAX_JUMP" in refusal(max_jump=value)


def test_a_jump_is_given_to_the_clock_in_milliseconds():
    assert windows_of(load_settings(windows="1m", max_jump="90s")).rules.max_jump_ms == 90_000


def test_a_pointer_to_the_time_needs_json():
    assert (
        windows_of(load_settings(windows="1m", timestamp="/at", value_format="json")).rules.time_source
        == "/at"
    )
    assert not windows_of(load_settings(windows="1m", timestamp="/at", value_format="json")).need_record_times
    message = refusal(timestamp="/at")
    assert 'WORDCOUNT_TIMESTAMP is the pointer "/at"' in message
    assert "WORDCOUNT_VALUE_FORMAT=json" in message
    for wrong in ("", "at", "/a~2"):
        assert "expected record, or an RFC 6901 pointer" in refusal(timestamp=wrong, value_format="json")


@pytest.mark.parametrize(
    ("text", "seconds"), [("0s", 0), ("90s", 90), ("5m", 300), ("1h", 3600), ("7d", 604_800)]
)
def test_durations_are_written_as_they_are_read(text, seconds):
    assert duration_s(text) == seconds
    assert duration_text(seconds) == text


def test_the_longest_size_is_that_of_the_core():
    assert window_of("366d").size_s == LONGEST_SIZE_S


def test_reading_the_settings_imports_no_arrays():
    code = "import sys; from app.config.loading import load_settings; load_settings(windows='1m'); print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
