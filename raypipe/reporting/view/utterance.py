"""One utterance of one run as texts, ready for the page."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, cast

import numpy as np

from raypipe.labels import LabelSet
from raypipe.metrics.registry import COLUMNS
from raypipe.records import Failure, Hypothesis, Utterance
from raypipe.reporting.names import strategy_rank, title
from raypipe.reporting.text import NONE, clean, score, visible
from raypipe.reporting.view.curve import TokenCurve, token_curve
from raypipe.reporting.view.tables import AnsweredCell, LookedUpUtterance
from raypipe.strategies.dirichlet import softmax_weights, verifier_weights

MOST_CHARACTERS: Final = 20_000
_ALL_NUMBERS: Final = (
    *("entropy", "true_entropy"),
    *("total_uncertainty", "aleatoric_uncertainty", "epistemic_uncertainty"),
    *("dropped_share", "model_tokens", "verifier_calls"),
)


def shown_text(value: object, limit: int = MOST_CHARACTERS) -> str:
    r"""A text with its line breaks; control and bidirectional characters are written as escapes.

    Example:
        >>> shown_text("a\x1b[31m\nb")
        'a\\x1b[31m\nb'
    """
    text = str(value)
    cut = f"{text[:limit]}… ({len(text)} characters)" if len(text) > limit else text
    return "\n".join(visible(line) for line in cut.split("\n"))


@dataclass(frozen=True, slots=True)
class ShareBar:
    """Shares of one label in percent, and as text; None where there is none."""

    label: str
    truth: float | None
    predicted: float | None


@dataclass(frozen=True, slots=True)
class VoteLine:
    """What one annotator said.

    Attributes:
        attributes: arousal, valence and dominance, as far as given.
    """

    annotator: str
    labels: str
    typed: str
    attributes: str


@dataclass(frozen=True, slots=True)
class PredictionCard:
    """One strategy's prediction beside the truth.

    Attributes:
        cell: model and prompt.
        outcome: predicted label, or why it is invalid.
        scores: titles and values of the per-utterance metrics.
        details: everything else that the row says.
    """

    strategy: str
    cell: str
    valid: bool
    outcome: str
    bars: tuple[ShareBar, ...]
    scores: tuple[tuple[str, str], ...]
    details: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class AnswerLine:
    """One answer of a model.

    Attributes:
        weight: among the beams of its search, in percent; empty for another answer.
        verifier_weight: the same from the verifier's scores.
    """

    kind: str
    text: str
    weight: str
    alpha: str
    verifier: str
    verifier_weight: str
    verifier_text: str
    finish: str
    curve: TokenCurve | None


@dataclass(frozen=True, slots=True)
class CellAnswers:
    """What a model answered under a prompt.

    Attributes:
        failure: why there are no answers; empty where there are.
        failed: questions without an answer, each with its reason.
        has_verifier: whether any answer was judged.
    """

    cell: str
    answers: tuple[AnswerLine, ...]
    failure: str
    failed: tuple[tuple[str, str], ...]
    has_verifier: bool


@dataclass(frozen=True, slots=True)
class UtteranceFacts:
    """What the corpus says of an utterance, as texts."""

    facts: tuple[tuple[str, str], ...]
    transcript: str | None
    context: tuple[str, ...]
    votes: tuple[VoteLine, ...]
    has_typed: bool
    has_attributes: bool
    notes: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class UtterancePart:
    """What one run says of an utterance.

    Attributes:
        run: name of the run.
        number: of the run, from 0.
        errors: stage, type and message of its rows in ``errors/``.
    """

    run: str
    number: int
    cards: tuple[PredictionCard, ...]
    cells: tuple[CellAnswers, ...]
    errors: tuple[tuple[str, str, str], ...]


def utterance_facts(utterance: Utterance) -> UtteranceFacts:
    """What the corpus says of an utterance, for the head of its page."""
    parts = {
        "data set": utterance.dataset,
        "split": utterance.split,
        "speaker": utterance.speaker,
        "length": None if not utterance.duration_s else f"{utterance.duration_s:.2f} s",
        "sampling rate": f"{utterance.sampling_rate:,} Hz",
        "plurality of the votes": utterance.plurality or "none: tied or no votes",
    }
    notes = {f"{name}": value for name, value in sorted(utterance.facts.items())}
    if utterance.audio_marks is not None:
        marks = utterance.audio_marks
        measured = {
            "peak": marks.peak,
            "rms": marks.rms,
            "clipped share": marks.clipped_share,
            "silent": marks.silent,
            "channel correlation": marks.channel_correlation,
            "note": marks.note,
        }
        notes |= {f"audio: {k}": _plain(v) for k, v in measured.items() if v is not None}
    votes = tuple(
        VoteLine(
            shown_text(vote.annotator, 200),
            ", ".join(shown_text(label, 200) for label in vote.labels),
            "" if vote.typed is None else shown_text(vote.typed, 2000),
            ", ".join(
                f"{name} {value:g}"
                for name in ("arousal", "valence", "dominance")
                if (value := getattr(vote, name)) is not None
            ),
        )
        for vote in utterance.votes
    )
    return UtteranceFacts(
        facts=tuple((name, shown_text(value, 400)) for name, value in parts.items() if value),
        transcript=utterance.transcript and shown_text(utterance.transcript),
        context=tuple(shown_text(turn) for turn in utterance.context),
        votes=votes,
        has_typed=any(vote.typed for vote in votes),
        has_attributes=any(vote.attributes for vote in votes),
        notes=tuple(
            (shown_text(name, 200), shown_text(value, 400)) for name, value in notes.items()
        ),
    )


def utterance_part(
    run: str, number: int, found: LookedUpUtterance, labels: LabelSet, names_cells: bool
) -> UtterancePart:
    """What one run says of an utterance.

    Args:
        run: its name.
        number: of the run, from 0.
        found: what its tables say.
        labels: of the run.
        names_cells: whether model and prompt are named, as the run has several.
    """
    rows = sorted(
        found.predictions,
        key=lambda row: (
            str(row["model"]),
            str(row["prompt"]),
            strategy_rank(str(row["strategy"])),
        ),
    )
    return UtterancePart(
        run=clean(run),
        number=number,
        cards=tuple(_card(row, labels, names_cells) for row in rows),
        cells=tuple(_cell(cell, labels) for cell in found.cells),
        errors=tuple(
            (clean(row["stage"]), clean(row["error_type"]), shown_text(row["message"], 4000))
            for row in found.errors
        ),
    )


def share_bars(
    names: Sequence[str], truth: Sequence[float] | None, predicted: Sequence[float] | None
) -> tuple[ShareBar, ...]:
    """Shares of all labels in percent, one digit after the point.

    Example:
        >>> share_bars(("anger", "fear"), (0.25, 0.75), None)[0]
        ShareBar(label='anger', truth=25.0, predicted=None)
    """

    def at(shares: Sequence[float] | None, place: int) -> float | None:
        if shares is None or place >= len(shares) or not math.isfinite(shares[place]):
            return None
        return round(100 * min(max(shares[place], 0.0), 1.0), 1)

    return tuple(
        ShareBar(name, at(truth, place), at(predicted, place)) for place, name in enumerate(names)
    )


def _card(row: Mapping[str, object], labels: LabelSet, names_cells: bool) -> PredictionCard:
    names = cast(Sequence[str] | None, row.get("labels")) or labels.names
    predicted = row.get("predicted")
    outcome = f"invalid: {clean(row.get('invalid_reason'), 400)}"
    if row["valid"]:
        outcome = "several labels tie" if predicted is None else clean(predicted)
    return PredictionCard(
        strategy=clean(row["strategy"]),
        cell=f"{clean(row['model'])} · {clean(row['prompt'])}" if names_cells else "",
        valid=bool(row["valid"]),
        outcome=outcome,
        bars=share_bars(
            [clean(name) for name in names],
            cast(Sequence[float] | None, row.get("soft_label")),
            cast(Sequence[float] | None, row.get("probs")),
        ),
        scores=tuple((title(name), _plain(row[name])) for name in COLUMNS if _is_told(row, name)),
        details=tuple(
            (name.replace("_", " "), _plain(row[name]))
            for name in (*_ALL_NUMBERS, "weighting", "parse_rule", "escalated")
            if _is_told(row, name)
        ),
    )


def _is_told(row: Mapping[str, object], name: str) -> bool:
    return row.get(name) is not None


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return score(value) if isinstance(value, float) else clean(value, 400)


def _cell(cell: AnsweredCell, labels: LabelSet) -> CellAnswers:
    name = f"{clean(cell.model)} · {clean(cell.prompt)}"
    answer = cell.answer
    if isinstance(answer, Failure):
        reason = f"{answer.stage}: {answer.error_type}: {answer.message}"
        return CellAnswers(name, (), shown_text(reason, 4000), (), has_verifier=False)
    weights = _beam_weights(answer.hypotheses)
    judged = _verifier_weights(answer.hypotheses)
    lines = tuple(
        AnswerLine(
            kind=_kind(hypothesis),
            text=shown_text(hypothesis.text),
            weight=_percent(weights.get(place)),
            alpha=NONE if hypothesis.alpha is None else score(hypothesis.alpha),
            verifier=_verifier(hypothesis),
            verifier_weight=_percent(judged.get(place)),
            verifier_text=""
            if not hypothesis.verifier_text
            else shown_text(hypothesis.verifier_text, 4000),
            finish=hypothesis.finish_reason,
            curve=token_curve(hypothesis, cell.emotion_tokens, labels),
        )
        for place, hypothesis in enumerate(answer.hypotheses)
    )
    failed = tuple(
        (
            clean(asked.question) + (f", window {asked.window + 1}" if asked.window else ""),
            shown_text(f"{asked.error_type}: {asked.error_message}", 4000),
        )
        for asked in answer.questions
        if asked.failed
    )
    return CellAnswers(name, lines, "", failed, has_verifier=any(line.verifier for line in lines))


def _kind(hypothesis: Hypothesis) -> str:
    name = hypothesis.kind
    if name == "beam":
        name = f"{'sample' if hypothesis.sampled else 'beam'} {hypothesis.rank + 1}"
        if hypothesis.beam_count is not None:
            name += f" of {hypothesis.beam_count}"
    return clean(name) + (f", window {hypothesis.window + 1}" if hypothesis.window else "")


def _verifier(hypothesis: Hypothesis) -> str:
    if hypothesis.verifier_score is not None:
        return score(hypothesis.verifier_score)
    return "" if not hypothesis.verifier_error else clean(hypothesis.verifier_error, 400)


def _percent(weight: float | None) -> str:
    return "" if weight is None else f"{score(100 * weight, 1)}\N{NO-BREAK SPACE}%"


def _searches(hypotheses: Sequence[Hypothesis]) -> Iterable[list[int]]:
    """Places of the beams of each search."""
    searches: dict[tuple[int | None, int], list[int]] = {}
    for place, hypothesis in enumerate(hypotheses):
        if hypothesis.kind == "beam":
            key = (hypothesis.beam_count, hypothesis.window)
            searches.setdefault(key, []).append(place)
    return searches.values()


def _beam_weights(hypotheses: Sequence[Hypothesis]) -> dict[int, float]:
    """Weights of beams (test_time_scaling, Eq. 2) by their places; equal ones without alphas."""
    weights: dict[int, float] = {}
    for places in _searches(hypotheses):
        alphas = [hypotheses[place].alpha for place in places]
        known = [alpha for alpha in alphas if alpha is not None and not math.isnan(alpha)]
        if len(known) == len(places) and math.isfinite(max(known)):
            values = softmax_weights(np.array(known)).tolist()
        else:
            values = [1.0 / len(places)] * len(places)
        weights |= dict(zip(places, values, strict=True))
    return weights


def _verifier_weights(hypotheses: Sequence[Hypothesis]) -> dict[int, float]:
    """Weights of beams from a verifier's scores, over those that have one."""
    weights: dict[int, float] = {}
    for places in _searches(hypotheses):
        scores = {place: hypotheses[place].verifier_score for place in places}
        known = {place: value for place, value in scores.items() if value is not None}
        if known:
            values = verifier_weights(np.array(list(known.values()))).tolist()
            weights |= dict(zip(known, values, strict=True))
    return weights
