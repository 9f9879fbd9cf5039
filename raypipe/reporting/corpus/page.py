"""Findings about a corpus as one self-contained HTML page and as JSON."""

from __future__ import annotations

from typing import Final

from raypipe.reporting.corpus import charts, rows, words
from raypipe.reporting.corpus.findings import Findings
from raypipe.reporting.page import environment
from raypipe.reporting.text import NONE, clean, count
from raypipe.store.location import Location

PAGE: Final = "inspect.html"
DOCUMENT: Final = "inspect.json"
_MOST_SLICES: Final = 200


def write_inspection(findings: Findings, output: Location) -> None:
    """Write ``inspect.html`` and ``inspect.json``, in place of earlier ones.

    Raises:
        StoreError: if the storage refuses.
    """
    output.write(PAGE, html_inspection(findings).encode())
    output.write(DOCUMENT, (findings.model_dump_json(indent=2) + "\n").encode())


def html_inspection(findings: Findings) -> str:
    """The page about a corpus, as HTML.

    Everything that comes from the corpus is treated as hostile: stripped of control characters,
    escaped, and the page may load or run nothing.
    """
    inputs = findings.utterances + findings.failed.inputs + findings.excluded.inputs
    outside = list(findings.votes.outside.items())[:_MOST_SLICES]
    context = {
        "title": clean(findings.dataset or "unnamed corpus"),
        "origin": clean(findings.origin or findings.location, 300),
        "location": clean(findings.location, 300),
        "alerts": words.alerts(findings),
        "inputs": inputs,
        "utterances": findings.utterances,
        "failed": findings.failed.inputs,
        "excluded": findings.excluded.inputs,
        "facts": words.facts(findings),
        "fingerprint": findings.fingerprint,
        "reference": words.reference_label(findings).capitalize(),
        "labels": rows.label_rows(findings),
        "soft_labels": words.soft_labels_in_words(findings),
        "self_reports": words.self_reports_in_words(findings),
        "labels_chart": charts.labels_chart(findings),
        "entropy_chart": charts.entropy_chart(findings),
        "bins": rows.ambiguity_rows(findings),
        "votes_chart": charts.votes_chart(findings),
        "agreement": [pair for pair in rows.agreement_values(findings) if pair[1] != NONE],
        "agreement_words": words.agreement_in_words(findings),
        "durations_chart": charts.durations_chart(findings),
        "attributes": rows.attribute_rows(findings),
        "texts_chart": charts.texts_chart(findings),
        "typed": findings.typed,
        "outside": [(clean(word, 60), count(times)) for word, times in outside],
        "slice_by": findings.slice_by,
        "slices": rows.slice_rows(findings, _MOST_SLICES),
        "more_slices": max(0, len(findings.slices) - _MOST_SLICES),
        "omitted": [
            (title, rows.omission_rows(omitted))
            for title, omitted in (
                ("Left out by the policy", findings.excluded),
                ("Inputs that could not be used", findings.failed),
            )
            if omitted.inputs
        ],
    }
    return environment().get_template("corpus/page.html.jinja").render(context)
