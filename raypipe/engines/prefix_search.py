"""The search of :mod:`raypipe.engines.beam_search` for engines that answer one prefix at a time.

An engine that runs requests instead of tensors (vLLM) is asked what comes after each prefix, and
only ever tells the best continuations. The rules are the same: transformers' beam search with a
length penalty of 0 and ``early_stopping=False``, scores summed in float64 over float32
log-probabilities, and a greedy lane beside the beams.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from raypipe.engines.grammar import GrammarState, PackedBits
from raypipe.engines.lanes import SearchSettings, Trace, complete
from raypipe.errors import EngineError
from raypipe.records import FloatArray, HypothesisKind, IntArray

Prefix = tuple[int, ...]
"""Ids generated so far."""


@dataclass(frozen=True, slots=True)
class Continuations:
    """What a model says about the token after one prefix.

    Attributes:
        log_normaliser: log-sum-exp of the raw logits over the whole vocabulary, whatever is
            allowed.
        logits: the best raw logits of the allowed tokens, shape ``(kept,)``; minus infinity where
            fewer are allowed. With penalties those of tokens that were not said yet, and all of
            those that were.
        token_ids: whose they are, of the same shape.
        recorded: raw logits of the recorded ids, shape ``(recorded,)``.
        penalised_normaliser: log-sum-exp of the penalised logits over the whole vocabulary; None
            without penalties.
    """

    log_normaliser: np.float32
    logits: FloatArray
    token_ids: IntArray
    recorded: FloatArray
    penalised_normaliser: np.float32 | None = None


def kept_continuations(settings: SearchSettings) -> int:
    """How many of the best continuations of each prefix the search looks at.

    Enough that at least B of them go on although every end token is among them.
    """
    return max(2, 1 + len(settings.end_ids)) * max(1, settings.beam_count)


@dataclass(frozen=True, slots=True)
class _PartialHypothesis:
    """One hypothesis on its way: a token, the branch that it continues, its place in a grammar.

    Attributes:
        score: what the search sums up: ``alpha``, or penalised scores.
        alpha: sum of the model's own log-probabilities.
    """

    prefix: Prefix
    state: GrammarState | None
    score: float = 0.0
    alpha: float = 0.0
    logprob: np.float32 | None = None
    recorded: FloatArray | None = None
    parent: _PartialHypothesis | None = None

    def grown(
        self, token_id: int, logprob: np.float32, score: np.float32, recorded: FloatArray
    ) -> _PartialHypothesis:
        """This branch with one more token."""
        state = None if self.state is None else self.state.after(token_id)
        sums = self.score + float(score), self.alpha + float(logprob)
        return _PartialHypothesis((*self.prefix, token_id), state, *sums, logprob, recorded, self)

    def steps(self) -> list[_PartialHypothesis]:
        """The branches from the first token to this one."""
        steps: list[_PartialHypothesis] = []
        branch: _PartialHypothesis | None = self
        while branch is not None and branch.parent is not None:
            steps.append(branch)
            branch = branch.parent
        return steps[::-1]


class PrefixSearch:
    """The beams and the greedy lane of one utterance.

    Args:
        settings: what is searched and recorded.
        prompt: token ids of the prompt, which penalties count as said.
    """

    def __init__(self, settings: SearchSettings, prompt: IntArray) -> None:
        self._settings = settings
        self._prompt = np.asarray(prompt)
        self._kept = kept_continuations(settings)
        self._end_ids = np.asarray(settings.end_ids)
        self._running = [_PartialHypothesis((), settings.grammar)] if settings.beam_count else []
        self._finished: list[_PartialHypothesis] = []
        self._greedy = _PartialHypothesis((), settings.grammar)
        self._greedy_goes_on = settings.greedy
        self._step = 0

    def prefixes(self) -> dict[Prefix, PackedBits | None]:
        """Prefixes that :meth:`advance` needs the continuations of; none when done.

        Returns:
            For each prefix the tokens that may come after it; None if all may.
        """
        greedy = [self._greedy] if self._greedy_goes_on else []
        return {
            branch.prefix: None if branch.state is None else branch.state.allowed
            for branch in (*self._running, *greedy)
        }

    def advance(self, answers: Mapping[Prefix, Continuations]) -> None:
        """Take one step.

        Args:
            answers: for each of :meth:`prefixes`, at least as many continuations as
                :func:`kept_continuations` asks for, or all of the vocabulary.
        """
        self._step += 1
        if self._running:
            self._advance_beams(answers)
        if self._greedy_goes_on:
            self._advance_greedy(answers[self._greedy.prefix])

    def traces(self) -> list[Trace] | EngineError:
        """The greedy hypothesis, if asked for, and the beams, best first.

        Fewer beams than asked for where the grammar has no more answers; the error if it has none.
        """
        traces = [self._trace("greedy", 0, self._greedy)] if self._settings.greedy else []
        traces += [self._trace("beam", rank, branch) for rank, branch in enumerate(self._finished)]
        return complete(traces, self._settings)

    def _advance_beams(self, answers: Mapping[Prefix, Continuations]) -> None:
        beam_count = self._settings.beam_count
        running: list[_PartialHypothesis] = []
        for rank, (branch, ended) in enumerate(self._best_continuations(answers)):
            if not ended:
                running.append(branch)
            elif rank < beam_count:
                self._finished.append(branch)
        self._finished.sort(key=lambda branch: -branch.score)
        del self._finished[beam_count:]
        self._running = running[:beam_count]
        # Log-probabilities only fall: no running beam can overtake the worst finished one.
        full = len(self._finished) == beam_count
        if full and running and running[0].score <= self._finished[-1].score:
            self._running = []

    def _best_continuations(
        self, answers: Mapping[Prefix, Continuations]
    ) -> Iterator[tuple[_PartialHypothesis, bool]]:
        """The best continuations of all beams, best first, and whether each ends there."""
        continuations = [answers[branch.prefix] for branch in self._running]
        own = [answer.logits - answer.log_normaliser for answer in continuations]
        logprobs = np.concatenate(own)
        ranked = np.concatenate(
            [
                self._penalised(scores, answer.token_ids, branch.prefix)
                for scores, answer, branch in zip(own, continuations, self._running, strict=True)
            ]
        )
        token_ids = np.concatenate([answer.token_ids for answer in continuations])
        parents = np.repeat(
            np.arange(len(continuations)), [len(answer.logits) for answer in continuations]
        )
        scores = np.array([branch.score for branch in self._running])[parents] + ranked
        at_limit = self._step >= self._settings.max_new_tokens
        ended = np.isin(token_ids, self._end_ids) | at_limit
        for index in np.argsort(-scores, kind="stable")[: self._kept]:
            if scores[index] == -np.inf:
                return
            parent = parents[index]
            branch = self._running[parent].grown(
                int(token_ids[index]),
                logprobs[index],
                ranked[index],
                continuations[parent].recorded,
            )
            yield branch, bool(ended[index])

    def _advance_greedy(self, answer: Continuations) -> None:
        ranked = self._penalised(answer.logits, answer.token_ids, self._greedy.prefix)
        best = int(ranked.argmax())
        token_id = int(answer.token_ids[best])
        logprob = answer.logits[best] - answer.log_normaliser
        score = logprob
        if answer.penalised_normaliser is not None:
            score = ranked[best] - answer.penalised_normaliser
        self._greedy = self._greedy.grown(token_id, logprob, score, answer.recorded)
        at_limit = self._step >= self._settings.max_new_tokens
        ended = token_id in self._settings.end_ids or logprob == -np.inf
        self._greedy_goes_on = not at_limit and not ended

    def _penalised(self, scores: FloatArray, token_ids: IntArray, prefix: Prefix) -> FloatArray:
        """What to rank tokens after a prefix by, from their log-probabilities or logits."""
        penalties = self._settings.penalties
        if not penalties.any:
            return scores
        said = np.isin(token_ids, [*self._prompt.tolist(), *prefix])
        factor = np.float32(penalties.repetition)
        return np.where(said, np.where(scores < 0, scores * factor, scores / factor), scores)

    def _trace(self, kind: HypothesisKind, rank: int, branch: _PartialHypothesis) -> Trace:
        steps: Sequence[_PartialHypothesis] = branch.steps()
        return Trace(
            kind,
            rank,
            branch.prefix,
            np.array([step.logprob for step in steps], dtype=np.float32),
            branch.alpha,
            "stop" if branch.prefix[-1] in self._settings.end_ids else "length",
            np.array([step.recorded for step in steps], dtype=np.float32),
            branch.score if self._settings.penalties.any else None,
        )
