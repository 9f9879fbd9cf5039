"""Findings as one self-contained HTML page."""

from __future__ import annotations

from typing import Any

from raypipe.reporting.corpus import charts, words
from raypipe.reporting.corpus.findings import Findings, Spread
from raypipe.reporting.page import environment
from raypipe.reporting.text import clean, count, percent, score
from raypipe.store.location import Location

PAGE = "inspect.html"
DOCUMENT = "inspect.json"
_SLICES = 200


def write_inspection(found: Findings, output: Location) -> None:
    """Write ``inspect.html`` and ``inspect.json``, in place of earlier ones.

    Raises:
        StoreError: if the storage refuses.
    """
    output.write(PAGE, html_inspection(found).encode())
    output.write(DOCUMENT, (found.model_dump_json(indent=2) + "\n").encode())


def html_inspection(found: Findings) -> str:
    """Write the page.

    Everything that comes from the corpus is treated as hostile: stripped of control characters,
    escaped, and the page may load or run nothing.
    """
    inputs = found.utterances + found.failed.inputs + found.excluded.inputs
    corpus_consensus = found.policy is not None and found.policy.plurality == "corpus"
    context = {
        "title": clean(found.dataset or "unnamed corpus"),
        "origin": clean(found.origin or found.location, 300),
        "location": clean(found.location, 300),
        "alerts": words.alerts(found),
        "inputs": inputs,
        "utterances": found.utterances,
        "failed": found.failed.inputs,
        "excluded": found.excluded.inputs,
        "facts": words.facts(found),
        "fingerprint": found.fingerprint,
        "reference": "Consensus" if corpus_consensus else "Plurality",
        "labels": _labels(found),
        "soft_labels": words.soft_labels_in_words(found),
        "self_reports": words.self_reports_in_words(found),
        "labels_chart": charts.labels_chart(found),
        "entropy_chart": charts.entropy_chart(found),
        "bins": _bins(found),
        "votes_chart": charts.votes_chart(found),
        "agreement": _agreement(found),
        "agreement_words": words.agreement_in_words(found),
        "durations_chart": charts.durations_chart(found),
        "attributes": _attributes(found),
        "texts_chart": charts.texts_chart(found),
        "typed": found.typed,
        "texts": [(clean(text, 80), count(n)) for text, n in found.typed.most_frequent.items()],
        "outside": [(clean(w, 60), count(n)) for w, n in found.votes.outside.items()][:_SLICES],
        "slice_by": found.slice_by,
        "slices": _slices(found),
        "more_slices": max(0, len(found.slices) - _SLICES),
        "left_out": [
            (title, left.inputs, words.left_out_rows(left))
            for title, left in (
                ("Left out by the policy", found.excluded),
                ("Inputs that could not be used", found.failed),
            )
            if left.inputs
        ],
    }
    return environment().get_template("corpus/page.html.jinja").render(context)


def _labels(found: Findings) -> list[tuple[str, ...]]:
    rows = [
        (
            clean(one.label, 40),
            words.votes(one.votes),
            words.NONE if one.vote_share is None else percent(one.vote_share),
            words.NONE if one.mean_share is None else percent(one.mean_share),
            f"{one.soft_mass:,.1f}",
            count(one.plurality),
            count(one.majority),
        )
        for one in found.labels
    ]
    total = (
        "all",
        words.votes(found.votes.counted),
        "",
        "",
        f"{sum(one.soft_mass for one in found.labels):,.1f}",
        count(sum(one.plurality for one in found.labels)),
        count(sum(one.majority for one in found.labels)),
    )
    return [*rows, total] if found.utterances else []


def _bins(found: Findings) -> list[tuple[str, ...]]:
    if found.entropy.spread is None:
        return []
    rows = []
    for number, wide in enumerate(found.entropy.equal_width):
        row = [str(number + 1), words.NONE, words.NONE]
        if number < len(found.entropy.equal_count):
            even = found.entropy.equal_count[number]
            row[1:] = [f"{score(even.low)} to {score(even.high)}", count(even.utterances)]
        row += [f"{score(wide.low)} to {score(wide.high)}", count(wide.utterances)]
        rows.append(tuple(row))
    return rows


def _agreement(found: Findings) -> list[tuple[str, str]]:
    values = (
        ("Krippendorff's alpha", found.agreement.krippendorff_alpha),
        ("Fleiss' kappa", found.agreement.fleiss_kappa),
    )
    return [(name, score(value)) for name, value in values if value is not None]


def _attributes(found: Findings) -> list[tuple[str, ...]]:
    return [
        (name, what, count(spread.n), *_spread(spread))
        for name, one in found.attributes.items()
        for what, spread in (("ratings", one.ratings), ("corpus's mean", one.utterances))
        if spread is not None
    ]


def _spread(spread: Spread) -> tuple[str, ...]:
    values = (spread.mean, spread.std, spread.minimum, spread.median, spread.maximum)
    return tuple(words.NONE if value is None else score(value, 2) for value in values)


def _slices(found: Findings) -> list[tuple[Any, ...]]:
    return [
        (
            "none" if one.name is None else clean(one.name, 60),
            count(one.utterances),
            f"{one.duration_s / 60:,.1f}",
            words.votes(one.votes),
            count(one.ties),
            count(one.majority),
            words.NONE if one.mean_entropy is None else score(one.mean_entropy),
            words.NONE if one.krippendorff_alpha is None else score(one.krippendorff_alpha),
        )
        for one in found.slices[:_SLICES]
    ]
