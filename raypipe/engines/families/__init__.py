"""Model families that the engines decode: one file each, collected from this folder.

To add a family, write a file here that defines ``FAMILY`` (:mod:`raypipe.engines.families.family`
says what that is) and let ``tests/engines/family_checkpoints.py`` make a small checkpoint of it.
Importing a family's file imports neither torch nor transformers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import ModuleType

from raypipe.discovery import modules_in
from raypipe.engines.families.family import Family
from raypipe.errors import RegistryError, UnsupportedError


def collect(modules: Iterable[ModuleType]) -> tuple[Family, ...]:
    """The families that modules define: those that take clips first, then by name.

    Raises:
        RegistryError: for a module without a ``FAMILY``, or if two families share a name or an
            architecture.
    """
    families: list[Family] = []
    taken: dict[str, str] = {}
    for module in modules:
        family = getattr(module, "FAMILY", None)
        if not isinstance(family, Family):
            raise RegistryError(f"{module.__name__} defines no FAMILY")
        for name in (family.name, *family.architectures):
            if name in taken:
                raise RegistryError(f"{module.__name__}: {name} is {taken[name]}'s already")
            taken[name] = module.__name__
        families.append(family)
    return tuple(sorted(families, key=lambda family: (family.clips is None, family.name)))


def family_modules() -> list[ModuleType]:
    """Every module of this folder that has to define a family: all but the definition of one."""
    return [module for module in modules_in(__name__) if module.__name__ != Family.__module__]


FAMILIES: tuple[Family, ...] = collect(family_modules())
"""Whatever is not here is refused: padding, positions or attention may differ unnoticed."""


def named_architectures(config: Mapping[str, object]) -> list[str] | None:
    """What a checkpoint's config says it is; None if it does not say."""
    named = config.get("architectures")
    return [str(name) for name in named] if isinstance(named, list) else None


def family_of(model_path: str, architectures: Sequence[str] | None, engine: str) -> Family:
    """The family of a checkpoint.

    Args:
        model_path: to name it by.
        architectures: what its config says it is.
        engine: the engine that is asked to decode it.

    Raises:
        UnsupportedError: if the engine takes no such family.
    """
    named = architectures or []
    decodable = [family for family in FAMILIES if engine in family.engines]
    for family in decodable:
        if set(family.architectures).intersection(named):
            return family
    raise UnsupportedError(
        f"{model_path} is a {', '.join(named) or 'model without a named architecture'}; the "
        f"{engine} engine decodes {', '.join(family.architecture for family in decodable)}"
    )
