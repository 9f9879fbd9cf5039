"""Whether a run holds what a reaggregation wants to read.

A run that asked for beams, a chain of thought or a verifier only where ``adaptive`` needed them
does not hold them for the other utterances. To predict from the rest would give scores of the
ambiguous utterances alone under the name of all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from raypipe.config import RunConfig
from raypipe.errors import ConfigError
from raypipe.labels import LabelSet
from raypipe.runtime.infer.plan import aggregation_settings
from raypipe.runtime.infer.questions import needs_of, questions
from raypipe.strategies import AggregationSettings, Variant
from raypipe.strategies.adaptive import Asked, Question, needs
from raypipe.strategies.rules import RULE_SETTINGS


def refuse_what_was_not_asked(
    config: RunConfig, record: dict[str, Any], variants: Sequence[Variant]
) -> None:
    """Refuse variants that read what the run did not ask of the utterances they read it of.

    Args:
        config: of the run, as it was.
        record: of the run.
        variants: that are to be read.

    Raises:
        ConfigError: naming the strategy and what it lacks.
    """
    asked = _asked(config, LabelSet(tuple(record["labels"])))
    settings = aggregation_settings(config)
    for variant in variants:
        wanted = needs([variant.strategy], variant.settings.adaptive)
        missing = wanted.every - asked.every
        if "greedy" in missing and set(variant.rules[:1]) <= {"token", "token_softmax"}:
            missing -= {"greedy"}  # without a greedy answer they read the best beam
        if missing:
            raise ConfigError(_explained(variant.name, missing, asked))
        escalated = wanted.ambiguous - asked.every
        if escalated - asked.ambiguous:
            raise ConfigError(_explained(variant.name, escalated - asked.ambiguous, asked))
        if escalated and not _escalates_no_further(variant, settings):
            run = settings.adaptive
            raise ConfigError(
                f"{variant.name}: the run asked for {_listed(escalated)} only where {run.cheap} "
                f"was above {run.threshold:g} bits or invalid; with another cheap strategy, other "
                "settings of it or a lower threshold others would be needed"
            )


def _asked(config: RunConfig, labels: LabelSet) -> Asked:
    """What the run asked of every utterance, and of those that its ``adaptive`` escalated."""
    wanted = needs_of(config)
    every = wanted.every & {"verifier"}
    ambiguous = wanted.ambiguous & {"verifier"}
    # A grammar changes none of it, and its form is a matter of an engine that may not be here.
    free = config.decoding.model_copy(update={"grammar": None})
    for question in questions(config.model_copy(update={"decoding": free}), labels):
        kinds: set[Question] = {"cot"} if question.cot else set()
        if not question.cot:
            kinds |= {"greedy"} if question.search.greedy else set()
            kinds |= {"beams"} if question.search.beam_count else set()
        if question.only_ambiguous:
            ambiguous |= kinds
        else:
            every |= kinds
    return Asked(every, ambiguous - every)


def _escalates_no_further(variant: Variant, run: AggregationSettings) -> bool:
    """Whether every utterance that the variant escalates was escalated by the run as well."""
    own = variant.settings
    cheap = own.adaptive.cheap
    used = [name for name in RULE_SETTINGS[cheap] if name != "tau" and hasattr(own, name)]
    return (
        cheap == run.adaptive.cheap
        and own.adaptive.threshold >= run.adaptive.threshold
        and all(getattr(own, name) == getattr(run, name) for name in used)
        and variant.sub_beams is None
    )


def _explained(name: str, missing: frozenset[Question], asked: Asked) -> str:
    if missing <= asked.ambiguous:
        return (
            f"{name}: needs {_listed(missing)} of every utterance; the run asked for that only "
            "where adaptive escalated"
        )
    return f"{name}: needs {_listed(missing)}, which the run did not ask for"


_WORDS = {
    "greedy": "a greedy answer",
    "beams": "beams",
    "cot": "a chain of thought",
    "verifier": "a verifier's scores",
}


def _listed(kinds: frozenset[Question]) -> str:
    return " and ".join(_WORDS[kind] for kind in _WORDS if kind in kinds)
