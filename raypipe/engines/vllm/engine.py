"""The accelerator half of the vLLM engine."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace

from transformers import AutoTokenizer, PreTrainedTokenizerBase

from raypipe.config import VllmConfig
from raypipe.engines.generation_config import (
    check_generation_config,
    end_token_ids,
    generation_config_of,
    penalties_of,
)
from raypipe.engines.grammar import GrammarCompiler, GrammarState
from raypipe.engines.lanes import SearchSettings
from raypipe.engines.model_input import check_audio_is_in_one_piece
from raypipe.engines.prefix_search import (
    Continuations,
    Prefix,
    PrefixSearch,
    kept_continuations,
)
from raypipe.engines.replies import check_settings, failure, hypothesis
from raypipe.engines.vllm.checkpoint import limits_of, load_config
from raypipe.engines.vllm.exchange import CoreSettings, EncodedPrompt, Refusal
from raypipe.engines.vllm.frontend import VllmFrontend
from raypipe.engines.vllm.installation import prepare_environment, require_vllm
from raypipe.engines.vllm.self_check import check_core
from raypipe.errors import ConfigError, EngineError
from raypipe.protocols import Capabilities
from raypipe.records import (
    AskedPenalties,
    EmotionTokens,
    Failure,
    Generation,
    Grammar,
    ModelInput,
    Search,
)

_USUAL_PROMPT = 1024
_SPARE_POSITIONS = 128
"""Per hypothesis: the cache is cut into blocks, and what has been dropped leaves it late."""


class VllmEngine:
    """Greedy hypothesis, beams and raw emotion-token logits of many utterances at a time.

    The hypotheses are the transformers engine's: the same search over the same features, with
    vLLM's arithmetic (equal to about 1e-5 in float32). Every engine is checked against itself when
    it starts, and every step against vLLM's own choice of token.

    Args:
        model_path: local directory or hub id.
        revision: commit of a hub id.
        emotion_tokens: whose raw logits are recorded at every step.
        searches: all that :meth:`generate` will be called with; vLLM plans its memory for them.
        batch_size: most utterances in progress together.
        device: ``auto`` runs on what the installed vLLM was built for.
        dtype: arithmetic of the weights; log-probabilities are float32 in any case.
        threads: CPU threads of torch, where the model runs on a CPU.
        trust_remote_code: run code that comes with the checkpoint.
        ignore_generation_config: take no penalty from the checkpoint's generation config, and run
            although it asks for what this search does not do.
        penalties: of every search; ``checkpoint`` for what its generation config asks for.
        vllm: memory and compilation.

    Raises:
        ConfigError: for settings that ask for nothing or are not known, for a grammar that cannot
            be followed, and for a vLLM that is missing, untested or built for another device.
        UnsupportedError: for an architecture or generation config that would be decoded
            differently than its checkpoint means.
        EngineError: if vLLM's answers on the loaded model contradict each other.
    """

    def __init__(
        self,
        model_path: str,
        *,
        revision: str | None = None,
        emotion_tokens: EmotionTokens,
        searches: Sequence[Search],
        batch_size: int,
        device: str = "auto",
        dtype: str = "float32",
        threads: int | None = None,
        trust_remote_code: bool = False,
        ignore_generation_config: bool = False,
        penalties: AskedPenalties = "checkpoint",
        vllm: VllmConfig | None = None,
    ) -> None:
        check_settings(batch_size, dtype)
        require_vllm()
        memory = vllm or VllmConfig()
        origin = {"revision": revision, "trust_remote_code": trust_remote_code}
        frontend = VllmFrontend(model_path, revision=revision, trust_remote_code=trust_remote_code)
        prepare_environment()
        config = load_config(frontend.family, model_path, origin)
        generation_config = generation_config_of(model_path, revision)
        check_generation_config(generation_config, ignore=ignore_generation_config)
        applied = penalties_of(generation_config, penalties, ignore=ignore_generation_config)
        limits = limits_of(frontend.family, config)
        if memory.max_model_len is not None:
            shorter = min(memory.max_model_len, limits.max_positions)
            limits = replace(limits, max_positions=shorter)
        end_ids, recorded_ids = end_token_ids(generation_config), emotion_tokens.token_ids
        tokenizer = AutoTokenizer.from_pretrained(model_path, config=config, **origin)
        grammars = _compiled(searches, tokenizer, limits.vocabulary, end_ids)
        settings = {
            search: SearchSettings(
                search.beam_count,
                search.greedy,
                search.max_new_tokens,
                end_ids,
                recorded_ids,
                None if search.grammar is None else grammars[search.grammar],
                applied,
            )
            for search in searches
        }
        kept = max(kept_continuations(each) for each in settings.values())
        from raypipe.engines.vllm.core import VllmCore

        audio_token_id = limits.audio_token_id
        assert audio_token_id is not None  # every family of this engine hears
        core = VllmCore(
            CoreSettings(
                model_path=model_path,
                revision=revision,
                trust_remote_code=trust_remote_code,
                dtype=dtype,
                device=device,
                threads=threads,
                audio_token_id=audio_token_id,
                kept=min(kept, limits.vocabulary),
                recorded_ids=recorded_ids,
                max_positions=limits.max_positions,
                max_questions=batch_size * max(search.lane_count for search in searches),
                usual_positions=batch_size * max(_usual_positions(search) for search in searches),
                gpu_memory_share=memory.gpu_memory_share,
                kv_cache_bytes=memory.kv_cache_bytes,
                enforce_eager=memory.enforce_eager,
                repetition=applied.repetition,
            )
        )
        try:
            check_core(core, frontend, recorded_ids, dtype)
        except EngineError:
            core.close()
            raise
        self._core = core
        self._limits = limits
        self._audio_token_id = audio_token_id
        self._settings = settings
        self._tokenizer = tokenizer
        self._batch_size = batch_size
        self.capabilities = Capabilities(beams=True, emotion_logits=True, token_logprobs=True)

    def close(self) -> None:
        """Give the model's memory back; the engine answers nothing more."""
        self._core.close()

    def audio_cache(self) -> AbstractContextManager[None]:
        """Context without effect: vLLM's prefix cache knows a clip by its features."""
        return nullcontext()

    def generate(self, inputs: Sequence[ModelInput], search: Search) -> list[Generation | Failure]:
        """Answer every input: same length, same order.

        Utterances are in progress independently of each other: when one is done, the next one
        takes its place. ``prompt_tokens`` of a generation counts the whole turn, audio tokens
        included.

        Raises:
            ConfigError: for a search that the engine was not made for.
            EngineError: if vLLM's answers contradict each other; no input is to blame.
        """
        if search not in self._settings:
            raise ConfigError(f"the engine was made for {list(self._settings)}, not for {search}")
        settings = self._settings[search]
        replies: dict[int, Generation | Failure] = {}
        for index, model_input in enumerate(inputs):
            try:
                self._limits.check(model_input, search.max_new_tokens)
                check_audio_is_in_one_piece(model_input, self._audio_token_id)
            except EngineError as error:
                replies[index] = failure(model_input, "invalid_input", str(error))
        self._core.enter_thread()
        waiting = deque(index for index in range(len(inputs)) if index not in replies)
        in_progress = 0
        while waiting or in_progress:
            while waiting and in_progress < self._batch_size:
                index = waiting.popleft()
                prompt = self._core.prompt(inputs[index])
                if isinstance(prompt, Refusal):
                    replies[index] = failure(inputs[index], prompt.error_type, prompt.message)
                    continue
                self._ask(
                    _UtteranceSearch(index, prompt, PrefixSearch(settings, inputs[index].token_ids))
                )
                in_progress += 1
            for utterance in self._step():
                replies[utterance.index] = self._reply(inputs[utterance.index], utterance)
                in_progress -= 1
        return [replies[index] for index in range(len(inputs))]

    def _ask(self, utterance: _UtteranceSearch) -> None:
        """Ask what the utterance's search wants to know next."""
        utterance.answers = {}
        questions = utterance.search.prefixes()
        utterance.open = len(questions)
        for prefix, allowed in questions.items():
            self._core.ask(utterance.prompt, prefix, allowed, (utterance, prefix))

    def _step(self) -> Iterator[_UtteranceSearch]:
        """Let vLLM take a step; the utterances that it brings to an end."""
        for (utterance, prefix), answer in self._core.answers():
            utterance.answers[prefix] = answer
            if len(utterance.answers) == utterance.open:
                if utterance.advance():
                    self._ask(utterance)
                else:
                    yield utterance

    def _reply(self, model_input: ModelInput, utterance: _UtteranceSearch) -> Generation | Failure:
        if utterance.refusal is not None:
            return failure(model_input, utterance.refusal.error_type, utterance.refusal.message)
        traces = utterance.search.traces()
        if isinstance(traces, EngineError):
            return failure(model_input, "grammar", str(traces))
        return Generation(
            model_input.utterance_id,
            tuple(hypothesis(trace, self._tokenizer) for trace in traces),
            prompt_tokens=len(model_input.token_ids),
            audio_tokens=int((model_input.token_ids == self._audio_token_id).sum()),
        )


@dataclass(slots=True, eq=False)
class _UtteranceSearch:
    """Utterance in progress: its search, its open questions and their answers."""

    index: int
    prompt: EncodedPrompt
    search: PrefixSearch
    open: int = 0
    answers: dict[Prefix, Continuations | Refusal] = field(default_factory=dict)
    refusal: Refusal | None = None

    def advance(self) -> bool:
        """Let the search take a step; whether there is more to ask."""
        read: dict[Prefix, Continuations] = {}
        for prefix, answer in self.answers.items():
            if isinstance(answer, Refusal):
                self.refusal = answer
                return False
            read[prefix] = answer
        self.search.advance(read)
        return bool(self.search.prefixes())


def _compiled(
    searches: Sequence[Search],
    tokenizer: PreTrainedTokenizerBase,
    vocabulary: int,
    end_ids: Sequence[int],
) -> dict[Grammar, GrammarState]:
    grammars = {search.grammar for search in searches if search.grammar is not None}
    if not grammars:
        return {}
    compiler = GrammarCompiler(tokenizer, vocabulary, end_ids)
    return {grammar: compiler.compile(grammar) for grammar in grammars}


def _usual_positions(search: Search) -> int:
    """Tokens of an utterance's prompt and answers, as a rule."""
    return _USUAL_PROMPT + search.lane_count * (search.max_new_tokens + _SPARE_POSITIONS)
