"""Answers written otherwise: the reading stays what it is, or becomes invalid, never another."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pytest
from answer_texts import TEXTS

from raypipe.labels import LABEL_SETS
from raypipe.parsing import parse_answer, read_answer

LABELS = LABEL_SETS["crema-d-6"]
VALID = [text for text, expected in TEXTS if expected is not None]

Mutation = Callable[[str], str]


def in_full_width(text: str) -> str:
    return text.translate({ord(digit): ord(digit) + 0xFEE0 for digit in "0123456789"})


SAME: dict[str, Mutation] = {
    "thinking": lambda text: f'<think>Fear: 0.9? {{"fear": 1.0}} or disgust.</think>\n{text}',
    "unopened thinking": lambda text: f"It may be fear, 90%.\n</think>\n{text}",
    "channels": lambda text: (
        f"<|channel|>analysis<|message|>fear 0.9<|end|><|channel|>final<|message|>{text}"
    ),
    "answer tag": lambda text: f"I weighed fear (0.9).\n<answer>{text}</answer>",
    "marker": lambda text: f"Fear: 90%? Not quite.\nFinal answer: {text}",
    "code fence": lambda text: f"```\n{text}\n```",
    "json fence": lambda text: f"```json\n{text}\n```",
    "end of turn": lambda text: f"{text}<|im_end|>\n",
    "blank lines": lambda text: f"\n\n  {text}\n \n",
    "measurements before": lambda text: f"Pitch 220 Hz, energy -23 dB, 3 pauses.\n{text}",
    "measurements after": lambda text: f"{text}\nThe clip lasts 3.2 seconds at 220 Hz.",
    "confidence": lambda text: f"{text}\nConfidence: 80%",
    "reason": lambda text: f"{text}\nReason: a loud voice with 3 pauses; no fear, no disgust.",
    "note": lambda text: f"{text}\n\nNote: these are estimates, 12 s of audio were heard.",
    "full width": in_full_width,
    "carriage returns": lambda text: text.replace("\n", "\r\n"),
    "capitals": str.upper,
    "small letters": str.lower,
    "curly quotes": lambda text: text.replace('"', "\N{RIGHT DOUBLE QUOTATION MARK}"),
    "no-break spaces": lambda text: text.replace(" ", "\N{NO-BREAK SPACE}"),
    "long dashes": lambda text: text.replace(" - ", " \N{EM DASH} "),
    "escaped percent": lambda text: text.replace("%", "\\%"),
    "stray brace": lambda text: f"{text}}}",
}


@pytest.mark.parametrize("name", SAME)
def test_what_is_no_part_of_an_answer_changes_no_reading(name: str) -> None:
    lost = []
    for text in VALID:
        before, after = parse_answer(text, LABELS), parse_answer(SAME[name](text), LABELS)
        assert before.probs is not None
        if after.probs is None:
            lost.append(text)
            continue
        np.testing.assert_allclose(after.probs, before.probs, atol=1e-9, err_msg=SAME[name](text))
    assert len(lost) <= 0.05 * len(VALID), lost


FORMATS: dict[str, tuple[str, str, str, str]] = {
    "object": ("{", '"{name}": {value}', ", ", "}"),
    "single quotes": ("{", "'{name}': {value}", ", ", ",}"),
    "bare keys": ("{", "{name}: {value}", ",\n ", "}"),
    "percent strings": ("{", '"{name}": "{percent}%"', ", ", "}"),
    "nested": ("{", '"{name}": {{"score": {value}, "why": "fear 3"}}', ", ", "}"),
    "comments": ("{\n", '"{name}": {value}, // loud 3', "\n", "\n}"),
    "records": ("[", '{{"emotion": "{name}", "probability": {value}}}', ", ", "]"),
    "pairs": ("[", '["{name}", {value}]', ", ", "]"),
    "tuples": ("[", "('{name}', {value})", ", ", "]"),
    "json lines": ("", '{{"{name}": {value}}}', "\n", ""),
    "lines": ("", "{name}: {value}", "\n", ""),
    "bullets": ("Shares:\n", "- **{name}**: {percent}%", "\n", ""),
    "numbered": ("", "{number}. {name} - {percent}%", "\n", ""),
    "sentence": ("", "{name} ({percent}%)", ", ", "."),
    "number first": ("", "{percent}% {name}", ", ", "."),
    "reasons": ("", "{name}: {percent}% because of {number} pauses", ".\n", "."),
    "table": ("| Emotion | Share |\n|---|---|\n", "| {name} | {percent}% |", "\n", "\n"),
    "wide table": ("| Emotion | F0 | Share |\n|---|---|---|\n", "| {name} | 22{number} | {value} |",
                   "\n", "\n"),
    "csv": ("emotion,probability\n", "{name},{value}", "\n", "\n"),
    "tags": ("", '<emotion name="{name}" value="{value}"/>', "", ""),
    "decimal commas": ("", "{name}: {comma}", "; ", ""),
    "votes": ("", "{name}: {percent} votes", ", ", "."),
    "out of": ("", "{name}: {percent} out of 100", ", ", ""),
    "equals": ("", "{name}={value}", " ", ""),
}  # fmt: skip


def made_up_shares(rng: random.Random) -> dict[str, int]:
    """Percent of some labels, at least two of them positive."""
    names = rng.sample(LABELS.names, rng.randint(2, len(LABELS)))
    cuts = sorted(rng.sample(range(1, 100), len(names) - 1))
    ends = [0, *cuts, 100]
    return {name: ends[at + 1] - ends[at] for at, name in enumerate(names)}


def written(form: str, shares: dict[str, int]) -> str:
    start, entry, gap, end = FORMATS[form]
    entries = [
        entry.format(
            name=name,
            number=number,
            percent=percent,
            value=f"{percent / 100:.2f}",
            comma=f"{percent / 100:.2f}".replace(".", ","),
        )
        for number, (name, percent) in enumerate(shares.items(), 1)
    ]
    return start + gap.join(entries) + end


@pytest.mark.parametrize("form", FORMATS)
def test_a_distribution_is_read_from_every_form_in_every_order(form: str) -> None:
    rng = random.Random(form)
    for _ in range(40):
        shares = made_up_shares(rng)
        text = written(form, shares)
        parsed = parse_answer(text, LABELS)
        assert parsed.probs is not None, (text, parsed.invalid_reason)
        expected = [shares.get(name, 0) / 100 for name in LABELS.names]
        np.testing.assert_allclose(parsed.probs, expected, atol=1e-9, err_msg=text)


@pytest.mark.parametrize("form", FORMATS)
def test_a_form_mixed_with_anything_else_is_never_read_as_something_else(form: str) -> None:
    rng = random.Random(form)
    for _ in range(60):
        shares = made_up_shares(rng)
        text = written(form, shares)
        for mutate in rng.sample(list(SAME.values()), 3):
            text = mutate(text)
        probs = parse_answer(text, LABELS).probs
        if probs is not None:
            expected = [shares.get(name, 0) / 100 for name in LABELS.names]
            np.testing.assert_allclose(probs, expected, atol=1e-9, err_msg=text)


@pytest.mark.parametrize("form", FORMATS)
def test_two_distributions_that_differ_are_never_mixed(form: str) -> None:
    rng = random.Random(form)
    for _ in range(25):
        first, second = made_up_shares(rng), made_up_shares(rng)
        text = f"{written(form, first)}\nBy the words alone:\n{written(form, second)}"
        probs = parse_answer(text, LABELS).probs
        if probs is not None:  # of objects after each other the last
            expected = [second.get(name, 0) / 100 for name in LABELS.names]
            np.testing.assert_allclose(probs, expected, atol=1e-9, err_msg=text)


def test_the_fast_way_and_the_long_way_read_alike() -> None:
    rng = random.Random(3)
    for _ in range(200):
        text = written("object", made_up_shares(rng))
        quick, whole = parse_answer(text, LABELS), read_answer(text, LABELS).parsed
        assert (quick.rule, quick.dropped_share) == (whole.rule, whole.dropped_share) == ("json", 0)
        np.testing.assert_array_equal(quick.probs, whole.probs)


def test_the_parts_of_a_reading_cover_the_text_in_order() -> None:
    for text, _ in TEXTS:
        parts = read_answer(text, LABELS).parts
        ends = [0, *(part.end for part in parts)]
        assert [part.start for part in parts] == ends[:-1], text
        assert ends[-1] == len(text)
