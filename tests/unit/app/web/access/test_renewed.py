import os

import pytest
from structlog.testing import capture_logs

from app.web.access.renewed import LOOK_EVERY_S, Renewed
from app.web.access.tokens import read_tokens
from tables.errors import ConfigurationError
from tests.unit.app.web.access.conftest import READER, WRITER

NEW = "new-token-9876543210"


def names(tokens, *sent):
    return [
        client and client.name for client in (tokens.present().client_of(token.encode()) for token in sent)
    ]


def test_a_changed_file_is_used_after_a_second_at_most(tokens, tokens_file, clock):
    tokens_file.write_text(f"new read {NEW}\n")
    assert names(tokens, READER, NEW) == ["reader", None]
    clock.now_s += LOOK_EVERY_S
    with capture_logs() as lines:
        assert names(tokens, READER, NEW) == [None, "new"]
    assert [(line["log_level"], line["files"]) for line in lines] == [("info", [str(tokens_file)])]


def test_files_are_looked_at_once_a_second_and_read_only_if_they_changed(tokens_file, clock, monkeypatch):
    reads, looks = [], []
    tokens = Renewed(lambda: reads.append(1) or read_tokens(tokens_file), [tokens_file], clock)
    stat = type(tokens_file).stat
    monkeypatch.setattr(type(tokens_file), "stat", lambda path, **how: looks.append(1) or stat(path, **how))
    for _ in range(100):
        clock.now_s += 0.1
        tokens.present()
    assert 9 <= len(looks) <= 11
    assert len(reads) == 1


@pytest.mark.parametrize("kind", ["malformed", "missing", "empty", "folder"])
def test_a_bad_change_keeps_the_former_tokens_and_logs_one_line_without_a_token(
    tokens, tokens_file, clock, kind
):
    tokens_file.unlink()
    if kind == "malformed":
        tokens_file.write_text(f"new read {NEW}\nnew read {WRITER} {NEW}\n")
    elif kind == "empty":
        tokens_file.write_text("")
    elif kind == "folder":
        tokens_file.mkdir()
    with capture_logs() as lines:
        for _ in range(5):
            clock.now_s += LOOK_EVERY_S
            assert names(tokens, READER, NEW) == ["reader", None]
    (line,) = lines
    assert line["log_level"] == "error"
    assert str(tokens_file) in line["reason"]
    assert ("line 2" in line["reason"]) is (kind == "malformed")
    assert NEW not in str(line)
    if kind == "folder":
        tokens_file.rmdir()
    tokens_file.write_text(f"new read {NEW}\n")
    clock.now_s += LOOK_EVERY_S
    assert names(tokens, READER, NEW) == [None, "new"]


def test_another_mistake_is_logged_too_and_a_return_to_the_former_content_is_noticed(
    tokens, tokens_file, clock
):
    former = tokens_file.read_text()
    with capture_logs() as lines:
        for content in ("one", "one two", "one two", former):
            tokens_file.write_text(content)
            clock.now_s += LOOK_EVERY_S
            tokens.present()
    assert [line["log_level"] for line in lines] == ["error", "error", "info"]


def test_a_change_that_leaves_size_and_time_is_noticed_by_the_inode(tokens, tokens_file, clock, tmp_path):
    content = tokens_file.read_text().replace(READER, NEW.ljust(len(READER), "x"))
    before = tokens_file.stat()
    draft = tmp_path / "draft"
    draft.write_text(content)
    os.utime(draft, ns=(before.st_atime_ns, before.st_mtime_ns))
    draft.replace(tokens_file)
    clock.now_s += LOOK_EVERY_S
    assert names(tokens, READER) == [None]


def test_without_a_value_to_begin_with_the_error_is_raised(tmp_path, clock):
    with pytest.raises(ConfigurationError):
        Renewed(lambda: read_tokens(tmp_path / "none"), [tmp_path / "none"], clock)
