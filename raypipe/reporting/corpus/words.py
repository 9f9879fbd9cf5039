"""Findings about a corpus in words: terms, values and warnings for a terminal and a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from raypipe.reporting.corpus.findings import Findings, HistogramBin, Spread
from raypipe.reporting.corpus.signals import signal_alerts
from raypipe.reporting.corpus.values import even_edges
from raypipe.reporting.page import Fact
from raypipe.reporting.text import NONE, clean, count, duration, listing, percent, score
from raypipe.votes import VotePolicy

MOST_LINES: Final = 24
_MOST_NAMED: Final = 6


def facts(findings: Findings) -> list[Fact]:
    """Terms and texts that say what the corpus is, in the order in which a reader asks."""
    pairs = [
        ("Utterances", _utterances(findings)),
        ("Speech", duration(findings.durations.total_s)),
        ("Duration", _quartiles(findings.durations.spread, 2, "s")),
        (
            "Sampling rate",
            _listed({f"{count(r)} Hz": n for r, n in findings.sampling_rates.items()}),
        ),
        ("Audio", _audio(findings)),
        ("Data sets", _listed(findings.datasets) if len(findings.datasets) > 1 else None),
        ("Splits", _listed(findings.splits)),
        ("Speakers", _speakers(findings)),
        ("Votes", _votes(findings)),
        ("Annotators", _annotators(findings)),
        ("Selection", clean(findings.selection, 60) if findings.selection else None),
        ("Policy", policy_in_words(findings.policy)),
        ("Licence", clean(findings.licence, 200) if findings.licence else None),
        ("Size", _size(findings)),
    ]
    kept = [(term, text) for term, text in pairs if text is not None]
    return [Fact(term, text, missing=text == NONE) for term, text in kept]


def alerts(findings: Findings) -> list[str]:
    """Warnings that a reader needs before believing the figures."""
    warned = [f"Not read, and in no figure: {clean(problem, 300)}" for problem in findings.problems]
    if findings.utterances == 0:
        warned.append("There is no utterance.")
    if findings.policy is None and findings.utterances:
        warned.append(
            "The shards do not say how their votes were counted; the default policy is taken here."
        )
    if findings.durations.zero:
        number = findings.durations.zero
        warned.append(
            f"{count(number)} of {count(findings.utterances)} utterances have no duration."
        )
    if findings.votes.not_from_votes and findings.votes.counted:
        warned.append(
            f"{count(findings.votes.not_from_votes)} soft labels came with the corpus and are not "
            "what the votes add up to; entropies, ties and majorities are of the soft labels."
        )
    return [*warned, *signal_alerts(findings)]


def _audio(findings: Findings) -> str | None:
    if findings.audio is None:
        return None
    if findings.audio == "original":
        return "as it was found"
    kept = [f"{clean(kind, 40)} {count(number)}" for kind, number in findings.kept_original.items()]
    return f"FLAC, but for {listing(kept)}" if kept else "FLAC"


def _utterances(findings: Findings) -> str:
    parts = [count(findings.utterances)]
    if findings.failed.inputs:
        parts.append(f"{count(findings.failed.inputs)} more could not be used")
    if findings.excluded.inputs:
        parts.append(f"{count(findings.excluded.inputs)} left out by the policy")
    return "; ".join(parts)


def _size(findings: Findings) -> str:
    shards = f"{count(findings.shards)} shard{'' if findings.shards == 1 else 's'}"
    return shards if findings.bytes is None else f"{size(findings.bytes)} in {shards}"


def size(number: int) -> str:
    r"""A number of bytes in the largest binary unit that it fills.

    Example:
        >>> size(281660284).replace("\xa0", " ")
        '268.6 MiB'
    """
    value, units = float(number), ["B", "KiB", "MiB", "GiB", "TiB", "PiB"]
    while value >= 1024 and len(units) > 1:
        value /= 1024
        units.pop(0)
    return f"{value:.0f}\u00a0B" if units[0] == "B" else f"{score(value, 1)}\u00a0{units[0]}"


def _quartiles(spread: Spread | None, digits: int, unit: str) -> str:
    if spread is None:
        return NONE
    low, *middle, high = (
        score(value, digits)
        for value in (spread.minimum, spread.q25, spread.median, spread.q75, spread.maximum)
    )
    if low == high:
        return f"{low} {unit}, all"
    return f"{low} to {high} {unit}; quartiles {' / '.join(middle)}"


def _listed(counts: Mapping[str, int]) -> str:
    """Names with their numbers of utterances; of many names the most frequent."""
    if not counts:
        return NONE
    if len(counts) == 1:
        return clean(next(iter(counts)), 60)
    first = list(counts.items())[:_MOST_NAMED]
    named = [f"{clean(name, 40)} {count(number)}" for name, number in first]
    if len(counts) > _MOST_NAMED:
        named.append(f"{count(len(counts) - _MOST_NAMED)} more")
    return listing(named)


def _speakers(findings: Findings) -> str:
    speakers = findings.speakers
    if speakers.utterances is None:
        return NONE
    text = f"{count(speakers.distinct)}, each with {_range(speakers.utterances)}"
    if speakers.unknown:
        text += f"; not known for {count(speakers.unknown)} utterances"
    return text


def _range(spread: Spread) -> str:
    low, high = count(round(spread.minimum)), count(round(spread.maximum))
    if low == high:
        return f"{low} utterance{'' if low == '1' else 's'}"
    return f"{low} to {high} utterances (median {spread.median:g})"


def _votes(findings: Findings) -> str:
    if not findings.votes.counted:
        return NONE
    text = f"{votes_in_words(findings.votes.counted)} that count"
    numbers = [number for number in findings.votes.per_utterance if number]
    fewest, most = min(numbers), max(numbers)
    text += f", {fewest} to {most} per utterance" if fewest < most else f", {most} per utterance"
    outside = sum(findings.votes.outside.values())
    return f"{text}; {count(outside)} outside the label set" if outside else text


def votes_in_words(number: float) -> str:
    """A number of votes as text; not whole only where a rule splits votes between labels."""
    return count(round(number)) if number == round(number) else f"{number:,.1f}"


def _annotators(findings: Findings) -> str:
    annotators = findings.annotators
    if annotators.numbered:
        return "not known by name: their votes are numbered in every utterance"
    if annotators.distinct is None or annotators.votes is None:
        return NONE
    if annotators.distinct == 1:
        return "1"
    low, high = round(annotators.votes.minimum), round(annotators.votes.maximum)
    text = f"{count(annotators.distinct)}, each with {count(low)}"
    if low == high:
        return f"{text} vote{'' if low == 1 else 's'}"
    return f"{text} to {count(high)} votes (median {annotators.votes.median:g})"


def policy_in_words(policy: VotePolicy | None) -> str:
    """The fields of a policy, the rule first, then those that differ from the default."""
    if policy is None:
        return "not recorded"
    fields = policy.model_dump(exclude_defaults=True, exclude={"rule"})
    parts = [f"rule {policy.rule}"]
    for name, value in fields.items():
        if isinstance(value, dict):
            value = ", ".join(f"{word} as {label}" for word, label in value.items())
        elif isinstance(value, bool):
            value = "on" if value else "off"
        parts.append(f"{name.replace('_', ' ')} {value}")
    return clean("; ".join(parts), 300)


def agreement_in_words(findings: Findings) -> list[str]:
    """Sentences that say on how many ratings the coefficients rest, or why there are none."""
    agreement = findings.agreement
    if agreement.undefined is not None or agreement.fewest is None:
        return [f"Agreement is undefined: {agreement.undefined}."]
    equal = agreement.fewest == agreement.most
    each = f"{agreement.most}" if equal else f"{agreement.fewest} to {agreement.most}"
    rests = (
        f"On {count(agreement.ratings)} first labels that count, {each} for each of "
        f"{count(agreement.utterances)} utterances."
    )
    if equal:
        return [rests]
    return [rests, "Fleiss' kappa is in its form for unequal numbers of ratings."]


def reference_label(findings: Findings) -> str:
    """Name of the reference label: ``consensus`` of the corpus, or ``plurality`` of its votes."""
    policy = findings.policy
    return "consensus" if policy is not None and policy.plurality == "corpus" else "plurality"


def soft_labels_in_words(findings: Findings) -> list[str]:
    """Numbers of unanimous utterances, of those with a majority and of ties, in sentences."""
    votes = findings.votes
    if not votes.labelled:
        return ["No utterance has a soft label."]

    def share(number: int) -> str:
        return f"{count(number)} ({percent(number / votes.labelled)})"

    by_ways = [f"{count(number)} of {ways} labels" for ways, number in votes.ties.items()]
    ties = f"ties {share(sum(votes.ties.values()))}" + (
        f": {listing(by_ways)}" if len(by_ways) > 1 else ""
    )
    parts = [f"unanimous {share(votes.unanimous)}, majority {share(votes.majority)}, {ties}."]
    if reference_label(findings) == "consensus":
        parts.append(f"Without a consensus inside the label set: {share(votes.no_reference)}.")
    if votes.unlabelled:
        parts.append(f"Without a vote inside the label set: {count(votes.unlabelled)}.")
    return [parts[0][0].upper() + parts[0][1:], *parts[1:]]


def self_reports_in_words(findings: Findings) -> str | None:
    """The speakers' judgements of themselves; None without any."""
    own = findings.self_reports
    if not own.votes:
        return None
    labels = listing([f"{clean(word, 40)} {count(number)}" for word, number in own.labels.items()])
    counted = "counted as votes" if own.counted else "not counted as votes"
    return f"{count(own.votes)} self-reports on {count(own.utterances)} utterances, {counted}" + (
        f": {labels}." if own.labels else "."
    )


def ranges(bins: Sequence[HistogramBin]) -> list[tuple[str, int]]:
    """Range of each bin in words, to as many digits as it needs, and its utterances."""
    digits = max((_digits(end) for part in bins for end in (part.low, part.high)), default=0)
    return [
        (f"{score(part.low, digits)} to {score(part.high, digits)}", part.utterances)
        for part in bins
    ]


def _digits(value: float) -> int:
    """Digits after the point that a value is written with, three at most."""
    return len(f"{value:.3f}".rstrip("0").partition(".")[2])


def gathered(counts: Mapping[int, int]) -> list[tuple[str, int]]:
    """Whole numbers in words and how often they occur; ranges of them where they are many."""
    if max(counts, default=0) < MOST_LINES:
        return [
            (str(number), counts.get(number, 0)) for number in range(min(counts), max(counts) + 1)
        ]
    width = round(float(np.diff(even_edges(0, max(counts) + 1, MOST_LINES // 2))[0]))
    sums: dict[int, int] = {}
    for number, times in counts.items():
        sums[number // width] = sums.get(number // width, 0) + times
    return [
        (f"{place * width} to {(place + 1) * width - 1}", sums.get(place, 0))
        for place in range(max(sums) + 1)
    ]
