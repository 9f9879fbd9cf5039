"""A checkpoint's weight files: found by name and read tensor by tensor, never as pickle.

transformers maps whole files into memory and lets go of none before the last weight is loaded:
copied to another arithmetic or a GPU, a checkpoint is in memory once more while that lasts. Here a
tensor is read when it is asked for, and only what is on its way takes memory.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from raypipe.engines import checkpoint_files
from raypipe.engines.checkpoint_files import INDEX, WEIGHTS, FolderFiles, without_weights
from raypipe.errors import EngineError, UnsupportedError

if TYPE_CHECKING:
    from torch import Tensor

_logger = logging.getLogger(__name__)

_DTYPES = {"F32": "float32", "BF16": "bfloat16", "F16": "float16"}
"""Arithmetic by its name in the files."""


def weight_files(folder: Path) -> tuple[Path, ...]:
    """The weight files of a checkpoint's folder, in their order.

    Raises:
        ConfigError: if its index cannot be read.
        UnsupportedError: if it has none, or only such as run code when they are read.
        EngineError: if its index names a file that is not there.
    """
    files = FolderFiles(folder)
    names = checkpoint_files.weight_files(files)
    if not names:
        raise UnsupportedError(f"{folder}: {without_weights(files)}")
    if not {WEIGHTS, INDEX} & files.names:
        raise UnsupportedError(f"{folder} has {names[0]}, but neither {WEIGHTS} nor {INDEX}")
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise EngineError(f"{folder} lacks {len(missing)} weight files, first {missing[0]}")
    return tuple(folder / name for name in names)


class WeightFile:
    """A safetensors file whose tensors are read one by one, from any thread.

    Args:
        path: of the file.
        place: which of how many it is, for the log.
        kept_dtype: tensors of this arithmetic stay where they are in the file, which is mapped
            into memory: processes of a machine then share them. None to read all of them.
    """

    def __init__(self, path: Path, place: str = "1 of 1", kept_dtype: str | None = None) -> None:
        self._path, self._place, self._kept_dtype = path, place, kept_dtype
        self._lock, self._is_read = Lock(), False
        try:
            self._reading = self._opened("pread")
            self._mapped = self._reading if kept_dtype is None else self._opened("mmap")
        except Exception as error:  # safetensors' own error is none of Python's
            raise EngineError(f"{path} is no whole safetensors file: {error}") from error

    def _opened(self, backend: str) -> Any:
        from safetensors import safe_open

        return safe_open(self._path, framework="pt", device="cpu", backend=backend)

    def tensors(self) -> dict[str, StoredTensor]:
        """Its tensors by name, none of them read."""
        return {
            name: StoredTensor(self, name, self._reading.get_slice(name).get_dtype())
            for name in self._reading.keys()  # noqa: SIM118 (it is no dictionary)
        }

    def read(self, name: str, dtype: str) -> Tensor:
        """A tensor on the CPU, in the arithmetic of the file."""
        with self._lock:
            if not self._is_read:
                size = self._path.stat().st_size / 1e9
                _logger.info("reading %s, %.2f GB, %s", self._path.name, size, self._place)
                self._is_read = True
        is_kept = _DTYPES.get(dtype) == self._kept_dtype
        tensor: Tensor = (self._mapped if is_kept else self._reading).get_tensor(name)
        return tensor


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """A tensor in a file, which transformers takes in the place of one in memory.

    Attributes:
        file: that holds it.
        name: in the file.
        dtype: its arithmetic, as safetensors calls it.
    """

    file: WeightFile
    name: str
    dtype: str

    def get_dtype(self) -> str:
        """Its arithmetic, as safetensors calls it."""
        return self.dtype

    def __getitem__(self, part: object) -> Tensor:
        """The tensor, or a part of it, read now."""
        whole: Any = self.file.read(self.name, self.dtype)
        tensor: Tensor = whole[part]
        return tensor


def stored_tensors(folder: Path, kept_dtype: str | None = None) -> Mapping[str, StoredTensor]:
    """Every tensor of a checkpoint's folder by name, none of them read.

    Args:
        folder: of the checkpoint.
        kept_dtype: as for :class:`WeightFile`.

    Raises:
        UnsupportedError: if there are no weights, or only such as run code when they are read.
        EngineError: for a file that is missing or not whole.
    """
    files = weight_files(folder)
    found: dict[str, StoredTensor] = {}
    for number, path in enumerate(files, 1):
        found.update(WeightFile(path, f"{number} of {len(files)}", kept_dtype).tensors())
    return found
