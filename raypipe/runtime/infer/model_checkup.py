"""What a run will ask of one model, and what that takes, told without its weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raypipe.config import ModelConfig, RunConfig
from raypipe.engines.engine import Spending
from raypipe.engines.memory import MemoryNeed, weight_bytes_in
from raypipe.records import EmotionWord, Failure, Search, Utterance, WrittenTurn
from raypipe.runtime.infer.automatic import longest_prompt, sized_requests
from raypipe.runtime.infer.context import RunContext
from raypipe.runtime.infer.models import engine_of, make_frontend, penalties_of
from raypipe.runtime.infer.preparing import prepare_rows


@dataclass(frozen=True, slots=True)
class ClipLimitFacts:
    """The clips of a corpus against a model's limits.

    Attributes:
        window_s: most seconds that the model hears at once.
        limit_s: longest clip that is no error.
        too_long: clips that become error rows.
        cut: clips that are answered about in part, or in several parts.
        unknown: clips whose duration the shards do not tell.
        fate: setting ``audio.long_audio``.
    """

    window_s: float
    limit_s: float
    too_long: int
    cut: int
    unknown: int
    fate: str


@dataclass(frozen=True, slots=True)
class MemoryFacts:
    """Memory of one replica of a model.

    Attributes:
        need: in bytes; of an engine that plans its memory itself, the weights alone are known.
        counted: the weights are those of the config's model, because the files are not there.
        rows: utterances decoded together; None where they cannot be told.
    """

    need: MemoryNeed
    counted: bool
    rows: int | None


@dataclass(frozen=True, slots=True)
class AskedTurn:
    """A prompt about one utterance, as the model reads it.

    Attributes:
        prompt: name of the prompt.
        utterance_id: of the utterance.
        seconds: of its clip.
        turn: None where the engine does not tell.
        failure: why there is none; None if there is.
    """

    prompt: str
    utterance_id: str
    seconds: float
    turn: WrittenTurn | None
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class CallFacts:
    """One call of the engine about an utterance.

    Attributes:
        name: of the call.
        asked: what is looked for, in words.
        only_ambiguous: asked of ambiguous utterances only.
    """

    name: str
    asked: str
    only_ambiguous: bool


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """One model of a run.

    Attributes:
        model: its name in the tables.
        facts: family, decoder and what else its files tell, in words.
        memory: None for a name at a service, or where it cannot be told.
        spending: of one utterance; None for a model that runs here.
        words: surface forms of the labels with their token ids.
    """

    model: str
    path: str
    engine: str
    dtype: str
    facts: Mapping[str, str]
    memory: MemoryFacts | None
    clips: ClipLimitFacts
    turns: tuple[AskedTurn, ...]
    calls: tuple[CallFacts, ...]
    spending: Spending | None
    words: tuple[EmotionWord, ...]


def model_facts(
    config: RunConfig,
    context: RunContext,
    durations: NDArray[np.float64],
    first: Utterance | None,
) -> ModelFacts:
    """One model of a run.

    Args:
        config: the run with this model alone, its ``auto`` resolved but perhaps for the rows.
        context: of this model.
        durations: of the corpus's clips in seconds, NaN where unknown, shape ``(utterances,)``.
        first: utterance that prompts are shown about; None where none can be read.

    Raises:
        RaypipeError: if its files cannot be read.
    """
    model = config.model
    plugin, settings = engine_of(model, penalties_of(config))
    turns = () if first is None else tuple(_turns(model, context, first))
    spending = plugin.spending
    return ModelFacts(
        model=model.label,
        path=model.path,
        engine=model.engine,
        dtype=model.dtype,
        facts=plugin.facts(settings),
        memory=_memory(config, context),
        clips=_clips(context, durations),
        turns=turns,
        calls=tuple(_calls(context)),
        spending=None if spending is None else spending(settings, _asked(context, turns)),
        words=context.emotion_tokens.words,
    )


def _memory(config: RunConfig, context: RunContext) -> MemoryFacts | None:
    plugin, settings = engine_of(config.model)
    if not plugin.loads_path or not facts_of(config.model):
        return None
    size = config.resources.batch_size
    rows = None if size == "auto" else size
    tokens = None if plugin.memory_need is None else longest_prompt(config, context)
    if plugin.memory_need is None or tokens is None:
        return MemoryFacts(MemoryNeed(weight_bytes_in(settings), 0, 0), False, rows)
    need = plugin.memory_need(settings, tokens, list(sized_requests(context)))
    if need.weights:
        return MemoryFacts(need, False, rows)
    from raypipe.engines.model_facts import counted_weight_bytes

    weights = counted_weight_bytes(settings, config.model.engine, settings.dtype)
    # The rows of auto were worked out as if there were room for them.
    rows = None if config.resources.gpus else rows
    return MemoryFacts(MemoryNeed(weights, need.work, need.row), True, rows)


def _clips(context: RunContext, durations: NDArray[np.float64]) -> ClipLimitFacts:
    too_long = int((durations > context.limits.max_duration_s).sum())
    beyond = int((durations > context.window_s).sum())
    cut = 0 if context.long_audio == "error" else max(0, beyond - too_long)
    return ClipLimitFacts(
        window_s=context.window_s,
        limit_s=context.limits.max_duration_s,
        too_long=too_long,
        cut=cut,
        unknown=int(np.isnan(durations).sum()),
        fate=context.long_audio,
    )


def _turns(model: ModelConfig, context: RunContext, row: Utterance) -> Iterator[AskedTurn]:
    frontend = make_frontend(model)
    (windows,) = prepare_rows([row], context, frontend).windows
    for number, prompt in enumerate(context.prompts):
        asked = windows if isinstance(windows, Failure) else windows[0].asked[number]
        if isinstance(asked, Failure):
            why = f"{asked.error_type}: {asked.message}"
            yield AskedTurn(prompt.name, row.utterance_id, row.duration_s, None, why)
        else:
            turn = frontend.written(asked)
            yield AskedTurn(prompt.name, row.utterance_id, row.duration_s, turn)


def _calls(context: RunContext) -> Iterator[CallFacts]:
    for asking in context.passes:
        request = asking.request
        words = _in_words(request) if isinstance(request, Search) else request.capability
        yield CallFacts(asking.name, words, asking.only_ambiguous)
    verification = context.verification
    if verification is not None:
        most = "every" if verification.candidates is None else f"up to {verification.candidates}"
        words = f"of {most} candidate: {_in_words(verification.search)}"
        yield CallFacts("verify", words, verification.only_ambiguous)


def _in_words(search: Search) -> str:
    parts = ["greedy"] * search.greedy
    parts += [f"{search.beam_count} beams"] * bool(search.beam_count)
    held = "" if search.grammar is None else ", held to a grammar"
    return f"{' and '.join(parts)}, up to {search.max_new_tokens} tokens{held}"


def _asked(context: RunContext, turns: Sequence[AskedTurn]) -> list[tuple[Search, str]]:
    """Every search about one utterance with the text of its prompt.

    That of a variant and a verifier's is about as long as the prompt's own.
    """
    asked = []
    for asked_turn in turns:
        text = "" if asked_turn.turn is None else asked_turn.turn.text
        searches = [asking.request for asking in context.passes]
        asked += [(search, text) for search in searches if isinstance(search, Search)]
        verification = context.verification
        if verification is not None:
            count = verification.candidates or context.beam_count
            asked += [(verification.search, text)] * count
    return asked


def facts_of(model: ModelConfig) -> Mapping[str, str]:
    """What the files of a model tell of it, in words."""
    plugin, settings = engine_of(model)
    return plugin.facts(settings)
