"""The training loop: big batches, workers, going on, stopping, and that something is learnt."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from spoken_export import END

from raypipe.errors import ErrorShareError
from raypipe.finetune.encoding import ExampleEncoder
from raypipe.finetune.examples import ExampleSet, read_examples
from raypipe.finetune.model import LoraModel
from raypipe.finetune.settings import FinetuneTraining, LoraSettings
from raypipe.finetune.training import CurvePoint, Finetuning
from raypipe.finetune.workers import OneWorker, Workers

TRAINING = FinetuneTraining(
    learning_rate=3e-3,
    epochs=1,
    batch_size=2,
    accumulation=1,
    evaluations_per_epoch=2,
    checkpoint_steps=2,
    clip_norm=1e9,
)


@pytest.fixture(scope="module")
def examples(export) -> ExampleSet:
    whole = read_examples(export)
    return dataclasses.replace(whole, train=whole.train[:12], development=whole.development[:3])


@pytest.fixture
def start(tiny_alm, frontend):
    def make(
        examples: ExampleSet,
        workers: Workers | None = None,
        cutoff: int = 2048,
        dropout: float = 0.0,
        **changes: object,
    ) -> Finetuning:
        lora = LoraSettings(rank=4, alpha=8, dropout=dropout)
        model = LoraModel(tiny_alm, None, lora, seed=0)
        encoder = ExampleEncoder(frontend, [END], cutoff)
        training = TRAINING.model_copy(update=changes)
        return Finetuning(model, encoder, examples, training, workers or OneWorker())

    return make


def trained(finetuning: Finetuning) -> tuple[list[CurvePoint], dict[str, torch.Tensor]]:
    points = list(finetuning.go_on())
    return points, finetuning.model.state()


def assert_close(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> None:
    for name, value in first.items():
        torch.testing.assert_close(second[name], value, atol=2e-5, rtol=1e-3)


def test_accumulated_steps_are_those_of_one_big_batch(start, examples) -> None:
    big, big_state = trained(start(examples, batch_size=4))
    points, state = trained(start(examples, batch_size=1, accumulation=4))
    assert [point.target_tokens for point in points] == [point.target_tokens for point in big]
    for point, other in zip(points, big, strict=True):
        assert point.train_loss == pytest.approx(other.train_loss, rel=1e-4)
        assert point.gradient_norm == pytest.approx(other.gradient_norm, rel=1e-3)
    assert_close(big_state, state)


class Pair:
    """Two workers in two threads, which wait for each other wherever they share something."""

    def __init__(self) -> None:
        self.barrier, self.shared = threading.Barrier(2), [None, None]
        self.both = [self.Worker(self, rank) for rank in (0, 1)]

    def exchange(self, rank: int, value):
        self.shared[rank] = value
        self.barrier.wait(60)
        values = list(self.shared)
        self.barrier.wait(60)
        return values

    class Worker:
        count = 2

        def __init__(self, pair: Pair, rank: int) -> None:
            self.pair, self.rank = pair, rank

        def add_up(self, values: torch.Tensor) -> torch.Tensor:
            first, second = self.pair.exchange(self.rank, values)
            return first + second

        def gather(self, items: Sequence[object]) -> list[object]:
            first, second = self.pair.exchange(self.rank, list(items))
            return first + second


def test_two_workers_step_as_one_with_their_big_batch(start, examples) -> None:
    """11 examples: the last step's are not shared equally, nor are any step's tokens."""
    odd = dataclasses.replace(examples, train=examples.train[:11])
    big, big_state = trained(start(odd, batch_size=4))
    pair = Pair()
    jobs = [start(odd, worker, batch_size=1, accumulation=2) for worker in pair.both]
    results: list[tuple[list[CurvePoint], dict[str, torch.Tensor]]] = [([], {}), ([], {})]

    def work(rank: int) -> None:
        results[rank] = trained(jobs[rank])

    threads = [threading.Thread(target=work, args=(rank,)) for rank in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    (points, first), (_, second) = results
    assert [point.target_tokens for point in points] == [point.target_tokens for point in big]
    for point, other in zip(points, big, strict=True):
        assert point.train_loss == pytest.approx(other.train_loss, rel=1e-4)
        assert point.development_loss == (
            None if other.development_loss is None else pytest.approx(other.development_loss, 1e-4)
        )
    assert all(torch.equal(first[name], second[name]) for name in first), "alike on both"
    assert_close(big_state, first)


def test_going_on_from_a_state_ends_as_if_nothing_had_happened(start, examples, tmp_path) -> None:
    """Through a file, with the noise of dropout, in the middle of an epoch."""
    points, whole = trained(start(examples, dropout=0.2))
    first = start(examples, dropout=0.2)
    for point in first.go_on():
        if point.step == 2:
            assert first.is_checkpoint(point)
            torch.save(first.state(), tmp_path / "state.pt")
    second = start(examples, dropout=0.2)
    second.restore(torch.load(tmp_path / "state.pt", weights_only=True))
    more, state = trained(second)
    assert second.curve == points
    assert more == points[2:]
    assert all(torch.equal(state[name], whole[name]) for name in whole)
    assert second.best_step == first.best_step


def test_the_examples_of_an_epoch_are_each_learnt_once_in_another_order(start, examples) -> None:
    finetuning = start(examples, epochs=2)
    epochs = [
        [
            example.example_id
            for step in range(start, start + 6)
            for example in finetuning._share(step)
        ]
        for start in (0, 6)
    ]
    assert sorted(epochs[0]) == sorted(epochs[1]) == sorted(e.example_id for e in examples.train)
    assert epochs[0] != epochs[1]


def test_training_stops_without_a_gain_and_keeps_the_best(start, examples) -> None:
    """At this rate the loss gets worse at once."""
    finetuning = start(examples, learning_rate=3.0, epochs=4, patience=2, warmup_share=0.2)
    points = list(finetuning.go_on())
    losses = [point.development_loss for point in points if point.development_loss is not None]
    assert finetuning.stopped_early
    assert len(points) < finetuning.steps
    best = losses.index(min(losses))
    assert len(losses) == best + 1 + 2
    finetuning.take_best()
    assert finetuning._development_loss() == pytest.approx(min(losses), rel=1e-6)


def test_without_a_development_set_the_last_step_is_kept(start, examples) -> None:
    finetuning = start(dataclasses.replace(examples, development=()))
    points, state = trained(finetuning)
    finetuning.take_best()
    assert all(point.development_loss is None for point in points)
    assert finetuning.best_step is None
    assert all(torch.equal(state[name], p) for name, p in finetuning.model.parameters.items())


def test_what_is_cut_is_counted_and_too_many_failures_end_the_training(
    start, examples, tmp_path: Path
) -> None:
    few = dataclasses.replace(examples, train=examples.train[:2], development=())
    finetuning = start(few, cutoff=140)
    list(finetuning.go_on())
    assert {example.example_id for example in finetuning.odd.values()} <= {
        example.example_id for example in few.train
    }
    assert any(example.cut_tokens > 0 for example in finetuning.odd.values())
    broken = tmp_path / "broken.flac"
    broken.write_bytes(b"no sound")
    bad = dataclasses.replace(few.train[0], audio=str(broken))
    with pytest.raises(ErrorShareError, match=f"1 of 2 examples .* first {bad.example_id}"):
        list(start(dataclasses.replace(few, train=(bad, few.train[1]))).go_on())


def test_a_short_training_lowers_the_loss_on_other_speakers(start, export) -> None:
    whole = read_examples(export)
    finetuning = start(whole, epochs=6, batch_size=4, evaluations_per_epoch=1, clip_norm=1.0)
    points = list(finetuning.go_on())
    losses = [point.development_loss for point in points if point.development_loss is not None]
    assert losses[-1] < 0.75 * losses[0]
    assert points[-1].train_loss < 0.75 * points[0].train_loss
