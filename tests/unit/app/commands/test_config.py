import json

from app.config.loading import load_settings
from app.config.settings import Settings
from app.config.types import variable


def secret_environment(monkeypatch):
    for name, value in {
        "SECURITY_PROTOCOL": "SASL_PLAINTEXT",
        "SASL_USERNAME": "alice",
        "SASL_PASSWORD": "pass-phrase-17",
        "STOP_WORDS": "a,the",
        "TOPIC": "from-environment",
    }.items():
        monkeypatch.setenv(f"WORDCOUNT_{name}", value)


def test_every_setting_is_shown_as_a_variable(wordcount, monkeypatch):
    secret_environment(monkeypatch)
    shown = dict(line.split("=", 1) for line in wordcount("config", "show").out.splitlines())
    assert list(shown) == [variable(name) for name in Settings.model_fields]
    assert shown["WORDCOUNT_TOPIC"] == "from-environment"
    assert shown["WORDCOUNT_STOP_WORDS"] == "a,the"
    assert shown["WORDCOUNT_CREATE_TOPICS"] == "true"
    assert shown["WORDCOUNT_SASL_USERNAME"] == "alice"


def test_secrets_are_masked_where_they_are_set(wordcount, monkeypatch):
    assert "WORDCOUNT_SASL_PASSWORD=\n" in wordcount("config", "show").out
    secret_environment(monkeypatch)
    for arguments in (["config", "show"], ["config", "show", "--json"]):
        out = wordcount(*arguments).out
        assert "pass-phrase-17" not in out
        assert "***" in out


def test_what_is_shown_can_be_used_as_a_file_of_settings(wordcount, tmp_path, monkeypatch):
    monkeypatch.setenv("WORDCOUNT_STOP_WORDS", "a,the")
    monkeypatch.setenv("WORDCOUNT_PARTITIONS", "3")
    monkeypatch.setenv("WORDCOUNT_WINDOWS", "1m,1h/5m")
    monkeypatch.setenv("WORDCOUNT_GRACE", "1m=10s")
    settings = load_settings()
    shown = wordcount("config", "show").out
    assert "WORDCOUNT_WINDOWS=1m,1h/5m\n" in shown
    monkeypatch.delenv("WORDCOUNT_WINDOWS")
    monkeypatch.delenv("WORDCOUNT_GRACE")
    monkeypatch.delenv("WORDCOUNT_STOP_WORDS")
    monkeypatch.delenv("WORDCOUNT_PARTITIONS")
    assert load_settings() != settings
    (tmp_path / ".env").write_text(shown)
    assert load_settings() == settings


def test_json_keeps_types(wordcount):
    shown = json.loads(wordcount("config", "show", "--json").out)
    assert shown["WORDCOUNT_PARTITIONS"] == 8
    assert shown["WORDCOUNT_CREATE_TOPICS"] is True
    assert shown["WORDCOUNT_MAX_WORD_LENGTH"] is None
    assert shown["WORDCOUNT_STATE_DIR"] == ".wordcount/state"
