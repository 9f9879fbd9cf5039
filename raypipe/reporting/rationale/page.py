"""Findings about a rationale job as one self-contained HTML page and in a terminal."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from rich.table import Table

from raypipe.explain.rationale.findings import RationaleExample, RationaleFindings
from raypipe.explain.rationale.rules import SUMMARIES
from raypipe.reporting.page import Fact, environment
from raypipe.reporting.run.facts import config_text, versions
from raypipe.reporting.text import NONE, clean, count, percent
from raypipe.store.run_record import RunRecord

_LABEL_COLUMNS: Final = (
    *("label", "asked", "accepted", "at once", "refused", "broken most", "words"),
)
TEST_II: Final = (
    "Made of evaluation items with their gold labels in the prompt, for raters of Test II only: "
    "export and finetune refuse this table."
)


def html_rationales(findings: RationaleFindings, record: RunRecord) -> str:
    """The page about a rationale job, as HTML.

    What the teacher wrote is treated as hostile: stripped of control characters, escaped, and the
    page may load or run nothing.

    Args:
        findings: about the job.
        record: of the job, finished.
    """
    counts = record.done_counts
    context = {
        "title": clean(record.name),
        "headline": headline(findings),
        "inputs": counts.input,
        "answered": counts.predicted,
        "failed": counts.errors,
        "alerts": [TEST_II] if record.config["purpose"] == "test_ii" else [],
        "facts": _facts(findings, record),
        "labels": _label_rows(findings),
        "rejections": [
            (rule, count(number), percent(number / findings.tries), SUMMARIES.get(rule, NONE))
            for rule, number in findings.rejections.items()
        ],
        "left_out": [
            (clean(reason, 60), count(number)) for reason, number in findings.left_out.items()
        ],
        "examples": [_cleaned(example) for example in findings.examples],
        "versions": versions(record),
        "config": config_text(record),
    }
    return environment().get_template("rationale/page.html.jinja").render(context)


def headline(findings: RationaleFindings) -> str:
    """What came of the job, in one sentence."""
    refused = sum(findings.rejections.values())
    return (
        f"{count(findings.accepted)} of {count(findings.utterances)} utterances have a rationale "
        f"that keeps the rules; {count(refused)} of {count(findings.tries)} drafts broke one."
    )


def left_out_line(findings: RationaleFindings) -> str:
    """What nothing was asked about, in one sentence; empty if there is nothing."""
    told = [f"{reason}: {count(number)}" for reason, number in findings.left_out.items()]
    return f"left out: {', '.join(told)}" if told else ""


def label_table(findings: RationaleFindings) -> Table:
    """How the teacher did on each gold label, for a terminal."""
    table = Table(*_LABEL_COLUMNS)
    for column in table.columns[1:]:
        column.justify = "right"
    for row in _label_rows(findings):
        table.add_row(*row)
    return table


def rejection_table(findings: RationaleFindings) -> Table:
    """How often each rule was broken, for a terminal."""
    table = Table("broken rule", "drafts", "refused is")
    table.columns[1].justify = "right"
    for rule, number in findings.rejections.items():
        table.add_row(rule, count(number), SUMMARIES.get(rule, NONE))
    return table


def _label_rows(findings: RationaleFindings) -> list[tuple[str, ...]]:
    return [
        (
            clean(label.label, 40),
            count(label.utterances),
            count(label.accepted),
            count(label.first_try),
            count(label.refused),
            label.commonest or NONE,
            NONE if label.mean_words is None else f"{label.mean_words:.1f}",
        )
        for label in findings.labels
    ]


def _facts(findings: RationaleFindings, record: RunRecord) -> list[Fact]:
    usage = record.api_usage or {}
    listed = [
        ("Teacher", clean(record.config["model"]["name"] or record.config["model"]["path"])),
        ("Purpose", clean(record.config["purpose"])),
        ("Splits", clean(", ".join(record.config["splits"]))),
        ("Requests to the teacher", count(findings.tries)),
        ("Left out", count(sum(findings.left_out.values()))),
    ]
    if usage:
        listed += [
            ("Requests sent", count(int(str(usage["requests"])))),
            (
                "Tokens read and written",
                f"{count(int(str(usage['prompt_tokens'])))} and "
                f"{count(int(str(usage['output_tokens'])))}",
            ),
        ]
    listed += [
        ("Corpus", clean(record.dataset)),
        ("Run", record.run),
        ("Fingerprint", record.fingerprint),
    ]
    return [Fact(term, text) for term, text in listed]


def _cleaned(example: RationaleExample) -> RationaleExample:
    return replace(
        example,
        utterance_id=clean(example.utterance_id, 80),
        transcript=clean(example.transcript, 300),
        text=clean(example.text, 1000),
        note=clean(example.note, 300),
    )
