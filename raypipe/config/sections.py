"""The sections of a run's config, but for the model's and those of the strategies' settings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from raypipe.channel_choice import ChannelChoice
from raypipe.config.base import ConfigSection
from raypipe.config.model import ModelConfig
from raypipe.config.values import EndpointText, PathText
from raypipe.records import ClipPlace, Drawn, Turn
from raypipe.votes import AnnotatorLabels

TEXT_PROMPT = "describe"
"""The built-in prompt that describes how a clip sounds instead of letting it be heard."""

COT_VARIANTS = {
    "distribution": "distribution+cot",
    "open_form": "open_form+cot",
    "closed_form": "closed_form+cot",
}
"""Built-in prompts that have a variant with step-by-step instructions."""


class InputConfig(ConfigSection):
    """Which shards are read.

    Attributes:
        shards: local directory or ``s3://bucket/prefix`` that ingest wrote.
        limit: only the first so many utterances, in shard order; None for all.
    """

    shards: PathText
    limit: int | None = Field(default=None, ge=1)


class StorageConfig(ConfigSection):
    """How object storage is reached; credentials come from the environment only.

    Attributes:
        endpoint: URL of an S3-compatible server; None for the environment's or the default one.
        patience_s: how long a job waits for storage that does not answer, from the first failure
            of an operation; 0 for not at all.
    """

    endpoint: EndpointText | None = None
    patience_s: float = Field(default=900.0, ge=0, le=604_800)


class AudioConfig(ConfigSection):
    """What counts as usable audio.

    Attributes:
        max_duration_s: a longer clip becomes an error row; None for the model's own window, or
            for half an hour with any other ``long_audio`` than ``error``, or where every prompt
            comes without the clip.
        max_channels: more channels become an error row.
        channel: that is heard of several, counted from 0; ``mix`` for their average. A clip with
            one channel has no other.
        long_audio: what becomes of a clip longer than the model's window: an ``error`` row, an
            answer about its ``first_window``, or about ``windows``: equal parts that fit, each
            answered by itself, the distributions averaged. ``heard_s`` in ``generations/`` says
            how much of a clip was heard.
        out_of_range: what becomes of a clip whose samples reach more than 10 times full scale,
            such as whole numbers written as floats: an ``error`` row; ``scale`` divides them by
            full scale of the smallest whole numbers that hold them; ``keep``.
        silent: what becomes of a clip in which nothing is to be heard, or whose channels cancel
            each other out: an ``error`` row, or ``keep``.
        replace_with: ``silence`` keeps every clip's length and zeroes its samples: an ablation
            that shows whether the model listens at all.
    """

    max_duration_s: float | None = Field(default=None, gt=0)
    max_channels: int = Field(default=2, ge=1, le=8)
    channel: ChannelChoice = "mix"
    long_audio: Literal["error", "first_window", "windows"] = "error"
    out_of_range: Literal["error", "scale", "keep"] = "error"
    silent: Literal["error", "keep"] = "error"
    replace_with: Literal["silence"] | None = None

    def identity(self) -> dict[str, object]:
        """Everything that can change an answer; newer fields go without saying as they are."""
        newer = ("channel", "out_of_range", "silent")
        fields = type(self).model_fields
        usual = {name for name in newer if getattr(self, name) == fields[name].default}
        return self.model_dump(exclude=usual)


class PromptConfig(ConfigSection):
    """What the model is asked.

    Attributes:
        template: a built-in prompt name or the path of a Jinja template.
        name: how the prompt is called in the tables; default: the template's name or file stem,
            with ``+examples`` where there are some.
        turn: ``chat`` for a user's turn by the checkpoint's template; ``plain`` for the clip's
            marks and the text alone, as the authors of Qwen2-Audio ask their base model. Refused
            for families without one; a verifier is always asked in a chat.
        clip: where the clip stands in a chat's turn, ``before`` or ``after`` the text; None for
            where the model's family has it. After the text, the instruction of a run is read by
            the model once, not once for every utterance. Refused where the checkpoint's chat
            template puts it elsewhere; a verifier's clip always stands where its family has it.
        text_only: ask about the transcript and measurements, without the clip; None does so for
            ``describe`` only. Measured are the clips of templates that use ``descriptors``.
        examples: JSONL file of solved examples for few-shot prompts, see
            :mod:`raypipe.prompts.examples`; for templates that use ``examples``.
        option_seed: gives the options of a closed form another order for every utterance; None for
            the usual order.
        cot: template of the same question with step-by-step instructions, which strategy ``cot``
            asks; None for the template's built-in variant.
        cot_max_new_tokens: longest answer to it, in tokens.
    """

    template: PathText = "distribution"
    name: str | None = None
    turn: Turn = "chat"
    clip: ClipPlace | None = None
    text_only: bool | None = None
    examples: PathText | None = None
    option_seed: int | None = Field(default=None, ge=0)
    cot: PathText | None = None
    cot_max_new_tokens: int = Field(default=512, ge=1)

    @model_validator(mode="after")
    def _clip_has_a_place(self) -> Self:
        if self.clip == "after" and self.turn == "plain":
            raise ValueError("clip: after: a plain turn begins with the clip")
        if self.clip is not None and self.is_text_only:
            raise ValueError(f"clip: {self.clip}: the prompt is asked without the clip")
        return self

    @property
    def is_text_only(self) -> bool:
        """Whether the model gets no clip."""
        return self.template == TEXT_PROMPT if self.text_only is None else self.text_only

    @property
    def cot_template(self) -> str | None:
        """What strategy ``cot`` asks; None if that is nowhere said."""
        return self.cot or COT_VARIANTS.get(self.template)

    @property
    def label(self) -> str:
        """The prompt's name in the tables."""
        return self.name or Path(self.template).stem + ("+examples" if self.examples else "")


_OTHER_SLICES = {
    "speaker": "per_speaker: true gives every speaker",
    "label": "every plurality is a slice anyway",
}


class MetricsConfig(ConfigSection):
    """The reduce.

    Attributes:
        replicates: number of Poisson bootstrap replicates behind every interval.
        seed: of the bootstrap.
        draw: what a replicate draws: ``utterances``, whose intervals are for these speakers, or
            whole ``speakers``, for speakers to come.
        per_speaker: also one slice per speaker.
        annotator_labels: which of the annotators' labels annotator-aware scores take for right:
            ``primary``, or ``primary+secondary``.
        slices: columns of the corpus, such as gender or duration_s, for whose values metrics are
            given each.
    """

    replicates: int = Field(default=1000, ge=100, le=100_000)
    seed: int = 0
    draw: Drawn = "utterances"
    per_speaker: bool = False
    annotator_labels: AnnotatorLabels = "primary"
    slices: tuple[str, ...] = ()

    @field_validator("slices")
    @classmethod
    def _are_columns(cls, slices: tuple[str, ...]) -> tuple[str, ...]:
        for name in slices:
            if name in _OTHER_SLICES:
                raise ValueError(f"{name} is no column to slice by: {_OTHER_SLICES[name]}")
            if not name.strip() or "=" in name or not name.isprintable():
                raise ValueError(f"{name!r} is not the name of a column")
        if len(set(slices)) < len(slices):
            raise ValueError("name every column once")
        return slices


Auto = Literal["auto"]
"""A setting that is resolved when the run starts, from the GPUs and the checkpoint."""


class ResourcesConfig(ConfigSection):
    """How the run spreads over a cluster; none of it changes a result in float32.

    Attributes:
        actors: number of model replicas; ``auto`` for one on every GPU that the cluster has or
            grows to, on every node of a cluster without GPUs, and for endpoints one.
        gpus_per_actor: GPUs each replica holds; 0 runs on CPUs; ``auto`` for one where there is
            any.
        cpus_per_actor: CPUs each replica holds.
        batch_size: utterances decoded together in one replica; ``auto`` for what fits into the
            memory of a GPU, 128 at most, and 16 without one.
        shards_per_call: consecutive shards that a replica answers in one call: its rows run empty
            only at the end of one, and an interrupted run asks a whole call again. ``auto`` for
            what fills all rows 40 times, but for 32 calls at least in a run and four hours of audio
            at most in one; one for endpoints and where clips are asked several questions in turn.
        threads_per_actor: torch threads of a replica; None for its share of the machine.
        frontend_workers: actors that decode audio and make features; ``auto`` for one that feeds
            four GPUs with clips of 4 s, by the clips' mean length, and one without GPUs.
        cuda_graphs: replay decode steps as CUDA graphs; None for wherever there is a GPU.
        fused: run layers of the model as fewer, compiled kernels; None for wherever there is a GPU.
            In half precision close hypotheses may change places, as with another batch size.
        isolate: hold the model in a process of its own, which an utterance may end; False lets a
            debugger in. Endpoints need none.
        call_timeout_s: seconds that the engine may take over the utterances of a call, before the
            one that holds it up is looked for. Loading the model is not counted.
        load_timeout_s: seconds that loading the model may take, files that are fetched included.
        engine_memory_gb: GB (10^9 bytes) of main memory that the model's process may take; more
            counts as a failed call. None for what the machine has: in one that is nearly full, a
            process that has just grown much. Watched on Linux.
    """

    actors: Auto | Annotated[int, Field(ge=1)] = "auto"
    gpus_per_actor: Auto | Annotated[float, Field(ge=0)] = "auto"
    cpus_per_actor: float = Field(default=1, ge=0)
    batch_size: Auto | Annotated[int, Field(ge=1)] = "auto"
    shards_per_call: Auto | Annotated[int, Field(ge=1)] = "auto"
    threads_per_actor: int | None = Field(default=None, ge=1)
    frontend_workers: Auto | Annotated[int, Field(ge=1)] = "auto"
    cuda_graphs: bool | None = None
    fused: bool | None = None
    isolate: bool = True
    call_timeout_s: float = Field(default=3600, gt=0, allow_inf_nan=False)
    load_timeout_s: float = Field(default=7200, gt=0, allow_inf_nan=False)
    engine_memory_gb: float | None = Field(default=None, gt=0, allow_inf_nan=False)

    @property
    def gpus(self) -> float:
        """``gpus_per_actor`` of a run that has been planned."""
        assert self.gpus_per_actor != "auto", "auto is resolved by the plan"
        return self.gpus_per_actor

    def actors_on(self, gpus: float, stages: int = 1) -> int:
        """Actors of ``auto`` on so many GPUs, which several stages share; one at least."""
        return max(1, int(gpus / (max(self.gpus, 1.0) * stages)))

    @property
    def rows(self) -> int:
        """``batch_size`` of a run that has been planned."""
        assert self.batch_size != "auto", "auto is resolved by the plan"
        return self.batch_size


class VerifierConfig(ConfigSection):
    """The model that scores beams for ``alm_v`` and ``w_alm_v``, and how it is asked.

    Attributes:
        model: the verifier; None for the model that wrote the beams.
        template: a built-in prompt name or the path of a Jinja template that sees ``candidate``.
        candidates: only the first so many beams are scored; None for all.
        score: the number in the verifier's ``text``, or the ``expected`` one: the mean of the
            numbers in its beams (an endpoint: in its samples), weighted by their probabilities.
        beam_count: beams of the verifier for ``expected``.
        max_new_tokens: longest answer in tokens.
        resources: of another model as the verifier.
    """

    model: ModelConfig | None = None
    template: PathText = "verify"
    candidates: int | None = Field(default=None, ge=1)
    score: Literal["text", "expected"] = "text"
    beam_count: int = Field(default=5, ge=1, le=16)
    max_new_tokens: int = Field(default=16, ge=1)
    resources: ResourcesConfig = ResourcesConfig()


class EnsembleConfig(ConfigSection):
    """The mean over several prompts, as one more prompt in the tables.

    Attributes:
        name: how it is called there.
        prompts: names of the prompts it is the mean of; empty for all.
    """

    name: str = "ensemble"
    prompts: tuple[str, ...] = ()
