"""``ray job submit`` to a real cluster, and what came out of it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from corpus_folder import CorpusFolder
from judged_answers import two_systems, write_answers
from ray_head import RAY, Head, ray_head
from spoken_export import write_export
from spoken_items import toneless_utterances
from typed_items import silent_utterances

from raypipe.shards import read_index, write_shards
from raypipe.store.location import Location
from raypipe.store.run_record import read_record
from raypipe.tiny_alm.spoken import LABEL_SET as SPOKEN_LABELS

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def head() -> Iterator[Head]:
    with ray_head() as started:
        yield started


def submit(
    head: Head, config: Path, job: str = "jobs/infer.py"
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            *(*RAY, "job", "submit", "--address", head.dashboard, "--working-dir", "."),
            *("--", sys.executable, job, "--config", str(config)),
        ],
        cwd=ROOT,
        env=head.environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_submitted_job_writes_tables_and_tells_the_truth(
    head: Head, corpus: Path, tmp_path: Path, runs: Any
) -> None:
    config = tmp_path / "run.yaml"
    config.write_text(yaml.safe_dump(runs.document(corpus, tmp_path / "out")))
    good = submit(head, config)
    assert good.returncode == 0, good.stdout + good.stderr
    assert f'"predicted": {runs.utterances}' in good.stdout
    assert f"{runs.utterances}/{runs.utterances} utterances" in good.stdout
    rows = runs.rows(tmp_path / "out", "SELECT count(*) AS n FROM predictions")
    assert rows == [{"n": runs.utterances * 5}]

    config.write_text(yaml.safe_dump({**runs.document(corpus, tmp_path / "out"), "modle": 1}))
    bad = submit(head, config)
    assert bad.returncode != 0
    assert "modle: unknown key" in bad.stdout + bad.stderr

    config.write_text(yaml.safe_dump(runs.document(corpus, "runs/mine")))
    lost = submit(head, config)
    assert lost.returncode != 0
    assert "ConfigError: output 'runs/mine' lies in Ray's copy" in lost.stdout + lost.stderr


def test_a_submitted_ingest_writes_shards_and_tells_the_truth(head: Head, tmp_path: Path) -> None:
    corpus = CorpusFolder(tmp_path / "emodb")
    corpus.clips("wav", "03a01Wa", "08b02Tb", "wrong")
    config = tmp_path / "ingest.yaml"
    document = {"corpus": "emodb", "source": str(corpus.root), "output": str(tmp_path / "out")}
    config.write_text(yaml.safe_dump(document))
    good = submit(head, config, "jobs/ingest.py")
    assert good.returncode == 0, good.stdout + good.stderr
    assert "3/3 clips" in good.stdout
    assert "2 utterances in 1 shards, 1 failures, 0 left out" in good.stdout
    assert read_index(Location.parse(str(tmp_path / "out"))).rows == 2

    config.write_text(yaml.safe_dump({**document, "audio": "original"}))
    bad = submit(head, config, "jobs/ingest.py")
    assert bad.returncode != 0
    assert 'audio was "flac", is now "original"' in bad.stdout + bad.stderr


@pytest.mark.slow  # as the scripts below
def test_a_submitted_fine_tuning_writes_an_adapter(head: Head, tmp_path: Path) -> None:
    config = tmp_path / "finetune.yaml"
    document = {
        "input": {"export": str(write_export(tmp_path / "export", 4))},
        "output": str(tmp_path / "out"),
        "preset": "tiny-alm",
        "training": {"epochs": 1},
        "cpus_per_worker": 1,
    }
    config.write_text(yaml.safe_dump(document))
    done = submit(head, config, "jobs/finetune.py")
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"train": 4' in done.stdout
    assert (tmp_path / "out" / "adapter" / "adapter_model.safetensors").is_file()


@pytest.mark.slow  # the scripts share what the two above show
def test_submitted_features_heads_relabelling_judging_and_rationales_tell_the_truth(
    head: Head, corpus: Path, tmp_path: Path, runs: Any
) -> None:
    """One after the other: the second reads what the first wrote."""
    typed = runs.shards(silent_utterances(12), tmp_path / "typed", 100)
    first, second = two_systems(6)
    spoken = tmp_path / "spoken"
    write_shards(toneless_utterances(12), Location.parse(str(spoken)), SPOKEN_LABELS, source="test")
    configs: dict[str, dict[str, Any]] = {
        "features": {"input": {"shards": str(corpus)}, "encoders": [{"path": "fbank-raw"}]},
        "heads": {
            "features": str(tmp_path / "features"),
            "heads": [{"epochs": 1}],
            "folds": 3,
            "metrics": {"replicates": 100},
        },
        "relabel": {
            "input": {"shards": str(typed)},
            "model": {"path": "tiny-alm"},
            "items_per_request": 4,
            "max_new_tokens": 1,  # nothing can be read in one token: all is left and marked
            "attempts": 1,
        },
        "judge": {
            "first": {"name": "one", "answers": str(write_answers(tmp_path / "1.jsonl", first))},
            "second": {"name": "two", "answers": str(write_answers(tmp_path / "2.jsonl", second))},
            "model": {"path": "tiny-alm"},
            "max_new_tokens": 1,
        },
        "rationale": {
            "input": {"shards": str(spoken)},
            "model": {"path": "tiny-alm"},
            "splits": ["train"],
            "max_new_tokens": 1,  # too short a draft for every utterance
            "tries": 1,
        },
    }
    counts = {}
    for job, document in configs.items():
        config = tmp_path / f"{job}.yaml"
        config.write_text(yaml.safe_dump({**document, "output": str(tmp_path / job)}))
        done = submit(head, config, f"jobs/{job}.py")
        assert done.returncode == 0, done.stdout + done.stderr
        counts[job] = read_record(Location.parse(str(tmp_path / job))).done_counts
        assert f'"predicted": {counts[job].predicted}' in done.stdout
    assert counts["features"].predicted == counts["heads"].predicted == runs.utterances
    left = "SELECT count(*) AS n FROM labels WHERE status = 'left'"
    assert runs.rows(tmp_path / "relabel", left) == [{"n": 12}]
    assert counts["judge"].predicted == 6
    refused = "SELECT count(*) AS n FROM rationales WHERE rationale IS NULL AND tries = 1"
    assert runs.rows(tmp_path / "rationale", refused) == [{"n": counts["rationale"].predicted}]
    assert counts["rationale"].predicted > 0
