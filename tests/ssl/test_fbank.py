"""Filter banks agree with transformers' Kaldi recipe, deltas with librosa's formula by hand."""

from __future__ import annotations

import numpy as np
import pytest
from transformers.audio_utils import mel_filter_bank, spectrogram, window_function

from raypipe.records import FloatArray
from raypipe.ssl import EncoderSource, load
from raypipe.ssl.families.fbank import deltas, fbank, log_mel_filter_bank

RATE = 16_000


def noise(samples: int, seed: int = 0) -> FloatArray:
    return np.random.default_rng(seed).normal(0, 0.1, samples).astype(np.float32)


@pytest.mark.parametrize("samples", [400, 559, 560, 16_000])
def test_energies_agree_with_transformers_recipe(samples: int) -> None:
    filters = mel_filter_bank(
        257, 80, 20, 8_000, RATE, mel_scale="kaldi", triangularize_in_mel_space=True
    )
    expected = spectrogram(
        noise(samples),
        window_function(400, "povey", periodic=False),
        400,
        160,
        fft_length=512,
        power=2.0,
        center=False,
        preemphasis=0.97,
        mel_filters=filters,
        mel_floor=1.192092955078125e-07,
        log_mel="log",
        remove_dc_offset=True,
    ).T
    found = log_mel_filter_bank(noise(samples))
    assert found.shape == (1 + (samples - 400) // 160, 80)
    np.testing.assert_allclose(found, expected, atol=2e-3)


def test_deltas_by_hand() -> None:
    values = np.array([[0.0], [1.0], [4.0], [9.0], [16.0], [25.0]])
    # (1 * (9 - 1) + 2 * (16 - 0)) / 10 at the third; edges repeat the first and last frame
    assert deltas(values)[2, 0] == pytest.approx(4.0)
    assert deltas(values)[0, 0] == pytest.approx((1 * (1 - 0) + 2 * (4 - 0)) / 10)
    assert deltas(values)[5, 0] == pytest.approx((1 * (25 - 16) + 2 * (25 - 9)) / 10)


def test_normalised_over_the_utterance_its_time_mean_says_nothing() -> None:
    """Why the paper's FBANK row (.186) cannot move: every clip has the same features, 0."""
    raw = load(EncoderSource("fbank-raw"))
    normalised = load(EncoderSource("fbank-s3prl"))
    sounds = [noise(9_000), 5 * noise(16_000, 1), 0.1 * noise(24_000, 2)]
    assert all(np.abs(given.mean).max() < 1e-5 for given in normalised.encode(sounds))
    means = [given.mean[0, :80] for given in raw.encode(sounds)]
    assert min(np.abs(means[0] - means[1]).min(), np.abs(means[1] - means[2]).min()) > 1


def test_dimensions_are_energies_then_two_orders_of_deltas() -> None:
    features = fbank(noise(16_000), normalised=False)
    assert features.shape == (98, 240)
    np.testing.assert_allclose(features[:, 80:160], deltas(features[:, :80]), atol=1e-6)
    np.testing.assert_allclose(features[:, 160:], deltas(features[:, 80:160]), atol=1e-6)
    unit = fbank(noise(16_000), normalised=True)
    np.testing.assert_allclose(unit.std(0, ddof=1), 1.0, atol=1e-4)
