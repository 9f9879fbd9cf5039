"""Decode steps that feed guessed tokens, and the steps of the search that they are good for."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from raypipe.engines.decoder_adapter import DecoderAdapter
from raypipe.engines.draft_cache import DraftCache
from raypipe.engines.drafts import MOST_AHEAD, AnswerForm, TokenDraft, drafted
from raypipe.engines.grammar import GrammarState
from raypipe.engines.grammar_lanes import GrammarLanes
from raypipe.engines.lanes import Lanes
from raypipe.engines.memory import DRAFT_TOKENS

_IN_VAIN = 0.5
"""Guessed tokens that may come to nothing, for every token of a lane; some at the beginning of an
answer are free. Bounds what is paid where guesses are wrong."""


def spare_tokens(row_count: int, lane_count: int, ahead: int) -> int:
    """Most guessed tokens that a row is fed in a step; 0 where there are too many rows."""
    return max(0, min(ahead * lane_count, DRAFT_TOKENS // row_count - lane_count))


class DraftedSteps:
    """Takes the decode steps of lanes that are held to a grammar.

    Args:
        model: the architecture.
        lanes: whose steps they are.
        grammar: where these lanes are.
        cache: their keys and values.
        max_new_tokens: longest hypothesis in tokens.
        spare: most guessed tokens that a row is fed in a step.
        ahead: most guessed tokens behind that of a lane.
    """

    def __init__(
        self,
        model: DecoderAdapter,
        lanes: Lanes,
        grammar: GrammarLanes,
        cache: DraftCache,
        max_new_tokens: int,
        spare: int,
        ahead: int = MOST_AHEAD,
    ) -> None:
        self._model, self._lanes, self._grammar, self._cache = model, lanes, grammar, cache
        self._limit, self._spare, self._ahead = max_new_tokens, spare, ahead
        self._forms: dict[int, AnswerForm] = {}
        self._room: dict[int, float] = {}
        self._nodes = np.zeros(lanes.tokens.shape, dtype=np.int64)

    def step(self, taken: Mapping[int, int], prompts: Mapping[int, int]) -> dict[int, int]:
        """One decode step, and the steps of the search that its logits are enough for.

        Args:
            taken: tokens that each lane has chosen, by row in use, fewer than the limit.
            prompts: tokens of the prompt, by row in use.

        Returns:
            Steps of the search that were taken, by row in use.
        """
        row_count, lane_count = self._lanes.tokens.shape
        for row, count in taken.items():
            if count == 1:  # a new utterance, whose lanes all follow the prompt
                self._forms[row] = AnswerForm()
                self._room[row] = 2 * self._ahead * lane_count
                self._nodes[row] = 0
        # The places after guessed tokens are kept until the search has gone through them.
        chains = {row: self._guesses(row, self._limit - 1 - taken[row]) for row in taken}
        chosen = self._lanes.tokens.tolist()
        tokens = {row: chosen[row] for row in taken}
        room = {row: min(self._spare, max(0, int(self._room[row]))) for row in taken}
        draft = drafted(row_count, tokens, chains, lane_count, room)
        logits = self._logits(draft, taken, prompts)
        steps = self._follow(draft, logits, taken)
        for row, count in steps.items():
            fed = int((draft.depths[row] > 0).sum())
            in_vain = max(0, fed - (count - 1) * lane_count)
            self._room[row] += lane_count * _IN_VAIN - in_vain
        return steps

    def _guesses(self, row: int, most: int) -> list[list[tuple[int, GrammarState]]]:
        """What is guessed behind each lane's token: one list for lanes that say the same."""
        made: dict[int, list[tuple[int, GrammarState]]] = {}
        most = min(most, self._ahead)
        guesses = []
        for state in self._grammar.states(row):
            if id(state) not in made:
                made[id(state)] = self._forms[row].continuation(state, most)
            guesses.append(made[id(state)])
        return guesses

    def _logits(
        self, draft: TokenDraft, taken: Mapping[int, int], prompts: Mapping[int, int]
    ) -> Tensor:
        """Raw logits after every node, shape ``(rows, nodes, vocabulary)``."""
        nodes = draft.tokens.shape[1]
        positions = draft.depths.copy()
        for row in taken:
            positions[row] += prompts[row] + taken[row] - 1
        told = np.stack([draft.tokens, positions, draft.lanes, draft.depths])
        tokens, at, lanes, depths = torch.from_numpy(told).to(self._model.device)
        before = torch.from_numpy(self._nodes).to(self._model.device)
        self._cache.set_draft_window(max(taken.values()), nodes, max(prompts.values()))
        visible = self._cache.branch_draft(before, lanes, depths)
        return self._model.step(tokens, at, visible, self._cache)

    def _follow(
        self, draft: TokenDraft, logits: Tensor, taken: Mapping[int, int]
    ) -> dict[int, int]:
        lane_count = self._lanes.tokens.shape[1]
        steps = dict.fromkeys(taken, 0)
        at = {row: list(range(lane_count)) for row in taken}
        while at:
            rows = list(at)
            states = {row: self._grammar.states(row) for row in rows}
            where = torch.tensor(rows, device=logits.device)
            nodes = torch.tensor(list(at.values()), device=logits.device)
            self._lanes.advance(logits[where[:, None], nodes], rows)
            chosen = self._lanes.tokens[where].tolist(), self._lanes.parents[where].tolist()
            for row, tokens, parents in zip(rows, *chosen, strict=True):
                steps[row] += 1
                before = [at[row][parent] for parent in parents]
                self._nodes[row] = before
                # The best beam's form, or the greedy answer's where there are no beams.
                if self._grammar.states(row)[0].goes_on:
                    self._forms[row].note(states[row][parents[0]], tokens[0])
                covered = None
                if taken[row] + steps[row] < self._limit:
                    covered = self._covered(draft.children[row], row, tokens, before)
                if covered is None:
                    del at[row]
                else:
                    at[row] = covered
        return steps

    def _covered(
        self,
        children: Mapping[tuple[int, int], int],
        row: int,
        tokens: list[int],
        before: list[int],
    ) -> list[int] | None:
        """The nodes of what the lanes chose; None if they were not all fed."""
        nodes = []
        alive = False
        for state, token, node in zip(self._grammar.states(row), tokens, before, strict=True):
            # Nothing comes of a lane whose answer is over: any logits will do.
            child = children.get((node, token)) if state.goes_on else node
            if child is None:
                return None
            alive |= state.goes_on
            nodes.append(child)
        return nodes if alive else None
