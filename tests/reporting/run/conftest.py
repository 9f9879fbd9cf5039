"""A made-up run: 200 utterances, five strategies of different skill, votes that disagree."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pytest

from raypipe.labels import LABEL_SETS, LabelSet
from raypipe.store.run_record import RunCounts, RunRecord

LABELS = LABEL_SETS["crema-d-6"]
UTTERANCES = 200
REPLICATES = 200
# (blend of the truth into the prediction, share of invalid answers)
STRATEGIES = {
    "greedy": (0.45, 0.06),
    "token": (0.35, 0.02),
    "token_softmax": (0.10, 0.0),
    "bon": (0.47, 0.05),
    "w_bon": (0.60, 0.01),
}
METRICS_SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("model", "prompt", "strategy", "slice", "metric")),
        ("versus", pa.string()),
        *((name, pa.float64()) for name in ("value", "ci_low", "ci_high")),
        ("n", pa.int64()),
        ("n_invalid", pa.int64()),
    ]
)
ERRORS_SCHEMA = pa.schema(
    [
        ("run", pa.string()),
        ("shard", pa.string()),
        ("utterance_id", pa.string()),
        ("row", pa.int64()),
        ("stage", pa.string()),
        ("error_type", pa.string()),
        ("message", pa.string()),
        ("utterances", pa.int64()),
    ]
)


class MadeUpRun(NamedTuple):
    run: RunRecord
    metrics: pa.Table
    predictions: pa.Table
    errors: pa.Table
    labels: LabelSet


def _js(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    middle = (p + q) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        left = np.where(p > 0, p * np.log2(p / middle), 0).sum(axis=1)
        right = np.where(q > 0, q * np.log2(q / middle), 0).sum(axis=1)
    return (left + right) / 2


def _entropy(p: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return -np.where(p > 0, p * np.log2(p), 0).sum(axis=-1)


def _r2(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    centred_p, centred_q = p - p.mean(1, keepdims=True), q - q.mean(1, keepdims=True)
    power = (centred_p**2).sum(1) * (centred_q**2).sum(1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return (centred_p * centred_q).sum(1) ** 2 / power


def _macro_f1(truth: np.ndarray, predicted: np.ndarray, weights: np.ndarray) -> float:
    scores = []
    for label in range(len(LABELS)):
        hit = weights[(truth == label) & (predicted == label)].sum()
        either = weights[truth == label].sum() + weights[predicted == label].sum()
        scores.append(2 * hit / either if either else 0.0)
    return float(np.mean(scores))


class _World:
    """The truth of the made-up run and what every approach says about it."""

    def __init__(self) -> None:
        generator = np.random.default_rng(7)
        base = np.array([0.14, 0.09, 0.12, 0.13, 0.38, 0.14])
        sharp = generator.uniform(0.15, 2.5, size=UTTERANCES)[:, None]
        shares = generator.gamma(base * sharp * 4, 1.0) + 1e-9
        shares /= shares.sum(1, keepdims=True)
        self.n_votes = generator.integers(5, 12, size=UTTERANCES)
        self.truth = np.stack(
            [generator.multinomial(n, p) / n for n, p in zip(self.n_votes, shares, strict=True)]
        )
        top = self.truth.max(1, keepdims=True)
        tied = (self.truth == top).sum(1) > 1
        self.plurality = np.where(tied, -1, self.truth.argmax(1))
        self.weights = generator.poisson(1.0, size=(REPLICATES, UTTERANCES)).astype(float)
        self.answers: dict[str, np.ndarray] = {}
        self.valid: dict[str, np.ndarray] = {}
        for name, (skill, invalid) in STRATEGIES.items():
            noise = generator.dirichlet(base * 5, size=UTTERANCES)
            self.answers[name] = skill * self.truth + (1 - skill) * noise
            self.valid[name] = generator.uniform(size=UTTERANCES) >= invalid
        prior = np.tile(self.truth.mean(0), (UTTERANCES, 1))
        self.answers |= {"prior": prior, "uniform": np.full_like(prior, 1 / len(LABELS))}
        self.valid |= dict.fromkeys(("prior", "uniform"), np.ones(UTTERANCES, dtype=bool))

    def slices(self) -> dict[str, np.ndarray]:
        order = np.argsort(_entropy(self.truth), kind="stable")
        rank = np.empty(UTTERANCES, dtype=int)
        rank[order] = np.arange(UTTERANCES)
        bins = rank * 5 // UTTERANCES
        slices = {"all": np.ones(UTTERANCES, dtype=bool)}
        slices |= {f"ambiguity_count_{index + 1}": bins == index for index in range(5)}
        slices["majority"] = self.truth.max(1) > 0.5
        for index, label in enumerate(LABELS.names):
            slices[f"label={label}"] = self.plurality == index
        return slices


def _interval(values: np.ndarray) -> tuple[float, float]:
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return float(low), float(high)


def _metric_rows(world: _World) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    js = {name: _js(world.truth, q) for name, q in world.answers.items()}
    for name, q in world.answers.items():
        bc = np.sqrt(world.truth * q).sum(1)
        for slice_name, member in world.slices().items():
            kept = member & world.valid[name]
            counts = {"n": int(kept.sum()), "n_invalid": int((member & ~kept).sum())}

            def add(
                metric: str,
                value: float,
                draws: np.ndarray,
                versus: str | None = None,
                key: tuple[str, str] = (name, slice_name),
                counts: dict[str, int] = counts,
            ) -> None:
                low, high = _interval(draws)
                rows.append(
                    {"model": "tiny-alm", "prompt": "distribution", "strategy": key[0]}
                    | {"slice": key[1], "metric": metric, "versus": versus, "value": value}
                    | {"ci_low": low, "ci_high": high}
                    | counts
                )

            def mean(metric: str, values: np.ndarray, keep: np.ndarray, **options: Any) -> None:
                keep = keep & np.isfinite(values)
                weights = world.weights[:, keep]
                with np.errstate(invalid="ignore"):
                    draws = weights @ values[keep] / weights.sum(1)
                add(metric, float(values[keep].mean()), draws, **options)

            mean("js", js[name], kept)
            mean("bc", bc, kept)
            if name != "uniform":
                mean("r2", _r2(world.truth, q), kept)
            as_uniform = np.where(world.valid[name], js[name], js["uniform"])
            mean("js.invalid_as_uniform", as_uniform, member)
            rows.append(
                rows[-4] | {"metric": "js.median", "value": float(np.median(js[name][kept]))}
            )
            mean("invalid_rate", (~world.valid[name]).astype(float), member)
            if name not in ("prior", "uniform"):
                mean("js", js[name] - js["prior"], kept, versus="prior")
                skill = 1 - js[name][kept].mean() / js["prior"][kept].mean()
                rows.append(rows[-1] | {"metric": "js_skill", "versus": None, "value": skill})
            decided = kept & (world.plurality >= 0)
            truth, guess = world.plurality[decided], q.argmax(1)[decided]
            mean("accuracy", (world.plurality == q.argmax(1)).astype(float), decided)
            if slice_name == "all":
                hot = np.eye(len(LABELS))[world.plurality]
                mean("brier", ((q - hot) ** 2).sum(1), decided)
            draws = np.array([_macro_f1(truth, guess, w[decided]) for w in world.weights[:40]])
            add("macro_f1", _macro_f1(truth, guess, np.ones(len(truth))), draws)
    return rows


def _prediction_rows(world: _World) -> list[dict[str, Any]]:
    rows = []
    for index in range(UTTERANCES):
        truth = world.truth[index]
        plurality = world.plurality[index]
        for name in STRATEGIES:
            q, valid = world.answers[name][index], bool(world.valid[name][index])
            rows.append(
                {
                    "run": "demo",
                    "utterance_id": f"{1001 + index % 12}_IEO_{index:04d}",
                    "dataset": "made-up",
                    "split": None,
                    "speaker": str(1001 + index % 12),
                    "model": "tiny-alm",
                    "prompt": "distribution",
                    "strategy": name,
                    "probs": q.tolist() if valid else None,
                    "predicted": LABELS.names[int(q.argmax())] if valid else None,
                    "valid": valid,
                    "parse_rule": ("logits" if "token" in name else "json") if valid else "none",
                    "invalid_reason": None
                    if valid
                    else ("no number in the answer", "not all logits are positive")[
                        "token" in name
                    ],
                    "entropy": float(_entropy(q)) if valid else None,
                    "soft_label": truth.tolist(),
                    "plurality": LABELS.names[plurality] if plurality >= 0 else None,
                    "n_votes": int(world.n_votes[index]),
                    "true_entropy": float(_entropy(truth)),
                    "js": float(_js(truth[None], q[None])[0]) if valid else None,
                }
            )
    return rows


def _errors() -> pa.Table:
    message = "12 of 96,000 samples could be decoded"
    rows = [
        {
            "utterance_id": f"1091_TIE_{i}",
            "stage": "decode",
            "error_type": "truncated",
            "message": message,
        }
        for i in range(5)
    ]
    rows.append(
        {
            "utterance_id": "1076_MTI_2",
            "stage": "decode",
            "error_type": "silent",
            "message": "peak amplitude 0",
        }
    )
    rows.append(
        {
            "row": 17,
            "stage": "ingest",
            "error_type": "MissingId",
            "message": "manifest.csv line 18: id is empty",
        }
    )
    filled = [{"run": "demo", "shard": "shard-00003", "utterances": 1} | row for row in rows]
    return pa.Table.from_pylist(filled, schema=ERRORS_SCHEMA)


@pytest.fixture(scope="session")
def made_up_run() -> MadeUpRun:
    world = _World()
    predictions = pa.Table.from_pylist(_prediction_rows(world))
    metrics = pa.Table.from_pylist(_metric_rows(world), schema=METRICS_SCHEMA)
    run = RunRecord(
        name="CREMA-D with the bundled model",
        run="2026-11-21-a81c",
        status="finished",
        fingerprint="5e0c9a3f7d21",
        generation_fingerprint="0d4b1e77c2a9",
        config={"model": {"path": "tiny-alm"}, "decoding": {"beam_count": 5}},
        versions={"raypipe": "0.1.0", "ray": "2.60.0", "torch": "2.13.1", "python": "3.11.9"},
        seed=0,
        started="2026-11-21T04:00:00+00:00",
        finished="2026-11-21T04:03:12+00:00",
        seconds=192.4,
        labels=LABELS.names,
        counts=RunCounts(input=207, predicted=200, errors=7, strategies={}),
    )
    return MadeUpRun(run, metrics, predictions, _errors(), LABELS)


THRESHOLDS = (0.0, 0.25, 1.5)
COSTS = {"greedy": 680, "cot": 1200, "w_bon": 920, "alm_v": 13_300}
"""Tokens per utterance."""
LONG_PROMPT = "an-own-prompt-with-a-rather-long-name"


def cell_of_a_grid(model: str, prompt: str, level: float) -> pa.Table:
    """Scores of one model and prompt: some strategies, thresholds of adaptive, what they cost."""
    rows: list[dict[str, Any]] = []
    curve = {f"adaptive[expensive=alm_v,threshold={at:g}]": 1 - at / 2 for at in THRESHOLDS}
    values = {name: level - 0.01 * at for at, name in enumerate([*COSTS, *curve])}
    for name, value in (values | {"prior": 0.29, "uniform": 0.4}).items():
        for slice_name in ("all", *(f"ambiguity_count_{number}" for number in range(1, 6))):
            key = {"model": model, "prompt": prompt, "strategy": name, "slice": slice_name}
            key |= {"n": 100, "n_invalid": 0}
            found = {"js": value, "bc": 1 - value, "r2": 0.5, "accuracy": 0.5, "macro_f1": 0.4}
            if name in COSTS:
                found |= {"model_tokens": COSTS[name], "verifier_calls": 4.2 * (name == "alm_v")}
            elif name in curve:
                share = curve[name]
                found |= {"model_tokens": 680 + share * 13_300, "verifier_calls": 4.2 * share}
                found |= {"escalated": share}
            rows += [
                key | {"metric": metric, "value": one, "ci_low": 0.97 * one, "ci_high": 1.03 * one}
                for metric, one in found.items()
            ]
    return pa.Table.from_pylist(rows, schema=METRICS_SCHEMA)


@pytest.fixture(scope="session")
def grid() -> pa.Table:
    """Two models, two prompts each, with costs."""
    cells = {
        ("Qwen2-Audio-7B-Instruct", "distribution"): 0.25,
        ("Qwen2-Audio-7B-Instruct", LONG_PROMPT): 0.20,
        ("tiny-alm", "distribution"): 0.32,
        ("tiny-alm", LONG_PROMPT): 0.30,
    }
    return pa.concat_tables([cell_of_a_grid(*cell, level) for cell, level in cells.items()])


@pytest.fixture
def metric_rows() -> Callable[..., pa.Table]:
    """Build a metrics table from rows that state only what matters to a test."""

    def build(*rows: dict[str, Any]) -> pa.Table:
        common = {"model": "m", "prompt": "p", "slice": "all", "n": 100, "n_invalid": 0}
        return pa.Table.from_pylist([common | row for row in rows], schema=METRICS_SCHEMA)

    return build
