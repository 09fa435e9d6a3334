import ssl
from pathlib import Path

import pytest

from app.config.kafka_auth import kafka_auth, ssl_context
from app.config.loading import load_settings
from app.config.settings import Settings
from app.config.types import expectation, is_secret, variable
from tables.errors import ConfigurationError

# A key and a certificate for "wordcount.test", made for this test alone; the key's password is "secret".
CERTIFICATE = Path(__file__).parent / "client-certificate.pem"
ENCRYPTED_KEY = Path(__file__).parent / "client-key.pem"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch, tmp_path):
    """No variable, `.env` or secret file but those that a test makes."""
    for name in [variable(field) for field in Settings.model_fields]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def refusal(**overrides) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(**overrides)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_stranger_needs_no_settings():
    settings = load_settings()
    assert settings.bootstrap_servers == "127.0.0.1:9092"
    assert (settings.topic, settings.group, settings.profile) == ("wordcount-input", "wordcount", "unicode")
    assert settings.state_dir == Path(".wordcount/state")
    assert (settings.http_host, settings.http_port) == ("127.0.0.1", 8080)
    assert (settings.flush_interval_ms, settings.session_timeout_ms) == (250, 10_000)


def test_every_default_is_itself_allowed(monkeypatch):
    for name, field in Settings.model_fields.items():
        if field.default not in (None, ()):
            monkeypatch.setenv(variable(name), str(field.default))
    assert load_settings() == Settings()


def test_flags_win_over_variables_over_env_file_over_secret_files(monkeypatch, tmp_path):
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    for number, name in enumerate(["TOPIC", "GROUP", "HTTP_HOST", "PROFILE"]):
        (secrets / f"WORDCOUNT_{name}").write_text("java-s\n" if name == "PROFILE" else f"secret-{number}\n")
    (tmp_path / ".env").write_text(
        "WORDCOUNT_TOPIC=dotenv\nWORDCOUNT_GROUP=dotenv\nWORDCOUNT_HTTP_HOST=dotenv\nOTHER=1\n"
        f"WORDCOUNT_SECRETS_DIR={secrets}\n"
    )
    monkeypatch.setenv("WORDCOUNT_TOPIC", "variable")
    monkeypatch.setenv("WORDCOUNT_GROUP", "variable")
    settings = load_settings(topic="flag")
    assert settings.topic == "flag"
    assert settings.group == "variable"
    assert settings.http_host == "dotenv"
    assert settings.profile == "java-s"


def test_an_override_of_none_is_not_given(monkeypatch):
    monkeypatch.setenv("WORDCOUNT_TOPIC", "from-variable")
    assert load_settings(topic=None).topic == "from-variable"


def test_an_override_that_is_no_setting_is_a_mistake_of_the_program():
    with pytest.raises(TypeError, match="topik"):
        load_settings(topik="x")


@pytest.mark.parametrize("name", ["sasl_password", "ssl_key_password"])
@pytest.mark.parametrize("file_name", [str.upper, str.lower], ids=["upper", "lower"])
def test_secrets_come_from_files_and_show_nowhere(monkeypatch, tmp_path, name, file_name):
    (tmp_path / file_name(variable(name))).write_text("hush hush\n")
    monkeypatch.setenv("WORDCOUNT_SECRETS_DIR", str(tmp_path))
    monkeypatch.setenv("WORDCOUNT_SECURITY_PROTOCOL", "SASL_SSL")
    monkeypatch.setenv("WORDCOUNT_SASL_USERNAME", "me")
    monkeypatch.setenv("WORDCOUNT_SASL_PASSWORD", "other")
    monkeypatch.delenv(variable(name), raising=False)
    monkeypatch.setenv("WORDCOUNT_SSL_CERT_FILE", str(CERTIFICATE))
    settings = load_settings()
    assert getattr(settings, name).get_secret_value() == "hush hush"
    assert "hush" not in repr(settings) + str(settings) + settings.model_dump_json()


def test_a_secrets_folder_that_is_not_there_is_refused(monkeypatch, tmp_path):
    monkeypatch.setenv("WORDCOUNT_SECRETS_DIR", str(tmp_path / "nowhere"))
    assert refusal().startswith(f'WORDCOUNT_SECRETS_DIR is "{tmp_path}/nowhere", which is not a folder')


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("HTTP_PORT", "70000", "a whole number from 0 to 65535"),
        ("HTTP_PORT", "", "a whole number from 0 to 65535"),
        ("HTTP_PORT", "http", "a whole number from 0 to 65535"),
        ("HTTP_PORT", "80.5", "a whole number from 0 to 65535"),
        ("SESSION_TIMEOUT_MS", "999", "a whole number from 1000 to 1800000"),
        ("FLUSH_INTERVAL_MS", "0", "a whole number from 10 to 60000"),
        ("PROFILE", "Unicode", "one of java-s, whitespace, unicode"),
        ("PROCESSING_GUARANTEE", "at_least_once", '"exact"'),
        ("ISOLATION", "", "one of read_committed, read_uncommitted"),
        ("CREATE_TOPICS", "maybe", "true or false"),
        ("REPLICATION_FACTOR", "0", "-1 (the broker's default) or a whole number from 1 to 32767"),
        ("REPLICATION_FACTOR", "-2", "-1 (the broker's default) or a whole number from 1 to 32767"),
        ("TOPIC", "a b", "1 to 249 letters, digits, '.', '_' or '-'"),
        ("TOPIC", "", "1 to 249 letters, digits, '.', '_' or '-'"),
        ("TOPIC", "..", "1 to 249 letters, digits, '.', '_' or '-'"),
        ("TOPIC", "x\n", "1 to 249 letters, digits, '.', '_' or '-'"),
        ("GROUP", "ä", "1 to 249 letters, digits, '.', '_' or '-'"),
        ("GROUP_INSTANCE_ID", "a/b", "1 to 249 letters, digits, '.', '_' or '-'"),
        (
            "BOOTSTRAP_SERVERS",
            "kafka://localhost:9092",
            "host:port, several separated by commas, without kafka://",
        ),
        ("BOOTSTRAP_SERVERS", "localhost", "host:port, several separated by commas, without kafka://"),
        ("BOOTSTRAP_SERVERS", "a:1,", "host:port, several separated by commas, without kafka://"),
        ("BOOTSTRAP_SERVERS", "a:0", "host:port, several separated by commas, without kafka://"),
        ("BOOTSTRAP_SERVERS", "a:65536", "host:port, several separated by commas, without kafka://"),
        ("ON_NULL", "ignore", "one of count, skip, dead_letter"),
        ("ON_INVALID_UTF8", "count", "one of replace, skip, dead_letter"),
        ("ON_INVALID_JSON", "replace", "one of skip, dead_letter"),
        ("ON_MISSING_TEXT", "count", "one of skip, dead_letter"),
        ("ON_OVERSIZED_WORD", "count", "one of skip, dead_letter"),
        ("ON_OVERSIZED_RECORD", "count", "one of skip, dead_letter"),
        ("ON_EMPTY_WORD", "dead_letter", "one of count, skip"),
        ("MAX_WORD_BYTES", "0", "a whole number from 16 to 65536"),
        ("MAX_RECORD_BYTES", "0", "a whole number from 1024 to 268435456"),
        ("MIN_WORD_LENGTH", "0", "a whole number from 1 to 16384"),
        ("VALUE_FORMAT", "xml", "one of text, json"),
        ("JSON_POINTER", "/a~", "an RFC 6901 pointer such as /message/text, or nothing"),
        ("JSON_POINTER", "text", "an RFC 6901 pointer such as /message/text, or nothing"),
        ("JSON_POINTER", "/a~2b", "an RFC 6901 pointer such as /message/text, or nothing"),
        ("STATE_DIR", "", "a path that is not empty"),
        ("HTTP_HOST", "", "a text that is not empty"),
        ("MAX_WORD_LENGTH", "0", "a whole number from 1 to 16384"),
    ],
)
def test_a_bad_value_is_refused_with_name_value_and_expectation(monkeypatch, name, value, expected):
    monkeypatch.setenv(f"WORDCOUNT_{name}", value)
    shown = value.replace("\n", "\\n")
    assert refusal() == f'WORDCOUNT_{name} is "{shown}", expected {expected}'


def test_all_bad_values_are_named_at_once(monkeypatch):
    monkeypatch.setenv("WORDCOUNT_HTTP_PORT", "x")
    monkeypatch.setenv("WORDCOUNT_TOPIC", "?")
    assert "WORDCOUNT_HTTP_PORT" in refusal()
    assert "WORDCOUNT_TOPIC" in refusal()


def test_a_bad_flag_is_named_as_the_variable_is():
    assert refusal(http_port=-1).startswith('WORDCOUNT_HTTP_PORT is "-1"')


@pytest.mark.parametrize("value", ["a:1", "a:1, b:2", "[::1]:9092", "broker-0.kafka.svc:9093"])
def test_good_server_lists(value):
    assert load_settings(bootstrap_servers=value).bootstrap_servers == value.replace(" ", "")


def test_an_empty_optional_value_is_not_given(monkeypatch):
    for name in ("GROUP_INSTANCE_ID", "MAX_WORD_LENGTH", "SASL_PASSWORD", "SSL_CA_FILE", "SECRETS_DIR"):
        monkeypatch.setenv(f"WORDCOUNT_{name}", "")
    assert load_settings() == Settings()


def test_stop_words_are_separated_by_commas(monkeypatch):
    monkeypatch.setenv("WORDCOUNT_STOP_WORDS", " the, a ,,über")
    assert load_settings().stop_words == ("the", "a", "über")
    assert load_settings(stop_words="").stop_words == ()


def test_exactly_once_is_refused_with_the_reason(monkeypatch):
    monkeypatch.setenv("WORDCOUNT_PROCESSING_GUARANTEE", "exactly_once")
    message = refusal()
    assert "WORDCOUNT_PROCESSING_GUARANTEE" in message
    assert "loses or doubles counts" in message


@pytest.mark.parametrize(
    ("name", "close"),
    [
        ("WORDCOUNT_TOPICS", "did you mean WORDCOUNT_TOPIC?"),
        ("WORDCOUNT_BOOTSTRAP_SERVER", "did you mean WORDCOUNT_BOOTSTRAP_SERVERS?"),
        ("wordcount_htp_port", "did you mean WORDCOUNT_HTTP_PORT?"),
        ("WORDCOUNT_WINDOW_BYTES", "its name is WORDCOUNT_FLUSH_BYTES now"),
        ("WORDCOUNT_XYZZY_QQQ", "docs/reference/settings.md"),
        ("WORDCOUNT_SERVICE_HOST", "enableServiceLinks: false"),
        ("WORDCOUNT_PORT_8080_TCP_ADDR", "enableServiceLinks: false"),
    ],
)
def test_an_unknown_variable_is_refused_by_name(monkeypatch, name, close):
    monkeypatch.setenv(name, "1")
    message = refusal()
    assert f"{name.upper()} (an environment variable) is not a setting" in message
    assert close in message


def test_an_unknown_name_in_the_env_file_is_refused_and_others_are_left_alone(tmp_path):
    (tmp_path / ".env").write_text("OTHER_TOOL=1\n")
    assert load_settings() == Settings()
    (tmp_path / ".env").write_text("WORDCOUNT_TOPIK=1\n")
    assert "WORDCOUNT_TOPIK (in the file .env)" in refusal()


def test_an_unknown_secret_file_is_refused(monkeypatch, tmp_path):
    (tmp_path / "WORDCOUNT_PASSWORD").write_text("x")
    (tmp_path / "..data").mkdir()
    monkeypatch.setenv("WORDCOUNT_SECRETS_DIR", str(tmp_path))
    assert "WORDCOUNT_PASSWORD (a file in WORDCOUNT_SECRETS_DIR)" in refusal()


def test_an_env_file_that_is_not_text_is_refused(tmp_path):
    (tmp_path / ".env").write_bytes(b"WORDCOUNT_TOPIC=\xff\xfe\n")
    assert refusal().startswith("settings cannot be read")


@pytest.mark.parametrize(
    ("overrides", "named"),
    [
        ({"flush_interval_ms": 5001}, ["WORDCOUNT_FLUSH_INTERVAL_MS", "WORDCOUNT_SESSION_TIMEOUT_MS"]),
        ({"compaction_lag_ms": 9999}, ["WORDCOUNT_COMPACTION_LAG_MS", "WORDCOUNT_SESSION_TIMEOUT_MS"]),
        (
            {"min_word_length": 5, "max_word_length": 4},
            ["WORDCOUNT_MAX_WORD_LENGTH", "WORDCOUNT_MIN_WORD_LENGTH"],
        ),
        ({"json_pointer": "/text"}, ["WORDCOUNT_JSON_POINTER", "WORDCOUNT_VALUE_FORMAT"]),
        ({"topic": "t" * 130, "group": "g" * 106}, ["WORDCOUNT_TOPIC", "WORDCOUNT_GROUP"]),
        ({"security_protocol": "SASL_SSL"}, ["WORDCOUNT_SECURITY_PROTOCOL", "WORDCOUNT_SASL_USERNAME"]),
        (
            {"security_protocol": "SASL_PLAINTEXT", "sasl_username": "me"},
            ["WORDCOUNT_SECURITY_PROTOCOL", "WORDCOUNT_SASL_PASSWORD"],
        ),
        ({"sasl_password": "x"}, ["WORDCOUNT_SASL_PASSWORD", "WORDCOUNT_SECURITY_PROTOCOL"]),
        ({"security_protocol": "SSL", "sasl_username": "x"}, ["WORDCOUNT_SASL_USERNAME"]),
        ({"ssl_ca_file": "x.pem"}, ["WORDCOUNT_SSL_CA_FILE", "WORDCOUNT_SECURITY_PROTOCOL"]),
        ({"security_protocol": "SSL", "ssl_ca_file": "x.pem"}, ['WORDCOUNT_SSL_CA_FILE is "x.pem"']),
        ({"security_protocol": "SSL", "ssl_key_file": str(CERTIFICATE)}, ["WORDCOUNT_SSL_CERT_FILE"]),
        ({"security_protocol": "SSL", "ssl_key_password": "x"}, ["WORDCOUNT_SSL_CERT_FILE"]),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_values_that_cannot_work_together_are_refused_by_name(overrides, named):
    message = refusal(**overrides)
    for name in named:
        assert name in message


@pytest.mark.parametrize(
    "overrides",
    [
        {"flush_interval_ms": 5000},
        {"compaction_lag_ms": 10_000},
        {"min_word_length": 4, "max_word_length": 4},
        {"json_pointer": "/a~1b/0/~0", "value_format": "json"},
        {"topic": "t" * 129, "group": "g" * 106},
    ],
    ids="-".join,
)
def test_values_at_the_edge_of_working_together_are_taken(overrides):
    load_settings(**overrides)


def test_no_secret_is_named_with_its_value():
    assert "hush" not in refusal(sasl_password="hush")
    assert {name for name, field in Settings.model_fields.items() if is_secret(field)} == {
        "sasl_password",
        "ssl_key_password",
        "peer_secret",
        "token",
    }


def test_every_setting_is_described_and_says_what_it_takes():
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert field.description.endswith("."), name
        assert expectation(field), name


def test_a_plain_connection_needs_no_credentials():
    assert kafka_auth(load_settings()) == {"security_protocol": "PLAINTEXT", "ssl_context": None}


def test_sasl_credentials_for_every_client():
    settings = load_settings(
        security_protocol="SASL_SSL",
        sasl_mechanism="PLAIN",
        sasl_username="$ConnectionString",
        sasl_password="p",
    )
    auth = kafka_auth(settings)
    context = auth.pop("ssl_context")
    assert isinstance(context, ssl.SSLContext)
    assert context.check_hostname
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert auth == {
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "PLAIN",
        "sasl_plain_username": "$ConnectionString",
        "sasl_plain_password": "p",
    }


def mutual_tls(**overrides) -> Settings:
    files = {"ssl_ca_file": CERTIFICATE, "ssl_cert_file": CERTIFICATE, "ssl_key_file": ENCRYPTED_KEY}
    return load_settings(security_protocol="SSL", **{**files, "ssl_key_password": "secret", **overrides})


def test_a_client_certificate_is_loaded_with_its_key():
    context = ssl_context(mutual_tls())
    assert context is not None
    assert [dict(field[0] for field in ca["subject"]) for ca in context._present().get_ca_certs()] == [
        {"commonName": "wordcount.test"}
    ]


def test_an_encrypted_key_without_password_is_refused_instead_of_asking_on_the_terminal():
    with pytest.raises(ConfigurationError, match="WORDCOUNT_SSL_KEY_PASSWORD"):
        ssl_context(mutual_tls(ssl_key_password=None))


def test_a_wrong_key_password_is_refused():
    with pytest.raises(ConfigurationError, match="WORDCOUNT_SSL_CERT_FILE"):
        ssl_context(mutual_tls(ssl_key_password="wrong"))


def test_a_file_that_is_no_certificate_is_refused(tmp_path):
    (tmp_path / "ca.pem").write_text("not a certificate")
    with pytest.raises(ConfigurationError, match="WORDCOUNT_SSL_CA_FILE"):
        ssl_context(mutual_tls(ssl_ca_file=tmp_path / "ca.pem"))


def test_a_short_secret_of_peers_is_refused_without_showing_it():
    assert "WORDCOUNT_PEER_SECRET is too short" in refusal(peer_secret="hush-hush")
    assert "hush" not in refusal(peer_secret="hush-hush")


@pytest.mark.parametrize("name", ["http_tls_cert_file", "http_tls_ca_file", "tokens_file"])
def test_a_file_of_access_that_does_not_exist_is_named(name):
    assert refusal(**{name: "none"}).startswith(
        f'{variable(name)} is "none", which is not a file; name an existing'
    )


def test_a_key_of_the_server_without_its_certificate_is_refused():
    said = "WORDCOUNT_HTTP_TLS_KEY_FILE is set without a certificate; set WORDCOUNT_HTTP_TLS_CERT_FILE"
    assert refusal(http_tls_key_file=ENCRYPTED_KEY) == said


@pytest.mark.parametrize("token", ["two words", "line\nfeed", "Bearer abc", "hüsh"])
def test_what_cannot_be_sent_as_a_token_is_refused_without_being_shown(token):
    said = "WORDCOUNT_TOKEN has characters that no token has; give the token alone, without blanks"
    assert refusal(token=token) == said


def test_a_token_is_read_from_the_folder_of_secrets(tmp_path):
    (tmp_path / "WORDCOUNT_TOKEN").write_text("a-token-0123456789\n")
    settings = load_settings(secrets_dir=tmp_path)
    assert settings.token.get_secret_value() == "a-token-0123456789"
    assert "a-token" not in repr(settings)


def test_tokens_need_the_secret_of_the_workers_because_their_questions_need_no_token(tmp_path):
    file = tmp_path / "tokens"
    file.touch()
    said = refusal(tokens_file=file)
    assert said.startswith("WORDCOUNT_TOKENS_FILE is set without WORDCOUNT_PEER_SECRET")
    assert load_settings(tokens_file=file, peer_secret="0123456789abcdef").tokens_file == file
    # No worker asks a view.
    assert load_settings(with_peers=False, tokens_file=file).tokens_file == file
