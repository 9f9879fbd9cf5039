"""Layers of a language model with fewer and larger kernels, for GPUs.

Three kinds of layers are replaced, whatever the family calls them:

- attention: queries, keys and values are one matrix product; rotation and the writing of keys and
  values into the cache are one compiled function; a decode step attends in a Triton kernel
  (:mod:`raypipe.engines.tree_kernel`) where that serves the head size;
- the gated MLP: gate and up projection are one matrix product, activation and product one compiled
  function;
- RMSNorm: its own forward pass, compiled.

A compiled function is plain torch beside it: ``compiled(f)`` and ``f`` are the same arithmetic. The
layer that is replaced is the reference of the one that takes its place: both answer one prompt and
one decode step when a model is loaded, and a layer stays as it is unless they agree. So nothing is
assumed about a family beyond the names by which its parts are found.
"""

from __future__ import annotations

import functools
import logging
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from raypipe.engines.attention import tree_attention
from raypipe.engines.decoder_adapter import DecoderAdapter
from raypipe.engines.tree_cache import TreeCache

_logger = logging.getLogger(__name__)

_ROWS, _LANES, _PROMPT = 7, 3, 90
"""Size of the comparison. The compiler takes 1 for a constant and equal sizes for the same one, and
would compile anew where they differ: these give no axis the size of another or of a usual head."""

_LARGEST_DIFFERENCE = {torch.float32: 1e-4, torch.bfloat16: 0.1, torch.float16: 0.05}
"""Norm of the difference over the norm of the reference; another formula differs by about 1."""

Run = Callable[[Callable[..., Any]], Callable[..., Any]]


@functools.cache
def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function compiled for any number of tokens, at its first call in a process."""
    compiled_function: Callable[..., Any] = torch.compile(function, dynamic=True)
    return compiled_function


def as_it_is(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function itself, in place of :func:`compiled`."""
    return function


class MergedLinear(nn.Module):
    """Several linear layers of one input as one matrix product, their outputs side by side.

    The layers' own weights become parts of the merged one, so that nothing is kept twice.

    Args:
        layers: linear layers, all with a bias or all without.
    """

    def __init__(self, layers: Sequence[nn.Linear]) -> None:
        super().__init__()
        self.sizes = [layer.out_features for layer in layers]
        self.weight = _merged([layer.weight for layer in layers])
        self.bias = None
        if layers[0].bias is not None:
            self.bias = _merged([layer.bias for layer in layers])

    def forward(self, hidden: Tensor) -> Tensor:
        """Outputs of the layers, shape ``(..., sum of their sizes)``."""
        return linear(hidden, self.weight, self.bias)


def _merged(parts: Sequence[Tensor]) -> nn.Parameter:
    whole = torch.cat([part.data for part in parts])
    for part, view in zip(parts, torch.split(whole, [len(p) for p in parts]), strict=True):
        part.data = view
    return nn.Parameter(whole, requires_grad=False)


class FusedNorm(nn.Module):
    """A normalisation over the last axis, compiled.

    Args:
        norm: the layer it takes the place of.
        run: :func:`compiled` or :func:`as_it_is`.
    """

    def __init__(self, norm: nn.Module, run: Run) -> None:
        super().__init__()
        self.norm = norm
        self._call = run(_call)

    def forward(self, hidden: Tensor) -> Tensor:
        """The normalised input, shape of ``hidden``."""
        # One axis of tokens: compiled once, whether a batch has one row or many.
        normalised: Tensor = self._call(self.norm, hidden.reshape(-1, hidden.shape[-1]))
        return normalised.view(hidden.shape)


def _call(module: nn.Module, hidden: Tensor) -> Any:
    return module.forward(hidden)  # without the hooks that compare the two


class FusedMLP(nn.Module):
    """``down(activation(gate(x)) * up(x))`` with gate and up as one product.

    Args:
        mlp: the layer it takes the place of.
        run: :func:`compiled` or :func:`as_it_is`.
    """

    def __init__(self, mlp: Any, run: Run) -> None:
        super().__init__()
        self.merged = MergedLinear([mlp.gate_proj, mlp.up_proj])
        self.down_proj, self.activation = mlp.down_proj, mlp.act_fn
        self._gate = run(_gate)

    def forward(self, hidden: Tensor) -> Tensor:
        """The layer's output, shape of ``hidden``."""
        merged = self.merged(hidden)
        gated = self._gate(self, merged.view(-1, merged.shape[-1]))
        output: Tensor = self.down_proj(gated)
        return output.view(hidden.shape)


def _gate(layer: FusedMLP, merged: Tensor) -> Any:
    gate, up = torch.split(merged, layer.merged.sizes, -1)
    return layer.activation(gate) * up


class FusedAttention(nn.Module):
    """Full causal attention with rotated keys, over a :class:`TreeCache` or its prompts.

    Args:
        attention: the layer it takes the place of.
        rotate: the family's own rotation, of queries and keys by cosines and sines.
        run: :func:`compiled` or :func:`as_it_is`.
    """

    def __init__(self, attention: Any, rotate: Callable[..., Any], run: Run) -> None:
        super().__init__()
        self.merged = MergedLinear([attention.q_proj, attention.k_proj, attention.v_proj])
        self.q_norm = getattr(attention, "q_norm", None) or nn.Identity()
        self.k_norm = getattr(attention, "k_norm", None) or nn.Identity()
        self.o_proj, self.scaling = attention.o_proj, attention.scaling
        self.rotate, self.head_size = rotate, attention.head_dim
        self._layer_index = attention.layer_idx
        self._key_heads = self.merged.sizes[1] // self.head_size
        self._groups = self.merged.sizes[0] // self.merged.sizes[1]
        self._place = run(_place)

    def forward(
        self,
        hidden_states: Tensor,
        position_embeddings: tuple[Tensor, Tensor],
        attention_mask: Tensor | None,
        past_key_values: Any,
        **_: Any,
    ) -> tuple[Tensor, None]:
        """The layer's output, shape of ``hidden_states``, and no weights."""
        rows, tokens, _width = hidden_states.shape
        projected = self.merged(hidden_states)
        places = past_key_values.places(
            self._layer_index, self._key_heads, self.head_size, projected
        )
        # One axis of tokens: compiled once, whether a batch has one row or many.
        angles = (
            part.expand(rows, -1, -1).reshape(-1, part.shape[-1]) for part in position_embeddings
        )
        placed = self._place(self, projected.flatten(0, 1), *angles, *places)
        query, key, value = (part.unflatten(0, (rows, tokens)).transpose(1, 2) for part in placed)
        if attention_mask is None:
            key, value = past_key_values.whole(self._layer_index, key, value)
            attended, _none = tree_attention(self, query, key, value, None, self.scaling)
        else:
            attended = self._attend(query, attention_mask, past_key_values)
        output: Tensor = self.o_proj(attended.flatten(2))
        return output, None

    def _attend(self, query: Tensor, visible: Tensor, cache: TreeCache) -> Tensor:
        keys, values = cache.window(self._layer_index)
        if query.device.type == "cuda":
            from raypipe.engines import tree_kernel

            if tree_kernel.serves(self.head_size, self._groups * query.shape[2]):
                spans = cache.first, cache.stop
                return tree_kernel.attend(
                    query, keys, values, visible, *spans, cache.shared, self.scaling
                )
        attended, _ = tree_attention(self, query, keys, values, visible, self.scaling)
        return attended


def _place(
    layer: FusedAttention,
    projected: Tensor,
    cosines: Tensor,
    sines: Tensor,
    keys: Tensor,
    values: Tensor,
    rows: Tensor,
    slots: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Rotate queries and keys, write keys and values into the cache.

    Args:
        layer: whose they are.
        projected: queries, keys and values side by side, shape ``(tokens, channels)``.
        cosines: shape ``(tokens, head_size)``.
        sines: shape of ``cosines``.
        keys: those of the cache, which are changed.
        values: those of the cache, which are changed.
        rows: of the cache, shape ``(tokens,)``.
        slots: of the cache, shape ``(tokens,)``.

    Returns:
        Queries, keys and values, each of shape ``(tokens, its heads, head_size)``.
    """
    shape = len(projected), -1, layer.head_size
    query, key, value = (
        part.view(shape) for part in torch.split(projected, layer.merged.sizes, -1)
    )
    # The family's function takes (rows, heads, tokens, head_size).
    query = layer.q_norm(query).transpose(0, 1)[None]
    key = layer.k_norm(key).transpose(0, 1)[None]
    query, key = layer.rotate(query, key, cosines[None], sines[None])
    query, key = query[0].transpose(0, 1), key[0].transpose(0, 1)
    keys[rows, :, slots] = key
    values[rows, :, slots] = value
    return query, key, value


@dataclass(frozen=True, slots=True)
class Fusion:
    """What was done to a model.

    Attributes:
        fused: how many layers were replaced, by the name of what replaced them.
        left: how many look alike but gave something else, and were left as they are.
        seconds: that comparing took, compiling included.
    """

    fused: dict[str, int]
    left: dict[str, int]
    seconds: float


@dataclass(slots=True)
class _Exchange:
    """A layer, its replacement, and whether the two have agreed so far."""

    parent: nn.Module
    name: str
    layer: nn.Module
    replacement: nn.Module
    agrees: bool = True


def fuse(model: DecoderAdapter, run: Run = compiled) -> Fusion:
    """Replace what can be replaced in a model's language model, once it has shown to be equal.

    Args:
        model: whose layers are replaced.
        run: :func:`compiled`, or :func:`as_it_is` to merge products only.

    Raises:
        Exception: of any kind if the machine cannot compile; nothing is replaced then.
    """
    start = time.perf_counter()
    candidates = list(_candidates(model.language_model, run))
    with torch.inference_mode(), model.attending(), warnings.catch_warnings():
        # The compiler recommends TF32 wherever it is off.
        warnings.filterwarnings("ignore", "TensorFloat32 tensor cores", UserWarning)
        _compare(model, candidates)
    fused: Counter[str] = Counter()
    left: Counter[str] = Counter()
    for candidate in candidates:
        counter = fused if candidate.agrees else left
        counter[type(candidate.replacement).__name__] += 1
        if candidate.agrees:
            setattr(candidate.parent, candidate.name, candidate.replacement)
    return Fusion(dict(fused), dict(left), time.perf_counter() - start)


def _candidates(language_model: nn.Module, run: Run) -> Iterator[_Exchange]:
    for parent in (language_model, *getattr(language_model, "layers", ())):
        for name, layer in parent.named_children():
            replacement = _replacement(layer, run)
            if replacement is not None:
                yield _Exchange(parent, name, layer, replacement.eval())


def _replacement(layer: Any, run: Run) -> nn.Module | None:
    """What might take the place of a layer; None if it is nothing that is known here."""
    if type(layer).__name__.endswith("RMSNorm"):
        return FusedNorm(layer, run)
    if _has_linear(layer, "gate_proj", "up_proj", "down_proj") and hasattr(layer, "act_fn"):
        return FusedMLP(layer, run) if _alike(layer.gate_proj, layer.up_proj) else None
    rotate = getattr(sys.modules[type(layer).__module__], "apply_rotary_pos_emb", None)
    if (
        rotate is not None
        and _has_linear(layer, "q_proj", "k_proj", "v_proj", "o_proj")
        and all(hasattr(layer, name) for name in ("head_dim", "scaling", "layer_idx"))
        and _alike(layer.q_proj, layer.k_proj, layer.v_proj)
    ):
        return FusedAttention(layer, rotate, run)
    return None


def _has_linear(layer: nn.Module, *names: str) -> bool:
    """Whether these parts are linear layers and nothing more, such as one with an adapter."""
    return all(type(getattr(layer, name, None)) is nn.Linear for name in names)


def _alike(*layers: nn.Linear) -> bool:
    return len({layer.bias is None for layer in layers}) == 1


def _compare(model: DecoderAdapter, candidates: Sequence[_Exchange]) -> None:
    """Let every layer answer beside its replacement: a padded prompt, then a decode step."""
    device = model.device
    own, twin = (
        TreeCache(_ROWS, _PROMPT, _LANES, max_new_tokens=2, device=device) for _ in range(2)
    )
    rows = torch.arange(_ROWS, device=device)
    lengths = torch.arange(_PROMPT, _PROMPT - _ROWS, -1, device=device)
    generator = torch.Generator().manual_seed(0)
    vocabulary = model.limits.vocabulary
    token_ids = torch.randint(vocabulary, (_ROWS, _PROMPT), generator=generator).to(device)
    prompts, twin_prompts = own.start(rows, lengths), twin.start(rows, lengths)
    own.set_window(1, _PROMPT), twin.set_window(1, _PROMPT)
    with ExitStack() as hooks:
        for candidate in candidates:
            hook = _comparison(candidate, {id(own): twin, id(prompts): twin_prompts})
            handle = candidate.layer.register_forward_hook(hook, with_kwargs=True)
            hooks.callback(handle.remove)
        embeddings = model.language_model.get_input_embeddings()(token_ids)
        model.prefill(embeddings, lengths, prompts)
        parents = torch.zeros(_ROWS, _LANES, dtype=torch.int64, device=device)
        visible, _ = own.branch(parents), twin.branch(parents)
        model.step(token_ids[:, :_LANES], own.positions, visible, own)


def _comparison(candidate: _Exchange, twins: dict[int, Any]) -> Callable[..., None]:
    def compare(layer: nn.Module, given: Any, named: dict[str, Any], output: Any) -> None:
        if "past_key_values" in named:
            named = named | {"past_key_values": twins[id(named["past_key_values"])]}
        mine = candidate.replacement(*given, **named)
        if isinstance(output, tuple):
            mine, output = mine[0], output[0]
        difference = (mine.float() - output.float()).norm() / output.float().norm()
        # NaN is no agreement either.
        if not bool(difference <= _LARGEST_DIFFERENCE[output.dtype]):
            candidate.agrees = False

    return compare
