"""The cost-quality curve: every strategy by what it costs and how close it is to the annotators."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullFormatter
from matplotlib.transforms import ScaledTranslation

from raypipe.reporting.canvas import INK, MUTED, SERIES, canvas, quiet, svg
from raypipe.reporting.charts import Chart
from raypipe.reporting.names import PRIMARY, TOKENS, title
from raypipe.reporting.run.figures import MARKERS
from raypipe.reporting.run.fitting import by_strategy, fitting, left_out_in_words
from raypipe.reporting.run.headline import with_interval
from raypipe.reporting.run.scores import Approach, ApproachGroup, Estimate, Scores
from raypipe.reporting.text import amount, clean, score, shortened

_THRESHOLD: Final = re.compile(r"(?P<before>.*[\[,])threshold=(?P<value>[^,\]]+)(?P<after>.*)")
_MOST_CHARACTERS: Final = 30
_SHORT: Final = 15
_CURVES_WITH_NUMBERS: Final = 2
_MOST_THRESHOLDS: Final = 8
LineStyle = Literal["", "-", "--", ":", "-."]
_LINES: Final[tuple[LineStyle, ...]] = ("-", "--", ":", "-.")
_HEIGHT_IN: Final = 3.0
_MOST_SERIES: Final = 14
# Typographic points: the panel's width and height, a marker, how far one is moved, a number.
_PANEL: Final = (285.0, 150.0)
_MARKER: Final = 5.5
_FARTHEST: Final = 24.5
_NUMBER: Final = 18.0
_SMALL: Final = 8.5
# A wide range of costs is read in factors, a narrow one in tokens.
_LOG_FROM: Final = 6.0


@dataclass(frozen=True, slots=True)
class CostPoint:
    """Cost and quality of one strategy.

    Attributes:
        tokens: per utterance.
        family: the same for the thresholds of one adaptive strategy, which a line joins; None for
            any other.
        threshold: in bits, of ``adaptive``; None where it was not swept.
    """

    name: str
    tokens: float
    quality: Estimate
    is_best: bool
    family: str | None = None
    threshold: float | None = None


def cost_charts(scores: Scores, metric: str = PRIMARY) -> list[Chart]:
    """One chart for every model and prompt whose costs are known; lower is better."""
    charts = []
    for group in scores.groups():
        points = _points(scores, group, metric)
        if points:
            charts.append(_chart(scores, group, points, metric))
    return charts


def _chart(scores: Scores, group: ApproachGroup, points: Sequence[CostPoint], metric: str) -> Chart:
    name = title(metric)
    prior = scores.prior(group.approaches[0])
    reference = scores.get(prior, metric) if prior is not None else None
    kept, left_out = _that_fit(points, None if reference is None else reference.value)
    in_words = (
        f"{point.name} {amount(point.tokens)} tokens, {with_interval(point.quality)}"
        for point in points
    )
    svg_ = cost_panel(
        kept,
        name=name,
        reference=None if reference is None else reference.value,
        alt=f"{name} by tokens per utterance: " + "; ".join(in_words),
    )
    words = [f"{group.title}:"] if group.title else []
    words.append(f"{name} with 95 % intervals; points that cost the same stand side by side.")
    if any(point.threshold is not None for point in kept):
        words.append("The line joins the thresholds of adaptive, in bits.")
    if reference is not None:
        low, high = _span(kept, reference.value)
        place = "Dashed" if low <= reference.value <= high else "Outside the figure"
        words.append(f"{place}: the prior, {score(reference.value)}, which costs nothing.")
    words.append(left_out_in_words(left_out))
    return Chart(svg_, " ".join(word for word in words if word))


def _points(scores: Scores, group: ApproachGroup, metric: str) -> list[CostPoint]:
    best = scores.best_of(group.approaches, metric)
    points = []
    for approach in group.approaches:
        cost, quality = scores.get(approach, TOKENS), scores.get(approach, metric)
        if approach.is_reference or cost is None or quality is None:
            continue
        points.append(_point(approach, cost.value, quality, approach == best))
    return points


def _point(approach: Approach, tokens: float, quality: Estimate, is_best: bool) -> CostPoint:
    """A strategy's point; the rest of the name is the same for all thresholds of a curve."""
    name = clean(approach.strategy)
    match = _THRESHOLD.fullmatch(name)
    family, threshold = None, None
    if match is not None and name.startswith("adaptive["):
        rest = f"{match['before'].rstrip('[,')}{match['after']}"
        family = rest.removesuffix("]") if "[" not in rest else rest
        threshold = _number(match["value"])
    return CostPoint(
        name, tokens, quality, is_best, family if threshold is not None else None, threshold
    )


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:  # a name from elsewhere that only looks like one of a sweep
        return None


# --- drawing ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CostSeries:
    """One line of the legend: a strategy, or a curve of thresholds.

    Attributes:
        line: how its points are joined; empty for a single strategy.
    """

    name: str
    points: tuple[CostPoint, ...]
    colour: str
    marker: str
    line: LineStyle

    @property
    def is_best(self) -> bool:
        """Whether the best strategy is among its points."""
        return any(point.is_best for point in self.points)


def cost_panel(
    points: Sequence[CostPoint], *, name: str, alt: str, reference: float | None
) -> Markup:
    """Points with their intervals over an axis of tokens, the thresholds of a family joined.

    Args:
        points: at least one.
        name: of the metric, lower is better.
        alt: the figure in words.
        reference: the constant prior, drawn as a dashed line.
    """
    drawn = _series(points)
    columns = 3 if max(len(series.name) for series in drawn) <= _SHORT else 2
    with canvas(_HEIGHT_IN + 0.2 * -(-len(drawn) // columns)) as (figure, axes):
        shifts = _shifts(points)
        named: list[tuple[float, float]] = []
        few_curves = sum(series.line != "" for series in drawn) <= _CURVES_WITH_NUMBERS
        for series in drawn:
            _draw(figure, axes, series, shifts)
            for point in _labelled(series.points, _MOST_THRESHOLDS if few_curves else 1):
                (place,) = _places([point], points, reference, moved=False)
                if not any(np.hypot(place[0] - x, 2 * (place[1] - y)) < _NUMBER for x, y in named):
                    named.append(place[:2])
                    _label(axes, point, series.colour)
        if reference is not None:
            axes.axhline(reference, color=MUTED, linewidth=1.1, linestyle=(0, (4, 3)), zorder=1)
        _token_axis(axes, [point.tokens for point in points])
        _quality_axis(axes, points, reference)
        axes.set_xlabel("tokens per utterance   ← fewer is better")
        axes.set_title(f"{name} (lower is better)", loc="left", color=MUTED)
        axes.grid()
        axes.set_axisbelow(True)
        axes.tick_params(length=0)
        quiet(axes, "left", "right", "top")
        _legend(figure, drawn, columns)
        return svg(figure, alt)


def _that_fit(
    points: Sequence[CostPoint], reference: float | None
) -> tuple[list[CostPoint], list[str]]:
    """Points whose markers do not cover each other, the best first to stay; names of the others."""
    places_of = partial(_places, points=points, reference=reference)

    def covers(series: CostSeries, others: Sequence[CostSeries]) -> bool:
        curves = [other for other in others if other.line]
        if series.line:
            own = places_of(series.points, moved=False)
            return len(curves) >= len(_LINES) or any(
                all(_is_near(place, places_of(curve.points, moved=False)) for place in own)
                for curve in curves
            )
        single = [each.points[0] for each in (*others, series) if not each.line]
        # One more moves the others aside, so all of them are looked at.
        places = places_of(single)
        if any(abs(shift) > _FARTHEST for _, _, shift in places):
            return True
        on_curves = [point for curve in curves for point in curve.points]
        places += places_of(on_curves, moved=False)
        return any(_is_near(places[at], places[at + 1 :]) for at in range(len(single)))

    drawn = _series(points)
    by_quality = sorted(
        drawn,
        key=lambda each: (not each.is_best, min(point.quality.value for point in each.points)),
    )
    ranked = [by_quality[at] for at in by_strategy([each.name for each in by_quality])]
    kept = {series.name for series in fitting(ranked, covers, _MOST_SERIES)}
    left_out = [series.name for series in drawn if series.name not in kept]
    return [point for point in points if (point.family or point.name) in kept], left_out


def _is_near(
    place: tuple[float, float, float], others: Sequence[tuple[float, float, float]]
) -> bool:
    """Whether a marker covers one of others."""
    return any(abs(place[0] - x) < _MARKER and abs(place[1] - y) < _MARKER for x, y, _ in others)


def _places(
    shown: Sequence[CostPoint],
    points: Sequence[CostPoint],
    reference: float | None,
    *,
    moved: bool = True,
) -> list[tuple[float, float, float]]:
    """Where markers stand in the panel, and how far each is moved aside, in typographic points."""
    tokens = [point.tokens for point in points]
    place = np.log if _is_logarithmic(tokens) else np.asarray
    widest = float(place(max(tokens)) - place(min(tokens))) or 1.0
    low, high = _span(points, reference)
    height = (high - low) or 1.0
    shifts = _shifts(shown) if moved else dict.fromkeys((point.name for point in shown), 0.0)
    return [
        (
            float(place(point.tokens) - place(min(tokens))) / widest * _PANEL[0]
            + shifts[point.name],
            (point.quality.value - low) / height * _PANEL[1],
            shifts[point.name],
        )
        for point in shown
    ]


def _series(points: Sequence[CostPoint]) -> list[CostSeries]:
    together: dict[str, list[CostPoint]] = {}
    for point in points:
        together.setdefault(point.family or point.name, []).append(point)
    drawn = []
    curves = 0
    for place, (name, members) in enumerate(together.items()):
        ordered = tuple(sorted(members, key=lambda point: point.threshold or 0.0))
        # Shape and colour change together, and the pairs repeat only after 49.
        marker = MARKERS[(place + place // len(SERIES)) % len(MARKERS)]
        colour = SERIES[place % len(SERIES)]
        line: LineStyle = ""
        if members[0].family is not None:
            colour, line = INK, _LINES[curves % len(_LINES)]
            curves += 1
        drawn.append(CostSeries(name, ordered, colour, marker, line))
    return drawn


def _shifts(points: Sequence[CostPoint]) -> dict[str, float]:
    """Typographic points to the side, for those that cost the same and would cover each other."""
    tokens = [point.tokens for point in points]
    place = np.log if _is_logarithmic(tokens) else np.asarray
    widest = place(max(tokens)) - place(min(tokens))
    shifts: dict[str, float] = {}
    cluster: list[CostPoint] = []
    for point in sorted(points, key=lambda point: (point.tokens, point.name)):
        if cluster and place(point.tokens) - place(cluster[0].tokens) > 0.02 * widest:
            cluster = []
        cluster.append(point)
        middle = (len(cluster) - 1) / 2
        shifts |= {member.name: 7.0 * (at - middle) for at, member in enumerate(cluster)}
    return shifts


def _draw(figure: Figure, axes: Axes, series: CostSeries, shifts: Mapping[str, float]) -> None:
    if series.line:  # through the true places: its points are labelled, not shifted
        xs = [point.tokens for point in series.points]
        ys = [point.quality.value for point in series.points]
        axes.plot(xs, ys, color=series.colour, linewidth=1.2, linestyle=series.line)
    for point in series.points:
        shift = 0.0 if series.line else shifts[point.name] / 72.0
        place = axes.transData + ScaledTranslation(shift, 0.0, figure.dpi_scale_trans)
        quality = point.quality
        if quality.low is not None and quality.high is not None:
            ends = [quality.low, quality.high]
            axes.plot([point.tokens] * 2, ends, color=series.colour, linewidth=1.2, transform=place)
        size = 8.5 if point.is_best else 6.0
        axes.plot(
            [point.tokens],
            [quality.value],
            marker=series.marker,
            markersize=size,
            color=series.colour,
            transform=place,
            zorder=3,
        )


def _label(axes: Axes, point: CostPoint, colour: str) -> None:
    axes.annotate(
        f"{point.threshold:g}",
        (point.tokens, point.quality.value),
        xytext=(4, 4),
        textcoords="offset points",
        color=colour,
        fontsize=_SMALL,
    )


def _labelled(points: Sequence[CostPoint], most: int) -> Sequence[CostPoint]:
    """Points whose threshold is written: the ends, and between them as many as can be read."""
    known = [point for point in points if point.threshold is not None]
    step = -(-len(known) // most)
    return [*known[:-1:step], *known[-1:]] if known else []


def _is_logarithmic(tokens: Sequence[float]) -> bool:
    return min(tokens) > 0 and max(tokens) / min(tokens) >= _LOG_FROM


def _token_axis(axes: Axes, tokens: Sequence[float]) -> None:
    # Limits are set by hand: matplotlib leaves what is shifted out of its own.
    span = max(tokens) - min(tokens) or max(tokens) or 1.0
    axes.set_xlim(min(tokens) - 0.12 * span, max(tokens) + 0.12 * span)
    if _is_logarithmic(tokens):
        factor = (max(tokens) / min(tokens)) ** 0.12
        axes.set_xlim(min(tokens) / factor, max(tokens) * factor)
        axes.set_xscale("log")
        powers = range(int(np.log10(min(tokens))), int(np.log10(max(tokens))) + 1)
        ticks = [factor * 10.0**power for power in powers for factor in (1, 2, 5)]
        axes.set_xticks([tick for tick in ticks if 0.7 * min(tokens) <= tick <= 1.4 * max(tokens)])
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: amount(value)))


def _quality_axis(axes: Axes, points: Sequence[CostPoint], reference: float | None) -> None:
    low, high = _span(points, reference)
    margin = 0.07 * (high - low or 0.1)
    axes.set_ylim(low - margin, high + margin)


def _span(points: Sequence[CostPoint], reference: float | None) -> tuple[float, float]:
    """Ends of the axis; the reference is inside only where it leaves room for the points."""
    qualities = [point.quality for point in points]
    ends = [value for q in qualities for value in (q.value, q.low, q.high)]
    values = [value for value in ends if value is not None]
    low, high = min(values), max(values)
    if reference is None or not 2 * low - high <= reference <= 2 * high - low:
        return low, high
    return min(low, reference), max(high, reference)


def _legend(figure: Figure, drawn: Sequence[CostSeries], columns: int) -> None:
    handles = [
        Line2D(
            [],
            [],
            color=series.colour,
            marker=series.marker,
            linestyle=series.line,
            label=shortened(series.name, _MOST_CHARACTERS),
        )
        for series in drawn
    ]
    legend = figure.legend(
        handles=handles,
        loc="outside lower left",
        ncols=columns,
        frameon=False,
        fontsize=_SMALL,
        handlelength=1.4,
        columnspacing=1.0,
    )
    for text, series in zip(legend.get_texts(), drawn, strict=True):
        text.set_color(series.colour)
        text.set_fontweight("bold" if series.is_best else "normal")
