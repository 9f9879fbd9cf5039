"""Gains of a heads job are made of the predictions that its heads hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from in_process import LABELS, utterance
from label_files import write_table
from made_up_features import plan, write_features

from raypipe.config import MetricsConfig
from raypipe.reporting.gains import terminal_tables
from raypipe.runtime.heads.gains import GAINS_OBJECT, fold_answers, write_gains
from raypipe.runtime.heads.work import HeadTask, folds_of, read_corpus, train_task
from raypipe.store.location import Location
from raypipe.store.objects import object_table
from raypipe.store.query import table_dataset

FAST = {"learning_rate": 0.01, "warmup_steps": 2, "epochs": 3}


def test_scores_are_means_of_those_in_heads(tmp_path: Path) -> None:
    """Every score of the table is the mean of a column of ``heads/`` over folds and seeds."""
    write_features(tmp_path / "f")
    flat = 0.5 * np.array([utterance(f"u{at}").soft_label for at in range(60)]) + 0.5 / 6
    shares = {f"u{at}": tuple(row) for at, row in enumerate(flat)}
    table = write_table(tmp_path / "flat.parquet", shares)
    made = plan(tmp_path, labels=[{"table": table}], heads=[FAST], folds=3, seeds=[0, 1])
    corpus = read_corpus(made.source, made.cells[0].features)
    folds = folds_of(corpus, made.config)
    heads = {}
    for cell in made.cells:
        for seed, strategy in zip(made.config.seeds, made.config.strategies(), strict=True):
            for number, fold in enumerate(folds):
                task = HeadTask(cell, strategy, seed, number, fold)
                train_task(task, corpus, LABELS, made.tables, made.fingerprint, made.truth)
                [row] = object_table(made.tables.read(task.object_name)).to_pylist()
                heads.setdefault(cell.prompt, []).append(row)
    answers = fold_answers(made, made.cells, corpus, folds)
    assert [*answers] == [("superb", "flat", None), ("superb", "flat", "flat")]
    compared = {key: {"made-up": found} for key, found in answers.items()}
    settings = MetricsConfig(replicates=100)
    write_gains(made.tables, compared, settings, run=made.run, fingerprint=made.fingerprint)
    dataset = table_dataset(made.tables, "gains")
    assert dataset is not None
    rows = dataset.to_table().to_pylist()
    assert len(rows) == 2 * 2 * 3
    columns = {"pooled": "threshold_macro_f1", "batches": "batch_threshold_macro_f1"}
    for row in rows:
        column = columns[row["score"]]
        for name, prompt in (("without", "superb"), ("relabelled", "superb+flat")):
            each = [
                head[column] if row["truth"] is None else head["other_scores"][0][column]
                for head in heads[prompt]
            ]
            assert row[name] == pytest.approx(np.mean(each))
        assert row["gain"] == pytest.approx(row["relabelled"] / row["without"] - 1)
        assert (row["seeds_low"] + row["seeds_high"]) / 2 == pytest.approx(row["gain"])
        assert row["utterances_low"] <= row["utterances_high"]
        assert (row["encoder"] is None) == (row["row"] != "encoder")
    shown = list(terminal_tables(dataset.to_table()))
    assert [str(table.title) for table in shown] == [
        "superb trained from flat, against the test labels",
        "superb trained from flat, against labels flat",
    ]
    assert [table.row_count for table in shown] == [3, 3]


def test_without_label_tables_there_is_no_table(tmp_path: Path) -> None:
    place = Location.parse(str(tmp_path))
    write_gains(place, {}, MetricsConfig(), run="r", fingerprint="f")
    assert not place.exists(GAINS_OBJECT)
