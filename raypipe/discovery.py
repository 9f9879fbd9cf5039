"""Objects that stand in the files of a folder: adding one is adding its file.

A file of such a folder that brings nothing, or what another file has brought already, stops the
import: a forgotten part is never silent.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from types import ModuleType
from typing import Protocol, TypeVar

from raypipe.errors import RegistryError


class Registered(Protocol):
    """An object with a name of its own and a place among the others of its kind."""

    @property
    def name(self) -> str:
        """How it is called in configs and tables."""
        ...

    @property
    def rank(self) -> int:
        """Place among the others: lower ones come first."""
        ...


Item = TypeVar("Item", bound=Registered)


def modules_in(package: str) -> list[ModuleType]:
    """The modules of a package's folder, imported, in alphabetical order.

    Args:
        package: its name; files whose name begins with an underscore are left out.
    """
    folder = importlib.import_module(package)
    names = sorted(module.name for module in pkgutil.iter_modules(folder.__path__))
    return [
        importlib.import_module(f"{package}.{name}") for name in names if not name.startswith("_")
    ]


def objects_in(package: str, attribute: str, *kinds: type[Item]) -> Mapping[str, Item]:
    """The objects of a folder's files by their names, in the order of their ranks.

    Args:
        package: the folder, as a package.
        attribute: what the object is called in every file.
        kinds: the classes it may be of.

    Raises:
        RegistryError: naming the file, if it brings no such object, or one whose name or place
            another file has taken.
    """
    origin: dict[object, str] = {}
    items: list[Item] = []
    for module in modules_in(package):
        item = getattr(module, attribute, None)
        if not isinstance(item, kinds):
            wanted = " or ".join(kind.__name__ for kind in kinds)
            raise RegistryError(f"{module.__name__} brings no {attribute}, which is a {wanted}")
        for taken in (item.name, item.rank):
            if taken in origin:
                raise RegistryError(f"{module.__name__}: {taken!r} is taken by {origin[taken]}")
            origin[taken] = module.__name__
        items.append(item)
    return {item.name: item for item in sorted(items, key=lambda item: item.rank)}
