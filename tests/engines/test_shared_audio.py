import numpy as np
import pytest
import torch

from raypipe.engines.shared_audio import SharedAudio, same_clips
from raypipe.records import ModelInput


def model_input(features, frames=None, tokens=5):
    frames = features.shape[1] - 2 if frames is None else frames
    return ModelInput("u", np.arange(tokens), features, frames)


@pytest.fixture
def clips():
    random = np.random.default_rng(3)
    return [random.standard_normal((128, n)).astype(np.float32) for n in (40, 40, 66)]


def test_only_exactly_equal_features_are_the_same_clip(clips):
    touched = clips[0].copy()
    touched[1, 1] = np.nextafter(
        touched[1, 1], np.inf
    )  # beside the values that are looked at first
    inputs = [
        model_input(clips[0]),
        model_input(clips[1]),
        model_input(clips[0].copy(), tokens=9),
        model_input(touched),
        model_input(clips[0], frames=37),
        model_input(clips[2]),
        model_input(clips[1].copy()),
    ]
    assert same_clips(inputs) == [0, 1, 0, 3, 4, 5, 1]


def test_a_clip_is_encoded_when_first_asked_for_and_forgotten_after_its_last_prompt(clips):
    inputs = [model_input(clips[i]) for i in (0, 1, 0, 2, 0)]
    encoded = []

    def encode(batch):
        encoded.append([one.features[0, 0] for one in batch])
        return [torch.from_numpy(one.features[:1, :1]) for one in batch]

    audio = SharedAudio(inputs, encode)
    taken = audio.take([0, 1, 2]) + audio.take([3]) + audio.take([4])
    assert [float(one) for one in taken] == [one.features[0, 0] for one in inputs]
    assert encoded == [[clips[0][0, 0], clips[1][0, 0]], [clips[2][0, 0]]]
    assert not audio._encoded
