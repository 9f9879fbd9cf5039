"""What can be run, for ``raypipe models`` and the docs: families, other models, where they run.

``python -m raypipe.engines.model_list`` writes the table of families into this folder's README.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from raypipe.engines.families import FAMILIES
from raypipe.engines.families.family import Family
from raypipe.generated import write_table

WHAT_VERIFIED_MEANS = (
    "equals generate(): on small random checkpoints of the architecture with its real processor, "
    "hypotheses, their order, scores and raw logits are those of transformers' generate() in "
    "float32. Published weights were not run."
)

WHAT_PATHS_MEAN = (
    "tree: an utterance's hypotheses share its keys and values, many utterances at once. plain: "
    "the model's own forward pass and cache, one utterance at a time; slower, with the same "
    "answers."
)


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A model that no engine runs in its own process.

    Attributes:
        name: what people call it.
        engine: the engine that asks an endpoint for it; None if it takes a plug-in.
        how: where it runs instead.
    """

    name: str
    engine: str | None
    how: str


ELSEWHERE: tuple[Elsewhere, ...] = (
    Elsewhere("GPT-4o, Gemini", "openai", "the provider's endpoint; presets in the README"),
    Elsewhere(
        "SALMONN, Baichuan-Omni, LTU-AS, Audio Flamingo 2",
        None,
        "a package of your own around their code; the README has one to copy",
    ),
)
"""Models that are asked about as often, and answered by others."""


def family_facts(family: Family) -> dict[str, object]:
    """A family as JSON: its names, engines and limits, in numbers and in words."""
    return {
        "name": family.name,
        "architectures": list(family.architectures),
        "engines": list(family.engines),
        "path": family.decoder,
        "clips": None if family.clips is None else dataclasses.asdict(family.clips),
        "unused": list(family.unused),
        "extra": family.extra,
        "needs_trust_remote_code": family.needs_trust_remote_code,
        "verified": family.verified,
        "limits": list(family.limits_in_words()),
    }


def models_as_json() -> dict[str, object]:
    """Every family, and the models that run elsewhere, as a JSON document."""
    return {
        "families": [family_facts(family) for family in FAMILIES],
        "elsewhere": [dataclasses.asdict(model) for model in ELSEWHERE],
    }


def families_markdown() -> str:
    """Table of the families in Markdown, one row each."""
    lines = ["| family | engines | path | verified | limits |", "| --- | --- | --- | --- | --- |"]
    for family in FAMILIES:
        cells = (
            family.name,
            ", ".join(f"`{engine}`" for engine in family.engines),
            family.decoder or "-",
            family.verified,
            "; ".join(family.limits_in_words()),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    write_table(Path(__file__).parent / "README.md", "families", families_markdown())
