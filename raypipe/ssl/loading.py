"""Loading of transformers' encoders; a checkpoint without all weights is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from raypipe.errors import ConfigError
from raypipe.ssl.encoder import EncoderSource

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_UNUSED = ("masked_spec_embed",)
"""Weights that only pre-training reads."""


def load_encoder(model_class: Any, source: EncoderSource, **more: object) -> PreTrainedModel:
    """A model ready to encode.

    Args:
        model_class: transformers' class.
        source: its checkpoint.
        more: arguments of ``from_pretrained``.

    Raises:
        ConfigError: if the checkpoint cannot be read or lacks weights, which would be random.
    """
    try:
        model, loading = model_class.from_pretrained(
            source.path,
            revision=source.revision,
            dtype=getattr(torch, source.dtype),
            output_loading_info=True,
            **more,
        )
    except (OSError, ValueError) as error:
        raise ConfigError(f"encoder {source.path}: {str(error).splitlines()[0]}") from error
    missing = [name for name in loading["missing_keys"] if not name.endswith(_UNUSED)]
    if missing or loading["mismatched_keys"]:
        raise ConfigError(
            f"encoder {source.path}: the checkpoint lacks weights of the encoder, such as "
            f"{(missing or [str(key) for key in loading['mismatched_keys']])[0]}"
        )
    model.eval()
    model.requires_grad_(False)
    return model.to(source.device)


def normalises(source: EncoderSource) -> bool:
    """Whether the checkpoint's preprocessor normalises every clip to mean 0 and variance 1.

    Raises:
        ConfigError: if the checkpoint does not say.
    """
    from transformers import AutoFeatureExtractor

    try:
        extractor = AutoFeatureExtractor.from_pretrained(source.path, revision=source.revision)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"encoder {source.path}: no preprocessor_config.json says how its waveforms are "
            "normalised; set normalisation to none or utterance"
        ) from error
    return bool(extractor.do_normalize)


def model_type(path: str, revision: str | None) -> str:
    """``model_type`` of a checkpoint's ``config.json``.

    Raises:
        ConfigError: if there is none.
    """
    file = Path(path) / "config.json"
    if not Path(path).is_dir():
        from transformers.utils import cached_file

        try:
            file = Path(cached_file(path, "config.json", revision=revision))
        except (OSError, ValueError) as error:
            raise ConfigError(f"encoder {path}: {str(error).splitlines()[0]}") from error
    try:
        kind = json.loads(file.read_text())["model_type"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"encoder {path}: no config.json with a model_type") from error
    return str(kind)
