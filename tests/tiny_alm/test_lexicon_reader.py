import json

import numpy as np
import pytest

from raypipe.tiny_alm.lexicon_reader import LexiconItem, answer, item_answer, items_of, relabelled
from raypipe.tiny_alm.typed import typed_votes

LABELS = ("anger", "neutral", "sadness")
PROMPT = """You adjust labels. Give a reason.
An example:
  {"index": 1, "descriptions": ["calm"], "reference": {"anger": 1.0, "neutral": 0.0}}
Emotions: anger, neutral, sadness.
{"index": 7, "descriptions": ["Slightly Angry", "hmm"], "reference": {"anger": 0.2, "neutral": 0.8}}
{"index": 9, "descriptions": ["悲しい"]}
{"index": 11}
"""


def test_items_are_the_unindented_lines_with_descriptions():
    assert list(items_of(PROMPT)) == [
        LexiconItem(7, ("Slightly Angry", "hmm"), ("anger", "neutral"), (0.2, 0.8)),
        LexiconItem(9, ("悲しい",), LABELS, None),
    ]


def test_the_answer_worked_by_hand():
    first, second = json.loads(answer(PROMPT))
    # .75 * .2 + .25 * .5 = .275
    assert first["distribution"] == {"anger": 0.275, "neutral": 0.725}
    assert (first["index"], first["words"]) == (7, ["Slightly Angry", "hmm"])
    assert second["distribution"] == {"anger": 0.0, "neutral": 0.0, "sadness": 1.0}
    assert "'Slightly Angry', 'hmm' raises anger" in first["reason"]
    assert all("reason" not in reply for reply in json.loads(answer(PROMPT.replace("reason", ""))))


def test_words_that_mean_nothing_leave_the_reference():
    np.testing.assert_array_equal(relabelled((0.3, 0.7, 0.0), ["hmm"], LABELS), (0.3, 0.7, 0.0))
    np.testing.assert_allclose(relabelled(None, ["hmm"], LABELS), (1 / 3,) * 3)
    reason = item_answer(LexiconItem(1, ("hmm",), LABELS, (0.3, 0.7, 0.0)))["reason"]
    assert reason.startswith("'hmm' moves nothing")


@pytest.mark.parametrize("weight", [0.0, 0.4, 1.0])
def test_descriptions_have_their_weight_each_annotator_the_same(weight):
    mixed = relabelled((0.0, 1.0, 0.0), ["very angry", "sad", "sad", "hmm"], LABELS, weight)
    np.testing.assert_allclose(mixed, (weight / 3, 1 - weight, weight * 2 / 3))


def test_reasons_have_15_to_20_words_and_quote_every_description():
    lengths = []
    for index in range(100):
        typed = tuple(vote.typed for vote in typed_votes(index) if vote.typed)
        reply = item_answer(LexiconItem(index, typed, LABELS, (0.2, 0.5, 0.3)))
        assert all(f"'{text}'" in reply["reason"] for text in typed)
        assert sum(reply["distribution"].values()) == pytest.approx(1.0, abs=2e-4)
        if typed and sum(len(text.split()) for text in typed) <= 12:
            lengths.append(len(reply["reason"].split()))
    assert set(lengths) <= set(range(15, 21))
