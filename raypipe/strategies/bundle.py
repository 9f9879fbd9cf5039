"""What a strategy may look at: the parsed hypotheses of one window of one utterance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from raypipe.labels import LabelSet
from raypipe.parsing import parse_answer
from raypipe.records import EmotionTokens, Hypothesis, Parsed
from raypipe.strategies.merging import merge_tokenisations
from raypipe.strategies.settings import AggregationSettings


@dataclass(frozen=True, slots=True)
class Candidate:
    """A hypothesis beside what the parser read in it."""

    hypothesis: Hypothesis
    parsed: Parsed


@dataclass(frozen=True, slots=True)
class Bundle:
    """All that a strategy may look at for one window of an utterance.

    Attributes:
        greedy: the greedy hypothesis; None if the engine gave none.
        cot: the greedy answer to the prompt's chain-of-thought variant; None likewise.
        beams: the beams by rank, those of one text taken together where the settings say so.
        searched: all beams of the search that found ``beams``, which may be fewer.
    """

    greedy: Candidate | None
    cot: Candidate | None
    beams: tuple[Candidate, ...]
    searched: tuple[Candidate, ...]
    labels: LabelSet
    emotion_tokens: EmotionTokens
    settings: AggregationSettings

    def view(
        self, settings: AggregationSettings, beam_count: int | None, sub_beams: int | None
    ) -> Bundle:
        """The first ``sub_beams`` beams, by rank, of the search with ``beam_count`` beams.

        Args:
            settings: of the aggregation.
            beam_count: None for the only search, of several the widest. Beams that do not say
                how wide their search was are those of the only one.
            sub_beams: None for all.
        """
        told = (beam.hypothesis.beam_count for beam in self.searched)
        widest = max((count for count in told if count is not None), default=None)
        wanted = widest if beam_count is None else beam_count
        found = tuple(
            beam for beam in self.searched if beam.hypothesis.beam_count in (wanted, None)
        )
        beams = _merged(found) if settings.merge_tokenisations else found
        return replace(self, beams=beams[:sub_beams], searched=found, settings=settings)


@dataclass(frozen=True, slots=True)
class Windows:
    """An utterance: its windows, each with its own hypotheses.

    Attributes:
        bundles: at least one; a clip within the model's window has one.
        weights: seconds of every window, shape ``(windows,)``; 1 for the only one.
    """

    bundles: tuple[Bundle, ...]
    weights: tuple[float, ...]


def prepare(
    hypotheses: Sequence[Hypothesis], labels: LabelSet, emotion_tokens: EmotionTokens
) -> Windows:
    """Parse every hypothesis once and sort them by window, kind and rank.

    Raises:
        ValueError: if there are several windows and one of them does not say how long it is.
    """
    # Greedy and the best beam often agree word for word.
    parsed = {text: parse_answer(text, labels) for text in {item.text for item in hypotheses}}
    candidates = [Candidate(item, _refused(item) or parsed[item.text]) for item in hypotheses]
    numbers = sorted({item.window for item in hypotheses}) or [0]
    bundles = tuple(
        _bundle(
            [one for one in candidates if one.hypothesis.window == number], labels, emotion_tokens
        )
        for number in numbers
    )
    return Windows(bundles, _weights(hypotheses, numbers))


def _bundle(
    candidates: Sequence[Candidate], labels: LabelSet, emotion_tokens: EmotionTokens
) -> Bundle:
    def first(kind: str) -> Candidate | None:
        return next((one for one in candidates if one.hypothesis.kind == kind), None)

    found = [one for one in candidates if one.hypothesis.kind == "beam"]
    beams = tuple(sorted(found, key=lambda one: one.hypothesis.rank))
    return Bundle(
        greedy=first("greedy"),
        cot=first("cot"),
        beams=beams,
        searched=beams,
        labels=labels,
        emotion_tokens=emotion_tokens,
        settings=AggregationSettings(),
    )


def _merged(beams: Sequence[Candidate]) -> tuple[Candidate, ...]:
    read = {(one.hypothesis.text, one.hypothesis.finish_reason): one.parsed for one in beams}
    merged = merge_tokenisations([one.hypothesis for one in beams])
    return tuple(Candidate(one, read[one.text, one.finish_reason]) for one in merged)


def _weights(hypotheses: Sequence[Hypothesis], numbers: Sequence[int]) -> tuple[float, ...]:
    if len(numbers) == 1:
        return (1.0,)
    seconds = {item.window: item.window_s for item in hypotheses}
    weights = tuple(seconds[number] or 0.0 for number in numbers)
    if not all(weight > 0.0 for weight in weights):
        raise ValueError(f"{len(numbers)} windows, of {list(seconds.values())} seconds")
    return weights


def _refused(hypothesis: Hypothesis) -> Parsed | None:
    """A refusal may well name emotions; it is not an answer all the same."""
    return None if hypothesis.is_answer else Parsed(None, "none", hypothesis.finish_reason)
