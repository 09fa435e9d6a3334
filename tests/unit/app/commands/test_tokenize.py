import json
import subprocess
import sys

import pytest

from app.exit_codes import EXIT_READER_GONE

VECTORS = {
    "message 7": ["message", "7"],
    "": [""],
    " ": [],
    " a": ["", "a"],
    "a ": ["a"],
    "a  b": ["a", "", "b"],
    "a\r\nb": ["a", "", "b"],
    "a\u00a0b\u3000c": ["a\u00a0b\u3000c"],
}
COMMAND = [sys.executable, "-c", "from app.cli import main; main()", "tokenize"]


@pytest.fixture
def root(pytestconfig):
    return pytestconfig.rootpath


def test_a_json_string_a_line_becomes_a_json_array_a_line(wordcount, tmp_path):
    (tmp_path / "in").write_text("".join(json.dumps(text) + "\n" for text in VECTORS))
    outcome = wordcount("tokenize", "--profile", "java-s", "--json", "in")
    assert outcome.code == 0
    assert [json.loads(line) for line in outcome.out.splitlines()] == list(VECTORS.values())


def test_the_last_line_needs_no_end(wordcount, tmp_path):
    (tmp_path / "in").write_text('"one two"\r\n"three"')
    assert wordcount("tokenize", "--json", "in").out == '["one","two"]\n["three"]\n'


def test_line_separators_of_unicode_do_not_break_a_line(wordcount, tmp_path):
    (tmp_path / "in").write_text(json.dumps("a\u2028b\x85c", ensure_ascii=False) + "\n")
    outcome = wordcount("tokenize", "--profile", "java-s", "--json", "in")
    assert outcome.out == '["a\\u2028b\\u0085c"]\n'
    assert wordcount("tokenize", "--profile", "java-s", "in").out == '"a\\u2028b\\x85c"\n'


def test_plain_lines_show_their_words_separated_by_spaces(wordcount, tmp_path):
    (tmp_path / "in").write_bytes(b"Hello,  World!\r\n\nStra\xc3\x9fe \xff\n")
    assert wordcount("tokenize", "in").out == "hello world\n\nstrasse\n"


def test_options_of_words_come_from_the_settings(wordcount, tmp_path, monkeypatch):
    monkeypatch.setenv("WORDCOUNT_STOP_WORDS", "the,of")
    monkeypatch.setenv("WORDCOUNT_MIN_WORD_LENGTH", "2")
    monkeypatch.setenv("WORDCOUNT_MAX_WORD_LENGTH", "4")
    (tmp_path / "in").write_text("The end of a very lengthy day\n")
    assert wordcount("tokenize", "in").out == "end very day\n"


@pytest.mark.parametrize("bad", ["not json", "", "17", '["a"]', '"open'])
def test_a_line_that_is_no_json_string_is_named_after_the_answers_before_it(wordcount, tmp_path, bad):
    (tmp_path / "in").write_text(f'"a"\n"b"\n{bad}\n"c"\n')
    outcome = wordcount("tokenize", "--json", "in")
    assert (outcome.code, outcome.out) == (2, '["a"]\n["b"]\n')
    assert outcome.err.startswith("wordcount: in, line 3 is not a JSON string")
    assert outcome.err.count("\n") == 1


def test_an_unknown_profile_is_refused(wordcount):
    outcome = wordcount("tokenize", "--profile", "klingon")
    assert outcome.code == 2
    assert outcome.err.startswith('wordcount: WORDCOUNT_PROFILE is "klingon", expected one of ')


def test_each_line_is_answered_before_the_next_one_is_sent(root):
    with subprocess.Popen(
        [*COMMAND, "--json"], cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as asked:
        for number in range(3):
            asked.stdin.write(b'"word %d"\n' % number)
            asked.stdin.flush()
            assert json.loads(asked.stdout.readline()) == ["word", str(number)]
        asked.stdin.close()
        assert asked.wait(30) == 0


@pytest.mark.slow
def test_many_lines_stream_through(root, tmp_path):
    count = 100_000
    (tmp_path / "in").write_text('"some words in a line"\n' * count)
    with (tmp_path / "in").open("rb") as source:
        done = subprocess.run(
            [*COMMAND, "--json", "-"], cwd=root, stdin=source, capture_output=True, check=True
        )
    assert done.stdout == b'["some","words","in","a","line"]\n' * count


def test_a_reader_that_leaves_early_causes_no_traceback(root, tmp_path):
    (tmp_path / "in").write_text('"a"\n' * 100_000)
    with subprocess.Popen(
        [*COMMAND, "--json", str(tmp_path / "in")], cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as asked:
        assert asked.stdout.readline() == b'["a"]\n'
        asked.stdout.close()
        assert asked.stderr.read() == b""
        assert asked.wait(30) == EXIT_READER_GONE
