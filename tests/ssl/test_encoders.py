"""Every encoder gives what a plain loop over transformers' model gives, in any batch."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from random_encoders import MADE
from tones import RATE, tones

from raypipe.errors import ConfigError
from raypipe.records import FloatArray
from raypipe.ssl import EncoderSource, Normalisation, encoder_families, family_of, load
from raypipe.ssl.batches import batches_by_length
from raypipe.tiny_alm import checkpoint_path

Folder = Callable[[str], Path]
UNPADDED = {name for name in MADE if name.endswith("-base")} | {"data2vec-audio"}


clips = partial(tones, seed=7)


def plain(name: str, place: Path, clip: FloatArray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of transformers' own hidden states, one clip at a time."""
    model_class = getattr(transformers, MADE[name][0])
    model = model_class.from_pretrained(place).eval()
    extractor = transformers.AutoFeatureExtractor.from_pretrained(place)
    inputs: dict[str, Any] = extractor(clip, sampling_rate=RATE, return_tensors="pt")
    encoder = model.encoder if name == "whisper" else model
    if name == "whisper":
        inputs = {"input_features": inputs["input_features"]}
    with torch.no_grad():
        out = encoder(**inputs, output_hidden_states=True)
    # transformers 5 gives the last layer before the final normalisation; SUPERB's is after it.
    states = [*out.hidden_states[:-1], out.last_hidden_state]
    kept = round(len(clip) / 320)
    if name == "w2v-bert":  # its last frame may be half padding, which its mask leaves out
        kept = min(kept, int(inputs["attention_mask"].sum()))
    frames = np.stack([state[0, :kept].numpy() for state in states])
    return frames.mean(1), frames.std(1)


@pytest.mark.parametrize("name", MADE)
def test_an_encoder_gives_what_a_plain_loop_gives(name: str, encoder_folder: Folder) -> None:
    place = encoder_folder(name)
    encoder = load(EncoderSource(str(place), with_std=True))
    for clip in clips(1.0, 0.73):
        [given] = encoder.encode([clip])
        mean, std = plain(name, place, clip)
        assert given.mean.shape == mean.shape
        assert given.mean.dtype == np.float32
        np.testing.assert_allclose(given.mean, mean, atol=2e-5)
        assert given.std is not None
        np.testing.assert_allclose(given.std, std, atol=2e-4)


@pytest.mark.parametrize("name", [*MADE, "tiny-alm", "fbank-s3prl", "fbank-raw"])
def test_a_batch_changes_nothing(name: str, encoder_folder: Folder) -> None:
    path = str(checkpoint_path()) if name == "tiny-alm" else name
    path = str(encoder_folder(name)) if name in MADE else path
    encoder = load(EncoderSource(path))
    assert encoder.pads == (name not in UNPADDED)
    sounds = clips(0.4, 1.9, 1.0, 1.0, 0.71)
    alone = [encoder.encode([clip])[0] for clip in sounds]
    lengths = [len(clip) for clip in sounds]
    for most in (2, 5):
        groups = batches_by_length(
            lengths, pads=encoder.pads, most_clips=most, most_samples=10 * RATE
        )
        for rows in groups:
            together = encoder.encode([sounds[row] for row in rows])
            for row, statistics in zip(rows, together, strict=True):
                assert statistics.frames == alone[row].frames
                np.testing.assert_allclose(statistics.mean, alone[row].mean, atol=1e-4)


@pytest.mark.parametrize("name", ["wav2vec2-base", "data2vec-audio"])
def test_clips_that_padding_would_change_are_refused_together(
    name: str, encoder_folder: Folder
) -> None:
    encoder = load(EncoderSource(str(encoder_folder(name))))
    with pytest.raises(AssertionError, match="different lengths"):
        encoder.encode(clips(0.5, 1.0))


@pytest.mark.parametrize("name", [*MADE, "tiny-alm", "fbank-s3prl"])
def test_the_shortest_clip_gives_a_frame(name: str, encoder_folder: Folder) -> None:
    path = str(checkpoint_path()) if name == "tiny-alm" else name
    encoder = load(EncoderSource(str(encoder_folder(name)) if name in MADE else path))
    [given] = encoder.encode([clips(1.0)[0][: encoder.shortest_samples]])
    assert given.frames >= 1
    assert np.isfinite(given.mean).all()


def test_a_tiny_alm_clip_is_encoded_as_the_whole_model_encodes_it() -> None:
    path = str(checkpoint_path())
    clip = clips(1.37)[0]
    [given] = load(EncoderSource(path)).encode([clip])
    model = transformers.Qwen2AudioForConditionalGeneration.from_pretrained(
        path, dtype=torch.float32
    )
    tower = model.model.audio_tower.eval()
    extractor = transformers.AutoProcessor.from_pretrained(path).feature_extractor
    inputs = extractor(
        clip,
        sampling_rate=RATE,
        return_attention_mask=True,
        padding="max_length",
        return_tensors="pt",
    )
    frames = (int(inputs["attention_mask"].sum()) - 1) // 2 + 1
    mask = torch.zeros(1, 1, 1500, 1500)
    mask[:, :, :, frames:] = -torch.inf
    with torch.no_grad():
        hidden = torch.nn.functional.gelu(tower.conv1(inputs["input_features"]))
        hidden = torch.nn.functional.gelu(tower.conv2(hidden)).permute(0, 2, 1)
        hidden = hidden + tower.embed_positions.weight
        states = [hidden]
        for layer in tower.layers:
            states.append(layer(states[-1], mask))
        states[-1] = tower.layer_norm(states[-1])
    kept = min(frames, round(len(clip) / 320))
    assert given.frames == kept
    expected = np.stack([state[0, :kept].mean(0).numpy() for state in states])
    np.testing.assert_allclose(given.mean, expected, atol=1e-4)


def test_the_frames_are_those_that_s3prl_keeps(encoder_folder: Folder) -> None:
    """min(frames of the model, round(samples / 320)), for clips of many lengths."""
    encoder = load(EncoderSource(str(encoder_folder("wav2vec2-base"))))
    whisper = load(EncoderSource(str(encoder_folder("whisper"))))
    for samples in (400, 720, 8_000, 16_000, 16_159, 16_161):
        clip = clips(1.1)[0][:samples]
        assert encoder.encode([clip])[0].frames == (samples - 80) // 320
        assert whisper.encode([clip])[0].frames == round(samples / 320)


def test_waveforms_are_normalised_as_asked(encoder_folder: Folder) -> None:
    place = str(encoder_folder("wavlm-base"))  # its preprocessor does not normalise
    [clip] = clips(0.5)

    def mean(normalisation: Normalisation, samples: FloatArray) -> np.ndarray:
        encoder = load(EncoderSource(place, normalisation=normalisation))
        return encoder.encode([samples])[0].mean

    unit = ((clip - clip.mean()) / np.sqrt(clip.var() + 1e-7)).astype(np.float32)
    plain_mean = mean(Normalisation("none"), clip)
    np.testing.assert_array_equal(mean(Normalisation(), clip), plain_mean)
    np.testing.assert_allclose(
        mean(Normalisation("utterance"), clip), mean(Normalisation("none"), unit), atol=1e-6
    )
    np.testing.assert_allclose(
        mean(Normalisation("fixed", mean=0.1, std=0.2), clip),
        mean(Normalisation("none"), ((clip - 0.1) / 0.2).astype(np.float32)),
        atol=1e-6,
    )
    with pytest.raises(ConfigError, match="needs a mean and a std"):
        Normalisation("fixed", mean=0.0)


def test_half_precision_is_near_and_its_means_are_float32(encoder_folder: Folder) -> None:
    place = str(encoder_folder("hubert-large"))
    [clip] = clips(1.0)
    [exact] = load(EncoderSource(place)).encode([clip])
    [half] = load(EncoderSource(place, dtype="bfloat16")).encode([clip])
    assert half.mean.dtype == np.float32
    assert 0 < np.abs(half.mean - exact.mean).max() < 0.1


def test_a_checkpoint_without_all_weights_is_refused(
    encoder_folder: Folder, tmp_path: Path
) -> None:
    place = encoder_folder("hubert-base")
    config = transformers.AutoConfig.from_pretrained(place)
    config.num_hidden_layers = 4  # one more than there are weights for
    config.save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").write_bytes((place / "model.safetensors").read_bytes())
    with pytest.raises(
        ConfigError, match=r"lacks weights of the encoder, such as encoder\.layers\.3"
    ):
        load(EncoderSource(str(tmp_path)))


def test_every_family_is_found_by_its_checkpoints(encoder_folder: Folder, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "s3prl"}')
    named = {family_of(str(encoder_folder(name))).name for name in MADE}
    named.add(family_of(str(tmp_path)).name)
    named |= {family_of(name).name for name in ("fbank-raw", str(checkpoint_path()))}
    assert named == set(encoder_families())


def test_an_unknown_encoder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(ConfigError, match="no family takes model_type 'bert'"):
        family_of(str(tmp_path))
    (tmp_path / "config.json").write_text("[]")
    with pytest.raises(ConfigError, match=r"no config\.json with a model_type"):
        family_of(str(tmp_path))
