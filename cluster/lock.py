"""Versions of everything that the package needs at runtime, as this environment has them.

python cluster/lock.py > cluster/constraints.txt

Run it in an environment that the tests passed in. An extra counts where it is installed; packages
that only torch's CUDA build needs are not named: torch names their versions itself.
"""

from __future__ import annotations

import sys
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = Path(__file__).parents[1] / "pyproject.toml"
NOT_AT_RUNTIME = {"test", "dev"}


def locked() -> dict[str, str]:
    """Versions by the names of the packages, sorted, without the builds that they may name."""
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    wanted = [Requirement(text) for text in project["dependencies"]]
    for name in extras.keys() - NOT_AT_RUNTIME:
        asked = [Requirement(text) for text in extras[name]]
        if all(_is_here(requirement) for requirement in asked):
            wanted += asked
    versions: dict[str, str] = {}
    seen: set[tuple[str, str]] = set()
    while wanted:
        requirement = wanted.pop()
        name = canonicalize_name(requirement.name)
        for extra in ("", *requirement.extras):
            if (name, extra) in seen:
                continue
            seen.add((name, extra))
            found = distribution(name)
            versions[name] = found.version.partition("+")[0]
            for text in found.requires or ():
                needed = Requirement(text)
                if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                    wanted.append(needed)
    return dict(sorted(versions.items()))


def _is_here(requirement: Requirement) -> bool:
    try:
        version = distribution(requirement.name).version
    except PackageNotFoundError:
        return False
    return requirement.specifier.contains(version, prereleases=True)


if __name__ == "__main__":
    lines = [f"{name}=={version}" for name, version in locked().items()]
    sys.stdout.write("# Written by cluster/lock.py.\n" + "\n".join(lines) + "\n")
