"""The config of a run, checked once, before any work starts.

A config is a YAML file. Unknown keys are refused. Which fields make a run a *different* run is
decided here too: :meth:`RunConfig.generation_identity` and :meth:`RunConfig.prediction_identity`
name everything that can change a table's content; batch size, actor counts and places do not.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from pydantic import Field, field_validator, model_validator

from raypipe.config.aggregation import (
    AdaptiveConfig,
    AggregationConfig,
    CalibrateConfig,
    ConformalConfig,
    FitConfig,
    PoolConfig,
    QuestionName,
    StrategyName,
    settings_in,
)
from raypipe.config.attributes import AttributesConfig
from raypipe.config.base import ConfigSection, checked, read_yaml
from raypipe.config.decoding import DecodingConfig
from raypipe.config.labels import LabelTables
from raypipe.config.model import ModelConfig
from raypipe.config.sections import (
    AudioConfig,
    EnsembleConfig,
    InputConfig,
    MetricsConfig,
    PromptConfig,
    ResourcesConfig,
    StorageConfig,
    VerifierConfig,
)
from raypipe.config.values import PathText
from raypipe.labels import LabelSet
from raypipe.questions import QUESTIONS, Asked, PromptOutline, RunOutline, question_named
from raypipe.records import AttributeScales, Grammar
from raypipe.strategies import STRATEGIES, Composite, Settings, Strategy, strategy_named
from raypipe.strategies.needs import needs, used_strategies
from raypipe.strategies.setting import SECTIONS
from raypipe.votes import VotePolicy


class RunConfig(ConfigSection):
    """A whole run: shards in, tables out.

    Attributes:
        name: what the run is called in its report.
        output: directory or ``s3://bucket/prefix`` of the tables.
        models: several in place of ``model``; each is asked everything.
        prompts: several in place of ``prompt``; they share what is made of a clip.
        strategies: which distributions are computed.
        questions: names of questions that are asked although no strategy reads them.
        attributes: how question ``attributes`` is asked.
        verifier: asked where a strategy needs one.
        ensembles: means over prompts.
        labels: tables that predictions are measured against beside the corpus's own labels, or
            in their place.
        max_error_fraction: largest share of utterances that raypipe, the engine or the model may
            fail; a run ends with more, after 50 utterances or at its end. Inputs that are refused
            for what they are (too long, unreadable, silent) do not count, unless all are.
    """

    name: str = "run"
    input: InputConfig
    output: PathText
    storage: StorageConfig = StorageConfig()
    audio: AudioConfig = AudioConfig()
    model: ModelConfig = ModelConfig()
    models: tuple[ModelConfig, ...] = ()
    prompt: PromptConfig = PromptConfig()
    prompts: tuple[PromptConfig, ...] = ()
    ensembles: tuple[EnsembleConfig, ...] = ()
    decoding: DecodingConfig = DecodingConfig()
    strategies: tuple[StrategyName, ...] = ("greedy", "token", "token_softmax", "bon", "w_bon")
    questions: tuple[QuestionName, ...] = ()
    attributes: AttributesConfig = AttributesConfig()
    verifier: VerifierConfig = VerifierConfig()
    aggregation: AggregationConfig = AggregationConfig()
    adaptive: AdaptiveConfig = AdaptiveConfig()
    pool: PoolConfig = PoolConfig()
    calibrate: CalibrateConfig = CalibrateConfig()
    conformal: ConformalConfig = ConformalConfig()
    fit: FitConfig = FitConfig()
    metrics: MetricsConfig = MetricsConfig()
    labels: LabelTables = ()
    resources: ResourcesConfig = ResourcesConfig()
    max_error_fraction: float = Field(default=0.05, ge=0, le=1)

    @field_validator("strategies")
    @classmethod
    def _named_once(cls, strategies: tuple[str, ...]) -> tuple[str, ...]:
        if not strategies:
            raise ValueError("name at least one strategy")
        if len(set(strategies)) != len(strategies):
            raise ValueError("name each strategy once")
        return strategies

    @model_validator(mode="after")
    def _composites_can_be(self) -> Self:
        for strategy in STRATEGIES.values():
            refusal = strategy.refusal(self.settings) if isinstance(strategy, Composite) else None
            if refusal is not None:
                raise ValueError(f"strategy {strategy.name}: {refusal}")
        return self

    @model_validator(mode="after")
    def _questions_can_be_asked(self) -> Self:
        outline, offered = self.outline(), self.offered_questions
        readers: dict[str, list[str]] = {name: [] for name in self.questions}
        for name in self.used_strategies:
            strategy = strategy_named(name)
            for question in strategy.asked(offered) if isinstance(strategy, Strategy) else ():
                readers.setdefault(question, []).append(name)
        for question, strategies in readers.items():
            refusal = question_named(question).refusal(outline)
            if refusal is not None:
                who = (
                    f"strategies {', '.join(strategies)}" if strategies else f"questions {question}"
                )
                raise ValueError(f"{who} {refusal}")
        return self

    @model_validator(mode="after")
    def _budget_is_kept_by_one_actor(self) -> Self:
        asked = [(model, self.resources) for model in self.all_models]
        if self.verifier.model is not None:
            asked.append((self.verifier.model, self.verifier.resources))
        for model, resources in asked:
            if model.api and model.api.budget and resources.actors not in ("auto", 1):
                raise ValueError(
                    "model.api.budget needs resources.actors: 1, as an actor cannot see what "
                    "another spends; raise model.api.concurrency instead"
                )
        return self

    @model_validator(mode="after")
    def _grid_is_named(self) -> Self:
        for many, single in (("models", "model"), ("prompts", "prompt")):
            # A recorded config says everything, defaults too.
            if (
                getattr(self, many)
                and getattr(self, single) != type(self).model_fields[single].default
            ):
                raise ValueError(f"give {single} or {many}, not both")
        prompts = [prompt.label for prompt in self.all_prompts]
        for what, names in (
            ("models", [model.label for model in self.all_models]),
            ("prompts and ensembles", [*prompts, *(mean.name for mean in self.ensembles)]),
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
    def settings(self) -> Settings:
        """Values of the strategies' settings."""
        return settings_in(*(getattr(self, section) for section in SECTIONS))

    @property
    def attribute_scales(self) -> AttributeScales | None:
        """Scales of the answers about attributes; None where they are not asked for."""
        return self.attributes.scales if "attributes" in self.questions else None

    @property
    def used_strategies(self) -> tuple[str, ...]:
        """The strategies, and those that others among them read."""
        return used_strategies(self.strategies, self.settings)

    @property
    def offered_questions(self) -> frozenset[str]:
        """Names of the questions that this run is able to ask."""
        outline = self.outline()
        return frozenset(
            name for name, question in QUESTIONS.items() if question.refusal(outline) is None
        )

    @property
    def asked(self) -> Asked:
        """Names of the questions that the run's strategies read."""
        return needs(self.strategies, self.settings, self.offered_questions)

    def outline(self, labels: LabelSet | None = None, grammar: Grammar | None = None) -> RunOutline:
        """What of the config decides how its questions are asked.

        Args:
            labels: of the corpus; None before they are known.
            grammar: what answers are held to, for these labels and the run's engine.
        """
        decoding = self.decoding
        return RunOutline(
            prompts=tuple(
                PromptOutline(
                    prompt.label,
                    has_cot=prompt.cot_template is not None,
                    text_only=prompt.is_text_only,
                    cot_max_new_tokens=prompt.cot_max_new_tokens,
                    plain=prompt.turn == "plain",
                )
                for prompt in self.all_prompts
            ),
            greedy=decoding.greedy,
            beam_count=decoding.beam_count,
            other_beam_counts=decoding.other_beam_counts,
            samples=decoding.sampling,
            max_new_tokens=decoding.max_new_tokens,
            grammar=grammar,
            own_verifier=self.verifier.model is None,
            labels=labels,
            questions=self.questions,
            attributes_max_new_tokens=(
                None if self.attributes.scale is None else self.attributes.max_new_tokens
            ),
        )

    @property
    def all_models(self) -> tuple[ModelConfig, ...]:
        """Every model of the run."""
        return self.models or (self.model,)

    @property
    def loaded_models(self) -> tuple[ModelConfig, ...]:
        """Every model of the run, then the verifier where that is another one."""
        verifier = self.verifier.model
        return self.all_models if verifier is None else (*self.all_models, verifier)

    @property
    def all_prompts(self) -> tuple[PromptConfig, ...]:
        """Every prompt of the run."""
        return self.prompts or (self.prompt,)

    def as_verifier(self) -> Self:
        """The verifier in place of the run's model, with its own resources.

        What holds the run's answers to a grammar does not hold a verifier's.
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
        models = zip(self.loaded_models, model_fingerprints, strict=True)
        return _digest(
            {
                "input": [input_fingerprint, self.input.limit],
                "audio": self.audio.identity(),
                "models": [[known, model.identity()] for model, known in models],
                "prompts": [
                    # What was always so goes without saying.
                    [
                        prompt.label,
                        prompt.cot_max_new_tokens,
                        *_unless(prompt.turn, "chat"),
                        *_unless(prompt.clip, None),
                    ]
                    for prompt in self.all_prompts
                ],
                "templates": templates,
                "asked": asked,
                "verifier": self.verifier.model_dump(exclude={"model", "resources"}),
                "decoding": self.decoding.model_dump(),
            }
        )

    @property
    def _sections(self) -> frozenset[str]:
        """Names of the sections in which settings of the run's strategies stand."""
        strategies = map(strategy_named, self.used_strategies)
        return frozenset(setting.section for each in strategies for setting in each.settings)

    def prediction_identity(
        self, generation_identity: str, policy: VotePolicy | None = None, labels: str = ""
    ) -> str:
        """SHA-256 over everything that can change ``predictions/``.

        Args:
            generation_identity: see :meth:`generation_identity`.
            policy: of the corpus; the same votes mean other labels under another one.
            labels: fingerprint of the label table in the place of the corpus's labels; empty
                without one.
        """
        later: dict[str, object] = {
            name: getattr(self, name).model_dump()
            for name in ("pool", "calibrate", "conformal", "fit")
            if name in self._sections
        }
        scales = self.attribute_scales
        return _digest(
            {
                "generations": generation_identity,
                "policy": None if policy is None else policy.model_dump(),
                "strategies": list(self.strategies),
                "ensembles": [mean.model_dump() for mean in self.ensembles],
                "aggregation": self.aggregation.model_dump(),
                "adaptive": self.adaptive.model_dump() if "adaptive" in self._sections else None,
                # A section that came later counts only where it is read.
                **later,
                **({"labels": labels} if labels else {}),
                **({} if scales is None else {"attributes": [scales.asked, scales.corpus]}),
            }
        )


def _unless(value: str | None, usual: str | None) -> list[str | None]:
    return [] if value == usual else [value]


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def load_config(path: str | Path) -> RunConfig:
    """Read and check a run's YAML file.

    Raises:
        ConfigError: naming the file, the field and the value, if it is unreadable or wrong.
    """
    return parse_config(read_yaml(path), source=str(path))


def parse_config(document: dict[str, object], source: str = "config") -> RunConfig:
    """Check a run's settings given as keys and values.

    Raises:
        ConfigError: one line per wrong field, each naming ``source``, the field and the value.
    """
    return checked(RunConfig, document, source)
