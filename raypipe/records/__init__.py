"""The records that travel between rooms: frozen, typed, free of any back end."""

from raypipe.records.answers import (
    AlphaKind,
    AskedQuestion,
    EmotionKind,
    FinishReason,
    Generation,
    Hypothesis,
    HypothesisKind,
    Parsed,
    Prediction,
)
from raypipe.records.arrays import FloatArray, IntArray
from raypipe.records.asking import (
    NO_PENALTIES,
    AskedPenalties,
    ChatInput,
    EmotionTokens,
    EmotionWord,
    Grammar,
    GrammarKind,
    ModelInput,
    Penalties,
    Request,
    Search,
    Turn,
    WrittenTurn,
)
from raypipe.records.corpus import (
    AudioMarks,
    Descriptors,
    Failure,
    Stage,
    Utterance,
    Vote,
    is_refusal,
)
from raypipe.records.explained import ExplainedAnswer
from raypipe.records.features import LayerStatistics
from raypipe.records.label_table import OWN_LABELS, LabelTable

__all__ = [
    "NO_PENALTIES",
    "OWN_LABELS",
    "AlphaKind",
    "AskedPenalties",
    "AskedQuestion",
    "AudioMarks",
    "ChatInput",
    "Descriptors",
    "EmotionKind",
    "EmotionTokens",
    "EmotionWord",
    "ExplainedAnswer",
    "Failure",
    "FinishReason",
    "FloatArray",
    "Generation",
    "Grammar",
    "GrammarKind",
    "Hypothesis",
    "HypothesisKind",
    "IntArray",
    "LabelTable",
    "LayerStatistics",
    "ModelInput",
    "Parsed",
    "Penalties",
    "Prediction",
    "Request",
    "Search",
    "Stage",
    "Turn",
    "Utterance",
    "Vote",
    "WrittenTurn",
    "is_refusal",
]
