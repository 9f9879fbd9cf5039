"""The figures of the report, as inline SVG that follows the page's light or dark colours.

Matplotlib draws with stand-in colours that are replaced by CSS variables afterwards, and leaves
text as text: it stays sharp, searchable, and set in the font of the page.
"""

from __future__ import annotations

import io
import re
import warnings
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import matplotlib as mpl
import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from raypipe.report.scores import Estimate
from raypipe.report.text import score

# Stand-ins: no other colour of a figure may look like these.
_INK, _MUTED, _RULE, _PAPER, _ACCENT = "#010101", "#020202", "#030303", "#040404", "#050505"
SERIES_COLOURS: Final = 7
_SERIES: Final = tuple(f"#0600{index:02x}" for index in range(SERIES_COLOURS))
_MARKERS: Final = ("o", "s", "^", "D", "v", "P", "X")
_VARIABLES: Final = {
    _INK: "--ink",
    _MUTED: "--muted",
    _RULE: "--rule",
    _PAPER: "--paper",
    _ACCENT: "--accent",
    **{colour: f"--series-{index}" for index, colour in enumerate(_SERIES)},
}
_SVG: Final = "{http://www.w3.org/2000/svg}"
_HREF: Final = "{http://www.w3.org/1999/xlink}href"
_FONT: Final = re.compile(r"font-family: [^;]*;? *")
_WIDTH_IN: Final = 4.5
_STYLE: Final[dict[Any, Any]] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "raypipe",
    # An id or a label with two dollar signs is not a formula.
    "text.parse_math": False,
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.linewidth": 0.8,
    "text.color": _INK,
    "axes.labelcolor": _MUTED,
    "axes.edgecolor": _RULE,
    "xtick.color": _MUTED,
    "ytick.color": _MUTED,
    "grid.color": _RULE,
    "grid.linewidth": 0.8,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "lines.solid_capstyle": "butt",
}


@dataclass(frozen=True, slots=True)
class Bar:
    """One row of a strategies panel."""

    name: str
    estimate: Estimate
    is_baseline: bool
    is_best: bool


@dataclass(frozen=True, slots=True)
class Line:
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
    bars: Sequence[Bar], *, name: str, alt: str, lower_is_better: bool, reference: float | None
) -> Markup:
    """Approaches under each other on one axis with their intervals.

    Args:
        bars: from top to bottom.
        name: of the metric, on the axis.
        alt: the figure in words.
        lower_is_better: which way the axis is read.
        reference: the constant prior, drawn as a dashed line through all rows.
    """
    with _figure(0.9 + 0.29 * len(bars)) as (figure, axes):
        for position, bar in enumerate(bars):
            _interval(axes, position, bar)
        if reference is not None:
            axes.axvline(reference, color=_MUTED, linewidth=1.1, linestyle=(0, (4, 3)), zorder=1)
        axes.set_yticks(range(len(bars)), [bar.name for bar in bars])
        for label, bar in zip(axes.get_yticklabels(), bars, strict=True):
            label.set_color(_MUTED if bar.is_baseline else _INK)
            label.set_fontweight("bold" if bar.is_best else "normal")
        axes.set_ylim(len(bars) - 0.4, -0.6)
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="x")
        axes.set_axisbelow(True)
        axes.margins(x=0.08)
        better = "← lower is better" if lower_is_better else "higher is better →"
        axes.set_xlabel(f"{name}   {better}")
        _quiet(axes, "left", "right", "top", "bottom")
        return _svg(figure, alt)


def _interval(axes: Axes, position: int, bar: Bar) -> None:
    estimate = bar.estimate
    colour = _ACCENT if bar.is_best else _MUTED if bar.is_baseline else _INK
    if estimate.low is not None and estimate.high is not None:
        axes.plot([estimate.low, estimate.high], [position] * 2, color=colour, linewidth=2.0)
    axes.plot(
        [estimate.value],
        [position],
        marker="o",
        markersize=7.5 if bar.is_best else 6.5,
        markerfacecolor=_PAPER if bar.is_baseline else colour,
        markeredgecolor=colour,
        markeredgewidth=1.4,
    )


def ambiguity_panel(
    lines: Sequence[Line], bins: Sequence[str], *, name: str, alt: str, lower_is_better: bool
) -> Markup:
    """One metric by ambiguity bin, one line per approach, each named at its right end."""
    with _figure(3.1) as (figure, axes):
        # Side by side within a bin: intervals that cover each other cannot be compared.
        shifts = np.linspace(-0.16, 0.16, len(lines)) if len(lines) > 1 else np.zeros(1)
        ends: list[tuple[float, float, Line]] = []
        for line, shift in zip(lines, shifts, strict=True):
            drawn = _ambiguity_line(axes, line, float(shift))
            if drawn is not None:
                ends.append((*drawn, line))
        axes.set_xticks(range(len(bins)), list(bins))
        axes.set_xlim(-0.35, len(bins) - 0.65)
        axes.set_xlabel("annotators agree → disagree")
        better = "lower is better" if lower_is_better else "higher is better"
        axes.set_title(f"{name} ({better})", loc="left", color=_MUTED)
        axes.grid(axis="y")
        axes.set_axisbelow(True)
        axes.tick_params(length=0)
        _quiet(axes, "left", "right", "top")
        _name_ends(axes, ends, len(bins) - 1 + 0.3)
        return _svg(figure, alt)


def _ambiguity_line(axes: Axes, line: Line, shift: float) -> tuple[float, float] | None:
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
        marker="o" if line.colour is None else _MARKERS[line.colour],
        markersize=5.5,
        markerfacecolor=_PAPER if line.colour is None else colour,
    )
    return points[-1][0], points[-1][1].value


def _line_colour(line: Line) -> str:
    # The best strategy has the same colour in every figure.
    if line.is_best:
        return _ACCENT
    return _MUTED if line.colour is None else _SERIES[line.colour]


def _name_ends(axes: Axes, ends: list[tuple[float, float, Line]], x: float) -> None:
    """Name the lines at their ends, pushed apart so that names do not cover each other."""
    low, high = axes.get_ylim()
    gap = 0.068 * (high - low)
    ordered = sorted(ends, key=lambda end: end[1])
    heights: list[float] = []
    for _, value, _ in ordered:
        heights.append(max(value, heights[-1] + gap) if heights else value)
    # Pushing only upwards would drag a cluster away from its lines: centre it again.
    shift = float(np.mean([h - end[1] for h, end in zip(heights, ordered, strict=True)] or [0]))
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
    with _figure(3.9, rows=(4, 1)) as (figure, axes):
        below = figure.axes[1]
        axes.plot([0, 1], [0, 1], color=_MUTED, linewidth=1.1, linestyle=(0, (4, 3)))
        held = n > 0
        axes.vlines(confidence[held], low[held], high[held], color=_ACCENT, linewidth=1.4)
        axes.plot(confidence[held], right[held], color=_ACCENT, marker="o", linewidth=2.0)
        axes.set_ylim(-0.02, 1.02)
        axes.set_ylabel("share that is right")
        axes.grid()
        edges = np.linspace(0, 1, len(n) + 1)
        below.bar(edges[:-1], n, width=1 / len(n), align="edge", color=_ACCENT, edgecolor=_PAPER)
        below.set_yticks([int(n.max(initial=0))])
        below.set_ylabel("n")
        below.set_xlabel("confidence: the largest probability of the prediction")
        for panel in (axes, below):
            panel.set_xlim(0, 1)
            panel.tick_params(length=0)
            panel.set_axisbelow(True)
            _quiet(panel, "left", "right", "top")
        axes.tick_params(labelbottom=False)
        return _svg(figure, alt)


def shares_panel(
    labels: Sequence[str], shares: Mapping[str, NDArray[np.float64]], *, alt: str
) -> Markup:
    """Mean share of each label: the annotators and the predictions, a bar each.

    Args:
        labels: from top to bottom.
        shares: by who says so, at most two, the one to stress last; shape ``(labels,)`` each.
        alt: the figure in words.
    """
    colours = {1: (_ACCENT,), 2: (_MUTED, _ACCENT)}[len(shares)]
    with _figure(0.9 + 0.42 * len(labels)) as (figure, axes):
        thickness = 0.36
        for index, (who, values) in enumerate(shares.items()):
            rows = np.arange(len(labels)) + (index - (len(shares) - 1) / 2) * thickness
            axes.barh(rows, values, height=thickness * 0.92, color=colours[index], label=who)
            for row, value in zip(rows, values, strict=True):
                axes.annotate(
                    score(100 * value, 0),
                    (value, row),
                    xytext=(4, 0),
                    textcoords="offset points",
                    color=colours[index],
                    verticalalignment="center",
                )
        axes.set_yticks(range(len(labels)), list(labels))
        for label in axes.get_yticklabels():
            label.set_color(_INK)
        axes.set_ylim(len(labels) - 0.45, -0.55)
        axes.margins(x=0.1)
        axes.set_xticks([])
        axes.set_xlabel("mean share in percent")
        axes.tick_params(length=0)
        _quiet(axes, "right", "top", "bottom")
        figure.legend(loc="outside upper left", ncols=2, frameon=False, handlelength=1.0)
        return _svg(figure, alt)


@contextmanager
def _figure(height_in: float, rows: tuple[int, ...] = (1,)) -> Iterator[tuple[Figure, Axes]]:
    # Not pyplot: it keeps every figure alive and picks a back end for a screen.
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(_WIDTH_IN, height_in), layout="constrained")
        panels = figure.subplots(len(rows), 1, squeeze=False, height_ratios=rows)
        yield figure, panels[0, 0]


def _quiet(axes: Axes, *sides: str) -> None:
    for side in sides:
        axes.spines[side].set_visible(False)


def _svg(figure: Figure, alt: str) -> Markup:
    stream = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with warnings.catch_warnings():
        # The page's font sets the text, so matplotlib's own may lack a glyph of a label.
        warnings.filterwarnings("ignore", message="Glyph")
        figure.savefig(stream, format="svg", metadata=nothing)
    root = ElementTree.fromstring(stream.getvalue())
    for parent in root.iter():
        for child in list(parent):
            # Both would speak to the whole page: a licence statement and a style for "*".
            if child.tag in (f"{_SVG}metadata", f"{_SVG}style"):
                parent.remove(child)
        _make_inline(parent)
    view = root.get("viewBox", "")
    root.attrib = {"role": "img", "aria-label": alt, "viewBox": view, "class": "chart"}
    # The serialiser escapes every text and attribute it writes.
    return Markup(ElementTree.tostring(root, encoding="unicode"))


def _make_inline(element: ElementTree.Element) -> None:
    element.tag = element.tag.removeprefix(_SVG)
    if element.tag == "g":
        # Names such as "axes_1" would repeat on a page with several figures.
        element.attrib.pop("id", None)
    if (target := element.attrib.pop(_HREF, None)) is not None:
        element.set("href", target)
    if (style := element.get("style")) is not None:
        for colour, variable in _VARIABLES.items():
            style = style.replace(colour, f"var({variable})")
        element.set("style", _FONT.sub("", style))
