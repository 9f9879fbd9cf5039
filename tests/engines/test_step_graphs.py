"""A decode step is captured and replayed here without a GPU.

What a CUDA graph replays is a list of kernels with fixed addresses. :class:`Recorded` is the same
on a CPU: it notes every operation with its very tensors, refuses what a capture refuses (a value
that travels to the host, a shape that depends on values), and replays the list without running
any Python of the step. A step that hides state anywhere else gives other answers here.
"""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from raypipe.engines.step_graphs import StepGraphs
from raypipe.engines.tree_decoder import TreeDecoder

WAITS_FOR_THE_DEVICE = {"_local_scalar_dense", "nonzero", "masked_select", "equal", "unique"}


class Recorded(TorchDispatchMode):
    def __init__(self, step):
        super().__init__()
        self._operations, before = [], {}
        state = list(tensors_of(step.__self__))
        for tensor in state:
            before[tensor] = tensor.clone()
        with self:
            step()
        for tensor, value in before.items():  # a capture runs nothing
            tensor.copy_(value)

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.overloadpacket.__name__
        by_mask = name.startswith("index") and any(
            isinstance(x, torch.Tensor) and x.dtype == torch.bool for x in tree_leaves(args[1])
        )
        assert name not in WAITS_FOR_THE_DEVICE, f"{name} cannot be captured"
        assert not by_mask, f"{name} by a mask cannot be captured"
        result = function(*args, **(kwargs or {}))
        # A view is no operation: what it shows changes with what it is a view of.
        if function._schema.is_mutable or not addresses(result) <= addresses((args, kwargs)):
            self._operations.append((function, args, kwargs or {}, result))
        return result

    def __call__(self):
        for function, args, kwargs, results in self._operations:
            again = function(*args, **kwargs)
            for result, value in zip(tree_leaves(results), tree_leaves(again), strict=True):
                if isinstance(result, torch.Tensor) and result is not value:
                    result.copy_(value)


def addresses(tree):
    leaves = tree_leaves(tree)
    return {x.untyped_storage().data_ptr() for x in leaves if isinstance(x, torch.Tensor)}


def tensors_of(thing, seen=None):
    """Every tensor that an object of raypipe holds, however deep, except the model's weights."""
    seen = set() if seen is None else seen
    if isinstance(thing, torch.Tensor):
        yield thing
    elif isinstance(thing, list):
        for one in thing:
            yield from tensors_of(one, seen)
    elif type(thing).__module__.startswith("raypipe.") and id(thing) not in seen:
        seen.add(id(thing))
        for one in getattr(thing, "__dict__", {}).values():
            yield from tensors_of(one, seen)


@pytest.mark.parametrize("settings", [{}, {"greedy": False}, {"beam_count": 0}])
def test_replayed_steps_give_the_same_answers(make_engine, frontend, requests, settings):
    inputs = frontend.prepare(requests)
    engine = make_engine(batch_size=4, device="cpu", **settings)
    plain = engine.generate(inputs)
    replayed = []

    def capture(step):
        recorded = Recorded(step)

        def replay():
            replayed.append(recorded)
            recorded()

        return replay

    engine.decoder = TreeDecoder(
        engine._model, engine.decoder._settings, make_capture=lambda: capture
    )
    # The second call replays what the first one captured.
    for answers in (engine.generate(inputs), engine.generate(inputs)):
        for one, other in zip(answers, plain, strict=True):
            for mine, theirs in zip(one.hypotheses, other.hypotheses, strict=True):
                assert mine.token_ids == theirs.token_ids
                assert mine.alpha == pytest.approx(theirs.alpha, abs=1e-4, rel=2e-6)
    assert len(replayed) > 20
    assert len(set(map(id, replayed))) < len(replayed) / 5


def test_a_step_runs_as_it_is_once_per_shape_and_is_captured_then():
    happened = []

    def capture(step):
        happened.append("captured")
        return lambda: happened.append("replayed")

    graphs = StepGraphs(capture)
    for shape in ("a", "a", "b", "a", "b"):
        graphs.run(shape, lambda: happened.append("ran"))
    expected = ["ran", "captured", "replayed", "ran", "replayed", "captured", "replayed"]
    assert happened == expected


@pytest.mark.parametrize(
    ("peek", "message"),
    [
        (float, "_local_scalar_dense cannot be captured"),
        (lambda value: value[value > 0], "index by a mask cannot be captured"),
    ],
)
def test_the_recorder_notices_what_waits_for_the_device(peek, message):
    class Peeking:
        value = torch.ones(1)

        def step(self):
            return peek(self.value)

    with pytest.raises(AssertionError, match=message):
        Recorded(Peeking().step)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_a_gpu_gives_the_same_answers_with_graphs_and_without(make_engine, frontend, requests):
    inputs = frontend.prepare(requests)
    with_graphs = make_engine(device="cuda", cuda_graphs=True).generate(inputs)
    without = make_engine(device="cuda", cuda_graphs=False).generate(inputs)
    for one, other in zip(with_graphs, without, strict=True):
        assert [h.token_ids for h in one.hypotheses] == [h.token_ids for h in other.hypotheses]
