"""What a heads config refuses, and what makes a job another one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from raypipe.errors import ConfigError
from raypipe.runtime.heads.config import HeadConfig, HeadsConfig, load_heads_config
from raypipe.ssl.training import HeadTraining


def config(**changes: Any) -> HeadsConfig:
    return HeadsConfig.model_validate({"features": "f", "output": "o", **changes})


def test_defaults_are_the_training_s_own() -> None:
    assert HeadConfig().settings() == HeadTraining()


def test_a_grid_is_every_head_under_every_rate() -> None:
    grid = config(heads=[{}, {"name": "linear", "hidden": None}], learning_rates=[1e-4, 0.01])
    assert [(head.name, head.learning_rate) for head in grid.grid()] == [
        ("superb-lr0.0001", 1e-4),
        ("superb-lr0.01", 0.01),
        ("linear-lr0.0001", 1e-4),
        ("linear-lr0.01", 0.01),
    ]


def test_seeds_are_strategies_where_there_are_several() -> None:
    assert config(seeds=[3]).strategies() == ("head",)
    assert config(seeds=[3, 1]).strategies() == ("head[seed=3]", "head[seed=1]")


def test_what_changes_a_prediction_changes_the_fingerprint() -> None:
    def prints(**changes: Any) -> str:
        return config(**changes).identity(["a"])

    same: list[dict[str, Any]] = [{"output": "x"}, {"metrics": {"replicates": 300}}, {"name": "n"}]
    other: list[dict[str, Any]] = [
        {"seeds": [1]},
        {"folds": 4},
        {"fold_seed": 1},
        {"heads": [{"epochs": 3}]},
        {"splits": {"test": ["test1"]}},
    ]
    assert {prints(**changes) for changes in same} == {prints()}
    assert len({prints(**changes) for changes in [{}, *other]}) == 1 + len(other)
    known = "ef13c23b31dd0a53f4eb2615026680040f140b16188c4ca26c835c8012266439"
    assert prints() == known  # as before there were label tables
    tables = [("t", "beside", "f"), ("t", "instead", "f"), ("u", "beside", "f")]
    others = [config().identity(["a"], labels=[table]) for table in tables]
    others += [config().identity(["b"]), config().identity(["a"], "run")]
    assert len({known, *others}) == 6


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("heads: [{}, {}]", "a name of its own"),
        ("heads: []", "at least one head"),
        ("seeds: [1, 1]", "each once"),
        ("folds: 2", "at least 3"),
        ("head: []", "unknown key"),
    ],
)
def test_what_cannot_be_is_refused_by_name(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "heads.yaml"
    file.write_text(f"features: f\noutput: o\n{text}\n")
    with pytest.raises(ConfigError, match=words):
        load_heads_config(file)
