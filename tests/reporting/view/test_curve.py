"""The token-level curve against softmaxes worked out by hand."""

import dataclasses

import numpy as np
import pytest

from raypipe.labels import LabelSet
from raypipe.records import EmotionTokens, EmotionWord, Hypothesis
from raypipe.reporting.view.curve import HEIGHT, WIDTH, step_shares, token_curve

LABELS = LabelSet(("anger", "fear", "joy"))
WORDS = (EmotionWord("anger", "anger", (5, 9)), EmotionWord("fear", "fear", (7,)))
TOKENS = EmotionTokens(WORDS, (5, 7, 9), ("ang", "fear", "er"))
# anger: mean of columns 0 and 2, fear: column 1; the last step ends the sequence.
LOGITS = np.array([[2.0, 1.0, 0.0], [np.log(3.0), 0.0, np.log(3.0)], [9.0, 0.0, 0.0]], np.float32)


def hypothesis(logits=LOGITS, token_ids=(5, 9, 1), text="anger"):
    return Hypothesis("greedy", 0, text, token_ids, None, -1.0, "stop", logits)


def test_shares_are_softmaxes_of_the_words_mean_logits() -> None:
    shares = step_shares(hypothesis(), TOKENS, LABELS)
    np.testing.assert_allclose(shares[:, :2], [[0.5, 0.5], [0.75, 0.25]], rtol=1e-6)
    assert np.isnan(shares[:, 2]).all(), "joy has no word"


def test_a_line_goes_through_its_shares_and_words_are_shaded() -> None:
    curve = token_curve(hypothesis(), TOKENS, LABELS)
    assert [line.label for line in curve.lines] == ["anger", "fear"]
    assert curve.unrecorded == ("joy",)
    assert curve.left_out == ()
    points = [tuple(map(float, point.split(","))) for point in curve.lines[0].pieces[0].split()]
    top, bottom = 8.0, HEIGHT - 26.0
    assert [x for x, _ in points] == pytest.approx([40 + 147.5, 40 + 442.5], abs=0.1)
    heights = [bottom - share * (bottom - top) for share in (0.5, 0.75)]
    assert [y for _, y in points] == pytest.approx(heights, abs=0.1)
    assert [float(x) for x, _ in curve.words] == pytest.approx([40.0, 335.0], abs=0.1)
    assert all(0 <= x <= WIDTH for x, _ in points)
    assert "anger at most 75" in curve.alt


def test_steps_without_values_part_a_line() -> None:
    logits = np.zeros((8, 3), np.float32)
    logits[2] = np.nan
    logits[5] = np.inf
    curve = token_curve(hypothesis(logits, (5, 9, 5, 9, 5, 9, 5, 1)), TOKENS, LABELS)
    for line in curve.lines:
        assert [piece.count(",") for piece in line.pieces] == [2, 2], "steps 1 and 2, 4 and 5"
        assert len(line.dots) == 1, "step 7 stands alone; the last one ends the sequence"


def test_labels_beyond_the_colours_are_left_out_and_named() -> None:
    names = tuple(f"l{number}" for number in range(9))
    tokens = EmotionTokens(
        tuple(EmotionWord(name, name, (at,)) for at, name in enumerate(names)),
        tuple(range(9)),
        names,
    )
    logits = np.tile(np.arange(9.0, dtype=np.float32), (3, 1))
    curve = token_curve(hypothesis(logits, (0, 1, 2), "x"), tokens, LabelSet(names))
    assert [line.label for line in curve.lines] == list(names[2:])
    assert curve.left_out == ("l0", "l1")


def test_without_logits_there_is_no_curve() -> None:
    assert token_curve(hypothesis(None), TOKENS, LABELS) is None
    assert token_curve(hypothesis(), None, LABELS) is None
    assert token_curve(hypothesis(np.full((3, 3), np.nan, np.float32)), TOKENS, LABELS) is None
    empty = dataclasses.replace(hypothesis(np.zeros((1, 3), np.float32)), token_ids=(1,), text="")
    assert token_curve(empty, TOKENS, LABELS) is None
