"""Every family equals transformers' generate() on a random checkpoint of its architecture."""

import importlib.util
import json
import logging
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from checkpoint_parts import save_text, save_whole_omni
from family_checkpoints import MAKERS, PACKAGES, without_timm
from family_reference import FamilyReference
from random_checkpoint import Shape, save_checkpoint, sounds
from searching import Searching
from test_drafted_steps import assert_same, one_by_one_and_ahead
from test_transformers import assert_equals_generate
from ultravox import save_ultravox

from raypipe.engines.checkpoint_faults import checkpoint_faults
from raypipe.engines.engine import ModelSettings
from raypipe.engines.families import FAMILIES, family_of
from raypipe.engines.forced_lanes import ForcedAnswers
from raypipe.engines.model_facts import checkpoint_facts, counted_weight_bytes
from raypipe.engines.model_input import PromptLimits
from raypipe.engines.packed_answers import PackedAnswers
from raypipe.engines.plain_decoder import PlainDecoder
from raypipe.engines.transformers import TransformersEngine, TransformersFrontend
from raypipe.engines.tree_decoder import TreeDecoder
from raypipe.errors import UnsupportedError
from raypipe.labels import label_set
from raypipe.records import Failure, Generation, Grammar, Request, Search

SEARCH = Search(beam_count=3, greedy=True, max_new_tokens=20)
PROMPTS = [
    "Which emotion does the speaker express?",
    "Answer with one JSON object: anger, sadness.",
    "The words were: not now. The voice was loud and high.",
]
BY_NAME = {family.name: family for family in FAMILIES}


@pytest.mark.parametrize(
    "family",
    [family for family in FAMILIES if "transformers" in family.engines],
    ids=lambda family: family.name,
)
def test_transformers_has_the_named_classes(family):
    assert hasattr(transformers, family.architecture)
    assert family.processor is None or hasattr(transformers, family.processor)


def test_vllm_is_given_its_own_families_only():
    assert family_of("x", ["Qwen2AudioForConditionalGeneration"], "vllm").name == "Qwen2-Audio"
    with pytest.raises(
        UnsupportedError, match=r"x is a VoxtralFor.*vllm engine decodes Qwen2Audio"
    ):
        family_of("x", ["VoxtralForConditionalGeneration"], "vllm")


def test_every_family_says_how_far_it_is_proved_here():
    proofs = dict.fromkeys(MAKERS, "random checkpoint")
    proofs |= {
        "Qwen2-Audio": "random checkpoint",  # tests/engines/test_transformers.py
        "Audio Flamingo 3": "random checkpoint",  # the same
        "Ultravox": "parts",  # tests/engines/test_vllm.py
    }
    assert proofs == {name: family.proved for name, family in BY_NAME.items()}


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    made: dict[str, Path] = {}

    def make(name: str) -> Path:
        for package in PACKAGES.get(name, ()):
            if importlib.util.find_spec(package) is None:
                pytest.skip(f"{name} needs the package {package}")
        if name not in made:
            made[name] = tmp_path_factory.mktemp("family")
            MAKERS[name](made[name])
        return made[name]

    return make


@pytest.fixture(autouse=True, scope="module")
def _without_timm():
    # Where timm is installed too: the checkpoint was made without it.
    with without_timm():
        yield


def asked_of(family) -> list[Request]:
    requests = [Request(f"text {i}", prompt, None) for i, prompt in enumerate(PROMPTS)]
    if family.processor is not None:
        clips = enumerate(sounds([0.43, 1.0, 2.205, 4.1], seed=11))
        requests += [Request(f"clip {i}", PROMPTS[i % 3], clip) for i, clip in clips]
    return requests


@pytest.mark.parametrize("name", MAKERS)
def test_nothing_is_found_wrong_with_a_checkpoint_as_it_is_saved(name, checkpoints):
    assert faults(checkpoints(name), "transformers") == []


def model_parameters(family, path: Path) -> int:
    model = getattr(transformers, family.architecture).from_pretrained(path)
    return sum(parameter.numel() for parameter in model.parameters())


def faults(path: Path, engine: str) -> list[str]:
    settings = ModelSettings(str(path), None, None, "auto", "auto", trust_remote_code=False)
    return [*checkpoint_faults(settings, engine)]


@pytest.fixture
def compare_with_generate(device):
    return partial(assert_answers_are_those_of_generate, device)


def assert_answers_are_those_of_generate(device, family, path: Path, requests, decoder):
    frontend = TransformersFrontend(str(path))
    tokens = frontend.emotion_tokens(label_set("crema-d-6"))
    engine = TransformersEngine(str(path), emotion_tokens=tokens, batch_size=3, device=device)
    searching = Searching(engine, SEARCH)
    assert isinstance(searching.decoder, decoder)
    reference = FamilyReference(family, path, tokens.token_ids, SEARCH.max_new_tokens)
    generations = assert_equals_generate(searching, frontend, reference, requests, 3)
    for request, generation in zip(requests, generations, strict=True):
        assert bool(generation.audio_tokens) == (request.samples is not None)
    assert {one.batch_size for one in generations} == {min(3, len(requests))} or (
        decoder is PlainDecoder and {one.batch_size for one in generations} == {1}
    )
    assert_given_answers_are_scored_alike(engine, frontend.prepare(requests), generations)
    return generations


def assert_given_answers_are_scored_alike(engine, inputs, generations):
    """What a search found, given to the model as answers: the same log-probabilities."""
    for model_input, generation in zip(inputs, generations, strict=True):
        found = [item for item in generation.hypotheses if item.token_ids[0] not in engine._end_ids]
        own = [
            item.token_ids[:-1] if item.finish_reason == "stop" else item.token_ids
            for item in found
        ]
        as_lanes = ForcedAnswers if engine._model is None else PackedAnswers
        decoder = engine._decoder(as_lanes(tuple(own), engine._end_ids))
        (reply,) = engine._replies([model_input], decoder, SEARCH.max_new_tokens + 1, 1)
        for item, scored in zip(found, reply.hypotheses, strict=True):
            # Of several ends the likeliest counts, which a hypothesis need not have.
            same = len(item.token_ids) - (item.token_ids != scored.token_ids[: item.steps])
            np.testing.assert_allclose(
                scored.token_logprobs[:same], item.token_logprobs[:same], rtol=2e-6, atol=1e-4
            )


@pytest.mark.parametrize("name", MAKERS)
def test_hypotheses_are_those_of_generate(name, checkpoints, caplog, compare_with_generate):
    family, requests = BY_NAME[name], asked_of(BY_NAME[name])
    decoder = TreeDecoder if family.decoder == "tree" else PlainDecoder
    with caplog.at_level(logging.WARNING, logger="raypipe"):
        generations = compare_with_generate(family, checkpoints(name), requests, decoder)
    # transformers warns of what it makes of a config on its own account.
    assert not [one for one in caplog.records if one.name.startswith("raypipe")]
    answers = {generation.hypotheses[1].token_ids for generation in generations}
    assert len(answers) > len(requests) // 2


@pytest.mark.parametrize("name", ["Qwen2.5-Omni (thinker)", "Qwen3-Omni (thinker)", "Voxtral"])
def test_a_clip_of_more_than_30_s_is_heard_whole(name, checkpoints, compare_with_generate):
    path = checkpoints(name)
    asked = [Request(f"{len(clip)}", PROMPTS[0], clip) for clip in sounds([31.2, 3.0], seed=4)]
    long, short = compare_with_generate(BY_NAME[name], path, asked, TreeDecoder)
    assert long.audio_tokens > 30 * 12.5 >= short.audio_tokens


def test_a_clip_of_several_windows_is_heard_whole(tmp_path, compare_with_generate):
    save_checkpoint(tmp_path, Shape(family="audioflamingo3", seed=4, key_heads=2, window_s=4))
    # Full windows, and a last one of one frame, of a few and of many.
    durations_s = [8.0, 8.005, 8.07, 14.3, 3.9, 4.0]
    asked = [
        Request(f"{seconds} s", PROMPTS[0], clip)
        for seconds, clip in zip(durations_s, sounds(durations_s, seed=2), strict=True)
    ]
    family = BY_NAME["Audio Flamingo 3"]
    made = compare_with_generate(family, tmp_path, asked, TreeDecoder)
    assert [one.audio_tokens for one in made] == [200, 200, 202, 357, 97, 100]


@pytest.mark.parametrize("generation", ["2_5", "3"])
def test_the_thinker_is_taken_out_of_a_whole_omni(generation, tmp_path, compare_with_generate):
    family = save_whole_omni(tmp_path, generation)
    assert faults(tmp_path, "transformers") == []
    settings = ModelSettings(str(tmp_path), None, None, "float32", "auto", trust_remote_code=False)
    assert checkpoint_facts(settings, "transformers")["family"] == family
    parts = model_parameters(BY_NAME[family], tmp_path)
    assert counted_weight_bytes(settings, "transformers", "float32") == 4 * parts
    requests = asked_of(BY_NAME[family])[:4]
    compare_with_generate(BY_NAME[family], tmp_path, requests, TreeDecoder)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("Mistral (text)", {"sliding_window": 16}),
        (
            "Qwen3 (text)",
            {"use_sliding_window": True, "sliding_window": 16, "max_window_layers": 1},
        ),
        ("Llama 2, 3 (text)", {"rope_parameters": {"rope_type": "dynamic", "factor": 2.0}}),
    ],
)
def test_a_variant_that_the_tree_does_not_reproduce_goes_the_plain_way(
    name, changes, tmp_path, caplog, compare_with_generate
):
    family = BY_NAME[name]
    save_text(tmp_path, family.architecture, **changes)
    with caplog.at_level(logging.WARNING, logger="raypipe"):
        compare_with_generate(family, tmp_path, asked_of(family), PlainDecoder)
    assert "goes through its own forward pass" in caplog.text


def test_a_checkpoint_s_kind_of_cache_changes_nothing(checkpoints, device):
    path = str(checkpoints("Gemma 3 (text)"))
    frontend = TransformersFrontend(path)
    tokens = frontend.emotion_tokens(label_set("crema-d-6"))
    engine = TransformersEngine(path, emotion_tokens=tokens, batch_size=1, device=device)
    inputs = frontend.prepare(asked_of(BY_NAME["Gemma 3 (text)"]))
    expected = engine.generate(inputs, SEARCH)
    engine._whole.generation_config.cache_implementation = "static"
    for reply, answer in zip(engine.generate(inputs, SEARCH), expected, strict=True):
        assert [h.alpha for h in reply.hypotheses] == [h.alpha for h in answer.hypotheses]


@pytest.mark.parametrize(
    "name",
    # Voxtral's tokenizer is none that a grammar can be made for.
    [name for name in MAKERS if BY_NAME[name].decoder == "tree" and name != "Voxtral"],
)
def test_steps_that_guess_ahead_give_the_answers_of_steps_one_by_one(name, checkpoints, device):
    path, family = checkpoints(name), BY_NAME[name]
    frontend = TransformersFrontend(str(path))
    tokens = frontend.emotion_tokens(label_set("crema-d-6"))
    engine = TransformersEngine(str(path), emotion_tokens=tokens, batch_size=3, device=device)
    inputs = frontend.prepare(asked_of(family))
    grammar = Grammar("regex", r"anger: [01], fear: [01], sadness: [01]")
    searching = Searching(engine, replace(SEARCH, beam_count=2, grammar=grammar, max_new_tokens=40))
    (expected, alone), (found, ahead) = one_by_one_and_ahead(searching, inputs)
    assert_same(found, expected)
    assert max(ahead) > max(alone)


@pytest.mark.parametrize("name", ["Gemma 3n", "Qwen3-Omni (thinker)"])
def test_a_grammar_is_followed_on_either_path(name, checkpoints, device):
    family, path, pattern = BY_NAME[name], checkpoints(name), r"[a-z]{2,7}( [a-z]{3,9})*"
    frontend = TransformersFrontend(str(path))
    tokens = frontend.emotion_tokens(label_set("crema-d-6"))
    engine = TransformersEngine(str(path), emotion_tokens=tokens, batch_size=3, device=device)
    held = replace(SEARCH, grammar=Grammar("regex", pattern), max_new_tokens=10)
    reference = FamilyReference(family, path, tokens.token_ids, 10).held_to(pattern, 10)
    requests = asked_of(family)[2:5]
    assert_equals_generate(Searching(engine, held), frontend, reference, requests, 3)


@pytest.mark.parametrize("name", MAKERS)
def test_half_precision_runs(name, checkpoints, device):
    path = str(checkpoints(name))
    frontend = TransformersFrontend(path)
    tokens = frontend.emotion_tokens(label_set("crema-d-6"))
    engine = TransformersEngine(
        path, emotion_tokens=tokens, batch_size=3, device=device, dtype="bfloat16"
    )
    replies = engine.generate(frontend.prepare(asked_of(BY_NAME[name])), Search(2, True, 3))
    assert all(isinstance(reply, Generation) for reply in replies)


@pytest.mark.parametrize("name", MAKERS)
def test_a_further_question_is_as_if_prepared_anew(name, checkpoints):
    frontend = TransformersFrontend(str(checkpoints(name)))
    requests = asked_of(BY_NAME[name])
    for one in frontend.prepare(requests):
        again = frontend.with_prompt(one, PROMPTS[0])
        samples = next(r.samples for r in requests if r.utterance_id == one.utterance_id)
        (anew,) = frontend.prepare([Request(one.utterance_id, PROMPTS[0], samples)])
        np.testing.assert_array_equal(again.token_ids, anew.token_ids)
        np.testing.assert_array_equal(again.features, anew.features)
        assert again.features is one.features


def test_a_clip_is_encoded_once_while_the_audio_cache_lasts(checkpoints, monkeypatch, device):
    path = str(checkpoints("Qwen2.5-Omni (thinker)"))
    frontend = TransformersFrontend(path)
    tokens = frontend.emotion_tokens(label_set("crema-d-6"))
    engine = TransformersEngine(path, emotion_tokens=tokens, batch_size=2, device=device)
    inputs = frontend.prepare(asked_of(BY_NAME["Qwen2.5-Omni (thinker)"]))
    again = [frontend.with_prompt(one, PROMPTS[1]) for one in inputs]
    expected = engine.generate(again, SEARCH)
    encoded, encode = [], engine._whole.get_audio_features
    monkeypatch.setattr(
        engine._whole, "get_audio_features", lambda **given: encoded.append(1) or encode(**given)
    )
    with engine.audio_cache():
        engine.generate(inputs, SEARCH)
        replies = engine.generate(again, SEARCH)
    assert len(encoded) == sum(bool(one.features.size) for one in inputs)
    for reply, answer in zip(replies, expected, strict=True):
        mine, theirs = ([h.token_ids for h in r.hypotheses] for r in (reply, answer))
        assert mine == theirs


def test_a_text_model_is_not_asked_about_a_clip(checkpoints):
    frontend = TransformersFrontend(str(checkpoints("Qwen3 (text)")))
    clip = np.zeros(16_000, np.float32)
    heard, told = frontend.prepare([Request("a", "Hm?", clip), Request("b", "Hm?", None)])
    assert isinstance(heard, Failure)
    assert heard.error_type == "no_audio_input"
    assert "Qwen3 (text) hears none" in heard.message
    assert not isinstance(told, Failure)


@pytest.mark.parametrize("name", ["Qwen3-Omni (thinker)", "Phi-4-multimodal", "Qwen3 (text)"])
def test_a_corrupt_input_fails_alone_with_a_reason(name, checkpoints, device):
    path = str(checkpoints(name))
    frontend = TransformersFrontend(path)
    tokens = frontend.emotion_tokens(label_set("crema-d-6"))
    engine = TransformersEngine(path, emotion_tokens=tokens, batch_size=3, device=device)
    inputs = frontend.prepare(asked_of(BY_NAME[name]))
    expected = engine.generate(inputs, SEARCH)
    one = inputs[-1]
    changes = {
        "list of ids below": {"token_ids": np.append(one.token_ids, 10**6)},
        "positions": {"token_ids": np.append(one.token_ids, np.ones(5000, np.int64))},
    }
    if one.features.size:
        changes |= {
            "audio tokens for features": {"features": np.zeros((0, 0), np.float32)},
            "not finite": {"features": one.features * np.float32("nan")},
        }
    for message, change in changes.items():
        broken, *rest = engine.generate([replace(one, **change), *inputs], SEARCH)
        assert isinstance(broken, Failure)
        assert broken.error_type == "invalid_input"
        assert message in broken.message
        for reply, answer in zip(rest, expected, strict=True):
            mine, theirs = ([h.token_ids for h in r.hypotheses] for r in (reply, answer))
            assert mine == theirs


@pytest.mark.parametrize("name", ["Qwen3-Omni (thinker)", "Voxtral", "Phi-4-multimodal"])
def test_a_clip_that_is_not_what_the_prompt_says_fails_alone(name, checkpoints, device):
    path = str(checkpoints(name))
    frontend = TransformersFrontend(path)
    tokens = frontend.emotion_tokens(label_set("crema-d-6"))
    engine = TransformersEngine(path, emotion_tokens=tokens, batch_size=3, device=device)
    *others, one = frontend.prepare(asked_of(BY_NAME[name]))
    audio_id = frontend._inputs.audio_token_id
    last = int(np.nonzero(one.token_ids == audio_id)[0][-1])
    replies = engine.generate(
        [replace(one, token_ids=np.delete(one.token_ids, last)), *others], SEARCH
    )
    assert isinstance(replies[0], Failure)
    assert all(isinstance(reply, Generation) for reply in replies[1:])


def test_phi_counts_its_positions_in_two_ways(checkpoints):
    path = str(checkpoints("Phi-4-multimodal"))
    model = transformers.Phi4MultimodalForCausalLM.from_pretrained(path)
    assert PromptLimits.of(model).switch_at == 2048


def test_transformers_still_leaves_granite_s_divisor_out(checkpoints):
    # Once it divides, raypipe must not.
    path = str(checkpoints("Granite-Speech"))
    model = transformers.GraniteSpeechForConditionalGeneration.from_pretrained(path).eval()
    token_ids = torch.arange(5)[None]
    with torch.inference_mode():
        hidden = model.model(input_ids=token_ids).last_hidden_state
        torch.testing.assert_close(model(input_ids=token_ids).logits, model.lm_head(hidden))


def test_an_adapter_that_is_missing_is_told(checkpoints, tmp_path, device):
    path = checkpoints("Phi-4-multimodal")
    shutil.copytree(path, tmp_path, dirs_exist_ok=True)
    shutil.rmtree(tmp_path / "speech-lora")
    tokens = TransformersFrontend(str(path)).emotion_tokens(label_set("crema-d-6"))
    with pytest.raises(UnsupportedError, match="no adapter speech-lora"):
        TransformersEngine(str(tmp_path), emotion_tokens=tokens, batch_size=1, device=device)


def test_a_text_model_without_a_chat_template_is_refused(checkpoints, tmp_path):
    shutil.copytree(checkpoints("Qwen3 (text)"), tmp_path, dirs_exist_ok=True)
    (tmp_path / "chat_template.jinja").unlink()
    with pytest.raises(UnsupportedError, match="no chat template"):
        TransformersFrontend(str(tmp_path))


class TestUltravox:
    """Its inputs; its answers are in test_vllm.py."""

    @pytest.fixture(scope="class")
    def path(self, tmp_path_factory):
        path = tmp_path_factory.mktemp("ultravox")
        save_ultravox(path)
        return path

    def test_a_clip_stands_before_the_question(self, path):
        assert faults(path, "vllm") == []
        frontend = TransformersFrontend(str(path), engine="vllm")
        clips = sounds([1.0, 10.0, 30.0], seed=1)
        made = frontend.prepare([Request("u", PROMPTS[0], clip) for clip in clips])
        audio_id = json.loads((path / "config.json").read_text())["audio_token_index"]
        tokenizer = transformers.AutoTokenizer.from_pretrained(path)
        # The counts of Ultravox's own tests.
        for one, count in zip(made, [7, 63, 188], strict=True):
            (places,) = np.nonzero(one.token_ids == audio_id)
            assert len(places) == places[-1] - places[0] + 1 == count
            ids = one.token_ids.tolist()
            assert tokenizer.decode(ids[: places[0]]).endswith("<|im_start|>user<|im_end|>")
            assert tokenizer.decode(ids[places[-1] + 1 :]).startswith(f"\n{PROMPTS[0]}")

    @pytest.mark.parametrize(
        ("prompt", "seconds", "error_type"),
        [
            ("Hear <|audio|>.", 1.0, "special_token_in_prompt"),
            (PROMPTS[0], 30.001, "too_long"),
            (PROMPTS[0], 0.01, "too_short"),
        ],
    )
    def test_what_it_cannot_hear_is_a_failure(self, path, prompt, seconds, error_type):
        frontend = TransformersFrontend(str(path), engine="vllm")
        (clip,) = sounds([seconds], seed=1)
        (failure,) = frontend.prepare([Request("u", prompt, clip)])
        assert failure.error_type == error_type

    def test_the_transformers_engine_does_not_take_it(self, path):
        with pytest.raises(UnsupportedError, match="is a UltravoxModel; the transformers engine"):
            TransformersFrontend(str(path))


def test_a_clip_beyond_the_family_s_limit_is_told(checkpoints):
    frontend = TransformersFrontend(str(checkpoints("Gemma 3n")))
    assert frontend.max_duration_s == 30.0
    (reply,) = frontend.prepare([Request("u", "Hm?", np.zeros(480_001, np.float32))])
    assert isinstance(reply, Failure)
    assert reply.error_type == "too_long"
