"""A plan names what is trained, and refuses features that are not there."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from in_process import LABELS
from label_files import shares_of, write_table
from made_up_features import plan, write_features

from raypipe.errors import ConfigError, FingerprintError
from raypipe.runtime.heads.plan import EncoderFeatures
from raypipe.store.run_record import write_record


def test_every_head_learns_from_every_label_table(tmp_path: Path) -> None:
    write_features(tmp_path / "f")
    adjusted = write_table(tmp_path / "adjusted.parquet", {"u1": shares_of(fear=1.0)})
    made = plan(tmp_path, labels=[{"table": adjusted}], heads=[{}, {"name": "b"}])
    assert [cell.prompt for cell in made.cells] == ["superb", "superb+adjusted", "b", "b+adjusted"]
    assert {cell.features.encoder for cell in made.cells} == {"made-up"}
    assert made.labels == LABELS
    where = EncoderFeatures("made-up", "model=made-up/prompt=10s", "f" * 64)
    assert made.of_encoder() == {where: made.cells}
    assert [cell.table for cell in made.cells] == [None, *made.truth.beside] * 2
    [used] = made.label_tables or ()
    assert (used.place, used.entries, used.matched) == ("beside", 1, 1)


def test_a_table_of_another_corpus_is_refused(tmp_path: Path) -> None:
    write_features(tmp_path / "f")
    other = write_table(tmp_path / "other.parquet", {"x": shares_of(fear=1.0)})
    with pytest.raises(ConfigError, match="names none of the 60 utterances"):
        plan(tmp_path, labels=[{"table": other}])


def test_features_that_are_not_there_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="run raypipe features"):
        plan(tmp_path)
    write_features(tmp_path / "f")
    with pytest.raises(ConfigError, match="features of made-up, not of wavlm"):
        plan(tmp_path, encoders=["wavlm"])


def test_an_output_with_other_heads_is_refused(tmp_path: Path) -> None:
    from raypipe.runtime.heads.job import _record  # imports Ray, which the other tests need not

    source = write_features(tmp_path / "f")
    made = plan(tmp_path)
    write_record(made.tables, _record(made, datetime.now(UTC)))
    assert plan(tmp_path).fingerprint == made.fingerprint
    with pytest.raises(FingerprintError, match="seeds"):
        plan(tmp_path, seeds=[1])
    assert source.exists("run.json")
