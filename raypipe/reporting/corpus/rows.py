"""Rows of the tables about a corpus as texts, for a page and for a terminal."""

from __future__ import annotations

from raypipe.reporting.corpus.findings import Findings, HistogramBin, OmittedInputs, Spread
from raypipe.reporting.corpus.words import votes_in_words
from raypipe.reporting.text import NONE, clean, count, percent, score

Row = tuple[str, ...]


def label_rows(findings: Findings) -> list[Row]:
    """Label, votes, share, mean share, soft mass, plurality and majority; the sums last."""
    rows = [
        (
            clean(label.label, 40),
            votes_in_words(label.votes),
            _percent_or_none(label.vote_share),
            _percent_or_none(label.mean_share),
            f"{label.soft_mass:,.1f}",
            count(label.plurality),
            count(label.majority),
        )
        for label in findings.labels
    ]
    sums = (
        "all",
        votes_in_words(findings.votes.counted),
        "",
        "",
        f"{sum(label.soft_mass for label in findings.labels):,.1f}",
        count(sum(label.plurality for label in findings.labels)),
        count(sum(label.majority for label in findings.labels)),
    )
    return [*rows, sums] if findings.utterances else []


def ambiguity_rows(findings: Findings) -> list[Row]:
    """Number of the bin, then range in bits and utterances of equal count and of equal width."""
    if findings.entropy.spread is None:
        return []
    equal_count, equal_width = findings.entropy.equal_count, findings.entropy.equal_width
    return [
        (str(place + 1), *_bin_cells(equal_count, place), *_bin_cells(equal_width, place))
        for place in range(max(len(equal_count), len(equal_width)))
    ]


def _bin_cells(bins: tuple[HistogramBin, ...], place: int) -> tuple[str, str]:
    if place >= len(bins):
        return NONE, NONE
    low, high = score(bins[place].low), score(bins[place].high)
    return f"{low} to {high}", count(bins[place].utterances)


def agreement_values(findings: Findings) -> list[tuple[str, str]]:
    """Name and value of both coefficients, a dash for one that is undefined."""
    agreement = findings.agreement
    return [
        ("Krippendorff's alpha", _score_or_none(agreement.krippendorff_alpha)),
        ("Fleiss' kappa", _score_or_none(agreement.fleiss_kappa)),
    ]


def attribute_rows(findings: Findings) -> list[Row]:
    """Attribute, what it is of, n, mean, standard deviation, minimum, median and maximum."""
    return [
        (name, of, count(spread.n), *_spread_cells(spread))
        for name, attribute in findings.attributes.items()
        for of, spread in (("ratings", attribute.ratings), ("corpus's mean", attribute.utterances))
        if spread is not None
    ]


def _spread_cells(spread: Spread) -> list[str]:
    values = (spread.mean, spread.std, spread.minimum, spread.median, spread.maximum)
    return [_score_or_none(value, 2) for value in values]


def slice_rows(findings: Findings, most: int) -> list[Row]:
    """Slice, utterances, minutes, votes, ties, majority, mean entropy in bits and alpha.

    Args:
        findings: with their slices, most utterances first.
        most: number of slices that are shown.
    """
    return [
        (
            "none" if part.name is None else clean(part.name, 60),
            count(part.utterances),
            f"{part.duration_s / 60:,.1f}",
            votes_in_words(part.votes),
            count(part.ties),
            count(part.majority),
            _score_or_none(part.mean_entropy),
            _score_or_none(part.krippendorff_alpha),
        )
        for part in findings.slices[:most]
    ]


def omission_rows(omitted: OmittedInputs) -> list[tuple[str, str, str]]:
    """Reason, number and first example of inputs that are not among the utterances."""
    rows = [
        (clean(reason.reason, 60), count(reason.inputs), clean(reason.example, 240))
        for reason in omitted.reasons
    ]
    listed = sum(reason.inputs for reason in omitted.reasons)
    if omitted.inputs > listed:
        rows.append(("not listed", count(omitted.inputs - listed), ""))
    return rows


def _percent_or_none(share: float | None) -> str:
    return NONE if share is None else percent(share)


def _score_or_none(value: float | None, digits: int = 3) -> str:
    return NONE if value is None else score(value, digits)
