"""Checks of a checkpoint's own generation config, which could change the search."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

from raypipe.errors import UnsupportedError

if TYPE_CHECKING:
    from transformers import GenerationConfig

_logger = logging.getLogger(__name__)

# Every field that makes transformers' generate() alter log-probabilities or stop early although
# do_sample is False, with the values at which it does nothing. Sampling fields (do_sample,
# temperature, top_k, top_p, ...) are absent on purpose: the search here is deterministic.
_NEUTRAL_VALUES: Mapping[str, tuple[object, ...]] = {
    "bad_words_ids": (None, []),
    "begin_suppress_tokens": (None, []),
    "encoder_no_repeat_ngram_size": (None, 0),
    "encoder_repetition_penalty": (None, 1.0),
    "exponential_decay_length_penalty": (None,),
    "forced_bos_token_id": (None,),
    "forced_eos_token_id": (None,),
    "guidance_scale": (None, 1.0),
    "max_time": (None,),
    "min_length": (None, 0),
    "min_new_tokens": (None, 0),
    "no_repeat_ngram_size": (None, 0),
    "remove_invalid_values": (None, False),
    "repetition_penalty": (None, 1.0),
    "sequence_bias": (None, {}, []),
    "stop_strings": (None, []),
    "suppress_tokens": (None, []),
    "token_healing": (None, False),
    "watermarking_config": (None,),
}


def check_generation_config(generation_config: GenerationConfig, *, ignore: bool) -> None:
    """Refuse a generation config that would silently make the scores mean something else.

    A beam's alpha is the plain sum of the model's log-probabilities. A repetition penalty, a
    minimum length or a forced token would make another search of it.

    Args:
        generation_config: transformers' ``GenerationConfig`` of the checkpoint.
        ignore: search on the model's own probabilities although the checkpoint asks otherwise.

    Raises:
        UnsupportedError: naming the fields, if there are any and ``ignore`` is not set.
    """
    unwanted = {
        field: value
        for field, neutral in _NEUTRAL_VALUES.items()
        if (value := getattr(generation_config, field, None)) not in neutral
    }
    if not unwanted:
        return
    named = ", ".join(f"{field}={value!r}" for field, value in unwanted.items())
    if not ignore:
        raise UnsupportedError(
            f"the checkpoint's generation config asks for {named}, which would change the beam "
            "scores; set ignore_generation_config to search on the model's own probabilities"
        )
    _logger.warning("ignored from the checkpoint's generation config: %s", named)


def end_token_ids(generation_config: GenerationConfig) -> tuple[int, ...]:
    """Every id that ends an answer, in the checkpoint's order.

    Raises:
        UnsupportedError: if the checkpoint names none.
    """
    end_ids = generation_config.eos_token_id
    if end_ids is None:
        raise UnsupportedError("the checkpoint's generation config names no eos_token_id")
    return (end_ids,) if isinstance(end_ids, int) else tuple(dict.fromkeys(end_ids))
