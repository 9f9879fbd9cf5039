"""Words that name a label, for finding it in a text: word forms, and synonyms with theirs."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from raypipe.labels import ALIASES
from raypipe.prompts.options import option_text

_FORMS: Mapping[str, str] = {
    "amused": "amused amuse amuses amusing amusingly amusement",
    "anger": "anger angers angered angering angry angrily angrier angriest angriness",
    "annoyed": "annoyed annoy annoys annoying annoyingly annoyance annoyances",
    "boredom": "boredom bored bore bores boring boringly",
    "calm": "calm calms calmed calming calmly calmer calmest calmness",
    "concerned": "concerned concern concerns concerning",
    "confused": "confused confuse confuses confusing confusingly confusion confusedly",
    "contempt": "contempt contemptuous contemptuously contemptuousness contemptible",
    "depressed": "depressed depress depresses depressing depressingly depression depressive",
    "disappointed": "disappointed disappoint disappoints disappointing disappointment",
    "disgust": "disgust disgusts disgusted disgustedly disgusting disgustingly disgustful",
    "excitement": "excitement excited excitedly excite excites exciting excitingly excitable",
    "fear": "fear fears feared fearing fearful fearfully fearfulness fearsome fearless fearlessly",
    "frustration": "frustration frustrations frustrated frustrate frustrates frustrating"
    " frustratingly",
    "happiness": "happiness happy happily happier happiest",
    "neutral": "neutral neutrally neutrality neutralness neutralize neutralized",
    "sadness": "sadness sad sadly sadder saddest sadden saddens saddened saddening",
    "surprise": "surprise surprises surprised surprisedly surprising surprisingly",
}
"""Forms of the label's own word."""

_SYNONYMS: Mapping[str, str] = {
    "anger": "mad madder maddest madly madness maddened maddening furious furiously furiousness"
    " fury infuriate infuriated infuriates infuriating infuriation irritate irritated irritates"
    " irritating irritatedly irritation irritable irritably irritability annoy annoyed annoys"
    " annoying annoyingly annoyance rage raging enrage enraged outrage outraged irate wrath"
    " wrathful livid indignant indignantly indignation incensed pissed hostile hostility resent"
    " resents resented resentful resentfully resentment fume fumes fumed fuming seethe seethes"
    " seething",
    "boredom": "tedium ennui",
    "calm": "relax relaxed relaxing relaxation serene serenely serenity tranquil tranquility",
    "contempt": "scorn scorns scorned scornful scornfully disdain disdains disdainful disdainfully"
    " despise despises despised despising derision",
    "disgust": "revulsion revolted revolting repulsed repulsion repulsive loathe loathes loathing"
    " loathsome abhorrence repugnance repugnant grossed",
    "excitement": "thrilled exhilarated exhilaration",
    "fear": "afraid scare scares scared scary scaring anxious anxiously anxiousness anxiety fright"
    " frightened frightening frighten frightful frightfully terrified terrify terrifying terror"
    " panic panicked panicking panicky dread dreads dreading dreadful",
    "frustration": "exasperated exasperation",
    "happiness": "joy joys joyful joyfully joyfulness joyous joyously overjoyed cheerful cheerfully"
    " cheerfulness cheery cheerily glad gladly gladness glee gleeful gleefully delight delights"
    " delighted delightful delightfully elated elation jubilant jubilation merry merrily merriment"
    " ecstatic",
    "neutral": "impartial emotionless unemotional unemotionally",
    "sadness": "depress depressed depresses depressing depressingly depression depressive sorrow"
    " sorrows sorrowful sorrowfully grief griefs grieve grieves grieved grieving mournful"
    " mournfully mourning melancholy melancholic gloomy gloom gloomily despondent despondency"
    " unhappy unhappily unhappiness heartbroken dejected dejection dejectedly misery miserable"
    " miserably",
    "surprise": "astonish astonished astonishes astonishing astonishingly astonishment amazed"
    " amazement shocked shocks shocking shockingly astounded astounding astoundingly startle"
    " startled startles startling",
}
"""Words that a thesaurus gives for the label; all that :data:`ALIASES` has are added.

What only describes how somebody sounds or acts is none of them: upset, tense, warm, sobbing, flat.
"""

_ABBREVIATIONS = frozenset({"ang", "fea", "hap", "neu", "fru", "bor", "exc"})
"""Short codes of corpora that are no English words; others (con, dis, sur, cal) are."""


@lru_cache(maxsize=64)
def label_words(label: str, *, synonyms: bool = True) -> frozenset[str]:
    """Words that name a label, in lower case.

    Args:
        label: of a label set.
        synonyms: synonyms as well as the word forms.

    Example:
        >>> "angrily" in label_words("anger"), "danger" in label_words("anger")
        (True, False)
        >>> "furious" in label_words("anger", synonyms=False)
        False
    """
    own = {label, option_text(label).lower(), *_FORMS.get(label, _regular_forms(label)).split()}
    if synonyms:
        own |= {word for word in ALIASES.get(label, ()) if len(word) > 3 or word in ("mad", "joy")}
        own |= {*_SYNONYMS.get(label, "").split()}
    own |= _ABBREVIATIONS & {*ALIASES.get(label, ())}
    return frozenset(own)


def _regular_forms(label: str) -> str:
    stem = label.removesuffix("ed").removesuffix("e")
    endings = ("", "e", "s", "es", "ed", "ing", "ly", "edly", "ful", "fully", "ness")
    return " ".join(f"{stem}{ending}" for ending in endings)
