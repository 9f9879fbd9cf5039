"""Presets, and scores under one of them beside published figures, in a terminal and as JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from raypipe.metrics.presets.preset import PaperPreset
from raypipe.metrics.presets.registry import PRESETS
from raypipe.metrics.presets.scoring import (
    PresetScore,
    PublishedFigure,
    is_of,
    matching_figures,
)
from raypipe.reporting.comparison import without_nan
from raypipe.reporting.text import NONE, clean, score


def presets_table() -> Table:
    """Every preset with its paper and scores."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("preset", no_wrap=True)
    table.add_column("of")
    table.add_column("scores")
    for preset in PRESETS.values():
        scores = ", ".join(metric.name for metric in preset.metrics)
        table.add_row(preset.name, preset.title, scores)
    return table


def conventions_table(preset: PaperPreset) -> Table:
    """What a preset states, and its scores by definition."""
    table = Table(title=Text(preset.title), box=SIMPLE_HEAD, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True, style="dim")
    table.add_column()
    for name, words in preset.conventions.items():
        table.add_row(name, Text(words))
    table.add_row("not settled", Text(preset.open_questions or "nothing"), end_section=True)
    for metric in preset.metrics:
        table.add_row(metric.name, Text(metric.definition))
    return table


def scores_table(
    preset: PaperPreset, scores: Sequence[PresetScore], figures: Sequence[PublishedFigure]
) -> Table:
    """Every system's scores, and below a line what the paper printed."""
    title = Text(f"Scores as {preset.name} has them, ± half of the 95 % interval")
    table = Table(title=title, box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("system", overflow="fold")
    for metric in preset.metrics:
        table.add_column(metric.name.replace("_", "_\n"), justify="right", no_wrap=True)
    by_system: dict[str, dict[str, PresetScore]] = {}
    for item in scores:
        by_system.setdefault(item.system, {})[item.metric] = item
    for system, values in by_system.items():
        last = system == list(by_system)[-1] and bool(figures)
        cells = [_cell(values[metric.name]) for metric in preset.metrics]
        table.add_row(Text(clean(system)), *cells, end_section=last)
    printed: dict[tuple[str, str, str], dict[str, float]] = {}
    for figure in figures:
        key = figure.dataset, figure.model, figure.method
        printed.setdefault(key, {})[figure.metric] = figure.value
    for (_, model, method), known in printed.items():
        cells = [
            Text(NONE if metric.published not in known else f"{known[metric.published]:.4g}")
            for metric in preset.metrics
        ]
        table.add_row(Text(f"published: {model}, {method}", style="dim"), *cells)
    return table


def _cell(item: PresetScore) -> Text:
    if math.isnan(item.value):
        return Text(NONE)
    text = Text(score(item.value))
    if not math.isnan(item.low):
        half = score((item.high - item.low) / 2)
        text.append(f"\n±{half.removeprefix('0')}", style="dim")
    return text


def warnings(
    preset: PaperPreset,
    datasets: Sequence[str],
    label_count: int,
    figures: Sequence[PublishedFigure],
) -> list[str]:
    """What keeps scores from being compared with the paper's, a sentence each."""
    words = []
    others = [name for name in datasets if not is_of(preset, name)]
    if others:
        these = ", ".join(map(clean, others))
        words.append(
            f"{preset.name} is of {', '.join(preset.corpora)}; this is {these}: no published "
            "figure is of it."
        )
    if figures:
        named = sorted({figure.dataset for figure in figures})
        words.append(
            f"The published figures are of {', '.join(named)}, {preset.subset}, with labels: "
            f"{preset.labels}. This run has {label_count} labels; whether its utterances are the "
            "same is not known."
        )
        words += sorted(
            {
                f"{metric.name}: {metric.caution}."
                for metric in preset.metrics
                if metric.caution and any(f.metric == metric.published for f in figures)
            }
        )
    elif preset.paper is None:
        words.append("No published figures are kept for this preset.")
    return words


def preset_document(
    preset: PaperPreset,
    scores: Sequence[PresetScore],
    datasets: Sequence[str],
    label_count: int,
) -> Mapping[str, object]:
    """Everything as JSON values; None for what there is not."""
    figures = matching_figures(preset, datasets)
    return {
        "preset": preset.name,
        "conventions": preset.conventions,
        "open_questions": preset.open_questions,
        "definitions": {metric.name: metric.definition for metric in preset.metrics},
        "scores": [without_nan(asdict(item)) for item in scores],
        "published": [asdict(figure) for figure in figures],
        "warnings": warnings(preset, datasets, label_count, figures),
    }
