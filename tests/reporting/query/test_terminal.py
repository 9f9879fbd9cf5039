"""Answers to SQL in a terminal: every cell whole, in a grid or upright."""

from __future__ import annotations

import pyarrow as pa
import pytest
from rich.cells import cell_len

from raypipe.errors import ConfigError
from raypipe.reporting.query.cells import cell
from raypipe.reporting.query.terminal import answer_text

HARD = ["w_bon[beams=3of5]", "[/x]", "[red]a[/red]", "\\[b]", "größe 😀 悲しい", " x "]


def test_a_narrow_answer_is_a_grid_with_numbers_to_the_right() -> None:
    answer = pa.table({"strategy": ["w_bon", "greedy"], "js": [0.25, 1 / 3], "n": [7, 400]})
    assert answer_text(answer, 80).splitlines() == [
        "strategy        js    n",
        "────────  ────────  ───",
        "w_bon         0.25    7",
        "greedy    0.333333  400",
    ]


@pytest.mark.parametrize("width", [1, 80, 1000])
def test_cells_are_verbatim(width: int) -> None:
    shown = answer_text(pa.table({"text": HARD, "list": [[text] for text in HARD]}), width)
    for text in HARD:
        assert text.strip() in shown
        assert f"[{text}]" in shown


def test_a_wide_answer_stands_upright() -> None:
    answer = pa.table({"id": ["a", "b"], "probs": [[0.1] * 30, None]})
    assert answer_text(answer, 80).splitlines() == [
        "row 1",
        "id     a",
        f"probs  [{', '.join(['0.1'] * 30)}]",
        "",
        "row 2",
        "id     b",
        "probs  NULL",
    ]


@pytest.mark.parametrize("width", [20, 80])
def test_a_grid_is_never_wider_than_the_terminal(width: int) -> None:
    for length in range(width + 5):
        shown = answer_text(pa.table({"a": ["悲" * (length // 2)], "b": [1]}), width)
        is_grid = "─" in shown
        assert is_grid == (max(1, length // 2 * 2) + 2 + 1 <= width)
        assert not is_grid or max(map(cell_len, shown.splitlines())) <= width


def test_an_answer_without_rows_says_so() -> None:
    empty = pa.table({"a": pa.array([], pa.string()), "b" * 90: pa.array([], pa.string())})
    assert answer_text(empty.select(["a"]), 80) == "a\n─\nno rows\n"
    assert answer_text(empty, 80) == f"a\n{'b' * 90}\nno rows\n"


def test_text_of_a_model_cannot_steer_the_terminal() -> None:
    evil = "a\x1b[31mb\nc\u202ed\u2028e"
    shown = answer_text(pa.table({"text": [evil], evil: ["x"]}), 200)
    assert "a\\x1b[31mb\\nc\\u202ed\\u2028e" in shown
    assert len(shown.splitlines()) == 3
    assert not {"\x1b", "\u202e"} & {*shown}


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "NULL"),
        (True, "true"),
        (12345678, "12345678"),
        (1e-7, "1e-07"),
        (b"abc", "3 bytes"),
        ({"kind": "beam", "ids": [1, 2], "note": None}, "{kind: beam, ids: [1, 2], note: NULL}"),
    ],
)
def test_values_as_texts(value: object, shown: str) -> None:
    assert cell(value) == shown


def test_a_value_that_python_has_none_like_is_refused_with_its_column() -> None:
    infinite = pa.array([2**31 - 1], pa.int32()).cast(pa.date32())
    with pytest.raises(ConfigError, match=r"^column until has a value that cannot be shown"):
        answer_text(pa.table({"n": [1], "until": infinite}), 80)
