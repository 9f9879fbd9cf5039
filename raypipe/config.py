"""The config of a run: checked once, at the door, before any work starts.

A config is a YAML file. Unknown keys are refused. Which fields make a run a *different* run is
decided here too: :meth:`RunConfig.generation_identity` and :meth:`RunConfig.prediction_identity`
name everything that can change a table's content; batch size, actor counts and places do not.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from raypipe.api_config import ApiConfig
from raypipe.errors import ConfigError
from raypipe.votes import VotePolicy

Settings = TypeVar("Settings", bound=BaseModel)

BUNDLED_MODEL = "tiny-alm"
TEXT_PROMPT = "describe"
"""The built-in prompt that describes how a clip sounds instead of letting it be heard."""

BUILT_IN_ENGINES = ("transformers", "vllm", "openai")

COT_VARIANTS = {"distribution": "distribution+cot"}
"""Built-in prompts that have a variant with step-by-step instructions."""

PlainStrategyName = Literal[
    "greedy", "cot", "token", "token_softmax", "bon", "w_bon", "alm_v", "w_alm_v"
]
StrategyName = PlainStrategyName | Literal["adaptive"]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class InputConfig(_Section):
    """Which shards are read.

    Attributes:
        shards: local directory or ``s3://bucket/prefix`` that ingest wrote.
        limit: only the first so many utterances, in shard order; None for all.
    """

    shards: str
    limit: int | None = Field(default=None, ge=1)


class StorageConfig(_Section):
    """How object storage is reached; credentials come from the environment only.

    Attributes:
        endpoint: URL of an S3-compatible server; None for the environment's or the default one.
    """

    endpoint: str | None = None


class AudioConfig(_Section):
    """What counts as usable audio.

    Attributes:
        max_duration_s: a longer clip becomes an error row; None for the model's own window, or
            with any other ``long_audio`` than ``error`` for half an hour.
        max_channels: more channels become an error row; fewer are averaged to mono.
        long_audio: what becomes of a clip longer than the model's window: an ``error`` row, an
            answer about its ``first_window``, or about ``windows``: equal parts that fit, each
            answered by itself, the distributions averaged. ``heard_s`` in ``generations/`` says
            how much of a clip was heard.
        replace_with: ``silence`` keeps every clip's length and zeroes its samples: an ablation
            that shows whether the model listens at all.
    """

    max_duration_s: float | None = Field(default=None, gt=0)
    max_channels: int = Field(default=2, ge=1, le=8)
    long_audio: Literal["error", "first_window", "windows"] = "error"
    replace_with: Literal["silence"] | None = None


class VllmConfig(_Section):
    """What only the vLLM engine needs to know.

    Attributes:
        gpu_memory_share: share of its GPU's memory that an actor takes for weights, activations
            and cache; two actors on one GPU need less than half each.
        kv_cache_bytes: of the key-value cache; None takes what is left of the share on a GPU, and
            on a CPU what the utterances in progress need, at most a quarter of the free memory.
        max_model_len: tokens of the longest prompt with its answer, a longer one becomes an error
            row; None for what the model was made for. Less saves memory.
        enforce_eager: do without compilation and CUDA graphs; None does so on a CPU only.
    """

    gpu_memory_share: float = Field(default=0.9, gt=0, le=1)
    kv_cache_bytes: int | None = Field(default=None, ge=1 << 20)
    max_model_len: int | None = Field(default=None, ge=1)
    enforce_eager: bool | None = None


class ModelConfig(_Section):
    """The audio language model.

    Attributes:
        engine: name of the back end; ``vllm`` needs an extra to be installed, ``openai`` asks an
            OpenAI-compatible endpoint; other names are those of installed plug-ins.
        path: ``tiny-alm`` for the bundled model, a local directory, or a model hub id; for
            ``openai`` the model's name at the endpoint; for a plug-in what it makes of it.
        name: how the model is called in the tables; default: the last part of ``path``.
        revision: commit of a hub id; pin it, or two runs may hear two different models.
        dtype: arithmetic of the weights; ``float32`` is the reference.
        device: ``auto`` takes a GPU if the actor has one.
        ignore_generation_config: run although the checkpoint's generation config asks for
            processors (such as a repetition penalty) that beam scores here do not include.
        vllm: read by that engine only.
        api: the endpoint; read by ``openai`` only.
        options: what a plug-in alone needs to know; it checks them before any work starts.
    """

    engine: str = "transformers"
    path: str = BUNDLED_MODEL
    name: str | None = None
    revision: str | None = None
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    trust_remote_code: bool = False
    ignore_generation_config: bool = False
    vllm: VllmConfig = VllmConfig()
    api: ApiConfig | None = None
    options: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _endpoint_is_known(self) -> Self:
        if (self.engine == "openai") != (self.api is not None):
            raise ValueError("engine openai and an api section belong together")
        if self.engine == "openai" and "path" not in self.model_fields_set:
            raise ValueError("engine openai needs path, the model's name at the endpoint")
        return self

    @model_validator(mode="after")
    def _plugins_have_their_own(self) -> Self:
        if self.options and not self.is_plugin:
            raise ValueError(f"options belong to plug-ins; engine {self.engine} is none")
        if self.is_plugin and "path" not in self.model_fields_set:
            raise ValueError(f"engine {self.engine} needs path; the bundled model is not for it")
        return self

    @property
    def is_plugin(self) -> bool:
        """Whether another package has to offer the engine."""
        return self.engine not in BUILT_IN_ENGINES

    def identity(self) -> list[object]:
        """What of it can change an answer, beside the model's own files and options."""
        return [
            self.model_dump(exclude={"path", "device", "vllm", "api", "options"}),
            # Memory and compilation do not change an answer; other limits do.
            self.vllm.max_model_len if self.engine == "vllm" else None,
            *([self.api.identity()] if self.api else []),
        ]

    @property
    def label(self) -> str:
        """The model's name in the tables."""
        return self.name or self.path.rstrip("/").rsplit("/", 1)[-1]


class PromptConfig(_Section):
    """What the model is asked.

    Attributes:
        template: a built-in prompt name or the path of a Jinja template.
        name: how the prompt is called in the tables; default: the template's name or file stem,
            with ``+examples`` where there are some.
        text_only: ask about the transcript and measurements, without the clip; None does so for
            ``describe`` only. Measured are the clips of templates that use ``descriptors``.
        examples: JSONL file of solved examples for few-shot prompts, see
            :mod:`raypipe.prompts.examples`; for templates that use ``examples``.
        cot: template of the same question with step-by-step instructions, which strategy ``cot``
            asks; None for the template's built-in variant.
        cot_max_new_tokens: longest answer to it, in tokens.
    """

    template: str = "distribution"
    name: str | None = None
    text_only: bool | None = None
    examples: str | None = None
    cot: str | None = None
    cot_max_new_tokens: int = Field(default=512, ge=1)

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


_GRAMMARS = "a grammar is distribution, {regex: ...} or {json_schema: ...}"


class GrammarConfig(_Section):
    """What every answer has to match; exactly one of the two.

    Attributes:
        regex: a regular expression for the whole answer, in the syntax of Rust's regex crate.
        json_schema: the schema of one JSON value.
    """

    regex: str | None = None
    json_schema: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.regex is None) == (self.json_schema is None):
            raise ValueError(_GRAMMARS)
        return self


AskedGrammar = GrammarConfig | Literal["distribution"]
"""What answers are held to: the distribution over the corpus's labels, or what the user wrote."""


class DecodingConfig(_Section):
    """One pass that serves every strategy.

    Attributes:
        beam_count: number of beams B; 0 for greedy only.
        other_beam_counts: further searches with other numbers of beams, whose strategies stand
            beside those of B. The beams of a narrower search are not the first of a wider one.
        greedy: also follow the greedy hypothesis, which is not the best beam.
        max_new_tokens: longest answer in tokens; a hypothesis cut there says so.
        grammar: what every answer has to match: ``distribution`` for one JSON object with one
            number in [0, 1] per label, ``{regex: ...}`` or ``{json_schema: ...}``; None for
            anything. Not for prompts that ask for reasoning. Engine ``openai`` sends it as a
            schema; the others need ``raypipe[grammar]``. Recorded logits and log-probabilities
            stay the model's own.
    """

    beam_count: int = Field(default=5, ge=0, le=16)
    other_beam_counts: tuple[Annotated[int, Field(ge=1, le=16)], ...] = ()
    greedy: bool = True
    max_new_tokens: int = Field(default=96, ge=1)
    grammar: AskedGrammar | None = None

    @field_validator("grammar", mode="before")
    @classmethod
    def _by_name_or_in_full(cls, grammar: object) -> object:
        # Otherwise a misspelt key is explained once for each of the two.
        if isinstance(grammar, dict):
            return GrammarConfig.model_validate(grammar)
        if grammar in (None, "distribution") or isinstance(grammar, GrammarConfig):
            return grammar
        raise ValueError(_GRAMMARS)

    @model_validator(mode="after")
    def _asks_for_something(self) -> Self:
        if self.beam_count == 0 and not self.greedy:
            raise ValueError("beam_count 0 and greedy false together ask for nothing")
        if len({self.beam_count, *self.other_beam_counts}) <= len(self.other_beam_counts):
            raise ValueError("other_beam_counts: give every number of beams once")
        return self


class AggregationConfig(_Section):
    """How hypotheses become one distribution.

    Attributes:
        tau: concentration of each beam's Dirichlet.
        token_steps: token-level logits averaged over ``all`` steps, or only over steps that
            wrote an emotion word.
        token_temperature: temperature of ``token_softmax``.
        length_normalised: divide alpha by the number of steps before weighting beams.
        merge_tokenisations: beams of one search that write one text in different tokens count as
            one, as likely as all of them together; see :mod:`raypipe.strategies.merging`.
    """

    tau: float = Field(default=1.0, gt=0)
    token_steps: Literal["all", "words"] = "all"
    token_temperature: float = Field(default=1.0, gt=0)
    length_normalised: bool = False
    merge_tokenisations: bool = False


class AdaptiveConfig(_Section):
    """When strategy ``adaptive`` is content with a cheap answer.

    Attributes:
        cheap: the strategy whose prediction is looked at first.
        expensive: the strategy that answers where that one is ambiguous or invalid. What only it
            needs is asked about those utterances alone.
        threshold: entropy of the cheap prediction, in bits, above which it is ambiguous.
    """

    cheap: PlainStrategyName = "greedy"
    expensive: PlainStrategyName = "w_bon"
    threshold: float = Field(default=1.0, ge=0)

    @model_validator(mode="after")
    def _are_two(self) -> Self:
        if self.cheap == self.expensive:
            raise ValueError(f"cheap and expensive are both {self.cheap}")
        return self


class MetricsConfig(_Section):
    """The reduce.

    Attributes:
        replicates: number of Poisson bootstrap replicates behind every interval.
        seed: of the bootstrap.
        per_speaker: also one slice per speaker.
    """

    replicates: int = Field(default=1000, ge=100)
    seed: int = 0
    per_speaker: bool = False


class ResourcesConfig(_Section):
    """How the run spreads over a cluster; none of it changes a result.

    Attributes:
        actors: number of model replicas.
        gpus_per_actor: GPUs each replica holds; 0 runs on CPUs.
        cpus_per_actor: CPUs each replica holds.
        batch_size: utterances decoded together in one replica.
        threads_per_actor: torch threads of a replica; None for its share of the machine.
        frontend_workers: actors that decode audio and make features.
        cuda_graphs: replay decode steps as CUDA graphs; None for wherever there is a GPU.
    """

    actors: int = Field(default=1, ge=1)
    gpus_per_actor: float = Field(default=0, ge=0)
    cpus_per_actor: float = Field(default=1, ge=0)
    batch_size: int = Field(default=16, ge=1)
    threads_per_actor: int | None = Field(default=None, ge=1)
    frontend_workers: int = Field(default=1, ge=1)
    cuda_graphs: bool | None = None


class VerifierConfig(_Section):
    """Who judges the beams for ``alm_v`` and ``w_alm_v``, and how.

    Attributes:
        model: the judge; None for the model that wrote them.
        template: a built-in prompt name or the path of a Jinja template that sees ``candidate``.
        candidates: only the first so many beams are judged; None for all.
        score: the number in the judge's ``text``, or the ``expected`` one: the mean of the numbers
            in its beams (an endpoint: in its samples), weighted by their probabilities.
        beam_count: beams of the judge for ``expected``.
        max_new_tokens: longest answer in tokens.
        resources: of another model as the judge.
    """

    model: ModelConfig | None = None
    template: str = "verify"
    candidates: int | None = Field(default=None, ge=1)
    score: Literal["text", "expected"] = "text"
    beam_count: int = Field(default=5, ge=1, le=16)
    max_new_tokens: int = Field(default=16, ge=1)
    resources: ResourcesConfig = ResourcesConfig()


class EnsembleConfig(_Section):
    """The mean over several prompts, as one more prompt in the tables.

    Attributes:
        name: how it is called there.
        prompts: names of the prompts it is the mean of; empty for all.
    """

    name: str = "ensemble"
    prompts: tuple[str, ...] = ()


class RunConfig(_Section):
    """A whole run: shards in, tables out.

    Attributes:
        name: what the run is called in its report.
        output: directory or ``s3://bucket/prefix`` of the tables.
        models: several in place of ``model``; each is asked everything.
        prompts: several in place of ``prompt``; they share what is made of a clip.
        strategies: which distributions are computed.
        verifier: asked where a strategy needs one.
        ensembles: means over prompts.
    """

    name: str = "run"
    input: InputConfig
    output: str
    storage: StorageConfig = StorageConfig()
    audio: AudioConfig = AudioConfig()
    model: ModelConfig = ModelConfig()
    models: tuple[ModelConfig, ...] = ()
    prompt: PromptConfig = PromptConfig()
    prompts: tuple[PromptConfig, ...] = ()
    ensembles: tuple[EnsembleConfig, ...] = ()
    decoding: DecodingConfig = DecodingConfig()
    strategies: tuple[StrategyName, ...] = ("greedy", "token", "token_softmax", "bon", "w_bon")
    verifier: VerifierConfig = VerifierConfig()
    aggregation: AggregationConfig = AggregationConfig()
    adaptive: AdaptiveConfig = AdaptiveConfig()
    metrics: MetricsConfig = MetricsConfig()
    resources: ResourcesConfig = ResourcesConfig()

    @field_validator("strategies")
    @classmethod
    def _named_once(cls, strategies: tuple[str, ...]) -> tuple[str, ...]:
        if not strategies:
            raise ValueError("name at least one strategy")
        if len(set(strategies)) != len(strategies):
            raise ValueError("name each strategy once")
        return strategies

    @model_validator(mode="after")
    def _strategies_can_be_served(self) -> Self:
        used = set(self.used_strategies)
        needs_beams = {"bon", "w_bon", "alm_v", "w_alm_v"} & used
        if needs_beams and self.decoding.beam_count == 0:
            raise ValueError(f"strategies {sorted(needs_beams)} need decoding.beam_count >= 1")
        if "greedy" in used and not self.decoding.greedy:
            raise ValueError("strategy greedy needs decoding.greedy: true")
        judged = {"alm_v", "w_alm_v"} & used
        unheard = self.verifier.model is None and all(one.is_text_only for one in self.all_prompts)
        if judged and unheard:
            raise ValueError(
                f"strategies {sorted(judged)}: the model judges its answers by ear, and no prompt "
                "lets it hear; name another model as verifier.model"
            )
        for prompt in self.all_prompts:
            if "cot" in used and prompt.cot_template is None:
                raise ValueError(
                    f"strategy cot: prompt {prompt.label} has no variant with step-by-step "
                    "instructions; name one as its cot"
                )
        return self

    @model_validator(mode="after")
    def _one_purse(self) -> Self:
        asked = [(model, self.resources) for model in self.all_models]
        if self.verifier.model is not None:
            asked.append((self.verifier.model, self.verifier.resources))
        for model, resources in asked:
            if model.api and model.api.budget and resources.actors > 1:
                raise ValueError(
                    "model.api.budget needs resources.actors: 1, as an actor cannot see what "
                    "another spends; raise model.api.concurrency instead"
                )
        return self

    @model_validator(mode="after")
    def _grid_is_named(self) -> Self:
        for many, one in (("models", "model"), ("prompts", "prompt")):
            # A recorded config says everything, defaults too.
            if getattr(self, many) and getattr(self, one) != type(self).model_fields[one].default:
                raise ValueError(f"give {one} or {many}, not both")
        prompts = [prompt.label for prompt in self.all_prompts]
        for what, names in (
            ("models", [model.label for model in self.all_models]),
            ("prompts and ensembles", [*prompts, *(one.name for one in self.ensembles)]),
        ):
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ValueError(f"{what}: give each a name of its own, {twice} stand for several")
        for ensemble in self.ensembles:
            unknown = sorted(set(ensemble.prompts) - set(prompts))
            if unknown:
                raise ValueError(f"ensemble {ensemble.name}: no prompt is called {unknown}")
        return self

    @property
    def used_strategies(self) -> tuple[str, ...]:
        """The strategies, and those that ``adaptive`` chooses from if it is among them."""
        chosen = (self.adaptive.cheap, self.adaptive.expensive)
        more = chosen if "adaptive" in self.strategies else ()
        return tuple(dict.fromkeys((*self.strategies, *more)))

    @property
    def all_models(self) -> tuple[ModelConfig, ...]:
        """Every model of the run."""
        return self.models or (self.model,)

    @property
    def all_prompts(self) -> tuple[PromptConfig, ...]:
        """Every prompt of the run."""
        return self.prompts or (self.prompt,)

    def as_judge(self) -> Self:
        """The verifier in place of the run's model, with its own resources.

        What holds the run's answers to a grammar does not hold a judge's.
        """
        verifier = self.verifier
        if verifier.model is None:
            return self
        decoding = self.decoding.model_copy(update={"grammar": None})
        own = {"resources": verifier.resources, "decoding": decoding}
        return self.with_model(verifier.model).model_copy(update=own)

    def with_model(self, model: ModelConfig) -> Self:
        """The part of the run that one model answers."""
        return self.model_copy(update={"model": model, "models": ()})

    def generation_identity(
        self,
        input_fingerprint: str,
        model_fingerprints: Sequence[str],
        templates: Sequence[object],
        asked: object,
    ) -> str:
        """SHA-256 over everything that can change ``generations/``.

        Args:
            input_fingerprint: of the shards that are read.
            model_fingerprints: of every model's files, or its hub id and revision, of a plug-in
                also its options; the verifier's last where there is one.
            templates: texts of all that is asked, with their examples.
            asked: what is asked of which utterances.
        """
        verifier = [] if self.verifier.model is None else [self.verifier.model]
        models = zip([*self.all_models, *verifier], model_fingerprints, strict=True)
        return _digest(
            {
                "input": [input_fingerprint, self.input.limit],
                "audio": self.audio.model_dump(),
                "models": [[known, model.identity()] for model, known in models],
                "prompts": [[one.label, one.cot_max_new_tokens] for one in self.all_prompts],
                "templates": templates,
                "asked": asked,
                "verifier": self.verifier.model_dump(exclude={"model", "resources"}),
                "decoding": self.decoding.model_dump(),
            }
        )

    def prediction_identity(
        self, generation_identity: str, policy: VotePolicy | None = None
    ) -> str:
        """SHA-256 over everything that can change ``predictions/``.

        Args:
            generation_identity: see :meth:`generation_identity`.
            policy: of the corpus; the same votes mean other labels under another one.
        """
        return _digest(
            {
                "generations": generation_identity,
                "policy": None if policy is None else policy.model_dump(),
                "strategies": list(self.strategies),
                "ensembles": [one.model_dump() for one in self.ensembles],
                "aggregation": self.aggregation.model_dump(),
                "adaptive": self.adaptive.model_dump() if "adaptive" in self.strategies else None,
            }
        )


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def load_config(path: str | Path) -> RunConfig:
    """Read and check a run's YAML file.

    Raises:
        ConfigError: naming the file, the field and the value, if it is unreadable or wrong.
    """
    return parse_config(read_yaml(path), source=str(path))


def read_yaml(path: str | Path) -> dict[str, Any]:
    """The keys and values of a YAML file.

    Raises:
        ConfigError: naming the file, if it is unreadable or holds something else.
    """
    try:
        document = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is not YAML: {error}") from error
    if not isinstance(document, dict):
        raise ConfigError(f"{path}: holds {type(document).__name__}, not keys and values")
    return document


def parse_config(document: dict[str, Any], source: str = "config") -> RunConfig:
    """Check a run's settings given as keys and values.

    Raises:
        ConfigError: one line per wrong field, each naming ``source``, the field and the value.
    """
    return checked(RunConfig, document, source)


def checked(model: type[Settings], document: dict[str, Any], source: str) -> Settings:
    """Settings of any kind from keys and values; raises as :func:`parse_config`."""
    try:
        return model.model_validate(document)
    except ValidationError as error:
        raise ConfigError("\n".join(_explain(source, one) for one in error.errors())) from error


def _explain(source: str, error: Any) -> str:
    field = ".".join(str(part) for part in error["loc"]) or "config"
    if error["type"] == "extra_forbidden":
        return f"{source}: {field}: unknown key"
    if error["type"] == "missing":
        return f"{source}: {field}: missing"
    if not error["loc"]:  # the whole config would follow
        return f"{source}: {error['msg']}"
    if field.endswith("key_variable") or field.endswith("base_url"):  # maybe a key, by mistake
        return f"{source}: {field}: {error['msg']}"
    return f"{source}: {field}: {error['msg']}, got {error['input']!r}"
