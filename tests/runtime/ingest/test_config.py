"""The config of an ingest is checked at the door."""

from __future__ import annotations

from pathlib import Path

import pytest

from raypipe.corpora.limits import RecordingLimits
from raypipe.errors import ConfigError
from raypipe.labels import LABEL_SETS
from raypipe.runtime.ingest.config import load_ingest_config

WHOLE = """
corpus: iemocap
source: /data/IEMOCAP_full_release
output: s3://bucket/iemocap
options: {context_turns: 2}
selection: 4-consensus
label_set: [anger, happiness, neutral, sadness]
votes: {soft_label_rule: split, outside: drop_clip, merge: {Excited: happiness}, clips: voted}
limits: {max_duration_s: 600, max_bytes: 50_000_000}
allow: [/recordings, "s3://bucket/speech"]
audio: original
rows_per_shard: 50
storage: {endpoint: "http://localhost:8333"}
workers: 4
"""


def test_a_file_says_everything(tmp_path: Path) -> None:
    path = tmp_path / "ingest.yaml"
    path.write_text(WHOLE)
    config = load_ingest_config(path)
    assert config.labels() == LABEL_SETS["iemocap-4"]
    assert config.votes.changes() == {
        "rule": "split",
        "outside": "drop_clip",
        "clips": "voted",
    }
    assert config.votes.merges() == {"excited": "happiness"}
    assert config.limits.clip_limits() == RecordingLimits(600.0, 50_000_000)
    assert config.allow == ("/recordings", "s3://bucket/speech")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("corpsu: x", "corpsu: unknown key"),
        ("votes: {rule: split}", r"votes\.rule: unknown key"),
        ("audio: mp3", r"audio: .*'flac' or 'original'"),
        ("rows_per_shard: 0", "rows_per_shard: .*greater than or equal to 1, got 0"),
        ("label_set: crema-d-7", "unknown label set 'crema-d-7'"),
        ("label_set: [anger]", "at least 2 labels"),
        ("limits: {max_duration_s: .inf}", r"limits\.max_duration_s"),
        ("limits: {max_duration_s: 0}", r"limits\.max_duration_s: .*greater than 0"),
        ("limits: {max_bytes: 0}", r"limits\.max_bytes: .*greater than or equal to 1"),
        ("source: y", "has the key 'source' twice"),
    ],
)
def test_a_wrong_field_is_named(tmp_path: Path, change: str, message: str) -> None:
    path = tmp_path / "ingest.yaml"
    path.write_text(f"corpus: emodb\nsource: x\noutput: y\n{change}\n")
    with pytest.raises(ConfigError, match=message):
        load_ingest_config(path)


def test_a_file_that_is_no_config_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: cannot be read"):
        load_ingest_config(tmp_path / "none.yaml")
