"""The result of a run in words, computed from its tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from raypipe.metrics.metric import HUMAN_SKILL_SUFFIX
from raypipe.reporting.comparison import chosen_here
from raypipe.reporting.names import PRIMARY, PRIOR, title
from raypipe.reporting.run.digest import Digest
from raypipe.reporting.run.leaders import leaders
from raypipe.reporting.run.scores import Approach, Estimate, Scores
from raypipe.reporting.text import count, difference, interval, listing, percent, score

Tone = Literal["good", "plain", "warning"]

_METRIC: Final = title(PRIMARY)
_MOST_NAMED: Final = 4


@dataclass(frozen=True, slots=True)
class Headline:
    """The result of a run in a sentence, with the details that are needed to judge it.

    Attributes:
        tone: ``good`` if a strategy beats the prior beyond its interval, ``warning`` if nothing
            could be scored or the best strategy is worse than the prior.
        sentence: the result.
        details: a sentence each.
    """

    tone: Tone
    sentence: str
    details: tuple[str, ...] = ()


def headline(scores: Scores, digest: Digest) -> Headline:
    """The best strategy, and whether it beats the prior baseline, in words."""
    best = scores.best()
    if best is None:
        return _nothing_scored(digest)
    estimate = scores.get(best, PRIMARY)
    assert estimate is not None  # best() only names an approach that has a value
    name = scores.name(best)
    prior = scores.prior(best)
    reference = scores.get(prior, PRIMARY) if prior is not None else None
    first = leaders(scores)
    details = (
        _basis(estimate),
        *of_fewer(scores),
        *_choice(scores, best),
        *_of_humans(scores, best),
        *_caveats(scores, best),
    )
    stated = f"{_closest(scores, first)} {_METRIC} {with_interval(estimate)}"
    if reference is None:
        return Headline("plain", f"{stated}.", ("There is no prior row to compare with.", *details))
    paired = scores.get(best, PRIMARY, versus=PRIOR)
    skill = scores.get(best, f"{PRIMARY}_skill")
    named = f"the best one, {name}, has"
    if len(first) > 1:
        named = f"{_listed(scores, first)} cannot be told apart as the best, {name} has"
    return _against_prior(stated, named, estimate, reference, paired, skill, details)


def _closest(scores: Scores, first: Sequence[Approach]) -> str:
    """The strategy that is closest to the annotators, or those that cannot be told apart."""
    best = scores.name(first[0])
    if len(first) == 1:
        return f"{best} is closest to the annotators:"
    listed = _listed(scores, first)
    return f"{listed} cannot be told apart as the closest to the annotators: {best} has"


def _listed(scores: Scores, approaches: Sequence[Approach]) -> str:
    """Names, the rest of many as a number."""
    best, *tied = (scores.name(approach) for approach in approaches)
    others = tied[:_MOST_NAMED]
    more = [f"{count(len(tied) - len(others))} more"] if len(tied) > len(others) else []
    return listing([best, *others, *more])


def of_fewer(scores: Scores) -> list[str]:
    """Which strategies are scored on fewer utterances than others, and so not ranked with them."""
    partial = scores.partial(scores.strategies())
    named = [
        f"{scores.name(approach)} (on {count(own)} of {count(most)} utterances)"
        for approach, (own, most) in partial.items()
    ]
    if not named:
        return []
    more = len(named) - _MOST_NAMED
    listed = listing([*named[:_MOST_NAMED], *([f"{count(more)} more"] if more > 0 else [])])
    return [
        f"Not ranked, as they are scored on a part: {listed}; their paired differences from the "
        "others, on common utterances, stand in the table of metrics."
    ]


def _choice(scores: Scores, best: Approach) -> list[str]:
    return chosen_here((approach.strategy for approach in scores.strategies()), best.strategy)


def _of_humans(scores: Scores, best: Approach) -> list[str]:
    """How far the best is on the way from the prior to the annotators' own agreement."""
    skill = scores.get(best, f"{PRIMARY}{HUMAN_SKILL_SUFFIX}")
    if skill is None:
        return []
    ends = ""
    if skill.low is not None and skill.high is not None:
        ends = f" {interval(percent(skill.low, 0), percent(skill.high, 0))}"
    return [
        "From the prior to what one half of an utterance's votes says of the other half, "
        f"{scores.name(best)} is {percent(skill.value, 0)}{ends} of the way."
    ]


def _against_prior(
    stated: str,
    named: str,
    estimate: Estimate,
    prior: Estimate,
    paired: Estimate | None,
    skill: Estimate | None,
    details: tuple[str, ...],
) -> Headline:
    verdict = compare(estimate, prior, paired)
    gap = paired.value if paired is not None else estimate.value - prior.value
    span = f"{score(abs(gap))} {_gap_interval(paired)}".rstrip()
    how = (
        "The difference is taken on the same utterances, those with a valid answer."
        if paired is not None
        else "Judged by two separate intervals; the metrics have no paired difference."
    )
    if verdict == "better":
        share = f" or {percent(skill.value, 0)}" if skill is not None else ""
        sentence = f"{stated}, which is {span}{share} below the prior baseline"
        return Headline("good", f"{sentence} ({score(prior.value)}).", (how, *details))
    if verdict == "worse":
        sentence = (
            f"No strategy beats the prior baseline: {named} {_METRIC} "
            f"{with_interval(estimate)}, {span} above the prior's {score(prior.value)}."
        )
        return Headline("warning", sentence, (how, *details))
    sentence = (
        f"No strategy can be told apart from the prior baseline: {named} "
        f"{_METRIC} {with_interval(estimate)}, the prior {score(prior.value)}; difference "
        f"{difference(gap)} {_signed_interval(paired)}".rstrip()
        + "."
    )
    return Headline("plain", sentence, (how, *details))


def compare(
    estimate: Estimate, prior: Estimate, paired: Estimate | None
) -> Literal["better", "worse", "equal"]:
    """Whether a strategy is better than the prior, worse, or within the uncertainty.

    Args:
        estimate: the strategy's value of the ranking metric, lower is better.
        prior: the constant predictor's value of it.
        paired: the strategy's value minus the prior's on the same utterances, whose interval may
            be withheld; without it the two intervals must not touch.
    """
    if paired is not None:
        if paired.low is None or paired.high is None:
            return "equal"  # nothing tells how sure the difference is
        return "better" if paired.high < 0 else "worse" if paired.low > 0 else "equal"
    if None in (estimate.low, estimate.high, prior.low, prior.high):
        return "equal"
    assert estimate.low is not None
    assert estimate.high is not None
    assert prior.low is not None
    assert prior.high is not None
    if estimate.high < prior.low:
        return "better"
    return "worse" if estimate.low > prior.high else "equal"


def with_interval(estimate: Estimate, digits: int = 3) -> str:
    """The value with its interval in brackets, or alone where it has none."""
    if estimate.low is None or estimate.high is None:
        return score(estimate.value, digits)
    bounds = interval(score(estimate.low, digits), score(estimate.high, digits))
    return f"{score(estimate.value, digits)} {bounds}"


def _gap_interval(paired: Estimate | None) -> str:
    """The interval of how far apart two values are, as positive numbers."""
    if paired is None or paired.low is None or paired.high is None:
        return ""
    low, high = sorted((abs(paired.low), abs(paired.high)))
    return interval(score(low), score(high))


def _signed_interval(paired: Estimate | None) -> str:
    if paired is None or paired.low is None or paired.high is None:
        return ""
    return interval(difference(paired.low), difference(paired.high))


def _basis(estimate: Estimate) -> str:
    left_out = f"; {count(estimate.n_invalid)} invalid left out" if estimate.n_invalid else ""
    return f"On {count(estimate.n)} labelled utterances{left_out}."


def _caveats(scores: Scores, best: Approach) -> tuple[str, ...]:
    """Differences in the result if invalid answers count as uniform, in sentences."""
    rate = scores.invalid_rate(best)
    metric = f"{PRIMARY}.invalid_as_uniform"
    penalised = scores.get(best, metric)
    other = scores.best(metric)
    caveats: list[str] = []
    if other is not None and other != best:
        estimate = scores.get(other, metric)
        assert estimate is not None  # best() only names an approach that has a value
        caveats.append(
            f"With invalid answers counted as uniform, {scores.name(other)} is best instead: "
            f"{_METRIC} {with_interval(estimate)}."
        )
    elif rate is not None and rate.value > 0 and penalised is not None:
        caveats.append(
            f"{percent(rate.value)} of its answers are invalid; counted as uniform they make "
            f"its {_METRIC} {with_interval(penalised)}."
        )
    return tuple(caveats)


def _nothing_scored(digest: Digest) -> Headline:
    rows = sum(tally.rows for tally in digest.tallies.values())
    valid = sum(tally.valid for tally in digest.tallies.values())
    if rows == 0:
        return Headline("warning", "No utterance was predicted, so there is nothing to score.")
    if valid == 0:
        reasons = sum((tally.reasons for tally in digest.tallies.values()), start=Counter())
        common = [f"“{reason}” ({count(n)})" for reason, n in reasons.most_common(2)]
        return Headline(
            "warning",
            f"No strategy gave a valid answer: all {count(rows)} predictions are invalid.",
            (f"Most frequent: {listing(common)}.",),
        )
    if digest.labelled == 0:
        return Headline(
            "plain",
            "No utterance carries annotators' votes, so nothing is scored.",
            ("The predictions themselves are summarised below.",),
        )
    return Headline(
        "warning", f"The metrics table holds no {_METRIC}, so strategies are not ranked."
    )
