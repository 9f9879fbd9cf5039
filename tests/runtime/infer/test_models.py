"""The engines of a run: found by name, told apart, checked before any work starts."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from fake_engine import PLUGIN, FakeEngine
from in_process import LABELS

from raypipe.config import ModelConfig, parse_config
from raypipe.engines.contract import CheckedEngine, CheckedFrontend
from raypipe.engines.engine import EnginePlugin, EngineSettings, ModelSettings, Usage
from raypipe.errors import ConfigError, StoreError, UnsupportedError
from raypipe.protocols import Capabilities
from raypipe.records import NO_PENALTIES, EmotionTokens, Grammar, Penalties, Search
from raypipe.runtime.infer import models
from raypipe.runtime.infer.models import (
    RunFolders,
    check_batches,
    check_engine,
    check_files,
    demand_of,
    engine_of,
    faults_of,
    grammar_for,
    main_search,
    make_engine,
    make_frontend,
    model_fingerprint,
    models_awaited,
    run_usage,
)
from raypipe.store.location import Location
from raypipe.store.patience import until_answered
from raypipe.tiny_alm import checkpoint_path

TOKENS = EmotionTokens((), (1, 2), ("a", "b"))


def offer(monkeypatch: pytest.MonkeyPatch, **changes: Any) -> list[EngineSettings]:
    """Let ``engine: fake`` be another plug-in; what its engine gets is kept in the list."""
    received: list[EngineSettings] = []

    def engine(settings: EngineSettings) -> FakeEngine:
        received.append(settings)
        return FakeEngine(settings)

    settings: dict[str, Any] = {
        "frontend": PLUGIN.frontend,
        "engine": engine,
        "capabilities": PLUGIN.capabilities,
        "options": PLUGIN.options,
        **changes,
    }
    plugin = EnginePlugin(**settings)
    monkeypatch.setattr(models, "load_plugin", lambda name: plugin)
    return received


def test_an_engine_gets_the_model_section_and_its_checked_options(in_process: Any) -> None:
    options = {"shares": {"anger": 1.0}}
    config = ModelConfig(
        engine="fake", path="here/there", dtype="bfloat16", revision="abc", options=options
    )
    plugin, settings = engine_of(config)
    assert plugin is PLUGIN
    assert (settings.path, settings.dtype, settings.revision) == ("here/there", "bfloat16", "abc")
    assert settings.options.shares == {"anger": 1.0}


def test_the_bundled_model_s_name_is_a_folder_of_this_machine() -> None:
    _, settings = engine_of(ModelConfig())
    assert (Path(settings.path) / "config.json").is_file()


@pytest.mark.usefixtures("fake_engine")
def test_unknown_engines_and_options_are_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"unknown engine 'none such'; known here: .*fake"):
        engine_of(ModelConfig(engine="none such", path="x"))
    with pytest.raises(ConfigError, match=r"model\.options: volume: unknown key"):
        engine_of(ModelConfig(engine="fake", path="x", options={"volume": 11}))


def test_both_halves_are_held_to_their_contract(in_process: Any) -> None:
    config = in_process.config()
    assert isinstance(make_frontend(config.model), CheckedFrontend)
    assert isinstance(make_engine(config, TOKENS, []), CheckedEngine)


def test_an_engine_is_told_of_its_run(in_process: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    received = offer(monkeypatch)
    searches = [Search(3, True, 9)]
    config = in_process.config(resources={"batch_size": 7, "cuda_graphs": False})
    make_engine(config, TOKENS, searches)
    (settings,) = received
    assert (settings.batch_size, settings.cuda_graphs) == (7, False)
    assert settings.emotion_tokens is TOKENS
    assert tuple(settings.searches) == tuple(searches)
    assert isinstance(settings.folders, RunFolders)
    assert settings.folders.in_output("cache").uri == f"{config.output}/cache"
    assert settings.folders.at(str(in_process.folder)).uri == str(in_process.folder)


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ({"threads_per_actor": 5}, 5),
        ({"threads_per_actor": 5, "gpus_per_actor": 1}, 5),
        ({"gpus_per_actor": 1}, None),
        ({"actors": 2}, 6),
        ({"actors": 5}, 2),
        ({"actors": 50}, 1),
    ],
)
def test_actors_without_a_gpu_share_the_machine_s_threads(
    in_process: Any,
    monkeypatch: pytest.MonkeyPatch,
    resources: dict[str, Any],
    expected: int | None,
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 12)
    received = offer(monkeypatch)
    make_engine(in_process.config(resources=resources), TOKENS, [])
    assert received[0].threads == expected


@pytest.mark.parametrize(
    ("strategies", "requires"),
    [
        (["greedy"], {}),
        (["token"], {"emotion_logits": ("token",)}),
        (["token_softmax"], {"emotion_logprobs": ("token_softmax",)}),
        (["w_bon", "bon"], {"hypotheses": ("w_bon", "bon"), "token_logprobs": ("bon",)}),
        (["adaptive"], {"hypotheses": ("w_bon",)}),
        (["cot"], {}),
        (["alm_v"], {"hypotheses": ("alm_v",)}),
    ],
)
def test_a_run_demands_what_its_strategies_and_their_questions_need(
    in_process: Any, strategies: list[str], requires: dict[str, tuple[str, ...]]
) -> None:
    demand = demand_of(in_process.config(strategies=strategies), TOKENS)
    assert demand.requires == requires


def test_a_question_that_nobody_reads_is_demanded_all_the_same(in_process: Any) -> None:
    config = in_process.config(strategies=["greedy"], questions=["beams"])
    assert demand_of(config, TOKENS).requires == {"hypotheses": ("beams",)}


def test_a_demand_says_how_is_asked(in_process: Any) -> None:
    demand = demand_of(
        in_process.config(
            decoding={"beam_count": 4, "other_beam_counts": [2], "greedy": False},
            strategies=["w_bon"],
            aggregation={"token_steps": "words"},
            prompt={"template": "describe"},
        ),
        TOKENS,
    )
    assert (demand.greedy, demand.beam_counts) == (False, (4, 2))
    assert (demand.token_steps, demand.text_only, demand.grammar) == ("words", True, None)
    assert demand.emotion_tokens is TOKENS
    plain = demand_of(in_process.config(strategies=["greedy"], decoding={"beam_count": 0}), TOKENS)
    assert (plain.greedy, plain.beam_counts, plain.text_only) == (True, (), False)


@pytest.mark.parametrize(
    ("grammar", "expected"),
    [
        ("distribution", "distribution"),
        ({"regex": "a+"}, Grammar("regex", "a+")),
        ({"json_schema": {"type": "number"}}, Grammar("json_schema", '{"type": "number"}')),
    ],
)
def test_a_demand_names_the_grammar_as_the_user_did(
    in_process: Any, grammar: Any, expected: Any
) -> None:
    config = in_process.config(decoding={"beam_count": 2, "grammar": grammar})
    assert demand_of(config, TOKENS).grammar == expected


@pytest.mark.parametrize(
    ("capabilities", "changes", "message"),
    [
        (
            Capabilities(beams=False, emotion_logits=True, token_logprobs=True),
            {"strategies": ["greedy", "w_bon"]},
            "strategies w_bon need several hypotheses, which engine fake does not give",
        ),
        (
            Capabilities(beams=True, emotion_logits=False, token_logprobs=True),
            {"strategies": ["token"]},
            "strategies token need raw logits of emotion tokens",
        ),
        (
            Capabilities(beams=True, emotion_logits=True, token_logprobs=False),
            {"strategies": ["bon", "w_bon"]},
            "strategies bon need log-probabilities",
        ),
        (
            Capabilities(beams=False, emotion_logits=True, token_logprobs=True),
            {"strategies": ["greedy", "adaptive"]},
            "strategies w_bon need several hypotheses",
        ),
        (
            Capabilities(beams=True, emotion_logits=True, token_logprobs=True),
            {"strategies": ["greedy"], "decoding": {"grammar": "distribution"}},
            r"decoding\.grammar: engine fake knows no grammars",
        ),
    ],
)
def test_what_an_engine_does_not_give_is_refused_before_any_work(
    in_process: Any,
    monkeypatch: pytest.MonkeyPatch,
    capabilities: Capabilities,
    changes: dict[str, Any],
    message: str,
) -> None:
    offer(monkeypatch, capabilities=capabilities)
    with pytest.raises(ConfigError, match=message):
        check_engine(in_process.config(**changes), TOKENS)


def test_what_an_engine_gives_is_not_refused(in_process: Any) -> None:
    check_engine(in_process.config(strategies=["greedy", "token", "bon", "w_bon", "cot"]), TOKENS)


def test_the_main_search_is_what_the_config_says(
    in_process: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(monkeypatch, grammars=("json_schema",))
    decoding = {"beam_count": 4, "greedy": False, "max_new_tokens": 7, "grammar": "distribution"}
    config = in_process.config(decoding=decoding, strategies=["w_bon"])
    search = main_search(config, LABELS)
    assert (search.beam_count, search.greedy, search.max_new_tokens) == (4, False, 7)
    assert search.grammar is not None
    assert search.grammar.kind == "json_schema"
    assert grammar_for(in_process.config(), LABELS) is None


@pytest.mark.usefixtures("fake_engine")
def test_a_model_s_fingerprint_changes_with_its_files_revision_and_options(tmp_path: Path) -> None:
    def fingerprint(**settings: Any) -> str:
        return model_fingerprint(ModelConfig(engine="fake", **settings))

    folder = str(tmp_path)
    (tmp_path / "weights").write_bytes(b"1")
    first = fingerprint(path=folder)
    assert fingerprint(path=folder) == first
    assert fingerprint(path=folder, options={"shares": {"anger": 1.0}}) != first
    (tmp_path / "weights").write_bytes(b"2")
    assert fingerprint(path=folder) != first
    hub = [fingerprint(path="group/model", revision=revision) for revision in ("a", "b", None)]
    assert len({*hub}) == 3


def test_a_run_that_spends_nothing_has_no_usage(in_process: Any) -> None:
    assert run_usage(in_process.config()) is None


def test_usage_is_read_from_the_run_s_own_folder(
    in_process: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def usage(folders: Any) -> Usage:
        asked.append(folders.in_output("api").uri)
        return Usage(requests=3)

    offer(monkeypatch, usage=usage)
    assert run_usage(in_process.config()) == asdict(Usage(requests=3))
    assert asked == [f"{in_process.tables.uri}/api"]


def test_an_engine_without_batches_has_nothing_to_check(
    in_process: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_batches(in_process.config().model)
    offer(monkeypatch, batched=False)
    with pytest.raises(ConfigError, match="there is no batch to check"):
        check_batches(in_process.config().model)


def test_a_worker_waits_for_the_storage_that_the_plan_has_read_a_model_from() -> None:
    config = parse_config(
        {
            "input": {"shards": "s"},
            "output": "o",
            "model": {"path": "s3://bucket/model", "endpoint": "http://elsewhere:9000"},
            "storage": {"patience_s": 60},
        }
    )
    replies = iter([StoreError("no answer"), "weights"])

    def ask() -> str:
        reply = next(replies)
        if isinstance(reply, StoreError):
            raise reply
        return reply

    with models_awaited(config):
        place = Location.parse("s3://bucket/model", config.model.endpoint)
        wait = partial(until_answered, endpoint=place.endpoint, seconds=place.patience_s)
        assert wait(ask, lambda error: True) == "weights"


def test_a_name_at_a_service_is_no_path(monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, loads_path=False)
    _, settings = engine_of(ModelConfig(engine="fake", path="tiny-alm"))
    assert isinstance(settings, ModelSettings)
    assert settings.path == "tiny-alm"


def published(folder: Path, **settings: Any) -> Path:
    """A copy of the bundled checkpoint with other settings of generation."""
    path = shutil.copytree(checkpoint_path(), folder / "published")
    own = json.loads((path / "generation_config.json").read_text())
    (path / "generation_config.json").write_text(json.dumps(own | settings))
    return path


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ("checkpoint", "checkpoint"),
        ("none", NO_PENALTIES),
        ({"repetition_penalty": 1.05}, Penalties(1.05)),
    ],
)
def test_an_engine_gets_the_penalties_of_the_run(
    in_process: Any, monkeypatch: pytest.MonkeyPatch, asked: Any, given: Any
) -> None:
    received = offer(monkeypatch, penalises=True)
    config = in_process.config(decoding={"penalties": asked})
    check_engine(config, TOKENS)
    make_engine(config, TOKENS, [])
    assert received[0].model.penalties == given


def test_penalties_are_refused_where_none_are_applied(in_process: Any) -> None:
    config = in_process.config(decoding={"penalties": "none"})
    with pytest.raises(ConfigError, match=r"decoding\.penalties: engine fake"):
        check_engine(config, TOKENS)


def test_what_a_checkpoint_asks_for_in_vain_is_refused_before_any_work(
    in_process: Any, tmp_path: Path
) -> None:
    asks = {"repetition_penalty": 1.1, "no_repeat_ngram_size": 3, "min_length": 2}
    path = published(tmp_path, **asks)
    model = {"path": str(path)}
    config = in_process.config(model=model)
    wanted = "no_repeat_ngram_size=3.* add ignore_generation_config: true under model"
    with pytest.raises(ConfigError, match=wanted) as refused:
        in_process.plan(model=model)
    assert "min_length=2" in str(refused.value)
    assert "repetition_penalty" not in str(refused.value)
    with pytest.raises(UnsupportedError, match=wanted):
        check_engine(config, TOKENS)
    check_engine(in_process.config(model=model | {"ignore_generation_config": True}), TOKENS)
    assert config.decoding.penalties == "checkpoint"


def test_the_faults_of_all_models_are_told_with_their_paths(
    in_process: Any, tmp_path: Path
) -> None:
    missing = str(tmp_path / "missing")
    config = in_process.config(
        model={"path": missing},
        strategies=["greedy", "alm_v"],
        verifier={"model": {"path": str(tmp_path)}},
    )
    assert [*faults_of(config)] == [
        f"model {missing}: no such folder",
        f"model {tmp_path}: no config.json in the folder: it is no checkpoint as transformers "
        "saves it",
    ]
    with pytest.raises(ConfigError, match=f"^model {missing}: no such folder$"):
        check_files(config)


def test_the_bundled_model_and_a_plug_in_that_knows_no_faults_pass(in_process: Any) -> None:
    check_files(in_process.config())
    check_files(in_process.config(model={"path": "tiny-alm"}))
