"""Findings in words: the same terms, values and warnings for a terminal and a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from raypipe.reporting.corpus.findings import Bin, Findings, LeftOut, Spread
from raypipe.reporting.corpus.values import even_edges
from raypipe.reporting.run.facts import Fact
from raypipe.reporting.text import clean, count, duration, listing, percent, score
from raypipe.votes import VotePolicy

NONE = "\N{EN DASH}"
MOST_LINES = 24
_NAMED = 6


def facts(found: Findings) -> list[Fact]:
    """What the corpus is, in the order a reader asks for it."""
    pairs = [
        ("Utterances", _utterances(found)),
        ("Speech", duration(found.durations.total_s)),
        ("Duration", _quartiles(found.durations.spread, 2, "s")),
        ("Sampling rate", _listed({f"{count(r)} Hz": n for r, n in found.sampling_rates.items()})),
        ("Audio", _audio(found)),
        ("Data sets", _listed(found.datasets) if len(found.datasets) > 1 else None),
        ("Splits", _listed(found.splits)),
        ("Speakers", _speakers(found)),
        ("Votes", _votes(found)),
        ("Annotators", _annotators(found)),
        ("Selection", clean(found.selection, 60) if found.selection else None),
        ("Policy", policy_in_words(found.policy)),
        ("Licence", clean(found.licence, 200) if found.licence else None),
        ("Size", _size(found)),
    ]
    kept = [(term, text) for term, text in pairs if text is not None]
    return [Fact(term, text, missing=text == NONE) for term, text in kept]


def alerts(found: Findings) -> list[str]:
    """What a reader must know before believing the figures."""
    warned = [f"Not read, and in no figure: {clean(one, 300)}" for one in found.problems]
    if found.utterances == 0:
        warned.append("There is no utterance.")
    if found.policy is None and found.utterances:
        warned.append(
            "The shards do not say how their votes were counted; the default policy is taken here."
        )
    if found.durations.zero:
        number = found.durations.zero
        warned.append(f"{count(number)} of {count(found.utterances)} utterances have no duration.")
    if found.votes.not_from_votes and found.votes.counted:
        warned.append(
            f"{count(found.votes.not_from_votes)} soft labels came with the corpus and are not "
            "what the votes add up to; entropies, ties and majorities are of the soft labels."
        )
    return warned


def _audio(found: Findings) -> str | None:
    if found.audio is None:
        return None
    if found.audio == "original":
        return "as it was found"
    kept = [f"{clean(kind, 40)} {count(number)}" for kind, number in found.kept_original.items()]
    return f"FLAC, but for {listing(kept)}" if kept else "FLAC"


def _utterances(found: Findings) -> str:
    parts = [count(found.utterances)]
    if found.failed.inputs:
        parts.append(f"{count(found.failed.inputs)} more could not be used")
    if found.excluded.inputs:
        parts.append(f"{count(found.excluded.inputs)} left out by the policy")
    return "; ".join(parts)


def _size(found: Findings) -> str:
    shards = f"{count(found.shards)} shard{'' if found.shards == 1 else 's'}"
    return shards if found.bytes is None else f"{size(found.bytes)} in {shards}"


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
    """Names and numbers of utterances; the largest few of many."""
    if not counts:
        return NONE
    if len(counts) == 1:
        return clean(next(iter(counts)), 60)
    first = list(counts.items())[:_NAMED]
    named = [f"{clean(name, 40)} {count(number)}" for name, number in first]
    if len(counts) > _NAMED:
        named.append(f"{count(len(counts) - _NAMED)} more")
    return listing(named)


def _speakers(found: Findings) -> str:
    speakers = found.speakers
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


def _votes(found: Findings) -> str:
    if not found.votes.counted:
        return NONE
    text = f"{votes(found.votes.counted)} that count"
    held = {number: times for number, times in found.votes.per_utterance.items() if number}
    fewest, most = min(held), max(held)
    text += f", {fewest} to {most} per utterance" if fewest < most else f", {most} per utterance"
    outside = sum(found.votes.outside.values())
    return f"{text}; {count(outside)} outside the label set" if outside else text


def votes(number: float) -> str:
    """A number of votes, which a rule may split between labels."""
    return count(round(number)) if number == round(number) else f"{number:,.1f}"


def _annotators(found: Findings) -> str:
    annotators = found.annotators
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


def agreement_in_words(found: Findings) -> list[str]:
    """The coefficients and what they rest on."""
    agreement = found.agreement
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


def soft_labels_in_words(found: Findings) -> list[str]:
    """How many utterances are unanimous, have a majority, are tied."""
    heard = found.votes
    if not heard.labelled:
        return ["No utterance has a soft label."]

    def share(number: int) -> str:
        return f"{count(number)} ({percent(number / heard.labelled)})"

    by_ways = [f"{count(number)} of {ways} labels" for ways, number in heard.ties.items()]
    ties = f"ties {share(sum(heard.ties.values()))}" + (
        f": {listing(by_ways)}" if len(by_ways) > 1 else ""
    )
    parts = [f"unanimous {share(heard.unanimous)}, majority {share(heard.majority)}, {ties}."]
    if found.policy is not None and found.policy.plurality == "corpus":
        parts.append(f"Without a consensus inside the label set: {share(heard.no_reference)}.")
    if heard.unlabelled:
        parts.append(f"Without a vote inside the label set: {count(heard.unlabelled)}.")
    return [parts[0][0].upper() + parts[0][1:], *parts[1:]]


def self_reports_in_words(found: Findings) -> str | None:
    """The speakers' judgements of themselves; None without any."""
    own = found.self_reports
    if not own.votes:
        return None
    labels = listing([f"{clean(word, 40)} {count(number)}" for word, number in own.labels.items()])
    counted = "counted as votes" if own.counted else "not counted as votes"
    return f"{count(own.votes)} self-reports on {count(own.utterances)} utterances, {counted}" + (
        f": {labels}." if own.labels else "."
    )


def ranges(bins: Sequence[Bin]) -> list[tuple[str, int]]:
    """Bins with their ends to as many digits as they need, and what is in them."""
    digits = max((_digits(end) for one in bins for end in (one.low, one.high)), default=0)
    return [
        (f"{score(one.low, digits)} to {score(one.high, digits)}", one.utterances) for one in bins
    ]


def _digits(value: float) -> int:
    """Digits after the point that a value is written with, three at most."""
    return len(f"{value:.3f}".rstrip("0").partition(".")[2])


def gathered(counts: Mapping[int, int]) -> list[tuple[str, int]]:
    """Whole numbers and how often they occur, in ranges where a line each would be too many."""
    if max(counts, default=0) < MOST_LINES:
        return [
            (str(number), counts.get(number, 0)) for number in range(min(counts), max(counts) + 1)
        ]
    width = round(float(np.diff(even_edges(0, max(counts) + 1, MOST_LINES // 2))[0]))
    found: dict[int, int] = {}
    for number, times in counts.items():
        found[number // width] = found.get(number // width, 0) + times
    return [
        (f"{at * width} to {(at + 1) * width - 1}", found.get(at, 0))
        for at in range(max(found) + 1)
    ]


def left_out_rows(left: LeftOut) -> list[tuple[str, str, str]]:
    """Reason, inputs and first example of inputs that are not there."""
    rows = [
        (clean(one.reason, 60), count(one.inputs), clean(one.example, 240)) for one in left.reasons
    ]
    listed = sum(one.inputs for one in left.reasons)
    if left.inputs > listed:
        rows.append(("not listed", count(left.inputs - listed), ""))
    return rows
