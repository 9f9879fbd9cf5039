"""Pairs are read from two tables, and placed in their corpus."""

from __future__ import annotations

import dataclasses

import pytest
from in_process import InProcess, utterance
from judge_runs import document

from raypipe.errors import ConfigError
from raypipe.runtime.judge.config import JudgeConfig
from raypipe.runtime.judge.reading import PAIRS_PER_PART, JudgeInput, parts_of, read_pairs


def read(run: InProcess, count: int = 12, **changes: object) -> JudgeInput:
    return read_pairs(JudgeConfig.model_validate(document(run, count, **changes)))


def test_pairs_come_with_transcripts_in_the_order_of_the_corpus(empty: InProcess) -> None:
    rows = [utterance(f"u{number}", 0.05) for number in reversed(range(14))]
    rows[2] = dataclasses.replace(rows[2], transcript=None)
    empty.write(*rows, rows_per_shard=5)
    pairs = read(empty, shards=str(empty.shards)).pairs
    # u9 is answered otherwise by the second system, u12 and u13 by neither.
    names = [row.pair.utterance_id for row in pairs]
    assert names == [f"u{number}" for number in (11, 10, 8, 7, 6, 5, 4, 3, 2, 1, 0)]
    assert [row.transcript for row in pairs] == [None] + ["Well."] * 10
    shards = [row.entry.name for row in pairs if row.entry is not None]
    assert len(shards) == 11
    assert shards == sorted(shards)
    assert len(set(shards)) == 3


def test_the_fingerprint_is_of_the_pairs_and_the_corpus(empty: InProcess) -> None:
    empty.write(*(utterance(f"u{number}", 0.05) for number in range(12)))
    alone = read(empty)
    assert read(empty).fingerprint == alone.fingerprint
    others = [
        read(empty, shards=str(empty.shards)),
        read(empty, seed=1),
        read(empty, per_emotion=1),
        read(empty, 11),
    ]
    assert len({alone.fingerprint, *(other.fingerprint for other in others)}) == 5
    assert alone.labels.names[0] == "anger"
    assert len(alone.labels) == 6


def test_what_is_not_there_is_named(empty: InProcess) -> None:
    empty.write(utterance("u0", 0.05))
    with pytest.raises(ConfigError, match="lacks 10 of 11 utterances: u1, u10, u11, u2, u3 "):
        read(empty, shards=str(empty.shards))
    (empty.folder / "none.jsonl").write_text(
        '{"utterance_id": "u0", "speaker": null, "reference": null, "label": null,'
        ' "transcript": null, "reason": null}'
    )
    with pytest.raises(ConfigError, match="tuned and plain answer 1 utterances in common, and"):
        read(empty, second={"name": "plain", "answers": str(empty.folder / "none.jsonl")})


def test_one_label_makes_a_label_set_with_other(empty: InProcess) -> None:
    assert read(empty, 1).labels.names == ("anger", "other")


def test_parts_are_whole(empty: InProcess) -> None:
    pairs = read(empty, 100).pairs
    parts = parts_of(pairs)
    assert [len(part.pairs) for part in parts] == [PAIRS_PER_PART, PAIRS_PER_PART, 26]
    assert [row for part in parts for row in part.pairs] == list(pairs)
