"""What becomes of a clip that is longer than the model's window; no Ray is needed."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from raypipe.engines.contract import Tagged
from raypipe.records import Failure, ModelInput, Search
from raypipe.runtime.infer.models import make_engine, make_frontend
from raypipe.runtime.infer.plan import make_plan
from raypipe.runtime.infer.preparing import PreparedShard, prepare_shard
from raypipe.runtime.infer.shard_work import answer_shard, commit_shard
from raypipe.tiny_alm.corpus import synthetic_utterances

RATE = 16_000


def sound(seconds: float) -> np.ndarray:
    random = np.random.default_rng(4)
    return (0.1 * random.standard_normal(round(seconds * RATE))).astype(np.float32)


def flac(samples: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, RATE, format="FLAC")
    return buffer.getvalue()


@pytest.fixture
def window_s(runs: Any) -> float:
    return make_frontend(runs.config("in", "out").model).max_duration_s


@pytest.fixture
def prepare(runs: Any, tmp_path: Path, window_s: float) -> Any:
    """A shard of a short, a fitting, a long and a broken clip, prepared under a policy."""

    def prepared(prompt: str = "distribution", **audio: Any) -> tuple[Any, PreparedShard]:
        *good, bad = synthetic_utterances(4, seed=5, split="test")
        lengths = {"short": 1.0, "fitting": window_s, "long": window_s + 0.5}
        rows = [
            dataclasses.replace(one, utterance_id=name, duration_s=s, audio=flac(sound(s)))
            for one, (name, s) in zip(good, lengths.items(), strict=True)
        ]
        rows.append(dataclasses.replace(bad, utterance_id="broken", audio=b"no sound"))
        settings = {"max_new_tokens": 4, "beam_count": 1}
        config = runs.config(
            runs.shards(rows, tmp_path / "shards", 8),
            tmp_path / "out",
            audio=audio,
            prompt={"template": prompt},
            decoding=settings,
            resources={"threads_per_actor": 1},
        )
        plan, frontend = make_plan(config), make_frontend(config.model)
        return plan, prepare_shard(plan.model_runs[0].tasks[0], plan.context, frontend)

    return prepared


def kinds(shard: PreparedShard) -> list[str]:
    return [row.error_type if isinstance(row, Failure) else "heard" for row in shard.rows.windows]


def only_input(shard: PreparedShard, row: int) -> ModelInput:
    parts = shard.rows.windows[row]
    assert not isinstance(parts, Failure)
    ((only,),) = (part.asked for part in parts)
    assert isinstance(only, Tagged)
    assert isinstance(only.prepared, ModelInput)
    return only.prepared


def answer_and_commit(plan: Any, shard: PreparedShard) -> None:
    searches = [step.request for step in plan.context.passes if isinstance(step.request, Search)]
    engine = make_engine(plan.config, plan.context.emotion_tokens, searches)
    commit_shard(answer_shard(shard, plan.context, engine), plan.context)


def test_by_default_it_is_an_error_row(prepare: Any, window_s: float) -> None:
    _, shard = prepare()
    assert kinds(shard) == ["heard", "heard", "too_long", "not_audio"]
    assert shard.rows.heard_s == (1.0, window_s, None, None)


@pytest.mark.parametrize("long_audio", ["error", "first_window", "windows"])
def test_a_model_that_reads_has_no_window(prepare: Any, long_audio: str) -> None:
    _, shard = prepare("describe", long_audio=long_audio)
    assert kinds(shard) == ["heard", "heard", "heard", "not_audio"]
    assert [len(parts) for parts in shard.rows.windows[:3]] == [1, 1, 1]
    assert only_input(shard, 2).feature_frames == 0


def test_the_first_window_is_heard_where_that_is_asked_for(prepare: Any, window_s: float) -> None:
    _, shard = prepare(long_audio="first_window")
    assert kinds(shard) == ["heard", "heard", "heard", "not_audio"]
    assert shard.rows.heard_s == (1.0, window_s, window_s, None)
    fitting, long = only_input(shard, 1), only_input(shard, 2)
    assert long.feature_frames == fitting.feature_frames
    # Both clips begin with the same noise.
    np.testing.assert_array_equal(long.features, fitting.features)


def test_a_limit_of_one_s_own_still_makes_error_rows(prepare: Any, window_s: float) -> None:
    _, shard = prepare(long_audio="first_window", max_duration_s=window_s + 0.1)
    assert kinds(shard) == ["heard", "heard", "too_long", "not_audio"]


def test_the_table_says_how_much_was_heard(
    prepare: Any, runs: Any, tmp_path: Path, window_s: float
) -> None:
    plan, shard = prepare(long_audio="first_window")
    answer_and_commit(plan, shard)
    sql = "SELECT utterance_id, heard_s FROM generations WHERE heard_s < duration_s"
    assert runs.rows(tmp_path / "out", sql) == [{"utterance_id": "long", "heard_s": window_s}]
    (failed,) = runs.rows(tmp_path / "out", "SELECT * FROM generations WHERE heard_s IS NULL")
    assert (failed["utterance_id"], failed["error_type"]) == ("broken", "not_audio")


def test_windows_are_equal_parts_that_fit(prepare: Any, window_s: float) -> None:
    _, shard = prepare(long_audio="windows")
    assert kinds(shard) == ["heard", "heard", "heard", "not_audio"]
    half = (window_s + 0.5) / 2
    lengths = [[part.window_s for part in row] for row in shard.rows.windows[:3]]
    assert lengths == [[None], [None], [half, half]]
    assert [part.window for part in shard.rows.windows[2]] == [0, 1]
    assert shard.rows.heard_s == (1.0, window_s, window_s + 0.5, None)


def test_every_window_is_answered_and_the_answers_averaged(
    prepare: Any, runs: Any, tmp_path: Path
) -> None:
    plan, shard = prepare(long_audio="windows")
    answer_and_commit(plan, shard)
    sql = """SELECT utterance_id, [h.window for h in hypotheses] AS windows
        FROM generations WHERE hypotheses IS NOT NULL ORDER BY ALL"""
    assert {row["utterance_id"]: row["windows"] for row in runs.rows(tmp_path / "out", sql)} == {
        "fitting": [0, 0],
        "long": [0, 0, 1, 1],
        "short": [0, 0],
    }
    # Four tokens are no answer; but the logits are those of both windows.
    sql = "SELECT probs, valid FROM predictions WHERE strategy = 'token_softmax'"
    assert all(row["valid"] for row in runs.rows(tmp_path / "out", sql))
