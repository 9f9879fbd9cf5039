"""One clip through a model in a notebook: raypipe.predict, without shards and Ray."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from in_process import utterance

import raypipe
from raypipe.errors import ConfigError, DecodeError, EngineError
from raypipe.labels import LABEL_SETS, LabelSet
from raypipe.records import FloatArray
from raypipe.runtime.infer.predictor import ClipPrediction, _predictor, predictor

RATE = 16_000
pytestmark = pytest.mark.usefixtures("fake_engine")


@pytest.fixture(autouse=True)
def _no_model_of_another_test() -> None:
    _predictor.cache_clear()


def noise(seconds: float = 0.5) -> FloatArray:
    return np.random.default_rng(5).uniform(-0.1, 0.1, round(RATE * seconds)).astype(np.float32)


def predict(samples: Any = None, rate: Any = RATE, **changes: Any) -> ClipPrediction:
    config: dict[str, Any] = {
        "model": {"engine": "fake", "path": "none"},
        "strategies": ["greedy", "token", "w_bon"],
        "decoding": {"beam_count": 3},
        **changes,
    }
    return raypipe.predict(noise() if samples is None else samples, rate, **config)


def told(**shares: float) -> dict[str, Any]:
    return {"engine": "fake", "path": "none", "options": {"shares": shares}}


def test_a_clip_gets_the_distribution_that_the_model_wrote() -> None:
    prediction = predict(model=told(anger=0.25, sadness=0.75))
    assert prediction.labels == LABEL_SETS["crema-d-6"]
    expected = dict.fromkeys(prediction.labels.names, 0.0) | {"anger": 0.25, "sadness": 0.75}
    assert prediction.shares() == prediction.shares("greedy") == expected
    assert prediction.shares("w_bon") == pytest.approx(expected)


def test_every_strategy_that_is_asked_for_is_there_in_order() -> None:
    prediction = predict()
    assert [*prediction.predictions] == ["greedy", "token", "w_bon"]
    for strategy in prediction.predictions:
        shares = prediction.shares(strategy)
        assert [*shares] == [*LABEL_SETS["crema-d-6"].names]
        assert sum(shares.values()) == pytest.approx(1.0)
    kinds = [hypothesis.kind for hypothesis in prediction.hypotheses]
    assert kinds == ["greedy", "beam", "beam", "beam"]


def test_a_run_over_the_same_clip_predicts_the_same(in_process: Any) -> None:
    """The stand-in engine answers by id and prompt, so the run's clip is called as here."""
    for path in in_process.shards.iterdir():
        path.unlink()
    in_process.write(replace(utterance("u0"), utterance_id="clip", transcript=None))
    in_process.finished(strategies=["greedy", "token", "w_bon"])
    rows = in_process.rows("SELECT strategy, probs FROM predictions")
    prediction = predict()
    assert {row["strategy"]: row["probs"] for row in rows} == {
        strategy: [*prediction.shares(strategy).values()] for strategy in prediction.predictions
    }


@pytest.mark.parametrize(
    "samples",
    [
        np.stack([noise(), noise()], axis=1),
        noise().astype(np.float64),
        noise()[:, None],
        np.tile(noise(), 3),
    ],
    ids=["stereo", "double", "one channel", "longer"],
)
def test_what_a_notebook_holds_can_be_heard(samples: Any) -> None:
    assert predict(samples).predictions["greedy"].valid


def test_another_rate_is_resampled_and_may_be_a_float() -> None:
    assert predict(noise(), 44_100).predictions["greedy"].valid
    assert predict(noise(), 16_000.0).predictions["greedy"].valid


@pytest.mark.parametrize(
    ("samples", "rate", "code"),
    [
        (noise()[:0], RATE, "zero_length"),
        (noise() * np.nan, RATE, "non_finite"),
        (np.tile(noise(), 17), RATE, "too_long"),
        (noise(), 1_000, "bad_sampling_rate"),
        (np.stack([noise()] * 3, axis=1), RATE, "too_many_channels"),
        (np.stack([noise(), noise()]), RATE, "bad_samples"),
        (noise().reshape(2, 2, -1), RATE, "bad_samples"),
        (np.float32(0.5), RATE, "bad_samples"),
        ((noise() * 32767).astype(np.int16), RATE, "bad_samples"),
        (noise(), 0, "bad_sampling_rate"),
        (noise(), -RATE, "bad_sampling_rate"),
        (noise(), 0.5, "bad_sampling_rate"),
    ],
)
def test_what_cannot_be_heard_is_refused_with_its_reason(
    samples: Any, rate: Any, code: str
) -> None:
    with pytest.raises(DecodeError) as refused:
        predict(samples, rate)
    assert refused.value.code == code


def test_labels_may_be_a_name_or_a_list() -> None:
    assert predict(labels="iemocap-4").labels == LABEL_SETS["iemocap-4"]
    assert predict(labels=["calm", "tense"]).labels == LabelSet(("calm", "tense"))
    with pytest.raises(ConfigError, match="unknown label set 'none such'"):
        predict(labels="none such")


def test_a_transcript_is_part_of_the_question() -> None:
    first, second = predict(), predict()
    assert first.shares() == second.shares()
    assert predict(transcript="Leave me alone.").predictions["greedy"].valid


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"strategies": ["none such"]}, "unknown strategy 'none such'"),
        ({"temperature": 1.0}, "predict: temperature: unknown key"),
        ({"prompts": [{"name": "a"}, {"name": "b"}]}, "one model and one prompt"),
        ({"ensembles": [{}]}, "one model and one prompt"),
        (
            {"strategies": ["alm_v"], "verifier": {"model": {"engine": "fake", "path": "x"}}},
            r"leave out verifier\.model",
        ),
        ({"model": {"engine": "fake", "path": Path("x")}}, "what JSON can hold: .*PosixPath"),
        ({"model": {"engine": "none such", "path": "x"}}, "unknown engine"),
    ],
)
def test_a_wrong_config_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        predict(**changes)


def test_several_models_are_refused() -> None:
    models = [{"engine": "fake", "path": name} for name in ("x", "y")]
    with pytest.raises(ConfigError, match="one model"):
        raypipe.predict(noise(), RATE, models=models)


def test_a_strategy_that_was_not_asked_for_is_named() -> None:
    with pytest.raises(ConfigError, match="no strategy 'cot'; known: greedy, token, w_bon"):
        predict().shares("cot")


def test_an_invalid_prediction_is_never_a_distribution() -> None:
    prediction = predict(model=told(anger=0.0))
    assert not prediction.predictions["greedy"].valid
    with pytest.raises(EngineError, match="greedy is invalid: "):
        prediction.shares("greedy")
    assert sum(prediction.shares("token").values()) == pytest.approx(1.0)


def test_a_model_that_fails_raises_what_failed() -> None:
    options = {"fail": ["greedy"]}
    with pytest.raises(EngineError, match="made_up: told to fail at greedy"):
        predict(model={"engine": "fake", "path": "none", "options": options})


def test_the_model_verifies_its_own_beams() -> None:
    prediction = predict(strategies=["alm_v"])
    scores = [h.verifier_score for h in prediction.hypotheses if h.kind == "beam"]
    assert scores == [0.75, 0.75, 0.75]
    assert prediction.predictions["alm_v"].valid


def test_long_clips_are_heard_in_windows_where_that_is_asked() -> None:
    prediction = predict(np.tile(noise(), 17), audio={"long_audio": "windows"})
    assert {hypothesis.window for hypothesis in prediction.hypotheses} == {0, 1}
    assert prediction.predictions["greedy"].valid


def test_a_model_stays_loaded_for_the_same_config() -> None:
    config = {"model": {"engine": "fake", "path": "none"}, "strategies": ["greedy"]}
    first = predictor("crema-d-6", config)
    assert predictor(LABEL_SETS["crema-d-6"].names, dict(reversed(config.items()))) is first
    assert predictor("crema-d-6", {**config, "strategies": ["token"]}) is not first
    assert first.context.labels == LABEL_SETS["crema-d-6"]


def test_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    predict()
    assert not [*tmp_path.iterdir()]
