"""How each family's turn is written and its clip heard, by its own transformers processor.

No weights are loaded. A turn is tokenised with a single audio token, which is then repeated as
often as the clip asks for: prompts and clips are made ready apart from each other, and each once.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np
import soundfile
import transformers
from numpy.typing import NDArray
from transformers import PreTrainedConfig, WhisperFeatureExtractor

from raypipe.engines.families import Family
from raypipe.engines.log_mel import cropped_log_mel
from raypipe.engines.model_input import audio_token_count, stacked_token_count
from raypipe.engines.processor_loading import ears, load_processor
from raypipe.errors import EngineError, UnsupportedError
from raypipe.records import FloatArray, IntArray

_AUDIO_MARK = "<|audio|>"
"""Where Ultravox's clip stands in the text of a turn."""
_ABOUT_THE_TEXT = ("input_ids", "attention_mask", "token_type_ids", "mm_token_type_ids")


class AudioFeatures(NamedTuple):
    """A clip made ready; fields as in :class:`raypipe.records.ModelInput`.

    Attributes:
        audio_tokens: how many tokens of the turn stand for it.
    """

    features: FloatArray
    feature_frames: int
    tensors: Mapping[str, NDArray[Any]]
    audio_tokens: int


class Processor(Protocol):
    """What the frontend needs of a family.

    Attributes:
        tokenizer: writes and reads the model's tokens.
        sampling_rate: of the clips, in Hz.
        longest: samples of the longest clip the model takes; None if it takes none at all.
        shortest: samples of the shortest one.
        audio_token_id: the token that stands for a piece of a clip; None likewise.
        silence: features of a question without a clip.
        control_tokens: texts that the tokenizer would read as control tokens in a prompt.
    """

    tokenizer: Any
    sampling_rate: int
    longest: int | None
    shortest: int
    audio_token_id: int | None
    silence: FloatArray
    control_tokens: tuple[str, ...]

    def turn(self, prompt: str, *, with_clip: bool) -> IntArray:
        """Token ids of the user's turn, a single audio token for the clip, shape ``(tokens,)``."""
        ...

    def hear(self, samples: FloatArray) -> AudioFeatures:
        """Make a mono clip ready, shape ``(samples,)``."""
        ...


class WholeProcessor:
    """Asks transformers' processor about one clip and one prompt at a time.

    Args:
        family: which one.
        model_path: local directory or hub id.
        origin: ``revision`` and ``trust_remote_code``.
    """

    silence: FloatArray = np.zeros((0, 0), dtype=np.float32)

    def __init__(self, family: Family, model_path: str, origin: Mapping[str, Any]) -> None:
        self._family = family
        self._processor = load_processor(family, model_path, origin)
        self.tokenizer = self._processor.tokenizer
        self._extractor = ears(self._processor)
        self.sampling_rate: int = self._extractor.sampling_rate
        self.longest: int | None = self._longest()
        self.shortest = round(family.shortest_s * self.sampling_rate)
        self._audio_token: str = self._processor.audio_token
        self.audio_token_id: int | None = self.tokenizer.convert_tokens_to_ids(self._audio_token)
        self.control_tokens = self._control_tokens()
        self._example = np.zeros(self.sampling_rate, dtype=np.float32)

    def turn(self, prompt: str, *, with_clip: bool) -> IntArray:
        """Token ids of the user's turn, a single audio token for the clip, shape ``(tokens,)``.

        Raises:
            EngineError: if the processor does not put the clip into one place.
        """
        asked = self._ask(prompt, self._example if with_clip else None)
        token_ids = np.asarray(asked["input_ids"][0], dtype=np.int64)
        if not with_clip:
            return token_ids
        (places,) = np.nonzero(token_ids == self.audio_token_id)
        if not len(places) or places[-1] - places[0] + 1 != len(places):
            raise EngineError(f"the audio tokens of {self._family.name} do not stand side by side")
        return np.concatenate([token_ids[: places[0] + 1], token_ids[places[-1] + 1 :]])

    def hear(self, samples: FloatArray) -> AudioFeatures:
        """Make a mono clip ready, shape ``(samples,)``."""
        asked = self._ask("", samples)
        tensors = {
            name: np.asarray(value)
            for name, value in asked.items()
            if name not in _ABOUT_THE_TEXT and value is not None
        }
        audio_tokens = int((np.asarray(asked["input_ids"][0]) == self.audio_token_id).sum())
        return AudioFeatures(
            tensors.pop(self._family.features), audio_tokens, tensors, audio_tokens
        )

    def _control_tokens(self) -> tuple[str, ...]:
        return _control_tokens(self.tokenizer)

    def _longest(self) -> int:
        longest_s = self._family.longest_s
        if longest_s is None:
            return int(self._extractor.n_samples)
        return round(longest_s * self.sampling_rate)

    def _ask(self, prompt: str, samples: FloatArray | None) -> Mapping[str, Any]:
        text = self._render(prompt, samples is not None)
        clip = {} if samples is None else {"audio": [samples], "sampling_rate": self.sampling_rate}
        # The template may have written the first token already.
        begins = self.tokenizer.bos_token
        asked: Mapping[str, Any] = self._processor(
            text=[text],
            **clip,
            add_special_tokens=begins is None or not text.startswith(begins),
            return_tensors="pt",
        )
        return asked

    def _render(self, prompt: str, with_clip: bool) -> str:
        content: Any
        if self._family.clip == "inline":
            content = (self._audio_token if with_clip else "") + prompt
        else:
            content = [{"type": "text", "text": prompt}]
            if with_clip:
                content.insert(0 if self._family.clip == "before" else 1, {"type": "audio"})
        # Not every processor takes up its tokenizer's template.
        template = self._processor.chat_template or self.tokenizer.chat_template
        if not template:
            raise EngineError("the checkpoint has no chat template")
        text: str = self._processor.apply_chat_template(
            [{"role": "user", "content": content}],
            chat_template=template,
            add_generation_prompt=True,
            tokenize=False,
        )
        return text


class WindowProcessor(WholeProcessor):
    """Qwen2-Audio's and its relatives': features of a clip's real frames and their right context.

    The decoder pads them itself, to what is encoded together. A clip of several windows is given
    window by window, each one whole.
    """

    def __init__(self, family: Family, model_path: str, origin: Mapping[str, Any]) -> None:
        super().__init__(family, model_path, origin)
        # One audio token takes three frames, two after the convolutions.
        self.shortest = 2 * int(self._extractor.hop_length) + 1
        self.silence = np.zeros((self._extractor.feature_size, 0), dtype=np.float32)

    def hear(self, samples: FloatArray) -> AudioFeatures:
        """Make a mono clip ready, shape ``(samples,)``."""
        window = int(self._extractor.n_samples)
        if len(samples) <= window:
            features, frames = cropped_log_mel(self._extractor, samples)
        else:
            parts = [samples[start : start + window] for start in range(0, len(samples), window)]
            made = self._extractor(parts, sampling_rate=self.sampling_rate, return_tensors="np")
            features = made["input_features"].astype(np.float32)
            frames = -(-len(samples) // int(self._extractor.hop_length))
        return AudioFeatures(features, frames, {}, audio_token_count(frames))

    def turn(self, prompt: str, *, with_clip: bool) -> IntArray:
        """Token ids of the user's turn, a single audio token for the clip, shape ``(tokens,)``."""
        token_ids = self.tokenizer(self._render(prompt, with_clip))["input_ids"]
        return np.asarray(token_ids, dtype=np.int64)


class CroppedProcessor(WindowProcessor):
    """Features of the real frames only, for encoders that look at no others.

    Qwen2.5-Omni's own processor pads every clip to 300 s, of which its model takes the real frames.
    """

    def __init__(self, family: Family, model_path: str, origin: Mapping[str, Any]) -> None:
        super().__init__(family, model_path, origin)
        self.silence = WholeProcessor.silence

    def hear(self, samples: FloatArray) -> AudioFeatures:
        """Make a mono clip ready, shape ``(samples,)``."""
        features, frames, _, audio_tokens = super().hear(samples)
        mask = np.ones((1, frames), dtype=np.int64)
        features = np.ascontiguousarray(features[None, :, :frames])
        return AudioFeatures(features, frames, {"feature_attention_mask": mask}, audio_tokens)


class MistralProcessor(WholeProcessor):
    """Voxtral's, whose turns are written by mistral-common."""

    def _control_tokens(self) -> tuple[str, ...]:
        # It never reads any in the text of a message.
        return ()

    def _ask(self, prompt: str, samples: FloatArray | None) -> Mapping[str, Any]:
        content = [{"type": "text", "text": prompt}] if prompt else []
        if samples is not None:
            # As floating-point numbers: nothing is rounded on the way.
            file = io.BytesIO()
            soundfile.write(file, samples, self.sampling_rate, format="WAV", subtype="FLOAT")
            clip = base64.b64encode(file.getvalue()).decode()
            content.insert(0, {"type": "audio", "base64": clip})
        asked: Mapping[str, Any] = self._processor.apply_chat_template(
            [{"role": "user", "content": content}], return_tensors="pt"
        )
        return asked


def _control_tokens(tokenizer: Any) -> tuple[str, ...]:
    added = tokenizer.added_tokens_decoder.values()
    return tuple(token.content for token in added if token.special)


def _require_template(tokenizer: Any, model_path: str) -> None:
    if not tokenizer.chat_template:
        raise UnsupportedError(f"{model_path} has no chat template: is it a base model?")


class StackedProcessor:
    """Ultravox's, which comes as code with each checkpoint: what that makes, without running it.

    Whisper's feature extractor hears a clip at its length, which is padded to whole frames. The
    projector stacks the encoder's frames; one stack is one audio token.

    Args:
        family: which one.
        model_path: local directory or hub id.
        origin: ``revision`` and ``trust_remote_code``.

    Raises:
        UnsupportedError: for a tokenizer without a chat template.
    """

    silence = WholeProcessor.silence

    def __init__(self, family: Family, model_path: str, origin: Mapping[str, Any]) -> None:
        revision = origin.get("revision")
        config, _ = PreTrainedConfig.get_config_dict(model_path, revision=revision)
        # Any config: the tokenizer names its class, and transformers does not know the model's.
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(
            model_path, config=PreTrainedConfig(), **origin
        )
        _require_template(self.tokenizer, model_path)
        # The encoder may lie in a place of its own, of which the revision says nothing.
        elsewhere = config.get("audio_model_id")
        place = {"revision": revision} if elsewhere is None else {}
        self._extractor = WhisperFeatureExtractor.from_pretrained(elsewhere or model_path, **place)
        self._stack: int = config.get("stack_factor", 8)
        self.sampling_rate: int = self._extractor.sampling_rate
        self.longest: int | None = self._extractor.n_samples
        self.shortest = 2 * int(self._extractor.hop_length)
        # Outside the vocabulary in published checkpoints: its text is none of the tokenizer's.
        self.audio_token_id: int | None = config.get("audio_token_index", 32_000)
        self.control_tokens = (_AUDIO_MARK, *_control_tokens(self.tokenizer))

    def turn(self, prompt: str, *, with_clip: bool) -> IntArray:
        """Token ids of the user's turn, a single audio token for the clip, shape ``(tokens,)``."""
        text: str = self.tokenizer.apply_chat_template(
            [{"role": "user", "content": (f"{_AUDIO_MARK}\n" if with_clip else "") + prompt}],
            add_generation_prompt=True,
            tokenize=False,
        )
        parts = self.tokenizer(text.split(_AUDIO_MARK), add_special_tokens=False)["input_ids"]
        token_ids = [*parts[0]]
        for part in parts[1:]:
            token_ids += [self.audio_token_id, *part]
        return np.asarray(token_ids, dtype=np.int64)

    def hear(self, samples: FloatArray) -> AudioFeatures:
        """Make a mono clip ready, shape ``(samples,)``."""
        features = self._extractor(
            samples,
            sampling_rate=self.sampling_rate,
            padding="longest",
            pad_to_multiple_of=self._extractor.hop_length,
            truncation=False,
            return_tensors="np",
        )["input_features"][0].astype(np.float32)
        frames = features.shape[1]
        return AudioFeatures(features, frames, {}, stacked_token_count(frames, self._stack))


class TextProcessor:
    """A text model's tokenizer: there is nothing to hear with.

    Args:
        family: which one.
        model_path: local directory or hub id.
        origin: ``revision`` and ``trust_remote_code``.

    Raises:
        UnsupportedError: for a tokenizer without a chat template.
    """

    longest = None
    shortest = 0
    audio_token_id = None
    silence = WholeProcessor.silence

    def __init__(self, family: Family, model_path: str, origin: Mapping[str, Any]) -> None:
        self._family = family
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(model_path, **origin)
        self.control_tokens = _control_tokens(self.tokenizer)
        self.sampling_rate = 16_000
        _require_template(self.tokenizer, model_path)

    def turn(self, prompt: str, *, with_clip: bool) -> IntArray:
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

    def hear(self, samples: FloatArray) -> AudioFeatures:
        """Never.

        Raises:
            EngineError: always.
        """
        raise EngineError(f"{self._family.name} takes no audio")


PROCESSORS: Mapping[str, Any] = {
    "window": WindowProcessor,
    "whole": WholeProcessor,
    "cropped": CroppedProcessor,
    "mistral": MistralProcessor,
    "stacked": StackedProcessor,
    "text": TextProcessor,
}
"""By the word that :class:`raypipe.engines.families.Family` has for it."""
