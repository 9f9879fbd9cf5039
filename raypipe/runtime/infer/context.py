"""What every stage of a run needs to know, and the shard it is about."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from raypipe.audio import AudioLimits
from raypipe.labels import LabelSet
from raypipe.prompts.examples import Example
from raypipe.questions import Pass
from raypipe.records import (
    AttributeScales,
    ClipPlace,
    EmotionTokens,
    OptionOrder,
    Scale,
    Turn,
)
from raypipe.runtime.finish.aggregation import Ensemble, PredictionSettings
from raypipe.runtime.finish.labels import PlacedTable, table_instead
from raypipe.runtime.finish.partition import partition
from raypipe.runtime.infer.answering import Answered
from raypipe.runtime.infer.questions import Verification
from raypipe.shards import ShardEntry
from raypipe.store.location import Location
from raypipe.strategies import Settings, Variant
from raypipe.strategies.needs import is_ambiguous
from raypipe.votes import VotePolicy


@dataclass(frozen=True, slots=True)
class ShardTask:
    """One shard to be processed.

    Attributes:
        entry: the shard's name, row count and digest.
        take: number of leading rows that belong to the run.
        repeated: rows whose utterance id already stands elsewhere, with where that is.
        generated: its ``generations/`` objects exist already; only the CPU part is left.
    """

    entry: ShardEntry
    take: int
    repeated: Mapping[int, str] = field(default_factory=dict)
    generated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardTasks:
    """Every shard of a job, in order, and what of it is finished.

    Attributes:
        tasks: every shard, in order.
        done: names of those that are finished.
    """

    tasks: tuple[ShardTask, ...]
    done: frozenset[str]

    @property
    def pending(self) -> list[ShardTask]:
        """Shards that are still to be done, in order."""
        return [task for task in self.tasks if task.entry.name not in self.done]

    @property
    def utterances(self) -> int:
        """Utterances in all shards."""
        return sum(task.take for task in self.tasks)

    @property
    def utterances_done(self) -> int:
        """Of them, those in finished shards."""
        return sum(task.take for task in self.tasks if task.entry.name in self.done)


@dataclass(frozen=True, slots=True)
class AttributesPrompt:
    """A template about arousal, valence and dominance.

    Attributes:
        source: its text.
        scale: that it states.
    """

    source: str
    scale: Scale


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt of a run, with a partition of its own in every table.

    Attributes:
        name: in the tables.
        source: text of the template.
        cot_source: text of its variant with step-by-step instructions; None if that is not asked.
        text_only: it is asked without the clip.
        examples: solved ones that it shows.
        turn: how it is put to the model.
        options: in which order a closed form offers its options; None for another form.
        clip: where the clip stands; None for where the model's family has it.
        attributes: what is asked beside it about arousal, valence and dominance; None for nothing.
    """

    name: str
    source: str
    cot_source: str | None = None
    text_only: bool = False
    examples: tuple[Example, ...] = ()
    turn: Turn = "chat"
    options: OptionOrder | None = None
    clip: ClipPlace | None = None
    attributes: AttributesPrompt | None = None

    def identity(self) -> dict[str, object]:
        """Everything about it that can change an answer; newer fields go without saying."""
        told = dataclasses.asdict(self)
        if self.turn == "chat":
            del told["turn"]
        for newer in ("options", "clip", "attributes"):
            if told[newer] is None:
                del told[newer]
        return told

    @property
    def sources(self) -> tuple[str, ...]:
        """Texts of all templates, that of the variant last."""
        return (self.source,) if self.cot_source is None else (self.source, self.cot_source)


@dataclass(frozen=True, slots=True)
class RunContext:
    """What every stage of one model's part of a run needs; picklable, free of secrets.

    Attributes:
        run: short id of the run, the beginning of its prediction fingerprint.
        tables: where the tables go.
        policy: how the corpus's votes became soft labels; None where its index does not say.
        model: its name in the tables.
        prompts: what it is asked.
        ensembles: means over prompts, as further prompts of the tables.
        passes: the calls of the engine, in this order.
        verification: how its beams are verified; None if they are not.
        limits: of usable audio.
        window_s: most seconds that the model hears at once.
        long_audio: what becomes of longer clips, see :class:`raypipe.config.AudioConfig`.
        silence: take every sound away.
        strategies: names of those that are computed.
        variants: what is predicted from the answers.
        settings: of the strategies.
        beam_count: of the main search.
        emotion_tokens: what the recorded logits are aligned with.
        truth: label table in the place of the shards' labels; None for those.
        attribute_scales: of the answers about attributes; None where they are not asked for.
        clip_s: mean seconds of a clip; 0 where no index says so.
    """

    run: str
    shards: Location
    tables: Location
    labels: LabelSet
    policy: VotePolicy | None
    fixed_sentences: bool
    model: str
    prompts: tuple[Prompt, ...]
    ensembles: tuple[Ensemble, ...]
    passes: tuple[Pass, ...]
    verification: Verification | None
    limits: AudioLimits
    window_s: float
    long_audio: Literal["error", "first_window", "windows"]
    silence: bool
    strategies: tuple[str, ...]
    variants: tuple[Variant, ...]
    settings: Settings
    beam_count: int
    emotion_tokens: EmotionTokens
    generation_fingerprint: str
    prediction_fingerprint: str
    truth: PlacedTable | None = None
    attribute_scales: AttributeScales | None = None
    clip_s: float = 0.0

    @property
    def asks_silence(self) -> bool:
        """Whether prompts are also asked about silence."""
        return any(asking.silent for asking in self.passes)

    @property
    def prediction_settings(self) -> PredictionSettings:
        """How the hypotheses become predictions."""
        return PredictionSettings(
            run=self.run,
            model=self.model,
            labels=self.labels,
            policy=self.policy,
            emotion_tokens=self.emotion_tokens,
            variants=self.variants,
            ensembles=self.ensembles,
            truth=table_instead(self.truth),
            attribute_scales=self.attribute_scales,
        )

    @property
    def asked_prompts(self) -> tuple[str, ...]:
        """Names of the prompts that the model is asked."""
        return tuple(prompt.name for prompt in self.prompts)

    @property
    def all_prompts(self) -> tuple[str, ...]:
        """Names of all prompts in the tables, ensembles included."""
        return (*self.asked_prompts, *(ensemble.name for ensemble in self.ensembles))

    def object_name(self, table: str, prompt: str, shard: str) -> str:
        """Name of a shard's object in ``table``, relative to the tables' location."""
        return f"{table}/{partition(self.model, prompt)}/{shard}"

    def is_ambiguous(self, answered: Answered) -> bool:
        """Whether a composite strategy looks at an utterance again."""
        hypotheses, questions = answered
        return is_ambiguous(
            hypotheses,
            self.strategies,
            self.labels,
            self.emotion_tokens,
            self.settings,
            self.beam_count or None,
            questions,
        )
