"""The table of faults, as it is measured."""

from __future__ import annotations

from chaos_cells import CELLS, Cell
from chaos_faults import COMMIT, DRIVER
from chaos_harm import Harm
from chaos_table import Measured, Struck, markdown


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
