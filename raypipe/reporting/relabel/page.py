"""Findings about a relabelled corpus as one self-contained HTML page and in a terminal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pyarrow as pa
from rich.table import Table

from raypipe.labels import LabelSet
from raypipe.reporting.charts import label_shares_chart
from raypipe.reporting.page import environment
from raypipe.reporting.relabel import words
from raypipe.reporting.relabel.findings import RelabelExample, RelabelFindings, relabel_findings
from raypipe.reporting.run.facts import config_text, versions
from raypipe.reporting.text import clean, score
from raypipe.store.run_record import RunRecord

BEFORE: Final = "reference"
AFTER: Final = "relabelled"


@dataclass(frozen=True, slots=True)
class _Card:
    """An example as texts; shares are in percent."""

    title: str
    utterance_id: str
    meta: str
    words: str
    reason: str
    bars: tuple[tuple[str, float, float], ...]


def html_relabelling(rows: pa.Table, record: RunRecord) -> str:
    """The page about a relabelled corpus, as HTML.

    What annotators and the model wrote is treated as hostile: stripped of control characters,
    escaped, and the page may load or run nothing.

    Args:
        rows: of the table ``labels``.
        record: of the job, finished.
    """
    labels = LabelSet(record.labels)
    findings = relabel_findings(rows, labels)
    counts = record.done_counts
    context = {
        "title": clean(record.name),
        "headline": words.summary(findings),
        "inputs": counts.input,
        "labelled": counts.predicted,
        "failed": counts.errors,
        "facts": words.facts(findings, record),
        "mass_chart": label_shares_chart(
            "Mean share of each label over utterances with a typed description",
            labels.names,
            {BEFORE: findings.asked_before, AFTER: findings.asked_after},
            "Utterances with a typed description, mean share of each label in percent before and "
            "after (Wu et al., Fig. 3).",
        ),
        "mass": words.mass_rows(findings, labels),
        "cards": [_card(example, labels) for example in findings.examples],
        "descriptions": words.description_rows(findings, labels),
        "more_descriptions": max(0, len(findings.descriptions) - words.MOST_DESCRIPTIONS),
        "faults": words.fault_rows(findings),
        "versions": versions(record),
        "config": config_text(record),
    }
    return environment().get_template("relabel/page.html.jinja").render(context)


def _card(example: RelabelExample, labels: LabelSet) -> _Card:
    shift = "no answer" if example.shift is None else f"shift {score(example.shift)}"
    notes = [shift, "changed" if example.changed else "not changed"]
    notes += ["flagged"] * example.flagged
    notes += [f"asked {example.attempts} times"] * (example.attempts > 1)
    after = example.answered or example.reference
    if example.reason is not None:
        reason = example.reason
    else:
        reason = f"{example.fault}" if example.answered is None else "no reason was asked for"
    return _Card(
        example.why,
        clean(example.utterance_id, 80),
        " · ".join(notes),
        clean(", ".join(example.words), 200),
        clean(reason, 300),
        tuple(
            (name, round(100 * before, 1), round(100 * share, 1))
            for name, before, share in zip(labels.names, example.reference, after, strict=True)
        ),
    )


def terminal_table(findings: RelabelFindings, labels: LabelSet) -> Table:
    """Label mass before and after, of all utterances and of those with a description."""
    table = Table("label", "all: before", "after", "change", "asked: before", "after", "change")
    for column in table.columns[1:]:
        column.justify = "right"
    for row in words.mass_rows(findings, labels):
        table.add_row(*row)
    return table
