"""Published checkpoints as data: what can be known of one before it is downloaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from raypipe.errors import RegistryError

Proof = Literal["random checkpoint", "parts", "stand-in"]

PROOFS: Mapping[Proof, str] = {
    "random checkpoint": "on small random checkpoints of the architecture with its real processor, "
    "hypotheses, their order, scores and raw logits are those of transformers' generate() in "
    "float32.",
    "parts": "the same behind parts of transformers put together: it has no class of the model.",
    "stand-in": "a worked plug-in makes the calls of the public loader; a stand-in with the same "
    "signatures answered them, its code did not run.",
}
"""How far it was proved that a model is run as published, and what each word means."""

WHAT_NO_PROOF_SAYS = "Published weights were not run."

WHAT_COLUMNS_MEAN = (
    "10^9: billions of parameters that raypipe loads. GiB: their memory in half precision; keys "
    'and values, activations and CUDA come on top; "<": that of all files, of which it loads a '
    'part. hub: gated if an agreement has to be accepted first. clip: the longest. "?": could not '
    "be seen."
)

_BYTES_OF_HALF_PRECISION = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A checkpoint that others published; a fact that could not be seen is None.

    Attributes:
        name: its hub id, or what people call it where it is on no hub.
        on_hub: whether ``name`` is a hub id.
        parameters: that raypipe loads, in billions; as its source rounds them.
        weights_gb: size of its weight files in GB of 10^9 bytes, whatever is loaded of them.
        dtype: arithmetic that its weights were stored in.
        licence: of its weights, as its card names it.
        gated: whether the hub asks for an agreement before it hands them out.
        source: where these facts were seen.

    Raises:
        RegistryError: without a source.
    """

    name: str
    on_hub: bool = True
    parameters: float | None = None
    weights_gb: float | None = None
    dtype: str | None = None
    licence: str | None = None
    gated: bool | None = None
    source: str

    def __post_init__(self) -> None:
        if not self.source.strip():
            raise RegistryError(f"{self.name}: facts without a source")

    @property
    def memory_gib(self) -> float | None:
        """Memory of the loaded weights in half precision, in GiB; None if their count is unknown.

        Example:
            >>> round(Published(name="a/b", parameters=8.4, source="its card").memory_gib, 1)
            15.6
        """
        if self.parameters is None:
            return None
        return self.parameters * 1e9 * _BYTES_OF_HALF_PRECISION / 2**30

    @property
    def memory_at_most_gib(self) -> float | None:
        """Upper bound in GiB where only the size of half-precision files is known."""
        if self.parameters is not None or self.weights_gb is None or self.dtype != "bfloat16":
            return None
        return self.weights_gb * 1e9 / 2**30
