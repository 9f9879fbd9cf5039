"""Candidates and their verifier: which are put to it, and what its answers are worth.

A candidate is the distribution that a beam stands for. Beams that stand for the same one, written
to two decimals, are one candidate, and so are those of several prompts about one clip: the
verifier is asked once.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from raypipe.engines.contract import Tagged
from raypipe.errors import TemplateValueError
from raypipe.labels import LabelSet
from raypipe.parsing import parse_answer, parse_score
from raypipe.protocols import Frontend, RunEngine
from raypipe.records import Failure, Generation, Hypothesis
from raypipe.runtime.finish.timings import Timing
from raypipe.runtime.infer.answering import Answered, WindowInputs
from raypipe.runtime.infer.questions import Verification
from raypipe.strategies.dirichlet import softmax_weights

_DECIMALS = 2
_SHOWN = 80

Row = tuple[Generation | Failure, ...]
"""What became of a row, by prompt."""


@dataclass(frozen=True, slots=True)
class _Candidate:
    """One question to the verifier: a clip, or a window of it, and a distribution."""

    row: int
    window: int
    text: str


@dataclass(frozen=True, slots=True)
class _Verdict:
    """What the verifier said of one candidate; fields as in :class:`Hypothesis`."""

    score: float | None
    text: str | None
    error: str | None
    tokens: int | None


def verify(
    rows: Sequence[Row],
    windows: Sequence[Sequence[WindowInputs] | Failure],
    verification: Verification,
    verifier: tuple[Frontend[Tagged], RunEngine[Tagged]],
    labels: LabelSet,
    *,
    prompt_of: Callable[[int, str], str],
    is_ambiguous: Callable[[Answered], bool],
) -> tuple[list[Row], Timing]:
    """Let the verifier score the beams of some rows.

    Args:
        rows: what became of every row of a shard.
        windows: its clips.
        verification: how to score.
        verifier: both halves of the verifier's engine.
        labels: what a candidate is a distribution over.
        prompt_of: the verifier's prompt about a row and a candidate.
        is_ambiguous: of the hypotheses of a row and prompt.

    Returns:
        The rows with the verdicts in their hypotheses, and how long it took.
    """
    frontend, engine = verifier
    placed = [
        _candidates(number, row, verification, labels, is_ambiguous)
        for number, row in enumerate(rows)
    ]
    wanted = list(dict.fromkeys(candidate for row in placed for candidate in row.values()))
    clips = {
        (number, window.window): window.clip if verification.own_model else window.for_verifier
        for number, row in enumerate(windows)
        for window in (() if isinstance(row, Failure) else row)
    }
    given: list[Tagged | Failure] = []
    for candidate in wanted:
        clip = clips[candidate.row, candidate.window]
        assert clip is not None  # another model's clips were made ready for it
        given.append(_asked(clip, candidate, frontend, prompt_of))
    started = time.monotonic()
    ready = [item for item in given if not isinstance(item, Failure)]
    replies = iter(engine.generate(ready, verification.search) if ready else ())
    seconds = time.monotonic() - started
    verdicts = {
        candidate: _verdict(made if isinstance(made, Failure) else next(replies), verification)
        for candidate, made in zip(wanted, given, strict=True)
    }
    verified = [
        tuple(_with_verdicts(answer, prompt, places, verdicts) for prompt, answer in enumerate(row))
        for row, places in zip(rows, placed, strict=True)
    ]
    return verified, Timing("verify", len(ready), seconds)


def _asked(
    clip: Tagged | Failure,
    candidate: _Candidate,
    frontend: Frontend[Tagged],
    prompt_of: Callable[[int, str], str],
) -> Tagged | Failure:
    """A clip with the prompt about a candidate, or why there is none."""
    if isinstance(clip, Failure):
        return clip
    try:
        return frontend.with_prompt(clip, prompt_of(candidate.row, candidate.text))
    except TemplateValueError as error:
        return Failure(clip.utterance_id, "prompt", "template", str(error))


_Places = dict[tuple[int, int], _Candidate]
"""Candidates of a row by prompt and place among its hypotheses."""


def _candidates(
    number: int,
    row: Row,
    verification: Verification,
    labels: LabelSet,
    is_ambiguous: Callable[[Answered], bool],
) -> _Places:
    found: _Places = {}
    for prompt, answer in enumerate(row):
        if isinstance(answer, Failure):
            continue
        if verification.only_ambiguous and not is_ambiguous((answer.hypotheses, answer.questions)):
            continue
        for at, text in _texts(answer.hypotheses, verification, labels):
            found[prompt, at] = _Candidate(number, answer.hypotheses[at].window, text)
    return found


def _texts(
    hypotheses: Sequence[Hypothesis], verification: Verification, labels: LabelSet
) -> Iterator[tuple[int, str]]:
    """Places of the beams to be scored, with their candidates; one that says nothing has none."""
    for at, hypothesis in enumerate(hypotheses):
        is_verified = hypothesis.rank < (verification.candidates or np.inf)
        if hypothesis.kind != "beam" or not hypothesis.is_answer or not is_verified:
            continue
        probs = parse_answer(hypothesis.text, labels).probs
        if probs is not None:
            shares = [round(float(share), _DECIMALS) for share in probs]
            yield at, json.dumps(dict(zip(labels.names, shares, strict=True)))


def _verdict(reply: Generation | Failure, verification: Verification) -> _Verdict:
    if isinstance(reply, Failure):
        return _Verdict(None, None, f"{reply.error_type}: {reply.message}", None)
    first = reply.hypotheses[0]
    steps = [hypothesis.steps for hypothesis in reply.hypotheses]
    tokens = None
    if reply.prompt_tokens is not None and all(steps):
        tokens = reply.prompt_tokens + sum(steps)
    score = _expected(reply.hypotheses) if verification.expected else parse_score(first.text)
    error = None if score is not None else f"no number in [0, 1]: {first.text[:_SHOWN]!r}"
    return _Verdict(score, first.text, error, tokens)


def _expected(hypotheses: Sequence[Hypothesis]) -> float | None:
    """Mean of the numbers in some answers, weighted by their probabilities.

    Samples of an endpoint weigh the same: how often a number comes is how likely it is.
    """
    read = [(parse_score(hypothesis.text), hypothesis) for hypothesis in hypotheses]
    scored = [(score, hypothesis) for score, hypothesis in read if score is not None]
    if not scored:
        return None
    scores = np.array([score for score, _ in scored])
    if any(hypothesis.sampled for _, hypothesis in scored):
        return float(scores.mean())
    return float(softmax_weights(np.array([hypothesis.alpha for _, hypothesis in scored])) @ scores)


def _with_verdicts(
    answer: Generation | Failure,
    prompt: int,
    placed: _Places,
    verdicts: Mapping[_Candidate, _Verdict],
) -> Generation | Failure:
    if isinstance(answer, Failure):
        return answer
    calls: dict[_Candidate, int] = {}
    hypotheses = []
    for at, hypothesis in enumerate(answer.hypotheses):
        candidate = placed.get((prompt, at))
        if candidate is not None:
            verdict = verdicts[candidate]
            hypothesis = replace(
                hypothesis,
                verifier_score=verdict.score,
                verifier_text=verdict.text,
                verifier_error=verdict.error,
                verifier_call=calls.setdefault(candidate, len(calls)),
                verifier_tokens=verdict.tokens,
            )
        hypotheses.append(hypothesis)
    return replace(answer, hypotheses=tuple(hypotheses))
