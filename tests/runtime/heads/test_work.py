"""Features are read, a head is trained once and predicts its test clips."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from in_process import LABELS
from label_files import shares_of, write_table
from made_up_features import BROKEN, plan, write_features

from raypipe.errors import ConfigError
from raypipe.records import OWN_LABELS, LabelTable
from raypipe.runtime.finish.aggregation import PredictionsOf
from raypipe.runtime.finish.labels import table_instead
from raypipe.runtime.heads.config import HeadsConfig
from raypipe.runtime.heads.plan import HeadsPlan
from raypipe.runtime.heads.work import (
    EncodedCorpus,
    HeadTask,
    folds_of,
    read_corpus,
    read_test_probs,
    shard_predictions,
    threshold_scores,
    train_task,
    untested,
)
from raypipe.store.objects import object_table

FAST = {"learning_rate": 0.01, "warmup_steps": 2, "epochs": 6}


def read(folder: Path, **changes: Any) -> tuple[HeadsPlan, EncodedCorpus]:
    made = plan(folder, heads=[FAST], **changes)
    return made, read_corpus(made.source, made.cells[0].features)


def test_features_of_all_shards_are_read_in_order(tmp_path: Path) -> None:
    write_features(tmp_path / "f", unread=True)
    _, corpus = read(tmp_path)
    assert corpus.mean.shape == (59, 3, 8)
    assert [each.utterance_id for each in corpus.utterances[:9]] == [
        f"u{at}" for at in range(9) if at != 7
    ] + ["u9"]
    assert np.bincount(corpus.shard_of).tolist() == [24, 25, 10]
    broken, lost = corpus.failed
    assert (broken.shard, broken.row, broken.failure) == (0, 7, BROKEN)
    assert (lost.shard, lost.row, lost.utterances) == (3, None, 5)


def test_official_splits_go_before_folds(tmp_path: Path) -> None:
    write_features(tmp_path / "split", splits=True)
    write_features(tmp_path / "f")
    made, corpus = read(tmp_path)
    assert len(folds_of(corpus, made.config)) == 5
    split_config = HeadsConfig(features=str(tmp_path / "split"), output="o")
    split = read_corpus(made.source, made.cells[0].features)
    assert len(untested(split, folds_of(split, made.config), made.config)) == 1
    folder = tmp_path / "other"
    write_features(folder / "f", splits=True)
    _, corpus = read(folder)
    [fold] = folds_of(corpus, split_config)
    assert {corpus.utterances[row].split for row in fold.test} == {"test"}
    # u7 is a test clip (7 % 4 == 3): it counts as an error of the test.
    assert len(untested(corpus, [fold], split_config)) == 1


def test_a_head_is_trained_once_and_predicts_its_test_clips(tmp_path: Path) -> None:
    write_features(tmp_path / "f")
    made, corpus = read(tmp_path)
    folds = folds_of(corpus, made.config)
    tasks = [HeadTask(made.cells[0], "head", 0, number, fold) for number, fold in enumerate(folds)]
    for task in tasks:
        train_task(task, corpus, LABELS, made.tables, made.fingerprint)
    written = {task.object_name: made.tables.read(task.object_name) for task in tasks}
    train_task(tasks[0], corpus, LABELS, made.tables, made.fingerprint)
    assert made.tables.read(tasks[0].object_name) == written[tasks[0].object_name]
    probs = read_test_probs(made.tables, tasks)
    assert probs["head"].keys() == {each.utterance_id for each in corpus.utterances}
    whose = PredictionsOf(made.run, "made-up", LABELS, None)
    rows = shard_predictions(corpus, 0, probs, whose, "superb").to_pylist()
    assert [row["utterance_id"] for row in rows] == [f"u{at}" for at in range(25) if at != 7]
    assert all(row["valid"] and row["js"] is not None for row in rows)
    np.testing.assert_allclose([sum(row["probs"]) for row in rows], 1)


def test_a_label_table_changes_what_is_learned_and_not_the_truth(tmp_path: Path) -> None:
    write_features(tmp_path / "f")
    made, corpus = read(tmp_path)
    fold = folds_of(corpus, made.config)[0]
    always = {each.utterance_id: shares_of(fear=1.0) for each in corpus.utterances}
    table = write_table(tmp_path / "fear.parquet", always)
    other = plan(tmp_path, labels=[{"table": table}], heads=[FAST | {"epochs": 30}])
    own, relabelled = other.cells
    assert (own.prompt, relabelled.prompt) == ("superb", "superb+fear")
    task = HeadTask(relabelled, "head", 0, 0, fold)
    train_task(task, corpus, LABELS, other.tables, other.fingerprint, other.truth)
    probs = read_test_probs(other.tables, [task])
    assert {int(np.argmax(guess)) for guess in probs["head"].values()} == {2}
    whose = PredictionsOf(other.run, "made-up", LABELS, None)
    rows = shard_predictions(corpus, 0, probs, whose, "superb+fear").to_pylist()
    truth = {each.utterance_id: each.soft_label for each in corpus.utterances}
    assert rows
    assert all(tuple(row["soft_label"]) == truth[row["utterance_id"]] for row in rows)
    # Scores are against the corpus's labels, then against the table's.
    [row] = object_table(other.tables.read(task.object_name)).to_pylist()
    tested = [corpus.utterances[at] for at in fold.test]
    guess = np.array(row["test_probs"])
    expected = [
        threshold_scores(tested, guess, LABELS, labels)
        for labels in (OWN_LABELS, LabelTable("fear", always, LABELS))
    ]
    assert {key: row[key] for key in expected[0]} == expected[0]
    assert row["other_scores"] == [{"labels": "fear", **expected[1]}]
    assert expected[1]["threshold_macro_f1"] == 1
    # In the place of the corpus's labels it is the truth.
    instead = plan(tmp_path, labels=[{"table": table, "place": "instead"}], heads=[FAST])
    assert instead.fingerprint != other.fingerprint
    rows = shard_predictions(
        corpus, 0, probs, whose, "superb+fear", table_instead(instead.truth.instead)
    ).to_pylist()
    assert {(tuple(row["soft_label"]), row["plurality"]) for row in rows} == {
        (shares_of(fear=1.0), "fear")
    }


def test_std_is_read_where_the_features_have_it(tmp_path: Path) -> None:
    write_features(tmp_path / "f")
    made, corpus = read(tmp_path)
    fold = folds_of(corpus, made.config)[0]
    both = plan(tmp_path, heads=[FAST | {"statistics": "mean+std"}])
    task = HeadTask(both.cells[0], "head", 0, 0, fold)
    with pytest.raises(ConfigError, match="make them with std"):
        train_task(task, corpus, LABELS, both.tables, both.fingerprint)
    write_features(tmp_path / "with" / "f", std=True)
    both = plan(tmp_path / "with", heads=[FAST | {"statistics": "mean+std"}])
    corpus = read_corpus(both.source, both.cells[0].features)
    task = HeadTask(both.cells[0], "head", 0, 0, fold)
    train_task(task, corpus, LABELS, both.tables, both.fingerprint)
    assert both.tables.exists(task.object_name)
