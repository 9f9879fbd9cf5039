"""Fused layers beside those they take the place of. The products are merged on a CPU too; the
compiled functions run there where a C++ compiler is found."""

import shutil

import pytest
import torch
from family_checkpoints import MAKERS
from random_checkpoint import Shape, sounds
from searching import Searching
from test_transformers import assert_equals_generate
from transformers.models.qwen2.modeling_qwen2 import Qwen2Attention

from raypipe.engines import transformers as engine_module
from raypipe.engines.families import FAMILIES
from raypipe.engines.fused import FusedAttention, FusedMLP, FusedNorm, as_it_is, fuse
from raypipe.engines.transformers import TransformersEngine, TransformersFrontend
from raypipe.errors import ConfigError
from raypipe.labels import label_set
from raypipe.records import Request, Search

SEARCH = Search(beam_count=3, greedy=True, max_new_tokens=12)
TEXTS = ["What now?", "Say how she sounds in one word, please.", "A"]
needs_compiler = pytest.mark.skipif(
    shutil.which("c++") is None and not torch.cuda.is_available(), reason="no C++ compiler"
)


def assert_same_answers(mine, theirs):
    for one, other in zip(mine, theirs, strict=True):
        assert [h.token_ids for h in one.hypotheses] == [h.token_ids for h in other.hypotheses]
        for hypothesis, expected in zip(one.hypotheses, other.hypotheses, strict=True):
            assert hypothesis.alpha == pytest.approx(expected.alpha, abs=1e-4, rel=2e-6)


def merge(engine):
    """Fuse an engine that may have answered already, and so holds graphs of its former layers."""
    fusion = fuse(engine._model, as_it_is)
    engine._forget()
    return fusion


SHAPES = {
    "Qwen2-Audio": Shape(),
    "grouped queries": Shape(key_heads=2, seed=4),
    "Audio Flamingo 3": Shape(family="audioflamingo3", seed=3),
}


@pytest.mark.parametrize("name", SHAPES)
def test_merged_products_change_no_answer(name, make_checkpoint, make_engine, requests):
    path = make_checkpoint(SHAPES[name])
    frontend = TransformersFrontend(str(path))
    tokens = frontend.emotion_tokens(label_set("crema-d-6"))
    engine = make_engine(path, emotion_tokens=tokens, fused=False)
    inputs = frontend.prepare(requests)
    expected = engine.generate(inputs)
    fusion = merge(engine)
    assert fusion.fused == {"FusedAttention": 2, "FusedMLP": 2, "FusedNorm": 5}
    assert not fusion.left
    assert_same_answers(engine.generate(inputs), expected)


WITHOUT_EXTRAS = {family.name: family for family in FAMILIES if family.decoder == "tree"}


@pytest.mark.parametrize("name", [name for name in MAKERS if name in WITHOUT_EXTRAS])
def test_whatever_a_family_s_layers_are_the_answers_stay(name, tmp_path, device):
    if name == "Voxtral":
        pytest.importorskip("mistral_common")
    MAKERS[name](tmp_path)
    frontend = TransformersFrontend(str(tmp_path))
    tokens = frontend.emotion_tokens(label_set("crema-d-6"))
    engine = TransformersEngine(
        str(tmp_path), emotion_tokens=tokens, batch_size=3, device=device, fused=False
    )
    asked = [Request(f"text {i}", text, None) for i, text in enumerate(TEXTS)]
    if WITHOUT_EXTRAS[name].processor is not None:
        asked += [Request(f"{i}", "Hm?", clip) for i, clip in enumerate(sounds([1.0, 2.2], seed=1))]
    inputs = frontend.prepare(asked)
    expected = engine.generate(inputs, SEARCH)
    fusion = merge(engine)
    layers = len(engine._model.language_model.layers)
    assert fusion.fused["FusedAttention"] == layers
    assert fusion.fused["FusedNorm"] == 2 * layers + 1
    # A mixture of experts is no gated MLP.
    assert fusion.fused.get("FusedMLP", 0) == (0 if name.startswith("Qwen3-Omni") else layers)
    assert not fusion.left
    assert_same_answers(engine.generate(inputs, SEARCH), expected)


@needs_compiler
def test_compiled_layers_give_the_hypotheses_of_generate(
    make_engine, frontend, reference, requests
):
    engine = make_engine(fused=True)
    assert engine.fusion.fused == {"FusedAttention": 2, "FusedMLP": 2, "FusedNorm": 5}
    assert engine.fusion.seconds > 0
    assert_equals_generate(engine, frontend, reference, requests, 3)


def test_nothing_is_compiled_for_every_length_anew(make_engine, frontend, requests):
    if shutil.which("c++") is None:
        pytest.skip("no C++ compiler")
    engine = make_engine(fused=True, device="cpu", batch_size=4)
    inputs = frontend.prepare(requests)
    with torch._dynamo.config.patch(error_on_recompile=True):
        engine.generate(inputs)


def layers_of(engine):
    return engine._model.language_model.layers


def test_weights_are_kept_once(make_engine):
    engine = make_engine(fused=False)
    attention, mlp = layers_of(engine)[0].self_attn, layers_of(engine)[0].mlp
    wanted = torch.cat([attention.q_proj.weight, attention.k_proj.weight, attention.v_proj.weight])
    merge(engine)
    merged = layers_of(engine)[0].self_attn.merged.weight
    assert torch.equal(merged, wanted)
    assert attention.k_proj.weight.untyped_storage().data_ptr() == (
        merged.untyped_storage().data_ptr()
    )
    assert mlp.up_proj.weight.untyped_storage().data_ptr() == (
        layers_of(engine)[0].mlp.merged.weight.untyped_storage().data_ptr()
    )


class HalvedAttention(Qwen2Attention):
    """What looks like the family's attention and is not."""

    def forward(self, *given, **named):
        attended, weights = super().forward(*given, **named)
        return attended / 2, weights


HalvedAttention.__module__ = Qwen2Attention.__module__


def test_a_layer_that_does_otherwise_than_it_looks_stays_as_it_is(make_engine, frontend, requests):
    engine = make_engine(fused=False)
    layers_of(engine)[1].self_attn.__class__ = HalvedAttention
    inputs = frontend.prepare(requests[:5])
    expected = engine.generate(inputs)
    fusion = merge(engine)
    assert fusion.left == {"FusedAttention": 1}
    assert isinstance(layers_of(engine)[0].self_attn, FusedAttention)
    assert type(layers_of(engine)[1].self_attn) is HalvedAttention
    assert_same_answers(engine.generate(inputs), expected)


class Adapted(torch.nn.Linear):
    """A linear layer and something more, such as an adapter."""


def test_a_layer_with_more_than_linear_parts_is_not_touched(make_engine):
    engine = make_engine(fused=False)
    layers_of(engine)[0].self_attn.v_proj.__class__ = Adapted
    layers_of(engine)[0].mlp.gate_proj.__class__ = Adapted
    fusion = merge(engine)
    assert fusion.fused == {"FusedAttention": 1, "FusedMLP": 1, "FusedNorm": 5}
    assert not fusion.left
    first, second = layers_of(engine)
    assert type(first.self_attn) is Qwen2Attention
    assert isinstance(second.mlp, FusedMLP)
    assert isinstance(first.input_layernorm, FusedNorm)


def test_a_cpu_is_left_alone_unless_told_otherwise(make_engine):
    assert make_engine(device="cpu").fusion is None


def test_where_nothing_can_be_compiled_the_layers_stay(
    make_engine, frontend, requests, monkeypatch, caplog
):
    def fail(model):
        raise RuntimeError("no compiler")

    monkeypatch.setattr(engine_module, "fuse", fail)
    with pytest.raises(ConfigError, match="cannot be fused here: no compiler"):
        make_engine(fused=True)
    engine = make_engine(device="cpu")
    assert engine._fused(True, insist=False) is None
    assert "going on without fused layers" in caplog.text
    assert type(layers_of(engine)[0].self_attn) is Qwen2Attention


def test_a_family_that_goes_the_plain_way_has_none(tmp_path, device):
    MAKERS["Gemma 3 (text)"](tmp_path)
    tokens = TransformersFrontend(str(tmp_path)).emotion_tokens(label_set("crema-d-6"))
    settings = {"emotion_tokens": tokens, "batch_size": 1, "device": device}
    with pytest.raises(ConfigError, match=r"Gemma 3 \(text\) goes through layers of its own"):
        TransformersEngine(str(tmp_path), fused=True, **settings)
    assert Searching(TransformersEngine(str(tmp_path), **settings), SEARCH).fusion is None
