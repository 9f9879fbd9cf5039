import dataclasses
import json
import shutil

import numpy as np
import pytest
import torch
from hf_reference import Reference
from random_checkpoint import Shape, sounds

from raypipe.engines.transformers import TransformersEngine, TransformersFrontend
from raypipe.errors import ConfigError, EngineError, UnsupportedError
from raypipe.labels import label_set
from raypipe.records import Failure, Generation, ModelInput, Request

MAX_NEW_TOKENS = 24


def beams(generation: Generation):
    return [hypothesis for hypothesis in generation.hypotheses if hypothesis.kind == "beam"]


def greedy(generation: Generation):
    assert generation.hypotheses[0].kind == "greedy"
    return generation.hypotheses[0]


def assert_same(hypothesis, answer):
    assert hypothesis.token_ids == answer.token_ids
    assert hypothesis.alpha == pytest.approx(answer.score, rel=2e-6, abs=1e-4)
    np.testing.assert_allclose(hypothesis.emotion_logits, answer.emotion_logits, atol=1e-4)


def assert_equals_generate(engine, frontend, reference: Reference, requests, beam_count):
    generations = engine.generate(frontend.prepare(requests))
    for request, generation in zip(requests, generations, strict=True):
        assert generation.utterance_id == request.utterance_id
        expected = reference.beams(request.prompt, request.samples, beam_count)
        for rank, (beam, answer) in enumerate(zip(beams(generation), expected, strict=True)):
            assert beam.rank == rank
            assert_same(beam, answer)
        assert_same(greedy(generation), reference.greedy(request.prompt, request.samples))
    return generations


def assert_answers_vary(generations):
    """A comparison is worth something only if answers end early, late, and not at all."""
    compared = [beam for generation in generations for beam in beams(generation)]
    assert {"stop", "length"} == {beam.finish_reason for beam in compared}
    assert len({len(beam.token_ids) for beam in compared}) > 5


@pytest.mark.parametrize("beam_count", [2, 3, 5, 7])
def test_hypotheses_are_those_of_generate_in_its_order(
    make_engine, frontend, reference, requests, beam_count
):
    engine = make_engine(beam_count=beam_count)
    generations = assert_equals_generate(engine, frontend, reference, requests, beam_count)
    assert_answers_vary(generations)


@pytest.mark.parametrize(
    "shape",
    [
        pytest.param(Shape(seed=1, heads=8, key_heads=2), id="grouped queries"),
        pytest.param(Shape(seed=3, window_s=8), id="window of 8 s"),
    ],
)
def test_variants_of_the_architecture_equal_generate(
    make_checkpoint, make_engine, emotion_tokens, requests, shape
):
    path = make_checkpoint(shape)
    frontend = TransformersFrontend(str(path))
    reference = Reference(path, emotion_tokens.token_ids, MAX_NEW_TOKENS)
    heard = [r for r in requests if len(r.samples) <= frontend.max_duration_s * 16000][::2]
    engine = make_engine(path, beam_count=4)
    assert_answers_vary(assert_equals_generate(engine, frontend, reference, heard, 4))


def test_every_end_token_of_the_checkpoint_ends_an_answer(
    make_checkpoint, make_engine, frontend, emotion_tokens, requests
):
    path = make_checkpoint(Shape(seed=2, end_tokens=("<|im_end|>", "<|endoftext|>")))
    reference = Reference(path, emotion_tokens.token_ids, MAX_NEW_TOKENS)
    end_ids = set(reference.model.generation_config.eos_token_id)
    engine = make_engine(path, beam_count=4)
    generations = assert_equals_generate(engine, frontend, reference, requests[::2], 4)
    hypotheses = [h for generation in generations for h in generation.hypotheses]
    assert {h.token_ids[-1] for h in hypotheses if h.finish_reason == "stop"} == end_ids
    assert not any(end_ids & set(h.token_ids[:-1]) for h in hypotheses)


def test_alpha_is_the_plain_sum_of_the_token_logprobs(make_engine, frontend, requests):
    for generation in make_engine(beam_count=5).generate(frontend.prepare(requests)):
        for hypothesis in generation.hypotheses:
            total = 0.0
            for logprob in hypothesis.token_logprobs:
                total += float(logprob)
            assert hypothesis.alpha == total
            assert hypothesis.token_logprobs.dtype == np.float32
            assert len(hypothesis.token_logprobs) == len(hypothesis.token_ids)


def test_one_beam_is_the_greedy_hypothesis(make_engine, frontend, requests):
    for generation in make_engine(beam_count=1).generate(frontend.prepare(requests)):
        (beam,) = beams(generation)
        assert beam.token_ids == greedy(generation).token_ids
        assert beam.alpha == pytest.approx(greedy(generation).alpha, abs=1e-4)


@pytest.mark.parametrize(("beam_count", "with_greedy"), [(0, True), (3, False)])
def test_lanes_do_not_depend_on_each_other(
    make_engine, frontend, requests, beam_count, with_greedy
):
    inputs = frontend.prepare(requests)
    both = make_engine(beam_count=3).generate(inputs)
    alone = make_engine(beam_count=beam_count, greedy=with_greedy).generate(inputs)
    for all_lanes, some_lanes in zip(both, alone, strict=True):
        assert len(some_lanes.hypotheses) == beam_count + with_greedy
        kept = [h for h in all_lanes.hypotheses if h.kind == some_lanes.hypotheses[0].kind]
        assert [h.token_ids for h in kept] == [h.token_ids for h in some_lanes.hypotheses]


def test_an_answer_does_not_depend_on_its_neighbours(make_engine, frontend, requests):
    inputs = frontend.prepare(requests)
    together = make_engine(beam_count=5, batch_size=6).generate(inputs)
    alone = make_engine(beam_count=5, batch_size=1).generate(inputs)
    backwards = make_engine(beam_count=5, batch_size=18).generate(inputs[::-1])[::-1]
    for others in (alone, backwards):
        for one, other in zip(together, others, strict=True):
            assert one.utterance_id == other.utterance_id
            for mine, theirs in zip(one.hypotheses, other.hypotheses, strict=True):
                assert mine.token_ids == theirs.token_ids
                assert mine.alpha == pytest.approx(theirs.alpha, abs=1e-4, rel=2e-6)


def test_the_same_call_gives_the_same_bits(make_engine, frontend, requests):
    engine, inputs = make_engine(), frontend.prepare(requests)
    first, second = engine.generate(inputs), engine.generate(inputs)
    for one, other in zip(first, second, strict=True):
        for mine, theirs in zip(one.hypotheses, other.hypotheses, strict=True):
            assert mine.alpha == theirs.alpha
            np.testing.assert_array_equal(mine.emotion_logits, theirs.emotion_logits)


def test_a_generation_counts_its_prompt_and_its_audio(make_engine, frontend, requests):
    inputs = frontend.prepare(requests[:3])
    for one, generation in zip(inputs, make_engine().generate(inputs), strict=True):
        audio_id = frontend._processor.audio_token_id
        assert generation.prompt_tokens == len(one.token_ids)
        assert generation.audio_tokens == (one.token_ids == audio_id).sum()


def test_text_leaves_special_tokens_out(make_engine, frontend, requests):
    for generation in make_engine().generate(frontend.prepare(requests)):
        for hypothesis in generation.hypotheses:
            expected = frontend._tokenizer.decode(hypothesis.token_ids, skip_special_tokens=True)
            assert hypothesis.text == expected
            assert "<|im_end|>" not in hypothesis.text


def test_an_empty_call_is_answered_with_nothing(make_engine):
    assert make_engine().generate([]) == []


def test_one_token_answers_work(make_engine, frontend, requests):
    for generation in make_engine(max_new_tokens=1).generate(frontend.prepare(requests[:4])):
        assert {len(h.token_ids) for h in generation.hypotheses} == {1}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: {"token_ids": x.token_ids[:20]}, "audio tokens"),
        (lambda x: {"token_ids": np.append(x.token_ids, 10**6)}, "list of ids below"),
        (lambda x: {"token_ids": np.append(x.token_ids, -1)}, "list of ids below"),
        (lambda x: {"features": x.features[:64]}, "expected (128, frames)"),
        (lambda x: {"features": x.features[:, :10]}, "feature frames"),
        (lambda x: {"features": x.features * np.float32("nan")}, "not finite"),
        (lambda x: {"token_ids": np.append(x.token_ids, np.ones(5000, np.int64))}, "positions"),
    ],
)
def test_a_corrupt_input_fails_alone_with_a_reason(
    make_engine, frontend, requests, change, message
):
    engine, inputs = make_engine(), frontend.prepare(requests[:6])
    expected = engine.generate(inputs)
    broken = [*inputs]
    broken[2] = dataclasses.replace(inputs[2], **change(inputs[2]))
    replies = engine.generate(broken)
    assert isinstance(replies[2], Failure)
    assert (replies[2].utterance_id, replies[2].stage) == (inputs[2].utterance_id, "engine")
    assert replies[2].error_type == "invalid_input"
    assert message in replies[2].message
    for index in (0, 1, 3, 4, 5):
        mine, theirs = replies[index].hypotheses, expected[index].hypotheses
        assert [h.token_ids for h in mine] == [h.token_ids for h in theirs]


def test_a_failing_batch_is_halved_until_the_bad_input_is_alone(
    make_engine, frontend, requests, monkeypatch
):
    engine, inputs = make_engine(), frontend.prepare(requests[:6])
    decode, sizes = engine._decoder.decode, []

    def decode_all_but_one(batch):
        sizes.append(len(batch))
        if any(one is inputs[4] for one in batch):
            raise ValueError("nobody knows what is wrong with it")
        return decode(batch)

    monkeypatch.setattr(engine._decoder, "decode", decode_all_but_one)
    replies = engine.generate(inputs)
    assert [isinstance(reply, Failure) for reply in replies] == [False] * 4 + [True, False]
    assert (replies[4].error_type, replies[4].stage) == ("ValueError", "engine")
    assert replies[4].message == "nobody knows what is wrong with it"
    assert sizes[0] == 6
    assert sorted(sizes[-2:]) == [1, 1]


def test_running_out_of_memory_halves_the_batch(make_engine, frontend, requests, monkeypatch):
    engine, inputs = make_engine(batch_size=8), frontend.prepare(requests[:8])
    decode, sizes = engine._decoder.decode, []

    def decode_at_most_three(batch):
        sizes.append(len(batch))
        if len(batch) > 3:
            raise torch.OutOfMemoryError("pretend")
        return decode(batch)

    monkeypatch.setattr(engine._decoder, "decode", decode_at_most_three)
    assert all(isinstance(reply, Generation) for reply in engine.generate(inputs))
    assert sizes == [8, 4, 2, 2, 4, 2, 2]


def test_a_failed_device_is_no_input_s_fault(make_engine, frontend, requests, monkeypatch):
    engine = make_engine()

    def fail(batch):
        raise torch.AcceleratorError("device-side assert", 710)

    monkeypatch.setattr(engine._decoder, "decode", fail)
    with pytest.raises(torch.AcceleratorError):
        engine.generate(frontend.prepare(requests[:2]))


def test_a_row_of_infinite_logits_is_a_failure(make_engine, frontend, requests, monkeypatch):
    engine, inputs = make_engine(), frontend.prepare(requests[:3])
    prefill = engine._model.prefill

    def overflow(embeddings, lengths, cache):
        logits = prefill(embeddings, lengths, cache)
        logits[lengths == len(inputs[1].token_ids)] = float("inf")
        return logits

    monkeypatch.setattr(engine._model, "prefill", overflow)
    replies = engine.generate(inputs)
    assert [isinstance(reply, Failure) for reply in replies] == [False, True, False]
    assert replies[1].error_type == "not_finite"


def test_other_models_keep_their_attention(make_engine, frontend, requests):
    engine = make_engine()
    config = engine._model._language_model.config
    engine.generate(frontend.prepare(requests[:1]))
    assert config._attn_implementation == "sdpa"


def test_a_search_altering_generation_config_is_refused_unless_told_otherwise(
    checkpoint, make_engine, frontend, requests, tmp_path
):
    path = tmp_path / "penalised"
    shutil.copytree(checkpoint, path)
    config = json.loads((path / "generation_config.json").read_text())
    config |= {"repetition_penalty": 1.1, "do_sample": True, "top_k": 20, "temperature": 0.7}
    (path / "generation_config.json").write_text(json.dumps(config))
    with pytest.raises(
        UnsupportedError, match=r"repetition_penalty=1\.1.*ignore_generation_config"
    ):
        make_engine(path)
    inputs = frontend.prepare(requests[:3])
    ignoring = make_engine(path, ignore_generation_config=True).generate(inputs)
    plain = make_engine().generate(inputs)
    for one, other in zip(ignoring, plain, strict=True):
        assert [h.alpha for h in one.hypotheses] == [h.alpha for h in other.hypotheses]


def test_an_unknown_architecture_is_refused(make_engine, tmp_path):
    (tmp_path / "config.json").write_text(
        json.dumps({"model_type": "llama", "architectures": ["LlamaForCausalLM"]})
    )
    with pytest.raises(UnsupportedError, match="LlamaForCausalLM"):
        make_engine(tmp_path)
    with pytest.raises(UnsupportedError, match="LlamaForCausalLM"):
        TransformersFrontend(str(tmp_path))


def test_a_checkpoint_with_weights_missing_is_refused(checkpoint, make_engine, tmp_path):
    from safetensors.torch import load_file, save_file

    path = tmp_path / "incomplete"
    shutil.copytree(checkpoint, path)
    weights = load_file(path / "model.safetensors")
    removed = next(name for name in weights if "lm_head" in name)
    del weights[removed]
    save_file(weights, path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(EngineError, match="lm_head"):
        make_engine(path)


@pytest.mark.parametrize(
    "settings",
    [
        {"beam_count": 0, "greedy": False},
        {"beam_count": -1},
        {"max_new_tokens": 0},
        {"batch_size": 0},
        {"dtype": "float12"},
    ],
)
def test_settings_that_make_no_sense_are_refused(make_engine, settings):
    with pytest.raises(ConfigError):
        make_engine(**settings)


def test_half_precision_runs(make_engine, frontend, requests):
    # Equality is gated in float32: in bfloat16 generate() does not even agree with itself.
    replies = make_engine(dtype="bfloat16").generate(frontend.prepare(requests[:4]))
    assert all(isinstance(reply, Generation) for reply in replies)


def test_the_bundled_model_equals_generate():
    tiny_alm = pytest.importorskip("raypipe.tiny_alm")
    path = getattr(tiny_alm, "checkpoint_path", lambda: None)()
    if path is None or not (path / "model.safetensors").exists():
        pytest.skip("the bundled checkpoint is not in this tree")
    frontend = TransformersFrontend(str(path))
    tokens = frontend.emotion_tokens(label_set("crema-d-6"))
    limit = 48
    reference = Reference(path, tokens.token_ids, limit)
    clips = sounds([0.6, 1.1, 1.6, 2.3, 3.0], seed=5)
    requests = [Request(f"u{i}", "Which emotion?", clip) for i, clip in enumerate(clips)]
    engine = TransformersEngine(
        str(path), emotion_tokens=tokens, beam_count=5, greedy=True, max_new_tokens=limit,
        batch_size=5, device="cpu",
    )  # fmt: skip
    assert_equals_generate(engine, frontend, reference, requests, 5)


class TestFrontend:
    def test_token_ids_are_those_of_the_plain_processor(self, frontend, reference, requests):
        for request, made in zip(requests, frontend.prepare(requests), strict=True):
            expected = reference.inputs(request.prompt, request.samples)
            assert made.utterance_id == request.utterance_id
            assert made.token_ids.dtype == np.int64
            np.testing.assert_array_equal(made.token_ids, expected["input_ids"][0].numpy())

    def test_it_hears_what_the_feature_extractor_hears(self, frontend):
        assert frontend.sampling_rate == 16000
        assert frontend.max_duration_s == 30.0

    def test_a_checkpoint_may_say_that_it_learned_shorter_clips(self, make_checkpoint, tmp_path):
        weights = shutil.ignore_patterns("*.safetensors")
        shutil.copytree(make_checkpoint(Shape()), tmp_path, dirs_exist_ok=True, ignore=weights)
        config = json.loads((tmp_path / "config.json").read_text())
        (tmp_path / "config.json").write_text(json.dumps(config | {"max_audio_duration_s": 8.0}))
        frontend = TransformersFrontend(str(tmp_path))
        assert frontend.max_duration_s == 8.0
        whole, longer = frontend.prepare(
            [Request(str(n), "Listen.", np.zeros(n, np.float32)) for n in (128_000, 128_001)]
        )
        assert isinstance(whole, ModelInput)
        assert whole.feature_frames == 800
        assert isinstance(longer, Failure)
        assert longer.error_type == "too_long"
        assert "8 s" in longer.message

    @pytest.mark.parametrize(
        ("samples", "error_type", "value"),
        [
            (np.zeros(480_001, np.float32), "too_long", "30 s"),
            (np.zeros(0, np.float32), "too_short", "0 samples"),
            (np.zeros(320, np.float32), "too_short", "320 samples"),
            (np.zeros((2, 9000), np.float32), "not_mono", "(2, 9000)"),
            (np.full(9000, np.nan, np.float32), "not_finite", "finite"),
        ],
    )
    def test_an_unusable_clip_is_a_failure_with_its_values(
        self, frontend, requests, samples, error_type, value
    ):
        bad = Request("bad", requests[0].prompt, samples)
        replies = frontend.prepare([requests[0], bad, requests[1]])
        assert isinstance(replies[1], Failure)
        assert (replies[1].utterance_id, replies[1].stage) == ("bad", "prompt")
        assert replies[1].error_type == error_type
        assert value in replies[1].message
        assert [r.utterance_id for r in replies] == ["u0", "bad", "u1"]

    def test_a_prompt_cannot_smuggle_in_control_tokens(self, frontend, requests):
        bad = dataclasses.replace(requests[0], prompt="He said <|AUDIO|> twice.")
        (reply,) = frontend.prepare([bad])
        assert isinstance(reply, Failure)
        assert reply.error_type == "special_token_in_prompt"
        assert "<|AUDIO|>" in reply.message

    def test_read_only_samples_are_accepted(self, frontend, make_engine, requests):
        # Ray hands out arrays that lie in its object store and cannot be written.
        samples = requests[1].samples.copy()
        samples.flags.writeable = False
        (made,) = frontend.prepare([dataclasses.replace(requests[1], samples=samples)])
        made.token_ids.flags.writeable = False
        made.features.flags.writeable = False
        assert isinstance(make_engine().generate([made])[0], Generation)
