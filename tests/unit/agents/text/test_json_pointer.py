import pytest

from agents.text.json_pointer import parsed, value_at, written


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


@pytest.mark.parametrize(
    ("pointer", "value"),
    [("", {"a": [1, {"": None}], "0": 2}), ("/a/0", 1), ("/a/1/", None), ("/0", 2)],
)
def test_a_pointer_leads_to_its_value(pointer: str, value: object) -> None:
    assert value_at({"a": [1, {"": None}], "0": 2}, parsed(pointer)) == value


@pytest.mark.parametrize("pointer", ["/b", "/a/2", "/a/-", "/a/-1", "/a/01", "/a/\u0661", "/a/x", "/a/1//c"])
def test_a_pointer_may_lead_nowhere(pointer: str) -> None:
    with pytest.raises(LookupError):
        value_at({"a": [1, {"": None}]}, parsed(pointer))
