import numpy as np
import pytest
from sklearn.metrics import f1_score

from raypipe.explain.classify.scores import (
    LabelledItem,
    paired_p_value,
    table_scores,
)
from raypipe.labels import LABEL_SETS

LABELS = LABEL_SETS["msp-podcast-8"]


def made_up(count, seed=0):
    rng = np.random.default_rng(seed)
    items = []
    for index in range(count):
        reference = str(rng.choice(LABELS.names))
        others = {str(rng.choice(LABELS.names)) for _ in range(int(rng.integers(0, 3)))}
        items.append(
            LabelledItem(
                f"u{index}",
                f"s{index % 20}",
                reference,
                frozenset({reference, *others}),
                bool(rng.random() < 0.6),
            )
        )
    return items


def guesses(items, right, seed):
    rng = np.random.default_rng(seed)
    return [
        item.reference if rng.random() < right else str(rng.choice([*LABELS.names, "other"]))
        for item in items
    ]


def cell(scores, system, subset, scoring):
    (found,) = [s for s in scores if (s.system, s.subset, s.scoring) == (system, subset, scoring)]
    return found


def test_every_cell_is_what_scikit_learn_makes_of_the_same_answers():
    items = made_up(400)
    named = guesses(items, 0.5, 1)
    scores = table_scores(items, {"a": named}, LABELS, replicates=100)
    for subset in ("all", "majority"):
        chosen = [k for k, item in enumerate(items) if subset == "all" or item.majority]
        truth = [items[k].reference for k in chosen]
        mv = f1_score(truth, [named[k] for k in chosen], average="macro", labels=list(LABELS.names))
        own = cell(scores, "a", subset, "mv")
        assert own.macro_f1 == pytest.approx(mv, abs=1e-12)
        assert own.low < own.macro_f1 < own.high
        assert (own.n, own.other) == (len(chosen), sum(named[k] == "other" for k in chosen))
        # Any annotator: a right guess moves the truth to what was guessed.
        moved = [named[k] if named[k] in items[k].union else items[k].reference for k in chosen]
        any_ = f1_score(
            moved, [named[k] for k in chosen], average="macro", labels=list(LABELS.names)
        )
        assert cell(scores, "a", subset, "any").macro_f1 == pytest.approx(any_, abs=1e-12)


def test_the_better_system_gets_the_star_and_a_tied_one_does_not():
    items = made_up(600)
    predictions = {
        "weak": guesses(items, 0.2, 1),
        "same": guesses(items, 0.2, 2),
        "strong": guesses(items, 0.6, 3),
    }
    scores = table_scores(items, predictions, LABELS, replicates=400)
    strong = cell(scores, "strong", "all", "mv")
    assert strong.starred
    assert strong.difference_low > 0.0
    assert not cell(scores, "weak", "all", "mv").starred
    named = table_scores(items, predictions, LABELS, against="weak", replicates=400)
    assert cell(named, "strong", "all", "any").against == "weak"
    assert cell(named, "weak", "all", "any").against is None
    assert cell(named, "same", "all", "mv").p_value > 0.05


def test_the_test_keeps_its_level():
    """Two systems of equal skill: a star in about one of forty (it is one-sided)."""
    stars = 0
    for seed in range(120):
        items = made_up(150, seed)
        pair = {"a": guesses(items, 0.4, 2 * seed + 1), "b": guesses(items, 0.4, 2 * seed + 2)}
        scores = table_scores(items, pair, LABELS, replicates=200, by_speaker=False)
        stars += cell(scores, "a", "all", "mv").starred
    assert stars <= 10


def test_failures_to_predict_are_missed_and_falsely_named_as_nothing():
    items = [LabelledItem(f"u{k}", None, "anger", frozenset({"anger"}), True) for k in range(4)]
    named = ["anger", "anger", "other", "other"]
    scores = table_scores(items, {"a": named}, LABELS, replicates=100)
    assert cell(scores, "a", "all", "mv").macro_f1 == pytest.approx(2 * 2 / (2 * 2 + 2))


def test_a_p_value_is_never_nought():
    assert paired_p_value(np.full(999, 0.5)) == pytest.approx(2 / 1000)
    assert paired_p_value(np.zeros(999)) == 1.0
