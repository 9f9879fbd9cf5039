import pytest

from raypipe.reporting.text import clean, count, duration, listing, percent, score


@pytest.mark.parametrize(
    ("dirty", "expected"),
    [
        ("a\tb\n c", "a b c"),
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]8;;http://x\x07link", "link"),
        ("\x9b31mred", "31mred"),
        ("abc\u202egpj", "abcgpj"),
        ("bad\ud800end", "badend"),
        ("怒り", "怒り"),
        (None, "not recorded"),
        (3, "3"),
    ],
)
def test_clean_leaves_one_printable_line(dirty, expected):
    assert clean(dirty) == expected


def test_clean_cuts_long_text_with_an_ellipsis():
    assert clean("x" * 1000, limit=10) == "x" * 9 + "…"


def test_numbers_are_written_as_readers_expect():
    assert score(0.12345) == "0.123"
    assert score(-0.0004) == "0.000"
    assert percent(0.5, 0) == "50\N{NO-BREAK SPACE}%"
    assert count(1234567) == "1,234,567"
    assert [duration(s) for s in (0.44, 192.4, 7322)] == ["0.4 s", "3 min 12 s", "2 h 2 min"]
    assert listing(["a"]) == "a"
