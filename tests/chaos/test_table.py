"""The table of faults, as it is measured and as it stands in the docs."""

from __future__ import annotations

from pathlib import Path

from chaos_cells import CELLS, Cell
from chaos_faults import COMMIT, DRIVER
from chaos_harm import Harm
from chaos_table import HEAD, Measured, Struck, kinds, markdown

DOCS = Path(__file__).parents[2] / "raypipe" / "runtime" / "README.md"


def test_the_docs_table_is_of_the_faults_of_this_suite() -> None:
    lines = iter(DOCS.read_text().splitlines())
    assert HEAD[0] in lines
    next(lines)
    rows = []
    while (line := next(lines)).startswith("|"):
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    *told, total = rows
    assert {row[0]: row[1] for row in told} == {
        kind: f"{local} / {remote}" for kind, (local, remote) in kinds(CELLS).items()
    }
    assert total[0] == f"all {sum(map(sum, kinds(CELLS).values()))}"
    assert {row[4] for row in rows} == {"0"}


def test_there_are_sixty_faults_at_least() -> None:
    assert sum(len(cell.faults) for cell in CELLS) >= 60


def test_a_row_counts_what_went_on_by_itself_and_what_needed_a_person() -> None:
    both = Cell("run", (COMMIT, DRIVER))
    remote = Cell("run", (COMMIT,), "S3")
    table = markdown(
        [
            Measured(both, (Struck(COMMIT, True), Struck(DRIVER, False)), Harm()),
            Measured(remote, (Struck(COMMIT, False),), Harm(lost=2, partial=("a",))),
        ]
    )
    assert table.splitlines()[2:] == [
        "| run: SIGKILL commit worker | 1 / 1 | 1 of 2 | 1 of 1 | 3 |",
        "| run: SIGKILL driver | 1 / 0 |  | 1 of 1 | 0 |",
        "| all 3 | 2 / 1 | 1 of 2 | 2 of 2 | 3 |",
    ]
