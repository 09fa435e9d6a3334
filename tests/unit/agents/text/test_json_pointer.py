import pytest

from agents.text.json_pointer import parsed, written


@pytest.mark.parametrize(
    ("pointer", "tokens"),
    [
        ("", ()),
        ("/", ("",)),
        ("/a/0", ("a", "0")),
        ("/a~1b/~0", ("a/b", "~")),
        ("/~01", ("~1",)),
        ("/line\nend", ("line\nend",)),
    ],
)
def test_a_pointer_is_read_and_written_with_its_escapes(pointer: str, tokens: tuple[str, ...]) -> None:
    assert parsed(pointer) == tokens
    assert written(tokens) == pointer


@pytest.mark.parametrize("pointer", ["a", "/a~", "/a~2b", "a/b"])
def test_what_is_no_pointer_is_refused(pointer: str) -> None:
    with pytest.raises(ValueError, match="a"):
        parsed(pointer)
