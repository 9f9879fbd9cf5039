"""s3prl's upstreams give what their experts give, called by themselves; needs extra s3prl."""

from __future__ import annotations

import argparse
import importlib
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import random_upstreams
import torch
from random_upstreams import DECOAR2, KALDI, MADE, save_upstream, transformer, wav2vec
from tones import RATE, tones

from raypipe.errors import ConfigError
from raypipe.records import FloatArray
from raypipe.ssl import EncoderSource, Normalisation, family_of, load
from raypipe.ssl.batches import batches_by_length
from raypipe.ssl.families.s3prl import UPSTREAMS

try:
    import s3prl  # noqa: F401
    import torchaudio  # noqa: F401
except (ImportError, OSError) as error:  # OSError: a torchaudio of another build than torch
    pytest.skip(f"extra s3prl is not installed: {error}", allow_module_level=True)

# Of MFCC that s3prl makes and these upstreams do not use.
pytestmark = pytest.mark.filterwarnings("ignore:At least one mel filterbank")

PADDED = {"apc", "vq_apc", "decoar2", "vq_wav2vec"}
Folder = Callable[[str], Path]


@pytest.fixture(autouse=True)
def _small_decoar2(monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module("s3prl.upstream.decoar2.decoar2")
    monkeypatch.setattr(module, "args", module.args | DECOAR2)


@pytest.fixture(scope="module")
def upstream_folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    folder = tmp_path_factory.mktemp("upstreams")

    def place(name: str) -> Path:
        made = folder / name
        return made if made.exists() else save_upstream(name, made)

    return place


clips = partial(tones, seed=5)


def by_hand(name: str, file: Path, clip: FloatArray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of what s3prl's expert gives for one clip."""
    expert = importlib.import_module(f"s3prl.upstream.{name}.expert").UpstreamExpert(str(file))
    expert.eval()
    with torch.no_grad():
        states = expert([torch.tensor(clip)])["hidden_states"]
    kept = round(len(clip) / (320 if name == "decoar2" else 160))
    frames = np.stack([state[0, :kept].double().numpy() for state in states])
    return frames.mean(1), frames.std(1)


def test_every_upstream_is_made_here() -> None:
    assert list(MADE) == list(UPSTREAMS)


@pytest.mark.parametrize("name", MADE)
def test_an_upstream_gives_what_its_expert_gives(name: str, upstream_folder: Folder) -> None:
    place = upstream_folder(name)
    assert family_of(str(place)).name == "s3prl"
    encoder = load(EncoderSource(str(place), with_std=True))
    for clip in clips(1.0, 0.737):
        [given] = encoder.encode([clip])
        mean, std = by_hand(name, place / "states.ckpt", clip)
        assert given.mean.dtype == np.float32
        assert given.mean.shape == mean.shape
        assert 0 <= round(len(clip) / encoder.stride) - given.frames <= 3
        np.testing.assert_allclose(given.mean, mean, atol=2e-5)
        assert given.std is not None
        np.testing.assert_allclose(given.std, std, atol=2e-4)
        assert np.ptp(mean) > 0.01


@pytest.mark.parametrize("name", MADE)
def test_a_batch_changes_nothing(name: str, upstream_folder: Folder) -> None:
    encoder = load(EncoderSource(str(upstream_folder(name)), with_std=True))
    assert encoder.pads == (name in PADDED)
    sounds = clips(0.4, 1.9, 1.0, 1.0, 0.71, 0.43)
    alone = [encoder.encode([clip])[0] for clip in sounds]
    lengths = [len(clip) for clip in sounds]
    for most in (2, 6):
        groups = batches_by_length(
            lengths, pads=encoder.pads, most_clips=most, most_samples=20 * RATE
        )
        assert max(map(len, groups)) >= 2
        for rows in groups:
            together = encoder.encode([sounds[row] for row in rows])
            for row, statistics in zip(rows, together, strict=True):
                assert statistics.frames == alone[row].frames
                np.testing.assert_allclose(statistics.mean, alone[row].mean, atol=1e-4)
                np.testing.assert_allclose(statistics.std, alone[row].std, atol=1e-4)


@pytest.mark.parametrize("name", sorted(set(MADE) - PADDED))
def test_the_others_would_change_by_padding(name: str, upstream_folder: Folder) -> None:
    place = upstream_folder(name)
    encoder = load(EncoderSource(str(place)))
    with pytest.raises(AssertionError, match="different lengths"):
        encoder.encode(clips(0.5, 1.0))
    module = importlib.import_module(f"s3prl.upstream.{name}.expert")
    expert = module.UpstreamExpert(str(place / "states.ckpt")).eval()
    waveforms = [torch.tensor(clip) for clip in clips(0.5, 1.0)]
    with torch.no_grad():
        padded = expert(waveforms)["hidden_states"]
        alone = expert(waveforms[:1])["hidden_states"]
    shift = max(
        float((batch[0, :50].mean(0) - clip[0, :50].mean(0)).abs().max())
        for batch, clip in zip(padded, alone, strict=True)
    )
    assert shift > 1e-4


@pytest.mark.parametrize("name", MADE)
def test_the_shortest_clip_gives_a_frame(name: str, upstream_folder: Folder) -> None:
    encoder = load(EncoderSource(str(upstream_folder(name))))
    [given] = encoder.encode([clips(1.0)[0][: encoder.shortest_samples]])
    assert given.frames >= 1
    assert np.isfinite(given.mean).all()


def test_only_what_has_a_table_of_positions_has_a_longest_clip(upstream_folder: Folder) -> None:
    longest = {
        name: load(EncoderSource(str(upstream_folder(name)))).longest_samples for name in MADE
    }
    assert {name for name, samples in longest.items() if samples} == {"mockingjay", "tera"}


def test_kmeans_codes_go_clip_by_clip(tmp_path: Path) -> None:
    place = save_upstream("vq_wav2vec", tmp_path, wav2vec(vq_type="kmeans"))
    encoder = load(EncoderSource(str(place)))
    sounds = clips(0.5, 0.8)
    for given, clip in zip(encoder.encode(sounds), sounds, strict=True):
        np.testing.assert_array_equal(given.mean, encoder.encode([clip])[0].mean)
        mean, _ = by_hand("vq_wav2vec", place / "states.ckpt", clip)
        np.testing.assert_allclose(given.mean, mean, atol=2e-5)


def test_the_waveform_is_normalised_before(upstream_folder: Folder) -> None:
    place = str(upstream_folder("cpc"))
    [clip] = clips(0.5)
    unit = ((clip - clip.mean()) / np.sqrt(clip.var() + 1e-7)).astype(np.float32)
    [given] = load(EncoderSource(place, normalisation=Normalisation("utterance"))).encode([clip])
    [plain] = load(EncoderSource(place)).encode([unit])
    np.testing.assert_allclose(given.mean, plain.mean, atol=1e-6)


class Ran:
    """Writes a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.file,)


@pytest.mark.parametrize("name", MADE)
def test_nothing_in_a_checkpoint_is_executed(name: str, tmp_path: Path) -> None:
    witness = tmp_path / "ran"
    state = MADE[name]()
    place = save_upstream(name, tmp_path / "made", {**state, "Optimizer": Ran(witness)})
    with pytest.raises(ConfigError, match=r"states\.ckpt is damaged, or holds Python objects"):
        load(EncoderSource(str(place)))
    assert not witness.exists()


def test_settings_that_s3prl_evaluates_are_data(tmp_path: Path) -> None:
    state = wav2vec()
    witness = tmp_path / "ran"
    code = f"[(16, 10, 5)] + __import__('pathlib').Path({str(witness)!r}).touch()"
    for name in ("conv_feature_layers", "conv_aggregator_layers"):
        spoilt = {**state, "model_cfg": {**random_upstreams.WAV2VEC, name: code}}
        place = save_upstream("wav2vec", tmp_path / "wav2vec", spoilt)
        with pytest.raises(ConfigError, match=f"{name} is no list of numbers"):
            load(EncoderSource(str(place)))
    audio = {**KALDI, "kaldi": {**KALDI["kaldi"], "feat_type": f"__name__ or {code}"}}
    place = save_upstream("tera", tmp_path / "tera", transformer(audio, 80))
    with pytest.raises(ConfigError, match="feat_type is no name"):
        load(EncoderSource(str(place)))
    assert not witness.exists()


def test_a_kept_command_line_is_read(tmp_path: Path) -> None:
    """Mockingjay's and TERA's published checkpoints have one."""
    state = {**transformer(KALDI, 80), "Args": argparse.Namespace(seed=1337), "Step": 3}
    encoder = load(EncoderSource(str(save_upstream("tera", tmp_path, state))))
    assert encoder.encode(clips(0.5))[0].mean.shape == (4, 32)


@pytest.mark.parametrize(
    ("name", "weights", "lost"),
    [
        ("apc", "model", "rnn_layers.1.weight_ih_l0"),
        ("decoar2", "model", "encoder.layers.2.fc1.weight"),
        ("cpc", "weights", "gAR.baseNet.weight_ih_l0"),
        ("tera", "Transformer", "encoder.layer.2.output.dense.weight"),
    ],
)
def test_a_checkpoint_without_all_weights_is_refused(
    name: str, weights: str, lost: str, tmp_path: Path
) -> None:
    state = MADE[name]()
    del state[weights][lost]
    place = save_upstream(name, tmp_path, state)
    message = rf"does not load it|lacks weights of the encoder, such as {lost}"
    with pytest.raises(ConfigError, match=message):
        load(EncoderSource(str(place)))


def test_the_wrong_upstream_is_noticed(upstream_folder: Folder, tmp_path: Path) -> None:
    states = upstream_folder("cpc") / "states.ckpt"
    place = save_upstream("decoar2", tmp_path, torch.load(states))
    with pytest.raises(ConfigError, match=r"states\.ckpt has no entry 'model'"):
        load(EncoderSource(str(place)))


@pytest.mark.parametrize(
    ("name", "state", "message"),
    [
        ("cpc", lambda: random_upstreams.cpc(hiddenGar=24), "layers are of different shapes"),
        ("cpc", lambda: random_upstreams.cpc(samplingType="sequential"), "from clip to clip"),
        ("cpc", lambda: random_upstreams.cpc(encoder_type="mfcc"), "cannot encode noise"),
        ("apc", lambda: random_upstreams.apc(frame_shift=20), "49 frames in a second"),
        ("apc", lambda: random_upstreams.apc(frame_length=30), "560 samples are too few"),
    ],
)
def test_settings_that_give_no_features_are_refused(
    name: str, state: Callable[[], object], message: str, tmp_path: Path
) -> None:
    place = save_upstream(name, tmp_path, state())
    with pytest.raises(ConfigError, match=message):
        load(EncoderSource(str(place)))


def test_an_unreadable_file_is_refused(tmp_path: Path) -> None:
    place = save_upstream("apc", tmp_path)
    (place / "states.ckpt").write_bytes(b"PK\x03\x04 no archive")
    with pytest.raises(ConfigError, match=r"states\.ckpt"):
        load(EncoderSource(str(place)))


def test_features_are_keyed_by_the_checkpoint(tmp_path: Path) -> None:
    from raypipe.runtime.features.config import EncoderConfig

    place = save_upstream("apc", tmp_path)
    first = EncoderConfig(path=str(place)).identity()
    assert first == EncoderConfig(path=str(place)).identity()
    torch.manual_seed(1)
    torch.save(MADE["apc"](), place / "states.ckpt")
    assert first != EncoderConfig(path=str(place)).identity()
    (place / "config.json").write_text(json.dumps({"model_type": "s3prl", "upstream": "vq_apc"}))
    with pytest.raises(ConfigError, match="checkpoint None, which is no file"):
        load(EncoderSource(str(place)))
