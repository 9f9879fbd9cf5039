"""s3prl's upstreams that transformers does not have, from local checkpoints; extra ``s3prl``.

A checkpoint is a folder with the file that s3prl loads and a ``config.json`` that names both::

    {"model_type": "s3prl", "upstream": "apc", "checkpoint": "apc_360hr.ckpt"}

Of s3prl only the upstream's own ``expert`` module is imported, never ``s3prl.hub``: that imports
every upstream, with packages that these do not need.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.util
import io
import json
import pickle
import re
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from raypipe.errors import ConfigError
from raypipe.installation import install_hint
from raypipe.records import FloatArray, LayerStatistics
from raypipe.ssl.encoder import EncoderFamily, EncoderSource
from raypipe.ssl.pooling import LayerPooling, kept_frames

_RATE = 16_000
_SHORTEST = 560
"""Samples of two windows of 25 ms, 10 ms apart: normalised over one, features are not a number."""

_LONGEST_FRAMES = 24_000
"""Rows of the table of positions that Mockingjay and TERA have."""

_FRAME_TOLERANCE = 5
"""Frames that s3prl's featurizer lets an upstream be off its stride; it wants fewer."""


@dataclass(frozen=True, slots=True)
class _Upstream:
    """What is known of an upstream.

    Attributes:
        weights: entry of its checkpoint with the weights.
        settings: further entries that it reads.
        pads: it leaves padding out; the others go together only without padding.
        positions: it has a table of positions, which ends.
    """

    weights: str
    settings: tuple[str, ...]
    pads: bool = False
    positions: bool = False


_APC = _Upstream("model", ("config",), pads=True)
_MOCKINGJAY = _Upstream("Transformer", ("Config", "Upstream_Config"), positions=True)
_WAV2VEC = _Upstream("model_weight", ("task_cfg", "model_cfg"))
UPSTREAMS: Mapping[str, _Upstream] = {
    "apc": _APC,
    "vq_apc": _APC,
    "npc": _Upstream("model", ("config",)),
    "mockingjay": _MOCKINGJAY,
    "tera": _MOCKINGJAY,
    "decoar2": _Upstream("model", (), pads=True),
    "cpc": _Upstream("weights", ("config",)),
    "wav2vec": _WAV2VEC,
    "vq_wav2vec": _WAV2VEC,
}
"""The upstreams by their folder in ``s3prl.upstream``."""

_OPTIONAL = ("Upstream_Config",)
"""Entries that older checkpoints do not have."""


class S3prlEncoder:
    """An upstream with its hidden states as s3prl gives them.

    Attributes:
        sampling_rate: in Hz.
        stride: samples from one frame to the next.
        pads: clips of different lengths may go together: padding is left out, or every clip is
            encoded by itself.
        shortest_samples: of a clip whose normalisation over time is a number.
        longest_samples: None without a limit.
        normalisation: in words.
    """

    sampling_rate, shortest_samples = _RATE, _SHORTEST

    def __init__(self, source: EncoderSource) -> None:
        name, file = named_checkpoint(source)
        upstream = UPSTREAMS[name]
        self._source = source
        self._expert = _expert(name, file, source)
        self.stride = int(self._expert.get_downsample_rates("hidden_states"))
        # The nearest of two codes may be another one after a rounding error, and a batch of another
        # size rounds otherwise: such a clip goes by itself.
        model = getattr(self._expert, "model", None)
        self._alone = getattr(model, "vector_quantizer", None) is not None
        self.pads = upstream.pads or self._alone
        self.longest_samples = _LONGEST_FRAMES * self.stride - 1 if upstream.positions else None
        self._normalise = source.normalisation.resolved(False)
        self.normalisation = f"{self._normalise.kind}; then as the upstream does"
        self._feature_frames: list[int] = []
        if upstream.pads:
            self._expert.preprocessor.register_forward_hook(self._count_frames)
        self._try(source.path)

    def encode(self, clips: Sequence[FloatArray]) -> list[LayerStatistics]:
        """Statistics of every clip; see :class:`raypipe.ssl.encoder.Encoder`."""
        batches = [[clip] for clip in clips] if self._alone else [clips]
        return [statistics for batch in batches for statistics in self._together(batch)]

    def _together(self, clips: Sequence[FloatArray]) -> list[LayerStatistics]:
        lengths = [len(clip) for clip in clips]
        assert self.pads or len(set(lengths)) == 1, "clips of different lengths"
        with torch.inference_mode():
            layers, frames = self._layers([self._normalise.apply(clip) for clip in clips])
            kept = [
                kept_frames(own, length, self.stride)
                for own, length in zip(frames, lengths, strict=True)
            ]
            pooling = LayerPooling(kept, with_std=self._source.with_std)
            for hidden in layers:
                pooling.add(hidden)
        return pooling.statistics()

    def _layers(self, clips: Sequence[FloatArray]) -> tuple[list[Tensor], list[int]]:
        """Every layer, shape ``(clips, frames, width)``, and the frames that each clip has."""
        self._feature_frames.clear()
        waveforms = [torch.tensor(clip, device=self._source.device) for clip in clips]
        layers = list(self._expert(waveforms)["hidden_states"])
        frames = self._feature_frames or [min(layer.shape[1] for layer in layers)] * len(clips)
        return layers, list(frames)

    def _count_frames(self, module: object, arguments: object, features: Tensor) -> None:
        """A hook: frames of each clip before s3prl pads them."""
        self._feature_frames.append(len(features))

    def _try(self, path: str) -> None:
        """Encode noise, for what a checkpoint's own settings can make impossible.

        Raises:
            ConfigError: naming it.
        """
        noise = np.random.default_rng(0).normal(0.0, 0.1, _RATE).astype(np.float32)
        try:
            with torch.inference_mode(), warnings.catch_warnings():
                # What it would warn of is refused below.
                warnings.filterwarnings("ignore", r"std\(\): degrees of freedom")
                layers, _ = self._layers([noise])
                again, _ = self._layers([noise])
                shortest, _ = self._layers([noise[: self.shortest_samples]])
        except (AssertionError, RuntimeError, ValueError) as error:
            raise ConfigError(f"encoder {path}: cannot encode noise: {_line(error)}") from error
        widths = {tuple(layer.shape[1:]) for layer in layers}
        if len(widths) != 1:
            raise ConfigError(f"encoder {path}: its layers are of different shapes, {widths}")
        off = abs(layers[0].shape[1] - round(_RATE / self.stride))
        if off >= _FRAME_TOLERANCE:
            raise ConfigError(
                f"encoder {path}: {layers[0].shape[1]} frames in a second, but s3prl takes them to "
                f"be {self.stride} samples apart"
            )
        if not all(torch.equal(*pair) for pair in zip(layers, again, strict=True)):
            raise ConfigError(
                f"encoder {path}: the same clip twice gives two results: it draws random numbers "
                "or carries its state from clip to clip"
            )
        if not all(bool(torch.isfinite(layer).all()) for layer in shortest):
            raise ConfigError(
                f"encoder {path}: {self.shortest_samples} samples are too few for its windows"
            )


def named_checkpoint(source: EncoderSource) -> tuple[str, Path]:
    """Upstream and checkpoint file that a folder's ``config.json`` names.

    Raises:
        ConfigError: if the folder is not here, the upstream is unknown, there is no such file, the
            arithmetic is another than float32, or the extra is not installed.
    """
    path = source.path
    folder = Path(path)
    if not folder.is_dir():
        raise ConfigError(f"encoder {path}: s3prl's checkpoints are read from a local folder")
    config = json.loads((folder / "config.json").read_text())
    name, file = config.get("upstream"), config.get("checkpoint")
    if not isinstance(name, str) or name not in UPSTREAMS:
        raise ConfigError(
            f"encoder {path}: config.json names upstream {name!r}; known: {', '.join(UPSTREAMS)}"
        )
    # In the folder, because the features are keyed by what is in it.
    if not isinstance(file, str) or Path(file).name != file or not (folder / file).is_file():
        raise ConfigError(
            f"encoder {path}: config.json names checkpoint {file!r}, which is no file in the folder"
        )
    if source.dtype != "float32":
        raise ConfigError(f"encoder {path}: s3prl's upstreams take dtype float32 only")
    for package in ("torchaudio", "s3prl"):
        if importlib.util.find_spec(package) is None:
            raise ConfigError(
                f"encoder {path}: s3prl's upstreams need {package}, which is not installed: "
                f"{install_hint('s3prl')}"
            )
    return name, folder / file


def _expert(name: str, file: Path, source: EncoderSource) -> Any:
    """The upstream's ``UpstreamExpert``, ready to encode.

    Raises:
        ConfigError: if torchaudio or the checkpoint cannot be used.
    """
    try:
        # First by itself: its faults are of the installation, whatever the upstream.
        importlib.import_module("torchaudio")
    except OSError as error:
        raise ConfigError(
            f"encoder {source.path}: torchaudio does not fit this torch ({_line(error)}); "
            "see raypipe/ssl/README.md"
        ) from error
    expert_class = importlib.import_module(f"s3prl.upstream.{name}.expert").UpstreamExpert
    upstream = UPSTREAMS[name]
    # Old checkpoints of Mockingjay and TERA keep their command line in such an object.
    with torch.serialization.safe_globals([argparse.Namespace]):
        state = _state(file, upstream, source.path)
        _refuse_code(state, source.path)
        # Some upstreams unpickle whatever the file says: they get what was read, written anew.
        rewritten = io.BytesIO()
        torch.save(state, rewritten)
        rewritten.seek(0)
        try:
            with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():
                # Of MFCC that Mockingjay and TERA make beside what they use.
                warnings.filterwarnings("ignore", "At least one mel filterbank")
                expert = expert_class(rewritten)
        except (
            ArithmeticError,
            AssertionError,
            AttributeError,
            ImportError,
            LookupError,
            NotImplementedError,
            RuntimeError,
            TypeError,
            ValueError,
        ) as error:
            raise ConfigError(
                f"encoder {source.path}: s3prl's {name} does not load it: {_line(error)}"
            ) from error
    module = expert.transformer.model if upstream is _MOCKINGJAY else expert.model
    given = {_modern(weight) for weight in state[upstream.weights]}
    missing = module.state_dict().keys() - given
    if missing:  # most upstreams would go on with random weights
        raise ConfigError(
            f"encoder {source.path}: the checkpoint lacks weights of the encoder, such as "
            f"{min(missing)}"
        )
    expert.eval()
    expert.requires_grad_(False)
    return expert.to(source.device)


def _state(file: Path, upstream: _Upstream, path: str) -> dict[str, Any]:
    """The entries of a checkpoint that its upstream reads; nothing in the file is executed.

    Raises:
        ConfigError: if it holds other objects than tensors and plain values, or lacks an entry.
    """
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ConfigError(
            f"encoder {path}: {file.name} is damaged, or holds Python objects that would have to "
            "be executed; raypipe/ssl/README.md shows how to save it without them"
        ) from error
    except (OSError, EOFError, RuntimeError, ValueError) as error:
        raise ConfigError(f"encoder {path}: {file.name}: {_line(error)}") from error
    entries = (upstream.weights, *upstream.settings)
    for entry in entries:
        present = isinstance(state, dict) and isinstance(state.get(entry), Mapping)
        if not present and entry not in _OPTIONAL:
            raise ConfigError(f"encoder {path}: {file.name} has no entry {entry!r}")
    return {entry: state[entry] for entry in entries if entry in state}


def _refuse_code(state: Mapping[str, Any], path: str) -> None:
    """Refuse settings that s3prl would evaluate as Python and that are more than numbers.

    Raises:
        ConfigError: naming the setting.
    """
    for name, value in _settings(state):
        layers = name in ("conv_feature_layers", "conv_aggregator_layers")
        if layers and not re.fullmatch(r"[\d\s()\[\],+*]*", str(value)):
            raise ConfigError(f"encoder {path}: {name} is no list of numbers: {value!r}")
        if name == "feat_type" and not str(value).isidentifier():
            raise ConfigError(f"encoder {path}: feat_type is no name: {value!r}")


def _settings(state: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    for name, value in state.items():
        if isinstance(value, Mapping):
            yield from _settings(value)
        else:
            yield str(name), value


def _modern(weight: str) -> str:
    """A weight's name after s3prl's renaming of Mockingjay's first checkpoints."""
    return weight.replace("gamma", "weight").replace("beta", "bias")


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


FAMILY = EncoderFamily(
    name="s3prl",
    rank=100,
    model_types=("s3prl",),
    load=S3prlEncoder,
    check=named_checkpoint,
    layers="hidden_states of the upstream, as s3prl gives them",
    batches="similar lengths with APC, VQ-APC and DeCoAR 2; each by itself with vq-wav2vec; of one "
    "length only with the others",
    normalisation="none of the waveform; then as the upstream does",
)
