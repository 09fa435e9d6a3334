"""What `wordcount run` is asked for, its text, and the worker that it starts."""

from itertools import islice, pairwise

import pytest

from app.commands.run import _settings, _text, _variables
from app.config.loading import load_settings
from app.local.sample_text import PAST_S, sample_blocks
from tables.errors import ConfigurationError


def test_what_restricts_access_to_other_workers_is_not_asked_of_the_commands_own_worker(
    monkeypatch, tmp_path
):
    for name in ("TOKENS_FILE", "HTTP_TLS_CERT_FILE", "HTTP_TLS_KEY_FILE"):
        (tmp_path / name).touch()
        monkeypatch.setenv(f"WORDCOUNT_{name}", str(tmp_path / name))
    monkeypatch.setenv("WORDCOUNT_RATE_LIMIT_PER_S", "1")
    monkeypatch.setenv("WORDCOUNT_PEER_SECRET", "0123456789abcdef")
    for name, value in _variables(load_settings(topic="texts")).items():
        monkeypatch.setenv(name, value)
    settings = load_settings()
    assert settings.topic == "texts"
    assert (settings.tokens_file, settings.rate_limit_per_s) == (None, None)
    assert (settings.http_tls_cert_file, settings.http_tls_key_file) == (None, None)


def test_the_commands_own_worker_counts_minutes_and_hours_whatever_is_set_for_other_workers(
    monkeypatch, tmp_path
):
    for name, value in {
        "VALUE_FORMAT": "json",
        "JSON_POINTER": "/text",
        "TIMESTAMP": "/time",
        "WINDOWS": "1d",
        "GRACE": "1d=1h",
        "RETENTION": "1d=30d",
    }.items():
        monkeypatch.setenv(f"WORDCOUNT_{name}", value)
    for name, value in _variables(_settings("127.0.0.1:9092", tmp_path, 8080)).items():
        monkeypatch.setenv(name, value)
    settings = load_settings()
    assert (settings.windows, settings.grace, settings.retention) == (("1m", "1h"), (), ())
    assert (settings.value_format, settings.timestamp) == ("text", "record")


def test_the_sample_text_happens_evenly_within_the_last_minutes():
    end_ms = 1_700_000_000_000
    times_ms = [time_ms for block in sample_blocks(end_ms) for time_ms in block.times_ms]
    assert len(times_ms) == sum(len(block.lines) for block in sample_blocks()) > 10_000
    assert times_ms[-1] == end_ms
    assert end_ms - PAST_S * 1000 < times_ms[0] < end_ms - (PAST_S - 1) * 1000
    assert all(0 <= later - earlier < 1000 for earlier, later in pairwise(times_ms))
    assert all(block.times_ms is None for block in sample_blocks())


def test_a_text_is_read_again_from_its_beginning(tmp_path):
    (tmp_path / "text").write_bytes(b"a\nb\n")
    text = _text(str(tmp_path / "text"), loop=True, once=False)
    for _ in range(2):
        assert [block.lines for block in islice(text(None), 3)] == [[b"a", b"b"]]


@pytest.mark.parametrize(
    ("name", "once", "said"),
    [("-", False, "standard input can be read only once"), (None, True, "--once ends")],
)
def test_a_text_that_cannot_be_sent_again_is_refused_if_it_has_to_be(name, once, said):
    with pytest.raises(ConfigurationError, match=said):
        _text(name, loop=True, once=once)
