"""One run as one self-contained HTML page."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import jinja2
import numpy as np
import pyarrow as pa

from raypipe.labels import LabelSet
from raypipe.report import charts, tables
from raypipe.report.digest import Digest, Example, Tally, digest_predictions
from raypipe.report.headline import headline
from raypipe.report.scores import Approach, Scores
from raypipe.report.text import NOT_RECORDED, clean, count, duration, listing, percent, score

EXAMPLE_RULES: Final = {
    "best": "lowest JS",
    "median": "JS nearest to the median",
    "worst": "highest JS",
    "most ambiguous": "highest entropy of the votes",
}


@dataclass(frozen=True, slots=True)
class Fact:
    """A term and what it is in this run; ``missing`` if run.json does not say."""

    term: str
    text: str
    missing: bool = False


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
        run: what run.json holds; a missing key is shown as not recorded.
        predictions: read once, table by table; no more than one table is held.

    Returns:
        The page, with its style and figures inside.

    Raises:
        ConfigError: if the predictions' distributions do not have one entry per label.
    """
    scores = Scores(metrics)
    best = scores.best("js")
    median = scores.get(best, "js.median") or scores.get(best, "js") if best is not None else None
    digest = digest_predictions(
        predictions, labels, focus=best, typical_js=median.value if median is not None else None
    )
    shown = best if best in digest.tallies else next(iter(digest.tallies), None)
    tally = digest.tallies[shown] if shown is not None else None
    context = {
        "title": clean(run.get("name") or "unnamed run"),
        "headline": headline(scores, digest),
        "alerts": _alerts(run, errors, digest),
        "facts": _facts(run, scores, digest),
        "counts": _counts(run, errors),
        "scores": tables.score_table(scores),
        "best": scores.name(best) if best is not None else None,
        "shown": scores.name(shown) if shown is not None else None,
        "slices": tables.slice_table(scores, best) if best is not None else (),
        "readings": tables.reading_table(scores, digest.tallies),
        "errors": tables.error_groups(errors),
        "error_total": tables.error_total(errors),
        "confusion": _confusion(tally, labels) if tally is not None else None,
        "calibration": _calibration_scores(scores, best),
        "examples": _examples(digest.examples, labels),
        "definitions_k": len(labels),
        "config": _pretty(run.get("config")),
        "versions": _versions(run),
        **_charts(scores, tally, labels),
    }
    return _environment().get_template("page.html.jinja").render(context)


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("raypipe", "report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"count": count, "percent": percent, "score": score}
    return environment


def _charts(scores: Scores, tally: Tally | None, labels: LabelSet) -> dict[str, Any]:
    return {
        "strategy_charts": [
            chart
            for metric, name in (("js", "JS"), ("bc", "BC"))
            if (chart := charts.strategies_chart(scores, metric, name)) is not None
        ],
        "ambiguity_charts": [
            chart
            for metric, name in (("js", "JS"), ("bc", "BC"))
            if (chart := charts.ambiguity_chart(scores, metric, name)) is not None
        ],
        "calibration_chart": charts.calibration_chart(tally) if tally is not None else None,
        "shares_chart": charts.shares_chart(tally, labels) if tally is not None else None,
    }


def _facts(run: Mapping[str, Any], scores: Scores, digest: Digest) -> list[Fact]:
    approaches = list(digest.tallies) or list(scores.strategies())
    models = sorted({approach.model for approach in approaches if approach.model})
    prompts = sorted({approach.prompt for approach in approaches if approach.prompt})
    corpora = next((tally.datasets for tally in digest.tallies.values()), {})
    labels = run.get("labels")
    seconds = run.get("seconds")
    return [
        _fact("Model", listing(models) if models else None),
        _fact("Prompt", listing(prompts) if prompts else None),
        _fact("Corpus", listing([clean(name) for name in corpora]) if corpora else None),
        _fact("Labels", ", ".join(map(str, labels)) if isinstance(labels, list | tuple) else labels),
        _fact("Seed", run.get("seed")),
        _fact("Started", _moment(run.get("started"))),
        _fact("Took", duration(seconds) if isinstance(seconds, int | float) else None),
        _fact("Run", run.get("run")),
        _fact("Fingerprint", run.get("fingerprint")),
    ]


def _fact(term: str, value: object) -> Fact:
    return Fact(term, NOT_RECORDED, missing=True) if value is None else Fact(term, clean(value))


def _moment(value: object) -> str | None:
    """An ISO time cut to minutes; anything else as it is."""
    if value is None:
        return None
    text = clean(value, 40)
    return f"{text[:10]} {text[11:16]}" + (" UTC" if text.endswith(("Z", "+00:00")) else "") if (
        len(text) >= 16 and text[10:11] in ("T", " ")
    ) else text


def _counts(run: Mapping[str, Any], errors: pa.Table) -> dict[str, Any]:
    """Utterances in, predicted and failed; None where run.json does not say."""
    stated = run.get("counts") or {}
    failed = stated.get("errors")
    known = {
        "input": stated.get("input"),
        "predicted": stated.get("predicted"),
        "errors": tables.error_total(errors) if failed is None else failed,
    }
    complete = None not in known.values()
    known["adds_up"] = (
        known["input"] == known["predicted"] + known["errors"] if complete else None
    )
    return known


def _alerts(run: Mapping[str, Any], errors: pa.Table, digest: Digest) -> list[str]:
    """What makes the whole page doubtful, or something else than it seems."""
    alerts = []
    counts = _counts(run, errors)
    if counts["adds_up"] is False:
        alerts.append(
            f"The counts do not add up: {count(counts['input'])} utterances in, but "
            f"{count(counts['predicted'])} predicted and {count(counts['errors'])} errors."
        )
    if (listed := tables.error_total(errors)) != counts["errors"]:
        alerts.append(
            f"run.json states {count(counts['errors'])} errors, the errors table {count(listed)}."
        )
    rows = max((tally.rows for tally in digest.tallies.values()), default=None)
    if rows is not None and counts["predicted"] is not None and rows != counts["predicted"]:
        alerts.append(
            f"The figures from single predictions rest on {count(rows)} of "
            f"{count(counts['predicted'])} predicted utterances."
        )
    config = run.get("config")
    audio = config.get("audio") if isinstance(config, Mapping) else None
    if isinstance(audio, Mapping) and audio.get("replace_with"):
        alerts.append(
            f"Ablation: every clip was replaced with {clean(audio['replace_with'])}. "
            "The model heard nothing."
        )
    return alerts


def _confusion(tally: Tally, labels: LabelSet) -> dict[str, Any] | None:
    if not tally.confusion.any():
        return None
    totals = tally.confusion.sum(axis=1)
    shares = tally.confusion / np.maximum(totals, 1)[:, None]
    return {
        "heads": list(zip(tables.short_names(labels.names), labels.names, strict=True)),
        "rows": [
            {
                "label": name,
                "total": int(totals[index]),
                "cells": [
                    {
                        "n": int(number),
                        "share": f"{share:.3f}",
                        "percent": percent(float(share), 0),
                        "diagonal": index == position,
                    }
                    for position, (number, share) in enumerate(
                        zip(tally.confusion[index], shares[index], strict=True)
                    )
                ],
            }
            for index, name in enumerate(labels.names)
        ],
        "ties": tally.ties,
        "n": int(totals.sum()),
    }


def _calibration_scores(scores: Scores, best: Approach | None) -> list[tuple[str, tables.Cell]]:
    if best is None:
        return []
    named = {"ece": "Expected calibration error", "brier": "Brier score", "auroc": "AUROC"}
    return [
        (title, tables.estimate_cell(estimate))
        for metric, title in named.items()
        if (estimate := scores.get(best, metric)) is not None
    ]


def _examples(examples: Mapping[str, Example], labels: LabelSet) -> list[dict[str, Any]]:
    """Chosen utterances in the order of the rules; one chosen twice is shown once."""
    merged: dict[str, list[str]] = {}
    for rule, title in EXAMPLE_RULES.items():
        if rule in examples:
            merged.setdefault(examples[rule].rank[1], []).append(title)
    by_id = {example.rank[1]: example for example in examples.values()}
    return [
        {
            "title": listing(titles),
            "id": by_id[key].utterance_id,
            "dataset": by_id[key].dataset,
            "n_votes": by_id[key].n_votes,
            "js": score(by_id[key].js),
            "bars": [
                {"label": label, "truth": f"{100 * truth:.1f}", "predicted": f"{100 * guess:.1f}"}
                for label, truth, guess in zip(
                    labels.names, by_id[key].truth, by_id[key].predicted, strict=True
                )
            ],
        }
        for key, titles in merged.items()
    ]


def _versions(run: Mapping[str, Any]) -> list[tuple[str, str]]:
    versions = run.get("versions")
    if not isinstance(versions, Mapping):
        return []
    return [(clean(name), clean(version)) for name, version in versions.items()]


def _pretty(config: object) -> str | None:
    if config is None:
        return None
    lines = json.dumps(config, indent=2, ensure_ascii=False, default=str).splitlines()
    # Line by line: clean() makes one line of what it gets, and the indent carries meaning.
    return "\n".join(" " * (len(line) - len(line.lstrip())) + clean(line, 400) for line in lines)
