"""Guessed tokens: what an answer held to a grammar will probably say next.

Most of such an answer is form: names in quotes, colons, blanks. A step of the decoder may therefore
be fed, behind the token of a lane, the tokens that are likely to follow it, and the search then
takes step after step on logits that are there already, for as long as every lane goes on with a
token that was guessed. What was guessed wrongly is forgotten. So the search is the one that takes
its steps one by one: guesses decide how many steps there are, and about no token.

A guess is what has always followed in the same kind of place of the utterance's answers so far, or
else the only token, or the only text, that the grammar allows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raypipe.engines.grammar import GrammarState

_VARIES = -1

MOST_AHEAD = 8
"""Guessed tokens behind that of a lane: a label's name, what stands around it, and a digit."""


class AnswerForm:
    """What has followed in each kind of place of one utterance's answers so far."""

    def __init__(self) -> None:
        self._followed: dict[tuple[int, ...], int] = {}

    def note(self, state: GrammarState, token: int) -> None:
        """Take note of a token that follows at a place."""
        for kind in state.kinds:
            if self._followed.setdefault(kind, token) != token:
                self._followed[kind] = _VARIES

    def guess(self, state: GrammarState) -> int | None:
        """The token that probably follows at a place; None where nothing tells."""
        forced = state.forced()
        for kind in state.kinds:
            followed = self._followed.get(kind)
            if followed == _VARIES:
                return forced
            if followed is not None:
                return followed
        return forced

    def continuation(self, state: GrammarState, most: int) -> list[tuple[int, GrammarState]]:
        """The tokens that probably follow, with the place after each; none that ends an answer."""
        tokens: list[tuple[int, GrammarState]] = []
        while len(tokens) < most and state.goes_on:
            token = self.guess(state)
            if token is None:
                break
            state = state.after(token)
            if not state.goes_on:
                break
            tokens.append((token, state))
        return tokens


@dataclass(frozen=True, slots=True)
class TokenDraft:
    """The tokens that a step feeds: one of every lane, then guessed ones, in the order of depth.

    Attributes:
        tokens: ids, shape ``(rows, nodes)``.
        lanes: the lane behind whose token each node stands, -1 for padding, of the same shape.
        depths: guessed tokens up to each node, itself included, of the same shape.
        children: for each row the node of every guessed token, by the node before it and its id.
    """

    tokens: NDArray[np.int64]
    lanes: NDArray[np.int64]
    depths: NDArray[np.int64]
    children: list[dict[tuple[int, int], int]]


def drafted(
    row_count: int,
    tokens: Mapping[int, Sequence[int]],
    chains: Mapping[int, Sequence[Sequence[tuple[int, GrammarState]]]],
    lane_count: int,
    most: Mapping[int, int],
) -> TokenDraft:
    """Lay out a step.

    All rows are fed as many tokens. Guesses are left out where rows have so few that more than
    half of what is fed for them would be padding.

    Args:
        row_count: rows of the step.
        tokens: the token of every lane, by row in use.
        chains: what is guessed behind each of them, by row in use; lanes that say the same may
            have one list.
        lane_count: lanes of a row.
        most: guessed tokens, by row in use.
    """
    placed = {row: _placed(chains[row], most[row]) for row in chains}
    widest = max(len(nodes) for nodes in placed.values())
    if 2 * sum(len(nodes) for nodes in placed.values()) < widest * len(placed):
        placed, widest = {row: [] for row in placed}, 0
    shape = row_count, lane_count + widest
    draft = TokenDraft(
        np.zeros(shape, dtype=np.int64),
        np.full(shape, -1, dtype=np.int64),
        np.zeros(shape, dtype=np.int64),
        [{} for _ in range(row_count)],
    )
    for row, nodes in placed.items():
        draft.tokens[row, :lane_count] = tokens[row]
        draft.lanes[row, :lane_count] = range(lane_count)
        last: dict[int, list[int]] = {}
        for lane, chain in enumerate(chains[row]):
            last.setdefault(id(chain), []).append(lane)
        before = {key: list(lanes) for key, lanes in last.items()}
        for node, (depth, lane) in enumerate(nodes, start=lane_count):
            chain = chains[row][lane]
            token = chain[depth - 1][0]
            draft.tokens[row, node] = token
            draft.lanes[row, node] = lane
            draft.depths[row, node] = depth
            for earlier in before[id(chain)]:
                draft.children[row][earlier, token] = node
            before[id(chain)] = [node]
    return draft


def _placed(
    chains: Sequence[Sequence[tuple[int, GrammarState]]], most: int
) -> list[tuple[int, int]]:
    """Depth and lane of a row's guessed tokens, in their order, what several lanes share once."""
    first = {id(chain): lane for lane, chain in reversed(list(enumerate(chains)))}
    places = [(depth, lane) for lane in first.values() for depth in range(1, len(chains[lane]) + 1)]
    return sorted(places)[:most]
