"""Views over a run's tables for SQL: what the tables hold as aligned lists has a row each here."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Final

import pyarrow as pa

from raypipe.labels import LabelSet
from raypipe.store.schemas import GENERATIONS

VIEWS: Final[Mapping[str, str]] = {
    "distributions": "utterance, strategy and label: predicted share and the annotators' (truth)",
    "hypotheses": "answer of a model: its question, text, tokens, likelihood, emotion logits",
    "utterances": "utterance: its speaker, transcript, votes and soft label",
    "confusion": "model, prompt, strategy and pair of labels: number of utterances",
}
"""Views by name: what one row of each is about."""

_UTTERANCE: Final = (
    *("run", "utterance_id", "dataset", "split", "speaker", "sampling_rate", "duration_s"),
    *("transcript", "context", "votes", "labels", "soft_label", "plurality", "n_votes"),
    *("audio_marks", "facts"),
)
# Tables with a row per utterance, by how much they say of it.
_TELLING: Final = ("generations", "features", "predictions", "labels")

_HYPOTHESIS: Final[pa.DataType] = GENERATIONS.field("hypotheses").type.value_type


def view_queries(
    schemas: Mapping[str, pa.Schema], labels: LabelSet | None, called: Callable[[str], str]
) -> Mapping[str, str]:
    """The queries behind the views that a run's tables make possible.

    Args:
        schemas: of the tables that the run holds, by table.
        labels: of the run, for tables of a version without a column of them; None if unknown.
        called: what a table is called in SQL.

    Returns:
        SQL by the name of the view.
    """
    names = "labels" if labels is None else f"coalesce(labels, [{_texts(labels.names)}])"
    queries: dict[str, str] = {}
    if "predictions" in schemas:
        queries["distributions"] = _distributions(called("predictions"), names)
        queries["confusion"] = _confusion(called("predictions"), names)
    if "generations" in schemas:
        queries["hypotheses"] = _hypotheses(called("generations"), schemas["generations"])
    told_by = next((table for table in _TELLING if table in schemas), None)
    if told_by is not None:
        queries["utterances"] = _utterances(called(told_by), schemas[told_by], names)
    return queries


def quoted(name: str) -> str:
    """A name as an SQL identifier, whatever it holds."""
    return '"' + name.replace('"', '""') + '"'


def text_literal(text: str) -> str:
    """A text as an SQL literal, whatever it holds."""
    return "'" + text.replace("'", "''") + "'"


def _texts(texts: Collection[str]) -> str:
    return ", ".join(map(text_literal, texts))


def _distributions(predictions: str, names: str) -> str:
    return f"""
        SELECT run, utterance_id, dataset, split, speaker, model, prompt, strategy,
            unnest({names}) AS label, unnest(probs) AS share, unnest(soft_label) AS truth
        FROM {predictions}
    """


def _confusion(predictions: str, names: str) -> str:
    """Labels that share the largest probability share the utterance, too."""
    credit = "[CASE WHEN p = list_max(probs) THEN 1.0 ELSE 0.0 END FOR p IN probs]"
    return f"""
        SELECT run, model, prompt, strategy, truth, predicted, sum(credit) AS n
        FROM (
            SELECT run, model, prompt, strategy, plurality AS truth, unnest({names}) AS predicted,
                unnest([c / list_sum({credit}) FOR c IN {credit}]) AS credit
            FROM {predictions}
            WHERE valid AND plurality IS NOT NULL
        )
        GROUP BY ALL
        ORDER BY ALL
    """


def _hypotheses(generations: str, schema: pa.Schema) -> str:
    stored = {field.name for field in schema.field("hypotheses").type.value_type}
    # Version 1 kept the logits inside the hypotheses. They are picked by position, as a column that
    # is unnested is read whole even by a query that does not name it.
    own = "hypothesis.emotion_logits" if "emotion_logits" in stored else "NULL"
    fields = ", ".join(f"hypothesis.{quoted(field.name)}" for field in _HYPOTHESIS)
    return f"""
        SELECT run, utterance_id, dataset, split, speaker, model, prompt, {fields},
            coalesce(emotion_logits[position], {own}) AS emotion_logits,
            emotion_token_ids, emotion_token_strings
        FROM (
            SELECT *, unnest(hypotheses) AS hypothesis,
                generate_subscripts(hypotheses, 1) AS position
            FROM {generations}
        )
    """


def _utterances(table: str, schema: pa.Schema, names: str) -> str:
    columns = [name for name in _UTTERANCE if name in schema.names]
    kept = ", ".join(f"{names} AS labels" if name == "labels" else name for name in columns)
    # A row that failed may know nothing but the id: another prompt's row knows more.
    fullest = "sampling_rate IS NULL, " if "sampling_rate" in columns else ""
    return f"""
        SELECT DISTINCT ON (utterance_id) {kept}
        FROM {table}
        WHERE utterance_id IS NOT NULL
        ORDER BY utterance_id, {fullest}model, prompt
    """
