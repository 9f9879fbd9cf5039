"""Loading a family's transformers processor without its processors of images and videos."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from raypipe.errors import ConfigError, RaypipeError, UnsupportedError
from raypipe.installation import install_hint

if TYPE_CHECKING:
    from transformers import FeatureExtractionMixin, ProcessorMixin

    from raypipe.engines.families.family import Family


_MOST_CHARACTERS = 200
"""Of what a library says about a file that it cannot use."""


@contextmanager
def in_one_line(model_path: str, what: str) -> Iterator[None]:
    """Context in which whatever a library says of a checkpoint becomes one line.

    Args:
        model_path: of the checkpoint.
        what: is done with it, as the message says it cannot be.

    Raises:
        ConfigError: for every error that is not raypipe's own.
    """
    try:
        yield
    except RaypipeError:
        raise
    except Exception as error:  # tokenizers, jinja and a dozen loaders: each fails in its own way
        said = " ".join(str(error).split())
        if len(said) > _MOST_CHARACTERS:
            said = f"{said[:_MOST_CHARACTERS]} …"
        raise ConfigError(f"model {model_path}: {what}: {type(error).__name__}: {said}") from error


class _NoImageProcessor(dict[str, object]):
    """Stand-in for a processor of images or videos, of which none are given here.

    These would need torchvision, which not every machine has.
    """

    merge_size = 1


def load_processor(family: Family, model_path: str, origin: Mapping[str, object]) -> ProcessorMixin:
    """A family's transformers processor with its tokenizer and feature extractor alone.

    Raises:
        UnsupportedError: if a package is missing that the processor needs.
    """
    import transformers

    processor_class: Any = getattr(transformers, str(family.processor))

    class AudioOnly(processor_class):  # type: ignore[misc]
        @classmethod
        def _get_arguments_from_pretrained(
            cls, path: str, *_: object, **__: object
        ) -> list[object]:
            return [_load_part(name, path, origin) for name in cls.get_attributes()]

        def check_argument_for_proper_class(self, name: str, part: object) -> object:
            if isinstance(part, _NoImageProcessor):
                return None
            return super().check_argument_for_proper_class(name, part)

    try:
        return AudioOnly.from_pretrained(model_path, **_known(origin))
    except ImportError as error:
        raise missing_package(family, error) from error


def missing_package(family: Family, error: ImportError) -> UnsupportedError:
    """What to raise where a family needs a package that is not installed."""
    hint = "" if family.extra is None else f": {install_hint(family.extra)}"
    return UnsupportedError(f"{family.name} needs a package that is missing: {error}{hint}")


def feature_extractor(processor: ProcessorMixin) -> FeatureExtractionMixin:
    """The feature extractor of a processor.

    Raises:
        UnsupportedError: if it has none.
    """
    for name in ("feature_extractor", "audio_processor"):
        if hasattr(processor, name):
            return getattr(processor, name)
    raise UnsupportedError(f"{type(processor).__name__} has no feature extractor")


def _load_part(name: str, path: str, origin: Mapping[str, object]) -> object:
    from transformers import AutoFeatureExtractor, AutoTokenizer

    if "image" in name or "video" in name:
        return _NoImageProcessor()
    if "tokenizer" in name:
        return AutoTokenizer.from_pretrained(path, **origin)
    return AutoFeatureExtractor.from_pretrained(path, **origin)


def _known(origin: Mapping[str, object]) -> dict[str, object]:
    # A revision of None would be looked up as such.
    return {name: value for name, value in origin.items() if value is not None}
