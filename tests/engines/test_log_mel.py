import numpy as np
import pytest
from random_checkpoint import sounds
from transformers import WhisperFeatureExtractor

from raypipe.engines.log_mel import cropped_log_mel

EXTRACTOR = WhisperFeatureExtractor(feature_size=128)


def full(samples):
    made = EXTRACTOR(
        samples,
        sampling_rate=16000,
        padding="max_length",
        return_attention_mask=True,
        return_tensors="np",
    )
    return made["input_features"][0], int(made["attention_mask"].sum())


SAMPLE_COUNTS = [1, 160, 161, 321, 480, 1600, 15_999, 16_000, 16_001, 70_007]
SAMPLE_COUNTS += [159_999, 479_500, 479_999, 480_000]


@pytest.mark.parametrize("sample_count", SAMPLE_COUNTS)
def test_cropping_changes_no_bit_of_the_frames_a_model_uses(sample_count):
    (samples,) = sounds([sample_count / 16000], seed=sample_count)
    assert len(samples) == sample_count
    features, frames = cropped_log_mel(EXTRACTOR, samples)
    expected, expected_frames = full(samples)
    assert frames == expected_frames
    assert features.shape[1] >= min(frames + 2, 3000)
    assert features.shape[1] % 2 == 0
    np.testing.assert_array_equal(features, expected[:, : features.shape[1]])


def test_a_loud_end_is_not_mirrored_into_the_frames():
    samples = np.zeros(8000, np.float32)
    samples[-40:] = 0.9
    features, _ = cropped_log_mel(EXTRACTOR, samples)
    np.testing.assert_array_equal(features, full(samples)[0][:, : features.shape[1]])


def test_digital_silence_is_the_floor_everywhere():
    features, frames = cropped_log_mel(EXTRACTOR, np.zeros(4000, np.float32))
    assert frames == 25
    np.testing.assert_array_equal(features, np.full((128, 28), -1.5, np.float32))
