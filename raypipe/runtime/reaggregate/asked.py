"""Whether a run holds what a reaggregation wants to read.

A run that asked for beams, a chain of thought or a verifier only where ``adaptive`` needed them
does not hold them for the other utterances. To predict from the rest would give scores of the
ambiguous utterances alone under the name of all.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from raypipe.config import RunConfig
from raypipe.errors import ConfigError
from raypipe.questions import Asked, question_named
from raypipe.strategies import Composite, Variant, strategy_named
from raypipe.strategies.needs import needs


def refuse_what_was_not_asked(config: RunConfig, variants: Sequence[Variant]) -> None:
    """Refuse variants that read what the run did not ask of the utterances they read it of.

    Args:
        config: of the run, as it was.
        variants: that are to be read.

    Raises:
        ConfigError: naming the strategy and what it lacks.
    """
    asked = config.asked.resolved(config.outline())
    held = asked.every | asked.ambiguous
    for variant in (each.base for each in variants):  # under the names of what reads them
        wanted = needs([variant.strategy], variant.settings, held)
        missing = wanted.every - asked.every
        if missing:
            raise ConfigError(_explained(variant.name, missing, asked))
        escalated = wanted.ambiguous - asked.every
        if escalated - asked.ambiguous:
            raise ConfigError(_explained(variant.name, escalated - asked.ambiguous, asked))
        declared = strategy_named(variant.strategy)
        if escalated and isinstance(declared, Composite):
            assert declared.covers is not None  # nothing escalates in one that needs all always
            assert declared.when is not None
            covered = declared.covers(variant.settings, config.settings)
            if not covered or variant.sub_beams is not None:
                raise ConfigError(
                    f"{variant.name}: the run asked for {_listed(escalated)} only where "
                    f"{declared.when(config.settings)}; with another cheap strategy, other "
                    "settings of it or a lower threshold others would be needed"
                )


def _explained(name: str, missing: frozenset[str], asked: Asked) -> str:
    if missing <= asked.ambiguous:
        return (
            f"{name}: needs {_listed(missing)} of every utterance; the run asked for that only "
            "where adaptive escalated"
        )
    return f"{name}: needs {_listed(missing)}, which the run did not ask for"


def _listed(names: Collection[str]) -> str:
    questions = sorted(map(question_named, names), key=lambda question: question.rank)
    return " and ".join(question.noun for question in questions)
