"""The house's one rule of direction, read from the source itself."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SPINE = {"records", "labels", "votes", "protocols", "config", "errors", "installation"}
ROOMS_THAT_KNOW_THE_ORDER = {"runtime", "cli", "__main__"}
# A room may also use these: pure functions and places that several rooms stand on.
SHARED = {
    "store": {"labels"},
    "shards": {"store"},
    "corpora": {"store", "shards", "audio"},
    "lossless": {"audio"},
    "inspection": {"corpora", "shards", "store", "metrics", "report"},
    "strategies": {"parsing", "metrics"},
    "tiny_alm": {"prompts", "parsing", "metrics", "audio", "engines", "strategies"},
}


def modules() -> list[Path]:
    return sorted((ROOT / "raypipe").rglob("*.py"))


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import"
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def room(path: Path) -> str:
    return path.relative_to(ROOT / "raypipe").parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_only_the_runtime_knows_ray(path: Path) -> None:
    uses_ray = any(name.split(".")[0] == "ray" for name in imported(path))
    assert not uses_ray or room(path) in ROOMS_THAT_KNOW_THE_ORDER


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_room_imports_the_spine_and_itself(path: Path) -> None:
    here = room(path)
    if here in ROOMS_THAT_KNOW_THE_ORDER:
        return
    allowed = {here} | SHARED.get(here, set()) | SPINE
    for name in imported(path):
        parts = name.split(".")
        if parts[0] == "raypipe" and len(parts) > 1 and parts[1] != "__version__":
            assert parts[1] in allowed, f"{path} imports {name}"
