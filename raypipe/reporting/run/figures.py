"""Figures of a run: intervals by strategy, lines by ambiguity, calibration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.transforms import blended_transform_factory
from numpy.typing import NDArray

from raypipe.reporting.canvas import ACCENT, INK, MUTED, PAPER, SERIES, canvas, quiet, svg
from raypipe.reporting.names import Better
from raypipe.reporting.run.scores import Estimate

MARKERS: Final = ("o", "s", "^", "D", "v", "P", "X")
_DIRECTIONS: Final = {
    "lower": "   ← lower is better",
    "higher": "   higher is better →",
    None: "",
}


@dataclass(frozen=True, slots=True)
class StrategyBar:
    """One row of a strategies panel.

    Attributes:
        estimate: None for a heading over the rows below it.
    """

    name: str
    estimate: Estimate | None
    is_reference: bool
    is_best: bool


@dataclass(frozen=True, slots=True)
class AmbiguityLine:
    """One approach across the ambiguity bins.

    Attributes:
        estimates: by bin, None where the metrics have none.
        colour: index of the colour and the marker; None for the constant predictor.
    """

    name: str
    estimates: tuple[Estimate | None, ...]
    colour: int | None
    is_best: bool


def interval_panel(
    bars: Sequence[StrategyBar],
    *,
    name: str,
    alt: str,
    better: Better | None,
    reference: float | None,
) -> Markup:
    """Approaches under each other on one axis with their intervals.

    Args:
        bars: from top to bottom.
        name: of the metric, on the axis.
        alt: the figure in words.
        better: which way the axis is read; None where neither is better.
        reference: the constant prior, drawn as a dashed line through all rows.
    """
    with canvas(0.9 + 0.29 * len(bars)) as (figure, axes):
        for position, bar in enumerate(bars):
            if bar.estimate is None:
                _heading(axes, position, bar.name)
            else:
                _interval(axes, position, bar, bar.estimate)
        if reference is not None:
            axes.axvline(reference, color=MUTED, linewidth=1.1, linestyle=(0, (4, 3)), zorder=1)
        rows = [(position, bar) for position, bar in enumerate(bars) if bar.estimate is not None]
        axes.set_yticks([position for position, _ in rows], [bar.name for _, bar in rows])
        for label, (_, bar) in zip(axes.get_yticklabels(), rows, strict=True):
            label.set_color(MUTED if bar.is_reference else INK)
            label.set_fontweight("bold" if bar.is_best else "normal")
        axes.set_ylim(len(bars) - 0.4, -0.6)
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="x")
        axes.set_axisbelow(True)
        axes.margins(x=0.08)
        axes.set_xlabel(name + _DIRECTIONS[better])
        quiet(axes, "left", "right", "top", "bottom")
        return svg(figure, alt)


def _heading(axes: Axes, position: int, name: str) -> None:
    """Draw a heading from the left edge, as it may be longer than a strategy's name."""
    place = blended_transform_factory(axes.figure.transFigure, axes.transData)
    text = axes.text(0.01, position + 0.1, name, transform=place, fontsize=9, fontweight="bold")
    text.set_verticalalignment("center")
    text.set_in_layout(False)  # or it would push the panel aside


def _interval(axes: Axes, position: int, bar: StrategyBar, estimate: Estimate) -> None:
    colour = ACCENT if bar.is_best else MUTED if bar.is_reference else INK
    if estimate.low is not None and estimate.high is not None:
        axes.plot([estimate.low, estimate.high], [position] * 2, color=colour, linewidth=2.0)
    axes.plot(
        [estimate.value],
        [position],
        marker="o",
        markersize=7.5 if bar.is_best else 6.5,
        markerfacecolor=PAPER if bar.is_reference else colour,
        markeredgecolor=colour,
        markeredgewidth=1.4,
    )


def ambiguity_panel(
    lines: Sequence[AmbiguityLine],
    bins: Sequence[str],
    *,
    name: str,
    alt: str,
    better: Better | None,
) -> Markup:
    """One metric by ambiguity bin, one line per approach, each named at its right end."""
    with canvas(3.1) as (figure, axes):
        # Side by side within a bin: intervals that cover each other cannot be compared.
        shifts = np.linspace(-0.16, 0.16, len(lines)) if len(lines) > 1 else np.zeros(1)
        ends: list[tuple[float, float, AmbiguityLine]] = []
        for line, shift in zip(lines, shifts, strict=True):
            drawn = _ambiguity_line(axes, line, float(shift))
            if drawn is not None:
                ends.append((*drawn, line))
        axes.set_xticks(range(len(bins)), list(bins))
        axes.set_xlim(-0.35, len(bins) - 0.65)
        axes.set_xlabel("annotators agree → disagree")
        direction = "" if better is None else f" ({better} is better)"
        axes.set_title(name + direction, loc="left", color=MUTED)
        axes.grid(axis="y")
        axes.set_axisbelow(True)
        axes.tick_params(length=0)
        quiet(axes, "left", "right", "top")
        _name_ends(axes, ends, len(bins) - 1 + 0.3)
        return svg(figure, alt)


def _ambiguity_line(axes: Axes, line: AmbiguityLine, shift: float) -> tuple[float, float] | None:
    """Draw one line; its last point, or None if it has none."""
    points = [
        (index + shift, estimate)
        for index, estimate in enumerate(line.estimates)
        if estimate is not None
    ]
    if not points:
        return None
    colour = _line_colour(line)
    for x, estimate in points:
        if estimate.low is not None and estimate.high is not None:
            axes.plot([x, x], [estimate.low, estimate.high], color=colour, linewidth=1.2)
    axes.plot(
        [x for x, _ in points],
        [estimate.value for _, estimate in points],
        color=colour,
        linewidth=2.2 if line.is_best else 1.3,
        linestyle=(0, (4, 3)) if line.colour is None else "-",
        marker="o" if line.colour is None else MARKERS[line.colour],
        markersize=5.5,
        markerfacecolor=PAPER if line.colour is None else colour,
    )
    return points[-1][0], points[-1][1].value


def _line_colour(line: AmbiguityLine) -> str:
    # The best strategy has the same colour in every figure.
    if line.is_best:
        return ACCENT
    return MUTED if line.colour is None else SERIES[line.colour]


def _name_ends(axes: Axes, ends: list[tuple[float, float, AmbiguityLine]], x: float) -> None:
    """Name the lines at their ends, pushed apart so that names do not cover each other."""
    low, high = axes.get_ylim()
    gap = 0.068 * (high - low)
    ordered = sorted(ends, key=lambda end: end[1])
    heights: list[float] = []
    for _, value, _ in ordered:
        heights.append(max(value, heights[-1] + gap) if heights else value)
    # Pushing only upwards would drag a cluster away from its lines: centre it again.
    shift = float(np.mean([h - end[1] for h, end in zip(heights, ordered, strict=True)] or [0]))
    if heights:  # inside the panel: above it stands the title, below it the axis
        shift = min(max(shift, heights[-1] - high), heights[0] - low)
    for height, (_, _, line) in zip(heights, ordered, strict=True):
        axes.text(
            x,
            height - shift,
            line.name,
            color=_line_colour(line),
            fontweight="bold" if line.is_best else "normal",
            verticalalignment="center",
            clip_on=False,
        )


def calibration_panel(
    n: NDArray[np.int64],
    confidence: NDArray[np.float64],
    right: NDArray[np.float64],
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    *,
    alt: str,
) -> Markup:
    """Share of right dominant labels against stated confidence, with how often it is stated.

    Args:
        n: utterances by confidence bin, shape ``(bins,)``; bins without any are left out.
        confidence: mean confidence in the bin, shape ``(bins,)``.
        right: share of right ones, shape ``(bins,)``.
        low: lower bounds of ``right``, shape ``(bins,)``.
        high: upper bounds of ``right``, shape ``(bins,)``.
        alt: the figure in words.
    """
    with canvas(3.9, rows=(4, 1)) as (figure, axes):
        below = figure.axes[1]
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1.1, linestyle=(0, (4, 3)))
        filled = n > 0
        axes.vlines(confidence[filled], low[filled], high[filled], color=ACCENT, linewidth=1.4)
        axes.plot(confidence[filled], right[filled], color=ACCENT, marker="o", linewidth=2.0)
        axes.set_ylim(-0.02, 1.02)
        axes.set_ylabel("share that is right")
        axes.grid()
        edges = np.linspace(0, 1, len(n) + 1)
        below.bar(edges[:-1], n, width=1 / len(n), align="edge", color=ACCENT, edgecolor=PAPER)
        below.set_yticks([int(n.max(initial=0))])
        below.set_ylabel("n")
        below.set_xlabel("confidence: the largest probability of the prediction")
        for panel in (axes, below):
            panel.set_xlim(0, 1)
            panel.tick_params(length=0)
            panel.set_axisbelow(True)
            quiet(panel, "left", "right", "top")
        axes.tick_params(labelbottom=False)
        return svg(figure, alt)
