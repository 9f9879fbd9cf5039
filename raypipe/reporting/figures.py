"""Figures that several pages show: histograms, named counts, shares of labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from markupsafe import Markup
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from raypipe.reporting.canvas import ACCENT, INK, MUTED, PAPER, canvas, quiet, svg
from raypipe.reporting.text import count, score


def histogram_panel(
    edges: Sequence[float],
    counts: Sequence[int],
    *,
    name: str,
    alt: str,
    marks: Sequence[float] = (),
    whole: bool = False,
) -> Markup:
    """Counts in ranges of a value that lie side by side.

    Args:
        edges: ends of the ranges, ascending, shape ``(ranges + 1,)``.
        counts: what is in them, shape ``(ranges,)``.
        name: of the value, with its unit, on the axis.
        alt: the figure in words.
        marks: where to draw dashed lines through the ranges.
        whole: only whole values occur, each in the middle of its range.
    """
    with canvas(2.5) as (figure, axes):
        axes.bar(
            edges[:-1],
            counts,
            width=np.diff(edges),
            align="edge",
            color=ACCENT,
            edgecolor=PAPER,
            linewidth=0.8,
        )
        for mark in marks:
            axes.axvline(mark, color=MUTED, linewidth=1.0, linestyle=(0, (4, 3)))
        axes.set_xlim(edges[0], edges[-1])
        if whole:
            axes.xaxis.set_major_locator(MaxNLocator(nbins=12, integer=True, min_n_ticks=1))
        axes.yaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))
        axes.yaxis.set_major_formatter(lambda value, _: count(round(value)))
        axes.set_xlabel(name)
        axes.set_title("utterances", loc="left", color=MUTED)
        axes.grid(axis="y")
        axes.set_axisbelow(True)
        axes.tick_params(length=0)
        quiet(axes, "left", "right", "top")
        return svg(figure, alt)


def counts_panel(rows: Sequence[tuple[str, int]], *, name: str, alt: str) -> Markup:
    """Named counts under each other.

    Args:
        rows: names and counts, from top to bottom; at least one.
        name: of what is counted, on the axis.
        alt: the figure in words.
    """
    numbers = [number for _, number in rows]
    with canvas(0.6 + 0.26 * len(rows)) as (figure, axes):
        axes.barh(range(len(rows)), numbers, height=0.66, color=ACCENT)
        for row, number in enumerate(numbers):
            axes.annotate(
                count(number),
                (number, row),
                xytext=(4, 0),
                textcoords="offset points",
                color=ACCENT,
                verticalalignment="center",
            )
        axes.set_yticks(range(len(rows)), [row_name for row_name, _ in rows])
        for label in axes.get_yticklabels():
            label.set_color(INK)
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.margins(x=0.12)
        axes.set_xticks([])
        axes.set_xlabel(name)
        axes.tick_params(length=0)
        quiet(axes, "right", "top", "bottom")
        return svg(figure, alt)


def shares_panel(
    labels: Sequence[str], shares: Mapping[str, NDArray[np.float64]], *, alt: str
) -> Markup:
    """Mean share of each label: the annotators and the predictions, a bar each.

    Args:
        labels: from top to bottom.
        shares: by who says so, at most two, the one to stress last; shape ``(labels,)`` each.
        alt: the figure in words.
    """
    colours = {1: (ACCENT,), 2: (MUTED, ACCENT)}[len(shares)]
    with canvas(0.9 + 0.42 * len(labels)) as (figure, axes):
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
            label.set_color(INK)
        axes.set_ylim(len(labels) - 0.45, -0.55)
        axes.margins(x=0.1)
        axes.set_xticks([])
        axes.set_xlabel("mean share in percent")
        axes.tick_params(length=0)
        quiet(axes, "right", "top", "bottom")
        figure.legend(loc="outside upper left", ncols=2, frameon=False, handlelength=1.0)
        return svg(figure, alt)
