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
    """Lines of every part and those of them with a reason, in one sentence."""
    return "; ".join(
        f"{lines:,} {part} lines, {with_reason:,} with a reason"
        for part, (lines, with_reason) in _parts(manifest).items()
    )


def warning(manifest: Manifest) -> str | None:
    """What early stopping will not see, in one sentence; None if it sees all that is learnt."""
    parts = _parts(manifest)
    lines, with_reason = parts.get("development", (0, 0))
    if not lines or with_reason or not parts["train"][1]:
        return None
    return (
        "development lines have no reasons, as none are made of such splits, so early stopping "
        "goes by other texts than are learnt; development: {speakers: 0.1} holds out such lines"
    )


def _parts(manifest: Manifest) -> Mapping[str, tuple[int, int]]:
    """Lines and those of them with a reason, by part."""
    parts = manifest["lines"]
    assert isinstance(parts, dict)
    return {
        name: (_number(part["lines"]), _number(part["with_reason"])) for name, part in parts.items()
    }
