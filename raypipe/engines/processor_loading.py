"""Loading a family's transformers processor without what it would look at pictures with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import transformers

from raypipe.engines.families import Family
from raypipe.errors import UnsupportedError


class _NoEyes(dict[str, object]):
    """Stands where a processor of images or videos would: nothing is ever seen here.

    These would need torchvision, which not every machine has.
    """

    merge_size = 1


def load_processor(family: Family, model_path: str, origin: Mapping[str, Any]) -> Any:
    """A family's transformers processor with its tokenizer and its ears, without its eyes.

    Raises:
        UnsupportedError: if a package is missing that the processor needs.
    """
    kind: Any = getattr(transformers, str(family.processor))

    class Blind(kind):  # type: ignore[misc]
        @classmethod
        def _get_arguments_from_pretrained(cls, path: str, *_: Any, **__: Any) -> list[Any]:
            return [_load_part(name, path, origin) for name in cls.get_attributes()]

        def check_argument_for_proper_class(self, name: str, part: Any) -> Any:
            if isinstance(part, _NoEyes):
                return None
            return super().check_argument_for_proper_class(name, part)

    try:
        return Blind.from_pretrained(model_path, **_known(origin))
    except ImportError as error:
        raise UnsupportedError(f"{family.name} needs a package that is missing: {error}") from error


def ears(processor: Any) -> Any:
    """The feature extractor of a processor.

    Raises:
        UnsupportedError: if it has none.
    """
    for name in ("feature_extractor", "audio_processor"):
        if hasattr(processor, name):
            return getattr(processor, name)
    raise UnsupportedError(f"{type(processor).__name__} has no feature extractor")


def _load_part(name: str, path: str, origin: Mapping[str, Any]) -> Any:
    if "image" in name or "video" in name:
        return _NoEyes()
    if "tokenizer" in name:
        return transformers.AutoTokenizer.from_pretrained(path, **origin)
    return transformers.AutoFeatureExtractor.from_pretrained(path, **origin)


def _known(origin: Mapping[str, Any]) -> dict[str, Any]:
    # A revision of None would be looked up as such.
    return {name: value for name, value in origin.items() if value is not None}
