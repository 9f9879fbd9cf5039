"""The measured table: what became of the commands that faults struck."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from chaos_cells import Cell
from chaos_faults import Fault
from chaos_harm import Harm

HEAD = (
    "| command: fault | local / S3 | went on by itself | same command | lost, twice, partial |",
    "| --- | --- | --- | --- | --- |",
)


@dataclass(frozen=True)
class Struck:
    """A fault that has happened.

    Attributes:
        went_on: whether the command went on by itself.
    """

    fault: Fault
    went_on: bool


@dataclass(frozen=True)
class Measured:
    """A cell that has been carried out; whatever ended, the same command again did the rest."""

    cell: Cell
    struck: tuple[Struck, ...]
    harm: Harm


def kinds(cells: Iterable[Cell]) -> dict[str, tuple[int, int]]:
    """How often every kind of fault strikes a command, on a local store and on S3."""
    counts: dict[str, tuple[int, int]] = {}
    for cell in cells:
        for fault in cell.faults:
            kind = _kind(cell, fault)
            local, remote = counts.get(kind, (0, 0))
            counts[kind] = local + (cell.store == "local"), remote + (cell.store == "S3")
    return counts


def _kind(cell: Cell, fault: Fault) -> str:
    return f"{cell.command}: {fault.name}"


def markdown(measured: Sequence[Measured]) -> str:
    """The table, with its sums below."""
    counts = kinds(each.cell for each in measured)
    rows = [*HEAD]
    for kind, (local, remote) in counts.items():
        of_kind = [
            (struck, each.harm)
            for each in measured
            for struck in each.struck
            if _kind(each.cell, struck.fault) == kind
        ]
        rows.append(_row(kind, f"{local} / {remote}", of_kind))
    local, remote = (sum(numbers) for numbers in zip(*counts.values(), strict=True))
    everything = [(struck, each.harm) for each in measured for struck in each.struck]
    rows.append(_row(f"all {local + remote}", f"{local} / {remote}", everything))
    return "".join(f"{row}\n" for row in rows)


def _row(kind: str, stores: str, struck: Sequence[tuple[Struck, Harm]]) -> str:
    meant_to = [each for each, _ in struck if each.fault.goes_on]
    went_on = sum(each.went_on for each in meant_to)
    by_hand = len(struck) - went_on
    cells = {id(harm): harm for _, harm in struck}
    wrong = sum(harm.total for harm in cells.values())
    own = f"{went_on} of {len(meant_to)}" if meant_to else ""
    again = f"{by_hand} of {by_hand}" if by_hand else ""
    return f"| {kind} | {stores} | {own} | {again} | {wrong} |"
