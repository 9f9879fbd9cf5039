"""One clip through a model, in this process: the run's own functions, without shards and Ray."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import soundfile
from numpy.typing import NDArray

from raypipe.config import RunConfig, parse_config
from raypipe.errors import ConfigError, DecodeError, EngineError
from raypipe.labels import LabelSet, label_set
from raypipe.records import (
    Failure,
    FloatArray,
    Generation,
    Hypothesis,
    Prediction,
    Utterance,
)
from raypipe.runtime.infer.automatic import Automatic, searches_of
from raypipe.runtime.infer.context import RunContext
from raypipe.runtime.infer.devices import local_devices
from raypipe.runtime.infer.models import make_engine, make_frontend
from raypipe.runtime.infer.plan import run_contexts
from raypipe.runtime.infer.preparing import prepare_rows
from raypipe.runtime.infer.shard_work import answer_rows
from raypipe.shards import ShardIndex
from raypipe.store.location import Location
from raypipe.strategies import predict_variants

_NAME = "clip"


@dataclass(frozen=True, slots=True)
class ClipPrediction:
    """What a model says of one clip.

    Attributes:
        labels: the K labels every distribution is aligned with.
        predictions: by strategy.
        hypotheses: what the model answered.
    """

    labels: LabelSet
    predictions: Mapping[str, Prediction]
    hypotheses: tuple[Hypothesis, ...]

    def shares(self, strategy: str | None = None) -> dict[str, float]:
        """The distribution of one strategy, by label.

        Args:
            strategy: its name; None for the first one.

        Raises:
            ConfigError: for a strategy that was not asked for.
            EngineError: if its prediction is invalid, with the reason.
        """
        name = next(iter(self.predictions)) if strategy is None else strategy
        if name not in self.predictions:
            raise ConfigError(f"no strategy {name!r}; known: {', '.join(self.predictions)}")
        prediction = self.predictions[name]
        if prediction.probs is None:
            raise EngineError(f"{name} is invalid: {prediction.invalid_reason}")
        return dict(zip(self.labels.names, prediction.probs.tolist(), strict=True))


class Predictor:
    """A loaded model with everything that its answers are read with.

    Args:
        config: a run's, with one model and one prompt.
        labels: what distributions are aligned with.

    Raises:
        ConfigError: if the config asks for several models or prompts, or another verifier.
    """

    def __init__(self, config: RunConfig, labels: LabelSet) -> None:
        if len(config.all_models) > 1 or len(config.all_prompts) > 1 or config.ensembles:
            raise ConfigError("predict takes one model and one prompt")
        if config.verifier.model is not None:
            raise ConfigError("predict verifies by the model itself; leave out verifier.model")
        config = config.with_model(config.all_models[0])
        nowhere = Location.parse(config.output)
        index = ShardIndex(dataset="", labels=labels.names, shards=(), rows=0, fingerprint="")
        automatic = Automatic(None, local_devices)
        self._config, (self._context,) = run_contexts(config, nowhere, nowhere, index, automatic)
        self._frontend = make_frontend(self._config.model)
        context = self._context
        searches = list(searches_of(context))
        self._engine = make_engine(self._config, context.emotion_tokens, searches)

    @property
    def context(self) -> RunContext:
        """What the answers are asked and read with."""
        return self._context

    def predict(
        self,
        samples: NDArray[np.floating],
        sampling_rate: int,
        *,
        transcript: str | None = None,
    ) -> ClipPrediction:
        """Distributions for one clip; arguments as for :func:`raypipe.predict`."""
        answer = self._answer(_utterance(samples, sampling_rate, transcript))
        context = self._context
        predictions = predict_variants(
            answer.hypotheses,
            context.variants,
            context.labels,
            context.emotion_tokens,
            answer.questions,
        )
        by_name = {prediction.strategy: prediction for prediction in predictions}
        return ClipPrediction(context.labels, by_name, answer.hypotheses)

    def _answer(self, utterance: Utterance) -> Generation:
        context = self._context
        prepared = prepare_rows([utterance], context, self._frontend)
        verifies = context.verification is not None
        verifier = (self._frontend, self._engine) if verifies else None
        ((answer,),) = answer_rows(prepared, context, self._engine, verifier).answers
        if isinstance(answer, Failure):
            if answer.stage == "decode":
                raise DecodeError(answer.error_type, answer.message)
            raise EngineError(f"{answer.error_type}: {answer.message}")
        return answer


def predictor(labels: str | Sequence[str], config: Mapping[str, object]) -> Predictor:
    """The predictor of a config, loaded once.

    Args:
        labels: name of a label set, or labels.
        config: sections of a run's config; those that are about shards are not needed.

    Raises:
        ConfigError: if the config is wrong.
    """
    names = label_set(labels).names
    try:
        document = json.dumps(dict(config), sort_keys=True)
    except TypeError as error:
        raise ConfigError(f"predict: a config holds what JSON can hold: {error}") from error
    return _predictor(names, document)


@lru_cache(maxsize=2)
def _predictor(labels: tuple[str, ...], config: str) -> Predictor:
    document = {"input": {"shards": "."}, "output": ".", **json.loads(config)}
    # Who hands over samples has them at hand: silence among them is meant.
    if isinstance(document.setdefault("audio", {}), dict):
        document["audio"] = {"silent": "keep", **document["audio"]}
    return Predictor(parse_config(document, source="predict"), LabelSet(labels))


def _utterance(
    samples: NDArray[np.floating], sampling_rate: int, transcript: str | None
) -> Utterance:
    samples, rate = _checked(np.asarray(samples), sampling_rate)
    sink = io.BytesIO()
    soundfile.write(sink, samples, rate, format="WAV", subtype="FLOAT")
    return Utterance(
        utterance_id=_NAME,
        dataset="",
        split=None,
        speaker=None,
        audio=sink.getvalue(),
        sampling_rate=rate,
        duration_s=len(samples) / rate,
        transcript=transcript,
    )


def _checked(samples: NDArray[np.generic], sampling_rate: float) -> tuple[FloatArray, int]:
    """Samples and rate that can be written to a file; what libsndfile says of others is no help."""
    if samples.dtype.kind != "f":
        raise DecodeError("bad_samples", f"samples are {samples.dtype}, not floats within [-1, 1]")
    has_channels = samples.ndim == 2
    if samples.ndim not in (1, 2) or (has_channels and samples.shape[1] > samples.shape[0]):
        raise DecodeError(
            "bad_samples",
            f"samples have shape {samples.shape}, not (samples,) or (samples, channels)",
        )
    rate = int(sampling_rate)
    if rate != sampling_rate or rate < 1:
        raise DecodeError("bad_sampling_rate", f"sampling rate {sampling_rate} is no number of Hz")
    return samples.astype(np.float32), rate
