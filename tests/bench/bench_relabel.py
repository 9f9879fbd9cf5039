"""Whether relabelled labels are nearer to what was spoken, and what that does to heads.

python tests/bench/bench_relabel.py --clips 2000
python tests/bench/bench_relabel.py --job /tmp/typed --train 800 --dev 200 --test 400

Of the corpus with typed descriptions the true mixes are known. The first line asks the lexicon's
reader about the votes of so many clips, without their audio. With ``--job`` clips are synthesised,
a stand-in endpoint answers a relabel job (it spoils 30 % of items and 10 % of requests), tiny-alm's
encoder hears them once, and heads learn the original and the relabelled labels.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from scipy import stats

sys.path.insert(0, str(Path(__file__).parents[1]))

from relabel_server import relabel_server

from raypipe.metrics.bootstrap import interval, poisson_weights
from raypipe.metrics.catalogue.jensen_shannon import js_divergence
from raypipe.metrics.catalogue.threshold import threshold_counts
from raypipe.metrics.classification import macro_f1
from raypipe.records import OWN_LABELS, LabelTable
from raypipe.relabel.label_table import read_label_table
from raypipe.relabel.table import total_variation
from raypipe.runtime.features.config import FeaturesConfig
from raypipe.runtime.features.job import features
from raypipe.runtime.heads.config import HeadsConfig
from raypipe.runtime.heads.job import heads
from raypipe.runtime.heads.plan import plan_heads
from raypipe.runtime.heads.work import read_corpus
from raypipe.runtime.infer.demo import write_typed_corpus
from raypipe.runtime.relabel.config import RelabelConfig
from raypipe.runtime.relabel.job import relabel
from raypipe.ssl.training import Examples, HeadTraining, train_head
from raypipe.store.location import Location
from raypipe.store.query import query
from raypipe.tiny_alm.lexicon_reader import relabelled
from raypipe.tiny_alm.synth import EMOTIONS, LABEL_SET
from raypipe.tiny_alm.typed import clip_id, true_mix, typed_votes
from raypipe.votes import soft_label

Array = NDArray[np.float64]
Figure = dict[str, float]
SMALL_CORPUS = {"learning_rate": 3e-3, "warmup_steps": 20, "epochs": 30}


def mean(ids: Sequence[str], values: Array) -> Figure:
    """Mean over clips with the 95 % interval of the bootstrap."""
    weights = poisson_weights(ids).astype(np.float64)
    low, high = interval((values @ weights) / weights.sum(axis=0))
    return {"mean": float(values.mean()), "low": low, "high": high}


def distances(ids: Sequence[str], truth: Array, labels: Mapping[str, Array]) -> dict[str, object]:
    """Distances of several labels from the truth, and their paired differences from the first."""
    figures: dict[str, object] = {"clips": len(ids)}
    for name, distance in {
        "total_variation": lambda p, q: np.abs(p - q).sum(axis=1) / 2,
        "js": js_divergence,
    }.items():
        values = {who: distance(truth, probs) for who, probs in labels.items()}
        first = next(iter(values.values()))
        figures[name] = {who: mean(ids, array) for who, array in values.items()} | {
            f"{who}, less the first": mean(ids, array - first)
            for who, array in list(values.items())[1:]
        }
    return figures


def mass(labels: Mapping[str, Array]) -> dict[str, dict[str, float]]:
    """Sum of the shares of each emotion (Fig. 3)."""
    return {
        who: {name: round(float(total), 1) for name, total in zip(EMOTIONS, sums, strict=True)}
        for who, sums in ((who, probs.sum(axis=0)) for who, probs in labels.items())
    }


def by_votes(clips: int, seed: int) -> dict[str, object]:
    """The lexicon's reader on the votes of training clips, without a job."""
    ids, truth, reference, typed = [], [], [], []
    for index in range(clips):
        votes = typed_votes(index, "train", seed)
        counted = soft_label(votes, LABEL_SET)
        if counted.probs is None:
            continue
        ids.append(clip_id(index, "train"))
        truth.append(true_mix(index, "train", seed))
        reference.append(counted.probs)
        typed.append([vote.typed for vote in votes if vote.typed])
    mask = np.array([bool(words) for words in typed])
    written = [words for words in typed if words]
    others = iter([*written[1:], *written[:1]])
    labels = {
        "reference": np.array(reference),
        "relabelled": _relabelled(reference, typed),
        # The control: so much is gained by any words, as they make labels less sure.
        "relabelled by another clip's words": _relabelled(
            reference, [next(others) if words else [] for words in typed]
        ),
    }
    asked = [name for name, words in zip(ids, typed, strict=True) if words]
    shown = {who: probs[mask] for who, probs in labels.items()}
    return {
        "clips": clips,
        "without a reference": clips - len(ids),
        "with descriptions": distances(asked, np.array(truth)[mask], shown),
        "all with a reference": distances(ids, np.array(truth), labels),
        "label mass": mass({**labels, "truth": np.array(truth)}),
    }


def _relabelled(reference: Sequence[Sequence[float]], typed: Sequence[Sequence[str]]) -> Array:
    rows = zip(reference, typed, strict=True)
    return np.array([relabelled(shares, words, EMOTIONS) for shares, words in rows])


def by_job(folder: Path, counts: Mapping[str, int], seed: int, seeds: int) -> dict[str, object]:
    """Jobs relabel, features and heads over synthesised clips."""
    console = Console(stderr=True)
    shards = write_typed_corpus(folder, console, **counts, seed=seed)
    with relabel_server(item_faults=0.3, request_faults=0.1) as server:
        api = {"preset": "vllm", "base_url": server.base_url, "first_wait_s": 0.01}
        settings = {
            "input": {"shards": shards},
            "output": str(folder / "relabelled"),
            "model": {"engine": "openai", "path": "lexicon", "api": {**api, "attempts": 2}},
        }
        relabel(RelabelConfig.model_validate(settings), console=console)
        spoiled = dict(server.done)
    document = {"input": {"shards": shards}, "output": str(folder / "features")}
    features(FeaturesConfig.model_validate(document), console=console)
    document = {
        "features": str(folder / "features"),
        "output": str(folder / "heads"),
        "heads": [SMALL_CORPUS],
        "seeds": list(range(seeds)),
    }
    table = read_label_table(str(folder / "relabelled"), LABEL_SET)
    config = HeadsConfig.model_validate(document)
    heads(config, label_tables=[OWN_LABELS, table], console=console)
    return {
        "done by the endpoint": spoiled,
        "labels": _labels_of_job(folder / "relabelled", seed),
        "heads": _heads(folder / "heads", seed),
        "heads by training clips": _learning_curve(config, table, seed, seeds),
    }


_SPLITS = {"l": "train", "d": "development", "t": "test"}


def _mix_of(utterance_id: str, seed: int) -> Array:
    _, speaker, index = utterance_id.split("-")
    return true_mix(int(index), _SPLITS[speaker[0]], seed)  # type: ignore[arg-type]


def _labels_of_job(folder: Path, seed: int) -> dict[str, object]:
    rows = query(Location.parse(str(folder)), "SELECT * FROM labels").to_pylist()
    statuses = [row["status"] for row in rows]
    asked = [row for row in rows if row["status"] != "not_asked"]
    ids = [row["utterance_id"] for row in asked]
    wrong = 0
    for row in asked:
        answer = relabelled(row["reference"], row["words"], EMOTIONS)
        expected = answer if row["status"] == "adjusted" else row["reference"]
        wrong += total_variation(row["adjusted"], expected) > 0.01
    labels = {
        "reference": np.array([row["reference"] for row in asked]),
        "relabelled": np.array([row["adjusted"] for row in asked]),
    }
    return {
        "statuses": {status: statuses.count(status) for status in sorted(set(statuses))},
        "neither the reader's answer nor the reference": wrong,
        "asked": distances(ids, np.array([_mix_of(name, seed) for name in ids]), labels),
    }


def _heads(folder: Path, seed: int) -> dict[str, object]:
    place = Location.parse(str(folder))
    rows = query(
        place,
        "SELECT prompt, utterance_id, strategy, soft_label, probs FROM predictions"
        " WHERE strategy LIKE 'head%' ORDER BY prompt, strategy, utterance_id",
    ).to_pylist()
    prompts = sorted({row["prompt"] for row in rows})
    ids = sorted({row["utterance_id"] for row in rows})
    truth = np.array([_mix_of(name, seed) for name in ids])
    predictions: dict[str, Array] = {}
    scores: dict[str, object] = {}
    for prompt in prompts:
        strategies = sorted({row["strategy"] for row in rows if row["prompt"] == prompt})
        runs = [
            np.array(
                [r["probs"] for r in rows if r["prompt"] == prompt and r["strategy"] == strategy]
            )
            for strategy in strategies
        ]
        predictions[prompt] = np.mean(runs, axis=0)
        against_truth = [float(macro_f1(threshold_counts(truth, probs))) for probs in runs]
        scores[prompt] = {
            "threshold macro-F1 against the true mix, mean over seeds": np.mean(against_truth),
            "its standard deviation over seeds": np.std(against_truth, ddof=1),
        }
    columns = "model, prompt, strategy, metric, value, ci_low, ci_high"
    return {
        "against the true mix, mean over seeds": distances(ids, truth, predictions),
        "threshold macro-F1": scores,
        "against the original test labels": query(
            place,
            f"SELECT {columns} FROM metrics WHERE slice = 'all' AND versus IS NULL"
            " AND metric IN ('js', 'threshold_macro_f1', 'batch_threshold_macro_f1')",
        ).to_pylist(),
    }


def _learning_curve(
    config: HeadsConfig, table: LabelTable, seed: int, draws: int
) -> dict[int, dict[str, object]]:
    """Heads on random parts of the training set, the same parts with all labels.

    Heads that learn the true mixes are what better labels can give at most. Intervals are over
    draws of training clips, first weights and order.
    """
    plan = plan_heads(config, [OWN_LABELS, table])
    [encoder] = plan.of_encoder()
    corpus = read_corpus(plan.source, encoder)
    truth = np.array([_mix_of(row.utterance_id, seed) for row in corpus.utterances])
    labelled = np.array([row.soft_label is not None for row in corpus.utterances])
    own = np.array([row.soft_label or (0.0,) * len(EMOTIONS) for row in corpus.utterances])
    adjusted = np.array(
        [
            table.distributions.get(row.utterance_id, (0.0,) * len(EMOTIONS))
            for row in corpus.utterances
        ]
    )
    splits = np.array([row.split for row in corpus.utterances])
    train, dev, test = (
        np.flatnonzero((splits == split) & labelled) for split in ("train", "development", "test")
    )
    settings = HeadTraining(**SMALL_CORPUS)
    curve: dict[int, dict[str, object]] = {}
    for clips in sorted({min(size, len(train)) for size in (100, 200, 400, 800)}):
        scores: dict[str, list[list[float]]] = {}
        for draw, (who, labels) in itertools.product(
            range(draws), {"original": own, "relabelled": adjusted, "truth": truth}.items()
        ):
            rows = np.random.default_rng(draw).permutation(train)[:clips]
            learned, deciding = (Examples(corpus.mean[part], labels[part]) for part in (rows, dev))
            probs = train_head(learned, deciding, settings, draw).predict(corpus.mean[test])
            against = [
                float(macro_f1(threshold_counts(goal[test], probs)))
                for goal in (truth, own, adjusted)
            ]
            js = float(js_divergence(truth[test], probs).mean())
            scores.setdefault(who, []).append([*against, js])
        curve[clips] = _compared({who: np.array(rows) for who, rows in scores.items()})
    return curve


_SCORES = (
    *(f"threshold macro-F1 against {goal} labels" for goal in ("true", "original", "relabelled")),
    "js to the true mix",
)


def _compared(scores: Mapping[str, Array]) -> dict[str, object]:
    """Means over draws, and the paired gain by relabelling with the 95 % interval of Student."""
    gains = scores["relabelled"] - scores["original"]
    reach = stats.t.ppf(0.975, len(gains) - 1) * stats.sem(gains, axis=0)
    return {
        name: {
            **{who: round(float(rows[:, column].mean()), 4) for who, rows in scores.items()},
            "gain": round(float(gains[:, column].mean()), 4),
            "plus or minus": round(float(reach[column]), 4),
        }
        for column, name in enumerate(_SCORES)
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--job", type=Path, help="folder of the jobs; none runs without it")
    for split, count in (("train", 800), ("dev", 200), ("test", 400)):
        parser.add_argument(f"--{split}", type=int, default=count)
    parser.add_argument("--seeds", type=int, default=10, help="heads with each label table")
    arguments = parser.parse_args()
    if arguments.job is None:
        figures = by_votes(arguments.clips, arguments.seed)
    else:
        counts = {split: getattr(arguments, split) for split in ("train", "dev", "test")}
        figures = by_job(arguments.job, counts, arguments.seed, arguments.seeds)
    print(json.dumps(figures, indent=2, default=float))


if __name__ == "__main__":
    main()
