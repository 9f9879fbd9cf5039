"""Model families that the engines decode, and how each was verified."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from raypipe.errors import UnsupportedError

Making = Literal["window", "cropped", "whole", "mistral", "stacked", "text"]
ClipPlace = Literal["before", "after", "inline"]
DecoderName = Literal["tree", "plain"]


@dataclass(frozen=True, slots=True)
class Family:
    """Checkpoints of one architecture.

    Attributes:
        name: what people call it.
        architecture: class of the model, transformers' or vLLM's, as a checkpoint's config names
            it.
        processor: class of tokenizer and feature extractor; None for a text model.
        made: how inputs are made, a key of :data:`raypipe.engines.processors.PROCESSORS`.
        clip: where the clip stands in the user's turn: before or after the text, or as a token
            written into the text for chat templates that know text only.
        decoder: ``tree`` shares the prompt's keys and values among all hypotheses; ``plain`` goes
            through the model's own forward pass and cache, one utterance at a time; None where
            transformers has no class of the model.
        verified: what the standing tests compare.
        limits: what it does not do.
        engines: which of the engines take it.
        longest_s: longest clip in seconds; None for the feature extractor's window.
        shortest_s: shortest clip in seconds.
        features: what the model's forward pass calls the clip's features.
        published_as: further architectures that checkpoints of it may name.
        adapter: folder of the adapter that listens, where it is not loaded by itself.
        end_token: ends an answer where the checkpoint's generation config names nothing.
        logits_divisor: setting of the text model by which its logits are divided, where
            transformers' class does not do that.
        captured: decode steps can be captured as CUDA graphs; not so where the work to be done
            depends on the numbers, as with experts.
    """

    name: str
    architecture: str
    processor: str | None
    made: Making
    decoder: DecoderName | None
    verified: str
    limits: str
    clip: ClipPlace = "before"
    engines: tuple[str, ...] = ("transformers",)
    longest_s: float | None = None
    shortest_s: float = 0.1
    features: str = "input_features"
    published_as: tuple[str, ...] = ()
    adapter: str | None = None
    end_token: str | None = None
    logits_divisor: str | None = None
    captured: bool = True


_EQUALS_GENERATE = "equals generate()"

WHAT_VERIFIED_MEANS = (
    "equals generate(): on small random checkpoints of the architecture with its real processor, "
    "hypotheses, their order, scores and raw logits are those of transformers' generate() in "
    "float32. Published weights were not run."
)


def _text(name: str, architecture: str, decoder: DecoderName = "tree") -> Family:
    return Family(
        name,
        architecture,
        None,
        made="text",
        decoder=decoder,
        verified=_EQUALS_GENERATE,
        limits="no audio: a question with a clip is an error row; sliding windows, or positions "
        "scaled by the length, lead to the plain path",
    )


FAMILIES: tuple[Family, ...] = (
    Family(
        "Qwen2-Audio",
        "Qwen2AudioForConditionalGeneration",
        "Qwen2AudioProcessor",
        made="window",
        decoder="tree",
        engines=("transformers", "vllm"),
        verified=f"{_EQUALS_GENERATE}; so does the bundled tiny-alm",
        limits="one clip per prompt, or none, within the window (30 s); no sliding windows",
    ),
    Family(
        "Audio Flamingo 3",
        "AudioFlamingo3ForConditionalGeneration",
        "AudioFlamingo3Processor",
        made="window",
        clip="after",
        decoder="tree",
        longest_s=600.0,
        verified=_EQUALS_GENERATE,
        limits="one clip per prompt, or none, up to 10 min, each 30 s of it encoded by itself",
    ),
    Family(
        "Qwen2.5-Omni (thinker)",
        "Qwen2_5OmniThinkerForConditionalGeneration",
        "Qwen2_5OmniProcessor",
        made="cropped",
        decoder="tree",
        published_as=("Qwen2_5OmniModel", "Qwen2_5OmniForConditionalGeneration"),
        end_token="<|im_end|>",
        verified=_EQUALS_GENERATE,
        limits="text answers; one clip per prompt, or none, up to 300 s; no images, no video",
    ),
    Family(
        "Qwen3-Omni (thinker)",
        "Qwen3OmniMoeThinkerForConditionalGeneration",
        "Qwen3OmniMoeProcessor",
        made="whole",
        decoder="tree",
        longest_s=2400.0,
        captured=False,
        published_as=("Qwen3OmniMoeForConditionalGeneration",),
        end_token="<|im_end|>",
        verified=_EQUALS_GENERATE,
        limits="text answers; one clip per prompt, or none, up to 40 min; no images, no video",
    ),
    Family(
        "Voxtral",
        "VoxtralForConditionalGeneration",
        "VoxtralProcessor",
        made="mistral",
        decoder="tree",
        longest_s=2400.0,
        verified=_EQUALS_GENERATE,
        limits="one clip per prompt, or none, up to 40 min, encoded in windows of 30 s whatever "
        "its length; needs mistral-common",
    ),
    Family(
        "Ultravox",
        "UltravoxModel",
        "UltravoxProcessor",
        made="stacked",
        decoder=None,
        engines=("vllm",),
        verified="equals transformers' generate() behind its parts: Whisper's encoder, the "
        "projector, Llama",
        limits="one clip per prompt, within the window (30 s), which vLLM encodes otherwise than "
        "the published code from the second one on; needs trust_remote_code, for the processor "
        "that vLLM loads when it starts",
    ),
    Family(
        "Granite-Speech",
        "GraniteSpeechForConditionalGeneration",
        "GraniteSpeechProcessor",
        made="whole",
        clip="inline",
        decoder="plain",
        longest_s=1800.0,
        logits_divisor="logits_scaling",
        verified=f"{_EQUALS_GENERATE} once its logits are divided by logits_scaling, which "
        "transformers 5.19 leaves out",
        limits="one clip per prompt, or none, up to 30 min; the clip's adapter rests for questions "
        "without one; needs torchaudio and peft",
    ),
    Family(
        "Gemma 3n",
        "Gemma3nForConditionalGeneration",
        "Gemma3nProcessor",
        made="whole",
        decoder="plain",
        longest_s=30.0,
        verified=_EQUALS_GENERATE,
        limits="one clip per prompt, or none, up to 30 s; no images; needs timm",
    ),
    Family(
        "Phi-4-multimodal",
        "Phi4MultimodalForCausalLM",
        "Phi4MultimodalProcessor",
        made="whole",
        clip="inline",
        decoder="plain",
        longest_s=1800.0,
        features="audio_input_features",
        adapter="speech-lora",
        verified=_EQUALS_GENERATE,
        limits="one clip per prompt, or none, up to 30 min; the speech adapter rests for questions "
        "without one; no images; checkpoints in transformers' own layout; needs peft",
    ),
    _text("Qwen2, Qwen2.5 (text)", "Qwen2ForCausalLM"),
    _text("Qwen3 (text)", "Qwen3ForCausalLM"),
    _text("Llama 2, 3 (text)", "LlamaForCausalLM"),
    _text("Mistral (text)", "MistralForCausalLM"),
    _text("Gemma 3 (text)", "Gemma3ForCausalLM", "plain"),
)
"""Whatever is not listed is refused: padding, positions or attention may differ unnoticed."""


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A model that no engine runs in its own process.

    Attributes:
        name: what people call it.
        engine: the engine that asks an endpoint for it; None if it takes a plug-in.
        how: where it runs instead.
    """

    name: str
    engine: str | None
    how: str


ELSEWHERE: tuple[Elsewhere, ...] = (
    Elsewhere("GPT-4o, Gemini", "openai", "the provider's endpoint; presets in the README"),
    Elsewhere(
        "SALMONN, Baichuan-Omni, LTU-AS, Audio Flamingo 2",
        None,
        "a package of your own around their code; the README has one to copy",
    ),
)
"""Asked about just as often, answered by others."""


def family_of(model_path: str, architectures: Sequence[str] | None, engine: str) -> Family:
    """The family of a checkpoint.

    Args:
        model_path: to name it by.
        architectures: what its config says it is.
        engine: the engine that is asked to decode it.

    Raises:
        UnsupportedError: if the engine takes no such family.
    """
    found = architectures or []
    taken = [family for family in FAMILIES if engine in family.engines]
    for family in taken:
        if {family.architecture, *family.published_as}.intersection(found):
            return family
    raise UnsupportedError(
        f"{model_path} is a {', '.join(found) or 'model without a named architecture'}; the "
        f"{engine} engine decodes {', '.join(family.architecture for family in taken)}"
    )
