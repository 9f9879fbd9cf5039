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
)
from raypipe.records.corpus import AudioMarks, Descriptors, Failure, Stage, Utterance, Vote

__all__ = [
    "NO_PENALTIES",
    "AlphaKind",
    "AskedPenalties",
    "AskedQuestion",
    "AudioMarks",
    "ChatInput",
    "Descriptors",
    "EmotionKind",
    "EmotionTokens",
    "EmotionWord",
    "Failure",
    "FinishReason",
    "FloatArray",
    "Generation",
    "Grammar",
    "GrammarKind",
    "Hypothesis",
    "HypothesisKind",
    "IntArray",
    "ModelInput",
    "Parsed",
    "Penalties",
    "Prediction",
    "Request",
    "Search",
    "Stage",
    "Utterance",
    "Vote",
]
