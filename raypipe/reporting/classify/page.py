"""Findings of a classify job as one self-contained HTML page and in a terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

from rich.table import Table

from raypipe.explain.classify.answers import Form
from raypipe.explain.classify.findings import ClassifyFindings, SystemFindings
from raypipe.explain.classify.sample import Agreement
from raypipe.explain.classify.scores import ALL_RULE, LABELS_RULE, SCORINGS, SUBSETS, Score
from raypipe.reporting.page import environment
from raypipe.reporting.run.facts import config_text, versions
from raypipe.reporting.text import NONE, clean, count
from raypipe.store.run_record import RunRecord

MOST_GROUPS: Final = 60

_FORMS: tuple[Form, ...] = ("open", "closed")
_SUBSET_TITLES = {"all": "all", "majority": "agreement > 0.5"}
_SCORING_TITLES = {"mv": "MV", "any": "All"}


def html_classified(findings: ClassifyFindings, record: RunRecord) -> str:
    """The page about classified answers, as HTML; what models wrote is treated as hostile.

    Args:
        findings: of the job.
        record: of the job, finished.
    """
    forms = [form for form in _FORMS if form in findings.scores]
    context = {
        "title": clean(record.name),
        "headline": headline(findings),
        "answers": record.done_counts.input,
        "named": record.done_counts.input - sum(item.other for item in findings.systems),
        "other": sum(item.other for item in findings.systems),
        "all_rule": f"{ALL_RULE} {_labels_rule(record)}",
        "tables": [
            {
                "form": form,
                "columns": _columns(findings.scores[form]),
                "rows": table_rows(findings.scores[form]),
                "differences": _difference_rows(findings.scores[form]),
            }
            for form in forms
        ],
        "steps": [_step_row(item) for item in findings.systems],
        "faults": _fault_rows(findings.systems),
        "word_errors": _word_error_rows(findings.systems),
        "letters": [(item, _letter_rows(item)) for item in findings.systems if item.letters],
        "groups": [
            (clean(row.key, 60), row.value or "other", row.decided_by, count(row.count))
            for row in findings.groups[:MOST_GROUPS]
        ],
        "more_groups": max(0, len(findings.groups) - MOST_GROUPS),
        "agreement": [_agreement_row(item) for item in findings.agreement],
        "sampled": findings.sampled,
        "versions": versions(record),
        "config": config_text(record),
    }
    return environment().get_template("classify/page.html.jinja").render(context)


def _labels_rule(record: RunRecord) -> str:
    # A job of an earlier version had no choice: it took secondary labels, too.
    return LABELS_RULE[record.config.get("annotator_labels", "primary+secondary")]


def headline(findings: ClassifyFindings) -> str:
    """Which differences are more than chance, in one sentence."""
    cells = [score for scores in findings.scores.values() for score in scores]
    forms: dict[tuple[str, str | None], list[str]] = {}
    for form, scores in findings.scores.items():
        for score in scores:
            if score.starred and (score.subset, score.scoring) == ("all", "mv"):
                forms.setdefault((score.system, score.against), []).append(form)
    better: dict[tuple[str | None, str], list[str]] = {}
    for (system, against), own in forms.items():
        better.setdefault((against, " and the ".join(own)), []).append(system)
    starred = [
        f"{' and '.join(systems)} {'is' if len(systems) == 1 else 'are'} better than {against} on "
        f"the {which} form"
        for (against, which), systems in better.items()
    ]
    if starred:
        return "; ".join(starred) + " (macro-F1 against the majority, p ≤ 0.05)."
    if len({score.system for score in cells}) < 2:
        return "One system: there is nothing to compare it with."
    if len({score.system for score in cells}) == 2:
        return _of_two(findings)
    return "No system is better than the one it is compared with by more than chance."


def _of_two(findings: ClassifyFindings) -> str:
    """The second system's differences from the first, or the only ones there are."""
    compared = [
        (form, score)
        for form, scores in findings.scores.items()
        for score in scores
        if score.against is not None and (score.subset, score.scoring) == ("all", "mv")
    ]
    system, against = compared[-1][1].system, compared[-1][1].against
    told = [
        f"{_with_interval(score.difference, score.difference_low, score.difference_high)} on the "
        f"{form} form"
        for form, score in compared
        if score.system == system
    ]
    return (
        f"{system} is not better than {against} by more than chance: {' and '.join(told)} (points "
        "of macro-F1 against the majority)."
    )


def table_rows(scores: Sequence[Score]) -> list[tuple[str, ...]]:
    """Systems, with macro-F1 in percent and its star in every column of one form."""
    by_cell = {(score.system, score.subset, score.scoring): score for score in scores}
    systems = list(dict.fromkeys(score.system for score in scores))
    return [
        (
            clean(system, 60),
            *(
                _cell(by_cell[system, subset, scoring])
                for subset in SUBSETS
                for scoring in SCORINGS
            ),
        )
        for system in systems
    ]


def terminal_tables(findings: ClassifyFindings) -> list[Table]:
    """Table 1, one table for each form: macro-F1 in percent by subset and scoring."""
    tables = []
    for form in _FORMS:
        scores = findings.scores.get(form, ())
        if not scores:
            continue
        titles = [
            f"{_SUBSET_TITLES[subset]}: {_SCORING_TITLES[scoring]}"
            for subset in SUBSETS
            for scoring in SCORINGS
        ]
        table = Table(f"{form} form", *titles, "n", "other")
        for column in table.columns[1:]:
            column.justify = "right"
        for system in dict.fromkeys(score.system for score in scores):
            own = [score for score in scores if score.system == system]
            cells = [
                NONE if math.isnan(s.macro_f1) else f"{100 * s.macro_f1:.1f}{'*' * s.starred}"
                for s in own
            ]
            table.add_row(clean(system, 40), *cells, str(own[0].n), str(own[0].other))
        tables.append(table)
    return tables


def percent(share: float) -> str:
    """A share in percent, to one decimal."""
    return NONE if math.isnan(share) else f"{100 * share:.1f} %"


def _columns(scores: Sequence[Score]) -> list[str]:
    numbers = {(score.subset, score.scoring): score.n for score in scores}
    return [
        f"{_SUBSET_TITLES[subset]}, {_SCORING_TITLES[scoring]} (n = {numbers[subset, scoring]})"
        for subset in SUBSETS
        for scoring in SCORINGS
    ]


def _cell(score: Score) -> str:
    star = "*" if score.starred else ""
    return f"{_with_interval(score.macro_f1, score.low, score.high)}{star}"


def _with_interval(value: float, low: float, high: float) -> str:
    if math.isnan(value):
        return NONE
    if math.isnan(low):
        return f"{100 * value:.1f}"
    return f"{100 * value:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def _difference_rows(scores: Sequence[Score]) -> list[tuple[str, ...]]:
    return [
        (
            clean(score.system, 60),
            clean(score.against, 60),
            f"{_SUBSET_TITLES[score.subset]}, {_SCORING_TITLES[score.scoring]}",
            _with_interval(score.difference, score.difference_low, score.difference_high),
            f"{score.p_value:.3f}",
        )
        for score in scores
        if score.against is not None
    ]


def _step_row(item: SystemFindings) -> tuple[str, ...]:
    def listed(counts: Mapping[str, int]) -> str:
        ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
        return ", ".join(f"{name} {number}" for name, number in ordered) or NONE

    return (
        f"{clean(item.system, 60)}, {item.form}",
        count(item.n),
        count(item.other),
        listed(item.extracted_by),
        listed(item.grouped_by),
        count(item.reasons),
    )


def _fault_rows(systems: Sequence[SystemFindings]) -> list[tuple[str, ...]]:
    return [
        (f"{clean(item.system, 60)}, {item.form}", what, clean(fault, 80), count(number))
        for item in systems
        for what, counts in (("emotion", item.faults), ("part", item.parts))
        for fault, number in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    ]


def _letter_rows(item: SystemFindings) -> list[tuple[str, ...]]:
    return [(use.letter, percent(use.chosen), percent(use.reference)) for use in item.letters]


def _agreement_row(item: Agreement) -> tuple[str, ...]:
    share = _with_interval(item.right / item.n, item.low, item.high)
    return item.decided_by, count(item.n), count(item.right), share


def _word_error_rows(systems: Sequence[SystemFindings]) -> list[tuple[str, ...]]:
    return [
        (
            f"{clean(item.system, 60)}, {item.form}",
            _with_interval(item.word_errors.rate, item.word_errors.low, item.word_errors.high),
            percent(item.word_errors.baseline),
            count(item.word_errors.words),
            count(item.word_errors.without),
        )
        for item in systems
        if item.word_errors is not None
    ]
