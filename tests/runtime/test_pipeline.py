"""The main job over a small corpus, on a real Ray, with the bundled model."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from edited_record import record_of

from raypipe.errors import ConfigError, FingerprintError

STRATEGIES = ["greedy", "token", "token_softmax", "bon", "w_bon"]
PARTITION = "model=tiny-alm/prompt=distribution"

pytestmark = pytest.mark.usefixtures("ray_cluster")


def test_every_utterance_is_answered_by_every_strategy(finished: Path, runs: Any) -> None:
    counts = json.loads((finished / "run.json").read_text())["counts"]
    assert counts["input"] == counts["predicted"] == runs.utterances
    assert counts["errors"] == 0
    for strategy in STRATEGIES:
        rows = counts["strategies"][strategy]
        assert rows["valid"] + rows["invalid"] == runs.utterances


def test_one_object_per_shard_and_table_in_input_order(finished: Path, corpus: Path) -> None:
    shards = sorted(path.name for path in corpus.glob("*.parquet"))
    for table in ("generations", "predictions"):
        assert sorted(path.name for path in (finished / table / PARTITION).iterdir()) == shards
    ids = [
        pq.ParquetFile(folder / shards[0]).read(["utterance_id"])["utterance_id"].to_pylist()
        for folder in (corpus, finished / "generations" / PARTITION)
    ]
    assert ids[0] == ids[1]


def test_tables_answer_sql(finished: Path, runs: Any) -> None:
    answer = runs.rows(
        finished, "SELECT strategy, count(*) AS n FROM predictions GROUP BY 1 ORDER BY 1"
    )
    assert [row["strategy"] for row in answer] == sorted(STRATEGIES)
    assert {row["n"] for row in answer} == {runs.utterances}


def test_metrics_hold_the_baselines_beside_every_strategy(finished: Path, runs: Any) -> None:
    rows = runs.rows(
        finished,
        "SELECT strategy, value, ci_low, ci_high, n FROM metrics"
        " WHERE slice = 'all' AND metric = 'js' AND versus IS NULL",
    )
    assert {row["strategy"] for row in rows} == {*STRATEGIES, "uniform", "prior", "humans"}
    for row in rows:
        assert row["n"] == 0 or row["ci_low"] <= row["value"] <= row["ci_high"]


def test_mean_metrics_are_the_means_of_the_predictions(finished: Path, runs: Any) -> None:
    rows = runs.rows(
        finished,
        "SELECT m.value, p.mean FROM metrics m JOIN (SELECT strategy, avg(bc) AS mean"
        " FROM predictions GROUP BY 1) p USING (strategy)"
        " WHERE m.metric = 'bc' AND m.slice = 'all' AND m.versus IS NULL",
    )
    assert len(rows) == len(STRATEGIES)
    for row in rows:
        assert row["value"] == pytest.approx(row["mean"], abs=1e-9)


def test_beams_come_with_likelihoods_and_logits(finished: Path, runs: Any) -> None:
    rows = runs.rows(
        finished, "SELECT hypotheses, emotion_logits, emotion_token_ids FROM generations LIMIT 5"
    )
    for row in rows:
        kinds = [one["kind"] for one in row["hypotheses"]]
        assert kinds == ["greedy", "beam", "beam", "beam"]
        alphas = [one["alpha"] for one in row["hypotheses"][1:]]
        assert alphas == sorted(alphas, reverse=True)
        for one, logits in zip(row["hypotheses"], row["emotion_logits"], strict=True):
            assert one["alpha"] == pytest.approx(sum(one["token_logprobs"]), abs=1e-5)
            assert len(logits) == len(one["token_ids"])
            assert {len(step) for step in logits} == {len(row["emotion_token_ids"])}


def test_a_finished_run_is_not_done_again(finished: Path, corpus: Path, runs: Any) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*") if path.is_file()}
    record = runs.run(corpus, finished)
    after = {path: path.stat().st_mtime_ns for path in finished.rglob("*") if path.is_file()}
    assert before == after
    assert record.as_json() == record_of(finished)


def test_two_actors_write_the_same_bytes(
    finished: Path, corpus: Path, tmp_path: Path, runs: Any
) -> None:
    resources = {"actors": 2, "cpus_per_actor": 0.5, "threads_per_actor": 1}
    runs.run(corpus, tmp_path / "two", resources=resources)
    one = runs.run(corpus, tmp_path / "one", resources={"threads_per_actor": 1})
    assert one.done_counts.predicted == runs.utterances
    assert runs.tables(tmp_path / "two") == runs.tables(tmp_path / "one")


def test_lost_predictions_come_back_without_the_model(
    finished: Path, corpus: Path, tmp_path: Path, runs: Any
) -> None:
    output = tmp_path / "copy"
    shutil.copytree(finished, output)
    shard = f"{PARTITION}/shard-000001.parquet"
    generated = (output / "generations" / shard).stat().st_mtime_ns
    (output / "predictions" / shard).unlink()
    runs.run(corpus, output)
    assert (output / "generations" / shard).stat().st_mtime_ns == generated
    assert runs.tables(output) == runs.tables(finished)


def test_an_output_of_another_run_is_refused(finished: Path, corpus: Path, runs: Any) -> None:
    with pytest.raises(FingerprintError, match="holds another run"):
        runs.run(corpus, finished, decoding={"max_new_tokens": 30})
    with pytest.raises(FingerprintError, match="holds another run"):
        runs.run(corpus, finished, aggregation={"tau": 3.0})


def test_a_limit_counts_utterances(corpus: Path, tmp_path: Path, runs: Any) -> None:
    limit = runs.rows_per_shard + 3
    record = runs.run(corpus, tmp_path, input={"limit": limit}, decoding={"beam_count": 1})
    assert record.done_counts.input == record.done_counts.predicted == limit


def test_more_than_the_cluster_has_is_refused(corpus: Path, tmp_path: Path, runs: Any) -> None:
    with pytest.raises(ConfigError, match=r"gpus_per_actor asks for 8 GPUs, and there are 0"):
        runs.run(corpus, tmp_path, resources={"actors": 8, "gpus_per_actor": 1})


def test_a_folder_without_shards_is_refused(tmp_path: Path, runs: Any) -> None:
    with pytest.raises(Exception, match="nowhere"):
        runs.run(tmp_path / "nowhere", tmp_path / "out")
