"""One fine-tuning: steps over examples, evaluations, early stopping, and a state to go on from.

Every worker runs this loop on its share of each step's examples. Nothing depends on what came
before a step but its state: the order of the examples follows from seed and epoch, the noise of
dropout from seed, step and worker. A training that goes on from a checkpoint therefore ends with
the adapter of one that was never interrupted.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from torch import Tensor

from raypipe.errors import ErrorShareError
from raypipe.finetune.encoding import EncodedExample, ExampleEncoder
from raypipe.finetune.examples import AnswerExample, ExampleSet
from raypipe.finetune.model import LoraModel
from raypipe.finetune.record import CurvePoint, OddExample
from raypipe.finetune.settings import FinetuneTraining, rate_at
from raypipe.finetune.workers import Workers
from raypipe.records import Failure

_KEPT_BYTES = 1 << 29
"""Of features, which need not be made again in the next epoch."""


class Finetuning:
    """A training and how far it is.

    Args:
        model: what is trained.
        encoder: of the examples.
        examples: learnt from, and measured on.
        training: how.
        workers: all of them.
        max_error_fraction: largest share of the examples that may be left out.
    """

    def __init__(
        self,
        model: LoraModel,
        encoder: ExampleEncoder,
        examples: ExampleSet,
        training: FinetuneTraining,
        workers: Workers,
        *,
        max_error_fraction: float = 0.05,
    ) -> None:
        self.model, self._examples, self._training = model, examples, training
        self._workers, self._max_error_fraction = workers, max_error_fraction
        self._source = _EncodedSource(encoder)
        self._parameters = list(model.parameters.values())
        self._optimizer = torch.optim.AdamW(
            self._parameters, lr=training.learning_rate, weight_decay=training.weight_decay
        )
        self._step_size = training.batch_size * training.accumulation * workers.count
        self._epoch_steps = math.ceil(len(examples.train) / self._step_size)
        self.steps = training.epochs * self._epoch_steps
        self.step = 0
        self.curve: list[CurvePoint] = []
        self.odd: dict[str, OddExample] = {}
        self.best_step: int | None = None
        self.stopped_early = False
        self._best_loss, self._best, self._without_gain = math.inf, model.state(), 0

    @property
    def is_done(self) -> bool:
        """Whether there is nothing left to do."""
        return self.stopped_early or self.step >= self.steps

    def go_on(self) -> Iterator[CurvePoint]:
        """Train to the end, step by step; the point of each step that was made.

        Raises:
            ErrorShareError: if too many examples cannot be heard or written.
        """
        while not self.is_done:
            point = self._update()
            if self._is_evaluated(self.step):
                point = self._evaluate(point)
            self.curve.append(point)
            if self.is_checkpoint(point):
                self._share_odd_examples()
            yield point

    def is_checkpoint(self, point: CurvePoint) -> bool:
        """Whether the state after a step is to be kept."""
        is_due = point.step % self._training.checkpoint_steps == 0
        return is_due or self._is_evaluated(point.step) or self.is_done

    def take_best(self) -> None:
        """Give the model the updates with the lowest development loss, the last ones without."""
        if self.best_step is not None:
            self.model.restore(self._best)

    def state(self) -> dict[str, Any]:
        """Everything to go on from, as tensors, numbers and texts."""
        return {
            "step": self.step,
            "adapter": self.model.state(),
            "optimizer": self._optimizer.state_dict(),
            "curve": [asdict(point) for point in self.curve],
            "odd": [asdict(example) for example in self.odd.values()],
            "best": [self.best_step, self._best_loss, self._best, self._without_gain],
            "stopped_early": self.stopped_early,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from :meth:`state`."""
        self.step, self.stopped_early = state["step"], state["stopped_early"]
        self.model.restore(state["adapter"])
        self._optimizer.load_state_dict(state["optimizer"])
        self.curve = [CurvePoint(**point) for point in state["curve"]]
        self.odd = {example["example_id"]: OddExample(**example) for example in state["odd"]}
        self.best_step, self._best_loss, self._best, self._without_gain = state["best"]

    def _update(self) -> CurvePoint:
        """One step on this worker's share, added up over the workers."""
        training, step = self._training, self.step
        rate = rate_at(step, self.steps, training)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        self._seed_noise()
        self.model.train(True)
        self._optimizer.zero_grad(set_to_none=True)
        loss, tokens = 0.0, 0
        mine = self._share(step)
        ahead = self._share(step + 1) if step + 1 < self.steps else []
        for examples in self._batches(mine, ahead):
            total = self.model.loss_sum(examples)
            total.backward()  # type: ignore[no-untyped-call]  # torch's own
            loss += float(total.detach())
            tokens += sum(example.target_count for example in examples)
        # Sums of the loss and of the tokens first, over all workers: only then the mean.
        together = self._workers.add_up(self._gradients(loss, tokens))
        all_loss, all_tokens = together[-2:].tolist()
        norm = self._take_gradients(together[:-2] / max(1.0, all_tokens))
        self._optimizer.step()
        self.step += 1
        return CurvePoint(
            step=self.step,
            epoch=round(self.step / self._epoch_steps, 4),
            learning_rate=rate,
            train_loss=all_loss / max(1.0, all_tokens),
            target_tokens=int(all_tokens),
            gradient_norm=norm,
        )

    def _share(self, step: int) -> list[AnswerExample]:
        """This worker's examples of a step: every so-manyth one of the epoch's order."""
        epoch, place = divmod(step, self._epoch_steps)
        order = np.random.default_rng([self._training.seed, epoch]).permutation(
            len(self._examples.train)
        )
        rows = order[place * self._step_size : (place + 1) * self._step_size]
        return [
            self._examples.train[row] for row in rows[self._workers.rank :: self._workers.count]
        ]

    def _batches(
        self, examples: Sequence[AnswerExample], ahead: Sequence[AnswerExample] = ()
    ) -> Iterator[list[EncodedExample]]:
        """Examples made ready, those that are read together; those ahead are begun with."""
        encoded = self._source.encoded(examples, ahead)
        size = self._training.batch_size
        for start in range(0, len(examples), size):
            batch = []
            for example, made in zip(examples[start : start + size], encoded, strict=False):
                if isinstance(made, Failure):
                    name = example.example_id
                    self.odd[name] = OddExample(name, 0, made.error_type, made.message)
                    continue
                if made.cut_tokens:
                    name = example.example_id
                    self.odd[name] = OddExample(name, made.cut_tokens)
                batch.append(made)
            if batch:
                yield batch

    def _gradients(self, loss: float, tokens: int) -> Tensor:
        """All gradients in one vector, with the loss and the number of tokens at its end."""
        parts = [
            (torch.zeros_like(parameter) if parameter.grad is None else parameter.grad).flatten()
            for parameter in self._parameters
        ]
        return torch.cat([*parts, torch.tensor([loss, tokens], device=self.model.device)])

    def _take_gradients(self, vector: Tensor) -> float:
        """Put the mean gradients in their places, clipped; their norm before that."""
        sizes = [parameter.numel() for parameter in self._parameters]
        for parameter, part in zip(self._parameters, torch.split(vector, sizes), strict=True):
            parameter.grad = part.view_as(parameter).clone()
        norm = torch.nn.utils.clip_grad_norm_(self._parameters, self._training.clip_norm)
        return float(norm)

    def _seed_noise(self) -> None:
        seeds = [self._training.seed, self.step, self._workers.rank]
        torch.manual_seed(int(np.random.SeedSequence(seeds).generate_state(1)[0]))

    def _is_evaluated(self, step: int) -> bool:
        """Whether the development loss is measured after a step."""
        count = self._training.evaluations_per_epoch
        place = (step - 1) % self._epoch_steps + 1
        return place in {
            max(1, round(self._epoch_steps * part / count)) for part in range(1, count + 1)
        }

    def _evaluate(self, point: CurvePoint) -> CurvePoint:
        """The point with the development loss, after what follows from it was done."""
        loss = self._development_loss()
        if loss is None:
            return point
        if loss < self._best_loss:
            self._best_loss, self.best_step, self._without_gain = loss, self.step, 0
            self._best = self.model.state()
        else:
            self._without_gain += 1
            patience = self._training.patience
            self.stopped_early = patience is not None and self._without_gain >= patience
        return CurvePoint(**{**asdict(point), "development_loss": loss})

    def _development_loss(self) -> float | None:
        """Mean over all target tokens of the development set; None where there are none."""
        if not self._examples.development:
            return None
        share = self._examples.development[self._workers.rank :: self._workers.count]
        loss, tokens = 0.0, 0
        self.model.train(False)
        with torch.no_grad():
            for examples in self._batches(share):
                loss += float(self.model.loss_sum(examples))
                tokens += sum(example.target_count for example in examples)
        sums = torch.tensor([loss, tokens], dtype=torch.float64, device=self.model.device)
        all_loss, all_tokens = self._workers.add_up(sums).tolist()
        return all_loss / all_tokens if all_tokens else None

    def _share_odd_examples(self) -> None:
        """Let every worker know of all examples that were cut or left out so far.

        Raises:
            ErrorShareError: if too many were left out.
        """
        everybodys = self._workers.gather(list(self.odd.values()))
        self.odd = {example.example_id: example for example in everybodys}
        failed = [example for example in self.odd.values() if example.error_type]
        total = len(self._examples.train) + len(self._examples.development)
        if len(failed) > self._max_error_fraction * total:
            raise ErrorShareError(
                f"{len(failed)} of {total} examples cannot be learnt from, more than "
                f"max_error_fraction {self._max_error_fraction:g}; first {failed[0].example_id}: "
                f"{failed[0].message}"
            )


class _EncodedSource:
    """Examples made ready in other threads, and kept as long as there is room."""

    def __init__(self, encoder: ExampleEncoder) -> None:
        self._encoder = encoder
        self._pool = ThreadPoolExecutor(max_workers=2)
        self._ahead: dict[AnswerExample, Future[EncodedExample | Failure]] = {}
        self._kept: dict[AnswerExample, EncodedExample | Failure] = {}
        self._left = _KEPT_BYTES

    def encoded(
        self, examples: Sequence[AnswerExample], ahead: Sequence[AnswerExample]
    ) -> Iterator[EncodedExample | Failure]:
        """Every example made ready, in order; those ahead are begun with."""
        for example in (*examples, *ahead):
            if example not in self._kept and example not in self._ahead:
                self._ahead[example] = self._pool.submit(self._encoder.encode, example)
        for example in examples:
            yield self._kept[example] if example in self._kept else self._made(example)

    def _made(self, example: AnswerExample) -> EncodedExample | Failure:
        made = self._ahead.pop(example).result()
        size = 0 if isinstance(made, Failure) else made.model_input.features.nbytes
        if size <= self._left:
            self._left -= size
            self._kept[example] = made
        return made
