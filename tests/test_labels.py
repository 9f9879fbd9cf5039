"""Names that a label may not have, as pages, terminals and answers would be read wrongly."""

from __future__ import annotations

import pytest

from raypipe.errors import ConfigError
from raypipe.labels import LabelSet


@pytest.mark.parametrize(
    "name", ["\u202egrad", "an\x1b[31mger", "joy\x00", "fear\u2066", "a\u2028b", "sad\ud800"]
)
def test_a_name_that_acts_on_what_shows_it_is_refused(name: str) -> None:
    with pytest.raises(ConfigError) as refused:
        LabelSet((name, "neutral"))
    assert str(refused.value).isascii()
    assert "control character" in str(refused.value)


@pytest.mark.parametrize("name", ["悲伤", "می\u200cخندد", "traurig, gerührt", "<b>mad</b>"])
def test_a_name_in_any_script_is_taken(name: str) -> None:
    assert LabelSet((name, "neutral")).index(name) == 0
