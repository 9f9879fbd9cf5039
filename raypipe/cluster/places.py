"""Places that a job's config names, and whether the pods have them.

The places are found from the config's classes: every text that is a ``PathText``, and those few
that another type holds.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from raypipe.cluster.files import MOUNTED_AT, FileSet
from raypipe.config.model import ENGINE_SECTIONS
from raypipe.config.values import PathText, shortened
from raypipe.errors import ConfigError
from raypipe.installation import BUNDLED_CHECKPOINTS

_IS_PATH = get_args(PathText)[1]
_PLAIN_TEXTS = {"template", "table", "beside"}
"""Fields whose text may be a path, but is of the type of any text in some classes."""
_PROMPTS = {"template", "cot"}
_EXAMPLES = "examples"
_WRITTEN = {"output", "cache"}
_LOADED = {"path", "tokenizer", "adapter"}
"""Fields of a model: they may also lie in the image."""
_LIKE_A_HUB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*(/[A-Za-z0-9][A-Za-z0-9_.-]*)?")
_OWN_ENGINES = {engine for engine, section in ENGINE_SECTIONS.items() if section != "api"}


@dataclass(frozen=True, slots=True)
class Place:
    """A text of a config that may be a path.

    Attributes:
        key: of the field in the config, with dots.
        owner: the section that the field is in.
        field: its name there.
        text: that stands there.
    """

    key: str
    owner: BaseModel
    field: str
    text: str

    @property
    def is_hub_model(self) -> bool:
        """Whether it names a model's files, by a folder or as the hub does."""
        has_revision = hasattr(self.owner, "revision")
        return self.field == "tokenizer" or (self.field == "path" and has_revision)

    @property
    def is_elsewhere(self) -> bool:
        """Whether it is a name at an endpoint, or what a plug-in makes of it."""
        engine = getattr(self.owner, "engine", None)
        return self.field == "path" and engine is not None and engine not in _OWN_ENGINES


@dataclass(frozen=True, slots=True)
class PodPlaces:
    """What every pod has.

    Attributes:
        files: that are mounted in the working directory.
        folder: that they come from.
        weights: folder of the mounted weights; None without.
        prompts: names of the built-in prompts.
    """

    files: FileSet
    folder: Path
    weights: str | None
    prompts: Collection[str]

    def check(self, config: BaseModel, source: str) -> None:
        """Refuse a config that names what no pod has, or what goes with the pods.

        Args:
            config: that was checked by itself.
            source: its file, for messages.

        Raises:
            ConfigError: one line per field.
        """
        found = list(places(config))
        faults = [(place.key, fault) for place in found for fault in self._faults(place)]
        if self.weights is not None and not any(self._in_weights(each.text) for each in found):
            named = ", ".join(each.text for each in found if each.field in _LOADED)
            faults.append(
                ("weights.path", f"nothing reads from {self.weights}; models are {named or 'none'}")
            )
        if faults:
            raise ConfigError("\n".join(f"{source}: {key}: {fault}" for key, fault in faults))

    def _faults(self, place: Place) -> Iterator[str]:
        shown = shortened(place.text)
        if place.text.startswith("s3://") or place.is_elsewhere:
            return
        if "://" in place.text:
            yield f"{shown} is no s3:// URI"
        elif place.field in _WRITTEN:
            yield f"{shown} would go with the pods: name an s3:// URI"
        elif self._in_weights(place.text):
            return
        elif place.field in _PROMPTS:
            if place.text not in self.prompts and not self._is_file(place.text):
                yield f"{shown} is no built-in prompt and not among the files: name it in files"
        elif place.field == _EXAMPLES:
            if self._is_file(place.text):
                yield from self._missing_clips(place.text)
            else:
                yield f"{shown} is not among the files: name it in files"
        elif self._is_file(place.text) or self._is_folder(place.text):
            return
        elif place.field in _LOADED and place.text.startswith("/"):
            return  # the image may have it
        elif place.is_hub_model and self._is_named(place.text):
            return
        else:
            yield (
                f"{shown} is on no pod: name an s3:// URI, a path below weights.path, or small "
                "files in files"
            )

    def _in_weights(self, text: str) -> bool:
        return self.weights is not None and f"{posixpath.normpath(text)}/".startswith(
            f"{self.weights}/"
        )

    def _is_file(self, text: str) -> bool:
        return _relative(text) in self.files.contents

    def _is_folder(self, text: str) -> bool:
        return any(path.startswith(f"{_relative(text)}/") for path in self.files.contents)

    def _is_named(self, text: str) -> bool:
        """Whether it is the name of a bundled model or of one on the hub, and of no folder here."""
        is_hub_id = _LIKE_A_HUB_ID.fullmatch(text) and not (self.folder / text).is_dir()
        return text in BUNDLED_CHECKPOINTS or bool(is_hub_id)

    def _missing_clips(self, path: str) -> Iterator[str]:
        """Clips that solved examples are measured by, beside them."""
        content = self.files.contents[_relative(path)]
        for number, line in enumerate(content.split(b"\n"), start=1):
            try:
                example = json.loads(line) if line.strip() else None
            except ValueError as error:
                yield f"{path} line {number}: is not JSON: {error}"
                continue
            clip = example.get("audio") if isinstance(example, dict) else None
            if isinstance(clip, str):
                beside = posixpath.join(posixpath.dirname(path), clip)
                if not self._is_file(beside) and not self._in_weights(clip):
                    yield f"{path} line {number}: audio {shortened(clip)} is not among the files"


def _relative(text: str) -> str:
    """A path in the working directory's own terms."""
    return posixpath.relpath(posixpath.join(MOUNTED_AT, text), MOUNTED_AT)


def places(config: BaseModel, prefix: str = "") -> Iterator[Place]:
    """Every text of a config that may be a path, in the order of its fields."""
    for name, field in type(config).model_fields.items():
        is_path = name in _PLAIN_TEXTS or _is_path(field)
        yield from _places_in(config, name, f"{prefix}{name}", getattr(config, name), is_path)


def _places_in(
    owner: BaseModel, field: str, key: str, value: object, is_path: bool
) -> Iterator[Place]:
    if isinstance(value, BaseModel):
        yield from places(value, f"{key}.")
    elif isinstance(value, tuple):
        for number, item in enumerate(value):
            yield from _places_in(owner, field, f"{key}.{number}", item, is_path)
    elif isinstance(value, str) and is_path:
        yield Place(key, owner, field, value)


def _is_path(field: FieldInfo) -> bool:
    return _IS_PATH in field.metadata or _IS_PATH in _parts(field.annotation)


def _parts(annotation: object) -> list[object]:
    inner = get_args(annotation)
    return [*inner, *(part for each in inner for part in _parts(each))]
