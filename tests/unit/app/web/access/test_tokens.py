import hashlib
import hmac

import pytest

from app.web.access.tokens import MOST_BYTES, MOST_TOKENS, Client, read_tokens
from tables.errors import ConfigurationError
from tests.unit.app.web.access.conftest import ADMIN, READER, WRITER

SECRET = "do-not-show-this-0123456789"


def test_each_token_has_its_client_and_scopes(tokens_file):
    tokens = read_tokens(tokens_file)
    assert len(tokens) == 3
    assert tokens.client_of(READER.encode()) == Client("reader", frozenset({"read"}))
    assert tokens.client_of(WRITER.encode()) == Client("writer", frozenset({"ingest"}))
    assert tokens.client_of(ADMIN.encode()) == Client("boss", frozenset({"read", "admin"}))


@pytest.mark.parametrize(
    "token", [b"", b"reader", READER[:-1].encode(), READER.upper().encode(), b"\xff" * 600]
)
def test_another_token_has_no_client(tokens_file, token):
    assert read_tokens(tokens_file).client_of(token) is None


def test_a_hash_stands_for_its_token_and_cannot_be_sent_instead_of_it(tmp_path):
    file = tmp_path / "tokens"
    digest = hashlib.sha256(SECRET.encode()).hexdigest()
    file.write_text(f"reader read sha256:{digest.upper()}\r\n")
    tokens = read_tokens(file)
    assert tokens.client_of(SECRET.encode()).name == "reader"
    assert tokens.client_of(f"sha256:{digest}".encode()) is None


def test_a_client_may_have_two_tokens_while_the_former_is_replaced(tmp_path):
    file = tmp_path / "tokens"
    file.write_text(f"reader read {READER}\nreader read {SECRET}\n")
    assert {read_tokens(file).client_of(token.encode()).name for token in (READER, SECRET)} == {"reader"}


@pytest.mark.parametrize("token", [READER, ADMIN, "unknown-token-0123456789"])
def test_every_token_is_compared_in_constant_time_wherever_the_right_one_stands(
    tokens_file, monkeypatch, token
):
    tokens = read_tokens(tokens_file)
    compared = []
    compare = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", lambda *sides: compared.append(sides[0]) or compare(*sides))
    tokens.client_of(token.encode())
    assert len(set(compared)) == len(tokens) == 3


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (f"reader read {SECRET} more", "line 1 has 4 parts instead of 3"),
        (f"# one\n\nreader {SECRET}", "line 3 has 2 parts instead of 3"),
        (SECRET, "line 1 has 1 parts instead of 3"),
        (f"a/b read {SECRET}", "line 1: the name is wrong"),
        (f"{SECRET * 3} read {READER}", "line 1: the name is wrong"),
        (f"reader write {SECRET}", "line 1: the scopes are wrong; the scopes are read, ingest, admin"),
        (f"reader {SECRET} read", "line 1: the scopes are wrong"),
        (f"reader read, {SECRET}", "line 1: the scopes are wrong"),
        (f"reader read,read {SECRET}", "line 1: the scopes are wrong"),
        ("reader read too-short", "line 1: the token is wrong; a token has 16 to 512 letters"),
        ("reader read " + "x" * 513, "line 1: the token is wrong"),
        (f"reader read =a={SECRET}", "line 1: the token is wrong"),
        (f"reader read {SECRET}ü", "line 1: the token is wrong"),
        (f"reader read {SECRET}\x00", "line 1: the token is wrong"),
        (f"reader read sha256:{SECRET}", "line 1: the hash is wrong"),
        (f"reader read {SECRET}\nboss admin {SECRET}", "line 2 has the token of a former line"),
        (
            f"a read {SECRET}\nb read sha256:{hashlib.sha256(SECRET.encode()).hexdigest()}",
            "line 2 has the token of a former line",
        ),
        ("", "has no token, so that nobody could ask"),
        (f"# reader read {SECRET}\n", "has no token"),
        ("\n".join(f"r{n} read {SECRET}{n}" for n in range(MOST_TOKENS + 1)), "has more than 100 tokens"),
        ("#" * (MOST_BYTES + 1), f"has more than {MOST_BYTES} bytes"),
    ],
)
def test_a_bad_file_is_named_with_its_line_and_nothing_of_its_content(tmp_path, content, said):
    file = tmp_path / "tokens"
    file.write_bytes(content.encode())
    with pytest.raises(ConfigurationError) as caught:
        read_tokens(file)
    message = str(caught.value)
    assert said in message
    assert message.startswith(f'WORDCOUNT_TOKENS_FILE "{file}" ')
    assert "\n" not in message
    assert SECRET not in message
    assert "too-short" not in message


def test_a_file_that_cannot_be_read_is_named_with_the_reason(tmp_path):
    with pytest.raises(
        ConfigurationError, match=r'WORDCOUNT_TOKENS_FILE ".*/none" cannot be read \(No such file'
    ):
        read_tokens(tmp_path / "none")
    with pytest.raises(ConfigurationError, match=r"cannot be read \(Is a directory\)"):
        read_tokens(tmp_path)
