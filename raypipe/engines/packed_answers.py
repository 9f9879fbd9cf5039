"""Given answers read in a single step: what several begin with is one token of a tree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from raypipe.engines.lanes import LaneTree, Trace
from raypipe.engines.separate_lanes import GivenAnswers, SeparateLanes, trace
from raypipe.records import IntArray


@dataclass(frozen=True, slots=True)
class TokenTree:
    """The tokens of some answers, each beginning that they share once.

    Attributes:
        tokens: id of every node's token.
        parents: node before every node; -1 after the prompt. It comes earlier in the list.
        paths: nodes of every answer, in the order of its tokens.
    """

    tokens: tuple[int, ...]
    parents: tuple[int, ...]
    paths: tuple[tuple[int, ...], ...]

    @property
    def depths(self) -> list[int]:
        """Number of nodes before every node, on its way from the prompt."""
        depths: list[int] = []
        for parent in self.parents:
            depths.append(0 if parent < 0 else depths[parent] + 1)
        return depths

    @property
    def ancestors(self) -> list[list[bool]]:
        """Whether each node sees each other one: those before it, and itself."""
        seen: list[list[bool]] = []
        for node, parent in enumerate(self.parents):
            row = [False] * len(self.parents) if parent < 0 else [*seen[parent]]
            row[node] = True
            seen.append(row)
        return seen


@lru_cache(maxsize=16)
def token_tree(answers: tuple[tuple[int, ...], ...]) -> TokenTree:
    """The tree of some answers.

    Args:
        answers: token ids of each, at least one of at least one token.

    Example:
        >>> token_tree(((5, 6), (5, 7), (8,)))
        TokenTree(tokens=(5, 6, 7, 8), parents=(-1, 0, 0, -1), paths=((0, 1), (0, 2), (3,)))
    """
    nodes: dict[tuple[int, ...], int] = {}
    parents: list[int] = []
    paths = []
    for answer in answers:
        path: list[int] = []
        for length in range(1, len(answer) + 1):
            prefix = answer[:length]
            if prefix not in nodes:
                nodes[prefix] = len(nodes)
                parents.append(path[-1] if path else -1)
            path.append(nodes[prefix])
        paths.append(tuple(path))
    return TokenTree(tuple(prefix[-1] for prefix in nodes), tuple(parents), tuple(paths))


@dataclass(frozen=True, slots=True)
class PackedAnswers(GivenAnswers):
    """Given answers for a decoder of trees: one lane for each token of theirs."""

    @property
    def lane_count(self) -> int:
        """Query positions per row in the decode step: tokens of the tree."""
        return len(token_tree(self.answers).tokens)

    @property
    def max_new_tokens(self) -> int:
        """The prompt's logits tell of the first tokens, one step of all others and of the ends."""
        return 2

    @property
    def tree(self) -> LaneTree:
        """How the tokens that are fed in together follow each other."""
        tree = token_tree(self.answers)
        return LaneTree(torch.tensor(tree.ancestors), torch.tensor(tree.depths))

    def lanes(self, row_count: int, device: torch.device) -> PackedLanes:
        """The lanes of so many rows."""
        return PackedLanes(row_count, self, device)


class PackedLanes(SeparateLanes):
    """One lane for each token of the answers' tree, in every row."""

    def __init__(self, row_count: int, settings: PackedAnswers, device: torch.device) -> None:
        super().__init__(row_count, settings.lane_count, settings.max_new_tokens, device)
        self._settings = settings
        tree = token_tree(settings.answers)
        self._nodes = torch.tensor(tree.tokens, device=device)
        # The first tokens follow no node; any one stands in for it.
        self._before = torch.tensor(tree.parents, device=device).clamp(min=0)
        self._is_first = torch.tensor(tree.parents, device=device) < 0
        self._end_ids = torch.tensor(settings.end_ids, device=device)
        self._said = torch.zeros(self.tokens.shape, device=device)
        self._end_logprobs = torch.zeros(self.tokens.shape, device=device)
        self._ends = torch.zeros_like(self.tokens)

    def start(
        self, rows: Tensor, logits: Tensor, prompts: Sequence[IntArray], names: Sequence[str]
    ) -> None:
        """Begin a new utterance in some rows, as ``RowLanes.start``."""
        del prompts, names
        self._step[rows] = 1
        log_normalisers = torch.logsumexp(logits, -1, keepdim=True)
        self._finite[rows] = torch.isfinite(log_normalisers[:, 0])
        self._said[rows] = logits[:, self._nodes] - log_normalisers
        self.tokens[rows] = self._nodes

    def _take(self, rows: Tensor, logits: Tensor) -> None:
        log_normalisers = torch.logsumexp(logits, -1)
        self._finite[rows] &= torch.isfinite(log_normalisers).all(-1)
        best_end, which = logits[..., self._end_ids].max(-1)
        self._end_logprobs[rows] = best_end - log_normalisers
        self._ends[rows] = which
        said = logits[:, self._before, self._nodes] - log_normalisers[:, self._before]
        self._said[rows] = torch.where(self._is_first, self._said[rows], said)
        self._step[rows] += 1

    def _ended(self) -> Tensor:
        return self._step >= self._steps

    def _traces(self, rows: Tensor) -> list[list[Trace]]:
        said, ends = self._said[rows].cpu().numpy(), self._ends[rows].tolist()
        end_logprobs = self._end_logprobs[rows].cpu().numpy()
        paths, end_ids = token_tree(self._settings.answers).paths, self._settings.end_ids
        traces: list[list[Trace]] = []
        for place, own_ends in enumerate(ends):
            row = []
            for lane, (answer, path) in enumerate(zip(self._settings.answers, paths, strict=True)):
                last = path[-1]
                own = np.append(said[place, list(path)], end_logprobs[place, last])
                token_ids = (*answer, end_ids[own_ends[last]])
                row.append(trace("text", lane, token_ids, own, "stop", None))
            traces.append(row)
        return traces
