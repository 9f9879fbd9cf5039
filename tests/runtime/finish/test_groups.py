"""Objects of a model and prompt, grouped by their bytes."""

from __future__ import annotations

from pathlib import Path

import pytest
from in_process import InProcess, utterance

from raypipe.errors import StoreError
from raypipe.runtime.finish import groups as module
from raypipe.runtime.finish.groups import cells_of, groups_of, read_rows

CELL = ("fake", "distribution")


@pytest.fixture
def runs(fake_engine: None, tmp_path: Path) -> InProcess:
    """Five shards; the second and the fourth have an error."""
    made = InProcess(tmp_path)
    made.write(*(utterance(f"u{number}") for number in range(10)), rows_per_shard=2)
    options = {"fail": ["greedy"], "fail_ids": ["u2", "u7"]}
    model = {"engine": "fake", "path": "none", "name": "fake", "options": options}
    made.finished(strategies=["greedy"], model=model)
    return made


def test_every_object_stands_in_one_group(runs: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    names = cells_of(runs.tables)[CELL]
    assert len(names) == 5
    (whole,) = groups_of(runs.tables, CELL, names)
    assert list(whole.predictions) == names
    assert {Path(name).name for name in whole.errors} >= {
        "shard-000001.parquet",
        "shard-000003.parquet",
    }
    size = runs.tables.size(names[0])
    monkeypatch.setattr(module, "BYTES_PER_GROUP", int(2.5 * size))
    cut = groups_of(runs.tables, CELL, names)
    assert [len(group.predictions) for group in cut] == [2, 2, 1]
    assert tuple(name for group in cut for name in group.predictions) == whole.predictions
    assert tuple(name for group in cut for name in group.errors) == whole.errors
    monkeypatch.setattr(module, "BYTES_PER_GROUP", 1)
    assert len(groups_of(runs.tables, CELL, names)) == 5


def test_a_damaged_object_is_named(runs: InProcess) -> None:
    name = cells_of(runs.tables)[CELL][2]
    path = Path(runs.tables.uri, name)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(StoreError, match=rf"{name} is damaged: .*raypipe verify"):
        read_rows(runs.tables, [name])
