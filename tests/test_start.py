"""What commands and workers import before they know whether they need it."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("scipy.optimize", "scipy.signal", "scipy.stats", "matplotlib", "torch", "transformers")
"""A quarter of a second and more of every process that imports one."""

LIGHT_AT_START = ("ray", "pandas", "duckdb", "librosa", "openai", "vllm")


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("raypipe.cli", HEAVY + LIGHT_AT_START),
        ("raypipe.runtime.infer.supervised", HEAVY + LIGHT_AT_START),
        ("raypipe.runtime.infer.stages", HEAVY),
        ("raypipe.runtime.ingest.job", HEAVY),
    ],
)
def test_a_process_starts_without_what_it_may_never_need(
    module: str, heavy: tuple[str, ...]
) -> None:
    code = f"import sys, {module}; print(*[name for name in {heavy} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.split() == []
