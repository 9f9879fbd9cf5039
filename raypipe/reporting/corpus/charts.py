"""Charts of the page about a corpus."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from raypipe.reporting.charts import MOST_CHARACTERS, Chart, label_shares_chart
from raypipe.reporting.corpus import words
from raypipe.reporting.corpus.findings import Findings, HistogramBin
from raypipe.reporting.figures import counts_panel, histogram_panel
from raypipe.reporting.text import clean, count, score

MOST_TEXTS: Final = 15


def labels_chart(findings: Findings) -> Chart | None:
    """Share of each label in the votes and in the mean soft label; None without any."""
    votes = [label.vote_share for label in findings.labels if label.vote_share is not None]
    means = [label.mean_share for label in findings.labels if label.mean_share is not None]
    shares = {
        name: np.array(values)
        for name, values in (("votes", votes), ("mean soft label", means))
        if values
    }
    if not shares:
        return None
    caption = (
        "In percent: of all votes that count, and the mean of the soft labels, in which every "
        "utterance weighs alike: the constant predictor “prior”."
        if len(shares) == 2
        else "In percent."
    )
    labels = [clean(label.label, MOST_CHARACTERS) for label in findings.labels]
    return label_shares_chart("Share of each label", labels, shares, caption)


def entropy_chart(findings: Findings) -> Chart | None:
    """Histogram of the entropies in tenths of a bit, with the ends of the bins of equal width."""
    spread = findings.entropy.spread
    if spread is None:
        return None
    svg = histogram_panel(
        _edges(findings.entropy.fine),
        [step.utterances for step in findings.entropy.fine],
        name="entropy of the soft label in bits",
        alt=_in_words("Entropy of the soft labels in bits", findings.entropy.steps),
        marks=[equal.low for equal in findings.entropy.equal_width[1:]],
    )
    mean, median = score(spread.mean), score(spread.median)
    return Chart(
        svg,
        f"Mean {mean} bits ({score(findings.entropy.mean_nats or 0)} nats), median {median}, of at "
        f"most {score(findings.entropy.largest)}. Dashed: the five ambiguity bins of equal width.",
    )


def votes_chart(findings: Findings) -> Chart | None:
    """Histogram of the number of votes per utterance; None without votes that count."""
    per_utterance = findings.votes.per_utterance
    if not findings.votes.counted:
        return None
    bars = words.gathered(per_utterance)
    width = 1 if max(per_utterance) < words.MOST_LINES else int(bars[1][0].split()[0])
    first = min(per_utterance) if width == 1 else 0
    svg = histogram_panel(
        [first + width * place - 0.5 for place in range(len(bars) + 1)],
        [number for _, number in bars],
        name="votes per utterance",
        alt="Votes per utterance: " + ", ".join(f"{name} votes {count(n)}" for name, n in bars),
        whole=True,
    )
    return Chart(svg, "")


def durations_chart(findings: Findings) -> Chart | None:
    """Histogram of the durations in seconds; None for fewer than two bins."""
    bins = findings.durations.histogram
    if len(bins) < 2 or findings.durations.spread is None:
        return None
    # The last range may reach to a single recording that is far longer: draw it like the others.
    edges = _edges(bins)
    caption = ""
    if len(bins) > 2 and edges[-1] - edges[-2] > 1.5 * (edges[-2] - edges[-3]):
        edges[-1] = edges[-2] + (edges[-2] - edges[-3])
        longest = score(findings.durations.spread.maximum, 2)
        caption = f"The last range goes on to the longest utterance of {longest} s."
    svg = histogram_panel(
        edges,
        [part.utterances for part in bins],
        name="duration in seconds",
        alt=_in_words("Durations in seconds", bins),
    )
    return Chart(svg, caption)


def texts_chart(findings: Findings) -> Chart | None:
    """The most frequent typed descriptions by how often they were written; None without any."""
    first = list(findings.typed.most_frequent.items())[:MOST_TEXTS]
    if not first:
        return None
    bars = [(clean(text, MOST_CHARACTERS), number) for text, number in first]
    alt = "Typed descriptions: " + ", ".join(f"{text} {count(n)}" for text, n in bars)
    return Chart(counts_panel(bars, name="times written", alt=alt), "")


def _edges(bins: Sequence[HistogramBin]) -> list[float]:
    return [bins[0].low, *(part.high for part in bins)]


def _in_words(title: str, bins: Sequence[HistogramBin]) -> str:
    counts = ", ".join(f"{ends} {count(number)}" for ends, number in words.ranges(bins))
    return f"{title}: {counts}"
