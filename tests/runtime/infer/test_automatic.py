"""What ``auto`` becomes, for the bundled model on GPUs that are made up."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from raypipe.config.model import ModelConfig
from raypipe.engines.engine import ModelSettings
from raypipe.engines.memory import memory_need
from raypipe.errors import ConfigError
from raypipe.records import Search
from raypipe.runtime.infer import automatic
from raypipe.runtime.infer.automatic import MOST_ROWS, ROWS_ON_CPUS, in_words
from raypipe.runtime.infer.devices import NO_GPUS, Devices
from raypipe.runtime.infer.pipeline import _record
from raypipe.runtime.infer.plan import Plan, make_plan
from raypipe.store.run_record import write_record
from raypipe.tiny_alm import checkpoint_path

MIB = 1 << 20
AUTO = {"actors": "auto", "gpus_per_actor": "auto", "batch_size": "auto"}
TINY = {"path": "tiny-alm"}


def card(mib: int, count: int = 1) -> Devices:
    return Devices(count, "made-up card", mib * MIB)


@pytest.fixture
def plan(in_process: Any) -> Callable[..., Plan]:
    def make(devices: Devices, **changes: Any) -> Plan:
        changes = {"model": TINY, "resources": AUTO, "decoding": {"beam_count": 2}} | changes
        return make_plan(in_process.config(**changes), lambda: devices)

    return make


def never() -> Devices:
    raise AssertionError("there is nothing to ask for")


def test_without_gpus_it_is_the_reference(plan: Callable[..., Plan]) -> None:
    made = plan(NO_GPUS)
    assert (made.config.model.dtype, made.config.resources.gpus) == ("float32", 0)
    assert made.config.resources.rows == ROWS_ON_CPUS
    assert made.config.resources.actors == "auto"  # the cluster's size is looked at later
    assert made.chosen == {"model.dtype": "float32", "resources.batch_size": 16}
    assert in_words(made.chosen) == "model.dtype float32, resources.batch_size 16"


def test_a_penalty_of_the_checkpoint_is_told_and_kept(
    plan: Callable[..., Plan], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(checkpoint_path(), tmp_path / "published"))
    document = json.loads((folder / "generation_config.json").read_text())
    (folder / "generation_config.json").write_text(
        json.dumps(document | {"do_sample": True, "repetition_penalty": 1.1})
    )
    model = {"path": str(folder)}
    assert plan(NO_GPUS, model=model).chosen["model.repetition_penalty"] == 1.1
    for changes in (
        {"model": model | {"ignore_generation_config": True}},
        {"model": model, "decoding": {"beam_count": 2, "penalties": "none"}},
    ):
        assert "model.repetition_penalty" not in plan(NO_GPUS, **changes).chosen


def test_on_a_gpu_it_is_the_checkpoint_s_precision_and_what_fits(plan: Callable[..., Plan]) -> None:
    made = plan(card(24_000))
    assert (made.config.model.dtype, made.config.resources.gpus) == ("float16", 1)
    assert made.config.resources.rows == MOST_ROWS
    assert made.model_runs[0].config.model.dtype == "float16"
    assert "close hypotheses may differ" in in_words(made.chosen)
    assert plan(NO_GPUS).context.run != made.context.run  # the precision is in the fingerprint


def test_rows_follow_from_the_memory(plan: Callable[..., Plan]) -> None:
    settings = ModelSettings(
        str(checkpoint_path()), None, None, "float16", "auto", trust_remote_code=False
    )
    few = plan(card(180)).config.resources.rows
    more = plan(card(240)).config.resources.rows
    assert 1 < few < more < MOST_ROWS
    # A longer answer of more beams takes more of it, and a second search takes as much again.
    wider = plan(card(240), decoding={"beam_count": 5, "max_new_tokens": 200})
    assert wider.config.resources.rows < more
    both = plan(card(240), decoding={"beam_count": 2, "other_beam_counts": [3]})
    assert both.config.resources.rows < more
    need = memory_need(settings, 100, [Search(2, True, 96)])
    assert need.rows(int(0.9 * 240 * MIB)) >= more  # its prompts are longer than that


def test_a_model_that_does_not_fit_is_refused_with_both_sizes(plan: Callable[..., Plan]) -> None:
    with pytest.raises(ConfigError, match=r"tiny-alm needs .*GiB.* of the made-up card's 0\.1 GiB"):
        plan(card(60))


def test_a_model_larger_than_this_machine_is_refused_without_a_gpu_too(
    plan: Callable[..., Plan],
) -> None:
    def machine(mib: int) -> Devices:
        return Devices(host_memory=mib * MIB)

    assert plan(machine(24_000)).config.resources.rows == ROWS_ON_CPUS
    assert 0 < plan(machine(300)).config.resources.rows < ROWS_ON_CPUS
    with pytest.raises(ConfigError, match=r"float32 and one utterance; of this machine's 0\.1 GiB"):
        plan(machine(60))


def test_gpus_that_are_named_must_be_there(plan: Callable[..., Plan]) -> None:
    said = AUTO | {"gpus_per_actor": 1}
    with pytest.raises(
        ConfigError, match=r"resources\.gpus_per_actor asks for 1 GPUs, and there are 0"
    ):
        plan(NO_GPUS, resources=said)
    with pytest.raises(ConfigError, match=r"asks for 3 GPUs, and there are 2"):
        plan(card(24_000, count=2), resources=said | {"actors": 3})
    assert plan(card(24_000, count=2), resources=said | {"actors": 2}).config.resources.gpus == 1
    cuda = TINY | {"device": "cuda"}
    with pytest.raises(ConfigError, match=r"device cuda asks for 1 GPUs, and there are 0"):
        plan(NO_GPUS, model=cuda)
    with pytest.raises(ConfigError, match=r"needs a GPU, and resources\.gpus_per_actor is 0"):
        plan(card(24_000), model=cuda, resources=AUTO | {"gpus_per_actor": 0})


def test_an_engine_that_plans_its_memory_itself_is_held_to_its_weights(
    plan: Callable[..., Plan], monkeypatch: pytest.MonkeyPatch
) -> None:
    original = automatic.engine_of

    def planning_itself(*asked: Any, **options: Any) -> Any:
        plugin, settings = original(*asked, **options)
        return dataclasses.replace(plugin, memory_need=None), settings

    monkeypatch.setattr(automatic, "engine_of", planning_itself)
    assert plan(card(60)).config.resources.rows == ROWS_ON_CPUS
    with pytest.raises(ConfigError, match=r"for its weights in float16; of the made-up card's"):
        plan(card(1))


def test_rows_by_hand_are_compared_with_the_memory(
    plan: Callable[..., Plan], caplog: pytest.LogCaptureFixture
) -> None:
    by_hand = AUTO | {"batch_size": 100}
    assert plan(card(24_000), resources=by_hand).config.resources.rows == 100
    assert not caplog.messages
    fitting = plan(card(240)).config.resources.rows
    assert plan(card(240), resources=by_hand).config.resources.rows == 100
    assert caplog.messages == [
        f"resources.batch_size: 100 is more than the {fitting} that fit into the GPU's memory with "
        "model tiny-alm by raypipe's count; rows are halved where memory runs out"
    ]
    with pytest.raises(ConfigError, match="tiny-alm needs"):
        plan(card(60), resources=by_hand)


def test_what_is_said_is_not_chosen(plan: Callable[..., Plan], in_process: Any) -> None:
    said = {"gpus_per_actor": 0, "batch_size": 3, "actors": 2}
    config = in_process.config(model=TINY | {"dtype": "bfloat16"}, resources=said)
    made = make_plan(config, never)
    assert made.config == config
    assert made.chosen == {}


def test_a_device_that_is_said_decides_the_precision(plan: Callable[..., Plan]) -> None:
    made = plan(card(24_000), model=TINY | {"device": "cpu"})
    assert (made.config.model.dtype, made.config.resources.gpus) == ("float32", 0)
    made = plan(card(24_000), resources=AUTO | {"gpus_per_actor": 0})
    assert (made.config.model.dtype, made.config.resources.rows) == ("float32", ROWS_ON_CPUS)


def test_a_run_goes_on_with_what_was_chosen_at_first(plan: Callable[..., Plan]) -> None:
    first = plan(card(240))
    write_record(first.context.tables, _record(first, datetime.now(UTC)))
    # On a smaller card, on a larger one and without any.
    for devices in (card(190), card(24_000), NO_GPUS):
        again = plan(devices)
        assert again.config.model.dtype == "float16"
        assert again.config.resources.rows == first.config.resources.rows
        assert again.context.prediction_fingerprint == first.context.prediction_fingerprint


def test_a_verifier_shares_the_only_gpu(plan: Callable[..., Plan]) -> None:
    verifier = {"model": TINY | {"name": "judge"}, "resources": AUTO}
    changes = {"strategies": ["alm_v"], "verifier": verifier}
    one = plan(card(24_000), **changes).config
    assert (one.resources.gpus, one.verifier.resources.gpus) == (0.5, 0.5)
    assert one.verifier.model == ModelConfig(path="tiny-alm", name="judge", dtype="float16")
    two = plan(card(24_000, count=2), **changes).config
    assert (two.resources.gpus, two.verifier.resources.gpus) == (1, 1)


def test_several_models_have_one_number_of_rows(plan: Callable[..., Plan]) -> None:
    models = [TINY | {"name": "half"}, TINY | {"name": "whole", "dtype": "float32"}]
    both = plan(card(400), models=models, model={})
    assert [model.dtype for model in both.config.models] == ["float16", "float32"]
    whole = plan(card(400), model=TINY | {"dtype": "float32"})
    assert both.config.resources.rows == whole.config.resources.rows
    assert both.chosen["model half.dtype"] == "float16"


def test_an_engine_that_loads_nothing_asks_for_nothing(in_process: Any) -> None:
    api = {"preset": "custom", "base_url": "http://127.0.0.1:1/v1", "key_variable": None}
    model = {"engine": "openai", "path": "some-model", "api": api}
    config = in_process.config(model=model, resources=AUTO, strategies=["greedy"])
    made = make_plan(config, never)
    assert (made.config.model.dtype, made.config.resources.gpus) == ("float32", 0)
    assert made.chosen == {}


def test_files_are_looked_at_before_anybody_asks_for_gpus(in_process: Any) -> None:
    """To ask a cluster for its GPUs starts Ray."""
    config = in_process.config(model={"path": "/nowhere/at/all"}, resources=AUTO)
    with pytest.raises(ConfigError, match=r"^model /nowhere/at/all: no such folder: / has no nowh"):
        make_plan(config, never)


def test_a_run_that_is_finished_asks_for_no_gpus_and_one_with_more_to_do_does(
    in_process: Any,
) -> None:
    in_process.finished(resources=AUTO)
    again = in_process.config(resources=AUTO)
    assert make_plan(again, never).is_done
    more = again.metrics.model_copy(update={"replicates": 200})
    with pytest.raises(AssertionError, match="nothing to ask for"):
        make_plan(again.model_copy(update={"metrics": more}), never)
