from dataclasses import replace

import numpy as np
import pytest

from raypipe.engines.model_input import (
    InputLimits,
    PromptLimits,
    audio_token_count,
    check_audio_is_in_one_piece,
)
from raypipe.errors import EngineError
from raypipe.records import ModelInput

AUDIO = 7


def clip_input(*token_ids: int, frames: int) -> ModelInput:
    features = np.zeros((4, frames + 2 if frames else 0), np.float32)
    return ModelInput("u", np.array(token_ids), features, frames)


class TestInputLimits:
    LIMITS = InputLimits(
        vocabulary=10, audio_token_id=AUDIO, mel_bins=4, window_frames=100, max_positions=20
    )

    def test_a_question_may_have_no_clip(self):
        self.LIMITS.check(clip_input(1, 2, 3, frames=0), 5)

    def test_audio_tokens_without_a_clip_are_told(self):
        with pytest.raises(EngineError, match="1 audio tokens for 0 frames, expected 0"):
            self.LIMITS.check(clip_input(1, AUDIO, frames=0), 5)

    def test_a_clip_without_audio_tokens_is_told(self):
        assert audio_token_count(6) == 1
        with pytest.raises(EngineError, match="0 audio tokens for 6 frames, expected 1"):
            self.LIMITS.check(clip_input(1, 2, frames=6), 5)

    def test_a_clip_of_several_windows_has_them_whole(self):
        one = ModelInput("u", np.full(52, AUDIO), np.zeros((3, 4, 100), np.float32), 210)
        limits = replace(self.LIMITS, max_positions=100)
        limits.check(one, 5)
        assert [window.feature_frames for window in limits.windows(one)] == [100, 100, 10]
        barely = replace(one, feature_frames=202)
        assert [window.feature_frames for window in limits.windows(barely)] == [100, 100]
        with pytest.raises(EngineError, match=r"expected \(3, 4, 100\) for 210 frames"):
            limits.check(replace(one, features=one.features[:2]), 5)

    def test_vllm_is_told_of_a_missing_clip(self):
        with pytest.raises(EngineError, match="no clip, which the vLLM engine does not take"):
            check_audio_is_in_one_piece(clip_input(1, 2, frames=0), AUDIO)
        with pytest.raises(EngineError, match="side by side"):
            check_audio_is_in_one_piece(clip_input(AUDIO, 2, AUDIO, frames=10), AUDIO)


class TestPromptLimits:
    def test_positions_that_change_along_the_way_are_refused(self):
        limits = PromptLimits(vocabulary=10, audio_token_id=None, max_positions=100, switch_at=20)
        one = ModelInput("u", np.arange(10), np.zeros((0, 0), np.float32), 0)
        limits.check(one, 10)
        limits.check(replace(one, token_ids=np.zeros(21, np.int64)), 10)
        with pytest.raises(EngineError, match="both sides of 20 positions"):
            limits.check(one, 11)

    def test_the_audio_token_may_lie_outside_the_vocabulary(self):
        limits = PromptLimits(vocabulary=10, audio_token_id=12, max_positions=100)
        features = np.zeros((1, 4, 3), np.float32)
        limits.check(ModelInput("u", np.array([1, 12, 2]), features, 1), 5)
        with pytest.raises(EngineError, match="list of ids below 10"):
            limits.check(ModelInput("u", np.array([1, 13, 12]), features, 1), 5)
