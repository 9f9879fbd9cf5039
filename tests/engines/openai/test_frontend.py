"""What is sent of a clip is the clip."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import soundfile
from chat_server import LABELS, api_config

from raypipe.engines.openai.frontend import OpenAIFrontend, encode
from raypipe.records import EmotionTokens, Failure, Request
from raypipe.tiny_alm import checkpoint_path

URL = "http://127.0.0.1:1/v1"


@pytest.mark.parametrize("audio_format", ["wav", "flac"])
def test_a_16_bit_clip_arrives_bit_for_bit(audio_format: str) -> None:
    whole = np.arange(-32_768, 32_768, dtype=np.int16)
    file = encode((whole / 32_768).astype(np.float32), 16_000, audio_format)
    back, rate = soundfile.read(io.BytesIO(file), dtype="int16")
    assert rate == 16_000
    np.testing.assert_array_equal(back, whole)


def test_samples_beyond_full_scale_are_clipped_not_wrapped() -> None:
    file = encode(np.array([1.5, -1.5, 1.0], dtype=np.float32), 16_000, "wav")
    back, _ = soundfile.read(io.BytesIO(file), dtype="int16")
    assert back.tolist() == [32_767, -32_768, 32_767]


@pytest.mark.parametrize(
    ("samples", "error_type"),
    [
        (np.zeros(0), "empty"),
        (np.zeros(16_001), "too_long"),
        (np.array([0.0, np.nan]), "not_finite"),
        (np.zeros((2, 10)), "not_mono"),
    ],
)
def test_a_bad_clip_is_a_failure_in_its_place(samples: Any, error_type: str) -> None:
    frontend = OpenAIFrontend(api_config(URL, max_duration_s=1.0))
    good = Request("good", "?", np.zeros(16_000, dtype=np.float32))
    bad = Request("bad", "?", samples.astype(np.float32))
    first, failure, last = frontend.prepare([good, bad, good])
    assert first.utterance_id == last.utterance_id == "good"
    assert isinstance(failure, Failure)
    assert failure.error_type == error_type


def test_emotion_tokens_come_from_the_tokenizer_or_not_at_all() -> None:
    assert OpenAIFrontend(api_config(URL)).emotion_tokens(LABELS) == EmotionTokens((), (), ())
    frontend = OpenAIFrontend(api_config(URL), str(checkpoint_path()))
    assert {word.label for word in frontend.emotion_tokens(LABELS).words} == set(LABELS.names)
