"""The repetition penalty against transformers' own, in generate() and by itself."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
from checkpoint_parts import save_text
from hf_reference import Reference
from random_checkpoint import Shape
from transformers import RepetitionPenaltyLogitsProcessor

from raypipe.engines.penalties import penalised
from raypipe.engines.transformers import TransformersEngine, TransformersFrontend
from raypipe.labels import label_set
from raypipe.prompts import render_prompt
from raypipe.records import NO_PENALTIES, Grammar, Penalties, Request, Search
from raypipe.tiny_alm import checkpoint_path
from raypipe.tiny_alm.corpus import synthetic_clip
from raypipe.tiny_alm.synth import LABEL_SET

# What Qwen2-Audio-7B-Instruct publishes beside its end ids.
PUBLISHED = {
    "do_sample": True,
    "temperature": 0.7,
    "top_k": 20,
    "top_p": 0.5,
    "repetition_penalty": 1.1,
}
LIMIT = 24
WORDS = r"[a-z]{2,7}( [a-z]{3,9})*"
TWO_ENDS = Shape(seed=2, end_tokens=("<|im_end|>", "<|endoftext|>"))


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """The bundled weights with the published settings."""
    folder = tmp_path_factory.mktemp("published") / "checkpoint"
    shutil.copytree(checkpoint_path(), folder)
    settings = json.loads((folder / "generation_config.json").read_text())
    (folder / "generation_config.json").write_text(json.dumps(settings | PUBLISHED))
    return folder


@pytest.fixture(scope="module")
def spoken() -> list[Request]:
    """Questions about clips that the bundled model was not trained on."""
    question = render_prompt("distribution", LABEL_SET)
    return [
        Request(f"u{i}", question, synthetic_clip(i, seed=20, split="test")[0].samples)
        for i in range(16)
    ]


def assert_same(hypothesis, answer, *, score: bool = True):
    assert hypothesis.token_ids == answer.token_ids
    assert hypothesis.alpha == pytest.approx(answer.alpha, rel=2e-6, abs=1e-4)
    if score:
        assert hypothesis.search_score == pytest.approx(answer.score, rel=2e-6, abs=1e-4)
    np.testing.assert_allclose(hypothesis.emotion_logits, answer.emotion_logits, atol=1e-4)


def assert_equals_generate(generations, reference, asked, beam_count, *, greedy_score=True):
    for request, generation in zip(asked, generations, strict=True):
        greedy, *beams = generation.hypotheses
        expected = reference.greedy(request.prompt, request.samples)
        assert_same(greedy, expected, score=greedy_score)
        answers = reference.beams(request.prompt, request.samples, beam_count)
        assert [beam.rank for beam in beams] == list(range(len(answers)))
        for beam, answer in zip(beams, answers, strict=True):
            assert_same(beam, answer)


def texts(generations) -> list[tuple[int, ...]]:
    return [each.token_ids for generation in generations for each in generation.hypotheses]


@pytest.mark.parametrize("repetition", [1.1, 0.9])
def test_scores_are_those_of_transformers(repetition):
    random = torch.Generator().manual_seed(0)
    scores = torch.randn(3, 40, generator=random)
    scores[0, 5] = -torch.inf
    token_ids = torch.randint(0, 40, (3, 12), generator=random)
    said = torch.zeros(3, 40, dtype=torch.bool).scatter(1, token_ids, True)
    expected = RepetitionPenaltyLogitsProcessor(repetition)(token_ids, scores.clone())
    torch.testing.assert_close(penalised(scores, said, repetition), expected, rtol=0, atol=0)


@pytest.mark.parametrize(
    "beam_count", [3, *(pytest.param(count, marks=pytest.mark.slow) for count in (2, 4, 5, 6, 7))]
)
def test_a_published_checkpoint_answers_as_generate_does(published, spoken, beam_count, device):
    """By its path alone: the checkpoint's penalty is applied, its sampling is not."""
    frontend = TransformersFrontend(str(published))
    tokens = frontend.emotion_tokens(LABEL_SET)
    inputs, search = frontend.prepare(spoken), Search(beam_count, True, LIMIT)
    engine = TransformersEngine(str(published), emotion_tokens=tokens, batch_size=5, device=device)
    found = engine.generate(inputs, search)
    reference = Reference(published, tokens.token_ids, LIMIT)
    assert reference.model.generation_config.repetition_penalty == 1.1
    assert_equals_generate(found, reference, spoken, beam_count)
    # Audio placeholders are prompt tokens like others, one for every encoder output.
    (turn,) = {tuple(one.token_ids) for one in inputs[:1]}
    assert turn.count(frontend._inputs.audio_token_id) > 10


@pytest.mark.parametrize("beam_count", [3, 7])
def test_without_it_the_same_weights_answer_as_ever(published, spoken, beam_count, device):
    frontend = TransformersFrontend(str(published))
    tokens = frontend.emotion_tokens(LABEL_SET)
    inputs, search = frontend.prepare(spoken), Search(beam_count, True, LIMIT)

    def answers(path, **settings):
        options = {"emotion_tokens": tokens, "batch_size": 5, "device": device} | settings
        return TransformersEngine(str(path), **options).generate(inputs, search)

    plain = answers(checkpoint_path())
    off = answers(published, penalties=NO_PENALTIES)
    for one, other in zip(plain, off, strict=True):
        for mine, theirs in zip(one.hypotheses, other.hypotheses, strict=True):
            assert (mine.token_ids, mine.alpha) == (theirs.token_ids, theirs.alpha)
            assert mine.search_score is theirs.search_score is None
    assert texts(answers(published, ignore_generation_config=True)) == texts(off)
    assert texts(answers(published)) != texts(off)
    reference = Reference(published, tokens.token_ids, LIMIT).penalised(1.0)
    expected = reference.beams(spoken[0].prompt, spoken[0].samples, beam_count)
    assert [answer.token_ids for answer in expected] == texts(off[:1])[1:]


@pytest.mark.parametrize("repetition", [1.3, 0.85])
def test_a_run_s_own_penalty_takes_the_place_of_the_checkpoint_s(
    make_engine, frontend, reference, requests, repetition
):
    asked = requests[::2]
    engine = make_engine(beam_count=4, penalties=Penalties(repetition))
    found = engine.generate(frontend.prepare(asked))
    assert_equals_generate(found, reference.penalised(repetition), asked, 4)
    assert {len(each) for each in texts(found)} > {LIMIT}


@pytest.mark.parametrize("batch_size", [1, 4])
def test_answers_do_not_depend_on_their_neighbours(make_engine, frontend, requests, batch_size):
    inputs = frontend.prepare(requests)
    expected = make_engine(batch_size=len(inputs), penalties=Penalties(1.2)).generate(inputs)
    found = make_engine(batch_size=batch_size, penalties=Penalties(1.2)).generate(inputs[::-1])
    assert texts(found[::-1]) == texts(expected)


def test_several_end_ids_and_a_grammar_stand_beside_it(
    make_checkpoint, make_engine, frontend, requests
):
    path, limit = make_checkpoint(TWO_ENDS), 10
    asked = [request for request in requests if len(request.samples) < 80_000][::2]
    tokens = frontend.emotion_tokens(label_set("crema-d-6"))
    penalised_one = Reference(path, tokens.token_ids, limit).penalised(1.2)
    search = {"beam_count": 3, "max_new_tokens": limit, "penalties": Penalties(1.2)}
    free = make_engine(path, **search).generate(frontend.prepare(asked))
    assert_equals_generate(free, penalised_one, asked, 3)
    held = make_engine(path, **search, grammar=Grammar("regex", WORDS))
    found = held.generate(frontend.prepare(asked))
    follows = penalised_one.held_to(WORDS, limit)
    # generate() tells greedy scores over the allowed tokens alone.
    assert_equals_generate(found, follows, asked, 3, greedy_score=False)
    ends = {each.token_ids[-1] for one in found for each in one.hypotheses}
    assert set(penalised_one.model.generation_config.eos_token_id) <= ends


def test_models_of_the_plain_path_have_it_too(tmp_path, device):
    """A sliding window, asked in text: one utterance after the other."""
    from transformers import AutoModelForCausalLM

    save_text(tmp_path, "Gemma3ForCausalLM", sliding_window=16, num_hidden_layers=2)
    frontend = TransformersFrontend(str(tmp_path))
    tokens = frontend.emotion_tokens(label_set("crema-d-6"))
    prompts = ["Which emotion?", "Answer with one word: not now, not ever.", "No."]
    inputs = frontend.prepare([Request(str(i), text, None) for i, text in enumerate(prompts)])
    engine = TransformersEngine(
        str(tmp_path),
        emotion_tokens=tokens,
        batch_size=2,
        device=device,
        penalties=Penalties(1.3),
    )
    model = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32).eval()
    for one, answer in zip(inputs, engine.generate(inputs, Search(3, True, 12)), strict=True):
        ids = torch.from_numpy(one.token_ids.copy())[None]
        out = model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            num_beams=3,
            num_return_sequences=3,
            length_penalty=0.0,
            max_new_tokens=12,
            repetition_penalty=1.3,
            output_scores=True,
            return_dict_in_generate=True,
        )
        _, *beams = answer.hypotheses
        for rank, beam in enumerate(beams):
            generated = out.sequences[rank, ids.shape[1] :][: beam.steps]
            assert beam.token_ids == tuple(generated.tolist())
            assert beam.search_score == pytest.approx(float(out.sequences_scores[rank]), abs=1e-4)
