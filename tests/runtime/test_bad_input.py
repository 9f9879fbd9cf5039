"""One bad clip, row or shard costs exactly itself."""

from __future__ import annotations

import dataclasses
import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from rich.console import Console
from safetensors.torch import load_file, save_file

from raypipe.errors import EngineError
from raypipe.records import Utterance
from raypipe.runtime.reaggregate.job import reaggregate
from raypipe.runtime.reaggregate.plan import Changes
from raypipe.tiny_alm import checkpoint_path
from raypipe.tiny_alm.corpus import synthetic_utterances

RATE = 16_000
GOOD = 14

pytestmark = pytest.mark.usefixtures("ray_cluster")


def encoded(samples: np.ndarray, *, kind: str = "FLAC", subtype: str = "PCM_16") -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, RATE, format=kind, subtype=subtype)
    return buffer.getvalue()


def tone(seconds: float, channels: int = 1) -> np.ndarray:
    wave = 0.1 * np.sin(np.arange(int(seconds * RATE)) * 0.1)
    return np.repeat(wave[:, None], channels, axis=1) if channels > 1 else wave


def bad_clips() -> dict[str, tuple[bytes, str]]:
    """Audio by the utterance id it gets, with the error type it must cause."""
    gap = tone(1.0)
    gap[100] = np.nan
    return {
        "bad-zero-length": (encoded(np.zeros(0), kind="WAV"), "zero_length"),
        "bad-nan": (encoded(gap, kind="WAV", subtype="FLOAT"), "non_finite"),
        # The bundled model's encoder takes 30 s, but it learned to listen for 8.
        "bad-nine-seconds": (encoded(tone(9.0)), "too_long"),
        "bad-ten-minutes": (encoded(tone(600.0)), "too_long"),
        "bad-eight-channels": (encoded(tone(1.0, channels=8)), "too_many_channels"),
        "bad-truncated-wav": (encoded(tone(2.0), kind="WAV")[:20_000], "truncated"),
        "bad-web-page": (b"<html><body>404 Not Found</body></html>", "not_audio"),
    }


def utterances() -> Iterator[Utterance]:
    good = list(synthetic_utterances(GOOD, seed=5, split="test"))
    for one, (name, (audio, _)) in zip(good, bad_clips().items(), strict=False):
        yield one
        yield dataclasses.replace(one, utterance_id=name, audio=audio)
    yield from good[len(bad_clips()) :]


@pytest.fixture(scope="module")
def mixed(runs: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return runs.shards(utterances(), tmp_path_factory.mktemp("mixed"), 10)


def carries_its_errors_over(run: Path, output: Path, runs: Any) -> bool:
    """Whether the run's stored answers, read again, give its errors, predictions and metrics."""
    quiet = Console(file=io.StringIO())
    record = reaggregate(str(run), Changes(), output=str(output), console=quiet)
    made = {name: data for name, data in runs.tables(output).items() if "settings" not in name}
    old = {name: data for name, data in runs.tables(run).items() if "generations" not in name}
    return record.done_counts.errors > 0 and made == old


def test_every_bad_clip_is_an_error_row_with_its_reason(
    mixed: Path, tmp_path: Path, runs: Any
) -> None:
    record = runs.run(mixed, tmp_path)
    assert record.done_counts.predicted == GOOD
    assert record.done_counts.errors == len(bad_clips())
    rows = {row["utterance_id"]: row for row in runs.rows(tmp_path, "FROM errors")}
    assert {name: row["error_type"] for name, row in rows.items()} == {
        name: reason for name, (_, reason) in bad_clips().items()
    }
    for row in rows.values():
        assert row["stage"] == "decode"
        assert row["shard"].startswith("shard-")
        assert row["row"] is not None
    assert "600" in rows["bad-ten-minutes"]["message"]
    assert "8" in rows["bad-eight-channels"]["message"]
    assert carries_its_errors_over(tmp_path, tmp_path.parent / "again", runs)


def test_a_missing_and_a_broken_shard_cost_only_themselves(
    corpus: Path, tmp_path: Path, runs: Any
) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(corpus, damaged)
    (damaged / "shard-000000.parquet").unlink()
    broken = bytearray((damaged / "shard-000001.parquet").read_bytes())
    broken[len(broken) // 2] ^= 1
    (damaged / "shard-000001.parquet").write_bytes(broken)
    record = runs.run(damaged, tmp_path / "out", decoding={"beam_count": 1})
    assert record.done_counts.errors == 2 * runs.rows_per_shard
    assert record.done_counts.predicted == runs.utterances - 2 * runs.rows_per_shard
    rows = runs.rows(tmp_path / "out", "SELECT shard, stage, utterances FROM errors ORDER BY 1")
    assert rows == [
        {"shard": f"shard-00000{n}.parquet", "stage": "read", "utterances": runs.rows_per_shard}
        for n in (0, 1)
    ]
    assert carries_its_errors_over(tmp_path / "out", tmp_path / "again", runs)


def test_an_id_that_stands_twice_is_answered_once(corpus: Path, tmp_path: Path, runs: Any) -> None:
    folder = tmp_path / "plain"
    folder.mkdir()
    for name in ("a.parquet", "b.parquet"):  # no shards.json: a plain folder of shards
        shutil.copy(corpus / "shard-000000.parquet", folder / name)
    record = runs.run(folder, tmp_path / "out", decoding={"beam_count": 1})
    assert record.done_counts.predicted == runs.rows_per_shard
    assert record.done_counts.errors == runs.rows_per_shard
    row = runs.rows(tmp_path / "out", "FROM errors ORDER BY row LIMIT 1")[0]
    assert (row["shard"], row["row"], row["error_type"]) == ("b.parquet", 0, "duplicate_id")
    assert "a.parquet row 0" in row["message"]


def test_a_model_that_cannot_be_loaded_ends_the_run_in_one_line(
    mixed: Path, tmp_path: Path, runs: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = Path(shutil.copytree(checkpoint_path(), tmp_path / "broken"))
    weights = load_file(folder / "model.safetensors")
    name, _ = sorted(weights.items())[0]
    del weights[name]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(EngineError, match=r"^model broken cannot be loaded: .* lacks 1 weights"):
        runs.run(mixed, tmp_path / "run", model={"path": str(folder)})
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["status"] == "failed"
    assert record["reason"].startswith("model broken cannot be loaded: ")
    assert "Traceback" not in "".join(capfd.readouterr())
