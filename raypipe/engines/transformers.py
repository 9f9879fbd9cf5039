"""The reference back end: a transformers model decoded by raypipe's own search.

As a rule by the tree decoder. Architectures that it does not reproduce go through their own forward
pass, one utterance after the other (:mod:`raypipe.engines.plain_decoder`);
:mod:`raypipe.engines.families` says which.

Runs on a CPU or one GPU. The search is deterministic: a checkpoint's sampling settings
(``do_sample``, ``temperature``, ``top_k``, ``top_p``) have no effect, its repetition penalty has
the one that it has in ``generate()``, and other settings that would alter the scores are refused
unless told otherwise; see :mod:`raypipe.engines.generation_config`.

In float32 an answer does not depend on the utterances beside it. In half precision the shape of a
matrix product decides its rounding, and close hypotheses change places with the batch size:
``raypipe selfcheck`` counts how often, and ``generations/`` records the batch size.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from transformers import AutoConfig, AutoTokenizer

from raypipe.engines.arithmetic import as_asked
from raypipe.engines.decoder_adapter import DecoderAdapter
from raypipe.engines.families import family_of
from raypipe.engines.families.family import Family
from raypipe.engines.forced_lanes import ForcedAnswers
from raypipe.engines.frontend import TransformersFrontend
from raypipe.engines.fused import Fusion, fuse
from raypipe.engines.generation_config import (
    NO_PENALISED_SAMPLES,
    check_generation_config,
    penalties_of,
)
from raypipe.engines.grammar import GrammarCompiler, GrammarState
from raypipe.engines.lanes import LaneSettings, SearchSettings, Trace
from raypipe.engines.lazy import load_object
from raypipe.engines.model_input import PromptLimits
from raypipe.engines.model_loading import end_ids, load_model
from raypipe.engines.packed_answers import PackedAnswers
from raypipe.engines.plain_decoder import PlainDecoder
from raypipe.engines.replies import as_drawn, check_settings, failure, hypothesis, with_texts
from raypipe.engines.sampled_lanes import SampledAnswers
from raypipe.engines.shared_audio import EncodedClips
from raypipe.engines.shared_prefix import Prefixes
from raypipe.engines.step_graphs import CudaCapture
from raypipe.engines.transformers_plugin import CAPABILITIES
from raypipe.engines.tree_decoder import TreeDecoder
from raypipe.errors import ConfigError, DeadEndError, EngineError, UnsupportedError
from raypipe.records import (
    AskedPenalties,
    EmotionTokens,
    Failure,
    Generation,
    Grammar,
    ModelInput,
    Sampling,
    Search,
)

__all__ = ["TransformersEngine", "TransformersFrontend"]

_logger = logging.getLogger(__name__)

_MOST_LOGITS = 2**28
"""Of all lanes of all rows together where given answers are scored: 1 GiB in float32."""


class TransformersEngine:
    """Greedy hypothesis, beams and raw emotion-token logits in one pass over each utterance.

    Args:
        model_path: local directory or hub id.
        revision: commit of a hub id.
        emotion_tokens: whose raw logits are recorded at every step.
        batch_size: most utterances decoded together. Bounds the memory: for each search that many
            times the keys and values of the longest prompt plus ``max_new_tokens`` per lane, and
            the activations of at most 16,384 prompt tokens or 48,000 feature frames. The plain
            path takes one at a time, whatever is asked for.
        device: ``auto`` takes a GPU if there is one; otherwise a torch device.
        dtype: arithmetic of the weights; log-probabilities are float32 in any case.
        threads: CPU threads of torch, for the whole process; None leaves them alone.
        trust_remote_code: run code that comes with the checkpoint.
        ignore_generation_config: take no penalty from the checkpoint's generation config, and run
            although it asks for what this search does not do.
        penalties: of every search; ``checkpoint`` for what its generation config asks for.
        cuda_graphs: capture the decode step as CUDA graphs; None for wherever there is a GPU.
        fused: replace layers by fused ones (:mod:`raypipe.engines.fused`), which takes some
            seconds of compiling; None for wherever there is a GPU that they can be compiled for.
        adapter: folder of a LoRA adapter that is merged into the weights; None for none.

    Attributes:
        fusion: what was fused, and the seconds it took; None if nothing was to be.

    Raises:
        ConfigError: for settings that ask for nothing or are not known.
        UnsupportedError: for an architecture, a variant of it or a generation config that would
            be decoded differently than its checkpoint means.
        EngineError: for a checkpoint with weights missing, or an adapter that does not fit.
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
        penalties: AskedPenalties = "checkpoint",
        cuda_graphs: bool | None = None,
        fused: bool | None = None,
        adapter: str | None = None,
    ) -> None:
        check_settings(batch_size, dtype)
        if threads is not None:
            torch.set_num_threads(threads)
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        origin = {"revision": revision, "trust_remote_code": trust_remote_code}
        config = AutoConfig.from_pretrained(model_path, **origin)
        self._family = family_of(model_path, config.architectures, "transformers")
        kind = getattr(torch, dtype)
        model = load_model(self._family, model_path, origin, kind, device, adapter)
        ignore = ignore_generation_config
        check_generation_config(model.generation_config, ignore=ignore)
        self._penalties = penalties_of(model.generation_config, penalties, ignore=ignore)
        self._recorded_ids = emotion_tokens.token_ids
        self._tokenizer = AutoTokenizer.from_pretrained(model_path, **origin)
        self._end_ids = end_ids(self._family, model.generation_config, self._tokenizer)
        self._whole, self._model = model, _adapter_of(self._family, model)
        self._limits = PromptLimits.of(model) if self._model is None else self._model.limits
        on_gpu = model.device.type == "cuda"
        if cuda_graphs and not on_gpu:
            raise ConfigError(f"cuda_graphs need a GPU, the model is on {model.device}")
        if cuda_graphs and not self._family.captured:
            raise ConfigError(f"the decode steps of {self._family.name} make no cuda_graphs")
        captures = on_gpu and self._family.captured and cuda_graphs is not False
        self._make_capture = CudaCapture if captures else None
        self._arithmetic = partial(as_asked, model.dtype) if on_gpu else nullcontext
        self.fusion = self._fused(on_gpu if fused is None else fused, insist=bool(fused))
        self._decoders: dict[Search | LaneSettings, TreeDecoder | PlainDecoder] = {}
        self._prefixes = None if self._model is None else Prefixes(self._model)
        self._grammars: GrammarCompiler | None = None
        self._audio_cache: EncodedClips | None = None
        # The plain path takes one utterance after the other.
        self._batch_size = batch_size if self._model is not None else 1
        self.capabilities = CAPABILITIES

    @contextmanager
    def audio_cache(self) -> Iterator[None]:
        """Context in which encodings of clips are kept for further questions, up to 1 GiB."""
        self._audio_cache = EncodedClips()
        try:
            yield
        finally:
            self._audio_cache = None

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
        return self._replies(inputs, self._decoder(search), search.max_new_tokens, self._batch_size)

    def score_texts(
        self, inputs: Sequence[ModelInput], texts: Sequence[str]
    ) -> list[Generation | Failure]:
        """The log-likelihood of every text as the whole answer: same length, same order.

        A hypothesis of kind ``text`` for each, in their order: its tokens as the tokenizer writes
        the text by itself, and the likeliest end token. All texts are one tree behind the prompt,
        which is read once. Penalties of a search have no part in the scores.

        Raises:
            EngineError: for a text that the tokenizer makes no tokens of.
        """
        encode = self._tokenizer.encode
        answers = tuple(tuple(encode(text, add_special_tokens=False)) for text in texts)
        for text, token_ids in zip(texts, answers, strict=True):
            if not token_ids:
                raise EngineError(f"the tokenizer makes no tokens of the text {text!r}")
        as_lanes = PackedAnswers if self._model is not None else ForcedAnswers
        given = as_lanes(answers, self._end_ids)
        at_once = _MOST_LOGITS // (given.lane_count * self._limits.vocabulary)
        row_count = max(1, min(self._batch_size, at_once))
        longest = max(map(len, answers)) + 1
        replies = self._replies(inputs, self._decoder(given), longest, row_count)
        return [with_texts(reply, texts) for reply in replies]

    def sample(
        self, inputs: Sequence[ModelInput], sampling: Sampling
    ) -> list[Generation | Failure]:
        """Answers drawn token by token, all of an utterance side by side behind one prompt.

        As many hypotheses of kind ``sample`` as are asked for; the same ones whatever stands
        beside the utterance.

        Raises:
            ConfigError: where penalties are asked for, which samples are not drawn by.
        """
        if self._penalties.any:
            raise ConfigError(NO_PENALISED_SAMPLES)
        drawn = SampledAnswers(sampling, self._end_ids, self._recorded_ids)
        decoder = self._decoder(drawn)
        replies = self._replies(inputs, decoder, sampling.max_new_tokens, self._batch_size)
        return [as_drawn(reply) for reply in replies]

    def _replies(
        self,
        inputs: Sequence[ModelInput],
        decoder: TreeDecoder | PlainDecoder,
        max_new_tokens: int,
        row_count: int,
    ) -> list[Generation | Failure]:
        replies: dict[int, Generation | Failure] = {}
        for index, model_input in enumerate(inputs):
            try:
                self._limits.check(model_input, max_new_tokens)
            except EngineError as error:
                replies[index] = failure(model_input, "invalid_input", str(error))
        waiting = [index for index in range(len(inputs)) if index not in replies]
        with self._arithmetic():
            answers = self._answer([inputs[index] for index in waiting], decoder, row_count)
        replies.update(zip(waiting, answers, strict=True))
        return [replies[index] for index in range(len(inputs))]

    def _fused(self, wanted: bool, *, insist: bool) -> Fusion | None:
        if self._model is None and insist:
            raise ConfigError(f"{self._family.name} goes through layers of its own, not fused ones")
        if self._model is None or not wanted:
            return None
        try:
            with self._arithmetic():
                fusion = fuse(self._model)
        except torch.AcceleratorError:
            raise
        except Exception as error:  # compilers fail in many ways; all layers are as they were
            if insist:
                raise ConfigError(f"the model's layers cannot be fused here: {error}") from error
            _logger.warning("going on without fused layers, which cannot be compiled: %s", error)
            return None
        _logger.info("fused %s in %.1f s", fusion.fused, fusion.seconds)
        if fusion.left:
            _logger.warning("%s: %s do otherwise than they look", self._family.name, fusion.left)
        return fusion

    def _decoder(self, request: Search | LaneSettings) -> TreeDecoder | PlainDecoder:
        """The decoder of a request, with the memory and the graphs that it holds on to."""
        if request not in self._decoders:
            settings = self._settings(request) if isinstance(request, Search) else request
            self._decoders[request] = (
                self._plain_decoder(settings)
                if self._model is None
                else self._tree_decoder(self._model, settings)
            )
        return self._decoders[request]

    def _settings(self, search: Search) -> SearchSettings:
        return SearchSettings(
            search.beam_count,
            search.greedy,
            search.max_new_tokens,
            self._end_ids,
            self._recorded_ids,
            self._compiled(search.grammar),
            self._penalties,
        )

    def _tree_decoder(self, model: DecoderAdapter, settings: LaneSettings) -> TreeDecoder:
        # A graph cannot wait for the host, which follows a grammar token by token.
        make_capture = self._make_capture if settings.grammar is None else None
        return TreeDecoder(model, settings, make_capture=make_capture, prefixes=self._prefixes)

    def _plain_decoder(self, settings: LaneSettings) -> PlainDecoder:
        family, divisor = self._family, 1.0
        if family.logits_divisor is not None:
            divisor = getattr(self._whole.config.get_text_config(), family.logits_divisor)
        return PlainDecoder(self._whole, settings, family.features, divisor)

    def _compiled(self, grammar: Grammar | None) -> GrammarState | None:
        if grammar is None:
            return None
        if self._grammars is None:
            vocabulary = self._limits.vocabulary
            self._grammars = GrammarCompiler(self._tokenizer, vocabulary, self._end_ids)
        return self._grammars.compile(grammar)

    def _forget(self) -> None:
        """Release all memory that is only held to save work."""
        for decoder in self._decoders.values():
            decoder.forget()
        if self._prefixes is not None:
            self._prefixes.forget()
        if self._audio_cache is not None:
            self._audio_cache = EncodedClips()
        torch.cuda.empty_cache()

    def _answer(
        self, inputs: Sequence[ModelInput], decoder: TreeDecoder | PlainDecoder, row_count: int
    ) -> list[Generation | Failure]:
        """Decode; what is unanswered after an error is tried again in smaller parts.

        Out of memory, fewer rows are decoded together. Otherwise one of the inputs is to blame,
        and each half of them is tried until the bad one is alone.
        """
        answers: dict[int, Generation | Failure] = {}
        rows = min(row_count, len(inputs))

        def keep(index: int, row: list[Trace] | EngineError) -> None:
            answers[index] = self._reply(inputs[index], row, rows)

        try:
            decoder.decode(inputs, row_count, keep, self._audio_cache)
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
                fewer = max(1, rows // 2)
                _logger.warning(
                    "out of memory with %d utterances decoded together: going on with %d",
                    rows,
                    fewer,
                )
                retried = self._answer(unanswered, decoder, fewer)
            elif len(left) == 1:
                retried = [failure(unanswered[0], error_type, message)]
            else:
                middle = len(left) // 2
                retried = self._answer(unanswered[:middle], decoder, row_count)
                retried += self._answer(unanswered[middle:], decoder, row_count)
            answers.update(zip(left, retried, strict=True))
        return [answers[index] for index in range(len(inputs))]

    def _reply(
        self, model_input: ModelInput, row: list[Trace] | EngineError, row_count: int
    ) -> Generation | Failure:
        if isinstance(row, EngineError):
            stuck = isinstance(row, DeadEndError)
            return failure(model_input, "grammar" if stuck else "not_finite", str(row))
        return Generation(
            model_input.utterance_id,
            tuple(hypothesis(trace, self._tokenizer) for trace in row),
            prompt_tokens=len(model_input.token_ids),
            audio_tokens=int((model_input.token_ids == self._limits.audio_token_id).sum()),
            batch_size=row_count,
        )


def _adapter_of(family: Family, model: Any) -> DecoderAdapter | None:
    """Adapter of the model for the tree decoder; None if the tree does not reproduce it.

    Raises:
        UnsupportedError: for a variant that no decoder here reproduces.
    """
    if family.decoder != "tree":
        return None
    try:
        adapter: DecoderAdapter = load_object(family.adapter)(model)
    except UnsupportedError as error:
        if not family.plain_fallback:
            raise
        _logger.warning("%s goes through its own forward pass: %s", family.name, error)
        return None
    return adapter
