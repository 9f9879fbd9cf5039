"""Faults while a command is under way: it goes on, and nothing is lost, twice or partial."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from chaos_cells import CELLS, Cell
from chaos_commands import Calm, ChaosCommand
from chaos_harm import harm, leftovers, shared_memory, tables_of
from chaos_scene import Scenes
from chaos_table import Measured

PARAMETERS = [
    pytest.param(cell, id=cell.name, marks=() if cell.in_ci else pytest.mark.slow) for cell in CELLS
]


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("cell", PARAMETERS)
def test_a_command_loses_nothing_whatever_strikes_it(
    cell: Cell,
    scenes: Scenes,
    calm: Callable[[ChaosCommand], Calm],
    measured: list[Measured],
) -> None:
    memory = shared_memory()
    with scenes(cell) as scene:
        expected = calm(scene.command)
        started = time.monotonic()
        struck = scene.struck()
        seconds = time.monotonic() - started
        found = scene.stored()
        done = harm(found, expected.objects, scene.command.ids)
        measured.append(Measured(cell, tuple(struck), done))
        assert done.total == 0, done
        assert tables_of(found) == tables_of(expected.objects)
        assert [each.fault.name for each in struck if each.fault.goes_on and not each.went_on] == []
        limit_s = 3 * expected.seconds + sum(fault.takes_s for fault in cell.faults)
        assert seconds < limit_s, f"{seconds:.0f} s, of {limit_s:.0f} s"
        scene.check_again()
        assert scene.stored() == found
        assert scene.unfinished_uploads() == []
    assert leftovers(scene.processes, scene.world.storage) == []
    assert shared_memory() - memory == frozenset()
