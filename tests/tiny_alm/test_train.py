import itertools

import numpy as np
import pytest
import torch

from raypipe.tiny_alm.corpus import synthetic_clip
from raypipe.tiny_alm.training.data import (
    SILENT,
    SYNTHETIC,
    TrainingData,
    expected_shares,
    log_mel,
    no_voice,
    prior,
)
from raypipe.tiny_alm.training.model import load_checkpoint
from raypipe.tiny_alm.training.network import (
    AFTER_AUDIO,
    AFTER_QUESTION,
    PREFIX,
    Branch,
    answer_logits,
    encode,
    frames_of,
    output_length,
    pack,
    pad_mels,
)
from raypipe.tiny_alm.training.train import load_or_build_processor, run
from raypipe.tiny_alm.training.trainer import Trainer, TrainingSettings

SMALL = TrainingSettings(
    listening_steps=1,
    listening_batch=4,
    answering_steps=2,
    answering_batch=2,
    polishing_steps=2,
)


@pytest.fixture(scope="module")
def material():
    clips = [synthetic_clip(index, split="train")[0] for index in range(15)]
    heard = [*(log_mel(clip.samples) for clip in clips), log_mel(no_voice(np.random.default_rng()))]
    return TrainingData(
        mels=[mel for mel, _ in heard],
        frames=np.array([frames for _, frames in heard]),
        truth=np.stack([*(expected_shares(clip.mix) for clip in clips), prior()]),
        delivery=np.stack(
            [*(clip.delivery.values.astype(np.float32) for clip in clips), np.full(16, np.nan)]
        ),
        origin=np.array([SYNTHETIC] * len(clips) + [SILENT]),
    )


def test_a_run_that_is_broken_off_goes_on_to_the_same_weights(material, tmp_path):
    whole = Trainer(SMALL, material)
    run(whole, tmp_path / "whole", save_every=10)
    run(Trainer(SMALL, material), tmp_path / "broken", save_every=1, stop_at=3)
    rest = Trainer(SMALL, material)
    run(rest, tmp_path / "broken", save_every=1)
    assert rest.step == whole.step == SMALL.steps
    for name, weight in whole.model.state_dict().items():
        torch.testing.assert_close(rest.model.state_dict()[name], weight, rtol=1e-4, atol=1e-5)
    log = (tmp_path / "broken" / "log.jsonl").read_text().splitlines()
    assert len(log) == SMALL.steps
    load_checkpoint(tmp_path / "broken" / "checkpoint")


def test_a_state_of_other_settings_is_refused(material, tmp_path):
    run(Trainer(SMALL, material), tmp_path, stop_at=1)
    with pytest.raises(ValueError, match="the state was made with"):
        run(Trainer(TrainingSettings(seed=1), material), tmp_path)


def test_a_run_keeps_its_tokenizer_when_the_words_of_the_project_change(tmp_path, monkeypatch):
    first = load_or_build_processor(tmp_path).tokenizer.get_vocab()
    monkeypatch.setattr("raypipe.tiny_alm.training.tokenizer.COMMON_WORDS", ("zebra",) * 50)
    assert load_or_build_processor(tmp_path).tokenizer.get_vocab() == first


def test_packed_branches_see_what_each_would_see_alone(material):
    trainer = Trainer(SMALL, material)
    model, tokenizer, processor = (
        trainer.model.eval(),
        trainer.processor.tokenizer,
        trainer.processor,
    )
    samples = [synthetic_clip(index, split="train")[0].samples for index in range(2)]
    questions = ["What is it?", "Tell me the emotion of this voice."]
    answer = tokenizer.encode("anger: 40%")

    def ids(text: str) -> list[int]:
        return tokenizer.encode(text, add_special_tokens=False)

    mels = material.mels[:2]
    with torch.inference_mode():
        embeddings, real = encode(model, pad_mels(mels), frames_of(mels))
        branches = [
            Branch(row, ids(question + AFTER_QUESTION), answer)
            for row, question in itertools.product(range(2), questions)
        ]
        packed = pack(
            real.sum(1).tolist(),
            branches,
            prefix=ids(PREFIX),
            audio_id=tokenizer.convert_tokens_to_ids("<|AUDIO|>"),
            after_audio=ids(AFTER_AUDIO),
        )
        logits = answer_logits(model, packed, embeddings, real)
        for number, (row, question) in enumerate(itertools.product(range(2), questions)):
            text = PREFIX + "<|AUDIO|>" + AFTER_AUDIO + question + AFTER_QUESTION + "anger: 40%"
            inputs = processor(
                text=[text], audio=[samples[row]], sampling_rate=16_000, return_tensors="pt"
            )
            alone = model(**inputs).logits[0, -len(answer) - 1 : -1]
            # The cached features are float16, the processor's are not.
            torch.testing.assert_close(
                logits[packed.branch_of == number], alone, rtol=1e-3, atol=5e-3
            )


def test_output_length_is_the_models_own(material):
    trainer = Trainer(SMALL, material)
    for frames in (3, 4, 5, 6, 7, 8, 150, 399):
        _, expected = trainer.model.model.audio_tower._get_feat_extract_output_lengths(
            torch.tensor([frames])
        )
        assert output_length(frames) == int(expected)
