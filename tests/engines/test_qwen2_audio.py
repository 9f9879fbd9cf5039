import numpy as np
import pytest
import torch
from random_checkpoint import sounds
from transformers import Qwen2AudioForConditionalGeneration

from raypipe.engines.model_input import audio_token_count
from raypipe.engines.qwen2_audio import Qwen2AudioAdapter
from raypipe.errors import UnsupportedError
from raypipe.records import Request


@pytest.fixture(scope="module")
def model(checkpoint):
    return Qwen2AudioForConditionalGeneration.from_pretrained(
        checkpoint, dtype=torch.float32
    ).eval()


def encode_whole_window(model, reference, samples):
    """The tower and projector as transformers calls them: 3000 frames, padding masked."""
    made = reference.inputs("?", samples)
    frames = made["feature_attention_mask"].sum(-1)
    lengths, counts = model.model.audio_tower._get_feat_extract_output_lengths(frames)
    mask = (torch.arange(1500) < lengths[:, None])[:, None, None, :].expand(-1, 1, 1500, -1)
    hidden = model.model.audio_tower(made["input_features"], attention_mask=mask).last_hidden_state
    return model.model.multi_modal_projector(hidden)[0, : int(counts)]


def test_a_cropped_clip_is_encoded_like_the_padded_one(model, frontend, reference):
    # 0.0201 s is the shortest: three frames, two after the convolutions, one audio token.
    clips = sounds(
        [0.0201, 0.021, 0.031, 0.5, 1.0, 1.01, 1.02, 1.03, 4.4, 12.0, 29.99, 30.0], seed=3
    )
    inputs = frontend.prepare([Request(str(i), "?", clip) for i, clip in enumerate(clips)])
    with torch.inference_mode():
        together = Qwen2AudioAdapter(model).encode(inputs)
        for one, clip, output in zip(inputs, clips, together, strict=True):
            expected = encode_whole_window(model, reference, clip)
            (alone,) = Qwen2AudioAdapter(model).encode([one])
            assert output.shape[0] == audio_token_count(one.feature_frames)
            torch.testing.assert_close(output, expected, atol=3e-5, rtol=1e-5)
            torch.testing.assert_close(alone, expected, atol=3e-5, rtol=1e-5)


def test_prompts_are_embedded_with_the_audio_in_its_place(model, frontend, requests):
    listener = Qwen2AudioAdapter(model)
    inputs = frontend.prepare(requests[:5])
    with torch.inference_mode():
        audio = listener.encode(inputs)
        embeddings, lengths = listener.embed(inputs, audio)
    assert lengths.tolist() == [len(one.token_ids) for one in inputs]
    for row, one in enumerate(inputs):
        is_audio = torch.from_numpy(one.token_ids == model.config.audio_token_id)
        mine = embeddings[row, : lengths[row]]
        torch.testing.assert_close(mine[is_audio], audio[row])
        text = torch.from_numpy(one.token_ids)[~is_audio]
        torch.testing.assert_close(mine[~is_audio], model.model.language_model.embed_tokens(text))


@pytest.mark.parametrize("frames", range(3, 40))
def test_audio_tokens_are_counted_as_by_the_encoder(model, frames):
    _, counts = model.model.audio_tower._get_feat_extract_output_lengths(torch.tensor([frames]))
    assert audio_token_count(frames) == int(counts)


def test_a_sliding_window_is_refused(model, monkeypatch):
    config = model.model.language_model.config
    monkeypatch.setattr(config, "layer_types", ["full_attention", "sliding_attention"])
    with pytest.raises(UnsupportedError, match="sliding_attention"):
        Qwen2AudioAdapter(model)


def test_positions_scaled_by_the_sequence_are_refused(model, monkeypatch):
    config = model.model.language_model.config
    monkeypatch.setattr(config, "rope_parameters", {"rope_type": "dynamic", "rope_theta": 1e4})
    with pytest.raises(UnsupportedError, match="dynamic"):
        Qwen2AudioAdapter(model)


def test_features_are_float32(frontend, requests):
    (made,) = frontend.prepare(requests[:1])
    assert made.features.dtype == np.float32
