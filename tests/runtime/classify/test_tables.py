from __future__ import annotations

from pathlib import Path

import pytest

from raypipe.errors import ConfigError
from raypipe.explain.classify.decisions import Decision
from raypipe.runtime.classify.tables import GROUPS, standing_decisions, write_decisions
from raypipe.store.location import Location

GLOOMY = {"gloomy": Decision("gloomy", "sadness", "word_map", 3)}


def test_decisions_stand_until_a_person_changes_them(tmp_path: Path) -> None:
    tables = Location.parse(str(tmp_path))
    assert standing_decisions(tables, GROUPS) == {}
    write_decisions(tables, GROUPS, GLOOMY)
    assert standing_decisions(tables, GROUPS)["gloomy"].decided_by == "word_map"
    path = tmp_path / GROUPS
    path.write_text(path.read_text().replace("sadness", "fear"))
    changed = standing_decisions(tables, GROUPS)
    assert (changed["gloomy"].value, changed["gloomy"].decided_by) == ("fear", "person")
    write_decisions(tables, GROUPS, changed)
    assert standing_decisions(tables, GROUPS)["gloomy"].decided_by == "person"


def test_a_label_that_there_is_not_is_refused_by_line(tmp_path: Path) -> None:
    tables = Location.parse(str(tmp_path))
    write_decisions(tables, GROUPS, GLOOMY)
    with pytest.raises(ConfigError, match=r"groups\.csv, line 2: label 'sadness' is none of anger"):
        standing_decisions(tables, GROUPS, ("anger",))
