"""What fitted strategies achieve on utterances to come, where the truth is known.

    python tests/bench/bench_fitted.py --data-sets 1000

Annotators' votes are drawn from known distributions, predictions are those made too sharp, with
noise, or rounded as a model writes them, so that many shares are 0. Speakers differ in how well
they are understood, or do not. Label sets of ``conformal`` and temperatures of ``calibrate`` are
fitted as ``reaggregate`` does, across folds of speakers. What they come to is measured on votes to
come: of utterances by new speakers, with the parameters that were fitted, which is also what
intervals are to hold: replicates draw whole speakers for them, and of the loss of ``calibrate``
also utterances, as they do unless ``metrics.draw`` says otherwise. The figures stand in
raypipe/strategies/README.md and raypipe/metrics/README.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline
from scipy.special import softmax

from raypipe.labels import LabelSet
from raypipe.metrics.bootstrap import intervals, weights_from_hashes
from raypipe.metrics.catalogue.jensen_shannon import js_divergence
from raypipe.strategies import Settings
from raypipe.strategies.catalogue.calibrate import STRATEGY as CALIBRATE
from raypipe.strategies.catalogue.calibrate import TEMPERATURES, calibrated
from raypipe.strategies.catalogue.conformal import membership, vote_threshold
from raypipe.strategies.fit_rows import FitRows
from raypipe.strategies.folds import speaker_folds

Array = NDArray[np.float64]

LABELS, VOTES, FOLDS, REPLICATES = 6, 5, 10, 1000
TO_COME = 200_000


def _as_predicted(scores: Array) -> Array:
    return np.asarray(softmax(1.5 * scores, axis=1))


def _as_written(scores: Array) -> Array:
    """Tenths, as a model writes them: most labels have none."""
    tenths = np.rint(10 * _as_predicted(scores))
    return np.asarray(tenths / np.maximum(tenths.sum(axis=1, keepdims=True), 1.0))


@dataclass(frozen=True)
class World:
    """Where corpora are drawn from.

    Attributes:
        predict: from what was understood to shares.
        speaker_effect: spread of how badly speakers are understood, 0 for all alike.
        speakers: in a corpus; 0 for as many as utterances.
    """

    name: str
    predict: Callable[[Array], Array]
    speaker_effect: float
    speakers: int

    def draw(self, rng: np.random.Generator, count: int, speaker: NDArray[np.int64]) -> _Corpus:
        """So many utterances, of the speakers given."""
        scores = rng.normal(0.0, 1.6, (count, LABELS))
        truth = softmax(scores, axis=1)
        noise = np.exp(self.speaker_effect * rng.normal(size=int(speaker.max()) + 1))
        heard = scores + 0.8 * noise[speaker, None] * rng.normal(size=scores.shape)
        return _Corpus(truth, self.predict(heard), speaker)


@dataclass(frozen=True)
class _Corpus:
    truth: Array
    probs: Array
    speaker: NDArray[np.int64]


WORLDS = (
    World("speakers alike", _as_predicted, 0.0, 0),
    World("speakers alike, written", _as_written, 0.0, 0),
    World("40 speakers that differ", _as_predicted, 0.5, 40),
    World("10 speakers that differ", _as_predicted, 0.5, 10),
    World("4 speakers that differ", _as_predicted, 0.5, 4),
    World("10 speakers, written", _as_written, 0.5, 10),
)


class SetsToCome:
    """What sets hold and how large they are, at every threshold, over utterances to come."""

    def __init__(self, world: World) -> None:
        rng = np.random.default_rng(1)
        corpus = world.draw(rng, TO_COME, np.arange(TO_COME))
        values = membership(corpus.probs).ravel()
        order = np.argsort(values)
        self._values = values[order]
        self._outside = np.concatenate([[0.0], np.cumsum(corpus.truth.ravel()[order])])

    def at(self, thresholds: Array) -> tuple[Array, Array]:
        """Coverage and size at each threshold."""
        place = np.searchsorted(self._values, thresholds, side="left")
        return 1.0 - self._outside[place] / TO_COME, LABELS - place / TO_COME


@dataclass(frozen=True)
class Outcome:
    """Of one data set: coverage and size to come, those measured, whether intervals hold them."""

    to_come: tuple[float, float]
    measured: tuple[float, float]
    held: tuple[bool, bool]


def one_data_set(
    world: World,
    to_come: SetsToCome,
    rng: np.random.Generator,
    size: int,
    coverage: float,
    covers: str,
) -> Outcome:
    """Sets fitted across folds of speakers, and what becomes of them."""
    speaker_count = world.speakers or size
    corpus = world.draw(rng, size, np.arange(size) % speaker_count)
    votes = rng.multinomial(VOTES, corpus.truth).astype(np.float64)
    shares = votes / VOTES
    single = (votes == votes.max(axis=1, keepdims=True)).sum(axis=1) == 1
    folds = speaker_folds([f"s{number}" for number in range(speaker_count)], FOLDS)
    fold = np.array([folds[f"s{number}"] for number in corpus.speaker])
    thresholds = np.zeros(size)
    for number in range(max(folds.values()) + 1):
        others = fold != number
        if covers == "plurality":
            others &= single
        weights = shares if covers == "votes" else np.eye(LABELS)[votes.argmax(axis=1)]
        threshold, _ = vote_threshold(weights[others], corpus.probs[others], coverage)
        thresholds[fold == number] = threshold
    inside = membership(corpus.probs) >= thresholds[:, None]
    own = np.stack([(shares * inside).sum(axis=1), inside.sum(axis=1).astype(np.float64)])
    ends = _ends(rng, own, corpus.speaker)
    truths = [float(values.mean()) for values in to_come.at(thresholds)]
    held = [
        low - 1e-9 <= truth <= high + 1e-9 for truth, (low, high) in zip(truths, ends, strict=True)
    ]
    return Outcome(
        (truths[0], truths[1]), (float(own[0].mean()), float(own[1].mean())), (held[0], held[1])
    )


def row(world: World, size: int, coverage: float, covers: str, data_sets: int) -> str:
    """One row of the table, with the simulation's own 95 % errors."""
    rng = np.random.default_rng(size)
    to_come = SetsToCome(world)
    outcomes = [one_data_set(world, to_come, rng, size, coverage, covers) for _ in range(data_sets)]
    held = np.array([outcome.to_come[0] for outcome in outcomes])
    measured = np.array([outcome.measured for outcome in outcomes])
    error = 1.96 * held.std() / np.sqrt(data_sets)
    inside = np.array([outcome.held for outcome in outcomes]).mean(axis=0)
    spread = 1.96 * np.sqrt(inside * (1 - inside) / data_sets)
    cells = (
        world.name,
        covers,
        f"{100 * coverage:.0f}",
        str(size),
        f"{100 * held.mean():.1f} ± {100 * error:.1f}",
        f"{100 * measured[:, 0].mean():.1f}",
        f"{measured[:, 1].mean():.2f}",
        f"{100 * inside[0]:.1f} ± {100 * spread[0]:.1f}",
        f"{100 * inside[1]:.1f} ± {100 * spread[1]:.1f}",
    )
    return f"| {' | '.join(cells)} |"


def _ends(rng: np.random.Generator, values: Array, drawn: NDArray[np.int64]) -> Array:
    """Intervals of means over utterances, shape ``(means, 2)``; ``drawn`` numbers what is drawn."""
    hashes = rng.integers(0, 2**63, int(drawn.max()) + 1).astype(np.uint64)[drawn]
    weights = weights_from_hashes(hashes, REPLICATES, 0).astype(np.float64)
    drawn_at_all = weights.sum(axis=0) > 0.0  # of few speakers a replicate may draw none
    weights = weights[:, drawn_at_all]
    return intervals(values @ weights / weights.sum(axis=0))


class LossToCome:
    """Mean JS of calibrated shares at every temperature, over utterances to come."""

    def __init__(self, world: World) -> None:
        rng = np.random.default_rng(1)
        corpus = world.draw(rng, TO_COME // 4, np.arange(TO_COME // 4))
        shares = rng.multinomial(VOTES, corpus.truth) / VOTES
        places = np.linspace(*np.log(TEMPERATURES), 161)
        losses = [
            js_divergence(shares, calibrated(corpus.probs, float(np.exp(place)), np.zeros(LABELS)))
            for place in places
        ]
        self._curve = CubicSpline(places, [float(loss.mean()) for loss in losses])

    def at(self, temperatures: Array) -> float:
        """Mean over utterances of the loss at each one's temperature."""
        return float(self._curve(np.log(temperatures)).mean())


def calibration_row(world: World, size: int, data_sets: int) -> str:
    """Mean JS without and with a fitted temperature, and how often the interval holds it."""
    rng = np.random.default_rng(size)
    to_come, labels = LossToCome(world), LabelSet(tuple(f"label{at}" for at in range(LABELS)))
    outcomes = []
    for _ in range(data_sets):
        speaker_count = world.speakers or size
        corpus = world.draw(rng, size, np.arange(size) % speaker_count)
        shares = rng.multinomial(VOTES, corpus.truth) / VOTES
        folds = speaker_folds([f"s{number}" for number in range(speaker_count)], FOLDS)
        fold = np.array([folds[f"s{number}"] for number in corpus.speaker])
        temperatures, losses = np.ones(size), np.zeros(size)
        for number in range(max(folds.values()) + 1):
            own, others = fold == number, fold != number
            rows = FitRows(labels, shares[others], np.zeros(0, np.int64), corpus.probs[others])
            temperature = CALIBRATE.fit(Settings(), rows).parameters["temperature"]
            temperatures[own] = temperature
            made = calibrated(corpus.probs[own], temperature, np.zeros(LABELS))
            losses[own] = js_divergence(shares[own], made)
        truth = to_come.at(temperatures)
        held = []
        for units in (np.arange(size), corpus.speaker):
            low, high = _ends(rng, losses[None], units)[0]
            held.append(low <= truth <= high)
        plain = to_come.at(np.ones(1))
        outcomes.append((plain, truth, float(losses.mean()), *held))
    plain, truth, measured, *shares = np.array(outcomes, dtype=np.float64).mean(axis=0)
    cells = (
        *(world.name, str(size), f"{plain:.3f}", f"{truth:.3f}", f"{measured:.3f}"),
        *(
            f"{100 * held:.1f} ± {196 * np.sqrt(held * (1 - held) / data_sets):.1f}"
            for held in shares
        ),
    )
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Print both tables as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-sets", type=int, default=1000)
    parser.add_argument("--sizes", type=int, nargs="+", default=[60, 300])
    parser.add_argument("--only", choices=["sets", "loss"])
    arguments = parser.parse_args()
    print(
        "| speakers | fitted for | wanted, % | n | votes to come inside, % | measured, % | size |"
    )
    for world in WORLDS if arguments.only != "loss" else ():
        for covers in ("votes", "plurality"):
            for coverage in (0.8, 0.9):
                for size in arguments.sizes:
                    print(row(world, size, coverage, covers, arguments.data_sets), flush=True)
    heads = ("speakers", "n", "JS to come", "calibrated", "measured", "drawn: utterances, %")
    heads += ("drawn: speakers, %",)
    print(f"\n| {' | '.join(heads)} |\n|{' --- |' * len(heads)}")
    for world in WORLDS if arguments.only != "sets" else ():
        for size in arguments.sizes:
            print(calibration_row(world, size, arguments.data_sets), flush=True)


if __name__ == "__main__":
    main()
