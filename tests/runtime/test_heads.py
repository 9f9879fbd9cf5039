"""A head on tiny-alm's encoder listens: it beats the prior on the synthetic corpus."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from label_files import write_table
from rich.console import Console

from raypipe.errors import FingerprintError
from raypipe.runtime.features.config import FeaturesConfig
from raypipe.runtime.features.job import features
from raypipe.runtime.heads.config import HeadsConfig
from raypipe.runtime.heads.job import heads
from raypipe.store.run_record import RunRecord
from raypipe.tiny_alm.corpus import synthetic_utterances

QUIET = Console(file=io.StringIO())
SMALL = {"learning_rate": 3e-3, "warmup_steps": 20, "epochs": 30}
"""A training for some hundred clips: 1,600 steps of warm-up would never end."""


def train(source: Path, output: Path, **changes: Any) -> RunRecord:
    document = {
        "features": str(source),
        "output": str(output),
        "metrics": {"replicates": 200},
        "heads": [SMALL],
        **changes,
    }
    return heads(HeadsConfig.model_validate(document), console=QUIET)


@pytest.fixture(scope="module")
def encoded(
    ray_cluster: None, runs: Any, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """Shards of held-out speakers, and their features by tiny-alm and by filter banks."""
    folder = tmp_path_factory.mktemp("encoded")
    shards = runs.shards(synthetic_utterances(160, seed=11, split="test"), folder / "shards", 80)
    document = {
        "input": {"shards": str(shards)},
        "output": str(folder / "features"),
        "encoders": [{"path": "tiny-alm"}, {"path": "fbank-s3prl"}],
    }
    features(FeaturesConfig.model_validate(document), console=QUIET)
    return shards, folder / "features"


def scores(runs: Any, output: Path, metric: str) -> dict[tuple[str, str], dict[str, float]]:
    rows = runs.rows(
        output,
        f"SELECT * FROM metrics WHERE metric = '{metric}' AND slice = 'all' AND versus IS NULL",
    )
    return {(row["model"], row["strategy"]): row for row in rows}


def test_a_head_listens_and_normalised_filter_banks_do_not(
    encoded: tuple[Path, Path], runs: Any, tmp_path: Path
) -> None:
    output = tmp_path / "heads"
    record = train(encoded[1], output)
    assert record.status == "finished"
    counts = record.done_counts
    assert (counts.input, counts.predicted, counts.errors) == (320, 320, 0)
    js = scores(runs, output, "js")
    head, prior = js["tiny-alm", "head"], js["tiny-alm", "prior"]
    assert head["ci_high"] < prior["ci_low"]
    # Its time-mean is 0 for every clip: the head has nothing but the labels' shares to go by.
    deaf = js["fbank-s3prl", "head"]
    assert deaf["ci_high"] > prior["ci_low"]
    probs = runs.rows(output, "SELECT probs FROM predictions WHERE model = 'fbank-s3prl'")
    assert np.std([row["probs"] for row in probs], axis=0).max() < 0.1
    assert (output / "report.html").exists()
    for row in runs.rows(output, "SELECT * FROM heads"):
        assert 0 <= row["threshold_macro_f1"] <= 1
        assert row["batch_threshold_macro_f1"] <= 1
    # A finished job is not done again; a lost object is made again to the same bytes.
    tables = runs.tables(output)
    assert train(encoded[1], output).run == record.run
    assert runs.tables(output) == tables
    again = tmp_path / "again"
    train(encoded[1], again)
    assert runs.tables(again) == tables


def test_seeds_are_strategies_and_the_lost_training_is_done_again(
    encoded: tuple[Path, Path], runs: Any, tmp_path: Path
) -> None:
    output = tmp_path / "seeds"
    changes = {"encoders": ["tiny-alm"], "seeds": [0, 1], "folds": 3}
    changes["heads"] = [SMALL | {"epochs": 3}]
    train(encoded[1], output, **changes)
    tables = runs.tables(output)
    assert {name for _, name in scores(runs, output, "js")} == {
        "head[seed=0]",
        "head[seed=1]",
        "prior",
        "uniform",
        "humans",
    }
    paired = runs.rows(output, "SELECT * FROM metrics WHERE versus = 'head[seed=1]'")
    assert paired
    lost = next(name for name in tables if name.startswith("heads/"))
    for name in (lost, "run.json"):
        (output / name).unlink()
    train(encoded[1], output, **changes)
    assert runs.tables(output) == tables


def test_a_model_and_heads_stand_in_one_table(
    finished: Path, corpus: Path, runs: Any, tmp_path: Path
) -> None:
    document = {
        "input": {"shards": str(corpus)},
        "output": str(tmp_path / "features"),
        "encoders": [{"path": "fbank-raw"}],
    }
    features(FeaturesConfig.model_validate(document), console=QUIET)
    output = tmp_path / "heads"
    quick = [SMALL | {"epochs": 2}]
    record = train(tmp_path / "features", output, heads=quick, folds=3, beside=str(finished))
    cells = {(cell.model, cell.prompt): cell for cell in record.done_counts.cells}
    assert cells.keys() == {("fbank-raw", "superb"), ("tiny-alm", "distribution")}
    assert {cell.input for cell in cells.values()} == {runs.utterances}
    js = scores(runs, output, "js")
    before = scores(runs, finished, "js")
    assert js["tiny-alm", "w_bon"]["value"] == before["tiny-alm", "w_bon"]["value"]
    assert ("fbank-raw", "head") in js
    assert "fbank-raw" in (output / "report.html").read_text()


def test_heads_learn_both_labels_and_are_measured_against_both(
    encoded: tuple[Path, Path], runs: Any, tmp_path: Path
) -> None:
    votes = {clip.utterance_id: clip.soft_label for clip in synthetic_utterances(160, seed=11)}
    flat = {name: [0.5 * each + 0.5 / 6 for each in soft or ()] for name, soft in votes.items()}
    table = write_table(tmp_path / "flat.parquet", flat)
    output = tmp_path / "heads"
    quick = [SMALL | {"epochs": 2}]
    changes = {"encoders": ["tiny-alm"], "heads": quick, "folds": 3, "labels": [{"table": table}]}
    record = train(encoded[1], output, **changes)
    [used] = record.label_tables or ()
    assert (used.place, used.entries, used.matched) == ("beside", 160, 160)
    where = "metric = 'js' AND slice = 'all' AND versus IS NULL AND strategy = 'head'"
    rows = runs.rows(output, f"SELECT prompt, labels FROM metrics WHERE {where} ORDER BY ALL")
    assert [(row["prompt"], row["labels"]) for row in rows] == [
        ("superb", "flat"),
        ("superb", None),
        ("superb+flat", "flat"),
        ("superb+flat", None),
    ]
    gains = runs.rows(output, "SELECT DISTINCT truth, score, seeds_low FROM gains")
    assert len(gains) == 4
    assert {row["seeds_low"] for row in gains} == {None}
    assert 'id="other-labels"' in (output / "report.html").read_text()
    # Labels in the place of the own ones are another job.
    with pytest.raises(FingerprintError, match="labels was"):
        train(encoded[1], output, **{**changes, "labels": [{"table": table, "place": "instead"}]})
