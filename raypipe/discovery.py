"""Objects that stand one to a file in a folder: adding one is adding its file.

A file of such a folder that brings nothing, or what another file has brought already, stops the
import: a forgotten part is never silent.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
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


def objects_in(package: str, attribute: str, *kinds: type[Item]) -> Mapping[str, Item]:
    """The objects of a folder's files by their names, in the order of their ranks.

    Args:
        package: the folder, as a package; files whose name begins with an underscore are not asked.
        attribute: what the object is called in every file.
        kinds: the classes it may be of.

    Raises:
        RegistryError: naming the file, if it brings no such object, or one whose name or place
            another file has taken.
    """
    folder = importlib.import_module(package)
    origin: dict[object, str] = {}
    items: list[Item] = []
    for module_info in pkgutil.iter_modules(folder.__path__):
        if module_info.name.startswith("_"):
            continue
        module = f"{package}.{module_info.name}"
        item = getattr(importlib.import_module(module), attribute, None)
        if not isinstance(item, kinds):
            wanted = " or ".join(kind.__name__ for kind in kinds)
            raise RegistryError(f"{module} brings no {attribute}, which is a {wanted}")
        for taken in (item.name, item.rank):
            if taken in origin:
                raise RegistryError(f"{module}: {taken!r} is taken by {origin[taken]}")
            origin[taken] = module
        items.append(item)
    return {item.name: item for item in sorted(items, key=lambda item: item.rank)}
