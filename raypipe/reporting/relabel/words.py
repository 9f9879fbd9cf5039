"""Findings about a relabelled corpus as texts, for a page and for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from raypipe.labels import LabelSet
from raypipe.reporting.page import Fact
from raypipe.reporting.relabel.findings import DescriptionEffect, RelabelFindings
from raypipe.reporting.text import NONE, clean, count, difference, percent, score
from raypipe.store.run_record import RunRecord

Row = tuple[str, ...]

MOST_DESCRIPTIONS: Final = 40
_WORDS_ASKED = (15, 20)
_SMALL = 0.0005


def summary(findings: RelabelFindings) -> str:
    """What became of the corpus, in one sentence."""
    asked = findings.asked
    return (
        f"{count(findings.changed)} of {count(asked)} utterances with a typed description have "
        f"other labels now ({percent(findings.changed / asked if asked else 0)}); "
        f"{count(findings.left)} could not be answered and keep their reference."
    )


def facts(findings: RelabelFindings, record: RunRecord) -> list[Fact]:
    """Terms and texts below the title."""
    usage = record.api_usage or {}
    low, high = _WORDS_ASKED
    within = sum(low <= words <= high for words in findings.reason_words)
    listed = [
        ("Utterances with a reference", count(findings.utterances)),
        ("With a typed description", _of(findings.asked, findings.utterances)),
        ("Answered", _of(findings.adjusted, findings.asked)),
        ("Changed", _of(findings.changed, findings.asked)),
        ("Flagged, shift beyond the limit", _of(findings.flagged, findings.asked)),
        ("Asked more than once", _of(findings.asked_again, findings.asked)),
        ("Left at the reference", _of(findings.left, findings.asked)),
        (
            "Mean shift (total variation)",
            NONE if findings.mean_shift is None else score(findings.mean_shift),
        ),
    ]
    if findings.reason_words:
        listed.append(
            (f"Reasons of {low} to {high} words", _of(within, len(findings.reason_words)))
        )
    if usage:
        listed += [
            ("Requests sent", count(int(str(usage["requests"])))),
            (
                "Tokens read and written",
                f"{count(int(str(usage['prompt_tokens'])))} and "
                f"{count(int(str(usage['output_tokens'])))}",
            ),
            ("Cost, in the currency of the prices", _cost(usage, record)),
        ]
    listed += [
        ("Labels", ", ".join(record.labels)),
        ("Corpus", clean(record.dataset)),
        ("Model", clean(record.config["model"]["path"])),
        ("Run", record.run),
        ("Fingerprint", record.fingerprint),
    ]
    return [Fact(term, clean(text)) for term, text in listed]


def _cost(usage: Mapping[str, object], record: RunRecord) -> str:
    """What an endpoint's answers cost; not known without its prices."""
    api = record.config["model"]["api"] or {}
    return f"{float(str(usage['cost'])):.4f}" if api.get("prices") else "no prices were given"


def _of(part: int, whole: int) -> str:
    return f"{count(part)} ({percent(part / whole)})" if whole else count(part)


def mass_rows(findings: RelabelFindings, labels: LabelSet) -> list[Row]:
    """Label, mean share before, after and their difference, of all and of those asked, in %."""
    columns = (
        *(findings.mass_before, findings.mass_after),
        *(findings.asked_before, findings.asked_after),
    )
    return [
        (
            name,
            *(
                cell
                for before, after in ((columns[0], columns[1]), (columns[2], columns[3]))
                for cell in (
                    score(100 * before[place], 1),
                    score(100 * after[place], 1),
                    difference(100 * (after[place] - before[place]), 2),
                )
            ),
        )
        for place, name in enumerate(labels.names)
    ]


def description_rows(findings: RelabelFindings, labels: LabelSet) -> list[Row]:
    """Description, utterances, mean shift and the labels that it moved most."""
    return [
        (
            clean(effect.text, 60),
            count(effect.utterances),
            score(effect.mean_shift),
            _moves(effect, labels),
        )
        for effect in findings.descriptions[:MOST_DESCRIPTIONS]
    ]


def _moves(effect: DescriptionEffect, labels: LabelSet) -> str:
    """The labels with the largest changes, the gains first."""
    order = np.argsort(-effect.gains, kind="stable")
    up = [place for place in order[:2] if effect.gains[place] > _SMALL]
    down = [place for place in order[::-1][:1] if effect.gains[place] < -_SMALL]
    moved = [f"{labels.names[place]} {difference(effect.gains[place])}" for place in [*up, *down]]
    return ", ".join(moved) or NONE


def fault_rows(findings: RelabelFindings) -> list[Row]:
    """Why answers could not be used, and how often."""
    return [(clean(fault, 120), count(number)) for fault, number in findings.faults.items()]
