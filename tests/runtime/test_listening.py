"""The model listens: better than the prior on speech, no better than it on silence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from raypipe.tiny_alm.corpus import synthetic_utterances

UTTERANCES = 150

pytestmark = pytest.mark.usefixtures("ray_cluster")


@pytest.fixture(scope="module")
def held_out(runs: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = synthetic_utterances(UTTERANCES, seed=11, split="test")
    return runs.shards(rows, tmp_path_factory.mktemp("held-out"), 50)


def overall(output: Path, runs: Any) -> dict[tuple[str, str], dict[str, float]]:
    rows = runs.rows(output, "FROM metrics WHERE slice = 'all' AND versus IS NULL")
    return {(row["strategy"], row["metric"]): row for row in rows}


def test_speech_beats_the_prior_and_silence_does_not(
    held_out: Path, tmp_path: Path, runs: Any
) -> None:
    settings = {"resources": {"batch_size": 25}, "metrics": {"replicates": 500}}
    runs.run(held_out, tmp_path / "speech", **settings)
    runs.run(held_out, tmp_path / "silence", **settings, audio={"replace_with": "silence"})
    speech, silence = overall(tmp_path / "speech", runs), overall(tmp_path / "silence", runs)

    assert speech["w_bon", "js"]["ci_high"] < speech["prior", "js"]["ci_low"]
    assert speech["w_bon", "bc"]["ci_low"] > speech["prior", "bc"]["ci_high"]
    # The prior's accuracy is the share of the largest class.
    assert speech["w_bon", "accuracy"]["ci_low"] > speech["prior", "accuracy"]["ci_high"]

    # Without audio the answers know no more than a constant; the same words for every clip.
    assert silence["w_bon", "js"]["ci_high"] > silence["prior", "js"]["ci_low"]
    distinct = runs.rows(
        tmp_path / "silence",
        "SELECT count(DISTINCT predicted) AS labels FROM predictions WHERE strategy = 'greedy'",
    )
    assert distinct[0]["labels"] <= 2
