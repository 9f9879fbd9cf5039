"""A figure with its caption, and the chart of label shares that several pages show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from raypipe.reporting.figures import shares_panel
from raypipe.reporting.text import percent

MOST_CHARACTERS: Final = 26
"""Longest name beside a figure, in characters."""


@dataclass(frozen=True, slots=True)
class Chart:
    """A figure and the sentence under it."""

    svg: Markup
    caption: str


def label_shares_chart(
    title: str,
    labels: Sequence[str],
    shares: Mapping[str, NDArray[np.float64]],
    caption: str,
) -> Chart:
    """Share of each label by who gives it, also in words for those who cannot see it.

    Args:
        title: what the shares are, for the figure in words.
        labels: from top to bottom.
        shares: by who gives them, one or two, shape ``(labels,)`` each, in [0, 1].
        caption: the sentence under the figure.
    """
    parts = (
        f"{who}: "
        + ", ".join(
            f"{label} {percent(share)}" for label, share in zip(labels, values, strict=True)
        )
        for who, values in shares.items()
    )
    alt = f"{title}. " + "; ".join(parts)
    return Chart(shares_panel(labels, shares, alt=alt), caption)
