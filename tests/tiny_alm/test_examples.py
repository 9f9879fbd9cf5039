import json

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon

from raypipe.labels import ALIASES, LABEL_SETS
from raypipe.prompts import DISTRIBUTIONS, render_prompt
from raypipe.tiny_alm.corpus import synthetic_clip
from raypipe.tiny_alm.training.answers import READERS, read_number
from raypipe.tiny_alm.training.data import (
    SYNTHETIC,
    TARGET_LABELS,
    TrainingData,
    expected_shares,
    log_mel,
    prior,
)
from raypipe.tiny_alm.training.evaluate import macro_f1
from raypipe.tiny_alm.training.examples import (
    fit_score,
    random_candidate,
    stated_shares,
    tenths,
    write_example,
)
from raypipe.tiny_alm.training.model import build_processor
from raypipe.tiny_alm.training.tokenizer import surface_forms


@pytest.fixture(scope="module")
def material():
    clips = [synthetic_clip(index, split="train")[0] for index in range(6)]
    heard = [log_mel(clip.samples) for clip in clips]
    return TrainingData(
        mels=[mel for mel, _ in heard],
        frames=np.array([frames for _, frames in heard]),
        truth=np.stack([expected_shares(clip.mix) for clip in clips]),
        delivery=np.stack([clip.delivery.values.astype(np.float32) for clip in clips]),
        origin=np.full(len(clips), SYNTHETIC),
    )


@pytest.fixture(scope="module")
def processor():
    return build_processor()


@pytest.fixture(scope="module")
def tokenizer(processor):
    return processor.tokenizer


@pytest.mark.parametrize("seed", range(20))
def test_tenths_keep_the_sum_and_stay_within_a_tenth(seed):
    probs = np.random.default_rng(seed).dirichlet(np.full(6, 0.4))
    rounded = tenths(probs)
    assert rounded.sum() == pytest.approx(1.0)
    assert np.abs(rounded - probs).max() < 0.1
    np.testing.assert_allclose(rounded * 10, np.round(rounded * 10))


@pytest.mark.parametrize("prompt", DISTRIBUTIONS)
def test_every_answer_can_be_read_back(prompt, material):
    rng = np.random.default_rng(0)
    for turn in range(30):
        clip = turn % len(material)
        heard = material.truth[clip].astype(np.float64)
        example = write_example(prompt, heard, material, clip, rng)
        if prompt == "verify":
            assert read_number(example.answer) is not None
            continue
        read = READERS[prompt](example.answer, example.labels)
        assert read is not None, example.answer
        if prompt != "single":
            np.testing.assert_allclose(read, stated_shares(example.probs), atol=1e-9)
        else:
            assert read.argmax() == example.probs.argmax()


def test_lessons_vary_the_labels_and_the_words(material):
    rng = np.random.default_rng(0)
    heard = material.truth[0].astype(np.float64)
    examples = [write_example("distribution", heard, material, 0, rng) for _ in range(60)]
    assert len({example.labels for example in examples}) > 2
    assert any("Target utterance" in example.question for example in examples)
    assert any("Previous turns" in example.question for example in examples)


def test_fit_score_follows_the_guide_of_the_prompt():
    truth, far, near = np.eye(3)[0], np.eye(3)[1], np.array([0.9, 0.1, 0.0])
    assert fit_score(truth, truth) == pytest.approx(1.0)
    assert fit_score(truth, far) == pytest.approx(0.0)
    assert fit_score(truth, near) == pytest.approx(1.0 - jensenshannon(truth, near, base=2))


def test_candidates_range_from_wrong_to_right():
    rng = np.random.default_rng(0)
    truth = np.array([0.6, 0.3, 0.1, 0.0])
    scores = [fit_score(truth, random_candidate(truth, rng)) for _ in range(200)]
    assert min(scores) < 0.3
    assert max(scores) > 0.9


def test_the_prior_has_no_boredom_and_sums_to_one():
    assert prior().sum() == pytest.approx(1.0, abs=1e-5)
    assert prior()[TARGET_LABELS.index("boredom")] == 0.0


def test_features_are_those_of_the_processor(processor):
    samples = synthetic_clip(0)[0].samples[:-37]
    mel, frames = log_mel(samples)
    extracted = processor.feature_extractor(
        samples, sampling_rate=16_000, return_attention_mask=True, return_tensors="np"
    )
    assert frames == extracted["attention_mask"].sum()
    expected = extracted["input_features"][0, :, : frames + 2].T
    np.testing.assert_allclose(mel, expected, atol=2e-3)  # float16


def test_every_surface_form_of_every_emotion_word_is_one_token(tokenizer):
    for label in ALIASES:
        for form in surface_forms(label):
            assert len(tokenizer.encode(form, add_special_tokens=False)) == 1, form


def test_digits_stand_alone_and_text_survives_the_tokenizer(tokenizer):
    text = json.dumps({"anger": 0.25, "joy": 12}) + "\nZoë says: “no”!"
    ids = tokenizer.encode(text, add_special_tokens=False)
    assert tokenizer.decode(ids) == text
    pieces = tokenizer.convert_ids_to_tokens(ids)
    assert not any(len(piece) > 1 and any(c.isdigit() for c in piece) for piece in pieces)


def test_prompts_are_short_in_tokens(tokenizer):
    question = render_prompt("distribution", LABEL_SETS["crema-d-6"])
    assert len(tokenizer.encode(question)) < 0.25 * len(question)


def test_macro_f1_by_hand():
    truth, prediction = np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1])
    assert macro_f1(truth, prediction, 2) == pytest.approx((2 / 3 + 4 / 5) / 2)
