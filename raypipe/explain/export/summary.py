"""What went into an export and what did not, for a terminal."""

from __future__ import annotations

from collections.abc import Mapping

from rich.table import Table

from raypipe.explain.export.manifest import Manifest


def count_table(manifest: Manifest) -> Table:
    """Every corpus's utterances by what became of them; the columns of a corpus add up."""
    table = Table("")
    columns: list[dict[str, int]] = []
    corpora = manifest["made_from"]
    assert isinstance(corpora, list)
    for corpus in corpora:
        table.add_column(str(corpus["dataset"]), justify="right")
        columns.append(_counts(corpus["counts"]))
    for name in dict.fromkeys(name for column in columns for name in column):
        table.add_row(name, *(f"{column.get(name, 0):,}" for column in columns))
    return table


def _counts(counts: Mapping[str, object]) -> dict[str, int]:
    """One corpus's counts by what became of its utterances."""
    listed = {"utterances": _number(counts["utterances"])}
    listed |= {f"split {name}": count for name, count in _numbers(counts["other_splits"]).items()}
    listed |= _numbers(counts["left_out"])
    for name in ("over_corpus_cap", "balanced_away", "over_max_samples", "over_development_cap"):
        number = _number(counts[name])
        listed |= {name.replace("_", " "): number} if number else {}
    for part in ("train", "development"):
        listed[part] = sum(_numbers(counts[part]).values())
    return listed


def _number(value: object) -> int:
    assert isinstance(value, int)
    return value


def _numbers(value: object) -> dict[str, int]:
    assert isinstance(value, dict)
    return value


def totals(manifest: Manifest) -> str:
    """Lines in all, in one sentence."""
    contains = _numbers(manifest["contains"])
    reasons = "with reasons" if manifest["reasons"] else "without reasons"
    return (
        f"{contains['train']:,} training and {contains['development']:,} development lines "
        f"{reasons}"
    )
