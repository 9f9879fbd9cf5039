"""One pass that gives the greedy hypothesis and B beams of every utterance of a batch.

Audio and prompt are computed once per utterance. The beams and the greedy lane are query
positions of one sequence that share the prompt's keys and values, so that a decode step costs
about the same for seven beams as for one.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from raypipe.engines.beam_search import BeamLanes, GreedyLane, Path
from raypipe.engines.tree_cache import TreeCache
from raypipe.errors import EngineError
from raypipe.records import FinishReason, FloatArray, HypothesisKind, ModelInput

_STEPS_BETWEEN_CHECKS_ON_ACCELERATORS = 8
"""Asking whether all rows are done waits for the device; a few steps too many cost less."""


class AudioLanguageModel(Protocol):
    """What the decoder needs of an architecture; see :class:`raypipe.engines.qwen2_audio`."""

    device: torch.device

    def attending(self) -> AbstractContextManager[None]:
        """Attend the way the tree needs it while the context lasts."""
        ...

    def embed(self, inputs: Sequence[ModelInput]) -> tuple[Tensor, Tensor]:
        """Right-padded prompt embeddings and prompt lengths."""
        ...

    def prefill(self, embeddings: Tensor, lengths: Tensor, cache: TreeCache) -> Tensor:
        """Read the prompts; logits after their last tokens, ``(rows, vocabulary)``."""
        ...

    def step(self, tokens: Tensor, positions: Tensor, visible: Tensor, cache: TreeCache) -> Tensor:
        """Feed one token per lane; logits ``(rows, lanes, vocabulary)``."""
        ...


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """What is searched and recorded.

    Attributes:
        beam_count: B; 0 for none.
        greedy: also follow the greedy hypothesis.
        max_new_tokens: longest hypothesis in tokens.
        end_ids: ids that end a hypothesis.
        recorded_ids: ids whose raw logits are kept at every step.
    """

    beam_count: int
    greedy: bool
    max_new_tokens: int
    end_ids: tuple[int, ...]
    recorded_ids: tuple[int, ...]

    @property
    def lane_count(self) -> int:
        """Query positions per row in a decode step."""
        return self.beam_count + self.greedy


@dataclass(frozen=True, slots=True)
class Trace:
    """A hypothesis before it is written out as text; fields as in ``records.Hypothesis``."""

    kind: HypothesisKind
    rank: int
    token_ids: tuple[int, ...]
    token_logprobs: FloatArray
    alpha: float
    finish_reason: FinishReason
    emotion_logits: FloatArray


class TreeDecoder:
    """Decodes batches of any size with one model and one set of settings."""

    def __init__(self, model: AudioLanguageModel, settings: SearchSettings) -> None:
        self._model = model
        self._settings = settings
        on_accelerator = model.device.type != "cpu"
        self._check_interval = _STEPS_BETWEEN_CHECKS_ON_ACCELERATORS if on_accelerator else 1

    def decode(self, inputs: Sequence[ModelInput]) -> list[list[Trace] | EngineError]:
        """Answer a batch.

        Args:
            inputs: one per row, at least one.

        Returns:
            For each row the greedy trace, if asked for, and the beams, best first; or the error
            that makes its numbers worthless.
        """
        settings = self._settings
        with torch.inference_mode(), self._model.attending():
            embeddings, lengths = self._model.embed(inputs)
            cache = TreeCache(
                lengths, embeddings.shape[1], settings.lane_count, settings.max_new_tokens
            )
            lanes = _Lanes(len(inputs), settings, self._model.device)
            logits = self._model.prefill(embeddings, lengths, cache)
            tokens, parents = lanes.advance(logits[:, None])
            for step in range(1, settings.max_new_tokens):
                if step % self._check_interval == 0 and lanes.all_done():
                    break
                visible = cache.branch(parents)
                logits = self._model.step(tokens, lengths + step - 1, visible, cache)
                tokens, parents = lanes.advance(logits)
            return lanes.traces()


class _Lanes:
    """All lanes of a batch: the beams first, the greedy lane last, and what is recorded."""

    def __init__(self, row_count: int, settings: SearchSettings, device: torch.device) -> None:
        end_ids = torch.tensor(settings.end_ids, device=device)
        limit = settings.max_new_tokens
        self._settings = settings
        self._beams = None
        if settings.beam_count:
            self._beams = BeamLanes(row_count, settings.beam_count, limit, end_ids)
        self._greedy = None
        if settings.greedy:
            self._greedy = GreedyLane(row_count, limit, end_ids, lane=settings.beam_count)
        self._recorded_ids = torch.tensor(settings.recorded_ids, dtype=torch.int64, device=device)
        record = (limit, row_count, settings.lane_count, len(settings.recorded_ids))
        self._record = torch.zeros(record, device=device)
        self._finite = torch.ones(row_count, dtype=torch.bool, device=device)
        self._greedy_parent = torch.full((row_count, 1), settings.beam_count, device=device)
        self._step = 0

    def advance(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Take one step in every lane.

        Args:
            logits: raw logits, shape ``(rows, lanes, vocabulary)``, float32; a single lane after
                the prompt, from which all lanes start.

        Returns:
            The tokens to feed next and the lanes they continue, shape ``(rows, lanes)`` each.
        """
        self._record[self._step] = logits[..., self._recorded_ids]
        self._step += 1
        log_normalisers = torch.logsumexp(logits, -1)
        self._finite &= torch.isfinite(log_normalisers).all(-1)
        tokens, parents = [], []
        if self._beams is not None:
            first = slice(None), slice(self._settings.beam_count)
            beam_tokens, beam_parents = self._beams.advance(logits[first], log_normalisers[first])
            tokens.append(beam_tokens)
            parents.append(beam_parents)
        if self._greedy is not None:
            greedy_tokens = self._greedy.advance(logits[:, -1], log_normalisers[:, -1])
            tokens.append(greedy_tokens[:, None])
            parents.append(self._greedy_parent)
        return torch.cat(tokens, 1), torch.cat(parents, 1)

    def all_done(self) -> bool:
        """Whether no row can change any more; waits for the device."""
        lanes = [lane.done for lane in (self._beams, self._greedy) if lane is not None]
        return bool(torch.stack(lanes).all())

    def traces(self) -> list[list[Trace] | EngineError]:
        """Put every row's hypotheses together."""
        record = self._record[: self._step].cpu().numpy()
        finite = self._finite.tolist()
        greedy = self._greedy.paths() if self._greedy is not None else None
        beams = self._beams.paths() if self._beams is not None else None
        rows: list[list[Trace] | EngineError] = []
        for row, row_is_finite in enumerate(finite):
            if not row_is_finite:
                rows.append(EngineError("the model's logits are not finite"))
                continue
            logits = record[:, row]
            traces = [] if greedy is None else [self._trace("greedy", 0, greedy[row], logits)]
            for rank, path in enumerate([] if beams is None else beams[row]):
                traces.append(self._trace("beam", rank, path, logits))
            rows.append(traces)
        return rows

    def _trace(self, kind: HypothesisKind, rank: int, path: Path, logits: FloatArray) -> Trace:
        ended = path.token_ids[-1] in self._settings.end_ids
        return Trace(
            kind,
            rank,
            path.token_ids,
            path.logprobs,
            path.score,
            "stop" if ended else "length",
            logits[range(len(path.token_ids)), path.lanes],
        )
