"""One pass that gives the greedy hypothesis and B beams of any number of utterances.

Audio and prompt are computed once per utterance, and what prompts begin with in common once for all
(:mod:`raypipe.engines.shared_prefix`). The beams and the greedy lane are query positions of one
sequence that share the prompt's keys and values, so that a decode step costs about the same for
seven beams as for one. A fixed number of rows is decoded together; an utterance leaves its row when
its last hypothesis ends, and the next one enters it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from raypipe.engines.buckets import similar_lengths
from raypipe.engines.decoder_adapter import DecoderAdapter
from raypipe.engines.draft_cache import DraftCache
from raypipe.engines.drafted_steps import DraftedSteps, spare_tokens
from raypipe.engines.drafts import MOST_AHEAD
from raypipe.engines.key_value_memory import KeyValueMemory
from raypipe.engines.lanes import Lanes, LaneSettings, OnAnswer
from raypipe.engines.shared_audio import EncodedClips, SharedAudio
from raypipe.engines.shared_prefix import Prefix, Prefixes, shared_lengths
from raypipe.engines.step_graphs import DecodeStep, StepGraphs
from raypipe.engines.tree_cache import ALIGNMENT, TreeCache
from raypipe.records import IntArray, ModelInput

_STEPS_BETWEEN_CHECKS_ON_ACCELERATORS = 8
"""Asking which rows are done waits for the device; a few steps too many cost less."""

_REFILLED_SHARE_ON_ACCELERATORS = 4
"""Rows are refilled when one in so many is free: prompts read together use the device better."""

_PROMPT_TOKENS_AT_ONCE = 16_384
"""Bounds the memory of reading prompts, whatever the number of rows."""

_SLOTS_PER_GRAPH = 128
"""The window's grain where steps are captured: fewer graphs against keys read in vain."""

MakeCapture = Callable[[], Callable[[DecodeStep], DecodeStep]]


class TreeDecoder:
    """Decoder of one model under one set of settings.

    Args:
        model: the architecture, taken apart.
        settings: what the lanes do and record.
        check_interval: decode steps between two looks at which rows are done.
        refilled_share: rows are refilled when one in so many is free, or all are.
        make_capture: makes what makes decode steps replayable, once for all steps that share
            their tensors; None to run every step as it is.
        prefixes: reads and keeps what prompts begin with in common; None to read every prompt
            whole.
        ahead: most tokens that are guessed behind that of a lane where a grammar holds answers,
            see :mod:`raypipe.engines.drafts`; 0 to take every step by itself.
    """

    def __init__(
        self,
        model: DecoderAdapter,
        settings: LaneSettings,
        check_interval: int | None = None,
        refilled_share: int | None = None,
        make_capture: MakeCapture | None = None,
        prefixes: Prefixes | None = None,
        ahead: int = MOST_AHEAD,
    ) -> None:
        on_accelerator = model.device.type != "cpu"
        self._model = model
        self._settings = settings
        self._check_interval = check_interval or (
            _STEPS_BETWEEN_CHECKS_ON_ACCELERATORS if on_accelerator else 1
        )
        self._refilled_share = refilled_share or (
            _REFILLED_SHARE_ON_ACCELERATORS if on_accelerator else None
        )
        self._make_capture = make_capture
        self._prefixes = prefixes
        self._ahead = ahead
        self._memory: KeyValueMemory | None = None
        self._slots: _Slots | None = None  # of captured steps, which know its tensors

    def decode(
        self,
        inputs: Sequence[ModelInput],
        row_count: int,
        on_answer: OnAnswer,
        audio_cache: EncodedClips | None = None,
    ) -> None:
        """Answer any number of inputs.

        Args:
            inputs: what to answer.
            row_count: most utterances decoded together. Captured steps are those of so many
                rows; others have no more than there are inputs. Either way what a step computes
                depends on this call alone.
            on_answer: told the index of an input and its answer as soon as there is one: the
                greedy trace, if asked for, and the beams, best first; or the error that makes
                its numbers worthless. Order is that of finishing.
            audio_cache: where encodings are looked up and kept; None to forget them.
        """
        if not inputs:
            return
        rows = min(row_count, len(inputs))
        refill_at = max(1, rows // self._refilled_share) if self._refilled_share else 1
        longest = max(len(model_input.token_ids) for model_input in inputs)
        if self._make_capture:
            # The window must not end where the longest prompt of some other call did.
            longest = -(-longest // _SLOTS_PER_GRAPH) * _SLOTS_PER_GRAPH
        with torch.inference_mode(), self._model.attending():
            # Captured steps are those of all rows whatever a call has: fewer were other graphs.
            slots = self._take_slots(row_count if self._make_capture else rows, longest)
            audio = SharedAudio(inputs, self._model.encode, audio_cache)
            prompts = self._prompts(inputs)
            call = _Call(self._model, slots, prompts, audio, self._settings, rows, refill_at)
            # Steps with guesses wait for the device anyway.
            call.run(on_answer, 1 if slots.guesses else self._check_interval)
            if slots.lanes.spoiled(range(rows)):
                slots.memory.clear()
            # Not after an error: what did not fit into memory is not held on to.
            self._memory = slots.memory
            self._slots = slots if self._make_capture else None

    def forget(self) -> None:
        """Release the memory of earlier calls."""
        self._slots = self._memory = None

    def _prompts(self, inputs: Sequence[ModelInput]) -> _Prompts:
        lengths = [0] * len(inputs)
        if self._prefixes is not None:
            token_ids = [model_input.token_ids for model_input in inputs]
            lengths = shared_lengths(token_ids, self._model.limits.audio_token_id)
        return _Prompts(inputs, lengths, self._prefixes)

    def _take_slots(self, row_count: int, prompt_capacity: int) -> _Slots:
        """The fixed tensors of an earlier call, where steps on them were captured, or new ones.

        What is new are small ones: keys and values go where those of earlier calls were.
        """
        held, self._slots = self._slots, None
        memory, self._memory = self._memory, None
        if held is None or not held.hold(row_count, prompt_capacity):
            del held  # before its successor is made
            own = self._make_capture, self._ahead, memory or KeyValueMemory()
            held = _Slots(self._model, self._settings, row_count, prompt_capacity, *own)
        return held


class _Slots:
    """Everything that a decode step reads and changes, in tensors that stay where they are."""

    def __init__(
        self,
        model: DecoderAdapter,
        settings: LaneSettings,
        row_count: int,
        prompt_capacity: int,
        make_capture: MakeCapture | None,
        ahead: int,
        memory: KeyValueMemory,
    ) -> None:
        self._model = model
        self.memory = memory
        self.lanes = settings.lanes(row_count, model.device)
        size = row_count, prompt_capacity, settings.lane_count, settings.max_new_tokens
        self._graphs = StepGraphs(make_capture()) if make_capture else None
        self._drafted: DraftedSteps | None = None
        spare = spare_tokens(row_count, settings.lane_count, ahead)
        self.cache: TreeCache
        if isinstance(self.lanes, Lanes) and self.lanes.grammar is not None and spare:
            self.cache = cache = DraftCache(*size, model.device, spare=spare, memory=memory)
            own = self.lanes, self.lanes.grammar, cache, settings.max_new_tokens
            self._drafted = DraftedSteps(model, *own, spare, ahead)
            return
        self.cache = TreeCache(
            *size,
            model.device,
            granularity=_SLOTS_PER_GRAPH if make_capture else ALIGNMENT,
            tree=settings.tree,
            memory=memory,
        )

    @property
    def guesses(self) -> bool:
        """Whether steps are fed guessed tokens, too."""
        return self._drafted is not None

    def hold(self, row_count: int, prompt_capacity: int) -> bool:
        """Whether a call of this size fits."""
        cache = self.cache
        return cache.row_count == row_count and cache.prompt_capacity >= prompt_capacity

    def step(self, occupants: Mapping[int, _Occupant]) -> None:
        """One decode step of all rows; counts what it took each row in use further."""
        if self._drafted is not None:
            taken = {row: occupant.steps_taken for row, occupant in occupants.items()}
            prompts = {row: occupant.prompt_tokens for row, occupant in occupants.items()}
            for row, count in self._drafted.step(taken, prompts).items():
                occupants[row].steps_taken += count
            return
        longest_prompt = max(occupant.prompt_tokens for occupant in occupants.values())
        steps_taken = max(occupant.steps_taken for occupant in occupants.values())
        window = self.cache.set_window(steps_taken, longest_prompt)
        if self._graphs is None:
            self._step()
        else:
            self._graphs.run((window, self.cache.shared is None), self._step)
        for occupant in occupants.values():
            occupant.steps_taken += 1

    def _step(self) -> None:
        """Depends on nothing but the window and the tensors; waits for nothing."""
        visible = self.cache.branch(self.lanes.parents)
        logits = self._model.step(self.lanes.tokens, self.cache.positions, visible, self.cache)
        self.lanes.advance(logits)


@dataclass(slots=True)
class _Occupant:
    """An utterance in a row, as far as the host knows without asking the device."""

    index: int
    prompt_tokens: int
    steps_taken: int = 1


class _Prompts:
    """The prompts of one call, each as a prefix that others share and a rest of its own."""

    def __init__(
        self, inputs: Sequence[ModelInput], shared: Sequence[int], prefixes: Prefixes | None
    ) -> None:
        self.inputs, self._shared, self._prefixes = inputs, shared, prefixes

    def by_prefix(self, indices: Sequence[int]) -> list[list[int]]:
        """Places in ``indices`` of the inputs with each prefix, in the order of the first ones."""
        places: dict[bytes, list[int]] = {}
        for place, index in enumerate(indices):
            places.setdefault(self._prefix_ids(index).tobytes(), []).append(place)
        return list(places.values())

    def prefix(self, index: int) -> Prefix | None:
        """The prefix of an input, read now or earlier; None if it shares none."""
        if self._prefixes is None or not self._shared[index]:
            return None
        return self._prefixes.get(self._prefix_ids(index))

    def own(self, index: int) -> ModelInput:
        """An input without its prefix."""
        whole, shared = self.inputs[index], self._shared[index]
        return replace(whole, token_ids=whole.token_ids[shared:]) if shared else whole

    def _prefix_ids(self, index: int) -> IntArray:
        return self.inputs[index].token_ids[: self._shared[index]]


class _Call:
    """The inputs of one call on their way through the rows."""

    def __init__(
        self,
        model: DecoderAdapter,
        slots: _Slots,
        prompts: _Prompts,
        audio: SharedAudio,
        settings: LaneSettings,
        rows: int,
        refill_at: int,
    ) -> None:
        self._model, self._slots, self._prompts, self._audio = model, slots, prompts, audio
        self._max_new_tokens, self._refill_at = settings.max_new_tokens, refill_at
        self._waiting = deque(_order(prompts.inputs, audio.clips))
        self._busy: dict[int, _Occupant] = {}
        self._free = list(range(rows))

    def run(self, on_answer: OnAnswer, check_interval: int) -> None:
        """Decode until every input is answered."""
        while self._waiting or self._busy:
            if self._waiting and (not self._busy or len(self._free) >= self._refill_at):
                self._refill()
            self._advance(check_interval)
            self._hand_over(on_answer)

    def _refill(self) -> None:
        count = min(len(self._free), len(self._waiting))
        rows, self._free = self._free[:count], self._free[count:]
        if spoiled := self._slots.lanes.spoiled(rows):
            self._slots.cache.clear(torch.tensor(spoiled, device=self._model.device))
        indices = [self._waiting.popleft() for _ in rows]
        lengths = [len(self._prompts.inputs[index].token_ids) for index in indices]
        audio = self._audio.take(indices)
        for places in self._prompts.by_prefix(indices):
            of_prefix = [lengths[place] for place in places]
            for group in similar_lengths(of_prefix, _PROMPT_TOKENS_AT_ONCE):
                chosen = [places[i] for i in group]
                self._start(
                    [rows[place] for place in chosen],
                    [indices[place] for place in chosen],
                    [audio[place] for place in chosen],
                )
        for row, index, length in zip(rows, indices, lengths, strict=True):
            self._busy[row] = _Occupant(index, length)

    def _start(self, rows: list[int], indices: list[int], audio: Sequence[Tensor]) -> None:
        """Read the prompts of some inputs, which share a prefix or have none, into rows."""
        where = torch.tensor(rows, device=self._model.device)
        prefix = self._prompts.prefix(indices[0])
        embeddings, lengths = self._model.embed(
            [self._prompts.own(index) for index in indices], audio
        )
        whole = lengths if prefix is None else lengths + prefix.length
        slots = self._slots.cache.start(where, whole, prefix)
        logits = self._model.prefill(embeddings, lengths, slots)
        inputs = [self._prompts.inputs[index] for index in indices]
        prompts = [model_input.token_ids for model_input in inputs]
        names = [model_input.utterance_id for model_input in inputs]
        self._slots.lanes.start(where, logits, prompts, names)

    def _advance(self, most_steps: int) -> None:
        """Take decode steps up to the next look at which rows are done."""
        for _ in range(most_steps):
            # No row in use goes past its last step: it would overwrite what it ended with.
            if any(one.steps_taken >= self._max_new_tokens for one in self._busy.values()):
                return
            self._slots.step(self._busy)

    def _hand_over(self, on_answer: OnAnswer) -> None:
        done = self._slots.lanes.done()
        rows = [row for row in self._busy if done[row]]
        if not rows:
            return
        for row, answer in zip(rows, self._slots.lanes.traces(rows), strict=True):
            on_answer(self._busy.pop(row).index, answer)
            self._free.append(row)


def _order(inputs: Sequence[ModelInput], clips: Sequence[int]) -> list[int]:
    """Longest prompts first, so that the window only shrinks; prompts of one clip together."""
    longest: dict[int, int] = {}
    for model_input, clip in zip(inputs, clips, strict=True):
        longest[clip] = max(longest.get(clip, 0), len(model_input.token_ids))

    def key(index: int) -> tuple[int, int, int, int]:
        clip = clips[index]
        return -longest[clip], clip, -len(inputs[index].token_ids), index

    return sorted(range(len(inputs)), key=key)
