"""Systems scored as a paper does, with intervals, and what the paper printed."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from raypipe.labels import LabelSet
from raypipe.metrics.baselines import HUMANS, UNIFORM, uniform
from raypipe.metrics.bootstrap import interval, replicate_weights
from raypipe.metrics.comparison import Systems
from raypipe.metrics.exact import BLOCK, SCALE, to_units, weighted_sums
from raypipe.metrics.humans import halvings
from raypipe.metrics.presets.preset import PaperPreset, PresetMetric, PresetRows, SummedScore
from raypipe.metrics.sums import LEAST_UTTERANCES
from raypipe.metrics.utterances import Utterances

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class PresetScore:
    """One score of one system.

    Attributes:
        low: lower end of the 95 % interval; NaN where there is none.
        high: its upper end.
        n: number of utterances behind the value.
    """

    system: str
    metric: str
    value: float
    low: float
    high: float
    n: int


def preset_scores(
    preset: PaperPreset, systems: Systems, labels: LabelSet, *, replicates: int, seed: int = 0
) -> list[PresetScore]:
    """Every score of a preset for every system and for the references, in their orders.

    References are ``prior``, ``uniform`` and, where votes can be halved, ``humans``: the mean over
    the halvings of :mod:`raypipe.metrics.humans`, whose smaller halves answer and whose larger
    halves are the truth.

    Args:
        preset: whose conventions are carried out.
        systems: predictions, ``prior``'s among them, and which utterances have one.
        labels: the K labels.
        replicates: bootstrap replicates; 0 for no intervals.
        seed: of the bootstrap.

    Raises:
        ConfigError: as :meth:`~raypipe.metrics.presets.preset.PaperPreset.rows`.
    """
    scores = []
    for name, answers in _answers(systems, len(labels)).items():
        rows = [preset.rows(*answer, labels) for answer in answers]
        for metric in preset.metrics:
            parts = [each.within(metric.subset) for each in rows]
            values, n = _values(metric, parts, replicates, seed)
            low, high = interval(values[1:])
            scores.append(PresetScore(name, metric.name, float(values[0]), low, high, n))
    return scores


_Answer = tuple[Utterances, Array, Mask]
"""The truth, predictions, and which utterances have one."""


def _answers(systems: Systems, label_count: int) -> dict[str, list[_Answer]]:
    """What every system answers; of ``humans`` every halving."""
    truth = systems.utterances
    answers: dict[str, list[_Answer]] = {
        name: [(truth, probs, systems.present[name])] for name, probs in systems.predictions.items()
    }
    everyone = truth.labelled
    answers[UNIFORM] = [(truth, uniform(everyone.size, label_count), everyone)]
    halved = [(half.utterances, half.probs, half.present) for half in halvings(truth)]
    return answers | ({HUMANS: halved} if halved else {})


def _values(
    metric: PresetMetric, parts: Sequence[PresetRows], replicates: int, seed: int
) -> tuple[Array, int]:
    """The value, then one per replicate, and the utterances behind it; means over the parts.

    There are no replicates where their percentiles are no interval.
    """
    score = metric.score
    assert score is not None  # checked where the score is declared
    if not isinstance(score, SummedScore):
        mean_size = sum(len(part.truth) for part in parts) / len(parts)
        return np.array([np.mean([score(part) for part in parts])]), round(mean_size)
    total: Array | None = None
    for part in parts:
        units = to_units(score.columns(part))
        sums = np.zeros((1 + replicates, units.shape[1]), dtype=np.int64)
        for start in range(0, part.hashes.size, BLOCK):
            block = slice(start, start + BLOCK)
            weights = replicate_weights(part.hashes[block], replicates, seed)
            sums += weighted_sums(weights, units[block])
        mean = sums / SCALE / len(parts)
        total = mean if total is None else total + mean
    assert total is not None  # one part at least
    n = round(float(score.count(total)[0]))
    if not n:
        return np.array([np.nan]), n
    has_interval = metric.has_interval and n >= LEAST_UTTERANCES and score.is_certain(total[0])
    return score.value(total if has_interval else total[:1]), n


@dataclass(frozen=True, slots=True)
class PublishedFigure:
    """A figure that a paper printed.

    Attributes:
        paper: its name here.
        table: where it stands.
        dataset: the corpus, in the paper's words.
        model: of the paper.
        method: of the paper.
        metric: of the paper.
    """

    paper: str
    table: str
    dataset: str
    model: str
    method: str
    metric: str
    value: float


def published_figures() -> list[PublishedFigure]:
    """Every figure of ``published.csv``."""
    text = resources.files("raypipe.metrics.presets").joinpath("published.csv").read_text("utf-8")
    return [
        PublishedFigure(
            row["paper"],
            row["table"],
            row["dataset"],
            row["model"],
            row["method"],
            row["metric"],
            float(row["value"]),
        )
        for row in csv.DictReader(text.splitlines())
    ]


def matching_figures(preset: PaperPreset, datasets: Iterable[str]) -> list[PublishedFigure]:
    """What a preset's paper printed of some corpora, matched by their names.

    Case and punctuation do not count, and the paper may name a release or a part behind the name.
    """
    names = {_plain(name) for name in datasets} - {""}
    wanted = {metric.published for metric in preset.metrics}
    return [
        figure
        for figure in published_figures()
        if figure.paper == preset.paper
        and figure.metric in wanted
        and any(_plain(figure.dataset).startswith(name) for name in names)
    ]


def is_of(preset: PaperPreset, dataset: str) -> bool:
    """Whether a corpus is one of a preset's, by its name."""
    return _plain(dataset) in {_plain(name) for name in preset.corpora}


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
