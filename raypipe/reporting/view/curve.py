"""The token-level curve: what the emotion words' logits said while an answer was written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from raypipe.labels import LabelSet
from raypipe.records import EmotionTokens, Hypothesis
from raypipe.reporting.canvas import SERIES_COLOURS
from raypipe.reporting.text import percent
from raypipe.strategies.token_level import label_weights, text_steps, used_steps

WIDTH: Final = 640
HEIGHT: Final = 190
_LEFT: Final = 40
_RIGHT: Final = 10
_TOP: Final = 8
_BOTTOM: Final = 26

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class CurveLine:
    """One label's share over the steps.

    Attributes:
        colour: number of the page's series colour.
        pieces: corners of the line as SVG has them; several where steps without values part it.
        dots: places of single steps between steps without values.
    """

    label: str
    colour: int
    pieces: tuple[str, ...]
    dots: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class TokenCurve:
    """Shares of the labels at every step of one answer, laid out for an SVG.

    Attributes:
        lines: labels that are drawn, in the order of the label set.
        words: left edge and width of the steps that wrote an emotion word.
        rules: height and name of the horizontal rules.
        ticks: place and number of steps that are named, from 1.
        left_out: labels for which there was no colour left, those with the smallest peaks.
        unrecorded: labels without a recorded word.
        alt: the figure in words.
    """

    lines: tuple[CurveLine, ...]
    words: tuple[tuple[str, str], ...]
    rules: tuple[tuple[str, str], ...]
    ticks: tuple[tuple[str, int], ...]
    left_out: tuple[str, ...]
    unrecorded: tuple[str, ...]
    alt: str


def step_shares(hypothesis: Hypothesis, tokens: EmotionTokens, labels: LabelSet) -> Array | None:
    """Softmax over the labels of their mean logits (token_level_logits, Eq. 1) at every step.

    A label without any recorded word has no logit and takes no part.

    Returns:
        Shape ``(steps, labels)``: each row sums to 1, or is NaN where a logit is not finite; NaN in
        the column of a label without a recorded word. None if no logits were recorded.
    """
    logits = hypothesis.emotion_logits
    weights = label_weights(tokens, labels)
    if logits is None or logits.ndim != 2 or logits.shape[1] != weights.shape[0]:
        return None
    recorded = weights.any(axis=0)
    rows = np.asarray(logits, dtype=np.float64)[: text_steps(hypothesis)]
    shares = np.full((rows.shape[0], len(labels)), np.nan)
    known = np.isfinite(rows).all(axis=1)
    if not recorded.any() or not known.any():
        return shares
    scores = rows[known] @ weights[:, recorded]
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    shares[np.ix_(known, recorded)] = powers / powers.sum(axis=1, keepdims=True)
    return shares


def token_curve(
    hypothesis: Hypothesis, tokens: EmotionTokens | None, labels: LabelSet
) -> TokenCurve | None:
    """The curve of one answer; None where no logits were recorded or no step wrote text."""
    shares = None if tokens is None else step_shares(hypothesis, tokens, labels)
    if tokens is None or shares is None or not np.isfinite(shares).any():
        return None
    steps = shares.shape[0]
    recorded = np.asarray(label_weights(tokens, labels).any(axis=0))
    drawn, left_out = _drawn(shares, recorded)
    written = np.zeros(steps, dtype=np.bool_)
    if hypothesis.token_ids:
        words = used_steps(hypothesis, tokens, labels, "words")
        written[: words.size] = words[:steps]
    width = (WIDTH - _LEFT - _RIGHT) / steps
    return TokenCurve(
        lines=tuple(
            _line(labels.names[place], colour, shares[:, place])
            for colour, place in enumerate(drawn)
        ),
        words=tuple(
            (f"{_x(int(step), steps) - width / 2:.1f}", f"{width:.1f}")
            for step in np.flatnonzero(written)
        ),
        rules=tuple((f"{_y(share):.1f}", percent(share, 0)) for share in (0.0, 0.5, 1.0)),
        ticks=tuple((f"{_x(step, steps):.1f}", step + 1) for step in _ticks(steps)),
        left_out=tuple(labels.names[place] for place in left_out),
        unrecorded=tuple(
            name for name, is_there in zip(labels.names, recorded, strict=True) if not is_there
        ),
        alt=_in_words(shares, drawn, labels),
    )


def _drawn(shares: Array, recorded: NDArray[np.bool_]) -> tuple[list[int], list[int]]:
    """Labels with a colour, those with the highest peaks, and the others; both in order."""
    peaks = np.nanmax(np.where(np.isfinite(shares), shares, -1.0), axis=0)
    there = np.flatnonzero(recorded)
    ranked = sorted(there.tolist(), key=lambda place: (-peaks[place], place))
    return sorted(ranked[:SERIES_COLOURS]), sorted(ranked[SERIES_COLOURS:])


def _x(step: int, steps: int) -> float:
    return _LEFT + (step + 0.5) * (WIDTH - _LEFT - _RIGHT) / steps


def _y(share: float) -> float:
    return _TOP + (1.0 - share) * (HEIGHT - _TOP - _BOTTOM)


def _line(label: str, colour: int, shares: Array) -> CurveLine:
    pieces: list[list[tuple[float, float]]] = [[]]
    for step, share in enumerate(shares.tolist()):
        if np.isfinite(share):
            pieces[-1].append((_x(step, shares.size), _y(share)))
        elif pieces[-1]:
            pieces.append([])
    return CurveLine(
        label,
        colour,
        tuple(" ".join(f"{x:.1f},{y:.1f}" for x, y in piece) for piece in pieces if len(piece) > 1),
        tuple((f"{piece[0][0]:.1f}", f"{piece[0][1]:.1f}") for piece in pieces if len(piece) == 1),
    )


def _ticks(steps: int) -> list[int]:
    every = max(1, round(steps / 8 / 5) * 5) if steps > 8 else 1
    return [step for step in range(steps) if step == 0 or (step + 1) % every == 0]


def _in_words(shares: Array, drawn: list[int], labels: LabelSet) -> str:
    parts = []
    for place in drawn:
        column = shares[:, place]
        step = int(np.nanargmax(column))
        parts.append(
            f"{labels.names[place]} at most {percent(float(column[step]), 0)} (step {step + 1})"
        )
    return f"Share of each label over {shares.shape[0]} steps: " + "; ".join(parts)
