"""All lanes of the rows that are decoded together, and what is recorded of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from raypipe.engines.beam_search import BeamLanes, GreedyLane, Path
from raypipe.engines.grammar import GrammarState
from raypipe.engines.grammar_lanes import GrammarLanes
from raypipe.engines.penalties import PenalisedLanes, TokenScores
from raypipe.errors import DeadEndError, EngineError
from raypipe.records import (
    NO_PENALTIES,
    FinishReason,
    FloatArray,
    HypothesisKind,
    IntArray,
    Penalties,
)


class RowLanes(Protocol):
    """The lanes of the rows that are decoded together.

    Attributes:
        tokens: what every lane feeds in next, shape ``(rows, lanes)``; changed in place.
        parents: the lane that each lane continues, shape ``(rows, lanes)``; changed in place.
    """

    tokens: Tensor
    parents: Tensor

    def start(
        self, rows: Tensor, logits: Tensor, prompts: Sequence[IntArray], names: Sequence[str]
    ) -> None:
        """Begin a new utterance in some rows; all lanes of a row start from the same logits.

        Args:
            rows: which rows, shape ``(started,)``.
            logits: raw logits after their prompts, shape ``(started, vocabulary)``, float32.
            prompts: token ids of their prompts, each with as many audio tokens as the clip has.
            names: ids of their utterances.
        """
        ...

    def advance(self, logits: Tensor) -> None:
        """Take one step in every lane; raw logits of shape ``(rows, lanes, vocabulary)``."""
        ...

    def done(self) -> list[bool]:
        """Which rows cannot change any more; waits for the device."""
        ...

    def spoiled(self, rows: Sequence[int]) -> list[int]:
        """Those of some rows whose logits have not always been numbers; waits for the device."""
        ...

    def traces(self, rows: Sequence[int]) -> list[list[Trace] | EngineError]:
        """The hypotheses of some rows that are done, or the error that makes them worthless."""
        ...


class LaneTree(NamedTuple):
    """How the lanes of one step follow each other, where they are no hypotheses but their tokens.

    Attributes:
        ancestors: True where a lane sees another one's token, or its own, shape
            ``(lanes, lanes)``.
        depths: position of each lane's token after that of the step, shape ``(lanes,)``.
    """

    ancestors: Tensor
    depths: Tensor


class LaneSettings(Protocol):
    """What lanes are to do: a search, samples, given answers."""

    @property
    def lane_count(self) -> int:
        """Query positions per row in a decode step."""
        ...

    @property
    def max_new_tokens(self) -> int:
        """Tokens of the longest hypothesis."""
        ...

    @property
    def end_ids(self) -> tuple[int, ...]:
        """Ids that end a hypothesis."""
        ...

    @property
    def grammar(self) -> GrammarState | None:
        """Where every hypothesis begins in a grammar; None for anything."""
        ...

    @property
    def tree(self) -> LaneTree | None:
        """How the lanes of its only decode step follow each other; None for lanes side by side."""
        ...

    def lanes(self, row_count: int, device: torch.device) -> RowLanes:
        """The lanes of so many rows."""
        ...


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """A search with what a checkpoint adds to it.

    Attributes:
        beam_count: B; 0 for none.
        greedy: also follow the greedy hypothesis.
        max_new_tokens: longest hypothesis in tokens.
        end_ids: ids that end a hypothesis.
        recorded_ids: ids whose raw logits are kept at every step.
        grammar: where every hypothesis begins in a grammar; None for anything. Tokens that it
            forbids are invisible to the search and to nothing else: hypotheses are ranked by the
            model's own log-probabilities of the tokens that are left. For complete answers that is
            their probability given that the answer matches; renormalised over the allowed tokens
            at every step it would not be.
        penalties: what hypotheses are ranked and chosen by instead of the model's own scores; they
            then have two scores.
    """

    beam_count: int
    greedy: bool
    max_new_tokens: int
    end_ids: tuple[int, ...]
    recorded_ids: tuple[int, ...]
    grammar: GrammarState | None = None
    penalties: Penalties = NO_PENALTIES

    @property
    def lane_count(self) -> int:
        """Query positions per row in a decode step."""
        return self.beam_count + self.greedy

    @property
    def tree(self) -> None:
        """Its lanes stand side by side."""
        return None

    def lanes(self, row_count: int, device: torch.device) -> Lanes:
        """The lanes of so many rows."""
        return Lanes(row_count, self, device)


@dataclass(frozen=True, slots=True)
class Trace:
    """A hypothesis before it is written out as text; fields as in ``records.Hypothesis``."""

    kind: str
    rank: int
    token_ids: tuple[int, ...]
    token_logprobs: FloatArray
    alpha: float
    finish_reason: FinishReason
    emotion_logits: FloatArray | None
    search_score: float | None = None


OnAnswer = Callable[[int, "list[Trace] | EngineError"], None]
"""What a decoder calls with the index of an input and its answer, as soon as there is one."""


class Lanes:
    """The beams of every row first, the greedy lane last.

    Attributes:
        tokens: what every lane feeds in next, shape ``(rows, lanes)``; changed in place.
        parents: the lane that each lane continues, shape ``(rows, lanes)``; changed in place.
        grammar: where each lane is in a grammar; None without one.
    """

    def __init__(self, row_count: int, settings: SearchSettings, device: torch.device) -> None:
        end_ids = torch.tensor(settings.end_ids, device=device)
        limit, lane_count = settings.max_new_tokens, settings.lane_count
        self._settings = settings
        self._beams = None
        if settings.beam_count:
            self._beams = BeamLanes(row_count, settings.beam_count, limit, end_ids)
        self._greedy = None
        if settings.greedy:
            self._greedy = GreedyLane(row_count, limit, end_ids, lane=settings.beam_count)
        self.grammar: GrammarLanes | None = None
        if settings.grammar is not None:
            self.grammar = GrammarLanes(settings.grammar, row_count, lane_count)
        self._penalised: PenalisedLanes | None = None  # made when the vocabulary is known
        self._recorded_ids = torch.tensor(settings.recorded_ids, dtype=torch.int64, device=device)
        record = (row_count, limit, lane_count, len(settings.recorded_ids))
        self._record = torch.zeros(record, device=device)
        self._finite = torch.ones(row_count, dtype=torch.bool, device=device)
        self._step = torch.zeros(row_count, dtype=torch.int64, device=device)
        self._rows = torch.arange(row_count, device=device)
        self.tokens = torch.zeros(row_count, lane_count, dtype=torch.int64, device=device)
        # The greedy lane always continues itself.
        self.parents = torch.full_like(self.tokens, settings.beam_count)

    def start(
        self,
        rows: Tensor,
        logits: Tensor,
        prompts: Sequence[IntArray],
        names: Sequence[str] = (),
    ) -> None:
        """Begin a new utterance in some rows, as :meth:`RowLanes.start`; the same for all names."""
        del names
        self._step[rows] = 0
        self._finite[rows] = True
        own = TokenScores(logits, self._keep(rows, logits[:, None])[:, 0])
        penalised = self._penalised_for(logits)
        if penalised is not None:
            penalised.prompt(rows, prompts)
        beam_count = self._settings.beam_count
        if self.grammar is not None:
            own = TokenScores(self.grammar.before_start(logits), own.log_normalisers)
        if self._beams is not None:
            ranked = None if penalised is None else penalised.for_beams(own, rows, 0)
            tokens, parents = self._beams.start(rows, *_both(ranked, own))
            self.tokens[rows, :beam_count] = tokens
            self.parents[rows, :beam_count] = parents
        if self._greedy is not None:
            ranked = None
            if penalised is not None:
                raw = None if self.grammar is None else logits
                ranked = penalised.for_greedy(own, raw, rows, -1)
            self.tokens[rows, -1] = self._greedy.start(rows, *_both(ranked, own))
        if self.grammar is not None:
            self.grammar.start(rows, self.tokens[rows])
        if penalised is not None:
            penalised.first(rows, self.tokens[rows])

    def _penalised_for(self, logits: Tensor) -> PenalisedLanes | None:
        """What keeps the lanes' penalties; None without any."""
        repetition = self._settings.penalties.repetition
        if self._penalised is None and self._settings.penalties.any:
            row_count, lane_count = self.tokens.shape
            self._penalised = PenalisedLanes(
                repetition, row_count, lane_count, logits.shape[-1], logits.device
            )
        return self._penalised

    def advance(self, logits: Tensor, some: Sequence[int] | None = None) -> None:
        """Take one step in every lane, of all rows or of some.

        Args:
            logits: raw logits, shape ``(rows, lanes, vocabulary)``, float32.
            some: which rows; None for all.
        """
        rows: Tensor | slice = slice(None)
        numbers = None
        if some is not None:
            rows = numbers = torch.tensor(some, device=self._rows.device)
        log_normalisers = self._keep(self._rows if numbers is None else numbers, logits)
        beams, penalised = slice(self._settings.beam_count), self._penalised
        raw, which = None, range(len(self._rows)) if some is None else some
        if self.grammar is not None:
            raw = logits[:, -1]
            logits = self.grammar.before_step(logits, which)
        if self._beams is not None:
            own = TokenScores(logits[:, beams], log_normalisers[:, beams])
            ranked = None if penalised is None else penalised.for_beams(own, rows, beams)
            tokens, parents = self._beams.advance(*_both(ranked, own), rows=numbers)
            self.tokens[rows, beams] = tokens
            self.parents[rows, beams] = parents
        if self._greedy is not None:
            own = TokenScores(logits[:, -1], log_normalisers[:, -1])
            ranked = None
            if penalised is not None:
                ranked = penalised.for_greedy(own, raw, rows, -1)
            self.tokens[rows, -1] = self._greedy.advance(*_both(ranked, own), rows=numbers)
        if self.grammar is not None:
            self.grammar.advance(self.tokens[rows], self.parents[rows], which)
        if penalised is not None:
            penalised.advance(self.tokens[rows], self.parents[rows], rows)

    def done(self) -> list[bool]:
        """Which rows cannot change any more; waits for the device."""
        lanes = [lane.done for lane in (self._beams, self._greedy) if lane is not None]
        done: list[bool] = (torch.stack(lanes).all(0) | ~self._finite).tolist()
        return done

    def spoiled(self, rows: Sequence[int]) -> list[int]:
        """Those of some rows whose logits have not always been numbers; waits for the device."""
        finite = self._finite.tolist()
        return [row for row in rows if not finite[row]]

    def traces(self, rows: Sequence[int]) -> list[list[Trace] | EngineError]:
        """Put the hypotheses of some rows together, once these rows are done.

        Returns:
            For each row the greedy trace, if asked for, and the beams, best first, fewer than
            asked for where the grammar has no more answers; or the error that makes its numbers
            worthless.
        """
        if self.grammar is not None:
            self.grammar.leave(rows)
        where = torch.tensor(rows, device=self._rows.device, dtype=torch.int64)
        record, finite = self._record[where].cpu().numpy(), self._finite[where].tolist()
        good = [index for index, is_finite in enumerate(finite) if is_finite]
        greedy = self._greedy.paths(where[good]) if self._greedy is not None else None
        beams = self._beams.paths(where[good]) if self._beams is not None else None
        answers: list[list[Trace] | EngineError] = [
            EngineError("the model's logits are not finite") for _ in rows
        ]
        for place, index in enumerate(good):
            logits = record[index]
            traces = [] if greedy is None else [self._trace("greedy", 0, greedy[place], logits)]
            for rank, path in enumerate([] if beams is None else beams[place]):
                traces.append(self._trace("beam", rank, path, logits))
            answers[index] = complete(traces, self._settings)
        return answers

    def _keep(self, rows: Tensor, logits: Tensor) -> Tensor:
        """Record what is asked for; the logits' log-sum-exp, shape ``(rows, lanes)``."""
        # Rows that are done go on stepping until another utterance takes their place.
        step = self._step[rows].clamp(max=self._settings.max_new_tokens - 1)
        self._record[rows, step] = logits[..., self._recorded_ids]
        self._step[rows] = step + 1
        log_normalisers = torch.logsumexp(logits, -1)
        self._finite[rows] &= torch.isfinite(log_normalisers).all(-1)
        return log_normalisers

    def _trace(self, kind: HypothesisKind, rank: int, path: Path, logits: FloatArray) -> Trace:
        ended = path.token_ids[-1] in self._settings.end_ids
        return Trace(
            kind,
            rank,
            path.token_ids,
            path.logprobs,
            path.alpha,
            "stop" if ended else "length",
            logits[range(len(path.token_ids)), path.lanes],
            path.score if self._settings.penalties.any else None,
        )


def _both(
    ranked: TokenScores | None, own: TokenScores
) -> tuple[Tensor, Tensor, TokenScores | None]:
    """Logits and normalisers to rank by, and the model's own where they are others."""
    return (*own, None) if ranked is None else (*ranked, own)


def complete(traces: list[Trace], settings: SearchSettings) -> list[Trace] | EngineError:
    """The traces of an utterance, or the error that a kind that was asked for is missing."""
    kinds = {trace.kind for trace in traces if trace.alpha > float("-inf")}
    if len(kinds) < settings.greedy + bool(settings.beam_count):
        return DeadEndError("no token goes on with an answer that the grammar allows")
    return traces
