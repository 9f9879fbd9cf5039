"""Storage that is away for a while: what runs waits for it, and says so."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from corpus_folder import clip
from faulted import command, run_config
from s3_server import S3Server

from raypipe.store.location import Location

SHORT_S, LONG_S = 15.0, 60.0
OUTAGES = [SHORT_S, pytest.param(LONG_S, marks=pytest.mark.slow)]


def place_of(s3: S3Server, name: str) -> Location:
    s3.client().create_bucket(Bucket="chaos")
    return Location.parse(f"s3://chaos/{name}", s3.endpoint)


def copied(folder: Path, place: Location) -> Location:
    for path in sorted(folder.iterdir()):
        place.write(path.name, path.read_bytes())
    return place


def outage(s3: S3Server, seconds: float) -> None:
    s3.kill()
    time.sleep(seconds)
    s3.start()


@pytest.mark.parametrize("seconds", OUTAGES)
def test_a_run_waits_for_its_storage_and_goes_on(
    mortal_s3: S3Server,
    chaos_shards: Path,
    calm: dict[str, bytes],
    environment: dict[str, str],
    tmp_path: Path,
    seconds: float,
) -> None:
    shards = copied(chaos_shards, place_of(mortal_s3, "shards"))
    output = Location.parse("s3://chaos/out", mortal_s3.endpoint)
    config = run_config(tmp_path, shards.uri, output.uri)
    with command(tmp_path, {**environment, **mortal_s3.environment}, "run", config) as run:
        run.wait_for(lambda: output.child("predictions").list())
        outage(mortal_s3, seconds)
        assert run.ended() == 0, run.said
        assert "waiting for storage (" in run.said
    found = {name: output.read(name) for name in output.list(".parquet")}
    assert found == calm


def manifest(folder: Path, clips: int) -> Path:
    (folder / "a.wav").write_bytes(clip(3.0))
    lines = [
        {"id": f"c{number:04d}", "audio": "a.wav", "votes": ["neutral"]} for number in range(clips)
    ]
    path = folder / "clips.jsonl"
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return path


def ingest_of(source: Path, output: str) -> list[object]:
    options = ("--label-set", "iemocap-4", "--rows-per-shard", 20)
    return ["ingest", "manifest", source, output, *options]


@pytest.mark.slow
def test_an_ingest_waits_for_its_storage_and_goes_on(
    mortal_s3: S3Server, environment: dict[str, str], tmp_path: Path
) -> None:
    source = manifest(tmp_path, 1200)
    with command(tmp_path, environment, *ingest_of(source, "calm")) as calm:
        assert calm.ended() == 0, calm.said
    output = place_of(mortal_s3, "shards")
    environment = {**environment, **mortal_s3.environment}
    with command(tmp_path, environment, *ingest_of(source, output.uri)) as ingest:
        ingest.wait_for(output.list)
        outage(mortal_s3, SHORT_S)
        assert ingest.ended() == 0, ingest.said
        assert "waiting for storage (" in ingest.said
    expected = Location.parse(str(tmp_path / "calm"))
    names = expected.list("")
    assert output.list("") == names
    for name in names:
        assert output.read(name) == expected.read(name), name


@pytest.mark.slow
def test_a_reaggregation_waits_for_its_storage_and_goes_on(
    mortal_s3: S3Server, chaos_shards: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    run = place_of(mortal_s3, "run")
    environment = {**environment, **mortal_s3.environment}
    config = run_config(tmp_path, chaos_shards, run.uri, pause_s=0.0)
    with command(tmp_path, environment, "run", config) as finished:
        assert finished.ended() == 0, finished.said
    place = Location.parse("s3://chaos", mortal_s3.endpoint)
    calm, output = place.child("calm"), place.child("output")
    asked = ("reaggregate", run.uri, "--strategies", "greedy,bon", "--output")
    with command(tmp_path, environment, *asked, calm.uri) as undisturbed:
        assert undisturbed.ended() == 0, undisturbed.said
    with command(tmp_path, environment, *asked, output.uri) as reaggregation:
        reaggregation.wait_for(lambda: output.exists("run.json"))
        outage(mortal_s3, SHORT_S)
        assert reaggregation.ended() == 0, reaggregation.said
    names = calm.list()
    assert output.list() == names
    for name in names:
        assert output.read(name) == calm.read(name), name
