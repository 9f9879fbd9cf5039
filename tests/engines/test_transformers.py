import dataclasses
import gc
import json
import shutil
import weakref

import numpy as np
import pytest
import torch
from hf_reference import Reference
from random_checkpoint import Shape, sounds
from searching import Searching

from raypipe.engines.shared_audio import EncodedClips
from raypipe.engines.transformers import TransformersEngine, TransformersFrontend
from raypipe.engines.tree_decoder import TreeDecoder
from raypipe.errors import ConfigError, EngineError, UnsupportedError
from raypipe.labels import label_set
from raypipe.records import Failure, Generation, ModelInput, Request, Search

MAX_NEW_TOKENS = 24
PROMPT = "Which emotion does the speaker express? Answer with one JSON object."


def beams(generation: Generation):
    return [hypothesis for hypothesis in generation.hypotheses if hypothesis.kind == "beam"]


def greedy(generation: Generation):
    assert generation.hypotheses[0].kind == "greedy"
    return generation.hypotheses[0]


def assert_same(hypothesis, answer):
    assert hypothesis.token_ids == answer.token_ids
    assert hypothesis.alpha == pytest.approx(answer.alpha, rel=2e-6, abs=1e-4)
    if hypothesis.kind == "beam":  # a greedy score knows the tokens alone that a grammar allows
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


VARIANTS = [
    pytest.param(Shape(seed=1, heads=8, key_heads=2), id="grouped queries"),
    pytest.param(Shape(seed=3, window_s=8), id="window of 8 s"),
    pytest.param(Shape(family="audioflamingo3", seed=4, key_heads=2), id="Audio Flamingo 3"),
]
TWO_ENDS = Shape(seed=2, end_tokens=("<|im_end|>", "<|endoftext|>"))


@pytest.mark.parametrize("shape", VARIANTS)
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
    path = make_checkpoint(TWO_ENDS)
    reference = Reference(path, emotion_tokens.token_ids, MAX_NEW_TOKENS)
    end_ids = set(reference.model.generation_config.eos_token_id)
    engine = make_engine(path, beam_count=4)
    generations = assert_equals_generate(engine, frontend, reference, requests[::2], 4)
    hypotheses = [h for generation in generations for h in generation.hypotheses]
    assert {h.token_ids[-1] for h in hypotheses if h.finish_reason == "stop"} == end_ids
    assert not any(end_ids & set(h.token_ids[:-1]) for h in hypotheses)


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


def assert_close(mine, theirs):
    for one, other in zip(mine, theirs, strict=True):
        assert one.utterance_id == other.utterance_id
        for hypothesis, twin in zip(one.hypotheses, other.hypotheses, strict=True):
            assert hypothesis.token_ids == twin.token_ids
            assert hypothesis.alpha == pytest.approx(twin.alpha, abs=1e-4, rel=2e-6)
            np.testing.assert_allclose(
                hypothesis.emotion_logits, twin.emotion_logits, atol=1e-4, rtol=0
            )


class TestRefill:
    """Rows take the next utterance while their neighbours are half way."""

    @pytest.fixture
    def inputs(self, frontend, requests):
        return frontend.prepare(requests)

    @pytest.mark.parametrize("batch_size", [2, 3, 5, 17, 100])
    def test_answers_do_not_depend_on_how_many_rows_there_are(
        self, make_engine, inputs, batch_size
    ):
        alone = make_engine(beam_count=4, batch_size=1).generate(inputs)
        together = make_engine(beam_count=4, batch_size=batch_size).generate(inputs)
        assert_close(together, alone)
        assert {reply.batch_size for reply in together} == {min(batch_size, len(inputs))}

    def test_answers_do_not_depend_on_the_order_or_on_who_else_is_there(self, make_engine, inputs):
        engine = make_engine(beam_count=4, batch_size=3)
        answers = engine.generate(inputs)
        assert_close(engine.generate(inputs[::-1])[::-1], answers)
        assert_close(engine.generate(inputs[3:11]), answers[3:11])
        mixed = [5, 0, 17, 9, 2, 14, 3]
        assert_close(engine.generate([inputs[i] for i in mixed]), [answers[i] for i in mixed])

    @pytest.mark.parametrize("shape", [*VARIANTS, pytest.param(TWO_ENDS, id="two end tokens")])
    def test_no_variant_s_answers_do_either_with_a_bad_input_among_them(
        self, make_checkpoint, make_engine, requests, shape
    ):
        path = make_checkpoint(shape)
        frontend = TransformersFrontend(str(path))
        heard = [r for r in requests if len(r.samples) <= frontend.max_duration_s * 16000]
        inputs = frontend.prepare(heard)
        alone = make_engine(path, beam_count=4, batch_size=1).generate(inputs)
        bad = dataclasses.replace(inputs[4], token_ids=inputs[4].token_ids[:20])
        mixed = [*inputs[:5], bad, *inputs[5:]]
        replies = make_engine(path, beam_count=4, batch_size=3).generate(mixed[::-1])[::-1]
        assert replies.pop(5).error_type == "invalid_input"
        assert_close(replies, alone)
        lengths = {max(len(h.token_ids) for h in reply.hypotheses) for reply in replies}
        assert max(lengths) > 2 * min(lengths)

    @pytest.mark.parametrize(("interval", "share"), [(1, 1), (3, 2), (8, 4), (100, 5)])
    def test_answers_do_not_depend_on_when_rows_are_looked_at_and_refilled(
        self, make_engine, inputs, interval, share
    ):
        engine = make_engine(beam_count=4, batch_size=5)
        answers = engine.generate(inputs)
        engine.decoder = TreeDecoder(
            engine._model, engine.decoder._settings, check_interval=interval, refilled_share=share
        )
        assert_close(engine.generate(inputs), answers)

    def test_rows_are_refilled_in_groups(self, make_engine, inputs, monkeypatch):
        engine, groups = make_engine(batch_size=6), []
        refilling = TreeDecoder(
            engine._model, engine.decoder._settings, check_interval=1, refilled_share=2
        )
        engine.decoder, encode = refilling, engine._model.encode
        monkeypatch.setattr(
            engine._model, "encode", lambda batch: groups.append(len(batch)) or encode(batch)
        )
        engine.generate(inputs)
        assert groups[0] == 6
        assert sum(groups) == len(inputs)
        assert set(groups[1:-1]) <= {3, 4, 5, 6}
        assert len(groups) > 2

    def test_utterances_that_finish_early_make_room(self, make_engine, inputs, monkeypatch):
        engine, steps = make_engine(beam_count=4, batch_size=4), []
        step = engine._model.step
        monkeypatch.setattr(engine._model, "step", lambda *a: steps.append(a) or step(*a))
        answers = engine.generate(inputs)
        lengths = [max(len(h.token_ids) for h in answer.hypotheses) for answer in answers]
        assert len(set(lengths)) > 3
        longest_first = sorted(inputs, key=lambda one: -len(one.token_ids))
        by_id = {answer.utterance_id: n for answer, n in zip(answers, lengths, strict=True)}
        ordered = [by_id[one.utterance_id] for one in longest_first]
        without_refill = sum(max(ordered[i : i + 4]) for i in range(0, len(ordered), 4))
        assert len(steps) < 0.9 * without_refill


class TestSeveralPromptsOnOneClip:
    @pytest.fixture
    def asked(self, requests):
        """Three questions about each of five clips, not beside each other."""
        prompts = ["Which emotion?", PROMPT, "Listen step by step, then answer with JSON only."]
        return [
            Request(f"{one.utterance_id} {i}", prompt, one.samples)
            for i, prompt in enumerate(prompts)
            for one in requests[:5]
        ]

    def test_its_features_are_made_once(self, frontend, asked):
        inputs = frontend.prepare(asked)
        assert len({id(one.features) for one in inputs}) == 5
        alone = [frontend.prepare([request])[0] for request in asked]
        for one, other in zip(inputs, alone, strict=True):
            np.testing.assert_array_equal(one.features, other.features)
            np.testing.assert_array_equal(one.token_ids, other.token_ids)

    @pytest.mark.parametrize("batch_size", [2, 15])
    def test_it_is_encoded_once_and_answered_as_if_alone(
        self, make_engine, frontend, asked, monkeypatch, batch_size
    ):
        engine, encoded = make_engine(batch_size=batch_size), []
        alone = [engine.generate(frontend.prepare([request]))[0] for request in asked]
        inputs = [frontend.prepare([request])[0] for request in asked]  # equal, not identical
        encode = engine._model.encode
        monkeypatch.setattr(
            engine._model, "encode", lambda batch: encoded.extend(batch) or encode(batch)
        )
        assert_close(engine.generate(inputs), alone)
        assert len(encoded) == 5


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
        audio_id = frontend._inputs.audio_token_id
        assert generation.prompt_tokens == len(one.token_ids)
        assert generation.audio_tokens == (one.token_ids == audio_id).sum()


def test_text_leaves_special_tokens_out(make_engine, frontend, requests):
    for generation in make_engine().generate(frontend.prepare(requests)):
        for hypothesis in generation.hypotheses:
            expected = frontend._tokenizer.decode(hypothesis.token_ids, skip_special_tokens=True)
            assert hypothesis.text == expected
            assert "<|im_end|>" not in hypothesis.text


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


def token_ids(replies):
    return [[h.token_ids for h in reply.hypotheses] for reply in replies]


def test_an_input_that_nobody_understands_fails_alone(make_engine, frontend, requests, monkeypatch):
    engine, inputs = make_engine(batch_size=4), frontend.prepare(requests)
    expected = engine.generate(inputs)
    embed, refused = engine._model.embed, []

    def embed_all_but_one(batch, audio):
        if any(one.utterance_id == inputs[4].utterance_id for one in batch):
            refused.append(len(batch))
            raise ValueError("nobody knows what is wrong with it")
        return embed(batch, audio)

    monkeypatch.setattr(engine._model, "embed", embed_all_but_one)
    replies = engine.generate(inputs)
    failure = replies.pop(4)
    assert (failure.utterance_id, failure.stage) == (inputs[4].utterance_id, "engine")
    assert (failure.error_type, failure.message) == (
        "ValueError",
        "nobody knows what is wrong with it",
    )
    assert token_ids(replies) == token_ids(expected[:4] + expected[5:])
    assert len(refused) <= 6  # halved, not tried one by one


class TestOutOfMemory:
    @pytest.fixture
    def limited(self, make_engine, monkeypatch):
        """An engine whose device holds no more than so many rows."""

        def make(rows, **settings):
            engine = make_engine(**settings)
            step, tried = engine._model.step, []

            def step_if_it_fits(tokens, *rest):
                if len(tokens) > rows:
                    tried.append(len(tokens))
                    raise torch.OutOfMemoryError("pretend")
                return step(tokens, *rest)

            monkeypatch.setattr(engine._model, "step", step_if_it_fits)
            return engine, tried

        return make

    def test_fewer_rows_are_decoded_together_and_the_record_says_so(
        self, limited, make_engine, frontend, requests, caplog
    ):
        inputs = frontend.prepare(requests)
        engine, tried = limited(3, batch_size=8)
        replies = engine.generate(inputs)
        assert tried == [8, 4]
        assert {reply.batch_size for reply in replies} == {2}
        assert "out of memory with 8 utterances decoded together: going on with 4" in caplog.text
        assert token_ids(replies) == token_ids(make_engine(batch_size=8).generate(inputs))

    def test_nothing_is_learnt_for_the_next_call(self, limited, frontend, requests):
        inputs = frontend.prepare(requests[:6])
        engine, tried = limited(3, batch_size=4)
        engine.generate(inputs)
        engine.generate(inputs)
        assert tried == [4, 4]

    def test_a_device_that_holds_nothing_fails_every_input(self, limited, frontend, requests):
        engine, _ = limited(0, batch_size=4)
        replies = engine.generate(frontend.prepare(requests[:5]))
        assert [(reply.error_type, reply.stage) for reply in replies] == [
            ("out_of_memory", "engine")
        ] * 5

    def test_what_did_not_fit_is_let_go_before_the_next_try(
        self, make_engine, frontend, requests, monkeypatch
    ):
        # Also where steps are captured: whoever owns the tensors must not wait for a collection.
        engine, inputs = make_engine(), frontend.prepare(requests[:4])

        def capture(step):  # as a CUDA graph: it does not hold on to the step
            method = weakref.WeakMethod(step)
            return lambda: method()()

        engine.decoder = TreeDecoder(
            engine._model, engine.decoder._settings, make_capture=lambda: capture
        )
        engine.generate(inputs)
        held = weakref.ref(engine.decoder._slots)
        step, alive = engine._model.step, []

        def fail_once(*arguments):
            if not alive:
                alive.append(held() is not None)
                raise torch.OutOfMemoryError("pretend")
            alive.append(held() is not None)
            return step(*arguments)

        monkeypatch.setattr(engine._model, "step", fail_once)
        gc.disable()
        try:
            engine.generate(inputs)
        finally:
            gc.enable()
        assert alive[0]
        assert not any(alive[1:])

    def test_answers_given_before_it_are_kept(self, make_engine, frontend, requests, monkeypatch):
        # A captured step is replayed without a call that could be counted.
        engine = make_engine(batch_size=4, cuda_graphs=False)
        inputs = frontend.prepare(requests)
        expected = engine.generate(inputs)
        step, steps = engine._model.step, []

        def step_that_fails_once(*arguments):
            steps.append(len(arguments[0]))
            if len(steps) == 40:
                raise torch.OutOfMemoryError("pretend")
            return step(*arguments)

        monkeypatch.setattr(engine._model, "step", step_that_fails_once)
        replies = engine.generate(inputs)
        assert {reply.batch_size for reply in replies} == {2, 4}
        assert token_ids(replies) == token_ids(expected)


def test_a_failed_device_is_no_input_s_fault(make_engine, frontend, requests, monkeypatch):
    engine = make_engine()

    def fail(*_):
        raise torch.AcceleratorError("device-side assert", 710)

    monkeypatch.setattr(engine._model, "step", fail)
    with pytest.raises(torch.AcceleratorError):
        engine.generate(frontend.prepare(requests[:2]))


def test_a_row_of_infinite_logits_is_a_failure_and_leaves_its_row_clean(
    make_engine, frontend, requests, monkeypatch
):
    engine, inputs = make_engine(batch_size=2), frontend.prepare(requests)
    expected = engine.generate(inputs)
    embed, overflowing = engine._model.embed, {inputs[i].utterance_id for i in (1, 6, 7)}

    def overflow(batch, audio):
        embeddings, lengths = embed(batch, audio)
        for row, one in enumerate(batch):
            if one.utterance_id in overflowing:
                embeddings[row] = float("inf")
        return embeddings, lengths

    monkeypatch.setattr(engine._model, "embed", overflow)
    replies = engine.generate(inputs)
    failed = {reply.utterance_id for reply in replies if isinstance(reply, Failure)}
    assert failed == overflowing
    for reply, answer in zip(replies, expected, strict=True):
        if isinstance(reply, Failure):
            assert reply.error_type == "not_finite"
        else:
            assert token_ids([reply]) == token_ids([answer])


def test_other_models_keep_their_attention(make_engine, frontend, requests):
    engine = make_engine()
    config = engine._model.language_model.config
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
    config["no_repeat_ngram_size"] = 3
    (path / "generation_config.json").write_text(json.dumps(config))
    with pytest.raises(
        UnsupportedError, match=r"no_repeat_ngram_size=3.*ignore_generation_config: true"
    ):
        make_engine(path)
    inputs = frontend.prepare(requests[:3])
    ignoring = make_engine(path, ignore_generation_config=True).generate(inputs)
    plain = make_engine().generate(inputs)
    for one, other in zip(ignoring, plain, strict=True):
        assert [h.alpha for h in one.hypotheses] == [h.alpha for h in other.hypotheses]


def test_an_unknown_architecture_is_refused(make_engine, tmp_path):
    (tmp_path / "config.json").write_text(
        json.dumps({"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"]})
    )
    with pytest.raises(UnsupportedError, match="GPT2LMHeadModel"):
        make_engine(tmp_path)
    with pytest.raises(UnsupportedError, match="GPT2LMHeadModel"):
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
        {"cuda_graphs": True, "device": "cpu"},
    ],
)
def test_settings_that_make_no_sense_are_refused(make_engine, settings):
    with pytest.raises(ConfigError):
        make_engine(**settings)


def test_half_precision_runs(make_engine, frontend, requests):
    # Equality is gated in float32: in bfloat16 generate() does not even agree with itself.
    replies = make_engine(dtype="bfloat16").generate(frontend.prepare(requests[:4]))
    assert all(isinstance(reply, Generation) for reply in replies)


def test_the_bundled_model_equals_generate(device):
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
    engine = TransformersEngine(str(path), emotion_tokens=tokens, batch_size=5, device=device)
    engine = Searching(engine, Search(beam_count=5, greedy=True, max_new_tokens=limit))
    assert_equals_generate(engine, frontend, reference, requests, 5)


class TestFurtherQuestions:
    PROMPT = "Answer with one number between 0 and 1."

    def test_another_prompt_about_the_clip_is_as_if_prepared_anew(self, frontend, requests):
        again = [frontend.with_prompt(one, self.PROMPT) for one in frontend.prepare(requests)]
        anew = frontend.prepare([dataclasses.replace(one, prompt=self.PROMPT) for one in requests])
        for one, other in zip(again, anew, strict=True):
            assert (one.utterance_id, one.feature_frames) == (
                other.utterance_id,
                other.feature_frames,
            )
            np.testing.assert_array_equal(one.token_ids, other.token_ids)
            np.testing.assert_array_equal(one.features, other.features)

    def test_a_control_token_in_it_is_refused(self, frontend, requests):
        (one,) = frontend.prepare(requests[:1])
        refused = frontend.with_prompt(one, "<|im_end|>")
        assert isinstance(refused, Failure)
        assert refused.error_type == "special_token_in_prompt"

    def test_a_question_without_a_clip_is_answered_among_others(
        self, make_engine, frontend, reference, requests
    ):
        asked = [requests[0], Request("no clip", self.PROMPT, None), requests[1]]
        inputs = frontend.prepare(asked)
        inputs.append(frontend.with_prompt(inputs[1], PROMPT))
        asked.append(Request("no clip", PROMPT, None))
        engine = make_engine(batch_size=3)
        generations = engine.generate(inputs)
        assert [one.audio_tokens > 0 for one in generations] == [True, False, True, False]
        assert_equals_generate(engine, frontend, reference, asked, 3)

    def test_a_clip_is_encoded_once_while_the_audio_cache_lasts(
        self, make_engine, frontend, requests, monkeypatch
    ):
        engine, other = make_engine(), Search(0, True, 4)
        inputs = frontend.prepare(requests[:5])
        again = [frontend.with_prompt(one, self.PROMPT) for one in inputs]
        expected = engine.generate(inputs), engine.engine.generate(again, other)
        encode, encoded = engine._model.encode, []
        monkeypatch.setattr(
            engine._model, "encode", lambda batch: encoded.extend(batch) or encode(batch)
        )
        with engine.audio_cache():
            assert_close(engine.generate(inputs), expected[0])
            assert_close(engine.engine.generate(again, other), expected[1])
        assert len(encoded) == 5
        engine.generate(inputs)
        assert len(encoded) == 10

    def test_what_does_not_fit_is_forgotten(self, frontend, requests):
        kept = EncodedClips(most_bytes=100)
        small, large = frontend.prepare(requests[:2])
        kept.keep(large, torch.zeros(26))
        kept.keep(small, torch.zeros(25))
        assert kept.find(large) is None
        assert kept.find(small).tolist() == [0.0] * 25


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
