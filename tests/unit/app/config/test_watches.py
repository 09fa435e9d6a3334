"""The file of watches: what it may say, and what a mistake is told with."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.config.loading import load_settings
from app.config.watches import MOST_BYTES, MOST_WATCHES, read_watches
from app.config.windows import Window
from tables.errors import ConfigurationError

GOOD = """
[[watch]]
name = "outages"
word = "outage"
above = 100
window = "1m"
url = "https://hooks.example:8443/a?token=hidden"
secret_file = "secret"
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "watches.toml"


def read(file: Path, text: str):
    file.write_text(text, "utf-8")
    return read_watches(load_settings(watches=file, windows=("1m", "1h/5m")))


def test_without_a_file_there_are_no_watches(file):
    assert read_watches(load_settings()) == ()


def test_a_watch_has_what_the_file_says(file):
    (watch,) = read(file, GOOD)
    assert (watch.name, watch.kind, watch.text, watch.above) == ("outages", "word", "outage", 100)
    assert watch.window == Window("1m", 60, 60)
    assert watch.secret_file == file.parent / "secret"
    assert watch.receiver == "https://hooks.example:8443"


@pytest.mark.parametrize(("given", "word"), [("Outage!", "outage"), ("ÄRGER", "ärger"), (" x ", "x")])
def test_a_word_is_watched_as_it_is_counted(file, given, word):
    file.write_text(GOOD.replace('"outage"', f'"{given}"'), "utf-8")
    (watch,) = read_watches(load_settings(watches=file, windows=("1m",), profile="unicode"))
    assert watch.text == word


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("Out of memory", "makes 3 ('out', 'of', 'memory')"),
        ("   ", "makes 0 (none)"),
        ("the", "makes 0 (none)"),
    ],
)
def test_a_word_that_is_never_counted_is_refused(file, given, said):
    file.write_text(GOOD.replace('"outage"', f'"{given}"'), "utf-8")
    with pytest.raises(ConfigurationError) as refused:
        read_watches(load_settings(watches=file, windows=("1m",), profile="unicode", stop_words=("the",)))
    assert (said in str(refused.value), '"outages"' in str(refused.value)) == (True, True), refused.value


def test_a_prefix_and_trends_are_watched_in_windows_and_a_word_also_in_total(file):
    text = GOOD + GOOD.replace("outages", "all").replace('window = "1m"\n', "")
    text += GOOD.replace("outages", "b").replace("word =", "prefix =").replace('"1m"', '"1h/5m"')
    text += GOOD.replace("outages", "c").replace('word = "outage"', "trending = true")
    kinds = [(one.kind, one.text, one.window and one.window.name) for one in read(file, text)]
    assert kinds == [
        ("word", "outage", "1m"),
        ("word", "outage", None),
        ("prefix", "outage", "1h/5m"),
        ("trending", "", "1m"),
    ]


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (GOOD, "", "has no watch"),
        (GOOD, "watch = 1", "has no watch"),
        (GOOD, "x = 1\n" + GOOD, '"x" outside of a watch'),
        ("above = 100", "above = ", "line 5, column 9"),
        ('name = "outages"\n', "", 'watch 1 has no "name"'),
        ('"outages"', '"out ages"', "watch 1 has \"name\" = 'out ages'; a name has"),
        ("above", "abvoe", 'watch 1 ("outages") has the unknown field "abvoe"; the fields are word, prefix'),
        ('word = "outage"\n', "", "has 0 of the fields word, prefix, trending"),
        ("above", 'prefix = "a"\nabove', "has 2 of the fields"),
        ('word = "outage"', 'word = ""', "has \"word\" = ''; give a text"),
        ('word = "outage"', "word = 3", 'has "word" = 3; write a text in quotes'),
        ('word = "outage"', "trending = false", "write trending = true"),
        ("100", "-1", 'has "above" = -1; give a whole number'),
        ("100", "1.5", 'has "above" = 1.5'),
        ("100", "true", 'has "above" = True'),
        ('"1m"', '"2m"', "has \"window\" = '2m'; name one of WORDCOUNT_WINDOWS (1m, 1h/5m)"),
        ('"1m"', '"x"', "has \"window\" = 'x'"),
        (
            'word = "outage"\nabove = 100\nwindow = "1m"',
            'prefix = "a"\nabove = 1',
            '"prefix" without "window"',
        ),
        ("https://hooks.example:8443", "ftp://hooks.example", 'has a "url" that cannot be used'),
        ("https://hooks.example:8443", "https://me:word@hooks.example", "without user, password"),
        ("?token", "#token", 'has a "url" that cannot be used'),
        ("https://hooks.example:8443", "https://:8443", 'has a "url" that cannot be used'),
        ("https://hooks.example:8443", "https://hooks.example:99999", 'has a "url" that cannot be used'),
        ("https://hooks.example", "https://hooks\\n.example", 'has a "url" that cannot be used'),
        ('secret_file = "secret"\n', "", 'has no "secret_file"'),
        (GOOD, GOOD + GOOD, 'watch 2 has the name "outages" of a former watch'),
        (GOOD, GOOD * (MOST_WATCHES + 1), f"has {MOST_WATCHES + 1} watches, more than {MOST_WATCHES}"),
        (GOOD, "#" * (MOST_BYTES + 1), f"has more than {MOST_BYTES} bytes"),
    ],
)
def test_a_mistake_is_told_with_its_place_and_a_remedy_and_without_secrets(file, before, after, said):
    assert before in GOOD
    with pytest.raises(ConfigurationError) as refused:
        read(file, GOOD.replace(before, after))
    assert said in str(refused.value)
    assert str(refused.value).startswith(f'WORDCOUNT_WATCHES "{file}"')
    assert refused.value.remedy
    assert "hidden" not in str(refused.value)
    assert ":word@" not in str(refused.value)


def test_what_is_no_file_is_refused_with_the_settings(file):
    with pytest.raises(ConfigurationError, match="is not a file"):
        load_settings(watches=file)


def test_what_is_not_utf8_is_refused(file):
    file.write_bytes(b"\xff")
    with pytest.raises(ConfigurationError, match="no TOML in UTF-8"):
        read_watches(load_settings(watches=file))
