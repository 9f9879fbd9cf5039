"""What a model is asked about every utterance, and in which order."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from raypipe.config import RunConfig
from raypipe.labels import LabelSet
from raypipe.records import Search
from raypipe.runtime.infer.models import main_search
from raypipe.strategies.adaptive import Asked, needs
from raypipe.strategies.settings import AdaptiveSettings


@dataclass(frozen=True, slots=True)
class Question:
    """One search through the answers to one kind of prompt.

    Attributes:
        name: in the record of the run.
        cot: asks the prompt's variant with step-by-step instructions.
        only_ambiguous: asked of utterances whose cheap prediction is ambiguous, after the others.
    """

    name: str
    search: Search
    cot: bool = False
    only_ambiguous: bool = False


@dataclass(frozen=True, slots=True)
class Judging:
    """How candidates are put to the verifier.

    Attributes:
        source: text of the prompt template.
        candidates: most beams of a search that are judged; None for all.
        expected: the score is the mean over the verifier's beams, not the number in its answer.
        own_model: the model that wrote the candidates judges them.
        only_ambiguous: only those of utterances whose cheap prediction is ambiguous.
    """

    source: str
    search: Search
    candidates: int | None
    expected: bool
    own_model: bool
    only_ambiguous: bool


def needs_of(config: RunConfig) -> Asked:
    """What the run's strategies need of every utterance and of the ambiguous ones."""
    return needs(config.strategies, AdaptiveSettings(**config.adaptive.model_dump()))


def questions(config: RunConfig, labels: LabelSet) -> tuple[Question, ...]:
    """All that the run's model is asked, verifying aside; what everyone is asked comes first.

    Beams that only ``adaptive`` needs are searched for ambiguous utterances alone.
    """
    wanted, decoding = needs_of(config), config.decoding
    search = main_search(config, labels)
    sparing = "beams" in wanted.ambiguous and search.greedy
    asked = []
    if sparing:
        asked.append(Question("greedy", dataclasses.replace(search, beam_count=0)))
        beams = dataclasses.replace(search, greedy=False)
        asked.append(Question("beams", beams, only_ambiguous=True))
    else:
        asked.append(Question("greedy and beams" if search.beam_count else "greedy", search))
    for count in decoding.other_beam_counts:
        other = dataclasses.replace(search, beam_count=count, greedy=False)
        asked.append(Question(f"{count} beams", other, only_ambiguous=sparing))
    if "cot" in wanted.every | wanted.ambiguous:
        length = max(prompt.cot_max_new_tokens for prompt in config.all_prompts)
        only_ambiguous = "cot" not in wanted.every
        asked.append(Question("cot", Search(0, True, length), True, only_ambiguous))
    return tuple(sorted(asked, key=lambda question: question.only_ambiguous))


def judging(config: RunConfig, source: str) -> Judging | None:
    """How the run's candidates are judged; None if no strategy needs it.

    Args:
        config: the run.
        source: text of the verifier's prompt template.
    """
    wanted, verifier = needs_of(config), config.verifier
    if "verifier" not in wanted.every | wanted.ambiguous:
        return None
    expected = verifier.score == "expected"
    return Judging(
        source,
        Search(verifier.beam_count if expected else 0, not expected, verifier.max_new_tokens),
        verifier.candidates,
        expected,
        verifier.model is None,
        only_ambiguous="verifier" not in wanted.every,
    )
