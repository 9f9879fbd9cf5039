"""Words by which a text speaks of the voice, and words by which it speaks of what is said."""

from __future__ import annotations

import re
from typing import Final

_STRONG: Final = (
    "pitch(es|ed)?|tones?|tonal|tonality|intonation|voice[sd]?|vocals?|vocally|vocalisations?"
    "|vocalizations?|tempo|pace|paced|pacing|cadence|rhythm|rhythmic|prosody|prosodic|timbre"
    "|loud|louder|loudly|loudness|volume|amplitude|energy|energetic|energetically|intensity"
    "|articulat(ion|ed|es|ing|e)|enunciat(ion|ed|es|ing|e)|pronunciation|diction|inflections?"
    "|inflected|monotone|monotonous|monotonic|monotonously|accents?|accented|melody|melodic"
    "|whisper(s|ed|ing)?|shout(s|ed|ing)?|yell(s|ed|ing)?|scream(s|ed|ing)?|murmur(s|ed|ing)?"
    "|mumbl(e|es|ed|ing)|mutter(s|ed|ing)?|laugh(s|ed|ing|ter)?|chuckl(e|es|ed|ing)"
    "|giggl(e|es|ed|ing)|sigh(s|ed|ing)?|sob(s|bed|bing)?|gasp(s|ed|ing)?|groan(s|ed|ing)?"
    "|breath(y|iness|ing|s)?|breathless(ly)?|hoarse|hoarseness|husky|raspy|creaky|nasal|shrill"
    "|pauses?|paused|pausing|trembl(e|es|ed|ing)|tremor|tremulous|quaver(s|ed|ing)?|quiver(s|ing)?"
    "|shak(y|iness)|crack(s|ing) (up )?voice|register|resonance|resonant|jitter|shimmer|formants?"
    "|syllables?|vowels?|consonants?|acoustic|acoustics|acoustically"
    "|decibels?|hz|hertz|semitones?|fundamental frequency|f0|drawl|drawn[- ]out|clipped"
    "|spe(ech|aking) (rate|speed|style|tempo|pace)|rate of speech|style of speaking"
)
_MANNER: Final = (
    "slow|slowly|slower|fast|faster|quick|quickly|rapid|rapidly|hurried|hurriedly|soft|softly"
    "|quiet|quietly|gentle|gently|flat|flatly|sharp|sharply|harsh|harshly|hesitant|hesitantly"
    "|haltingly|firmly|calmly|warmly|brightly|heavily|tightly|evenly|steadily|breathily|high|low"
    "|lively|clearly|crisply|forcefully|abruptly|smoothly|lightly|wearily"
)
_SPEAKING: Final = (
    "speaks?|spoke|spoken|speaking|says?|said|saying|talks?|talking|uttered|utters|utterance"
    "|delivers?|delivered|delivery|comes? out|speech|words are|stresse[sd]|stressed"
)
_VOICE: Final = re.compile(
    rf"(?<!\w)(?:{_STRONG})(?!\w)"
    rf"|(?<!\w)(?:{_SPEAKING})\W+(?:\w+\W+){{0,4}}(?:{_MANNER})(?!\w)"
    rf"|(?<!\w)(?:{_MANNER})\W+(?:\w+\W+){{0,2}}(?:{_SPEAKING})(?!\w)",
    re.IGNORECASE,
)
_CONTENT: Final = re.compile(
    r"(?<!\w)(?:words?|wording|worded|phrases?|phrasing|phrased|content|contents|says|said|saying"
    r"|sentences?|statements?|stated|stating|mentions?|mentioned|mentioning|transcript"
    r"|language|lexical|lexically|verbal|verbally|text|textual|topic|subject matter|message"
    r"|talks? about|talking about|speaks? (?:of|about)|speaking (?:of|about)"
    r"|asks?|asked|asking|remarks?|remarking|announces|announcing|meaning"
    r"|exclaims|exclaiming|complains|complaining|reports|reporting|admits"
    r"|admitting|claims|claiming|utters|repeats|repeating|what is said)(?!\w)",
    re.IGNORECASE,
)
_EMPTY_WORDS: Final = (
    "the and but for you your are was were that this with have has had not all any can could will"
    " would she her him his they them their there here what when where who how why its it's i'm"
    " i've i'll don't didn't isn't just like yeah yes well okay know mean get got from out about"
    " into then than too very really some one been being did does because"
)
_EMPTY: Final = frozenset(_EMPTY_WORDS.split())
_SHORTEST: Final = 3


def cites_voice(text: str) -> bool:
    """Whether a text speaks of how something sounds.

    Args:
        text: without what it quotes from the transcript.

    Example:
        >>> cites_voice("The pitch rises."), cites_voice("The flat was lost.")
        (True, False)
    """
    return _VOICE.search(text) is not None


def cites_words(words: list[str], text: str, spoken: list[str]) -> bool:
    """Whether a text speaks of what was said.

    Args:
        words: of the text, in lower case.
        text: as it is.
        spoken: words of the transcript, in lower case; empty where there is none.
    """
    if _CONTENT.search(text):
        return True
    carrying = {
        word
        for word in spoken
        if len(word) >= _SHORTEST and word not in _EMPTY and not _VOICE.fullmatch(word)
    }
    if carrying & {*words}:
        return True
    # Of "I did not do it" nothing carries meaning alone: all of it has to be there.
    return bool(spoken) and not carrying and " ".join(spoken) in " ".join(words)
