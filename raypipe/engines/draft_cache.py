"""Keys and values where a step feeds guessed tokens behind those of the lanes."""

from __future__ import annotations

import torch
from torch import Tensor

from raypipe.engines.tree_cache import TreeCache


class DraftCache(TreeCache):
    """A tree cache in which the lanes of a row may be several steps ahead of each other's tokens.

    A step feeds nodes: first a token of every lane, then guessed tokens behind some of them. A
    lane's next token may follow any node, and what no lane follows is forgotten: its slots are
    free again. Nodes take the free slots nearest to the border, in their order; since guessed
    tokens are ordered by depth, what a lane sees after s tokens lies within
    ``(s - 1) * lane_count`` slots of the border, as in the tree cache.

    Made with ``spare``: most guessed tokens that a row is fed in a step.
    """

    def set_draft_window(self, steps: int, nodes: int, prompt_tokens: int) -> None:
        """Window of the slots that the next step looks at.

        Args:
            steps: tokens of each of its lanes that the row in use that is furthest has chosen.
            nodes: tokens that every row is fed.
            prompt_tokens: tokens of the longest prompt in use.
        """
        self._look_at((steps - 1) * self._lane_count + nodes, prompt_tokens)

    def branch_draft(self, before: Tensor, lanes: Tensor, depths: Tensor) -> Tensor:
        """Begin a step of nodes.

        Args:
            before: node of the previous step that each lane continues, shape ``(rows, lanes)``.
            lanes: the lane behind whose token each node stands, -1 for padding, which sees nothing
                that was generated but itself, shape ``(rows, nodes)``.
            depths: guessed tokens between the lane's own and each node, itself included, shape
                ``(rows, nodes)``.

        Returns:
            Which slots of the window each node sees, itself included, shape
            ``(rows, 1, nodes, slots)``.
        """
        nodes, start = lanes.shape[1], self._window.start
        generated = self._visible[:, 0, :, start : self._border]
        size = generated.shape[2]
        # A row in which nothing but padding is fed has no utterance.
        of_lanes = generated.gather(1, before[..., None].expand(-1, -1, size))
        of_lanes &= (lanes >= 0).any(1)[:, None, None]
        index = torch.arange(size, device=lanes.device)
        free = torch.where(of_lanes.any(1), -1, index)
        slots = free.topk(nodes).values  # the highest first, nearest to the border
        seen = of_lanes.gather(1, lanes.clamp(min=0)[..., None].expand(-1, -1, size))
        seen &= (lanes >= 0)[..., None]
        same = (lanes[:, :, None] == lanes[:, None, :]) & (lanes >= 0)[..., None]
        among = same & (depths[:, None, :] <= depths[:, :, None])
        among |= torch.eye(nodes, dtype=torch.bool, device=lanes.device)
        seen.scatter_(2, slots[:, None, :].expand(-1, nodes, -1), among)
        self._visible[:, 0, :nodes, :start] = False
        self._visible[:, 0, :nodes, start : self._border] = seen
        self._slots = slots + start
        self._token_rows = self._rows.expand_as(self._slots).flatten()
        self.first.zero_()
        self._say_where_prompts_end()
        return self._visible[:, :, :nodes, self._window]
