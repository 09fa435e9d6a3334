"""What a text is wrapped in is what the counting side finds it in, together with the time where the settings look for it."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.text.json_pointer import parsed
from app.config.settings import Settings
from app.config.text import value_format_of
from app.produce.envelope import Envelope
from tables.errors import ConfigurationError

NOW_MS = 1_767_225_600_123
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=50)


def settings_of(**given: str) -> Settings:
    return Settings.model_validate(given)


@given(text=TEXTS)
def test_a_plain_text_is_its_own_value(text: str) -> None:
    assert Envelope(settings_of()).value(text, NOW_MS) == text.encode()


@pytest.mark.parametrize("pointer", ["", "/text", "/message/text", "/a~1b/~0/0/-", "/"])
@pytest.mark.parametrize("time", ["record", "/time", "/message/at"])
def test_a_text_is_found_at_its_pointer_and_the_time_at_its_own(pointer: str, time: str) -> None:
    settings = settings_of(value_format="json", json_pointer=pointer, timestamp=time)
    if not pointer and time != "record":
        with pytest.raises(ConfigurationError, match="no document has a text"):
            Envelope(settings)
        return
    texts = ['a "quoted"\n\x00 text', "", "é👍\u2028"]
    values = [Envelope(settings).value(text, NOW_MS) for text in texts]
    place = None if time == "record" else parsed(time)
    found = value_format_of(settings).texts(pa.array([value.decode() for value in values]), place)
    assert found.texts.to_pylist() == texts
    assert not found.unreadable
    assert place is None or (found.times is not None and found.times.tolist() == [NOW_MS] * 3)


@pytest.mark.parametrize(("text", "time"), [("/a", "/a"), ("/a", "/a/b"), ("/a/b", "/a"), ("", "/a")])
def test_places_inside_of_each_other_are_refused_with_a_remedy(text: str, time: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        Envelope(settings_of(value_format="json", json_pointer=text, timestamp=time))
    assert f'"{text}"' in refused.value.message
    assert f'"{time}"' in refused.value.message
    assert "WORDCOUNT_TIMESTAMP=record" in refused.value.remedy
