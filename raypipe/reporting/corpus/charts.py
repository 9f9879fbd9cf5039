"""From findings to figures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from raypipe.reporting.corpus import words
from raypipe.reporting.corpus.findings import Bin, Findings
from raypipe.reporting.histograms import counts_panel, histogram_panel
from raypipe.reporting.run.charts import MOST_CHARACTERS, Chart
from raypipe.reporting.run.figures import shares_panel
from raypipe.reporting.text import clean, count, percent, score

TEXTS = 15


def labels_chart(found: Findings) -> Chart | None:
    """How the votes fall on the labels, and what the mean soft label makes of it."""
    votes = [one.vote_share for one in found.labels if one.vote_share is not None]
    means = [one.mean_share for one in found.labels if one.mean_share is not None]
    shares = {
        name: np.array(values)
        for name, values in (("votes", votes), ("mean soft label", means))
        if values
    }
    if not shares:
        return None
    labels = [clean(one.label, MOST_CHARACTERS) for one in found.labels]
    alt = "Share of each label. " + "; ".join(
        f"{who}: " + ", ".join(f"{n} {percent(v)}" for n, v in zip(labels, values, strict=True))
        for who, values in shares.items()
    )
    caption = (
        "In percent: of all votes that count, and the mean of the soft labels, in which every "
        "utterance weighs alike: the constant predictor “prior”."
        if len(shares) == 2
        else "In percent."
    )
    return Chart(shares_panel(labels, shares, alt=alt), caption)


def entropy_chart(found: Findings) -> Chart | None:
    """The entropies in tenths of a bit, with the ends of the five bins of equal width."""
    spread = found.entropy.spread
    if spread is None:
        return None
    svg = histogram_panel(
        _edges(found.entropy.fine),
        [one.utterances for one in found.entropy.fine],
        name="entropy of the soft label in bits",
        alt=_in_words("Entropy of the soft labels in bits", found.entropy.steps),
        marks=[one.low for one in found.entropy.equal_width[1:]],
    )
    mean, median = score(spread.mean), score(spread.median)
    return Chart(
        svg,
        f"Mean {mean} bits ({score(found.entropy.mean_nats or 0)} nats), median {median}, of at "
        f"most {score(found.entropy.largest)}. Dashed: the five ambiguity bins of equal width.",
    )


def votes_chart(found: Findings) -> Chart | None:
    """How many votes utterances have."""
    held = found.votes.per_utterance
    if not found.votes.counted:
        return None
    rows = words.gathered(held)
    width = 1 if max(held) < words.MOST_LINES else int(rows[1][0].split()[0])
    first = min(held) if width == 1 else 0
    svg = histogram_panel(
        [first + width * at - 0.5 for at in range(len(rows) + 1)],
        [number for _, number in rows],
        name="votes per utterance",
        alt="Votes per utterance: " + ", ".join(f"{name} votes {count(n)}" for name, n in rows),
        whole=True,
    )
    return Chart(svg, "")


def durations_chart(found: Findings) -> Chart | None:
    """How long the utterances are."""
    bins = found.durations.histogram
    if len(bins) < 2 or found.durations.spread is None:
        return None
    # The last range may reach to a single recording that is far longer: draw it like the others.
    edges = _edges(bins)
    caption = ""
    if len(bins) > 2 and edges[-1] - edges[-2] > 1.5 * (edges[-2] - edges[-3]):
        edges[-1] = edges[-2] + (edges[-2] - edges[-3])
        longest = score(found.durations.spread.maximum, 2)
        caption = f"The last range goes on to the longest utterance of {longest} s."
    svg = histogram_panel(
        edges,
        [one.utterances for one in bins],
        name="duration in seconds",
        alt=_in_words("Durations in seconds", bins),
    )
    return Chart(svg, caption)


def texts_chart(found: Findings) -> Chart | None:
    """The most frequent typed descriptions."""
    first = list(found.typed.most_frequent.items())[:TEXTS]
    if not first:
        return None
    rows = [(clean(text, MOST_CHARACTERS), number) for text, number in first]
    alt = "Typed descriptions: " + ", ".join(f"{text} {count(n)}" for text, n in rows)
    return Chart(counts_panel(rows, name="times written", alt=alt), "")


def _edges(bins: Sequence[Bin]) -> list[float]:
    return [bins[0].low, *(one.high for one in bins)]


def _in_words(what: str, bins: Sequence[Bin]) -> str:
    held = ", ".join(f"{ends} {count(number)}" for ends, number in words.ranges(bins))
    return f"{what}: {held}"
