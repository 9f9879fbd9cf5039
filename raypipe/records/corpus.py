"""Records of a corpus: votes, utterances, what is measured of a clip, what failed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from raypipe.records.pickling import quickly_pickled

Stage = Literal["ingest", "read", "decode", "prompt", "engine", "aggregate"]
"""Where an input can fail."""

Drawn = Literal["utterances", "speakers"]
"""What a bootstrap replicate draws; an utterance without a known speaker is drawn alone."""


@quickly_pickled
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


@quickly_pickled
@dataclass(frozen=True, slots=True)
class AudioMarks:
    """What is measured of a recording's signal; None where it was not measured.

    Attributes:
        peak: largest magnitude, of full scale.
        rms: root mean square, of full scale.
        clipped_share: share of samples at full scale, in [0, 1].
        silent: nothing is to be heard in the mix of its channels, which may cancel out.
        channel_correlation: Pearson correlation of the first two channels, in [-1, 1]; None for
            one channel, or one that is constant.
        note: what was wrong with its container and could be mended, in words; None otherwise.
    """

    peak: float | None = None
    rms: float | None = None
    clipped_share: float | None = None
    silent: bool | None = None
    channel_correlation: float | None = None
    note: str | None = None


@quickly_pickled
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
            None without any, as are the next two.
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


@quickly_pickled
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

    @property
    def is_refusal(self) -> bool:
        """Whether the input was refused for what it is; see :func:`is_refusal`."""
        return is_refusal(self.stage, self.error_type)


_NOT_ABOUT_THE_INPUT = frozenset(
    {
        *("not_processed", "no_audio_input", "no_clip"),
        *("process_died", "timeout", "memory_limit"),
    }
)
_UNREADABLE_SHARD = "ShardError"


def is_refusal(stage: str, error_type: str) -> bool:
    """Whether an input was refused for what it is: too long, unreadable, empty, silent.

    Otherwise raypipe, the engine or the model failed: their errors are named after an exception, or
    come from the engine.

    Args:
        stage: of the failure.
        error_type: of the failure.

    Example:
        >>> is_refusal("decode", "too_long"), is_refusal("decode", "ValueError")
        (True, False)
        >>> is_refusal("engine", "timeout"), is_refusal("prompt", "special_token_in_prompt")
        (False, True)
    """
    if stage in ("engine", "aggregate") or error_type in _NOT_ABOUT_THE_INPUT:
        return False
    return error_type == _UNREADABLE_SHARD or not error_type[:1].isupper()
