"""Records of what a model is asked: requests, searches, inputs, recorded tokens."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from raypipe.errors import ConfigError
from raypipe.records.arrays import FloatArray, IntArray
from raypipe.records.pickling import quickly_pickled

GrammarKind = Literal["regex", "json_schema"]
"""Languages that a grammar can be written in."""


Turn = Literal["chat", "plain"]
"""How a prompt is put to a model: in a chat's turns, or as a text for it to go on with."""

ClipPlace = Literal["before", "after"]
"""Where a clip stands in the user's turn, as seen from the text of the prompt."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a model is asked about one utterance.

    Attributes:
        prompt: the text of the user's turn, without audio placeholders or chat template.
        samples: mono audio at the engine's sampling rate, shape ``(samples,)``, float32; None for
            a question without a clip.
        turn: what is made of the prompt: a user's turn of a chat, or a plain text that goes on.
        clip: where the clip stands in a chat's turn; None for where the model's family has it.
    """

    utterance_id: str
    prompt: str
    samples: FloatArray | None
    turn: Turn = "chat"
    clip: ClipPlace | None = None


@dataclass(frozen=True, slots=True)
class Grammar:
    """What an answer may be written like.

    Attributes:
        kind: the language that ``source`` is written in.
        source: a JSON schema as text, or a regular expression.
    """

    kind: GrammarKind
    source: str


@dataclass(frozen=True, slots=True)
class Penalties:
    """What a search holds against tokens beside the model's own probabilities.

    Attributes:
        repetition: factor by which the score of a token that was said already, in the prompt or
            in the answer, is made worse; 1 for none.

    Raises:
        ConfigError: for a factor that is no finite number above 0.
    """

    repetition: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.repetition < math.inf:
            raise ConfigError(
                f"repetition_penalty {self.repetition} must be a finite number above 0"
            )

    @property
    def any(self) -> bool:
        """Whether anything is changed."""
        return self.repetition != 1.0


NO_PENALTIES = Penalties()
"""The model's own probabilities alone."""

AskedPenalties = Penalties | Literal["checkpoint"]
"""Penalties of a run: those given, or what each checkpoint's own generation config asks for."""


@dataclass(frozen=True, slots=True)
class Search:
    """Which hypotheses are looked for.

    Attributes:
        beam_count: number of beams B; 0 for none.
        greedy: also follow the greedy hypothesis, which is not the best beam.
        max_new_tokens: longest hypothesis in tokens.
        grammar: what every hypothesis must match; None for anything.

    Raises:
        ConfigError: for a search that looks for nothing.
    """

    beam_count: int
    greedy: bool
    max_new_tokens: int
    grammar: Grammar | None = None

    def __post_init__(self) -> None:
        if self.beam_count < 0 or self.lane_count == 0 or self.max_new_tokens < 1:
            raise ConfigError(
                f"beam_count {self.beam_count}, greedy {self.greedy} and max_new_tokens "
                f"{self.max_new_tokens} ask for no hypothesis"
            )

    @property
    def lane_count(self) -> int:
        """Hypotheses followed at once."""
        return self.beam_count + self.greedy


@quickly_pickled
@dataclass(frozen=True, slots=True)
class ModelInput:
    """A request made ready for a model on a CPU worker: token ids and audio features.

    Attributes:
        token_ids: the whole chat turn with one audio token per encoder output, shape ``(tokens,)``.
        features: log-mel features of the real frames plus the right context that the encoder's
            convolutions reach into, shape ``(mel_bins, frames)``, or ``(windows, mel_bins,
            frames)`` for a clip beyond the encoder's window; what its processor made of the clip
            for a family that is given that as it is; empty without a clip.
        feature_frames: number of real frames; 0 without a clip.
        tensors: what else the processor made of the clip, by the names that the model's forward
            pass has for it.
    """

    utterance_id: str
    token_ids: IntArray
    features: FloatArray
    feature_frames: int
    tensors: Mapping[str, NDArray[np.generic]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WrittenTurn:
    """A request as a model reads it, for people to look at.

    Attributes:
        text: the whole turn; audio tokens side by side are written as their number.
        tokens: of the whole turn, audio included; None where only an endpoint counts them.
        audio_tokens: of them, those of the audio; None where only an endpoint counts them.
    """

    text: str
    tokens: int | None
    audio_tokens: int | None


@quickly_pickled
@dataclass(frozen=True, slots=True)
class ChatInput:
    """A request made ready for an endpoint: what is said to it, and the clip as a file.

    Attributes:
        prompt: the text of the user's turn.
        audio: the encoded clip, mono; None for a question without one.
        audio_format: its encoding, ``wav`` or ``flac``.
    """

    utterance_id: str
    prompt: str
    audio: bytes | None
    audio_format: str


@dataclass(frozen=True, slots=True)
class EmotionWord:
    """One surface form of a label and the sub-tokens it is written with (V_n of the paper)."""

    label: str
    form: str
    token_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class OptionOrder:
    """In which order a closed form offers its options.

    Attributes:
        seed: gives every utterance an order of its own; None for the paper's order.
    """

    seed: int | None = None


@dataclass(frozen=True, slots=True)
class Option:
    """An option of a closed form.

    Attributes:
        letter: ``A``, ``B``, ...
        label: of the label set, or ``other``.
        text: as the model reads it.
    """

    letter: str
    label: str
    text: str


@dataclass(frozen=True, slots=True)
class EmotionTokens:
    """The tokens whose raw logits an engine records at every step.

    Attributes:
        words: every surface form of every label.
        token_ids: the recorded ids: the union over ``words``, ascending. The last axis of
            :attr:`Hypothesis.emotion_logits` is aligned with it.
        token_strings: the same tokens as text.
    """

    words: tuple[EmotionWord, ...]
    token_ids: tuple[int, ...]
    token_strings: tuple[str, ...]

    def __hash__(self) -> int:
        # That of some hundred words takes longer than what is looked up by it.
        return hash(self.token_ids)
