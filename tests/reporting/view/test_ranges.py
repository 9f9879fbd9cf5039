"""RFC 9110, section 14.1.2: the examples of the standard, for 10,000 bytes."""

import pytest

from raypipe.reporting.view.ranges import asked_range

SIZE = 10_000


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        ("bytes=0-499", range(500)),
        ("bytes=500-999", range(500, 1000)),
        ("bytes=-500", range(9500, 10_000)),
        ("bytes=9500-", range(9500, 10_000)),
        ("bytes=0-0", range(1)),
        ("bytes=0-99999999", range(SIZE)),
        ("bytes=-99999", range(SIZE)),
        ("bytes=10000-", range(0)),
        ("bytes=-0", range(0)),
        ("bytes=5-2", None),
        ("bytes=0-0,-1", None),
        ("bytes=-", None),
        ("lines=0-1", None),
        ("bytes=a-b", None),
        ("bytes=" + "9" * 100 + "-", None),
    ],
)
def test_ranges_are_those_of_the_standard(header: str, wanted: range | None) -> None:
    assert asked_range(header, SIZE) == wanted
