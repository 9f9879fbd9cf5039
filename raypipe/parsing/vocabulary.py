"""Words that say what a number, a key or a label in an answer is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final


def word_set(text: str) -> frozenset[str]:
    """The words of a text that blanks part."""
    return frozenset(text.split())


SHARE_NOUNS: Final = (
    *("probability", "probabilities", "prob", "p", "share", "percentage", "percent", "percents"),
    *("proportion", "score", "likelihood", "likeliness", "weight", "value", "chance", "odds"),
    *("distribution", "fraction", "amount", "votes", "vote", "count", "val", "pct", "mass"),
)
"""Nouns and keys that say that a number is a label's share, the more certain ones first."""

WEAK_NOUNS: Final = ("confidence", "certainty", "conf", "intensity", "strength", "level", "degree")
"""Nouns of numbers that are shares only where every label has its own."""

MEASURES: Final = word_set(
    "accuracy precision recall f1 loss losses error errors change changes delta distance logit "
    "logits variance std deviation ci interval gain bias divergence threshold thresholds"
)
"""Nouns of numbers that measure something about a label, and are never its share."""

OTHER_NOUNS: Final = MEASURES | word_set(
    "total sum valence arousal dominance activation pitch energy f0 loudness volume tempo rate "
    "speed duration length time timestamp start end begin step steps speaker segment window "
    "part clip id index idx rank ranking order no number age year years seed version "
    "temperature turn sentence line item option scale range hz khz db pause pauses "
    "jitter shimmer snr entropy margin ok success speech_rate seconds second frame "
    "position top page question round utterance sample file channel overall_confidence quality "
    "frequency emotion_count n k reliability consistency agreement"
)
"""Nouns and keys of numbers that are no shares."""

COUNTERS: Final = word_set(
    "speaker segment step part clip turn sentence line option question round version window "
    "frame top number no page position item sample file channel utterance rank"
)
"""Nouns that a number right behind them only numbers: speaker 2."""

ANSWER_KEYS: Final[Mapping[str, int]] = {
    **dict.fromkeys(("final", "finalanswer", "finalemotion", "finallabel", "finalprediction"), 3),
    **dict.fromkeys(("finaldistribution", "finalresult"), 3),
    **dict.fromkeys(("answer", "prediction", "predicted", "predictedemotion", "output"), 2),
    **dict.fromkeys(("result", "response", "overall", "combined", "verdict", "conclusion"), 2),
    **dict.fromkeys(("overallemotion", "dominantemotion", "primaryemotion", "mainemotion"), 2),
    **dict.fromkeys(("emotion", "emotions", "label", "labels", "class", "category", "name"), 1),
    **dict.fromkeys(("primary", "dominant", "main", "mood", "feeling", "state", "type"), 1),
    **dict.fromkeys(("distribution", "probabilities", "probability", "scores", "probs"), 1),
    **dict.fromkeys(("emotiondistribution", "emotionprobabilities", "emotionscores"), 1),
    **dict.fromkeys(("emotionlabel", "classification", "classes", "categories", "key"), 1),
    **dict.fromkeys(("emotionalstate", "speakeremotion", "detectedemotion", "choice"), 1),
    **dict.fromkeys(("predictions", "results", "answers", "data", "shares", "percentages"), 1),
    **dict.fromkeys(("predictedlabel", "predictedclass", "topemotion", "top", "selected"), 1),
}
"""Keys, without strokes and in lower case, of the field that is the answer, and how surely."""

REASON_KEYS: Final = word_set(
    "reason reasons reasoning explanation explanations rationale justification analysis "
    "evidence note notes comment comments thought thoughts thinking why because cue cues "
    "description summary context transcript transcription text words observation observations "
    "steps alternative alternatives other others details detail sequence input prompt question "
    "options choices candidates instruction instructions caveat caveats example examples basis "
    "support tone voice prosody acoustic acoustics content signal signals features feature "
    "indicators remark remarks uncertainty excluded rejected ruledout notpresent absent "
    "runnerup labelset possiblelabels possibleemotions availablelabels allemotions allowed "
    "trigger cause causes source"
)
"""Keys, without strokes and in lower case, of fields beside the answer."""

MORE_EMOTIONS: Final = (
    *("love", "loving", "trust", "anticipation", "shame", "guilt", "guilty", "pride", "proud"),
    *("jealousy", "jealous", "hope", "hopeful", "relief", "relieved", "amusement", "amused"),
    *("embarrassment", "embarrassed", "disappointment", "disappointed", "loneliness", "lonely"),
    *("curiosity", "curious", "confusion", "confused", "worry", "worried", "concern", "concerned"),
    *("stress", "stressed", "nervous", "nervousness", "tension", "tense", "grief", "despair"),
    *("hate", "hatred", "rage", "resentment", "irritation", "annoyance", "melancholy", "joyous"),
    *("sarcasm", "sarcastic", "content", "contentment", "interest", "interested", "other", "none"),
    *("shock", "shocked", "panic", "terror", "horror", "distress", "distressed", "upset"),
)
"""Emotion words that are no alias of any label."""
