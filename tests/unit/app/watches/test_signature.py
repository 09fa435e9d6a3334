"""Signatures: as Standard Webhooks has them, and never a secret in a message."""

import base64

import pytest

from app.watches.signature import read_secret, signed_headers
from tables.errors import ConfigurationError

KEY = bytes(range(24))


def test_the_signature_is_that_of_another_program():
    """Computed by `openssl dgst -sha256 -mac HMAC -macopt hexkey:0001…17 -binary | base64` from the text of the specification."""
    assert signed_headers(KEY, "ab12", 1_767_225_600, b'{"a":1}') == {
        "webhook-id": "ab12",
        "webhook-timestamp": "1767225600",
        "webhook-signature": "v1,Xk2P4JXLxjmZB7soDZtDjVsnqdB5SGfuSYZLSnY0Weg=",
    }


@pytest.mark.parametrize("text", ["{}", " {}\n", "{}\r\n"])
def test_a_secret_is_read_with_blanks_around_it(tmp_path, text):
    file = tmp_path / "secret"
    file.write_text(text.format("whsec_" + base64.b64encode(KEY).decode()))
    assert read_secret(file, "alarms") == KEY


@pytest.mark.parametrize(
    "text",
    [
        "",
        base64.b64encode(KEY).decode(),
        "whsec_" + base64.b64encode(KEY[:23]).decode(),
        "whsec_" + base64.b64encode(bytes(65)).decode(),
        "whsec_hidden!",
        "whsec_" + "hidden00" * 100,
        "whsec_hidden\x00é",
    ],
)
def test_what_is_no_secret_is_refused_and_not_shown(tmp_path, text):
    file = tmp_path / "secret"
    file.write_text(text)
    with pytest.raises(ConfigurationError, match="openssl rand") as refused:
        read_secret(file, "alarms")
    assert "hidden" not in str(refused.value)
    assert str(file) in str(refused.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_secret(tmp_path / "none", "alarms")
