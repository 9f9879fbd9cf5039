"""The CPU half of the vLLM engine: the transformers engine's."""

from __future__ import annotations

from collections.abc import Sequence

from raypipe.engines.vllm.installation import require_vllm
from raypipe.labels import LabelSet
from raypipe.records import (
    ClipPlace,
    EmotionTokens,
    Failure,
    ModelInput,
    Request,
    WrittenTurn,
)


class VllmFrontend:
    """Tokenizer and feature extractor of a checkpoint; loads no weights.

    vLLM would tokenize and compute features itself, in the process that holds the accelerator. It
    is given what the transformers engine is given, made on CPU workers by the same code: both get
    the same frames, and a clip that cannot be used is refused before it reaches vLLM.

    Args:
        model_path: local directory or hub id.
        revision: commit of a hub id.
        trust_remote_code: run code that comes with the checkpoint.

    Raises:
        ConfigError: if vLLM is missing or not one that raypipe was tested with.
        UnsupportedError: for an architecture that is not on the list.
    """

    def __init__(
        self, model_path: str, revision: str | None = None, trust_remote_code: bool = False
    ) -> None:
        require_vllm()
        # Not before: a broken installation would fail here without saying why.
        from raypipe.engines.transformers import TransformersFrontend

        self._frontend = TransformersFrontend(
            model_path, revision, trust_remote_code, engine="vllm"
        )
        self.family = self._frontend.family
        self.sampling_rate: int = self._frontend.sampling_rate
        self.max_duration_s: float = self._frontend.max_duration_s

    def prepare(self, requests: Sequence[Request]) -> list[ModelInput | Failure]:
        """Turn requests into model inputs: same length, same order, one failure per bad request."""
        return self._frontend.prepare(requests)

    def with_prompt(self, prepared: ModelInput, prompt: str) -> ModelInput | Failure:
        """A model input of the same clip with another prompt."""
        return self._frontend.with_prompt(prepared, prompt)

    def check_clip_place(self, clip: ClipPlace) -> None:
        """Refuse a place that the chat template does not put a clip in; raises ConfigError."""
        self._frontend.check_clip_place(clip)

    def written(self, prepared: ModelInput) -> WrittenTurn:
        """The turn as the model reads it."""
        return self._frontend.written(prepared)

    def emotion_tokens(self, labels: LabelSet) -> EmotionTokens:
        """The sub-tokens of every surface form of every label."""
        return self._frontend.emotion_tokens(labels)
