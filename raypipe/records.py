"""The records that travel between rooms: frozen, typed, free of any back end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from raypipe.errors import ConfigError

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]

Stage = Literal["ingest", "read", "decode", "prompt", "engine", "aggregate"]
HypothesisKind = Literal["greedy", "beam"]
"""Kinds of a search's own hypotheses; questions may record others, see :class:`Hypothesis`."""
FinishReason = Literal["stop", "length", "refusal", "content_filter"]
AlphaKind = Literal["sum_logprob", "sum_logprob_without_end", "none"]
EmotionKind = Literal["logit", "logprob"]
GrammarKind = Literal["regex", "json_schema"]


@dataclass(frozen=True, slots=True)
class Vote:
    """One annotator's judgement of one utterance.

    Attributes:
        annotator: the annotator's id in the corpus.
        labels: the primary label first, then secondary ones; empty if only typed.
        typed: what the annotator wrote instead of, or beside, picking a label.
        arousal: how active the voice is, on the corpus's own scale, higher is more active.
        valence: how pleasant, on the same scale.
        dominance: how dominant, on the same scale.
    """

    annotator: str
    labels: tuple[str, ...]
    typed: str | None = None
    arousal: float | None = None
    valence: float | None = None
    dominance: float | None = None


@dataclass(frozen=True, slots=True)
class AudioMarks:
    """What is measured of a recording's signal; None where it was not measured.

    Attributes:
        peak: largest magnitude, of full scale.
        rms: root mean square, of full scale.
        clipped_share: share of samples at full scale, in [0, 1].
        silent: nothing is to be heard.
        channel_correlation: Pearson correlation of the first two channels, in [-1, 1]; None for
            one channel.
    """

    peak: float | None = None
    rms: float | None = None
    clipped_share: float | None = None
    silent: bool | None = None
    channel_correlation: float | None = None


@dataclass(frozen=True, slots=True)
class Utterance:
    """One row of a shard: encoded audio and what people heard in it.

    Attributes:
        audio: the encoded file (WAV, FLAC, ...) as bytes.
        sampling_rate: of the encoded file, in Hz.
        duration_s: of the encoded file, in seconds.
        context: previous turns of the dialogue, oldest first.
        soft_label: votes / number of votes, shape ``(labels,)``, sums to 1; None without votes.
        plurality: the single most-voted label; None for a tie or without votes.
        n_votes: number of votes inside the label set.
        consensus: the label, in words, that the corpus itself publishes for it; ``no_agreement``
            where it says there is none; None where it says nothing.
        arousal: the annotators' mean as the corpus gives it, on its scale; ``valence`` and
            ``dominance`` the same.
        audio_marks: of the recording; None where it was not measured.
        facts: other columns of the corpus about the utterance, by name.
    """

    utterance_id: str
    dataset: str
    split: str | None
    speaker: str | None
    audio: bytes
    sampling_rate: int
    duration_s: float
    transcript: str | None = None
    context: tuple[str, ...] = ()
    votes: tuple[Vote, ...] = ()
    soft_label: tuple[float, ...] | None = None
    plurality: str | None = None
    n_votes: int = 0
    consensus: str | None = None
    arousal: float | None = None
    valence: float | None = None
    dominance: float | None = None
    audio_marks: AudioMarks | None = None
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Descriptors:
    """How a clip sounds, in numbers; None where there is nothing to measure.

    Levels depend on how loud the recording was made. Times are accurate to about 0.03 s.

    Attributes:
        duration_s: of the clip, in seconds.
        speech_s: of it, from the first sound to the last, without the pauses; 0 for silence.
        pitch_mean_hz: mean fundamental frequency of the voiced parts, in Hz, between 60 and 600;
            None without any, and likewise the next two.
        pitch_low_hz: its 5th percentile.
        pitch_high_hz: its 95th percentile.
        level_mean_db: mean power of the speech in dB, of which a full-scale sine has -3.01; None
            for silence.
        level_range_db: from the 5th to the 95th percentile of the levels of the voiced parts, in
            dB; None without any.
        syllables_per_s: syllable nuclei in a second of speech, pauses not counted; None where
            nothing is voiced.
        pause_count: number of pauses of at least 0.25 s between sounds.
        pause_s: of all of them together, in seconds.
    """

    duration_s: float
    speech_s: float
    pitch_mean_hz: float | None
    pitch_low_hz: float | None
    pitch_high_hz: float | None
    level_mean_db: float | None
    level_range_db: float | None
    syllables_per_s: float | None
    pause_count: int
    pause_s: float

    @property
    def pitch_range_semitones(self) -> float | None:
        """From ``pitch_low_hz`` to ``pitch_high_hz``, in semitones."""
        if self.pitch_low_hz is None or self.pitch_high_hz is None:
            return None
        return float(12.0 * np.log2(self.pitch_high_hz / self.pitch_low_hz))


@dataclass(frozen=True, slots=True)
class Request:
    """What a model is asked about one utterance.

    Attributes:
        prompt: the text of the user's turn, without audio placeholders or chat template.
        samples: mono audio at the engine's sampling rate, shape ``(samples,)``, float32; None for
            a question without a clip.
    """

    utterance_id: str
    prompt: str
    samples: FloatArray | None


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
    tensors: Mapping[str, NDArray[Any]] = field(default_factory=dict)


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


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """One generated output.

    Attributes:
        kind: ``greedy``, ``beam`` (see ``sampled``), ``cot`` (the greedy answer to the prompt's
            variant with step-by-step instructions), or the kind of another question, see
            :attr:`raypipe.questions.Question.kind`.
        rank: 0 for the greedy hypotheses; beams of one search are ranked by alpha from 0.
        token_ids: generated ids, shape ``(steps,)``, with the end-of-sequence id if it was reached;
            empty where the engine cannot know them.
        token_logprobs: log p of each generated token, natural log, shape ``(steps,)``; None where
            the engine cannot know them.
        alpha: cumulative log-likelihood, the plain sum of ``token_logprobs``; None where the
            engine cannot know it.
        finish_reason: ``stop`` at an end-of-sequence token, ``length`` if cut at the limit;
            ``refusal`` and ``content_filter`` mark a text that is no answer.
        emotion_logits: raw logits of the recorded emotion tokens, shape ``(steps, tokens)``,
            before softmax, temperature, penalties or grammar; None where unavailable.
        verifier_score: in [0, 1]; None if not scored.
        verifier_text: what the verifier wrote; of several answers, the first.
        verifier_error: why a candidate that was put to the verifier has no score; None otherwise.
        verifier_call: number of the call that judged it, from 0; the same for hypotheses that are
            the same candidate. None if it was not put to the verifier.
        verifier_tokens: prompt and answers of that call; None where unknown.
        alpha_kind: what alpha is; ``sum_logprob_without_end`` where an endpoint does not tell the
            probability of ending there, ``none`` where it tells no probabilities: such beams
            weigh the same.
        emotion_kind: ``logprob`` if ``emotion_logits`` holds log-probabilities instead, NaN where
            unknown: raw logits up to one constant per step.
        sampled: the beam is a sample that stands in for one found by search.
        step_count: number of generated tokens where their ids are not known.
        prompt_tokens: of the question that it answers, audio included; None where unknown.
        beam_count: how many beams the search that found it followed; None for greedy ones.
        window: which part of a long clip was heard, from 0; a clip within the model's window has
            one.
        window_s: seconds of that part; None for the whole clip.
        search_score: what the search ranked by, where that is not ``alpha``; None otherwise.
    """

    kind: str
    rank: int
    text: str
    token_ids: tuple[int, ...]
    token_logprobs: FloatArray | None
    alpha: float | None
    finish_reason: FinishReason
    emotion_logits: FloatArray | None
    verifier_score: float | None = None
    verifier_text: str | None = None
    verifier_error: str | None = None
    verifier_call: int | None = None
    verifier_tokens: int | None = None
    alpha_kind: AlphaKind = "sum_logprob"
    emotion_kind: EmotionKind = "logit"
    sampled: bool = False
    step_count: int | None = None
    prompt_tokens: int | None = None
    beam_count: int | None = None
    window: int = 0
    window_s: float | None = None
    search_score: float | None = None

    @property
    def is_answer(self) -> bool:
        """Whether the text is what the model answers, cut perhaps."""
        return self.finish_reason in ("stop", "length")

    @property
    def steps(self) -> int:
        """Number of generated tokens, 0 if the engine cannot know it."""
        return len(self.token_ids) if self.step_count is None else self.step_count


@dataclass(frozen=True, slots=True)
class AskedQuestion:
    """A question that was put to a model about one window of an utterance, and whether it answered.

    Attributes:
        question: its name, see :mod:`raypipe.questions`.
        window: which part of a long clip it was about, from 0.
        window_s: seconds of that part; None for the whole clip.
        beam_count: beams of the search that was asked for; None for any other request.
        prompt_tokens: of the prompt, audio included; None where unknown.
        error_type: short stable name of why there is no answer; None where there is one.
        error_message: what was wrong; None where there is an answer.
    """

    question: str
    window: int = 0
    window_s: float | None = None
    beam_count: int | None = None
    prompt_tokens: int | None = None
    error_type: str | None = None
    error_message: str | None = None

    @property
    def failed(self) -> bool:
        """Whether it got no answer."""
        return self.error_type is not None


@dataclass(frozen=True, slots=True)
class Generation:
    """Everything a model said about one utterance.

    Attributes:
        questions: what was asked; empty as an engine gives it.
        prompt_tokens: of the whole question, audio included; None where an endpoint does not say.
        audio_tokens: of them, those of the audio; None likewise.
        batch_size: utterances that were decoded together; fewer than asked for where memory ran
            out or a call held fewer. In half precision an answer may depend on it. None where
            the engine cannot know it.
    """

    utterance_id: str
    hypotheses: tuple[Hypothesis, ...]
    prompt_tokens: int | None
    audio_tokens: int | None
    batch_size: int | None = None
    questions: tuple[AskedQuestion, ...] = ()


@dataclass(frozen=True, slots=True)
class Failure:
    """One input that could not be processed: a row of its own, never a fake answer.

    Attributes:
        utterance_id: None when a whole shard or an unnamed manifest row failed.
        stage: where it failed.
        error_type: short stable name, e.g. ``"truncated"`` or ``"MissingId"``.
        message: file, row, field and value, without secrets or stacks.
    """

    utterance_id: str | None
    stage: Stage
    error_type: str
    message: str


@dataclass(frozen=True, slots=True)
class Parsed:
    """A text read as a distribution over the label set.

    Attributes:
        probs: shape ``(labels,)``, float64, sums to 1; None when invalid.
        rule: the parsing rule that fired, e.g. ``"json"``; ``"none"`` if no rule did.
        invalid_reason: why there is no distribution; None when valid.
    """

    probs: NDArray[np.float64] | None
    rule: str
    invalid_reason: str | None = None


@dataclass(frozen=True, slots=True)
class Prediction:
    """One strategy's answer for one utterance.

    Attributes:
        probs: shape ``(labels,)``, float64, sums to 1; None when invalid.
        parse_rule: rule of the hypothesis used; the distinct rules joined by ``+`` if several were.
        weighting: how beams were weighed, ``alpha``, ``verifier`` or, for want of alphas,
            ``uniform``; None where none were.
        entropy: entropy of ``probs``, in bits.
        total_uncertainty: H[E p] of the predicted mixture, in nats; None where a strategy has none.
        aleatoric_uncertainty: E[H(p)] under the mixture, in nats; None likewise.
        epistemic_uncertainty: their difference, in nats, >= 0; None likewise.
        model_tokens: prompts, each question once, and all that was generated for it, a verifier's
            included; None where unknown.
        verifier_calls: for this prediction; None where unknown.
        escalated: whether ``adaptive`` turned to its expensive strategy; None for any other.
    """

    strategy: str
    probs: NDArray[np.float64] | None
    parse_rule: str | None
    invalid_reason: str | None = None
    entropy: float | None = None
    total_uncertainty: float | None = None
    aleatoric_uncertainty: float | None = None
    epistemic_uncertainty: float | None = None
    weighting: str | None = None
    model_tokens: int | None = None
    verifier_calls: int | None = None
    escalated: bool | None = None

    @property
    def valid(self) -> bool:
        """Whether there is a distribution."""
        return self.probs is not None
