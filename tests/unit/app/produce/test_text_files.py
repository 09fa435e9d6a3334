import gzip
import os
import threading

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from app.produce.text_files import TextFiles, split_lines
from tables.errors import ConfigurationError

TEXT = b"one\r\ntwo\n\nfo\rur\n\r\nlast\r"
LINES = [b"one", b"two", b"", b"fo\rur", b"", b"last\r"]


def lines_of(files: TextFiles) -> list[bytes]:
    return [line for block in files.blocks() for line in block.lines]


def reference(text: bytes) -> list[bytes]:
    lines = text.split(b"\n")
    ended = [line[:-1] if line.endswith(b"\r") else line for line in lines[:-1]]
    return ended + ([lines[-1]] if lines[-1] else [])


@given(st.lists(st.binary(min_size=1).map(lambda data: bytes(b"ab\r\n"[byte % 4] for byte in data))))
def test_lines_do_not_depend_on_how_the_bytes_arrive(pieces):
    arriving = iter([*pieces, b""])
    found = [line for lines in split_lines(lambda: next(arriving)) for line in lines]
    assert found == reference(b"".join(pieces))


def test_only_the_end_of_a_line_is_taken_off(tmp_path):
    (tmp_path / "text").write_bytes(TEXT)
    assert lines_of(TextFiles([str(tmp_path / "text")])) == LINES


@pytest.mark.parametrize(
    ("suffix", "pack"),
    [
        (".gz", gzip.compress),
        (".gz", lambda text: gzip.compress(text[:5]) + gzip.compress(text[5:])),
        (".zst", zstandard.compress),
        (".zst", lambda text: zstandard.compress(text[:5]) + zstandard.compress(text[5:])),
    ],
)
def test_compressed_files_are_unpacked_whole(tmp_path, suffix, pack):
    text = TEXT * 100_000
    path = tmp_path / f"text{suffix}"
    path.write_bytes(pack(text))
    files = TextFiles([str(path)])
    assert lines_of(files) == reference(text)
    assert files.bytes_read == files.size_bytes == path.stat().st_size


@pytest.mark.parametrize(("suffix", "pack"), [(".gz", gzip.compress), (".zst", zstandard.compress)])
@pytest.mark.parametrize("damage", [lambda packed: packed[:-3], lambda packed: b"no" + packed])
def test_a_damaged_file_is_named(tmp_path, suffix, pack, damage):
    path = tmp_path / f"text{suffix}"
    path.write_bytes(damage(pack(os.urandom(50_000).hex().encode())))
    with pytest.raises(ConfigurationError, match=rf"text{suffix} cannot be read beyond line 0"):
        lines_of(TextFiles([str(path)]))


def test_lines_are_numbered_per_file_and_named_after_it(tmp_path):
    paths = [str(tmp_path / name) for name in ("a", "b")]
    for path in paths:
        (tmp_path / path).write_bytes(b"x\n" * 300_000)
    files = TextFiles(paths, times=2)
    next_line = {}
    for block in files.blocks():
        assert block.first_line in (1, next_line.get(block.source))
        next_line[block.source] = block.first_line + len(block.lines)
    assert next_line == dict.fromkeys(paths, 300_001)
    assert files.bytes_read == files.size_bytes == 4 * 600_000


def test_what_cannot_be_read_is_refused_before_anything_is(tmp_path):
    (tmp_path / "good").touch()
    with pytest.raises(ConfigurationError, match=r"missing.* does not exist"):
        TextFiles([str(tmp_path / "good"), str(tmp_path / "missing")])
    with pytest.raises(ConfigurationError, match="is a folder"):
        TextFiles([str(tmp_path)])


@pytest.mark.parametrize(("names", "times"), [(["-"], 2), (["-", "-"], 1)])
def test_standard_input_is_read_once_only(names, times):
    with pytest.raises(ConfigurationError, match="standard input can be read only once"):
        TextFiles(names, times=times)


def test_a_pipe_yields_what_is_there_and_has_no_size(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    files = TextFiles([str(path)])
    assert files.size_bytes is None
    blocks = files.blocks()
    go_on = threading.Event()

    def write() -> None:
        with path.open("wb", buffering=0) as pipe:
            pipe.write(b"first\nunfini")
            assert go_on.wait(30)
            pipe.write(b"shed\n")

    writer = threading.Thread(target=write)
    writer.start()
    assert next(blocks).lines == [b"first"]
    go_on.set()
    assert [(block.first_line, block.lines) for block in blocks] == [(2, [b"unfinished"])]
    writer.join()


def test_an_endless_line_is_not_read_to_its_end():
    reads = 0

    def read() -> bytes:
        nonlocal reads
        reads += 1
        return b"x" * 1000

    assert list(split_lines(read, longest_bytes=10_000)) == [[b"x" * 11_000]]
    assert reads == 11
