# ruff: noqa: RUF001 - typographic strokes and quotes are what models write
import json
import random
import time
from pathlib import Path

import numpy as np
import pytest

from raypipe.labels import LABEL_SETS, LabelSet
from raypipe.parsing import REASONS, RULES, parse_answer, parse_score, read_answer

LABELS = LABEL_SETS["crema-d-6"]  # anger disgust fear happiness neutral sadness
SHORT = {"a": "anger", "d": "disgust", "f": "fear", "h": "happiness", "n": "neutral"} | {
    "s": "sadness"
}


def shares(**parts: float) -> list[float]:
    """The distribution with these shares, by first letter of the label."""
    named = {SHORT[letter]: share for letter, share in parts.items()}
    return [named.get(name, 0.0) for name in LABELS.names]


VALID = [
    # one JSON object, in every dress models give it
    ('{"anger": 0.25, "sadness": 0.75}', "json", shares(a=0.25, s=0.75)),
    ('{"anger": 1, "sadness": 3}', "json", shares(a=0.25, s=0.75)),
    ('{"anger": 25, "sadness": 75}', "json", shares(a=0.25, s=0.75)),
    ('{"anger": "25%", "sadness": "75%"}', "json", shares(a=0.25, s=0.75)),
    ('{"anger": "25 percent", "sadness": "75 percent"}', "json", shares(a=0.25, s=0.75)),
    ('{"anger": "0.25", "sadness": "about 0.75"}', "json", shares(a=0.25, s=0.75)),
    ('{"anger": "25%", "sadness": 75}', "json", shares(a=0.25, s=0.75)),
    ('{"anger": "25%", "sadness": 0.75}', "json", shares(a=0.25, s=0.75)),
    ('{"anger": "20-30%", "sadness": "75%"}', "json", shares(a=0.25, s=0.75)),
    ('{"Anger": 0.25, "SAD": 0.75}', "json", shares(a=0.25, s=0.75)),
    ('{" angry ": 0.25, "sorrow": 0.75}', "json", shares(a=0.25, s=0.75)),
    ('{"Happiness/Joy": 0.25, "sad (low)": 0.75}', "json", shares(h=0.25, s=0.75)),
    ('{"anger_score": 0.25, "sadness_score": 0.75}', "json", shares(a=0.25, s=0.75)),
    ('{"anger": 0.1, "angry": 0.15, "sad": 0.75}', "json", shares(a=0.25, s=0.75)),
    ('{"anger": 0.1, "anger": 0.25, "sad": 0.75}', "json", shares(a=0.25, s=0.75)),
    ('{"anger": 0.25, "sadness": 0.75, "awe": 0.4}', "json", shares(a=0.25, s=0.75)),
    ('{"anger": 0.25, "sadness": 0.75, "fear": null}', "json", shares(a=0.25, s=0.75)),
    ('{"anger": true, "sadness": false}', "json", shares(a=1.0)),
    (
        '{"anger": {"score": 0.25, "why": "x"}, "sad": {"score": 0.75}}',
        "json",
        shares(a=0.25, s=0.75),
    ),
    ('{"distribution": {"anger": 0.25, "sadness": 0.75}}', "json", shares(a=0.25, s=0.75)),
    ('{"emotion": "sad", "probs": {"anger": 0.25, "sad": 0.75}}', "json", shares(a=0.25, s=0.75)),
    (
        '[{"emotion": "anger", "score": 1}, {"emotion": "sad", "score": 3}]',
        "json",
        shares(a=0.25, s=0.75),
    ),
    ('```json\n{\n  "anger": 0.25,\n  "sadness": 0.75\n}\n```', "json", shares(a=0.25, s=0.75)),
    ("{'anger': 0.25, 'sadness': 0.75}", "json", shares(a=0.25, s=0.75)),
    ('{"anger": 0.25, "sadness": 0.75,}', "json", shares(a=0.25, s=0.75)),
    ("{anger: 0.25, sadness: 0.75}", "json", shares(a=0.25, s=0.75)),
    ("{“anger”: 0.25, “sadness”: 0.75}", "json", shares(a=0.25, s=0.75)),
    ('{"anger": .25, "sadness": .75}', "json", shares(a=0.25, s=0.75)),
    ('{"anger": 25%, "sadness": 75%}', "json", shares(a=0.25, s=0.75)),
    (
        "{'distribution': {'anger': 0.25, 'sadness': 0.75,}, 'note': 'x'}",
        "json",
        shares(a=0.25, s=0.75),
    ),
    ('{"note": "a smile :}", "anger": 0.25, "sadness": 0.75}', "json", shares(a=0.25, s=0.75)),
    ('{"anger": 1e308, "sadness": 1e308}', "json", shares(a=0.5, s=0.5)),
    # reasoning around it: the last complete object that names a label wins
    (
        'The voice is low, 20% louder at the end. {"anger": 0.25, "sad": 0.75}',
        "json",
        shares(a=0.25, s=0.75),
    ),
    (
        'First {"anger": 1.0}. On second thought {"anger": 0.25, "sad": 0.75}!',
        "json",
        shares(a=0.25, s=0.75),
    ),
    ('{"anger": 0.25, "sad": 0.75} Note: {"confidence": 0.9}', "json", shares(a=0.25, s=0.75)),
    ('<think>{"fear": 1}</think>{"anger": 0.25, "sad": 0.75}', "json", shares(a=0.25, s=0.75)),
    ('{"anger": 0.25, "sad": 0.75} {"fear": 0.', "json", shares(a=0.25, s=0.75)),
    # nothing but the closing brace is missing
    (
        '{"anger": 0.2, "disgust": 0, "fear": 0, "happiness": 0, "neutral": 0.3, "sadness": 0.5',
        "json",
        shares(a=0.2, n=0.3, s=0.5),
    ),
    # lists in running text
    (
        "Happiness: 0%, Neutral: 0%, Sadness: 35%, Anger: 65%",
        "percent_list",
        shares(s=0.35, a=0.65),
    ),
    ("anger: 20%\ndisgust: 5%\nsadness: 75%", "percent_list", shares(a=0.2, d=0.05, s=0.75)),
    ("- **Anger**: 25%\n- **Sadness**: 75%", "percent_list", shares(a=0.25, s=0.75)),
    ("1. Anger: 25%\n2. Sadness: 75%", "percent_list", shares(a=0.25, s=0.75)),
    ("| Emotion | Share |\n| Anger | 25% |\n| Sad | 75% |", "table", shares(a=0.25, s=0.75)),
    ("Anger – 25 %; Sadness – 75 %", "percent_list", shares(a=0.25, s=0.75)),
    ("Anger (angry): 25%; Sadness (sad): 75%", "percent_list", shares(a=0.25, s=0.75)),
    ("anger = 0.25, sadness = 0.75", "percent_list", shares(a=0.25, s=0.75)),
    ("anger 0.25\nsadness 0.75", "percent_list", shares(a=0.25, s=0.75)),
    ("Anger: 20–30%, Sadness: 75%", "percent_list", shares(a=0.25, s=0.75)),
    ("Ärger? anger: 25,0 %; sadness: 75,0 %", "percent_list", shares(a=0.25, s=0.75)),
    ("25% anger, 75% sadness", "percent_list", shares(a=0.25, s=0.75)),
    ("25% anger 75% sadness", "percent_list", shares(a=0.25, s=0.75)),
    ("anger 25% sadness 75%", "percent_list", shares(a=0.25, s=0.75)),
    (
        "A 25% chance that the speaker is angry and a 75% chance of sadness.",
        "percent_list",
        shares(a=0.25, s=0.75),
    ),
    (
        "The likelihood of anger is around 25%, and sadness is at 75%.",
        "percent_list",
        shares(a=0.25, s=0.75),
    ),
    ("anger: 90%? No. Final: anger: 25%, sadness: 75%", "percent_list", shares(a=0.25, s=0.75)),
    ("happy: 20%, joy: 5%, sad: 75%", "percent_list", shares(h=0.25, s=0.75)),
    ("Anger: 1/4, Sadness: 3/4", "percent_list", shares(a=0.25, s=0.75)),
    # lists of names
    ('["anger", "sadness"]', "label_list", shares(a=0.5, s=0.5)),
    ('["anger", "sadness", "confusion"]', "label_list", shares(a=0.5, s=0.5)),
    ("['angry', 'mad', 'sad']", "label_list", shares(a=0.5, s=0.5)),
    ('{"emotions": ["anger", "sadness"]}', "label_list", shares(a=0.5, s=0.5)),
    ("anger, sadness", "label_list", shares(a=0.5, s=0.5)),
    ("Anger and sadness", "label_list", shares(a=0.5, s=0.5)),
    ("Emotions: anger, sadness", "label_list", shares(a=0.5, s=0.5)),
    ("- anger\n- sadness", "label_list", shares(a=0.5, s=0.5)),
    ("1. Anger\n2. Sadness", "label_list", shares(a=0.5, s=0.5)),
    ("angry, bewildered", "label_list", shares(a=1.0)),
    # lists of numbers
    ("[0.25, 0, 0, 0, 0, 0.75]", "number_list", shares(a=0.25, s=0.75)),
    ("The shares are [25%, 0%, 0%, 0%, 0%, 75%].", "number_list", shares(a=0.25, s=0.75)),
    ("[0.25, 0.75]", "number_list", shares(a=0.25, d=0.75)),
    ("[1, 0, 0, 0, 0, 3, 9, 9]", "number_list", shares(a=0.25, s=0.75)),
    ("(1, 3)", "number_list", shares(a=0.25, d=0.75)),
    ("np.array([0.25 0.75])", "number_list", shares(a=0.25, d=0.75)),
    # words
    ("neutral", "keyword", shares(n=1.0)),
    ("Neutral.", "keyword", shares(n=1.0)),
    ("**Anger**", "keyword", shares(a=1.0)),
    ("The speaker sounds furious.", "keyword", shares(a=1.0)),
    ("The speaker is angry, really angry.", "keyword", shares(a=1.0)),
    ("It sounds both angry and, slightly, sad.", "keyword", shares(a=0.5, s=0.5)),
    ('{"emotion": "anger"}', "keyword", shares(a=1.0)),
    ('{"emotion": "anger", "confidence": "high"}', "keyword", shares(a=1.0)),
    ("I weighed the pros and con of sur and dis: fearful", "keyword", shares(f=1.0)),
    ("<think>sad? fear?</think>The emotion is disgust", "keyword", shares(d=1.0)),
]

INVALID = [
    ("<think>it is sadness</think>", "none", "no_answer"),
    ("<think>it is sadness", "none", "unfinished_thinking"),
    ("Final answer:", "none", "truncated"),
    ("[9, 9] or rather [1; 3]", "number_list", "ambiguous"),
    ("It sounds both angry to me and, at the end, sad.", "keyword", "ambiguous"),
    ("Neither angry nor sad.", "keyword", "ambiguous"),
    ("anger: 60%, and some sadness", "percent_list", "ambiguous"),
    ("anger: 20%, sadness: 30%, neutral:", "percent_list", "truncated"),
    ('{"anger": "low", "sadness": "high"}', "json", "ambiguous"),
    ('{"anger": 0.2, "awe": 0.8}', "json", "unknown_labels"),
    ("awe: 80%, anger: 20%", "percent_list", "unknown_labels"),
    ("anger: 50%, " * 3000, "none", "too_long"),
    ("", "none", "empty"),
    (" \n\t ", "none", "empty"),
    ("0.7", "none", "single_number"),
    ("The answer is 80%.", "none", "single_number"),
    ("[0.7]", "none", "single_number"),
    ("hello there", "none", "no_answer"),
    ("unhappy", "none", "no_answer"),
    ("3 voices and 2 dogs", "none", "no_answer"),
    ("I'm sorry, but I can't help with that.", "none", "refusal"),
    ("I cannot determine an emotion such as anger or happiness.", "none", "refusal"),
    ("As an AI language model, I do not hear whether she is sad.", "none", "refusal"),
    ("I’m unable to listen to audio, so anger or fear are both possible.", "none", "refusal"),
    ('{"anger": 0.5, "sadness": 0.3', "json", "truncated"),
    ('{"anger": 0.1, "dis', "json", "truncated"),
    ('{"anger": -0.2, "sadness": 1.2}', "json", "negative"),
    ('{"anger": NaN, "sadness": 1}', "json", "not_finite"),
    ('{"anger": Infinity}', "json", "not_finite"),
    ('{"anger": 1e999}', "json", "not_finite"),
    ('{"anger": 0, "sadness": 0}', "json", "all_zero"),
    ('{"anger": 1} {"anger": 0}', "json", "all_zero"),
    ("{'anger': nan, 'sadness': 1}", "json", "not_finite"),
    ("Anger: -5%, sadness: 105%", "percent_list", "negative"),
    ("anger: 0%, sadness: 0%", "percent_list", "all_zero"),
    ("[nan, 0.5]", "number_list", "not_finite"),
    ("[-1, 2]", "number_list", "negative"),
    ("[0, 0, 0, 0, 0, 0, 5]", "number_list", "all_zero"),
]


@pytest.mark.parametrize(("text", "rule", "expected"), VALID, ids=[case[0][:50] for case in VALID])
def test_an_answer_gives_its_distribution_and_rule(
    text: str, rule: str, expected: list[float]
) -> None:
    parsed = parse_answer(text, LABELS)
    assert parsed.rule == rule
    assert parsed.invalid_reason is None
    np.testing.assert_allclose(parsed.probs, expected, atol=1e-12)


@pytest.mark.parametrize(
    ("text", "rule", "reason"), INVALID, ids=[repr(c[0][:50]) for c in INVALID]
)
def test_an_unusable_answer_is_invalid_with_its_reason(text: str, rule: str, reason: str) -> None:
    parsed = parse_answer(text, LABELS)
    assert parsed.probs is None
    assert (parsed.rule, parsed.invalid_reason) == (rule, reason)


def test_a_cut_answer_is_not_completed_even_if_the_last_number_only_looks_whole() -> None:
    # 0.15 cut to 0.1: all labels are named, but the sum tells.
    text = (
        '{"anger": 0.2, "disgust": 0.2, "fear": 0.2, "happiness": 0.2, "neutral": 0.05, "sad": 0.1'
    )
    assert parse_answer(text, LABELS).invalid_reason == "truncated"


@pytest.mark.parametrize(("unit", "surprise"), [(0.1, 0.9), (10, 90)])
def test_a_dropped_half_is_a_half_in_tenths_too(unit: float, surprise: float) -> None:
    """Of .9 among 1.8 a half is dropped; floating point makes it a little more."""
    parts = {"anger": 3, "disgust": 1, "happiness": 1, "neutral": 2, "sadness": 2}
    answer = {name: round(number * unit, 1) for name, number in parts.items()}
    parsed = parse_answer(json.dumps({**answer, "surprise": surprise}), LABELS)
    assert parsed.invalid_reason is None
    assert parsed.dropped_share == pytest.approx(0.5)
    more = {**answer, "surprise": surprise * 1.01}
    assert parse_answer(json.dumps(more), LABELS).invalid_reason == "unknown_labels"


def test_any_label_set_is_served() -> None:
    labels = LabelSet(("calm", "uncanny"))
    np.testing.assert_allclose(
        parse_answer('{"calm": 1, "uncanny": 3}', labels).probs, [0.25, 0.75]
    )


PIECES = [
    *"{}[]()\":,.%-+ \n\t0123456789eE_\\/|*`'",
    *(
        "anger",
        "sad",
        "happy",
        "{",
        '":',
        "nan",
        "inf",
        "1e999",
        "-0",
        "percent",
        "score",
        "²",
        "𝟘",
    ),
    *("null", "true", "<think>", "</think>", "\x00", "٣", "ﬀ", "\ud800", "cannot tell", "and"),
]


def test_no_text_makes_the_parsers_raise_or_break_their_promises() -> None:
    rng = random.Random(7)
    for _ in range(2000):
        text = "".join(rng.choices(PIECES, k=rng.randint(1, 60)))
        parsed = parse_answer(text, LABELS)
        score = parse_score(text)
        reading = read_answer(text, LABELS)
        assert "".join(text[part.start : part.end] for part in reading.parts) == text
        assert parsed.invalid_reason is None or parsed.invalid_reason in REASONS
        assert parsed.rule in RULES
        assert (parsed.probs is None) == (parsed.invalid_reason is not None)
        if parsed.probs is not None:
            assert parsed.probs.shape == (6,)
            assert (parsed.probs >= 0.0).all()
            assert abs(parsed.probs.sum() - 1.0) < 1e-12
        assert score is None or 0.0 <= score <= 1.0


PIECES_OF_LONG_TEXTS = [
    *("{", '{"a":', "{'a':{", "1", "<think>", "anger ", "[", "a_", '{"anger":1}', "\n", "...a"),
    *("anger x ", "1,", "anger: 5%, ", "not anger, ", "| a | 1 |\n", "(1", "]}", '"', "Answer: "),
]


@pytest.mark.parametrize("piece", PIECES_OF_LONG_TEXTS)
def test_the_time_for_a_text_grows_no_faster_than_the_text(piece: str) -> None:
    def seconds(characters: int) -> float:
        started = time.process_time()
        parse_answer(piece * (characters // len(piece)), LABELS)
        parse_score(piece * (characters // len(piece)))
        return time.process_time() - started

    def grows_no_faster(characters: int) -> bool:
        return seconds(2 * characters) < 4.0 * seconds(characters) + 0.2

    # Tried again: a garbage collection of the whole suite may fall into one of the two.
    assert any(grows_no_faster(8_000) for _ in range(3))
    assert any(grows_no_faster(100_000) for _ in range(3))


def test_ten_thousand_brackets_are_no_answer() -> None:
    for bracket in ("[", "{", "(", "[{", "}", "]"):
        assert parse_answer(bracket * 10_000, LABELS).probs is None
    inside = "[" * 10_000 + '{"anger": 0.25, "sadness": 0.75}' + "]" * 10_000
    assert parse_answer(inside, LABELS).invalid_reason in ("ambiguous", "truncated", None)


def test_of_a_long_answer_only_an_object_at_its_end_is_read() -> None:
    reasoning = "The pitch rises, and falls again. " * 2000
    read = parse_answer(reasoning + '{"anger": 0.25, "sadness": 0.75}', LABELS)
    np.testing.assert_allclose(read.probs, shares(a=0.25, s=0.75))
    assert parse_answer(reasoning + "anger", LABELS).invalid_reason == "too_long"
    assert parse_answer(reasoning + "Final answer: anger", LABELS).probs is not None
    assert parse_answer(f"<think>{reasoning}</think>anger", LABELS).probs is not None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.8", 0.8),
        (" 0.8 ", 0.8),
        ("**0.8**", 0.8),
        ("1", 1.0),
        ("0", 0.0),
        ("1.0", 1.0),
        (".8", 0.8),
        ("80%", 0.8),
        ("80 %", 0.8),
        ("8/10", 0.8),
        ("0.8/1", 0.8),
        ("0.8/1.0", 0.8),
        ("0.8 out of 1", 0.8),
        ("Score: 0.8", 0.8),
        ("The score is 0.8 because 0.6 of the votes fit.", 0.8),
        ("Rating: 4/5", 0.8),
        ('{"score": 0.8}', 0.8),
        ("I would give it a score of 80%.", 0.8),
        ("0.8. The candidate gives 0.6 to anger.", 0.8),
        ("Anger 0.6 fits, sadness 0.4 less so.\n0.8", 0.8),
        ("<think>0.2 at first</think>0.8", 0.8),
        ("I rate this 0.8 overall", 0.8),
        ("", None),
        ("good", None),
        ("85", None),
        ("-0.5", None),
        ("1.7", None),
        ("7 of the cues fit", None),
        ("1 of the cues fits", None),
        ("1. The tone fits in part", None),
        ("0.3 to 0.5", None),
        ("between 0.3 and 0.5", None),
        ("nan", None),
        ("Score: 0,8", 0.8),
        ("Score: 0.8, Confidence: 0.9", 0.8),
        ("Confidence: 0.9, Score: 0.8", 0.8),
        ("Score: 0.8 (on a scale from 0 to 1)", 0.8),
        ("Score (0-1): 0.8", 0.8),
        ("maybe 0.2</think>Score: 0.8", 0.8),
        ("<think>Score: 0.2", None),
        ("Score: 0.6. Final score: 0.8", 0.8),
        ("Score: 0.6, or a score of 0.8", None),
        ("Anger score: 0.6, sadness score: 0.4", None),
        ("Score: 0.75-0.85", None),
        ("Score: 8", None),
        ("0.8 0.9", None),
        ('{"score": 0.8, "confidence": 0.3, "reason": "0.5 of it fits"}', 0.8),
        ("The clip lasts 3.2 s.\nScore: 0.8", 0.8),
        ("fear: 0.5, sadness: 0.5", None),
        ('{"score": null, "fear": 0.9}', None),
        ("0.3 for fear is too low.", None),
        ("Score: 0.6 or 0.8", None),
        ("Score: 0.6. No, 0.8.", None),
        ("0.8\n0.6", None),
        ("Score: 0.6 / 0.8", None),
        ("The score is not 0.8.", None),
        ("A score of 0.8 would be too low.", None),
        ("Score: at most 0.8", None),
        ("Loss: 0.2", None),
        ("2 of 5 labels fit", None),
        ("Final score: 0.8 (first score: 0.6)", 0.8),
        ("Tone: 0.9, words: 0.5, overall: 0.8", 0.8),
        ("Score = 1 - 0.2 = 0.8", 0.8),
        ("(0.9 + 0.7) / 2 = 0.8", 0.8),
        ("Score [0,1]: 0.8", 0.8),
        ("On a scale from 0 to 1: 0.8", 0.8),
        ("I give it 0.8 because fear 0.1 is too low.", 0.8),
    ],
)
def test_a_verifier_answer_gives_a_score_or_none(text: str, expected: float | None) -> None:
    assert parse_score(text) == (None if expected is None else pytest.approx(expected))


def test_the_page_names_every_rule_and_every_reason() -> None:
    page = (Path(__file__).parents[2] / "raypipe/parsing/README.md").read_text(encoding="utf-8")
    for name in (*RULES, *REASONS):
        assert name == "none" or f"`{name}`" in page, name
    for name, words in RULES.items():
        assert name == "none" or words.replace("anger: 35%, 35% anger", "")[:40] in page, name
