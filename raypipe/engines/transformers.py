"""The reference back end: a transformers model decoded by raypipe's own tree decoder.

Runs on a CPU or one GPU. The search is deterministic: a checkpoint's sampling settings
(``do_sample``, ``temperature``, ``top_k``, ``top_p``) have no effect, and settings that would alter
the scores are refused unless told otherwise; see :mod:`raypipe.engines.generation_config`.

In float32 an answer does not depend on the utterances beside it. In half precision the shape of a
matrix product decides its rounding, and close hypotheses change places with the batch size:
``raypipe selfcheck`` counts how often, and ``generations/`` records the batch size.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
import transformers
from transformers import AutoConfig, AutoTokenizer

from raypipe.engines import emotion_tokens as emotion_token_table
from raypipe.engines.families import FAMILIES, Family
from raypipe.engines.generation_config import check_generation_config, end_token_ids
from raypipe.engines.grammar import GrammarCompiler, GrammarState
from raypipe.engines.lanes import SearchSettings, Trace
from raypipe.engines.log_mel import cropped_log_mel
from raypipe.engines.model_input import audio_token_count, encoder_frame_count
from raypipe.engines.qwen2_audio import Qwen2Audio
from raypipe.engines.replies import check_settings, failure, hypothesis
from raypipe.engines.shared_audio import EncodedClips
from raypipe.engines.step_graphs import CudaCapture
from raypipe.engines.tree_decoder import TreeDecoder
from raypipe.errors import ConfigError, DeadEndError, EngineError, UnsupportedError
from raypipe.labels import LabelSet
from raypipe.protocols import Capabilities
from raypipe.records import (
    EmotionTokens,
    Failure,
    FloatArray,
    Generation,
    Grammar,
    IntArray,
    ModelInput,
    Request,
    Search,
)

# Most runs ask the same question about every clip; prompts with transcripts differ each time.
_CACHED_TURNS = 256

_logger = logging.getLogger(__name__)


class TransformersFrontend:
    """Tokenizer and feature extractor of a checkpoint; loads no weights.

    Args:
        model_path: local directory or hub id.
        revision: commit of a hub id.
        trust_remote_code: run code that comes with the checkpoint.

    Raises:
        UnsupportedError: for an architecture that is not on the list.
    """

    def __init__(
        self, model_path: str, revision: str | None = None, trust_remote_code: bool = False
    ) -> None:
        origin = {"revision": revision, "trust_remote_code": trust_remote_code}
        config = AutoConfig.from_pretrained(model_path, **origin)
        self._family = _family(model_path, config)
        kind = getattr(transformers, self._family.processor)
        self._processor = kind.from_pretrained(model_path, **origin)
        self._extractor = self._processor.feature_extractor
        self._tokenizer = self._processor.tokenizer
        added = self._tokenizer.added_tokens_decoder.values()
        self._special_tokens = tuple(token.content for token in added if token.special)
        self._cached_turns: dict[str, IntArray] = {}
        self.sampling_rate: int = self._extractor.sampling_rate
        self._max_samples = _longest_clip(self._extractor, config)
        self.max_duration_s: float = self._max_samples / self.sampling_rate

    def prepare(self, requests: Sequence[Request]) -> list[ModelInput | Failure]:
        """Turn requests into model inputs: same length, same order, one failure per bad request.

        Requests that hold the same ``samples`` object share one feature extraction. A failure's
        ``error_type`` is ``too_long``, ``too_short``, ``not_finite``, ``not_mono`` or
        ``special_token_in_prompt``.
        """
        heard: dict[int, tuple[FloatArray, int]] = {}
        return [self._refuse(request) or self._prepare(request, heard) for request in requests]

    def again(self, prepared: ModelInput, prompt: str) -> ModelInput | Failure:
        """The same clip with another prompt; a failure as :meth:`prepare` gives it."""
        refused = self._refuse_prompt(prepared.utterance_id, prompt)
        if refused is not None:
            return refused
        features, frames = prepared.features, prepared.feature_frames
        return ModelInput(prepared.utterance_id, self._ids(prompt, frames), features, frames)

    def emotion_tokens(self, labels: LabelSet) -> EmotionTokens:
        """The sub-tokens of every surface form of every label."""
        return emotion_token_table.emotion_tokens(self._tokenizer, labels)

    def _prepare(self, request: Request, heard: dict[int, tuple[FloatArray, int]]) -> ModelInput:
        assert request.samples is not None  # refused
        clip = id(request.samples)
        if clip not in heard:
            heard[clip] = cropped_log_mel(self._extractor, request.samples)
        features, frames = heard[clip]
        token_ids = self._ids(request.prompt, frames)
        return ModelInput(request.utterance_id, token_ids, features, frames)

    def _ids(self, prompt: str, frames: int) -> IntArray:
        """The whole turn, with one audio token per encoder output."""
        turn = self._turn(prompt)
        is_audio = turn == self._processor.audio_token_id
        return np.repeat(turn, np.where(is_audio, audio_token_count(frames), 1))

    def _refuse(self, request: Request) -> Failure | None:
        samples, rate, hop = request.samples, self.sampling_rate, self._extractor.hop_length

        def failure(error_type: str, message: str) -> Failure:
            return Failure(request.utterance_id, "prompt", error_type, message)

        if samples is None:
            return failure("no_clip", "the question has no clip, the model is asked about one")
        if samples.ndim != 1:
            return failure("not_mono", f"samples have shape {samples.shape}, expected one axis")
        duration = f"{len(samples) / rate:.3f} s ({len(samples)} samples at {rate} Hz)"
        if len(samples) > self._max_samples:
            return failure("too_long", f"{duration}, the model hears {self.max_duration_s:g} s")
        if encoder_frame_count(-(-len(samples) // hop)) < 2:
            return failure("too_short", f"{duration}, the model needs more than {2 * hop} samples")
        if not np.isfinite(samples).all():
            return failure("not_finite", "samples hold values that are not finite")
        return self._refuse_prompt(request.utterance_id, request.prompt)

    def _refuse_prompt(self, utterance_id: str, prompt: str) -> Failure | None:
        for token in self._special_tokens:
            # It would be read as a control token: a second audio, or the end of the user's turn.
            if token in prompt:
                message = f"the prompt contains {token!r}"
                return Failure(utterance_id, "prompt", "special_token_in_prompt", message)
        return None

    def _turn(self, prompt: str) -> IntArray:
        """Token ids of the chat turn with a single audio token, shape ``(tokens,)``."""
        if prompt not in self._cached_turns:
            if len(self._cached_turns) >= _CACHED_TURNS:
                self._cached_turns.clear()
            self._cached_turns[prompt] = self._tokenize(prompt)
        return self._cached_turns[prompt]

    def _tokenize(self, prompt: str) -> IntArray:
        content = [{"type": "audio"}, {"type": "text", "text": prompt}]
        if not self._family.audio_first:
            content.reverse()
        text = self._processor.apply_chat_template(
            [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
        )
        return np.asarray(self._tokenizer(text)["input_ids"], dtype=np.int64)


class TransformersEngine:
    """Greedy hypothesis, beams and raw emotion-token logits in one pass over each utterance.

    Args:
        model_path: local directory or hub id.
        revision: commit of a hub id.
        emotion_tokens: whose raw logits are recorded at every step.
        batch_size: most utterances decoded together. Bounds the memory: for each search that many
            times the keys and values of the longest prompt plus ``max_new_tokens`` per lane, and
            the activations of at most 16,384 prompt tokens or 48,000 feature frames.
        device: ``auto`` takes a GPU if there is one; otherwise a torch device.
        dtype: arithmetic of the weights; log-probabilities are float32 in any case.
        threads: CPU threads of torch, for the whole process; None leaves them alone.
        trust_remote_code: run code that comes with the checkpoint.
        ignore_generation_config: search on the model's own probabilities although the checkpoint
            asks for a repetition penalty or the like.
        cuda_graphs: capture the decode step as CUDA graphs; None for wherever there is a GPU.

    Raises:
        ConfigError: for settings that ask for nothing or are not known.
        UnsupportedError: for an architecture, a variant of it or a generation config that would
            be decoded differently than its checkpoint means.
        EngineError: for a checkpoint with weights missing.
    """

    def __init__(
        self,
        model_path: str,
        *,
        revision: str | None = None,
        emotion_tokens: EmotionTokens,
        batch_size: int,
        device: str = "auto",
        dtype: str = "float32",
        threads: int | None = None,
        trust_remote_code: bool = False,
        ignore_generation_config: bool = False,
        cuda_graphs: bool | None = None,
    ) -> None:
        check_settings(batch_size, dtype)
        if threads is not None:
            torch.set_num_threads(threads)
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        origin = {"revision": revision, "trust_remote_code": trust_remote_code}
        family = _family(model_path, AutoConfig.from_pretrained(model_path, **origin))
        model = _load_model(family, model_path, origin, getattr(torch, dtype)).to(device)
        check_generation_config(model.generation_config, ignore=ignore_generation_config)
        self._end_ids = end_token_ids(model.generation_config)
        self._recorded_ids = emotion_tokens.token_ids
        self._tokenizer = AutoTokenizer.from_pretrained(model_path, **origin)
        self._model = Qwen2Audio(model)
        on_gpu = self._model.device.type == "cuda"
        if cuda_graphs and not on_gpu:
            raise ConfigError(f"cuda_graphs need a GPU, the model is on {self._model.device}")
        self._make_capture = CudaCapture if on_gpu and cuda_graphs is not False else None
        self._decoders: dict[Search, TreeDecoder] = {}
        self._grammars: GrammarCompiler | None = None
        self._remembered: EncodedClips | None = None
        self._batch_size = batch_size
        self.capabilities = Capabilities(beams=True, emotion_logits=True, token_logprobs=True)

    @contextmanager
    def remembering(self) -> Iterator[None]:
        """While it lasts, encodings of clips are kept for further questions, up to 1 GiB."""
        self._remembered = EncodedClips()
        try:
            yield
        finally:
            self._remembered = None

    def generate(self, inputs: Sequence[ModelInput], search: Search) -> list[Generation | Failure]:
        """Answer any number of inputs: same length, same order.

        ``batch_size`` rows are decoded together; a row whose utterance is answered takes the next
        one. Inputs with equal features, such as several prompts about one clip, share its
        encoding. The same call always forms the same batches; nothing is learnt from one call for
        the next, not even how many rows fit into memory. ``prompt_tokens`` of a generation counts
        the whole turn, audio tokens included.

        Raises:
            ConfigError: for a grammar that cannot be followed.
            torch.AcceleratorError: if the device itself has failed; no input is to blame.
        """
        decoder = self._decoder(search)
        replies: dict[int, Generation | Failure] = {}
        for index, one in enumerate(inputs):
            try:
                self._model.limits.check(one, search.max_new_tokens)
            except EngineError as error:
                replies[index] = failure(one, "invalid_input", str(error))
        waiting = [index for index in range(len(inputs)) if index not in replies]
        answers = self._answer([inputs[index] for index in waiting], decoder, self._batch_size)
        replies.update(zip(waiting, answers, strict=True))
        return [replies[index] for index in range(len(inputs))]

    def _decoder(self, search: Search) -> TreeDecoder:
        """The decoder of a search, with the memory and the graphs that it holds on to."""
        if search not in self._decoders:
            settings = SearchSettings(
                search.beam_count,
                search.greedy,
                search.max_new_tokens,
                self._end_ids,
                self._recorded_ids,
                self._compiled(search.grammar),
            )
            # A graph cannot wait for the host, which follows a grammar token by token.
            make_capture = self._make_capture if search.grammar is None else None
            decoder = TreeDecoder(self._model, settings, make_capture=make_capture)
            self._decoders[search] = decoder
        return self._decoders[search]

    def _compiled(self, grammar: Grammar | None) -> GrammarState | None:
        if grammar is None:
            return None
        if self._grammars is None:
            vocabulary = self._model.limits.vocabulary
            self._grammars = GrammarCompiler(self._tokenizer, vocabulary, self._end_ids)
        return self._grammars.compile(grammar)

    def _forget(self) -> None:
        """Let go of all that is only held to save work."""
        for decoder in self._decoders.values():
            decoder.forget()
        if self._remembered is not None:
            self._remembered = EncodedClips()
        torch.cuda.empty_cache()

    def _answer(
        self, inputs: Sequence[ModelInput], decoder: TreeDecoder, row_count: int
    ) -> list[Generation | Failure]:
        """Decode; what is unanswered after an error is tried again in smaller parts.

        Out of memory, fewer rows are decoded together. Otherwise one of the inputs is to blame,
        and each half of them is tried until the bad one is alone.
        """
        answers: dict[int, Generation | Failure] = {}
        row_count = min(row_count, len(inputs))

        def keep(index: int, row: list[Trace] | EngineError) -> None:
            answers[index] = self._reply(inputs[index], row, row_count)

        try:
            decoder.decode(inputs, row_count, keep, self._remembered)
        except torch.AcceleratorError:
            raise
        except (RuntimeError, ValueError, IndexError) as error:
            # Only text is kept: the traceback would hold on to the tensors that did not fit.
            is_out_of_memory = isinstance(error, torch.OutOfMemoryError)
            error_type = "out_of_memory" if is_out_of_memory else type(error).__name__
            message = str(error)
        left = [index for index in range(len(inputs)) if index not in answers]
        if left:
            unanswered = [inputs[index] for index in left]
            if is_out_of_memory:
                self._forget()
            if is_out_of_memory and row_count > 1:
                _logger.warning(
                    "out of memory with %d utterances decoded together: going on with %d",
                    row_count,
                    row_count // 2,
                )
                retried = self._answer(unanswered, decoder, row_count // 2)
            elif len(left) == 1:
                retried = [failure(unanswered[0], error_type, message)]
            else:
                middle = len(left) // 2
                retried = self._answer(unanswered[:middle], decoder, row_count)
                retried += self._answer(unanswered[middle:], decoder, row_count)
            answers.update(zip(left, retried, strict=True))
        return [answers[index] for index in range(len(inputs))]

    def _reply(
        self, one: ModelInput, row: list[Trace] | EngineError, row_count: int
    ) -> Generation | Failure:
        if isinstance(row, EngineError):
            stuck = isinstance(row, DeadEndError)
            return failure(one, "grammar" if stuck else "not_finite", str(row))
        return Generation(
            one.utterance_id,
            tuple(hypothesis(trace, self._tokenizer) for trace in row),
            prompt_tokens=len(one.token_ids),
            audio_tokens=audio_token_count(one.feature_frames),
            batch_size=row_count,
        )


def _longest_clip(extractor: Any, config: Any) -> int:
    """Samples of the longest clip to ask about.

    That is the extractor's window, or less if the checkpoint's config says that the model was
    trained on shorter clips (``max_audio_duration_s``, which the bundled model has).
    """
    trained_s: float | None = getattr(config, "max_audio_duration_s", None)
    window = int(extractor.n_samples)
    return window if trained_s is None else min(window, int(trained_s * extractor.sampling_rate))


def _family(model_path: str, config: Any) -> Family:
    found = config.architectures or []
    for family in FAMILIES:
        if family.architecture in found:
            return family
    raise UnsupportedError(
        f"{model_path} is a {', '.join(found) or 'model without a named architecture'}; the "
        f"transformers engine decodes {', '.join(family.architecture for family in FAMILIES)}"
    )


def _load_model(family: Family, model_path: str, origin: dict[str, Any], dtype: torch.dtype) -> Any:
    model, report = getattr(transformers, family.architecture).from_pretrained(
        model_path, **origin, dtype=dtype, attn_implementation="sdpa", output_loading_info=True
    )
    # transformers fills missing weights with random numbers and only warns.
    if missing := sorted(report["missing_keys"]):
        raise EngineError(f"{model_path} lacks {len(missing)} weights, first {missing[0]}")
    return model.eval()
