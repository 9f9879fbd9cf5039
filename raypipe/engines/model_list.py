"""What can be run, for ``raypipe models`` and the docs: families, checkpoints, where they run.

``python -m raypipe.engines.model_list`` writes the tables of this folder's README.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from raypipe.engines.families import FAMILIES
from raypipe.engines.families.family import Family, duration_in_words
from raypipe.engines.own_loaders import OWN_LOADERS, OwnLoader
from raypipe.engines.published import (
    PROOFS,
    WHAT_COLUMNS_MEAN,
    WHAT_NO_PROOF_SAYS,
    Proof,
    Published,
)
from raypipe.generated import write_table

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
        engine: the engine that asks an endpoint for it.
        how: where it runs instead.
    """

    name: str
    engine: str
    how: str


ELSEWHERE: tuple[Elsewhere, ...] = (
    Elsewhere("GPT-4o, Gemini", "openai", "the provider's endpoint; presets in the README"),
)
"""Models that are asked about as often, and answered by others."""


@dataclass(frozen=True, slots=True)
class ListedModel:
    """A published checkpoint with all that is told of it.

    Attributes:
        published: what its authors published.
        group: name of its family, or of the model with a loader of its own.
        engines: names for ``model.engine``.
        plugins: those of the engines that are worked plug-ins, to be installed first.
        longest_s: longest clip in seconds; None for a text model.
        reason: why no longer clips.
        proved: how far it was proved that it is run as published.
    """

    published: Published
    group: str
    engines: tuple[str, ...]
    plugins: tuple[str, ...]
    longest_s: float | None
    reason: str
    proved: Proof

    def in_words(self) -> tuple[str, ...]:
        """Cells of its row: name, size, memory, access, longest clip and licence."""
        published = self.published
        return (
            published.name,
            size_in_words(published),
            memory_in_words(published),
            access_in_words(published),
            "-" if self.longest_s is None else duration_in_words(self.longest_s),
            published.licence or "?",
        )

    def as_json(self) -> dict[str, object]:
        """Every field, and the memory that follows from the size."""
        facts = dataclasses.asdict(self)
        return {
            **facts.pop("published"),
            "memory_gib": self.published.memory_gib,
            "memory_at_most_gib": self.published.memory_at_most_gib,
            **facts,
        }


def _of_family(family: Family) -> Iterable[ListedModel]:
    plugins = tuple(other.engine for other in OWN_LOADERS if other.family == family.name)
    for published in family.published:
        yield ListedModel(
            published,
            family.name,
            (*family.engines, *plugins),
            plugins,
            None if family.clips is None else family.clips.longest_s,
            "no audio" if family.clips is None else family.clips.reason,
            family.proved,
        )


def _of_loader(loader: OwnLoader) -> Iterable[ListedModel]:
    for published in loader.published:
        engines = (loader.engine,)
        yield ListedModel(
            published,
            loader.name,
            engines,
            engines,
            loader.longest_s,
            loader.reason,
            loader.proved,
        )


def listed_models() -> tuple[ListedModel, ...]:
    """Every published checkpoint: those of the families, then those with loaders of their own."""
    of_families = [listed for family in FAMILIES for listed in _of_family(family)]
    return (*of_families, *(listed for loader in OWN_LOADERS for listed in _of_loader(loader)))


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
        "proved": family.proved,
        "limits": list(family.limits_in_words()),
    }


def loader_facts(loader: OwnLoader) -> dict[str, object]:
    """A model with a loader of its own as JSON; its checkpoints stand with the others."""
    facts = dataclasses.asdict(loader)
    return {**facts, "package": loader.package, "published": [one.name for one in loader.published]}


def models_as_json() -> dict[str, object]:
    """Every family, every published checkpoint and what runs elsewhere, as a JSON document."""
    return {
        "families": [family_facts(family) for family in FAMILIES],
        "models": [listed.as_json() for listed in listed_models()],
        "own_loaders": [loader_facts(loader) for loader in OWN_LOADERS],
        "elsewhere": [dataclasses.asdict(model) for model in ELSEWHERE],
        "proofs": dict(PROOFS),
    }


def size_in_words(published: Published) -> str:
    """Its loaded parameters in billions."""
    return "?" if published.parameters is None else f"{published.parameters:.3g}"


def memory_in_words(published: Published) -> str:
    """Memory of the weights in GiB, or an upper bound."""
    if published.memory_gib is not None:
        return f"{published.memory_gib:.1f}"
    at_most = published.memory_at_most_gib
    return "?" if at_most is None else f"< {at_most:.1f}"


def access_in_words(published: Published) -> str:
    """Whether the hub hands it out to anyone; "-" if it is on none."""
    if not published.on_hub:
        return "-"
    return {True: "gated", False: "open", None: "?"}[published.gated]


def what_words_mean() -> tuple[str, ...]:
    """Explanations of the words and figures of the tables, a paragraph each."""
    proofs = [f"{proof}: {meaning}" for proof, meaning in PROOFS.items()]
    return (WHAT_COLUMNS_MEAN, *proofs, WHAT_NO_PROOF_SAYS, WHAT_PATHS_MEAN)


def _markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def families_markdown() -> str:
    """Table of the families in Markdown, one row each."""
    rows = (
        (
            family.name,
            ", ".join(f"`{engine}`" for engine in family.engines),
            family.decoder or "-",
            family.verified,
            "; ".join(family.limits_in_words()),
        )
        for family in FAMILIES
    )
    return _markdown(("family", "engines", "path", "verified", "limits"), rows)


def models_markdown() -> str:
    """Table of the published checkpoints in Markdown, one row each."""
    rows = []
    for listed in listed_models():
        name, size, memory, access, clip, licence = listed.in_words()
        named = f"`{name}`" if listed.published.on_hub else name
        engines = ", ".join(f"`{engine}`" for engine in listed.engines)
        memory = memory.replace("<", "&lt;")
        why = f"{clip}: {listed.reason}"
        rows.append((named, size, memory, access, licence, why, engines, listed.proved))
    header = ("model", "10^9", "GiB", "hub", "licence", "longest clip", "engine", "proved")
    return _markdown(header, rows)


def loaders_markdown() -> str:
    """Table of the models with loaders of their own in Markdown, one row each."""
    rows = (
        (loader.name, f"`{loader.engine}`", f"`{loader.package}`", loader.needs)
        for loader in OWN_LOADERS
    )
    return _markdown(("model", "engine", "package", "needs"), rows)


if __name__ == "__main__":
    page = Path(__file__).parent / "README.md"
    write_table(page, "families", families_markdown())
    write_table(page, "models", models_markdown())
    write_table(page, "loaders", loaders_markdown())
