"""Texts as models write them: read as a careful reader would, or invalid."""

import json
from pathlib import Path

import numpy as np
import pytest
from answer_texts import TEXTS, TEXTS_OF_SETS, Shares

from raypipe.labels import LABEL_SETS
from raypipe.parsing import parse_answer

LABELS = LABEL_SETS["crema-d-6"]
SHARED = Path(__file__).parents[3] / "shared" / "cases" / "answers.jsonl"


@pytest.mark.parametrize(("text", "expected"), TEXTS, ids=[repr(text[:60]) for text, _ in TEXTS])
def test_a_text_is_read_as_a_careful_reader_would(text: str, expected: Shares | None) -> None:
    parsed = parse_answer(text, LABELS)
    if expected is None:
        assert parsed.probs is None
        assert parsed.invalid_reason
        return
    assert parsed.probs is not None, parsed.invalid_reason
    shares = np.array([expected.get(name[0], 0.0) for name in LABELS.names])
    np.testing.assert_allclose(parsed.probs, shares / shares.sum(), atol=1e-3)


@pytest.mark.parametrize(
    ("label_set", "text", "expected"),
    TEXTS_OF_SETS,
    ids=[f"{name} {text[:60]!r}" for name, text, _ in TEXTS_OF_SETS],
)
def test_a_text_is_read_under_its_label_set(
    label_set: str, text: str, expected: Shares | None
) -> None:
    labels = LABEL_SETS[label_set]
    parsed = parse_answer(text, labels)
    if expected is None:
        assert parsed.probs is None
        return
    assert parsed.probs is not None, parsed.invalid_reason
    shares = np.array([expected.get(name, 0.0) for name in labels.names])
    np.testing.assert_allclose(parsed.probs, shares / shares.sum(), atol=1e-3)


def test_the_texts_from_the_field_are_never_read_wrongly() -> None:
    if not SHARED.exists():
        pytest.skip(f"{SHARED} is not there: it is no part of the project")
    right, wrong = 0, []
    cases = [json.loads(line) for line in SHARED.read_text(encoding="utf-8").splitlines()]
    for case in cases:
        labels = LABEL_SETS[case["label_set"]]
        probs, expected = parse_answer(case["text"], labels).probs, case["expected"]
        if probs is None or expected is None:
            right += probs is None and expected is None
            wrong += [case["text"]] if probs is not None else []
            continue
        shares = np.array([expected.get(name, 0.0) for name in labels.names])
        if np.allclose(probs, shares / shares.sum(), atol=1e-3):
            right += 1
        else:
            wrong.append(case["text"])
    assert wrong == []
    assert right >= 0.97 * len(cases)
