"""The schema of every table, and what its schema-level metadata says.

Distributions are lists aligned with the label set, which stands in the column ``labels`` of every
table that has any, and once per object under ``raypipe.labels``; a shard has only the latter.
Columns are nullable unless a key. ``model`` and ``prompt`` stand in the path of an object and in
its metadata, not in its columns: see :mod:`raypipe.store.objects`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import pyarrow as pa

from raypipe.errors import RegistryError, ShardError
from raypipe.labels import LabelSet
from raypipe.metrics.registry import COLUMNS
from raypipe.records import EmotionTokens, EmotionWord, OptionOrder
from raypipe.strategies.registry import SETTINGS as STRATEGY_SETTINGS

VERSION = 2
"""Version of the layout of shards and tables; of version 1 what it lacks reads as null."""

LABELS_KEY = "raypipe.labels"
EMOTION_TOKENS_KEY = "raypipe.emotion_words"
OPTIONS_KEY = "raypipe.options"

# On the corpus's own scale; objects written before these fields existed read as null.
_ATTRIBUTES = [(name, pa.float64()) for name in ("arousal", "valence", "dominance")]
_VOTE = pa.struct(
    [
        ("annotator", pa.string()),
        ("labels", pa.list_(pa.string())),
        ("typed", pa.string()),
        *_ATTRIBUTES,
    ]
)
_VOTES = pa.list_(_VOTE)
_PROBS = pa.list_(pa.float64())

# The names that the distributions of a row are aligned with: a reader of the column alone, in
# whatever program, needs nothing of a file's metadata.
LABEL_NAMES = ("labels", pa.list_(pa.string()))

_KINDS = {bool: pa.bool_(), int: pa.int64(), float: pa.float64(), str: pa.string()}

# What an ingest notes of a recording and of a manifest's other columns; null where it did not.
_NOTES = [
    (
        "audio_marks",
        pa.struct(
            [
                ("peak", pa.float64()),  # of full scale
                ("rms", pa.float64()),  # of full scale
                ("clipped_share", pa.float64()),
                ("silent", pa.bool_()),
                ("channel_correlation", pa.float64()),
                ("note", pa.string()),  # what was mended of its container
            ]
        ),
    ),
    ("facts", pa.map_(pa.string(), pa.string())),
]

_QUESTION = pa.struct(
    [
        ("question", pa.string()),
        ("window", pa.int32()),
        ("window_s", pa.float64()),
        ("beam_count", pa.int16()),
        ("prompt_tokens", pa.int32()),
        ("error_type", pa.string()),  # null for one that was answered
        ("error_message", pa.string()),
    ]
)

_HYPOTHESIS = pa.struct(
    [
        ("kind", pa.string()),
        ("rank", pa.int16()),
        ("text", pa.string()),
        ("token_ids", pa.list_(pa.int32())),
        ("token_logprobs", pa.list_(pa.float32())),
        ("alpha", pa.float64()),
        ("search_score", pa.float64()),  # what the search ranked by; null where it is alpha
        ("finish_reason", pa.string()),
        ("verifier_score", pa.float64()),
        ("verifier_text", pa.string()),
        ("alpha_kind", pa.string()),
        ("emotion_kind", pa.string()),
        ("sampled", pa.bool_()),
        ("step_count", pa.int32()),
        ("verifier_error", pa.string()),
        ("verifier_call", pa.int32()),
        ("verifier_tokens", pa.int32()),
        ("prompt_tokens", pa.int32()),
        ("beam_count", pa.int16()),
        ("window", pa.int32()),
        ("window_s", pa.float64()),
    ]
)

_TRUTH = [
    ("soft_label", _PROBS),
    ("plurality", pa.string()),
    ("n_votes", pa.int64()),
]

SHARD = pa.schema(
    [
        pa.field("utterance_id", pa.string(), nullable=False),
        ("dataset", pa.string()),
        ("split", pa.string()),
        ("speaker", pa.string()),
        pa.field("audio", pa.binary(), nullable=False),
        ("sampling_rate", pa.int32()),  # Hz
        ("duration_s", pa.float64()),
        ("transcript", pa.string()),
        ("context", pa.list_(pa.string())),
        ("votes", _VOTES),
        *_TRUTH,
        ("consensus", pa.string()),
        *_ATTRIBUTES,
        *_NOTES,
    ]
)
"""Input: one row per utterance, encoded audio inside."""

# What generations/ and features/ keep of an utterance, so that no shard is read again.
_ASKED_ABOUT = [
    pa.field("run", pa.string(), nullable=False),
    ("utterance_id", pa.string()),
    pa.field("model", pa.string(), nullable=False),
    pa.field("prompt", pa.string(), nullable=False),
    ("dataset", pa.string()),
    ("split", pa.string()),
    ("speaker", pa.string()),
    ("sampling_rate", pa.int32()),
    ("duration_s", pa.float64()),
    ("transcript", pa.string()),
    ("context", pa.list_(pa.string())),
    ("votes", _VOTES),
    LABEL_NAMES,
    *_TRUTH,
    *_NOTES,
]

GENERATIONS = pa.schema(
    [
        *_ASKED_ABOUT,
        *_ATTRIBUTES,
        ("questions", pa.list_(_QUESTION)),
        ("hypotheses", pa.list_(_HYPOTHESIS)),
        # A column of its own, aligned with hypotheses: hypotheses x steps x recorded tokens.
        ("emotion_logits", pa.list_(pa.list_(pa.list_(pa.float32())))),
        ("emotion_token_ids", pa.list_(pa.int32())),
        ("emotion_token_strings", pa.list_(pa.string())),
        ("prompt_tokens", pa.int32()),
        ("audio_tokens", pa.int32()),
        ("heard_s", pa.float64()),  # less than duration_s where a long clip was cut
        ("batch_size", pa.int32()),  # utterances decoded together
        ("error_stage", pa.string()),
        ("error_type", pa.string()),
        ("error_message", pa.string()),
    ]
)
"""What the model said: one row per input row in input order, good or failed."""

FEATURES = pa.schema(
    [
        *_ASKED_ABOUT,
        ("heard_s", pa.float64()),  # less than duration_s where a long clip was cut
        ("frames", pa.int32()),
        ("mean", pa.list_(pa.list_(pa.float32()))),  # over the frames: layers x width
        ("std", pa.list_(pa.list_(pa.float32()))),
        ("error_stage", pa.string()),
        ("error_type", pa.string()),
        ("error_message", pa.string()),
    ]
)
"""What a frozen encoder makes of a clip: one row per input row in input order, good or failed.

``model`` is the encoder, ``prompt`` how much of a clip it heard."""

LABELS = pa.schema(
    [
        pa.field("run", pa.string(), nullable=False),
        pa.field("utterance_id", pa.string(), nullable=False),
        pa.field("model", pa.string(), nullable=False),
        pa.field("prompt", pa.string(), nullable=False),
        ("dataset", pa.string()),
        ("split", pa.string()),
        ("speaker", pa.string()),
        ("n_votes", pa.int64()),
        ("words", pa.list_(pa.string())),  # one typed description per annotator
        LABEL_NAMES,
        ("reference", _PROBS),
        ("reference_sum", pa.float64()),  # as it was given, before it was normalised
        ("answered", _PROBS),  # the model's distribution, normalised; null where it was not used
        ("adjusted", _PROBS),  # what takes the reference's place, smoothed where that was asked
        pa.field("status", pa.string(), nullable=False),  # adjusted, left or not_asked
        ("changed", pa.bool_()),  # whether the answer differs from the reference
        ("shift", pa.float64()),  # total variation between answer and reference
        ("flagged", pa.bool_()),  # whether the shift is beyond the limit
        ("reason", pa.string()),
        ("reason_words", pa.int32()),
        ("attempts", pa.int32()),  # requests that it stood in
        ("faults", pa.list_(pa.string())),  # why earlier answers could not be used, in order
        ("prompt_hash", pa.string()),  # SHA-256 of the template and what fills it
    ]
)
"""A relabelled corpus: one row per utterance with a reference distribution. ``left`` was asked and
never answered in a way that could be used, so that the reference stands."""

UTTERANCE_METRICS = ("true_entropy", *COLUMNS)
"""Columns of ``predictions/`` that compare with the truth: its entropy and the metrics."""

PREDICTIONS = pa.schema(
    [
        pa.field("run", pa.string(), nullable=False),
        pa.field("utterance_id", pa.string(), nullable=False),
        ("dataset", pa.string()),
        ("split", pa.string()),
        ("speaker", pa.string()),
        ("duration_s", pa.float64()),
        pa.field("model", pa.string(), nullable=False),
        pa.field("prompt", pa.string(), nullable=False),
        pa.field("strategy", pa.string(), nullable=False),
        LABEL_NAMES,
        ("probs", _PROBS),
        ("predicted", pa.string()),  # null where several labels have the largest share
        pa.field("valid", pa.bool_(), nullable=False),
        ("parse_rule", pa.string()),
        ("invalid_reason", pa.string()),
        ("dropped_share", pa.float64()),  # of labels outside the set; null where no text was read
        ("entropy", pa.float64()),  # bits
        ("total_uncertainty", pa.float64()),  # nats, as the two below
        ("aleatoric_uncertainty", pa.float64()),
        ("epistemic_uncertainty", pa.float64()),
        ("covariance", pa.list_(_PROBS)),  # of the shares, labels x labels, as a mixture has them
        ("weighting", pa.string()),
        ("model_tokens", pa.int64()),  # null where an endpoint does not say
        ("verifier_calls", pa.int64()),
        ("escalated", pa.bool_()),  # null but for adaptive
        ("label_set", pa.list_(pa.string())),  # null but for conformal
        *_TRUTH,
        ("votes_union", pa.list_(pa.string())),  # labels that any annotator gave
        ("votes_primary", pa.list_(pa.string())),  # and those that any gave first
        *_NOTES,
        *_ATTRIBUTES,  # the annotators' means; null where the corpus has none
        *((f"predicted_{name}", kind) for name, kind in _ATTRIBUTES),
        ("attributes_reason", pa.string()),  # why an answer about them is invalid
        *((name, pa.float64()) for name in UTTERANCE_METRICS),
    ]
)
"""One row per utterance and strategy; ``true_entropy`` is in bits."""

METRICS = pa.schema(
    [
        ("model", pa.string()),
        ("prompt", pa.string()),
        ("strategy", pa.string()),
        ("slice", pa.string()),
        ("metric", pa.string()),
        ("versus", pa.string()),  # the strategy a paired difference is taken against
        ("value", pa.float64()),
        ("ci_low", pa.float64()),
        ("ci_high", pa.float64()),
        ("n", pa.int64()),
        ("n_invalid", pa.int64()),
        ("labels", pa.string()),  # the label table measured against; null for the corpus's own
        ("note", pa.string()),  # what a reader has to know; why there is no interval
        ("p_value", pa.float64()),  # of a paired difference, not corrected; null of the others
    ]
)
"""One row per model, prompt, strategy, slice and metric, once for every label table."""

_OF_A_VARIANT = pa.schema(
    [
        pa.field("strategy", pa.string(), nullable=False),  # as in predictions and metrics
        pa.field("rule", pa.string(), nullable=False),  # the strategy without its settings
        ("beam_count", pa.int64()),
        ("sub_beams", pa.int64()),
    ]
)

for _name in set(_OF_A_VARIANT.names) & STRATEGY_SETTINGS.keys():
    raise RegistryError(f"setting {_name}: the settings table has another column of that name")

SETTINGS = pa.schema(
    [
        *_OF_A_VARIANT,
        *((name, _KINDS[type(setting.default)]) for name, setting in STRATEGY_SETTINGS.items()),
    ]
)
"""What the strategy names of a reaggregation stand for: one row per name, null for a setting that
the strategy does not use. ``sub_beams`` of the ``beam_count`` beams of a search were read; null
for all. The other columns are the settings of all strategies."""

ERRORS = pa.schema(
    [
        pa.field("run", pa.string(), nullable=False),
        ("shard", pa.string()),
        ("utterance_id", pa.string()),
        ("row", pa.int64()),
        pa.field("stage", pa.string(), nullable=False),
        pa.field("error_type", pa.string(), nullable=False),
        pa.field("message", pa.string(), nullable=False),
        pa.field("utterances", pa.int64(), nullable=False),
        ("model", pa.string()),
        ("prompt", pa.string()),
        (
            "refusal",
            pa.bool_(),
        ),  # of the input for what it is; else raypipe, engine or model failed
    ]
)
"""One row per failed input. ``row`` counts from 0 in a shard and is the line of a manifest;
``utterances`` is the number of inputs it stands for: 1, or all rows of an unreadable shard. An
ingest knows neither ``model`` nor ``prompt``."""


def with_metadata(schema: pa.Schema, metadata: Mapping[str, str]) -> pa.Schema:
    """The schema with these entries added to its metadata."""
    return schema.with_metadata({**metadata_of(schema), **metadata})


def labels_metadata(labels: LabelSet) -> dict[str, str]:
    """The metadata entry that names the label set."""
    return {LABELS_KEY: json.dumps(labels.names)}


def labels_of(schema: pa.Schema) -> LabelSet | None:
    """The label set named in a schema's metadata, or None.

    Raises:
        ShardError: if there is an entry that is not a list of labels.
    """
    value = metadata_of(schema).get(LABELS_KEY)
    if value is None:
        return None
    try:
        names = json.loads(value)
    except ValueError as error:
        raise ShardError(f"{LABELS_KEY} in the metadata is not JSON: {value[:80]!r}") from error
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ShardError(f"{LABELS_KEY} in the metadata is not a list of labels: {value[:80]!r}")
    return LabelSet(tuple(names))


def emotion_tokens_metadata(tokens: EmotionTokens) -> dict[str, str]:
    """The metadata entry that holds the recorded words and their tokens."""
    document = {
        "words": [[word.label, word.form, list(word.token_ids)] for word in tokens.words],
        "token_ids": list(tokens.token_ids),
        "token_strings": list(tokens.token_strings),
    }
    return {EMOTION_TOKENS_KEY: json.dumps(document)}


def emotion_tokens_of(schema: pa.Schema) -> EmotionTokens | None:
    """The recorded words and tokens of a ``generations/`` object, or None if none are named."""
    value = metadata_of(schema).get(EMOTION_TOKENS_KEY)
    if value is None:
        return None
    document = json.loads(value)
    return EmotionTokens(
        words=tuple(EmotionWord(label, form, tuple(ids)) for label, form, ids in document["words"]),
        token_ids=tuple(document["token_ids"]),
        token_strings=tuple(document["token_strings"]),
    )


def options_metadata(order: OptionOrder | None) -> dict[str, str]:
    """The metadata entry that says how a closed form offered its options; none for another form."""
    return {} if order is None else {OPTIONS_KEY: json.dumps({"seed": order.seed})}


def option_order_of(schema: pa.Schema) -> OptionOrder | None:
    """The order of options in a ``generations/`` object; None if its prompt has none."""
    value = metadata_of(schema).get(OPTIONS_KEY)
    return None if value is None else OptionOrder(json.loads(value)["seed"])


def metadata_of(schema: pa.Schema) -> dict[str, str]:
    """The entries of a schema's metadata as text."""
    return {
        str(key, "utf-8", "replace"): str(value, "utf-8", "replace")
        for key, value in (schema.metadata or {}).items()
    }
