"""A finished run and shards of version 1, through the jobs of this version of raypipe."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from bench.compare_runs import ANOTHER_PROCESSOR, compare_objects

import raypipe

HERE = Path(__file__).parents[1] / "data" / "version_1"


pytestmark = pytest.mark.usefixtures("ray_cluster")


@pytest.fixture(scope="module")
def reaggregated(ray_cluster: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("version_1") / "out"
    raypipe.reaggregate(HERE / "run", output)
    return output


def metrics_in(run: Path) -> dict[tuple[object, ...], tuple[object, ...]]:
    """Values of ``metrics/`` by what they are of, but for ``ece``, which is debiased since."""
    (path,) = (run / "metrics").rglob("*.parquet")
    keys = ("strategy", "slice", "metric", "versus")  # of one model and prompt
    return {
        tuple(row[name] for name in keys): tuple(
            row[name] for name in ("value", "ci_low", "ci_high", "n", "n_invalid")
        )
        for row in pq.ParquetFile(path).read().to_pylist()
        if row["metric"] != "ece"
    }


def test_reaggregate_gives_what_version_1_had_predicted(reaggregated: Path) -> None:
    objects = sorted((HERE / "run" / "predictions").rglob("*.parquet"))
    assert len(objects) == 2
    for path in objects:
        other = reaggregated / path.relative_to(HERE / "run")
        wrong, rows, columns = compare_objects(path, other, "predictions", ANOTHER_PROCESSOR)
        assert wrong == []
        assert columns > 5
        assert rows > 0
    # Version 1 wrote them without a row.
    assert len(list((HERE / "run" / "errors").rglob("*.parquet"))) == 2
    assert not (reaggregated / "errors").exists()
    before, after = (metrics_in(run) for run in (HERE / "run", reaggregated))
    assert before.keys() <= after.keys()
    for key, (value, low, high, *counts) in before.items():
        now, now_low, now_high, *now_counts = after[key]
        assert now_counts == counts
        # Sums are whole numbers of 2^-30, which another processor may round the other way.
        assert now == pytest.approx(value, abs=1e-8)
        # Of so few utterances most intervals are withheld since.
        if now_low is not None:
            assert (now_low, now_high) == pytest.approx((low, high), abs=1e-8)
    record = raypipe.load(reaggregated).record
    original = json.loads((HERE / "run" / "run.json").read_text())
    assert (
        record.done_counts.model_dump(mode="json", exclude_none=True, exclude={"cells"})
        == (original["counts"])
    )
    assert record.version == 2
    assert record.made_from is not None
    assert record.made_from.fingerprint == original["fingerprint"]


def test_a_sweep_over_version_1_reads_its_beams(tmp_path: Path) -> None:
    run = raypipe.reaggregate(
        HERE / "run", tmp_path / "out", strategies=["w_bon"], tau=[0.5, 2.0], sub_beams=[1, 2]
    )
    names = run.query("SELECT DISTINCT strategy FROM predictions ORDER BY 1").to_pylist()
    assert [row["strategy"] for row in names] == [
        f"w_bon[beams={beams}of2,tau={tau}]" for beams in (1, 2) for tau in ("0.5", "2")
    ]


def test_a_run_over_shards_of_version_1_gives_the_answers_of_version_1(
    runs: Any, tmp_path: Path
) -> None:
    runs.run(
        HERE / "shards",
        tmp_path / "out",
        strategies=["greedy"],
        decoding={"beam_count": 0},
        metrics={"replicates": 100},
    )
    texts = (
        "SELECT utterance_id, h.text FROM"
        " (SELECT utterance_id, unnest(hypotheses) AS h FROM generations)"
        " WHERE h.kind = 'greedy' ORDER BY ALL"
    )
    assert len(runs.rows(HERE / "run", texts)) == 4
    assert runs.rows(tmp_path / "out", texts) == runs.rows(HERE / "run", texts)
