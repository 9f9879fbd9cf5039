"""Corpora as people have them on disk, one layout per file, imported only when asked for.

To add one: a class in a file of its own, a line in :data:`CORPORA`, and a test.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping

from pydantic import ValidationError

from raypipe.corpora.base import Corpus, Selection
from raypipe.errors import ConfigError
from raypipe.labels import LabelSet
from raypipe.shards import ShardIndex, write_shards
from raypipe.store.location import Location
from raypipe.votes import VotePolicy

CORPORA: Mapping[str, str] = {
    "crema-d": "raypipe.corpora.crema_d:CremaD",
    "emodb": "raypipe.corpora.emodb:EmoDb",
    "iemocap": "raypipe.corpora.iemocap:Iemocap",
    "meld": "raypipe.corpora.meld:Meld",
    "msp-improv": "raypipe.corpora.msp_improv:MspImprov",
    "msp-podcast": "raypipe.corpora.msp_podcast:MspPodcast",
    "ravdess": "raypipe.corpora.ravdess:Ravdess",
}
"""Where the adapter of each corpus lives, as ``module:class``."""


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
    """One of a corpus's usual selections, the default one without a name.

    Raises:
        ConfigError: for an unknown name.
    """
    if name is None:
        return next(iter(corpus.selections.values()))
    if name not in corpus.selections:
        known = ", ".join(corpus.selections)
        raise ConfigError(f"corpus {corpus.name} has no selection {name!r}; it has: {known}")
    return corpus.selections[name]


def ingest_corpus(
    corpus: Corpus,
    source: Location,
    destination: Location,
    *,
    labels: LabelSet | None = None,
    policy: VotePolicy | None = None,
    selected: str | None = None,
) -> ShardIndex:
    """Write a corpus as shards, with its failures and what the selection leaves out.

    Args:
        corpus: from :func:`load_corpus`.
        source: its folder.
        destination: where the shards go, see :func:`raypipe.shards.write_shards`.
        labels: a label set in place of the selection's.
        policy: a policy in place of the selection's.
        selected: name of a selection; default: the corpus's first.

    Raises:
        ConfigError: for an unknown selection, or one that the labels do not fit.
        CorpusError: if the corpus cannot be read as a whole.
        StoreError: if the storage refuses.
    """
    chosen = selection(corpus, selected)
    options = ", ".join(f"{key}={value}" for key, value in corpus.model_dump().items())
    return write_shards(
        corpus.read(source),
        destination,
        labels or chosen.labels,
        fixed_sentences=corpus.fixed_sentences,
        policy=policy or chosen.policy,
        source=f"{corpus.title} ({options})" if options else corpus.title,
    )
