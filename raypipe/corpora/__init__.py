"""Adapters of corpora, one per file, imported only when asked for.

To add one: a class in a file of its own, a line in :data:`CORPORA`, and a test.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping

from pydantic import ValidationError

from raypipe.corpora.base import Corpus, Selection
from raypipe.errors import ConfigError

CORPORA: Mapping[str, str] = {
    "crema-d": "raypipe.corpora.crema_d:CremaD",
    "emodb": "raypipe.corpora.emodb:EmoDb",
    "iemocap": "raypipe.corpora.iemocap:Iemocap",
    "meld": "raypipe.corpora.meld:Meld",
    "msp-improv": "raypipe.corpora.msp_improv:MspImprov",
    "msp-podcast": "raypipe.corpora.msp_podcast:MspPodcast",
    "ravdess": "raypipe.corpora.ravdess:Ravdess",
}
"""Adapter of each corpus by name, as ``module:class``."""


def load_corpus(name: str, options: Mapping[str, object] | None = None) -> Corpus:
    """A corpus's adapter with its options.

    Args:
        name: a key of :data:`CORPORA`.
        options: values of the adapter's fields; texts, as from a command line, are converted.

    Raises:
        ConfigError: for an unknown corpus or option, or a value that an option does not take.
    """
    if name not in CORPORA:
        raise ConfigError(f"unknown corpus {name!r}; known: {', '.join(CORPORA)}")
    module, _, attribute = CORPORA[name].partition(":")
    adapter: type[Corpus] = getattr(importlib.import_module(module), attribute)
    try:
        return adapter.model_validate(dict(options or {}))
    except ValidationError as error:
        first = error.errors()[0]
        known = ", ".join(adapter.model_fields) or "none"
        option = ".".join(map(str, first["loc"]))
        raise ConfigError(
            f"corpus {name}: option {option}: {first['msg']}; its options: {known}"
        ) from error


def selection(corpus: Corpus, name: str | None = None) -> Selection:
    """A selection of a corpus, the default one without a name.

    Raises:
        ConfigError: for an unknown name.
    """
    if name is None:
        return next(iter(corpus.selections.values()))
    if name not in corpus.selections:
        known = ", ".join(corpus.selections)
        raise ConfigError(f"corpus {corpus.name} has no selection {name!r}; it has: {known}")
    return corpus.selections[name]
