"""Plain turns: as the authors' evaluation scripts write them, answered as by generate()."""

import pytest
from hf_reference import Reference
from test_transformers import assert_answers_vary, assert_equals_generate

from raypipe.config import BUNDLED_MODEL
from raypipe.config.model import local_path
from raypipe.engines.engine import ModelSettings
from raypipe.engines.families import FAMILIES
from raypipe.engines.plain_turn import refuse_plain_turn
from raypipe.engines.plugins import load_plugin
from raypipe.errors import ConfigError
from raypipe.protocols import Demand
from raypipe.records import Failure, Request

MAX_NEW_TOKENS = 24


class PlainReference(Reference):
    def inputs(self, prompt, samples):
        if samples is None:
            return self.processor.tokenizer([prompt], return_tensors="pt")
        # As evaluate_emotion.py of QwenLM/Qwen2-Audio does.
        text = "<|audio_bos|><|AUDIO|><|audio_eos|>" + prompt
        return self.processor(
            text=[text], audio=[samples], sampling_rate=16000, return_tensors="pt", padding=True
        )


@pytest.fixture(scope="module")
def plain(checkpoint, emotion_tokens):
    return PlainReference(checkpoint, emotion_tokens.token_ids, MAX_NEW_TOKENS)


@pytest.fixture
def asked(requests):
    assert len(requests) >= 16
    return [Request(one.utterance_id, one.prompt, one.samples, "plain") for one in requests]


def test_hypotheses_of_plain_turns_are_those_of_generate(make_engine, frontend, plain, asked):
    generations = assert_equals_generate(make_engine(), frontend, plain, asked, 3)
    assert_answers_vary(generations)


def test_a_plain_question_without_a_clip_is_its_text(make_engine, frontend, plain):
    asked = [Request(f"u{i}", f"{i} words:", None, "plain") for i in range(3)]
    assert_equals_generate(make_engine(), frontend, plain, asked, 3)
    (made,) = frontend.prepare(asked[:1])
    assert frontend._tokenizer.decode(made.token_ids) == "0 words:"


def test_a_plain_turn_is_the_marks_and_the_text_alone(frontend, requests):
    one = requests[0]
    chat, plain = (
        frontend.prepare([Request("u", one.prompt, one.samples, turn)])[0]
        for turn in ("chat", "plain")
    )
    audio_id = frontend._inputs.audio_token_id
    assert (chat.token_ids == audio_id).sum() == (plain.token_ids == audio_id).sum() > 1
    text = frontend._tokenizer.decode(plain.token_ids[plain.token_ids != audio_id])
    assert text == f"<|audio_bos|><|audio_eos|>{one.prompt}"


def test_what_a_prompt_may_not_hold_it_may_not_hold_in_a_plain_turn(frontend, requests):
    request = Request("u", "Hear <|AUDIO|>", requests[0].samples, "plain")
    (failure,) = frontend.prepare([request])
    assert isinstance(failure, Failure)
    assert failure.error_type == "special_token_in_prompt"


def settings(path: str) -> ModelSettings:
    return ModelSettings(path, None, None, "float32", "auto", trust_remote_code=False)


def test_families_say_whether_they_have_one():
    assert [one.name for one in FAMILIES if one.plain_clip is not None] == ["Qwen2-Audio"]
    refuse_plain_turn("transformers", settings(local_path(BUNDLED_MODEL)))


def test_a_family_without_one_is_refused_by_name(make_checkpoint):
    from random_checkpoint import Shape

    flamingo = settings(str(make_checkpoint(Shape(family="audioflamingo3", seed=4, key_heads=2))))
    demand = Demand(requires={}, turns=frozenset({"chat", "plain"}))
    with pytest.raises(
        ConfigError,
        match=r"prompt\.turn: plain: Audio Flamingo 3 is asked in a chat.*are for Qwen2-Audio",
    ):
        load_plugin("transformers").check_run("transformers", flamingo, demand)


def test_an_engine_that_asks_in_chats_only_is_refused_by_name():
    demand = Demand(requires={}, turns=frozenset({"plain"}))
    plugin = load_plugin("openai")
    with pytest.raises(ConfigError, match=r"prompt\.turn: plain: engine mine asks in a chat's"):
        type(plugin)(plugin.frontend, plugin.engine, plugin.capabilities).check_run(
            "mine", settings("x"), demand
        )
