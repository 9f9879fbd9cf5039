"""How a family's prompts and clips become a model's inputs, by its own transformers processor.

No weights are loaded. A turn is tokenised with a single audio token, which is then repeated as
often as the clip asks for: prompts and clips are made ready apart from each other, and each once.

What only one family needs stands in its own file in :mod:`raypipe.engines.families`; importing this
module imports no transformers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from raypipe.engines.log_mel import cropped_log_mel
from raypipe.engines.model_input import audio_token_count
from raypipe.engines.processor_loading import feature_extractor, load_processor
from raypipe.errors import EngineError, UnsupportedError
from raypipe.records import ClipPlace, FloatArray, IntArray

if TYPE_CHECKING:
    from transformers import BatchFeature, PreTrainedTokenizerBase

    from raypipe.engines.families.family import Family

NO_FEATURES: FloatArray = np.zeros((0, 0), dtype=np.float32)
"""Features of a question without a clip, for models that are given none."""

_ABOUT_THE_TEXT = ("input_ids", "attention_mask", "token_type_ids", "mm_token_type_ids")


class AudioFeatures(NamedTuple):
    """What a model is given of a clip; fields as in :class:`raypipe.records.ModelInput`.

    Attributes:
        audio_tokens: how many tokens of the turn stand for it.
    """

    features: FloatArray
    feature_frames: int
    tensors: Mapping[str, NDArray[np.generic]]
    audio_tokens: int


class InputBuilder(Protocol):
    """What the frontend needs of a family's checkpoint.

    Attributes:
        tokenizer: writes and reads the model's tokens.
        sampling_rate: of the clips, in Hz.
        longest: samples of the longest clip the model takes; None if it takes none.
        shortest: samples of the shortest one.
        audio_token_id: the token that stands for a piece of a clip; None if it takes none.
        silence: features of a question without a clip.
        control_tokens: texts that the tokenizer would read as control tokens in a prompt.
    """

    tokenizer: PreTrainedTokenizerBase
    sampling_rate: int
    longest: int | None
    shortest: int
    audio_token_id: int | None
    silence: FloatArray
    control_tokens: tuple[str, ...]

    def turn(self, prompt: str, *, with_clip: bool, clip: ClipPlace | None = None) -> IntArray:
        """Token ids of the user's turn, a single audio token for the clip, shape ``(tokens,)``.

        The clip stands in the place that is named, or where the family has it.
        """
        ...

    def rendered(
        self,
        prompt: str,
        *,
        with_clip: bool,
        answer: str | None = None,
        clip: ClipPlace | None = None,
    ) -> str:
        """The conversation as text: the user's turn and the assistant's, open or with an answer."""
        ...

    def extract(self, samples: FloatArray) -> AudioFeatures:
        """Features of a mono clip, shape ``(samples,)``."""
        ...


class ProcessorInputBuilder:
    """Inputs as transformers' processor makes them, one clip and one prompt at a time.

    Args:
        family: which one.
        model_path: local directory or hub id.
        origin: ``revision`` and ``trust_remote_code``.
    """

    silence: FloatArray = NO_FEATURES

    def __init__(self, family: Family, model_path: str, origin: Mapping[str, object]) -> None:
        assert family.clips is not None  # what takes no clips has a TextInputBuilder
        self._family, self._clips = family, family.clips
        self._processor = load_processor(family, model_path, origin)
        self.tokenizer = self._processor.tokenizer
        self._extractor = feature_extractor(self._processor)
        self.sampling_rate: int = self._extractor.sampling_rate
        self.longest: int | None = self._longest()
        self.shortest = round(self._clips.shortest_s * self.sampling_rate)
        self._audio_token: str = self._processor.audio_token
        self.audio_token_id: int | None = self.tokenizer.convert_tokens_to_ids(self._audio_token)
        self.control_tokens = self._control_tokens()
        self._example = np.zeros(self.sampling_rate, dtype=np.float32)

    def turn(self, prompt: str, *, with_clip: bool, clip: ClipPlace | None = None) -> IntArray:
        """Token ids of the user's turn, a single audio token for the clip, shape ``(tokens,)``.

        Raises:
            EngineError: if the processor does not put the clip into one place.
        """
        processed = self._processed(prompt, self._example if with_clip else None, clip)
        token_ids = np.asarray(processed["input_ids"][0], dtype=np.int64)
        if not with_clip:
            return token_ids
        (places,) = np.nonzero(token_ids == self.audio_token_id)
        if not len(places) or places[-1] - places[0] + 1 != len(places):
            raise EngineError(f"the audio tokens of {self._family.name} do not stand side by side")
        return np.concatenate([token_ids[: places[0] + 1], token_ids[places[-1] + 1 :]])

    def extract(self, samples: FloatArray) -> AudioFeatures:
        """Features of a mono clip, shape ``(samples,)``."""
        processed = self._processed("", samples)
        tensors = {
            name: np.asarray(value)
            for name, value in processed.items()
            if name not in _ABOUT_THE_TEXT and value is not None
        }
        audio_tokens = int((np.asarray(processed["input_ids"][0]) == self.audio_token_id).sum())
        return AudioFeatures(
            tensors.pop(self._family.features), audio_tokens, tensors, audio_tokens
        )

    def _control_tokens(self) -> tuple[str, ...]:
        return control_tokens(self.tokenizer)

    def _longest(self) -> int:
        if self._clips.longest_by_checkpoint:
            return int(self._extractor.n_samples)
        return round(self._clips.longest_s * self.sampling_rate)

    def _processed(
        self, prompt: str, samples: FloatArray | None, clip: ClipPlace | None = None
    ) -> BatchFeature:
        text = self.rendered(prompt, with_clip=samples is not None, clip=clip)
        audio = {} if samples is None else {"audio": [samples], "sampling_rate": self.sampling_rate}
        # The template may have written the first token already.
        begins = self.tokenizer.bos_token
        processed: BatchFeature = self._processor(
            text=[text],
            **audio,
            add_special_tokens=begins is None or not text.startswith(begins),
            return_tensors="pt",
        )
        return processed

    def rendered(
        self,
        prompt: str,
        *,
        with_clip: bool,
        answer: str | None = None,
        clip: ClipPlace | None = None,
    ) -> str:
        """The conversation as the chat template writes it, the clip as a single audio token.

        Args:
            prompt: text of the user's turn.
            with_clip: whether a clip is in it.
            answer: of the assistant, whose turn is closed; None leaves it open, to be answered.
            clip: where the clip stands; None for where the family has it.

        Raises:
            EngineError: if the checkpoint has no chat template.
        """
        is_last = (clip or self._family.clip_place) == "after"
        content: str | list[dict[str, str]]
        if self._family.clip_place == "inline":
            token = self._audio_token if with_clip else ""
            content = prompt + token if is_last else token + prompt
        else:
            parts = [{"type": "text", "text": prompt}]
            if with_clip:
                parts.insert(1 if is_last else 0, {"type": "audio"})
            content = parts
        # Not every processor takes up its tokenizer's template.
        template = self._processor.chat_template or self.tokenizer.chat_template
        if not template:
            raise EngineError("the checkpoint has no chat template")
        turns: list[dict[str, object]] = [{"role": "user", "content": content}]
        if answer is not None:
            answered = answer if isinstance(content, str) else [{"type": "text", "text": answer}]
            turns.append({"role": "assistant", "content": answered})
        text: str = self._processor.apply_chat_template(
            turns, chat_template=template, add_generation_prompt=answer is None, tokenize=False
        )
        return text


class WindowInputBuilder(ProcessorInputBuilder):
    """Inputs with features of a clip's real frames and their right context, as for Qwen2-Audio.

    The decoder pads them itself, to what is encoded together. A clip of several windows is given
    window by window, each one whole.
    """

    def __init__(self, family: Family, model_path: str, origin: Mapping[str, object]) -> None:
        super().__init__(family, model_path, origin)
        # One audio token takes three frames, two after the convolutions.
        self.shortest = 2 * int(self._extractor.hop_length) + 1
        self.silence = np.zeros((self._extractor.feature_size, 0), dtype=np.float32)

    def extract(self, samples: FloatArray) -> AudioFeatures:
        """Features of a mono clip, shape ``(samples,)``."""
        window = int(self._extractor.n_samples)
        if len(samples) <= window:
            features, frames = cropped_log_mel(self._extractor, samples)
        else:
            parts = [samples[start : start + window] for start in range(0, len(samples), window)]
            made = self._extractor(parts, sampling_rate=self.sampling_rate, return_tensors="np")
            features = made["input_features"].astype(np.float32)
            frames = -(-len(samples) // int(self._extractor.hop_length))
        return AudioFeatures(features, frames, {}, audio_token_count(frames))

    def turn(self, prompt: str, *, with_clip: bool, clip: ClipPlace | None = None) -> IntArray:
        """Token ids of the user's turn, a single audio token for the clip, shape ``(tokens,)``."""
        text = self.rendered(prompt, with_clip=with_clip, clip=clip)
        token_ids = self.tokenizer(text)["input_ids"]
        return np.asarray(token_ids, dtype=np.int64)


def control_tokens(tokenizer: PreTrainedTokenizerBase) -> tuple[str, ...]:
    """Texts that a tokenizer reads as control tokens wherever they stand."""
    added = tokenizer.added_tokens_decoder.values()
    return tuple(token.content for token in added if token.special)


def require_template(tokenizer: PreTrainedTokenizerBase, model_path: str) -> None:
    """Refuse a tokenizer without a chat template.

    Raises:
        UnsupportedError: naming the checkpoint.
    """
    if not tokenizer.chat_template:
        raise UnsupportedError(f"{model_path} has no chat template: is it a base model?")


class TextInputBuilder:
    """Inputs of a text model, which takes no clips.

    Args:
        family: which one.
        model_path: local directory or hub id.
        origin: ``revision`` and ``trust_remote_code``.

    Raises:
        UnsupportedError: for a tokenizer without a chat template.
    """

    longest: int | None = None
    shortest: int = 0
    audio_token_id: int | None = None
    silence = NO_FEATURES

    def __init__(self, family: Family, model_path: str, origin: Mapping[str, object]) -> None:
        from transformers import AutoTokenizer

        self._family = family
        self.tokenizer = AutoTokenizer.from_pretrained(model_path, **origin)
        self.control_tokens = control_tokens(self.tokenizer)
        self.sampling_rate = 16_000
        require_template(self.tokenizer, model_path)

    def turn(self, prompt: str, *, with_clip: bool, clip: ClipPlace | None = None) -> IntArray:
        """Token ids of the user's turn, shape ``(tokens,)``.

        Raises:
            EngineError: with a clip.
        """
        if with_clip:
            raise EngineError(f"{self._family.name} takes no audio")
        token_ids = self.tokenizer.apply_chat_template(
            [{"role": "user", "content": prompt}], add_generation_prompt=True, return_dict=False
        )
        return np.asarray(token_ids, dtype=np.int64)

    def rendered(
        self,
        prompt: str,
        *,
        with_clip: bool,
        answer: str | None = None,
        clip: ClipPlace | None = None,
    ) -> str:
        """The conversation as text: the user's turn and the assistant's, open or with an answer."""
        turns = [{"role": "user", "content": prompt}]
        turns += [] if answer is None else [{"role": "assistant", "content": answer}]
        text: str = self.tokenizer.apply_chat_template(
            turns, add_generation_prompt=answer is None, tokenize=False
        )
        return text

    def extract(self, samples: FloatArray) -> AudioFeatures:
        """No features: there is no encoder.

        Raises:
            EngineError: always.
        """
        raise EngineError(f"{self._family.name} takes no audio")
