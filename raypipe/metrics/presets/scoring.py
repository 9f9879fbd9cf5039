"""Systems scored as a paper does, with intervals, and what the paper printed."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from raypipe.labels import LabelSet
from raypipe.metrics.bootstrap import interval, replicate_weights
from raypipe.metrics.comparison import Systems
from raypipe.metrics.exact import BLOCK, SCALE, to_units, weighted_sums
from raypipe.metrics.presets.preset import PaperPreset, PresetMetric, PresetRows, SummedScore

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class PresetScore:
    """One score of one system.

    Attributes:
        low: lower end of the 95 % interval; NaN where there is none.
        high: its upper end.
        n: number of utterances that the preset scores in its subset.
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
    """Every score of a preset for every system, in their orders.

    Args:
        preset: whose conventions are carried out.
        systems: predictions, and which utterances have one.
        labels: the K labels.
        replicates: bootstrap replicates; 0 for no intervals.
        seed: of the bootstrap.

    Raises:
        ConfigError: as :meth:`~raypipe.metrics.presets.preset.PaperPreset.rows`.
    """
    scores = []
    for name, probs in systems.predictions.items():
        present = systems.present[name]
        rows = preset.rows(systems.utterances, probs, present, labels)
        for metric in preset.metrics:
            part = rows.within(metric.subset)
            values = _values(metric, part, replicates, seed)
            low, high = interval(values[1:] if metric.has_interval else values[:0])
            scores.append(
                PresetScore(name, metric.name, float(values[0]), low, high, len(part.truth))
            )
    return scores


def _values(metric: PresetMetric, rows: PresetRows, replicates: int, seed: int) -> Array:
    """The value, then one per replicate."""
    assert metric.score is not None  # checked where the score is declared
    if not isinstance(metric.score, SummedScore):
        return np.array([metric.score(rows)])
    if not rows.hashes.size:
        return np.array([np.nan])
    units = to_units(metric.score.columns(rows))
    sums = np.zeros((1 + replicates, units.shape[1]), dtype=np.int64)
    for start in range(0, rows.hashes.size, BLOCK):
        block = slice(start, start + BLOCK)
        sums += weighted_sums(replicate_weights(rows.hashes[block], replicates, seed), units[block])
    return metric.score.value(sums / SCALE)


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
