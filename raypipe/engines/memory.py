"""Memory that a checkpoint needs on a GPU, from its small files and the sizes of the large ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from raypipe.engines.checkpoint_files import weight_bytes
from raypipe.records import Search

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from raypipe.engines.engine import ModelSettings
    from raypipe.records import Sampling, TextScores

BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
"""Bytes of a number, by the arithmetic of the weights."""

HALF_PRECISIONS = ("bfloat16", "float16")

_LOGIT_BYTES = 3 * 4
"""Raw logits in float32, their copy for the search, and what top-k needs, by token of a lane."""

_WORK_TOKENS = 16_384
"""Prompt tokens that are read at once, as the tree decoder does."""

PREFIX_TOKENS = 1024
"""Tokens of shared prefixes whose keys and values are held beside the rows, or of a longer one."""

DRAFT_TOKENS = 1024
"""What a step with guessed tokens is fed at most, all rows together. With more a GPU is bound by
its arithmetic, and guesses that come to nothing are paid for."""


@dataclass(frozen=True, slots=True)
class MemoryNeed:
    """Bytes that an engine needs on its GPU.

    Attributes:
        weights: of the model.
        work: of activations while prompts are read, and of prefixes that prompts share.
        row: of every utterance that is decoded together with others.
    """

    weights: int
    work: int
    row: int

    def rows(self, memory: int) -> int:
        """Utterances that fit into so many bytes; below 1 if not even one does."""
        return (memory - self.weights - self.work) // self.row


def stored_dtype(config: Mapping[str, object]) -> str:
    """Arithmetic that a checkpoint's config names, its own or its text model's; else float32."""
    for section in (config, *_sections(config)):
        for key in ("dtype", "torch_dtype"):
            named = section.get(key)
            if isinstance(named, str) and named in BYTES:
                return named
    return "float32"


def gpu_dtype(settings: ModelSettings) -> str:
    """Arithmetic on a GPU where the run names none: the half precision that the checkpoint is in.

    A checkpoint in float32 stays so: rounding it is a choice that is the user's.
    """
    return stored_dtype(_config_of(settings))


def memory_need(
    settings: ModelSettings, prompt_tokens: int, requests: Sequence[Search | Sampling | TextScores]
) -> MemoryNeed:
    """Memory of the tree decoder with a checkpoint.

    - weights: the bytes of its files, as many for each number as ``dtype`` takes;
    - row: for every request, keys and values of the longest prompt and of ``max_new_tokens`` for
      each lane, and the logits of the lanes;
    - work: activations of 16,384 prompt tokens: eight hidden vectors and four of the MLP's; keys
      and values of shared prefixes, of 1,024 tokens or of one that is longer; with a grammar keys,
      values and logits of 1,024 guessed tokens.

    Args:
        settings: of the model, its dtype resolved.
        prompt_tokens: of the longest prompt, audio included.
        requests: all that the engine will be asked for; each holds on to its own rows.
    """
    from transformers import AutoConfig

    origin = {
        "revision": settings.revision,
        "trust_remote_code": settings.trust_remote_code,
    }
    config = AutoConfig.from_pretrained(settings.path, **origin)
    text, size = config.get_text_config(), BYTES[settings.dtype]
    heads = text.num_attention_heads
    head_size = getattr(text, "head_dim", None) or text.hidden_size // heads
    key_heads = getattr(text, "num_key_value_heads", None) or heads
    token = 2 * text.num_hidden_layers * key_heads * head_size * size
    held_to_grammars = sum(
        1 for request in requests if isinstance(request, Search) and request.grammar is not None
    )
    return MemoryNeed(
        weights=weight_bytes_in(settings),
        work=_WORK_TOKENS * (8 * text.hidden_size + 4 * text.intermediate_size) * size
        + token * max(PREFIX_TOKENS, prompt_tokens)
        + held_to_grammars * DRAFT_TOKENS * (token + text.vocab_size * _LOGIT_BYTES),
        row=sum(
            token * (prompt_tokens + request.lane_count * request.max_new_tokens)
            + request.lane_count * text.vocab_size * _LOGIT_BYTES
            for request in requests
        ),
    )


def weight_bytes_in(settings: ModelSettings) -> int:
    """Bytes of a checkpoint's weights in the run's arithmetic, its dtype resolved."""
    stored = BYTES[stored_dtype(_config_of(settings))]
    return weight_bytes(settings.path, settings.revision) * BYTES[settings.dtype] // stored


def _config_of(settings: ModelSettings) -> Mapping[str, object]:
    from transformers import PreTrainedConfig

    config, _ = PreTrainedConfig.get_config_dict(settings.path, revision=settings.revision)
    return dict(config)


def _sections(config: Mapping[str, object]) -> list[Mapping[str, object]]:
    """The parts of a config that are about text, outermost first."""
    found = []
    for key in ("text_config", "thinker_config", "language_config", "llm_config"):
        section = config.get(key)
        if isinstance(section, dict):
            found += [section, *_sections(section)]
    return found
