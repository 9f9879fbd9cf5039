"""What a checkpoint's own generation config asks of the search: penalties, or what is refused."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from raypipe.engines.grammar import check_demanded_grammar
from raypipe.errors import ConfigError, UnsupportedError
from raypipe.records import AskedPenalties, Penalties

if TYPE_CHECKING:
    from transformers import GenerationConfig

    from raypipe.engines.engine import ModelSettings
    from raypipe.protocols import Demand

_logger = logging.getLogger(__name__)

# Every field that makes transformers' generate() alter log-probabilities or stop early although
# do_sample is False, with the values at which it does nothing. Sampling fields (do_sample,
# temperature, top_k, top_p, ...) are absent on purpose: the search here is deterministic. So is
# repetition_penalty, which it applies, and what a run says itself: num_beams, length_penalty (0
# here: the score is a sum) and early_stopping (False).
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
    "renormalize_logits": (None, False),
    "sequence_bias": (None, {}, []),
    "stop_strings": (None, []),
    "suppress_tokens": (None, []),
    "token_healing": (None, False),
    "watermarking_config": (None,),
}


def generation_config_of(model_path: str, revision: str | None) -> GenerationConfig:
    """A checkpoint's generation config, from its small files alone.

    Args:
        model_path: local directory or hub id.
        revision: commit of a hub id.

    Returns:
        That of its ``generation_config.json``, or what its ``config.json`` says, as older ones do.
    """
    from transformers import GenerationConfig, PreTrainedConfig

    try:
        return GenerationConfig.from_pretrained(model_path, revision=revision)
    except OSError:
        config, _ = PreTrainedConfig.get_config_dict(model_path, revision=revision)
        return GenerationConfig.from_dict(config)


NO_PENALISED_SAMPLES = "samples are drawn without penalties: set decoding.penalties: none"
"""Why an engine draws none."""


def check_at_the_door(settings: ModelSettings, demand: Demand) -> None:
    """Refuse a run whose grammar or whose checkpoint's generation config cannot be followed.

    Raises:
        ConfigError: if the grammar's library is missing, or naming what it does not understand; if
            samples are to be drawn under penalties.
        UnsupportedError: naming what the checkpoint asks for.
    """
    check_demanded_grammar(settings, demand)
    generation_config = generation_config_of(settings.path, settings.revision)
    ignore = settings.ignore_generation_config
    check_generation_config(generation_config, ignore=ignore)
    penalties = penalties_of(generation_config, settings.penalties, ignore=ignore)
    if penalties.any and "seeded_samples" in demand.requires:
        raise ConfigError(NO_PENALISED_SAMPLES)


def check_generation_config(generation_config: GenerationConfig, *, ignore: bool) -> None:
    """Refuse a generation config that asks for what the search here does not do.

    A beam's alpha is the plain sum of the model's log-probabilities. A minimum length or a forced
    token would make another search of it.

    Args:
        generation_config: transformers' ``GenerationConfig`` of the checkpoint.
        ignore: search on the model's own probabilities although the checkpoint asks otherwise.

    Raises:
        UnsupportedError: naming the fields, if there are any and ``ignore`` is not set.
    """
    named = unwanted_fields(
        {field: getattr(generation_config, field, None) for field in _NEUTRAL_VALUES}
    )
    if named and not ignore:
        raise UnsupportedError(refusal_of(named))
    if named:
        _logger.warning("ignored from the checkpoint's generation config: %s", named)


def unwanted_fields(values: Mapping[str, object]) -> str:
    """Fields of a generation config that ask for what the search here does not do, in words.

    Args:
        values: of the generation config, by field; one that is missing asks for nothing.

    Example:
        >>> unwanted_fields({"top_p": 0.5, "no_repeat_ngram_size": 3, "min_length": 0})
        'no_repeat_ngram_size=3'
    """
    return ", ".join(
        f"{field}={values[field]!r}"
        for field, neutral in _NEUTRAL_VALUES.items()
        if field in values and values[field] not in neutral
    )


def penalty_fault(values: Mapping[str, object]) -> str | None:
    """What is wrong with a checkpoint's penalty, in one line; None for nothing.

    Args:
        values: of the generation config, by field.

    Example:
        >>> penalty_fault({"repetition_penalty": 1.1})
        >>> penalty_fault({"repetition_penalty": -1.1})[-50:]
        'search without, add penalties: none under decoding'
    """
    value = values.get("repetition_penalty")
    if value is None or (
        isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf
    ):
        return None
    return (
        f"the checkpoint's generation config has repetition_penalty={value!r}, which is no finite "
        "number above 0; to search without, add penalties: none under decoding"
    )


def refusal_of(unwanted: str) -> str:
    """What is said of a checkpoint that asks for such fields."""
    return (
        f"the checkpoint's generation config asks for {unwanted}, which raypipe's search does not "
        "apply; to search without, add ignore_generation_config: true under model"
    )


def penalties_of(
    generation_config: GenerationConfig, asked: AskedPenalties, *, ignore: bool
) -> Penalties:
    """The penalties of a search on a checkpoint.

    Args:
        generation_config: transformers' ``GenerationConfig`` of the checkpoint.
        asked: those of the run, which win, or ``checkpoint``.
        ignore: take nothing from the checkpoint.

    Raises:
        ConfigError: if the checkpoint's is no penalty.
    """
    if asked != "checkpoint":
        return asked
    repetition = None if ignore else generation_config.repetition_penalty
    return Penalties(1.0 if repetition is None else float(repetition))


def end_token_ids(generation_config: GenerationConfig) -> tuple[int, ...]:
    """Every id that ends an answer, in the checkpoint's order.

    Raises:
        UnsupportedError: if the checkpoint names none.
    """
    end_ids = generation_config.eos_token_id
    if end_ids is None:
        raise UnsupportedError("the checkpoint's generation config names no eos_token_id")
    return (end_ids,) if isinstance(end_ids, int) else tuple(dict.fromkeys(end_ids))
