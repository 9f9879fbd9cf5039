"""The page about a run: one self-contained HTML file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import zip_longest

import pyarrow as pa
import pyarrow.compute as pc

from raypipe.labels import LabelSet
from raypipe.reporting.errors import ErrorTally
from raypipe.reporting.gains import CAPTION, gain_groups
from raypipe.reporting.names import (
    HUMANS,
    PRIMARY,
    better,
    calibration_metrics,
    charted_metrics,
    definition,
    headline_metrics,
    title,
)
from raypipe.reporting.page import environment
from raypipe.reporting.run import charts, tables
from raypipe.reporting.run.answers import MOST_ROWS, answer_groups, cut_answers, tally_answers
from raypipe.reporting.run.confusion import confusion, short_names
from raypipe.reporting.run.cost_quality import cost_charts
from raypipe.reporting.run.digest import Digest, PredictionTally, digest_predictions
from raypipe.reporting.run.facts import UtteranceBalance, alerts, config_text, facts, versions
from raypipe.reporting.run.fitted import fitted_rows
from raypipe.reporting.run.headline import headline
from raypipe.reporting.run.leaders import difference_rows
from raypipe.reporting.run.metric_tables import metric_tables
from raypipe.reporting.run.other_labels import other_labels_table
from raypipe.reporting.run.rated import HEADS, rated_rows
from raypipe.reporting.run.samples import AUDIO_LIMIT, MOST_CLIP_S, Samples
from raypipe.reporting.run.scores import Approach, Scores
from raypipe.reporting.run.sliced import columns_of, empty_columns, sliced_tables
from raypipe.reporting.text import clean, listing
from raypipe.store.run_record import RunRecord


def html_report(
    run: RunRecord,
    metrics: pa.Table,
    predictions: pa.Table | Iterable[pa.Table],
    errors: pa.Table,
    labels: LabelSet,
    generations: Iterable[pa.Table] = (),
    gains: pa.Table | None = None,
    *,
    fits: pa.Table | None = None,
    samples: Callable[[Approach, float | None], Samples] | None = None,
) -> str:
    """The page about a run, from its tables.

    Args:
        run: as for :func:`tallied_report`, like ``metrics`` and the rest.
        metrics: the ``metrics/`` table.
        predictions: the ``predictions/`` table, read once, table by table.
        errors: the ``errors/`` table.
        labels: the label set that ``probs`` and ``soft_label`` are aligned with.
        generations: examples of answers.
        gains: of a heads job.
        fits: of fitted strategies.
        samples: utterances to show.

    Raises:
        ConfigError: if the predictions' distributions do not have one entry per label.
    """
    return tallied_report(
        run,
        metrics,
        digest_predictions(predictions, labels),
        ErrorTally.of(errors),
        labels,
        generations,
        gains,
        fits=fits,
        samples=samples,
    )


def tallied_report(
    run: RunRecord,
    metrics: pa.Table,
    digest: Digest,
    errors: ErrorTally,
    labels: LabelSet,
    generations: Iterable[pa.Table] = (),
    gains: pa.Table | None = None,
    *,
    fits: pa.Table | None = None,
    samples: Callable[[Approach, float | None], Samples] | None = None,
) -> str:
    """The page about a run, as HTML, from sums over its large tables.

    Everything that comes from a corpus or a model (ids, labels, messages, reasons) is treated as
    hostile: stripped of control characters, escaped, and the page may load or run nothing.

    Args:
        run: what ``run.json`` says; what is not known is shown as not recorded.
        metrics: the ``metrics/`` table of the run.
        digest: of the ``predictions/`` table.
        errors: of the ``errors/`` table.
        labels: the label set of the run.
        generations: the first rows of ``generations/`` of every model and prompt, for examples of
            answers; empty where the run holds none.
        gains: the ``gains/`` table of a heads job; None where there is none.
        fits: the ``fits/`` table; None where no strategy is fitted.
        samples: gives utterances for an approach and its median JS, see
            :func:`raypipe.reporting.run.samples.gather_samples`; None for a page without any.

    Returns:
        The page, with its style and figures inside.
    """
    # One slice per speaker can be most of the table, and none of it is on the page.
    metrics = metrics.filter(
        pc.invert(pc.starts_with(metrics["slice"].cast(pa.string()), "speaker="))
    )
    scores = Scores(metrics)
    best = scores.best()
    typical = None
    if best is not None:
        typical = scores.get(best, f"{PRIMARY}.median") or scores.get(best, PRIMARY)
    columns = columns_of(run)
    # Without scores there is no best strategy; the first one can still be shown.
    shown = best if best in digest.tallies else next(iter(digest.tallies), None)
    balance = UtteranceBalance.of(run, errors.utterances)
    tallies = tally_answers(generations, labels)
    strategies = list(dict.fromkeys(approach.strategy for approach in digest.tallies))
    context = {
        "title": clean(run.name or "unnamed run"),
        "headline": headline(scores, digest),
        "alerts": [
            *alerts(run, balance, digest),
            *cut_answers(tallies),
            *empty_columns(scores, columns),
        ],
        "balance": balance,
        "facts": facts(run, scores, digest),
        "scores": tables.score_table(scores),
        "differences": difference_rows(scores),
        "humans": any(approach.strategy == HUMANS for approach in scores.approaches),
        "best": scores.name(best) if best is not None else None,
        "shown": scores.name(shown) if shown is not None else None,
        "samples": None
        if samples is None or shown is None
        else samples(shown, None if typical is None else typical.value),
        "sample_labels": tuple(zip(short_names(labels.names), labels.names, strict=True)),
        "audio_limit": f"{AUDIO_LIMIT / 1e6:g}",
        "most_clip_s": f"{MOST_CLIP_S:g}",
        "slices": tables.slice_table(scores, best, columns) if best is not None else (),
        "sliced": sliced_tables(scores, best, columns) if best is not None else (),
        "rated": rated_rows(scores),
        "rated_heads": HEADS,
        "parsing": tables.parsing_table(scores, digest.tallies),
        "answers": answer_groups(tallies, strategies),
        "answers_each": MOST_ROWS,
        "errors": errors.groups,
        "other_labels": other_labels_table(metrics, scores, run),
        "gains": gain_groups(gains) if gains is not None else (),
        "gains_caption": CAPTION,
        "fitted": fitted_rows(fits, scores, run),
        "metric_tables": metric_tables(scores),
        "directions": _directions(),
        "definitions": [
            (title(metric), definition(metric))
            for metric in headline_metrics()
            if definition(metric)
        ],
        "ranked_by": title(PRIMARY),
        "label_count": len(labels),
        "drawn": _drawn(run),
        "versions": versions(run),
        "config": config_text(run),
        **_score_charts(scores, best),
        **_tally_charts(digest.tallies[shown] if shown is not None else None, labels),
    }
    return environment().get_template("run/page.html.jinja").render(context)


def _drawn(run: RunRecord) -> str:
    """What replicates draw; runs of versions without the setting drew utterances."""
    metrics = run.config.get("metrics")
    return str(metrics.get("draw", "utterances")) if isinstance(metrics, Mapping) else "utterances"


def _directions() -> str:
    """Directions in which the scores of the main table improve, in a sentence."""
    parts = []
    for direction in ("lower", "higher"):
        names = [title(metric) for metric in headline_metrics() if better(metric) == direction]
        if names:
            parts.append(f"{listing(names)}: {direction} is better")
    return "; ".join(parts) + "."


def _score_charts(scores: Scores, best: Approach | None) -> dict[str, object]:
    strategies = (charts.strategies_chart(scores, metric) for metric in charted_metrics())
    by_metric = [charts.ambiguity_charts(scores, metric) for metric in charted_metrics()]
    calibration = []
    if best is not None:
        calibration = [
            (title(metric), tables.estimate_cell(estimate))
            for metric in calibration_metrics()
            if (estimate := scores.get(best, metric)) is not None
        ]
    return {
        "strategy_charts": [chart for chart in strategies if chart is not None],
        # The metrics of one model and prompt stand beside each other.
        "ambiguity_charts": [
            chart for pair in zip_longest(*by_metric) for chart in pair if chart is not None
        ],
        "cost_charts": cost_charts(scores),
        "calibration": calibration,
    }


def _tally_charts(tally: PredictionTally | None, labels: LabelSet) -> dict[str, object]:
    if tally is None:
        return dict.fromkeys(("calibration_chart", "shares_chart", "confusion"))
    return {
        "calibration_chart": charts.calibration_chart(tally),
        "shares_chart": charts.shares_chart(tally, labels),
        "confusion": confusion(tally, labels),
    }
