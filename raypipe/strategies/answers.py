"""What a strategy may look at: the parsed answers of one window of one utterance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from raypipe.labels import LabelSet
from raypipe.parsing import UNKNOWN_LABELS, parse_answer
from raypipe.records import AskedQuestion, EmotionTokens, Hypothesis, Option, Parsed
from raypipe.strategies.merging import merge_tokenisations
from raypipe.strategies.setting import Settings
from raypipe.strategies.shared import MAX_DROPPED_SHARE, MERGE_TOKENISATIONS


@dataclass(frozen=True, slots=True)
class Candidate:
    """A hypothesis beside what the parser read in it."""

    hypothesis: Hypothesis
    parsed: Parsed


@dataclass(frozen=True, slots=True)
class WindowAnswers:
    """All that a strategy may look at for one window of an utterance.

    Attributes:
        candidates: every hypothesis of the window, beams by rank.
        failures: questions about the window that got no answer.
        beams: the beams that are looked at, by rank; those of one text taken together where the
            settings say so.
        searched: all beams of the search that found ``beams``, which may be fewer.
        beam_count: of that search; None for the only one there is.
        options: that the question offered; none for another form than closed.
    """

    candidates: tuple[Candidate, ...]
    failures: tuple[AskedQuestion, ...]
    beams: tuple[Candidate, ...]
    searched: tuple[Candidate, ...]
    labels: LabelSet
    emotion_tokens: EmotionTokens
    settings: Settings
    beam_count: int | None = None
    options: tuple[Option, ...] = ()

    def of_kind(self, kind: str) -> tuple[Candidate, ...]:
        """The hypotheses of one kind, see :attr:`Hypothesis.kind`."""
        return tuple(item for item in self.candidates if item.hypothesis.kind == kind)

    @property
    def greedy(self) -> Candidate | None:
        """The greedy answer; None if there is none."""
        return next(iter(self.of_kind("greedy")), None)

    @property
    def cot(self) -> Candidate | None:
        """The greedy answer to the prompt's chain-of-thought variant; None if there is none."""
        return next(iter(self.of_kind("cot")), None)

    def has_failed(self, question: str) -> bool:
        """Whether a question got no answer; of several searches, the one that is looked at."""
        return any(
            failure.question == question
            and (failure.beam_count is None or failure.beam_count == self.beam_count)
            for failure in self.failures
        )

    def view(
        self, settings: Settings, beam_count: int | None, sub_beams: int | None
    ) -> WindowAnswers:
        """The first ``sub_beams`` beams, by rank, of the search with ``beam_count`` beams.

        Args:
            settings: that the strategy declares; beams of one text are taken together only for
                one that declares that setting.
            beam_count: None for the only search, of several the widest. Beams that do not say
                how wide their search was are those of the only one.
            sub_beams: None for all.
        """
        candidates = self.candidates
        if MAX_DROPPED_SHARE in settings:
            candidates = tuple(_within(item, settings[MAX_DROPPED_SHARE]) for item in candidates)
        beams = tuple(item for item in candidates if item.hypothesis.kind == "beam")
        asked = [beam.hypothesis.beam_count for beam in beams]
        asked += [failure.beam_count for failure in self.failures]
        widest = max((count for count in asked if count is not None), default=None)
        wanted = widest if beam_count is None else beam_count
        searched = tuple(beam for beam in beams if beam.hypothesis.beam_count in (wanted, None))
        merges = MERGE_TOKENISATIONS in settings and settings[MERGE_TOKENISATIONS]
        looked_at = _merged(searched) if merges else searched
        return replace(
            self,
            candidates=candidates,
            beams=looked_at[:sub_beams],
            searched=searched,
            settings=settings,
            beam_count=wanted,
        )


@dataclass(frozen=True, slots=True)
class Windows:
    """An utterance: its windows, each with its own answers.

    Attributes:
        answers: at least one; a clip within the model's window has one.
        weights: seconds of every window, shape ``(windows,)``; 1 for the only one.
    """

    answers: tuple[WindowAnswers, ...]
    weights: tuple[float, ...]


def prepare(
    hypotheses: Sequence[Hypothesis],
    labels: LabelSet,
    emotion_tokens: EmotionTokens,
    questions: Sequence[AskedQuestion] = (),
    options: tuple[Option, ...] = (),
) -> Windows:
    """Parse every hypothesis once and sort them by window, kind and rank.

    Args:
        hypotheses: of one utterance, under one model and prompt.
        labels: the K labels.
        emotion_tokens: what recorded logits are aligned with.
        questions: what was asked; of them only the failed ones matter.
        options: that the question offered.

    Raises:
        ValueError: if there are several windows and one of them does not say how long it is.
    """
    # Greedy and the best beam often agree word for word.
    # What a strategy accepts of dropped labels is its setting: here everything is read.
    parsed = {text: parse_answer(text, labels, 1.0) for text in {item.text for item in hypotheses}}
    candidates = [Candidate(item, _refused(item) or parsed[item.text]) for item in hypotheses]
    failures = [asked for asked in questions if asked.failed]
    windows = [*(item.window for item in hypotheses), *(item.window for item in failures)]
    numbers = sorted(set(windows)) or [0]
    answers = tuple(
        _window(
            [item for item in candidates if item.hypothesis.window == number],
            [failure for failure in failures if failure.window == number],
            labels,
            emotion_tokens,
            options,
        )
        for number in numbers
    )
    return Windows(answers, _weights([*hypotheses, *failures], numbers))


def _window(
    candidates: Sequence[Candidate],
    failures: Sequence[AskedQuestion],
    labels: LabelSet,
    emotion_tokens: EmotionTokens,
    options: tuple[Option, ...],
) -> WindowAnswers:
    ranked = tuple(sorted(candidates, key=lambda item: item.hypothesis.rank))
    beams = tuple(item for item in ranked if item.hypothesis.kind == "beam")
    return WindowAnswers(
        candidates=ranked,
        failures=tuple(failures),
        beams=beams,
        searched=beams,
        labels=labels,
        emotion_tokens=emotion_tokens,
        settings=Settings(),
        options=options,
    )


def _within(candidate: Candidate, max_dropped_share: float) -> Candidate:
    """The candidate, invalid if labels outside the set have more than this share of it."""
    parsed = candidate.parsed
    if parsed.probs is None or parsed.dropped_share <= max_dropped_share:
        return candidate
    return replace(candidate, parsed=replace(parsed, probs=None, invalid_reason=UNKNOWN_LABELS))


def _merged(beams: Sequence[Candidate]) -> tuple[Candidate, ...]:
    parsed = {(beam.hypothesis.text, beam.hypothesis.finish_reason): beam.parsed for beam in beams}
    merged = merge_tokenisations([beam.hypothesis for beam in beams])
    return tuple(Candidate(beam, parsed[beam.text, beam.finish_reason]) for beam in merged)


def _weights(
    answers: Sequence[Hypothesis | AskedQuestion], numbers: Sequence[int]
) -> tuple[float, ...]:
    if len(numbers) == 1:
        return (1.0,)
    seconds = {item.window: item.window_s for item in answers}
    weights = tuple(seconds[number] or 0.0 for number in numbers)
    if not all(weight > 0.0 for weight in weights):
        raise ValueError(f"{len(numbers)} windows, of {list(seconds.values())} seconds")
    return weights


def _refused(hypothesis: Hypothesis) -> Parsed | None:
    """A refusal may well name emotions; it is not an answer all the same."""
    return None if hypothesis.is_answer else Parsed(None, "none", hypothesis.finish_reason)
