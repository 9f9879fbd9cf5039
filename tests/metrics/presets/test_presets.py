"""Every preset against computations of their own, utterance by utterance."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.stats import entropy
from sklearn.metrics import accuracy_score, f1_score, precision_score, recall_score
from tables_of_predictions import CREMA_D, crema_d_votes, predictions_table, random_votes

from raypipe.errors import ConfigError, RegistryError
from raypipe.labels import LabelSet
from raypipe.metrics.bootstrap import id_hashes, poisson_weights
from raypipe.metrics.comparison import Systems
from raypipe.metrics.humans import HALVINGS, smaller_halves
from raypipe.metrics.joining import Joining
from raypipe.metrics.presets.preset import PaperPreset, PresetMetric
from raypipe.metrics.presets.registry import PRESETS, preset_named
from raypipe.metrics.presets.scoring import (
    PresetScore,
    is_of,
    matching_figures,
    preset_scores,
    published_figures,
)
from raypipe.metrics.rows import read_groups

COUNT, K = 300, 6
IDS = [f"u{number}" for number in range(COUNT)]
VOTES = random_votes(COUNT, K, seed=9)
VOTES[::60] = 0.0
RNG = np.random.default_rng(3)
PROBS = np.round(RNG.dirichlet(np.ones(K), COUNT), 1)  # many ties, some zeros
PROBS /= np.where(PROBS.sum(axis=1, keepdims=True) > 0, PROBS.sum(axis=1, keepdims=True), 1)
PROBS[~np.isclose(PROBS.sum(axis=1), 1)] = 1 / K
PROBS[5::17] = np.nan
NEUTRAL = CREMA_D.names.index("neutral")


def systems_of(votes: np.ndarray, probs: np.ndarray, labels: LabelSet = CREMA_D) -> Systems:
    joining = Joining()
    ids = [f"u{number}" for number in range(len(votes))]
    joining.add(
        "run", read_groups(predictions_table(ids, votes, {"a": probs}, labels), labels), None
    )
    return joining.systems({name: name.strategy for name in joining.names})


def scores(name: str, replicates: int = 0) -> dict[str, PresetScore]:
    listed = preset_scores(PRESETS[name], systems_of(VOTES, PROBS), CREMA_D, replicates=replicates)
    return {item.metric: item for item in listed if item.system == "a"}


def rows(invalid: str) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Votes, soft label and prediction of what is scored; predictions that are wrong are NaN."""
    kept = []
    for votes, probs in zip(VOTES, PROBS, strict=True):
        if not votes.any() or (invalid == "left_out" and np.isnan(probs).any()):
            continue
        if invalid == "neutral" and np.isnan(probs).any():
            probs = np.eye(K)[NEUTRAL]
        kept.append((votes, votes / votes.sum(), probs))
    return kept


def classes(invalid: str, truth_ties: str) -> tuple[list[int], list[int]]:
    """True and predicted labels with ties to the first; -1 predicts nothing."""
    true, predicted = [], []
    for votes, _, probs in rows(invalid):
        if truth_ties == "left_out" and (votes == votes.max()).sum() > 1:
            continue
        true.append(int(votes.argmax()))
        top = np.flatnonzero(probs >= probs.max() - 1e-9) if not np.isnan(probs).any() else [-1]
        predicted.append(int(top[0]))
    return true, predicted


def mean(function: Callable[[np.ndarray, np.ndarray], float], invalid: str) -> float:
    return float(np.nanmean([function(p, q) for _, p, q in rows(invalid)]))


def pearson2(p: np.ndarray, q: np.ndarray) -> float:
    flat = np.ptp(p) < 1e-9 or np.ptp(q) < 1e-9
    return np.nan if flat else np.corrcoef(p, q)[0, 1] ** 2


def test_halim() -> None:
    values = scores("halim")

    def kl(p: np.ndarray, q: np.ndarray) -> float:
        return float(entropy(p, (q + 1e-10) / (1 + K * 1e-10)))

    def bd(p: np.ndarray, q: np.ndarray) -> float:
        return float(-np.log(max(np.sqrt(p * q).sum(), 1e-10)))

    for name, function in (("KL", kl), ("BD", bd), ("R2", pearson2)):
        assert values[name].value == pytest.approx(mean(function, "left_out"), abs=1e-9)
    true, predicted = classes("left_out", "left_out")
    assert values["accuracy"].value == pytest.approx(accuracy_score(true, predicted), abs=1e-9)
    expected = f1_score(true, predicted, average="macro")
    assert values["macro_f1"].value == pytest.approx(expected, abs=1e-9)


def test_tts() -> None:
    values = scores("tts")
    bits = mean(lambda p, q: jensenshannon(p, q, base=2) ** 2, "left_out")
    nats = mean(lambda p, q: jensenshannon(p, q) ** 2, "left_out")
    assert values["JS"].value == pytest.approx(bits, abs=1e-9)
    assert values["JS_nats"].value == pytest.approx(nats, abs=1e-9)
    overlap = mean(lambda p, q: float(np.sqrt(p * q).sum()), "left_out")
    assert values["BC"].value == pytest.approx(overlap, abs=1e-9)
    assert values["R2"].value == pytest.approx(mean(pearson2, "left_out"), abs=1e-9)
    true, predicted = classes("left_out", "first")
    assert values["accuracy"].value == pytest.approx(accuracy_score(true, predicted), abs=1e-9)
    assert values["accuracy"].n == len(true)
    expected = f1_score(true, predicted, average="macro")
    assert values["macro_f1"].value == pytest.approx(expected, abs=1e-9)


def test_tts_gives_the_prior_of_crema_d_the_accuracy_of_ties_to_the_first() -> None:
    """Spec: .539 with ties to the first label; macro-F1 .1167."""
    _, votes = crema_d_votes()
    systems = systems_of(votes, np.full(votes.shape, 1 / K))
    listed = preset_scores(PRESETS["tts"], systems, CREMA_D, replicates=0)
    values = {item.metric: item.value for item in listed if item.system == "prior"}
    assert values["accuracy"] == pytest.approx(0.5390, abs=5e-5)
    assert values["macro_f1"] == pytest.approx(0.1167, abs=5e-5)
    assert values["JS"] == pytest.approx(0.2903, abs=5e-5)
    assert values["BC"] == pytest.approx(0.7377, abs=5e-5)
    assert values["R2"] == pytest.approx(0.4703, abs=5e-5)


def test_aer_llm() -> None:
    values = scores("aer_llm")

    def bc(p: np.ndarray, q: np.ndarray) -> float:
        return round(float(np.sqrt(p * q).sum()), 4)

    def squared(p: np.ndarray, q: np.ndarray) -> float:
        return round(float(np.cov(p, q, ddof=0)[0, 1] ** 2 / (p.var() * q.var() + 1e-10)), 4)

    def kl(p: np.ndarray, q: np.ndarray) -> float:
        return float(sum(b * np.log(b / (a + 1e-8)) for a, b in zip(p, q, strict=True) if b > 0))

    for name, function in (("BC", bc), ("R2", squared), ("KL", kl), ("JS", jensenshannon)):
        # np.round and round may differ in the last of the four digits
        tolerance = 1e-5 if name in ("BC", "R2") else 1e-9
        assert values[name].value == pytest.approx(mean(function, "neutral"), abs=tolerance)
    true, predicted = classes("neutral", "first")
    assert values["accuracy"].n == len(true)
    assert values["accuracy"].value == pytest.approx(accuracy_score(true, predicted), abs=1e-9)
    expected = f1_score(true, predicted, average="weighted")
    assert values["weighted_f1"].value == pytest.approx(expected, abs=1e-9)
    sure = np.array([q.max() for _, _, q in rows("neutral")])
    right = np.array(true) == np.array(predicted)
    bins = np.ceil(sure * 5 - 1e-9).astype(int).clip(1)
    error = sum(abs(right[bins == b].sum() - sure[bins == b].sum()) for b in range(1, 6))
    assert values["ECE"].value == pytest.approx(error / len(true), abs=1e-9)
    assert np.isnan(values["ECE"].low)


def test_aer_llm_prints_what_its_notebook_does() -> None:
    from raypipe.metrics.presets.catalogue.aer_llm import rounded_r2

    truth = np.array([[0.33, 0.0, 0.0, 0.67], [0.0, 1.0, 0.0, 0.0]])
    prediction = np.array([[0.0, 0.0, 0.0, 1.0], [0.67, 0.33, 0.0, 0.0]])
    assert rounded_r2(truth, prediction).tolist() == [0.7641, 0.0277]
    assert rounded_r2(truth[:1], np.full((1, 4), 0.25)).tolist() == [0.0]


def test_emo_superb() -> None:
    values = scores("emo_superb")
    kept = rows("left_out")
    smoothed = np.array([p * 0.95 + (1 - p) * 0.05 / (K - 1) for _, p, _ in kept])
    truth = smoothed > 1 / K + 1e-9
    predicted = np.array([q for _, _, q in kept]) > 1 / K + 1e-9
    expected = f1_score(truth, predicted, average="macro", zero_division=0)
    assert values["threshold_macro_f1"].value == pytest.approx(expected, abs=1e-9)
    assert values["threshold_macro_f1_by_batch"].value < values["threshold_macro_f1"].value
    raw = np.array([p for _, p, _ in kept]) > 1 / K + 1e-9
    np.testing.assert_array_equal(raw, truth)  # 1/K is the fixed point of the smoothing


@pytest.mark.parametrize("subset", ["", "_majority"])
def test_speechlm(subset: str) -> None:
    values = scores("speechlm")
    true, predicted, given = [], [], []
    for votes, p, probs in rows("wrong"):
        if (votes == votes.max()).sum() > 1 or (subset and p.max() <= 0.5):
            continue
        true.append(int(votes.argmax()))
        top = [-1] if np.isnan(probs).any() else np.flatnonzero(probs >= probs.max() - 1e-9)
        predicted.append(int(top[0]))
        given.append(set(np.flatnonzero(votes).tolist()))
    expected = f1_score(true, predicted, average="macro", labels=range(K))
    assert values[f"macro_f1{subset}"].value == pytest.approx(expected, abs=1e-9)
    # An answer that any annotator gave is right for the label that was predicted.
    credited = [
        q if q in labels else t for t, q, labels in zip(true, predicted, given, strict=True)
    ]
    aware = f1_score(credited, predicted, average="macro", labels=range(K))
    assert values[f"annotator_macro_f1{subset}"].value == pytest.approx(aware, abs=1e-9)


def test_msp_challenge() -> None:
    values = scores("msp_challenge")
    true, predicted = classes("wrong", "left_out")
    labels = range(K)
    expected = {
        "macro_f1": f1_score(true, predicted, average="macro", labels=labels),
        "micro_f1": f1_score(true, predicted, average="micro", labels=labels),
        "macro_precision": precision_score(
            true, predicted, average="macro", labels=labels, zero_division=0
        ),
        "macro_recall": recall_score(
            true, predicted, average="macro", labels=labels, zero_division=0
        ),
        "accuracy": accuracy_score(true, predicted),
    }
    for name, value in expected.items():
        assert values[name].value == pytest.approx(value, abs=1e-9)


def test_intervals_are_percentiles_over_the_replicates_of_the_runs() -> None:
    item = scores("tts", replicates=200)["JS"]
    kept = [k for k in range(COUNT) if VOTES[k].any() and not np.isnan(PROBS[k]).any()]
    weights = poisson_weights([IDS[k] for k in kept], 200, seed=0).astype(float)
    values = np.array([jensenshannon(p, q, base=2) ** 2 for _, p, q in rows("left_out")])
    drawn = weights.T @ values / weights.sum(axis=0)
    assert (item.low, item.high) == pytest.approx(
        tuple(np.quantile(drawn, [0.025, 0.975])), abs=1e-7
    )


def test_invalid_answers_count_as_neutral_only_where_there_is_neutral() -> None:
    labels = LabelSet(("anger", "fear"))
    systems = systems_of(np.ones((3, 2)) + np.eye(3, 2), np.full((3, 2), np.nan), labels)
    with pytest.raises(ConfigError, match="neutral, which is none of the labels anger, fear"):
        preset_scores(PRESETS["aer_llm"], systems, labels, replicates=0)


def test_every_preset_states_every_convention() -> None:
    for preset in PRESETS.values():
        assert all(preset.conventions.values())
        assert len({metric.name for metric in preset.metrics}) == len(preset.metrics)
    assert set(PRESETS) == {"halim", "tts", "aer_llm", "emo_superb", "speechlm", "msp_challenge"}
    with pytest.raises(ConfigError, match="no preset 'x'; there are: halim, tts"):
        preset_named("x")


def test_a_preset_that_leaves_something_out_fails_where_it_is_made() -> None:
    known = PRESETS["tts"]
    parts = {name: getattr(known, name) for name in known.__dataclass_fields__}
    with pytest.raises(RegistryError, match="preset 'tts': eps is empty"):
        PaperPreset(**parts | {"eps": " "})
    with pytest.raises(RegistryError, match="either columns and value, or whole"):
        PresetMetric(name="x", definition="y", better="lower")


def test_published_figures_are_matched_by_corpus_and_definition() -> None:
    assert len(published_figures()) == 336
    figures = matching_figures(PRESETS["tts"], ["crema-d"])
    assert {figure.dataset for figure in figures} == {"CREMA-D"}
    assert {figure.metric for figure in figures} == {"JS", "BC", "R2", "accuracy", "macro_f1"}
    assert 0.2908 in {figure.value for figure in figures if figure.metric == "JS"}
    assert matching_figures(PRESETS["tts"], ["mine"]) == []
    assert matching_figures(PRESETS["tts"], [""]) == []
    lm = matching_figures(PRESETS["speechlm"], ["msp-podcast"])
    assert {figure.dataset for figure in lm} == {"MSP-Podcast v1.12 Test1"}
    assert is_of(PRESETS["tts"], "CREMA D")
    assert not is_of(PRESETS["tts"], "cremad2")


def test_the_kept_figures_are_those_beside_this_checkout(shared_data: object) -> None:
    from pathlib import Path

    stored = Path(str(shared_data)) / "published/published_results.csv"
    kept = Path(__file__).parents[3] / "raypipe/metrics/presets/published.csv"
    assert kept.read_bytes() == stored.read_bytes()


def listed(name: str) -> dict[tuple[str, str], PresetScore]:
    found = preset_scores(PRESETS[name], systems_of(VOTES, PROBS), CREMA_D, replicates=0)
    return {(item.system, item.metric): item for item in found}


def test_every_reference_stands_beside_the_systems() -> None:
    found = listed("tts")
    systems = list(dict.fromkeys(system for system, _ in found))
    assert systems == ["a", "prior", "uniform", "humans"]
    labelled = VOTES[VOTES.any(axis=1)]
    # Of equal shares the first label is predicted, and of equal votes the first one counts.
    first = np.mean(labelled.argmax(axis=1) == 0)
    assert found["uniform", "accuracy"].value == pytest.approx(first, abs=1e-9)


def test_humans_are_the_mean_over_the_halvings_under_the_preset_s_ties() -> None:
    kept = (VOTES.sum(axis=1) >= 2).nonzero()[0]
    counts = VOTES[kept].astype(np.int64)
    hashes = id_hashes([IDS[row] for row in kept])
    accuracies, distances = [], []
    for number in range(HALVINGS):
        smaller = smaller_halves(counts, hashes, number)
        larger = counts - smaller
        accuracies.append((smaller.argmax(axis=1) == larger.argmax(axis=1)).mean())
        pairs = zip(larger, smaller, strict=True)
        distances.append(np.mean([jensenshannon(p, q, base=2) ** 2 for p, q in pairs]))
    found = listed("tts")
    assert found["humans", "accuracy"].value == pytest.approx(np.mean(accuracies), abs=1e-9)
    assert found["humans", "JS"].value == pytest.approx(np.mean(distances), abs=1e-8)
    assert found["humans", "JS"].n == len(kept)


def test_n_is_what_a_score_is_of() -> None:
    labelled = VOTES[VOTES.any(axis=1) & ~np.isnan(PROBS).any(axis=1)]
    tied = (labelled == labelled.max(axis=1, keepdims=True)).sum(axis=1) > 1
    assert 0 < tied.sum() < len(labelled)
    halim = listed("halim")
    assert halim["a", "KL"].n == len(labelled)
    assert halim["a", "accuracy"].n == len(labelled) - tied.sum()
    superb = listed("emo_superb")["a", "threshold_macro_f1"]
    assert superb.n == len(rows(PRESETS["emo_superb"].invalid))
