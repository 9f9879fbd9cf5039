"""One run as one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import zip_longest
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from raypipe.labels import LabelSet
from raypipe.reporting.page import environment
from raypipe.reporting.run import charts, tables
from raypipe.reporting.run.cards import cards, confusion
from raypipe.reporting.run.cost_quality import cost_charts
from raypipe.reporting.run.digest import Tally, digest_predictions
from raypipe.reporting.run.facts import Account, alerts, config_text, facts, versions
from raypipe.reporting.run.headline import headline
from raypipe.reporting.run.scores import Approach, Scores
from raypipe.reporting.text import clean

_CALIBRATION: Final = {
    "ece": "Expected calibration error",
    "brier": "Brier score",
    "uncertainty_auroc": "AUROC: its entropy finds the more ambiguous half",
}


def html_report(
    run: Mapping[str, Any],
    metrics: pa.Table,
    predictions: pa.Table | Iterable[pa.Table],
    errors: pa.Table,
    labels: LabelSet,
) -> str:
    """Write a run's report.

    Everything that comes from a corpus or a model (ids, labels, messages, reasons) is treated as
    hostile: stripped of control characters, escaped, and the page may load or run nothing.

    Args:
        run: what ``run.json`` holds; a missing key is shown as not recorded.
        metrics: the ``metrics/`` table of the run.
        predictions: the ``predictions/`` table, read once, table by table.
        errors: the ``errors/`` table, or its first rows.
        labels: the label set that ``probs`` and ``soft_label`` are aligned with.

    Returns:
        The page, with its style and figures inside.

    Raises:
        ConfigError: if the predictions' distributions do not have one entry per label.
    """
    # One slice per speaker can be most of the table, and none of it is on the page.
    scores = Scores(
        metrics.filter(pc.invert(pc.starts_with(metrics["slice"].cast(pa.string()), "speaker=")))
    )
    best = scores.best("js")
    typical = None
    if best is not None:
        typical = scores.get(best, "js.median") or scores.get(best, "js")
    digest = digest_predictions(
        predictions, labels, focus=best, typical_js=typical.value if typical is not None else None
    )
    # Without scores there is no best strategy; what the first one hears can still be shown.
    shown = best if best in digest.tallies else next(iter(digest.tallies), None)
    account = Account.of(run, errors)
    context = {
        "title": clean(run.get("name") or "unnamed run"),
        "headline": headline(scores, digest),
        "alerts": alerts(run, account, digest),
        "account": account,
        "facts": facts(run, scores, digest),
        "scores": tables.score_table(scores),
        "best": scores.name(best) if best is not None else None,
        "shown": scores.name(shown) if shown is not None else None,
        "cards": cards(digest.examples, labels),
        "slices": tables.slice_table(scores, best) if best is not None else (),
        "readings": tables.reading_table(scores, digest.tallies),
        "errors": tables.error_groups(errors),
        "label_count": len(labels),
        "versions": versions(run),
        "config": config_text(run),
        **_score_charts(scores, best),
        **_tally_charts(digest.tallies[shown] if shown is not None else None, labels),
    }
    return environment().get_template("run/page.html.jinja").render(context)


def _score_charts(scores: Scores, best: Approach | None) -> dict[str, Any]:
    shown = (("js", "JS"), ("bc", "BC"))
    strategies = (charts.strategies_chart(scores, metric, name) for metric, name in shown)
    by_metric = [charts.ambiguity_charts(scores, metric, name) for metric, name in shown]
    calibration = []
    if best is not None:
        calibration = [
            (title, tables.estimate_cell(estimate))
            for metric, title in _CALIBRATION.items()
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


def _tally_charts(tally: Tally | None, labels: LabelSet) -> dict[str, Any]:
    if tally is None:
        return dict.fromkeys(("calibration_chart", "shares_chart", "confusion"))
    return {
        "calibration_chart": charts.calibration_chart(tally),
        "shares_chart": charts.shares_chart(tally, labels),
        "confusion": confusion(tally, labels),
    }
