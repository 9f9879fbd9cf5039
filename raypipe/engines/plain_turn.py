"""Plain turns: a clip's marks and the prompt as one text, for a base model to go on with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from raypipe.engines.families import FAMILIES, family_of
from raypipe.errors import ConfigError, EngineError
from raypipe.records import IntArray

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from raypipe.engines.engine import ModelSettings
    from raypipe.engines.families.family import Family


def plain_turn(
    family: Family, tokenizer: PreTrainedTokenizerBase, prompt: str, *, with_clip: bool
) -> IntArray:
    """Token ids of a plain turn, a single audio token for the clip, shape ``(tokens,)``.

    Raises:
        EngineError: for a family without one.
    """
    if family.plain_clip is None:
        raise EngineError(f"{family.name} has no plain turn")
    token_ids = tokenizer((family.plain_clip if with_clip else "") + prompt)["input_ids"]
    return np.asarray(token_ids, dtype=np.int64)


def refuse_plain_turn(engine: str, settings: ModelSettings) -> None:
    """Refuse plain turns of a model whose family has none.

    Raises:
        ConfigError: naming it, and the families that have one.
        UnsupportedError: for an architecture that the engine does not take.
    """
    from transformers import PreTrainedConfig

    config, _ = PreTrainedConfig.get_config_dict(settings.path, revision=settings.revision)
    family = family_of(settings.path, config.get("architectures"), engine)
    if family.plain_clip is None:
        known = ", ".join(one.name for one in FAMILIES if one.plain_clip is not None)
        raise ConfigError(
            f"prompt.turn: plain: {family.name} is asked in a chat turn; plain ones are for {known}"
        )
