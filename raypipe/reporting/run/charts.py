"""Charts of the page about a run: figures with their captions, also in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from raypipe.labels import LabelSet
from raypipe.reporting.canvas import SERIES_COLOURS
from raypipe.reporting.charts import MOST_CHARACTERS, Chart, label_shares_chart
from raypipe.reporting.names import PRIMARY, PRIOR, better, title
from raypipe.reporting.run import figures
from raypipe.reporting.run.digest import PredictionTally
from raypipe.reporting.run.fitting import by_strategy, fitting, left_out_in_words
from raypipe.reporting.run.headline import compare, with_interval
from raypipe.reporting.run.scores import Approach, ApproachGroup, Scores
from raypipe.reporting.text import clean, count, percent, score, shortened

AMBIGUITY_BINS: Final = 5
MOST_LINES: Final = SERIES_COLOURS
MOST_AT_LINES: Final = 18
MOST_IN_HEADING: Final = 44
# Of the span of all values: lines that are nowhere further apart look like one.
_NEAR: Final = 0.06
_Z95: Final = 1.959964


def strategies_chart(scores: Scores, metric: str) -> Chart | None:
    """One metric by approach, the prior as a line through them; None without values."""
    name, best = title(metric), scores.best()
    bars: list[figures.StrategyBar] = []
    in_words = []
    for group in scores.groups():
        rows = [
            (approach, estimate)
            for approach in group.approaches
            if (estimate := scores.get(approach, metric)) is not None
        ]
        if rows and group.title:
            heading = shortened(group.title, MOST_IN_HEADING)
            bars.append(figures.StrategyBar(heading, None, False, False))
        bars += [
            figures.StrategyBar(
                _short(scores, approach), estimate, approach.is_reference, approach == best
            )
            for approach, estimate in rows
        ]
        in_words += [
            f"{_name(scores, approach)} {with_interval(estimate)}" for approach, estimate in rows
        ]
    if not bars:
        return None
    prior = scores.prior(best)
    reference = scores.get(prior, metric) if prior is not None else None
    alt = f"{name} by strategy: " + "; ".join(in_words)
    svg = figures.interval_panel(
        bars,
        name=name,
        alt=alt,
        better=better(metric),
        reference=reference.value if reference is not None else None,
    )
    caption = f"{name} with 95 % intervals."
    if reference is not None:
        caption += f" Dashed: the prior, {score(reference.value)}."
    return Chart(svg, caption)


def ambiguity_charts(scores: Scores, metric: str) -> list[Chart]:
    """One metric by equal-count bin of the annotators' entropy, from agreed to ambiguous.

    One chart for every model and prompt: more lines than colours cannot be told apart.
    """
    charts = (_ambiguity_chart(scores, group, metric) for group in _listening(scores))
    return [chart for chart in charts if chart is not None]


def _listening(scores: Scores) -> list[ApproachGroup]:
    """The groups of strategies, without the references."""
    return [group for group in scores.groups() if not group.approaches[0].is_reference]


def _ambiguity_chart(scores: Scores, group: ApproachGroup, metric: str) -> Chart | None:
    name = title(metric)
    bins = [f"ambiguity_count_{index}" for index in range(1, AMBIGUITY_BINS + 1)]
    best = scores.best_of(group.approaches, PRIMARY)
    shown, left_out = _shown_lines(scores, group, best, metric, bins)
    if not shown:
        return None
    first, _ = _shown_lines(scores, group, best, PRIMARY, bins)
    colours = line_colours(first, shown)
    lines = [
        figures.AmbiguityLine(
            _short(scores, approach, MOST_AT_LINES),
            tuple(scores.get(approach, metric, slice_name) for slice_name in bins),
            colours.get(approach),
            approach == best,
        )
        for approach in shown
    ]
    alt = f"{name} by ambiguity bin, agreed to ambiguous. " + "; ".join(
        line.name + " " + ", ".join(score(e.value) if e else "none" for e in line.estimates)
        for line in lines
    )
    ticks = [
        _bin_tick(scores, shown, metric, slice_name, index) for index, slice_name in enumerate(bins)
    ]
    svg = figures.ambiguity_panel(lines, ticks, name=name, alt=alt, better=better(metric))
    words = [f"{group.title}:"] if group.title else []
    if best is not None and metric == PRIMARY:
        words.append(_bins_in_words(scores, best, bins))
    words.append(left_out_in_words([_name(scores, approach) for approach in left_out]))
    return Chart(svg, " ".join(word for word in words if word))


def line_colours(first: Sequence[Approach], shown: Sequence[Approach]) -> dict[Approach, int]:
    """Index of the colour of every strategy that is shown; references have none.

    Args:
        first: what the figure of the ranking metric shows, whose colours stay the same in others.
        shown: what this figure shows.
    """
    fixed = {
        approach: place
        for place, approach in enumerate(each for each in first if not each.is_reference)
    }
    taken = {fixed[approach] for approach in shown if approach in fixed}
    free = iter(place for place in range(MOST_LINES) if place not in taken)
    return {
        approach: fixed[approach] if approach in fixed else next(free)
        for approach in shown
        if not approach.is_reference
    }


def _name(scores: Scores, approach: Approach) -> str:
    return clean(scores.name(approach))


def _short(scores: Scores, approach: Approach, limit: int = MOST_CHARACTERS) -> str:
    """The strategy's name, cut so that it leaves room for what is drawn."""
    return shortened(clean(scores.short_name(approach)), limit)


def _shown_lines(
    scores: Scores, group: ApproachGroup, best: Approach | None, metric: str, bins: Sequence[str]
) -> tuple[list[Approach], list[Approach]]:
    """Strategies with a line of their own, then the prior; and those left out.

    As many as there are colours, the best one among them, and none that would cover another.
    """
    values = {
        approach: np.array(
            [
                estimate.value if (estimate := scores.get(approach, metric, name)) else np.nan
                for name in bins
            ]
        )
        for approach in group.approaches
    }
    scored = [approach for approach, line in values.items() if np.isfinite(line).any()]
    if not scored:
        return [], []
    prior = scores.prior(best)
    drawn_at = [*(values[approach] for approach in scored)]
    best_first = sorted(scored, key=lambda approach: approach != best)
    ranked = [best_first[at] for at in by_strategy([each.strategy for each in best_first])]
    near = _NEAR * float(np.nanmax(drawn_at) - np.nanmin(drawn_at))

    def covers(approach: Approach, others: Sequence[Approach]) -> bool:
        gaps = (np.abs(values[approach] - values[other]) for other in others)
        return any(bool(np.all((gap <= near) | np.isnan(gap))) for gap in gaps)

    kept = fitting(ranked, covers, MOST_LINES)
    shown = [approach for approach in scored if approach in kept]
    left_out = [approach for approach in scored if approach not in kept]
    if prior is not None and any(scores.get(prior, metric, name) for name in bins):
        shown.append(prior)
    return shown, left_out


def _bin_tick(
    scores: Scores, shown: Sequence[Approach], metric: str, slice_name: str, index: int
) -> str:
    sizes = [
        estimate.n + estimate.n_invalid
        for approach in shown
        if (estimate := scores.get(approach, metric, slice_name)) is not None
    ]
    return f"{index + 1}\nn={count(max(sizes))}" if sizes else f"{index + 1}\nn=0"


def _bins_in_words(scores: Scores, best: Approach, bins: Sequence[str]) -> str:
    prior = scores.prior(best)
    if prior is None:
        return ""
    verdicts: dict[str, list[str]] = {"better": [], "equal": [], "worse": []}
    for index, name in enumerate(bins, start=1):
        estimate, reference = scores.get(best, PRIMARY, name), scores.get(prior, PRIMARY, name)
        if estimate is not None and reference is not None:
            paired = scores.get(best, PRIMARY, name, versus=PRIOR)
            verdicts[compare(estimate, reference, paired)].append(str(index))
    compared = sum(len(bins_) for bins_ in verdicts.values())
    if compared == 0:
        return ""
    words = [f"below the prior in {len(verdicts['better'])} of {compared} groups"]
    if verdicts["equal"]:
        words.append(f"not separable from it in {len(verdicts['equal'])}")
    if verdicts["worse"]:
        words.append(f"above it in {len(verdicts['worse'])}")
    return f"{scores.short_name(best)} has a {title(PRIMARY)} " + ", ".join(words) + "."


def calibration_chart(tally: PredictionTally) -> Chart | None:
    """Share of right dominant labels by confidence; None without plurality."""
    n = tally.confidence_n
    total = int(n.sum())
    if total == 0:
        return None
    with np.errstate(invalid="ignore"):
        confidence = tally.confidence_sum / n
        right = tally.confidence_right / n
    low, high = _wilson(tally.confidence_right, n)
    stated = tally.confidence_sum.sum() / total
    kept = tally.confidence_right.sum() / total
    alt = "Share of right dominant labels by confidence: " + "; ".join(
        f"confidence {score(confidence[index], 2)}: {percent(right[index], 0)} of {n[index]} right"
        for index in np.flatnonzero(n)
    )
    svg = figures.calibration_panel(n, confidence, right, low, high, alt=alt)
    return Chart(svg, _trust_in_words(float(stated), float(kept), total))


def _trust_in_words(stated: float, kept: float, total: int) -> str:
    manner = "over" if stated > kept else "under"
    return (
        f"On average the top label has a probability of {percent(stated)} and is right in "
        f"{percent(kept)} of {count(total)} utterances: {manner}confident by "
        f"{score(100 * abs(stated - kept), 1)} points. Vertical lines: 95 % Wilson intervals."
    )


def _wilson(
    successes: NDArray[np.float64], n: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Wilson's 95 % interval of a share, NaN where ``n`` is 0; shapes ``(bins,)``."""
    with np.errstate(invalid="ignore", divide="ignore"):
        share = successes / n
        scale = 1 + _Z95**2 / n
        centre = (share + _Z95**2 / (2 * n)) / scale
        half = _Z95 / scale * np.sqrt(share * (1 - share) / n + _Z95**2 / (4 * n**2))
    return centre - half, centre + half


def shares_chart(tally: PredictionTally, labels: LabelSet) -> Chart | None:
    """Mean share of each label in the soft labels and in the predictions; None without any."""
    shares = {}
    if tally.labelled:
        shares["annotators"] = tally.truth_sum / tally.labelled
    if tally.valid:
        shares["predicted"] = tally.predicted_sum / tally.valid
    if not shares:
        return None
    caption = "Mean share of each label over all utterances, in percent."
    if len(shares) == 2:
        gap = shares["predicted"] - shares["annotators"]
        worst = int(np.abs(gap).argmax())
        direction = "more" if gap[worst] > 0 else "less"
        caption += (
            f" Furthest off: {labels.names[worst]}, heard {score(100 * abs(gap[worst]), 1)} "
            f"points {direction} than by the annotators."
        )
    return label_shares_chart("Mean share of each label", labels.names, shares, caption)
