"""Answers about arousal, valence and dominance: what is read, and what is rather not."""

from __future__ import annotations

import pytest

from raypipe.parsing.attributes import parse_attributes

READ = [
    '{"arousal": 4, "valence": 2.5, "dominance": 3}',
    '{"Dominance": 3.0, "Valence": "2.5", "Arousal": 4}',
    '```json\n{"arousal": {"value": 4}, "valence": {"score": 2.5}, "dominance": {"rating": 3}}\n'
    "```",
    "Arousal: 4\nValence: 2.5\nDominance: 3",
    "- **Arousal** (1-5): 4\n- **Valence** (1-5): 2.5/5\n- **Dominance** (1-5): 3 out of 5",
    "The arousal is 4, the valence about 2,5 and the dominance is rated 3.",
    "Arousal = 4; valence = 2.5; dominance = 3.",
    "| arousal | 4 |\n| valence | 2.5 |\n| dominance | 3 |",
    "Activation: 4 (fairly active)\nPleasantness: 2.5 (between 2 and 3)\nDominance: 3",
    "Arousal on a scale of 1 to 5: 4. Valence from 1 to 5: 2.5. Dominance: 3.",
    "<think>arousal: 1? valence: 5, dominance: 5</think> arousal: 4, valence: 2.5, dominance: 3",
    "Arousal \N{EN DASH} how active \N{EN DASH} is high.\n"
    "Final answer: arousal: 4, valence: 2.5, dominance: 3",
    '{"arousal":4,"valence":2.5,"dominance":3} So arousal is 4.',
    "Arousal - 4\nValence - 2.5\nDominance - 3",
]


@pytest.mark.parametrize("text", READ)
def test_three_numbers_behind_their_names_are_read(text: str) -> None:
    answer = parse_attributes(text, (1.0, 5.0))
    assert (answer.ratings, answer.reason) == ((4.0, 2.5, 3.0), None)


REST = ', "valence": 2, "dominance": 3}'
REFUSED = [
    ("", "empty"),
    ('{"arousal": 3-4' + REST, "range"),
    ('{"arousal": "3 to 4"' + REST, "range"),
    ("Arousal: 3 or 4, valence: 2, dominance: 3", "range"),
    ("Arousal: 3..4, valence: 2, dominance: 3", "range"),
    ('{"arousal": "high"' + REST, "missing_arousal"),
    ("Arousal: four, valence: 2, dominance: 3", "missing_arousal"),
    ("Arousal: between 3 and 4, valence: 2, dominance: 3", "missing_arousal"),
    ("Arousal is not 4, valence: 2, dominance: 3", "missing_arousal"),
    ("4, 2, 3", "missing_arousal"),
    ('{"arousal": 4, "valence": 2}', "missing_dominance"),
    ('{"arousal": 6' + REST, "out_of_range"),
    ('{"arousal": 0' + REST, "out_of_range"),
    ('{"arousal": -3' + REST, "out_of_range"),
    ('{"arousal": 40%' + REST, "other_scale"),
    ("Arousal: 4/7, valence: 2, dominance: 3", "other_scale"),
    ("Arousal: 4 out of 10, valence: 2, dominance: 3", "other_scale"),
    ("Arousal: 4. No, arousal: 3. Valence: 2, dominance: 3", "contradiction"),
    ("Arousal: 4, 3, valence: 2, dominance: 3", "several_numbers"),
    ("Arousal: 4 at 200 Hz, valence: 2, dominance: 3", "several_numbers"),
    ("Arousal: 4 ± 1, valence: 2, dominance: 3", "several_numbers"),
    ("arousal, valence, dominance: 4, 2, 3", "missing_arousal"),
    ("Arousal: 4th, valence: 2, dominance: 3", "missing_arousal"),
    ("Arousal: ≥4, valence: 2, dominance: 3", "missing_arousal"),
    ("I cannot rate this voice.", "missing_arousal"),
    ("arousal: 4 " * 2000, "too_long"),
]


@pytest.mark.parametrize(("text", "reason"), REFUSED)
def test_what_may_mean_something_else_is_not_guessed(text: str, reason: str) -> None:
    answer = parse_attributes(text, (1.0, 5.0))
    assert (answer.ratings, answer.reason) == (None, reason)


def test_a_scale_may_be_below_zero() -> None:
    text = '{"arousal": -0.5, "valence": +0.25, "dominance": .75}'
    assert parse_attributes(text, (-1.0, 1.0)).ratings == (-0.5, 0.25, 0.75)


@pytest.mark.timeout(10)
def test_hostile_texts_take_no_time() -> None:
    for text in (
        "arousal " * 2000,
        "arousal" + ": " * 8000,
        "arousal(" * 2000,
        "arousal is a " * 1200,
    ):
        assert parse_attributes(text, (1.0, 5.0)).ratings is None
