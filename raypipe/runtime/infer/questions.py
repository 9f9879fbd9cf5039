"""What the models of a run are asked: calls of the engine, and how candidates are verified."""

from __future__ import annotations

from dataclasses import dataclass

from raypipe.config import RunConfig
from raypipe.labels import LabelSet
from raypipe.questions import Pass, plan_passes
from raypipe.records import Search
from raypipe.runtime.infer.models import grammar_for


@dataclass(frozen=True, slots=True)
class Verification:
    """How candidates are put to the verifier.

    Attributes:
        source: text of the prompt template.
        search: what is asked for, of every candidate.
        candidates: most beams of a search that are verified; None for all.
        expected: the score is the mean over the verifier's beams, not the number in its answer.
        own_model: the model that wrote the candidates verifies them.
        only_ambiguous: only those of utterances whose cheap prediction is ambiguous.
    """

    source: str
    search: Search
    candidates: int | None
    expected: bool
    own_model: bool
    only_ambiguous: bool


def passes_of(config: RunConfig, labels: LabelSet) -> tuple[Pass, ...]:
    """All calls of the engine of a run with one model, verifying aside.

    Args:
        config: the run, with one model.
        labels: of the corpus.
    """
    return plan_passes(config.outline(labels, grammar_for(config, labels)), config.asked)


def verification_of(config: RunConfig, source: str) -> Verification | None:
    """How the run's candidates are verified; None if no strategy reads a verifier's scores.

    Args:
        config: the run.
        source: text of the verifier's prompt template.
    """
    asked, verifier = config.asked.resolved(config.outline()), config.verifier
    if "verifier" not in asked.every | asked.ambiguous:
        return None
    expected = verifier.score == "expected"
    return Verification(
        source,
        Search(verifier.beam_count if expected else 0, not expected, verifier.max_new_tokens),
        verifier.candidates,
        expected,
        verifier.model is None,
        only_ambiguous="verifier" not in asked.every,
    )
