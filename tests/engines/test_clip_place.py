"""The clip before or after the text of a prompt: as the chat template writes it, or refused."""

import pytest
from family_checkpoints import MAKERS, PACKAGES, without_timm
from hf_reference import Reference
from random_checkpoint import FLAMINGO_TURNS, Shape, save_checkpoint
from test_transformers import MAX_NEW_TOKENS, assert_answers_vary, assert_equals_generate

from raypipe.engines.engine import ModelSettings
from raypipe.engines.families import FAMILIES
from raypipe.engines.plugins import load_plugin
from raypipe.engines.transformers import TransformersFrontend
from raypipe.errors import ConfigError
from raypipe.protocols import Demand
from raypipe.records import Request

FLAMINGO = Shape(family="audioflamingo3", seed=4, key_heads=2)
CASES = [
    pytest.param(Shape(), "after", id="Qwen2-Audio"),
    pytest.param(FLAMINGO, "before", id="Audio Flamingo 3"),
]
USUAL = {"before": "after", "after": "before"}


@pytest.mark.parametrize(("shape", "place"), CASES)
def test_a_clip_in_the_other_place_is_answered_as_by_generate(
    make_checkpoint, make_engine, emotion_tokens, requests, shape, place
):
    path = make_checkpoint(shape)
    frontend = TransformersFrontend(str(path))
    asked = [Request(r.utterance_id, r.prompt, r.samples, clip=place) for r in requests[::2]]
    reference = Reference(path, emotion_tokens.token_ids, MAX_NEW_TOKENS)
    reference.audio_first = place == "before"
    generations = assert_equals_generate(make_engine(path), frontend, reference, asked, 3)
    assert_answers_vary(generations)


@pytest.mark.parametrize(("shape", "place"), CASES)
def test_where_a_family_has_the_clip_is_where_it_stands_unless_told(
    make_checkpoint, requests, shape, place
):
    frontend = TransformersFrontend(str(make_checkpoint(shape)))
    samples = requests[1].samples
    usual, same, other = (
        frontend.prepare([Request("u", "Which emotion?", samples, clip=clip)])[0].token_ids
        for clip in (None, USUAL[place], place)
    )
    assert usual.tolist() == same.tolist()
    assert sorted(usual) == sorted(other)
    audio = frontend._inputs.audio_token_id
    before = frontend.tokenizer.decode(other[: (other == audio).argmax()])
    assert ("Which emotion?" in before) == (place == "after")


WITH_CLIPS = {family.name for family in FAMILIES if family.clips is not None}


@pytest.mark.parametrize("name", [name for name in MAKERS if name in WITH_CLIPS])
def test_every_family_s_template_takes_the_clip_in_both_places(name, tmp_path):
    for package in PACKAGES.get(name, ()):
        pytest.importorskip(package)
    with without_timm():
        MAKERS[name](tmp_path)
    frontend = TransformersFrontend(str(tmp_path))
    frontend.check_clip_place("before")
    frontend.check_clip_place("after")


def demand(*places):
    return Demand(requires={}, clip_places=frozenset(places))


def settings(path) -> ModelSettings:
    return ModelSettings(str(path), None, None, "float32", "auto", trust_remote_code=False)


def check(engine, path, *places):
    load_plugin(engine).check_run(engine, settings(path), demand(*places))


def test_a_template_with_one_place_for_the_clip_is_refused_by_name(tmp_path):
    save_checkpoint(tmp_path, FLAMINGO)
    clip_first = (
        "{% for message in messages %}<|im_start|>{{ message['role'] }}\n<sound>"
        "{% for part in message['content'] if part['type'] == 'text' %}{{ part['text'] }}"
        "{% endfor %}<|im_end|>\n{% endfor %}<|im_start|>assistant\n"
    )
    check("transformers", tmp_path, "before", "after")
    (template,) = tmp_path.glob("chat_template.*")
    assert template.read_text() == FLAMINGO_TURNS
    template.write_text(clip_first)
    check("transformers", tmp_path, "before")
    with pytest.raises(
        ConfigError,
        match=r"prompt\.clip: after: the chat template of Audio Flamingo 3 puts the clip before",
    ):
        check("transformers", tmp_path, "after")


def test_a_model_that_takes_no_clips_is_refused_by_name(tmp_path):
    MAKERS["Qwen3 (text)"](tmp_path)
    with pytest.raises(ConfigError, match=r"prompt\.clip: after: Qwen3 \(text\) takes no clips"):
        check("transformers", tmp_path, "after")


def test_an_engine_that_lets_no_prompt_choose_is_refused_by_name():
    plugin = load_plugin("openai")
    other = type(plugin)(plugin.frontend, plugin.engine, plugin.capabilities)
    with pytest.raises(ConfigError, match=r"prompt\.clip: after: engine mine has its own place"):
        other.check_run("mine", settings("x"), demand("after"))
