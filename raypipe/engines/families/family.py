"""The object that a model family is: architecture, inputs, limits and decoder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from raypipe.engines.published import Proof, Published
from raypipe.errors import RegistryError
from raypipe.records import ClipPlace, ModelInput

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedConfig

    from raypipe.engines.input_builders import InputBuilder
    from raypipe.engines.model_input import InputLimits, PromptLimits

DecoderName = Literal["tree", "plain"]

EQUALS_GENERATE = "equals generate()"
DEFAULT_ADAPTER = "raypipe.engines.decoder_adapter:DecoderAdapter"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipLimits:
    """Limits of the clips that a family takes.

    Attributes:
        longest_s: longest clip in seconds.
        longest_by_checkpoint: the checkpoint's feature extractor decides instead; ``longest_s``
            is then what published checkpoints have.
        shortest_s: shortest clip in seconds.
        per_prompt: clips in one prompt.
        needed: a question without a clip is refused.
        encoded_in_s: seconds of the pieces that the encoder takes by themselves; None for a clip
            encoded whole.
        reason: why no longer clips, in a few words.
    """

    longest_s: float
    longest_by_checkpoint: bool = False
    shortest_s: float = 0.1
    per_prompt: int = 1
    needed: bool = False
    encoded_in_s: float | None = None
    reason: str = ""


def _as_it_is(model: object) -> None:
    """No preparation: the loaded model is used unchanged."""


def _config_of_transformers(model_path: str, origin: Mapping[str, object]) -> PreTrainedConfig:
    from transformers import AutoConfig

    return AutoConfig.from_pretrained(model_path, **origin)


@dataclass(frozen=True, slots=True, kw_only=True)
class VllmSupport:
    """What the vLLM engine needs of a family beside vLLM's own class of the model.

    Attributes:
        encode: from vLLM's loaded model and an input, the embeddings that stand in the place of
            the clip's audio tokens, shape ``(audio tokens, hidden)``, in the model's arithmetic.
        limits: the limits that a checkpoint's config sets.
        load_config: the checkpoint's config, from its path and ``revision`` and
            ``trust_remote_code``.
        prepare: makes vLLM's loaded model take clips that ``encode`` has encoded.
    """

    encode: Callable[[Any, ModelInput], Tensor]
    limits: Callable[[PreTrainedConfig], InputLimits | PromptLimits]
    load_config: Callable[[str, Mapping[str, object]], PreTrainedConfig] = _config_of_transformers
    prepare: Callable[[Any], None] = _as_it_is


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """Checkpoints of one architecture.

    Attributes:
        name: what people call it.
        architecture: class of the model, transformers' or vLLM's, as a checkpoint's config names
            it.
        published_as: further architectures that checkpoints of it may name.
        processor: transformers' class of tokenizer and feature extractor; None where there is
            none, or none is used.
        input_builder: makes the model's inputs, from the family, a checkpoint's path and
            ``revision`` and ``trust_remote_code``.
        clips: limits of its clips; None for a text model.
        clip_place: where the clip stands in the user's turn, if a prompt does not say: before or
            after the text, or as a token at the beginning of the text for chat templates that know
            text only.
        plain_clip: what stands for the clip at the beginning of a plain turn, as the evaluation
            scripts of its authors write it for a base model; None where none is known.
        features: what the model's forward pass calls the clip's features.
        decoder: ``tree`` shares the prompt's keys and values among all hypotheses; ``plain`` goes
            through the model's own forward pass and cache, one utterance at a time; None where
            transformers has no class of the model.
        adapter: class of its :class:`raypipe.engines.decoder_adapter.DecoderAdapter`, as
            ``module:class``; for ``tree`` only.
        plain_fallback: variants that the tree does not reproduce (sliding windows, positions
            scaled by the length) take the plain path; they are refused otherwise.
        captured: decode steps can be captured as CUDA graphs; not so where the work to be done
            depends on the numbers, as with experts.
        end_token: ends an answer where the checkpoint's generation config names nothing.
        logits_divisor: setting of the text model by which its logits are divided, where
            transformers' class does not do that.
        has_clip_adapter: some of its weights serve clips only and are off for questions without.
        adapter_folder: folder of these weights, where they are not loaded by themselves.
        vllm: how the vLLM engine runs it; None if it does not.
        unused: what the model can do beside, and is not asked for.
        extra: part of raypipe that brings the packages its processor or adapter needs.
        needs_trust_remote_code: code that comes with the checkpoint has to be run.
        verified: what the standing tests compare.
        proved: how far the standing tests prove that its checkpoints are run as published.
        published: the checkpoints that ``raypipe models`` names.
        notes: further limits, in words.

    Raises:
        RegistryError: if the fields contradict each other.
    """

    name: str
    architecture: str
    input_builder: Callable[[Family, str, Mapping[str, object]], InputBuilder]
    processor: str | None
    clips: ClipLimits | None
    published_as: tuple[str, ...] = ()
    clip_place: ClipPlace | Literal["inline"] = "before"
    plain_clip: str | None = None
    features: str = "input_features"
    decoder: DecoderName | None = "tree"
    adapter: str = DEFAULT_ADAPTER
    plain_fallback: bool = True
    captured: bool = True
    end_token: str | None = None
    logits_divisor: str | None = None
    has_clip_adapter: bool = False
    adapter_folder: str | None = None
    vllm: VllmSupport | None = None
    unused: tuple[str, ...] = ()
    extra: str | None = None
    needs_trust_remote_code: bool = False
    verified: str = EQUALS_GENERATE
    proved: Proof = "random checkpoint"
    published: tuple[Published, ...] = ()
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.engines:
            raise RegistryError(f"family {self.name}: neither a decoder nor vLLM support")
        if self.adapter_folder is not None and not self.has_clip_adapter:
            raise RegistryError(f"family {self.name}: an adapter_folder without has_clip_adapter")
        if self.adapter != DEFAULT_ADAPTER and self.decoder != "tree":
            raise RegistryError(
                f"family {self.name}: a decoder adapter is for the tree decoder only"
            )

    @property
    def engines(self) -> tuple[str, ...]:
        """Names of the built-in engines that take it."""
        local = () if self.decoder is None else ("transformers",)
        return local if self.vllm is None else (*local, "vllm")

    @property
    def architectures(self) -> tuple[str, ...]:
        """Every architecture that checkpoints of it may name."""
        return (self.architecture, *self.published_as)

    def limits_in_words(self) -> tuple[str, ...]:
        """Its limits as short phrases."""
        phrases = [_clips_in_words(self.clips)]
        phrases += [f"no {capability}" for capability in self.unused]
        if self.has_clip_adapter:
            phrases.append("the adapter for clips is off for questions without one")
        if self.decoder == "tree":
            fate = "take the plain path" if self.plain_fallback else "are refused"
            phrases.append(f"sliding windows and positions scaled by the length {fate}")
        phrases += self.notes
        if self.needs_trust_remote_code:
            phrases.append("needs trust_remote_code")
        if self.extra is not None:
            phrases.append(f"needs the extra {self.extra}")
        return tuple(phrases)


def _clips_in_words(clips: ClipLimits | None) -> str:
    if clips is None:
        return "no audio: a question with a clip is an error row"
    count = "one clip" if clips.per_prompt == 1 else f"up to {clips.per_prompt} clips"
    text = f"{count} per prompt{'' if clips.needed else ', or none'}"
    text += f", up to {duration_in_words(clips.longest_s)}"
    if clips.longest_by_checkpoint:
        text += " (the checkpoint decides)"
    if clips.encoded_in_s is not None:
        text += f", encoded in windows of {duration_in_words(clips.encoded_in_s)}"
    return text


def duration_in_words(seconds: float) -> str:
    """Seconds, or minutes where they are whole and more than one.

    Example:
        >>> duration_in_words(90.0), duration_in_words(2400.0)
        ('90 s', '40 min')
    """
    return f"{seconds / 60:g} min" if seconds > 60 and seconds % 60 == 0 else f"{seconds:g} s"
