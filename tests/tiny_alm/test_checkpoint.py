import json

import numpy as np
import pytest
import torch
from transformers import AutoProcessor, Qwen2AudioForConditionalGeneration

from raypipe.prompts import render_prompt
from raypipe.tiny_alm import checkpoint_path
from raypipe.tiny_alm.corpus import synthetic_clip
from raypipe.tiny_alm.synth import LABEL_SET
from raypipe.tiny_alm.training.evaluate import (
    READERS,
    ReferenceModel,
    figures,
    read_distribution,
    read_number,
    token_figures,
)
from raypipe.tiny_alm.training.examples import as_json

CLIPS = 40


@pytest.fixture(scope="module")
def model():
    return ReferenceModel(checkpoint_path())


@pytest.fixture(scope="module")
def held_out():
    spoken = [synthetic_clip(index, seed=20, split="test") for index in range(CLIPS)]
    return [clip.samples for clip, _ in spoken], np.array([shares for _, shares in spoken])


@pytest.fixture(scope="module")
def heard(model, held_out):
    question = render_prompt("distribution", LABEL_SET)
    return model.ask("distribution", held_out[0], [question] * CLIPS, LABEL_SET)


def test_plain_transformers_finds_every_weight_and_no_other():
    model, info = Qwen2AudioForConditionalGeneration.from_pretrained(
        checkpoint_path(), dtype=torch.float32, output_loading_info=True, local_files_only=True
    )
    assert not any(info[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert model.dtype == torch.float32
    assert not model.generation_config.do_sample
    assert model.generation_config.repetition_penalty in (None, 1.0)


def test_the_files_have_hub_names_and_stay_small():
    folder = checkpoint_path()
    header_size = int.from_bytes((folder / "model.safetensors").read_bytes()[:8], "little")
    header = json.loads((folder / "model.safetensors").read_bytes()[8 : 8 + header_size])
    assert "language_model.model.embed_tokens.weight" in header
    assert {entry["dtype"] for name, entry in header.items() if name != "__metadata__"} == {"F16"}
    assert sum(path.stat().st_size for path in folder.iterdir()) < 20e6


def test_plain_auto_processor_applies_qwen2_audios_own_chat_template():
    processor = AutoProcessor.from_pretrained(checkpoint_path(), local_files_only=True)
    content = [{"type": "audio", "audio_url": "x"}, {"type": "text", "text": "Hello"}]
    text = processor.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
    )
    assert "Audio 1: <|audio_bos|><|AUDIO|><|audio_eos|>\nHello<|im_end|>" in text
    # vLLM's Qwen2-Audio takes a window of 30 s and no other.
    assert processor.feature_extractor.nb_max_frames == 3000


def test_every_distribution_answer_parses(heard):
    assert all(read_distribution(answer.text, LABEL_SET) is not None for answer in heard)


def test_it_listens_to_speakers_it_never_heard(heard, held_out):
    measured = figures(held_out[1], [read_distribution(a.text, LABEL_SET) for a in heard])
    assert measured["js"] < 0.75 * measured["prior_js"]
    assert measured["accuracy"] > measured["prior_accuracy"] + 0.15


def test_without_sound_it_knows_nothing(model, held_out):
    clips, truths = held_out
    question = render_prompt("distribution", LABEL_SET)
    silent = [np.zeros_like(clip) for clip in clips]
    answers = model.ask("distribution", silent, [question] * CLIPS, LABEL_SET)
    measured = figures(truths, [read_distribution(a.text, LABEL_SET) for a in answers])
    assert measured["js"] > 0.95 * measured["prior_js"]


def test_emotion_logits_tell_the_same_story(heard, held_out):
    measured = token_figures(held_out[1], heard)
    assert measured["token"]["valid_share"] > 0.9
    assert measured["token_softmax"]["js"] < 0.9 * measured["token"]["prior_js"]


@pytest.mark.parametrize("prompt", ["distribution+cot", "ambiguous", "single"])
def test_the_other_prompts_are_answered_in_their_form(model, held_out, prompt):
    question = render_prompt(prompt, LABEL_SET)
    answers = model.ask(prompt, held_out[0][:12], [question] * 12, LABEL_SET)
    assert all(READERS[prompt](answer.text, LABEL_SET) is not None for answer in answers)


def test_a_transcript_or_fixed_sentences_do_not_throw_it(model, held_out):
    for fixed in (False, True):
        question = render_prompt(
            "distribution", LABEL_SET, transcript="It's eleven o'clock.", fixed_sentences=fixed
        )
        answers = model.ask("distribution", held_out[0][:6], [question] * 6, LABEL_SET)
        assert all(read_distribution(answer.text, LABEL_SET) is not None for answer in answers)


def test_the_verifier_prefers_the_truth_to_its_opposite(model, held_out):
    clips, truths = held_out[0][:20], held_out[1][:20]
    scores = []
    for candidates in (truths, np.roll(truths, 3, axis=1)):
        questions = [
            render_prompt("verify", LABEL_SET, candidate=as_json(candidate, LABEL_SET))
            for candidate in candidates
        ]
        answers = model.ask("verify", clips, questions, LABEL_SET)
        scores.append([read_number(answer.text) for answer in answers])
    assert None not in scores[0] + scores[1]
    assert np.mean(scores[0]) > np.mean(scores[1]) + 0.15
