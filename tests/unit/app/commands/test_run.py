"""The worker that `wordcount run` starts."""

from app.commands.run import _settings, _variables
from app.config.loading import load_settings


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
    for name, value in _variables(_settings("127.0.0.1:9092", tmp_path)).items():
        monkeypatch.setenv(name, value)
    settings = load_settings()
    assert (settings.windows, settings.grace, settings.retention) == (("1m", "1h"), (), ())
    assert (settings.value_format, settings.timestamp) == ("text", "record")
