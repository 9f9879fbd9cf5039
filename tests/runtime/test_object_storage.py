"""Shards in and tables out of a real S3 server, through the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from raypipe.config import BUNDLED_MODEL
from raypipe.config.model import local_path
from raypipe.store.location import Location


def test_a_run_from_s3_to_s3_equals_a_local_one(
    s3: Any, bucket: Location, corpus: Path, finished: Path, tmp_path: Path, runs: Any
) -> None:
    shards, output = bucket.child("shards"), bucket.child("runs", "one")
    for path in sorted(corpus.iterdir()):
        shards.write(path.name, path.read_bytes())
    config = tmp_path / "run.yaml"
    config.write_text(yaml.safe_dump(runs.document(shards.uri, output.uri)))
    done = subprocess.run(
        [sys.executable, "-m", "raypipe", "run", str(config)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(output.read("run.json"))["counts"]["predicted"] == runs.utterances
    assert b"<html" in output.read("report.html")
    local = runs.tables(finished)
    assert output.list(".parquet") == sorted(local)
    for name, data in local.items():
        assert output.read(name) == data
    rows = runs.rows(output.uri, "SELECT count(*) AS n FROM predictions")
    assert rows == [{"n": runs.utterances * 5}]
    secret = s3.environment["AWS_SECRET_ACCESS_KEY"]
    assert secret not in done.stdout + done.stderr + output.read("run.json").decode()


def test_a_model_in_object_storage_answers_as_a_local_one(
    bucket: Location, corpus: Path, finished: Path, tmp_path: Path, runs: Any
) -> None:
    place = bucket.child("models", "tiny-alm")
    for path in Path(local_path(BUNDLED_MODEL)).iterdir():
        if path.is_file():
            place.write(path.name, path.read_bytes())
    runs.run(corpus, tmp_path, model={"path": place.uri}, input={"limit": 16})
    asked = "SELECT utterance_id, hypotheses FROM generations WHERE model = 'tiny-alm'"
    answers = {str(row) for row in runs.rows(tmp_path, asked)}
    assert len(answers) == 16
    assert answers <= {str(row) for row in runs.rows(finished, asked)}
    cached = list(Path(os.environ["RAYPIPE_CACHE"]).glob("models/*/model.safetensors"))
    assert len(cached) == 1
