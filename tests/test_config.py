import copy
import datetime
import os
import random
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from raypipe.config import PromptConfig, RunConfig, load_config, parse_config
from raypipe.config.base import read_yaml
from raypipe.errors import ConfigError
from raypipe.votes import VotePolicy

MINIMAL = {"input": {"shards": "in"}, "output": "out"}


def identity(**changes: object) -> tuple[str, str]:
    config = parse_config({**MINIMAL, **changes})
    generation = config.generation_identity("input", ["model"], ["template"], ["questions"])
    return generation, config.prediction_identity(generation)


def test_a_minimal_config_gets_the_papers_defaults() -> None:
    config = parse_config(MINIMAL)
    assert config.decoding.beam_count == 5
    assert config.aggregation.tau == 1.0
    assert config.model.label == "tiny-alm"


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({**MINIMAL, "modle": {}}, ["modle", "unknown key"]),
        ({**MINIMAL, "decoding": {"beams": 3}}, ["decoding.beams", "unknown key"]),
        ({"output": "out"}, ["input", "missing"]),
        ({**MINIMAL, "decoding": {"beam_count": -1}}, ["decoding.beam_count", "-1"]),
        ({**MINIMAL, "aggregation": {"tau": 0}}, ["aggregation.tau", "0"]),
        ({**MINIMAL, "strategies": ["majority"]}, ["strategies.0", "'majority'"]),
        ({**MINIMAL, "strategies": []}, ["strategies", "at least one"]),
        ({**MINIMAL, "strategies": ["greedy", "greedy"]}, ["strategies", "once"]),
        ({**MINIMAL, "strategies": ["cot"], "prompt": {"template": "single"}}, ["cot", "single"]),
        ({**MINIMAL, "adaptive": {"cheap": "bon", "expensive": "bon"}}, ["adaptive", "both bon"]),
        ({**MINIMAL, "adaptive": {"cheap": "adaptive"}}, ["adaptive.cheap", "adaptive"]),
        (
            {**MINIMAL, "decoding": {"beam_count": 0}, "strategies": ["greedy", "adaptive"]},
            ["w_bon", "beam_count"],
        ),
        ({**MINIMAL, "decoding": {"other_beam_counts": [3, 5]}}, ["decoding", "once"]),
        ({**MINIMAL, "decoding": {"other_beam_counts": [0]}}, ["other_beam_counts.0", "0"]),
        ({**MINIMAL, "model": {"name": "b"}, "models": [{"name": "a"}]}, ["model or models"]),
        ({**MINIMAL, "models": [{"path": "a/x"}, {"path": "b/x"}]}, ["models", "'x'"]),
        ({**MINIMAL, "prompts": [{}, {"name": "distribution"}]}, ["prompts", "'distribution'"]),
        ({**MINIMAL, "ensembles": [{"prompts": ["single"]}]}, ["ensemble", "'single'"]),
        ({**MINIMAL, "ensembles": [{"name": "distribution"}]}, ["'distribution'", "several"]),
        ({**MINIMAL, "verifier": {"candidates": 0}}, ["verifier.candidates", "0"]),
        ({**MINIMAL, "decoding": {"beam_count": 0}}, ["bon", "beam_count"]),
        ({**MINIMAL, "decoding": {"greedy": False}}, ["greedy"]),
        ({**MINIMAL, "audio": {"long_audio": "half"}}, ["audio.long_audio", "first_window"]),
        ({**MINIMAL, "decoding": {"grammar": "json"}}, ["decoding.grammar", "'json'"]),
        ({**MINIMAL, "decoding": {"grammar": {}}}, ["decoding.grammar", "{regex: ...}"]),
        (
            {**MINIMAL, "decoding": {"grammar": {"regexp": "a"}}},
            ["decoding.grammar.regexp", "unknown key"],
        ),
    ],
)
def test_a_wrong_config_names_field_and_value(
    document: dict[str, object], words: list[str]
) -> None:
    with pytest.raises(ConfigError) as error:
        parse_config(document, source="my.yaml")
    for word in [*words, "my.yaml"]:
        assert word in str(error.value)


def test_every_wrong_field_is_named_at_once() -> None:
    with pytest.raises(ConfigError, match=r"(?s)input.*modle"):
        parse_config({"output": "out", "modle": {}})


@pytest.mark.parametrize("text", ["- a\n- b\n", "a: [", "\x00"])
def test_a_file_that_is_no_mapping_is_refused_by_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"bad\.yaml"):
        load_config(path)


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.yaml.*No such file"):
        load_config(tmp_path / "absent.yaml")


def test_places_and_resources_do_not_make_another_run() -> None:
    assert identity() == identity(
        output="elsewhere",
        name="again",
        resources={"actors": 4, "batch_size": 1, "isolate": False, "call_timeout_s": 60},
        metrics={"replicates": 200},
    )


@pytest.mark.parametrize("setting", ["call_timeout_s", "engine_memory_gb"])
@pytest.mark.parametrize("value", [0, -1, float("inf"), float("nan")])
def test_limits_that_make_no_sense_are_refused(setting: str, value: float) -> None:
    with pytest.raises(ConfigError, match=rf"resources\.{setting}"):
        parse_config({**MINIMAL, "resources": {setting: value}})


def test_vllm_s_memory_does_not_make_another_run_but_its_limit_does() -> None:
    vllm = identity(model={"engine": "vllm"})
    assert vllm != identity()
    more_memory = {"gpu_memory_share": 0.4, "kv_cache_bytes": 1 << 30, "enforce_eager": True}
    assert vllm == identity(model={"engine": "vllm", "vllm": more_memory})
    assert vllm != identity(model={"engine": "vllm", "vllm": {"max_model_len": 900}})
    assert identity() == identity(model={"vllm": {"max_model_len": 900}})


def test_decoding_makes_other_generations() -> None:
    assert identity()[0] != identity(decoding={"max_new_tokens": 50})[0]
    assert identity() == identity(prompt={"turn": "chat"})
    assert identity()[0] != identity(prompt={"turn": "plain"})[0]
    assert identity() == identity(prompt={"clip": None})
    places = [identity(prompt={"clip": place})[0] for place in (None, "before", "after")]
    assert len(set(places)) == 3
    assert identity() == identity(model={"endpoint": "http://127.0.0.1:9000"})


def test_hearing_only_the_beginning_of_long_clips_makes_other_generations() -> None:
    assert identity()[0] != identity(audio={"long_audio": "first_window"})[0]


def test_aggregation_makes_other_predictions_of_the_same_generations() -> None:
    plain, sharper = identity(), identity(aggregation={"tau": 10.0})
    assert plain[0] == sharper[0]
    assert plain[1] != sharper[1]


def test_a_grammar_makes_another_run() -> None:
    grammars = (None, "distribution", {"regex": "a"}, {"regex": "b"}, {"json_schema": {}})
    assert len({identity(decoding={"grammar": grammar}) for grammar in grammars}) == 5
    assert identity() == identity(decoding={"grammar": None})


def test_a_judge_is_held_to_no_grammar_of_the_run() -> None:
    judge = {"engine": "openai", "path": "m", "api": {"preset": "gpt-4o-audio"}}
    document = {**MINIMAL, "decoding": {"grammar": "distribution"}, "verifier": {"model": judge}}
    config = parse_config(document)
    assert config.as_verifier().model.path == "m"
    assert config.as_verifier().decoding.grammar is None
    assert config.decoding.grammar == "distribution"


def api(**changes: object) -> dict[str, object]:
    """A model section that asks an endpoint."""
    return {"engine": "openai", "path": "m", "api": {"preset": "vllm", **changes}}


def test_haste_and_money_do_not_make_another_run_but_sampling_does() -> None:
    plain = identity(model=api())
    assert plain == identity(
        model=api(
            concurrency=1,
            attempts=2,
            timeout_s=1,
            base_url="http://127.0.0.1:1/v1",
            key_variable="ANOTHER_KEY",
            cache="elsewhere",
            prices={"input": 1, "output": 2},
            budget={"cost": 3},
        )
    )
    for change in ({"seed": 1}, {"temperature": 0.5}, {"extra": {"a": 1}}):
        assert plain[0] != identity(model=api(**change))[0], change


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"engine": "openai", "path": "m"}, "belong together"),
        ({"engine": "openai", "api": {}}, "needs path"),
        (api(budget={"cost": 1}), "needs prices"),
        (api(extra={"n": 4}), "settings of their own"),
        (api(base_url="ftp://x"), "http"),
        (api(key="x"), "model.api.key: unknown key"),
    ],
)
def test_an_endpoint_is_described_without_contradiction(
    model: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_config({**MINIMAL, "model": model})


@pytest.mark.parametrize(
    "mistake",
    [
        {"key_variable": "sk-Secret"},
        {"base_url": "https://user:sk-Secret@x/v1"},
        {"extra": {"api_key": "sk-Secret"}},
        {"extra": {"extra_headers": {"X-Any": "sk-Secret"}}},
        {"extra": {"a": [{"Authorization": "sk-Secret"}]}},
        {"extra": {"a": "Bearer sk-Secret"}},
        {"extra": {"metadata": {"openai-api-key": "sk-Secret"}}},
    ],
)
def test_a_key_in_the_wrong_place_is_refused_without_repeating_it(
    mistake: dict[str, object],
) -> None:
    with pytest.raises(ConfigError, match="environment") as caught:
        parse_config({**MINIMAL, "model": api(**mistake)})
    assert "Secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("password: 'PASS\n", "line 2, column 1: while scanning a quoted scalar"),
        ("a: b: PASS\n", "line 1, column 5: mapping values are not allowed here"),
        ("password: *PASS\n", "line 1, column 11: found undefined alias '...'"),
        ("password: !PASS x\n", "line 1, column 11: could not determine a constructor"),
        ("a: [1, PASS\nb: 2\n", "expected ',' or ']', but got ':'"),
        ("a: !!int PASS\n", "invalid literal for int() with base 10: '...'"),
        ("[a, b\n", "but got '<stream end>'"),
    ],
)
def test_a_broken_file_is_told_by_its_place_without_its_text(
    tmp_path: Path, text: str, told: str
) -> None:
    message = refused(tmp_path / "c.yaml", text)
    assert message is not None
    assert "c.yaml: is not YAML: " in message
    assert told in message
    assert "PASS" not in message


def test_a_config_without_an_end_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^/dev/zero: is larger than the 4 MiB"):
        load_config("/dev/zero")


def test_a_config_may_come_through_a_pipe(tmp_path: Path) -> None:
    pipe, text = tmp_path / "pipe.yaml", yaml.safe_dump(MINIMAL)
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=(text,))
    writer.start()
    try:
        assert load_config(str(pipe)).model.path == "tiny-alm"
    finally:
        writer.join()


@pytest.mark.parametrize("path", ["https://me:PASS@host/m", "http://PA/SS@h", "s3://k:PASS@b/x"])
@pytest.mark.parametrize(
    ("section", "key"),
    [("model", "path"), ("model", "adapter"), ("prompt", "template"), (None, "output")],
)
def test_a_path_with_a_password_is_refused_without_it(
    path: str, section: str | None, key: str
) -> None:
    changed = {key: path} if section is None else {section: {key: path}}
    with pytest.raises(ConfigError, match=f"{key}: holds a user or a password") as caught:
        parse_config({**MINIMAL, **changed})
    assert "SS" not in str(caught.value)


@pytest.mark.parametrize(
    "value",
    [
        "password=PASS",
        "Password: PASS",
        "api_key = PASS",
        '{"token": "PASS"}',
        {"secret": "PASS"},
        ["https://me:PASS@host/"],
        "x" * 70 + "://me:PASS" + "w" * 50 + "@host",
    ],
)
def test_a_value_that_seems_a_password_is_not_repeated(value: object) -> None:
    for changed in ({"strategies": [value]}, {"decoding": {"beam_count": value}}):
        with pytest.raises(ConfigError) as caught:
            parse_config({**MINIMAL, **changed})
        assert "PASS" not in str(caught.value)


def test_a_path_with_an_at_sign_is_no_password() -> None:
    for path in ("s3://bucket/a@b", "me@home/model"):
        assert parse_config({**MINIMAL, "model": {"path": path}}).model.path == path


def test_a_budget_belongs_to_one_actor() -> None:
    model = api(budget={"requests": 1})
    with pytest.raises(ConfigError, match=r"resources\.actors: 1"):
        parse_config({**MINIMAL, "model": model, "resources": {"actors": 2}})


def test_the_config_is_frozen() -> None:
    config = RunConfig.model_validate(MINIMAL)
    with pytest.raises(ValueError, match="frozen"):
        config.output = "changed"  # type: ignore[misc]


def test_a_corpus_under_another_policy_is_another_run_from_the_predictions_on() -> None:
    config = parse_config(MINIMAL)
    policies = [None, VotePolicy(), VotePolicy(aliases=False)]
    assert len({config.prediction_identity("generations", policy) for policy in policies}) == 3


def test_only_describe_goes_without_the_clip_unless_it_is_said() -> None:
    def prompt(**settings: object) -> PromptConfig:
        return PromptConfig.model_validate(settings)

    assert not prompt().is_text_only
    assert prompt(template="describe").is_text_only
    assert not prompt(template="describe", text_only=False).is_text_only
    assert prompt(template="mine.jinja", text_only=True).is_text_only


def test_a_clip_has_no_other_place_where_there_is_none_or_it_comes_first() -> None:
    assert PromptConfig.model_validate({"turn": "plain", "clip": "before"}).clip == "before"
    with pytest.raises(ValueError, match="clip: after: a plain turn begins with the clip"):
        PromptConfig.model_validate({"turn": "plain", "clip": "after"})
    with pytest.raises(ValueError, match="clip: after: the prompt is asked without the clip"):
        PromptConfig.model_validate({"template": "describe", "clip": "after"})


def test_zero_shot_and_few_shot_have_names_of_their_own() -> None:
    few_shot = {"template": "describe", "examples": "a.jsonl"}
    assert PromptConfig.model_validate(few_shot).label == "describe+examples"
    assert PromptConfig.model_validate({**few_shot, "name": "mine"}).label == "mine"
    assert PromptConfig(template="describe").label == "describe"


def test_a_model_that_hears_nothing_does_not_judge_by_ear() -> None:
    describe, distribution = {"template": "describe"}, {"template": "distribution"}
    document = {**MINIMAL, "strategies": ["adaptive"], "adaptive": {"expensive": "w_alm_v"}}
    with pytest.raises(ConfigError, match=r"w_alm_v .*by ear.*verifier\.model"):
        parse_config({**document, "prompt": describe})
    parse_config({**document, "prompts": [describe, distribution]})
    parse_config({**document, "prompt": describe, "verifier": {"model": {"path": "judge"}}})


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (
            {"audio": {"max_chanels": 3}},
            "audio.max_chanels: unknown key, did you mean 'max_channels'",
        ),
        ({"strategys": ["greedy"]}, "strategys: unknown key, did you mean 'strategies'?"),
        (
            {"prompts": [{"templat": "x"}]},
            "prompts.0.templat: unknown key, did you mean 'template'",
        ),
        (
            {"verifier": {"model": {"pth": "x"}}},
            "verifier.model.pth: unknown key, did you mean 'path'",
        ),
        ({"strategies": ["greedi"]}, "unknown strategy 'greedi', did you mean 'greedy'?; known: "),
        ({"zzz": 1}, "zzz: unknown key"),
    ],
)
def test_a_mistyped_word_is_told_once_with_the_nearest_known_one(
    document: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config({**MINIMAL, **document})
    text = str(caught.value)
    assert message in text
    assert "\n" not in text
    assert "Value error" not in text
    assert text.count("greedi") <= 1


def test_newer_settings_of_the_audio_make_no_other_run_as_they_are() -> None:
    told = {"max_duration_s", "max_channels", "long_audio", "replace_with"}
    assert {*parse_config(MINIMAL).audio.identity()} == told
    for changed in ({"channel": 1}, {"silent": "keep"}, {"out_of_range": "scale"}):
        assert {*parse_config({**MINIMAL, "audio": changed}).audio.identity()} == told | {*changed}
        assert identity(audio=changed)[0] != identity()[0]


def test_how_many_errors_are_borne_makes_no_other_run() -> None:
    assert identity(max_error_fraction=0.5) == identity()


def test_label_tables_are_part_of_what_predictions_are() -> None:
    """A config without label tables keeps the fingerprint that it had before there were any."""
    known = "65c8ce9585f70d51d198420c77c58e0de980740abfc6db24182c85f2ad21f1b9"
    config = parse_config(MINIMAL)
    assert config.prediction_identity("generations") == known
    assert config.prediction_identity("generations", labels="table") != known
    beside, instead = {"table": "a"}, {"table": "b", "place": "instead"}
    assert identity(labels=[beside, instead]) == identity()  # what a table holds is added later
    with pytest.raises(ConfigError, match="only one table can stand instead"):
        parse_config({**MINIMAL, "labels": [instead, instead]})


README = (Path(__file__).parents[1] / "raypipe/config/README.md").read_text(encoding="utf-8")
EVERYTHING = README.partition("```yaml\n")[2].partition("```")[0]
LONGEST_MESSAGE = 2_000


def refused(path: Path, text: str) -> str | None:
    """Message of a refusal of a config, None if it is accepted; nothing else may come of it."""
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    started = time.monotonic()
    try:
        load_config(path)
    except ConfigError as error:
        message = str(error)
        assert all(line.startswith(str(path)) for line in message.split("\n"))
        assert len(message) < LONGEST_MESSAGE
        message.encode()
        return message
    finally:
        assert time.monotonic() - started < 10.0
    return None


BOMB = (
    "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
    + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10))
    + "output: *a9\n"
)
MERGES = "a0: &a0 {x: 1, y: 2}\n" + "".join(
    f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}\n" for n in range(1, 10)
)


@pytest.mark.parametrize(
    "text",
    [
        "output: 2024-13-45",
        'a: !!int "zz"',
        'a: !!float "zz"',
        'a: !!timestamp "zz"',
        "a: 0x_",
        "a: 0b_",
        f"output: {'9' * 5000}",
        f"output: 0x{'f' * 5000}",
        "[" * 100_000,
        "{" * 3000,
        "- " * 3000,
        f"a: {'[' * 900}{']' * 900}",
        "a: &a [*a]",
        "a: &a {b: *a}",
        "? [a, b]\n: c",
        "!!python/object/apply:os.system ['true']",
        f"{'k' * 5000}: 1",
        '"\\uDC00": 1',
        '"a\\nb": 1',
        "\0",
        "",
        BOMB,
        MERGES,
    ],
)
def test_what_yaml_cannot_make_values_of_is_refused_in_a_line(tmp_path: Path, text: str) -> None:
    message = refused(tmp_path / "c.yaml", text)
    assert message is not None
    assert message.count("\n") <= 2  # a missing input and output have lines of their own


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("name: a\noutput: b\nname: c\n", "'name' twice, in lines 1 and 3"),
        ("input: {shards: a, shards: b}\n", "'shards' twice, in line 1"),
        ("list:\n- {a: 1}\n- b: 1\n  c: 2\n  b: 3\n", "'b' twice, in lines 3 and 5"),
    ],
)
def test_a_key_that_stands_twice_is_refused(tmp_path: Path, text: str, where: str) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=f"^{re.escape(str(path))}: has the key {where}$"):
        read_yaml(path)


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("audio", "max_duration_s", float("inf")),
        ("audio", "max_duration_s", float("nan")),
        ("metrics", "replicates", 10_000_000),
    ],
)
def test_numbers_that_make_no_sense_are_refused_at_the_door(
    section: str, key: str, value: float
) -> None:
    with pytest.raises(ConfigError, match=f"{section}.{key}: "):
        parse_config({**MINIMAL, section: {key: value}})


def test_equal_keys_in_two_places_and_merged_keys_are_no_repetition(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("a: &a {name: x}\nb: {<<: *a, name: y}\nc: [*a, *a]\n1: 2\n'1': 3\n")
    assert read_yaml(path)["b"] == {"name": "y"}


def test_values_in_messages_are_cut(tmp_path: Path) -> None:
    document = {**MINIMAL, "decoding": {"beam_count": "B" * 9000}, "questions": [1] * 3000}
    message = refused(tmp_path / "c.yaml", yaml.safe_dump(document))
    assert message is not None
    assert "B" * 79 + "..." in message
    assert "B" * 81 not in message
    assert "and 2" in message.split("\n")[-1]


@pytest.mark.parametrize(
    ("section", "key"),
    [
        *(("input", "shards"), (None, "output"), ("model", "path"), ("prompt", "template")),
        *(("prompt", "examples"), ("prompt", "cot"), ("verifier", "template")),
    ],
)
def test_paths_that_no_file_has_are_refused(section: str | None, key: str) -> None:
    for value in ("a\0b", "\ud800", "A" * 5000, "x/" + "A" * 256, "ab/" * 400):
        changed = {key: value} if section is None else {section: {key: value}}
        with pytest.raises(ConfigError, match=key):
            parse_config({**MINIMAL, **changed})
    for section in ("model", "prompt"):
        with pytest.raises(ConfigError, match=r"name: holds half of a surrogate"):
            parse_config({**MINIMAL, section: {"name": "a\ud83db"}})


@pytest.mark.parametrize("channel", [-1, "left", True, 0.5, None, [0]])
def test_a_channel_that_is_none_is_refused_with_what_is_allowed(channel: object) -> None:
    with pytest.raises(ConfigError, match=r"audio\.channel: a channel is mix or a number") as error:
        parse_config({**MINIMAL, "audio": {"channel": channel}})
    assert "\n" not in str(error.value)
    assert parse_config({**MINIMAL, "audio": {"channel": 1.0}}).audio.channel == 1


ODD: tuple[object, ...] = (
    *(None, True, 0, -1, 1e308, float("inf"), float("nan"), 10**30, 0.5, "", "x", "\0", "\ud800"),
    *("ü🎉", "../../x", "s3://", [], {}, [[]], [{}], {"a": 1}, {1: 2}, {None: 1}, "A" * 5000),
    *(b"bytes", [1] * 3000, "a\nb", "greedy", ["greedy"] * 2, datetime.date(2020, 1, 1)),
)


def places(document: Any) -> Iterator[tuple[Any, Any]]:
    """Every container in a document with each of its keys."""
    for key in list(document) if isinstance(document, dict) else range(len(document)):
        yield document, key
        if isinstance(document[key], dict | list):
            yield from places(document[key])


def mutant(chance: random.Random) -> str:
    """The config with every setting, after some accidents to its values or to its text."""
    if chance.random() < 0.3:
        text = list(EVERYTHING)
        for _ in range(chance.choice([1, 2, 5])):
            text[chance.randrange(len(text))] = chance.choice(["", *':{}[]!\t"#\n-|%', "&a ", "*a"])
        return "".join(text)
    document = yaml.safe_load(EVERYTHING)
    for _ in range(chance.choice([1, 1, 2, 3])):
        holder, key = chance.choice(list(places(document)))
        match chance.randrange(6):
            case 0 | 1 | 2:
                holder[key] = copy.deepcopy(chance.choice(ODD))
            case 3:
                del holder[key]
            case 4 if isinstance(holder, dict):
                holder[chance.choice(["x", "é", 1, None, "strategiez", "\udc00"])] = holder.pop(key)
            case _:
                other, there = chance.choice(list(places(document)))
                holder[key] = copy.deepcopy(other[there])
    return yaml.safe_dump(document)


def test_damaged_configs_are_accepted_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    assert refused(path, EVERYTHING) is None
    chance = random.Random(12)
    outcomes = [refused(path, mutant(chance)) for _ in range(150)]
    assert sum(outcome is not None for outcome in outcomes) > 75


@pytest.mark.parametrize("section", ["storage", "model"])
@pytest.mark.parametrize(
    ("endpoint", "said"),
    [
        ("http://user:PASS@127.0.0.1:1/", "holds credentials; give them in the environment"),
        ("user:PASS@127.0.0.1", "is not an http(s):// URL with a host"),
        ("http://[PASS", "is not an http(s):// URL with a host"),
        ("http://h/?token=PASS", "holds more than an address; keys belong in the environment"),
        ("http://h/#PASS", "holds more than an address; keys belong in the environment"),
    ],
)
def test_an_endpoint_with_a_password_is_refused_without_repeating_it(
    section: str, endpoint: str, said: str
) -> None:
    document = {"input": {"shards": "s"}, "output": "o", section: {"endpoint": endpoint}}
    with pytest.raises(ConfigError) as caught:
        parse_config(document)
    assert str(caught.value).endswith(f"{section}.endpoint: the S3 endpoint {said}")
    assert "PASS" not in str(caught.value)


def test_what_follows_a_key_without_a_colon_is_not_repeated(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("input: {shards: s}\noutput: o\nstorage: {aws_secret_access_key PASS}\n")
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert str(caught.value) == f"{path}: storage.aws_secret_access_key ...: unknown key"
    path.write_text("input: {shards: s}\noutput: o\nstorage: {patience_s PASS}\n")
    with pytest.raises(ConfigError, match=r"patience_s \.{3}: unknown key, did you mean"):
        load_config(path)


def test_fields_of_a_request_that_only_sound_like_keys_pass() -> None:
    extra = {"prompt_cache_key": "p", "stop_token_ids": [1], "logit_bias": {"50256": -100}}
    config = parse_config({**MINIMAL, "model": api(extra=extra)})
    assert config.model.api is not None
    assert config.model.api.extra == extra
