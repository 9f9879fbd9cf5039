"""Rules of rationales: no good one is lost, every breach is caught, in any disguise."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from good_rationales import DISGUISES, DISGUISES_OF_LONG_WORDS, GOOD, GoodRationale, broken

from raypipe.explain.rationale.disguises import disguised
from raypipe.explain.rationale.draft import Draft, RuleSettings, tidied
from raypipe.explain.rationale.label_words import label_words
from raypipe.explain.rationale.rules import RULES, first_breach
from raypipe.labels import ALIASES, LABEL_SETS
from raypipe.prompts.options import option_text

LABELS = LABEL_SETS["msp-podcast-8"].names
CARRIER = 'The words "lost my ticket" say little. The voice is {}, high, rising, with few pauses.'
SPOKEN = "I lost my ticket."


def breach(text: str, label: str = "anger", spoken: str | None = SPOKEN, **settings: object) -> str:
    """Name of the broken rule; empty for a good rationale."""
    rules = RuleSettings(**settings)  # type: ignore[arg-type]
    result = first_breach(Draft(tidied(text), label, spoken, rules))
    return "" if result is None else result[0].name


@pytest.mark.parametrize("good", GOOD, ids=[good.rationale[:40] for good in GOOD])
def test_no_good_rationale_is_lost(good: GoodRationale) -> None:
    assert tidied(good.rationale) == good.rationale
    assert first_breach(Draft(good.rationale, good.label, good.transcript)) is None


def test_of_200_rationales_every_breach_is_caught_and_no_good_one_is_lost() -> None:
    """Every rule is broken in turn, by ten changed rationales and more; good ones in between."""
    dice = random.Random(14)
    turns = [*(rule.name for rule in RULES), ""]
    caught: Counter[str] = Counter()
    for number in range(200):
        rule, good = turns[number % len(turns)], GOOD[(7 * number) % len(GOOD)]
        text = broken(good, rule, dice) if rule else good.rationale
        assert breach(text, good.label, good.transcript) == rule, text
        caught[rule] += 1
    assert min(caught.values()) >= 16


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("disguise", DISGUISES)
def test_a_label_is_found_in_every_disguise(label: str, disguise: str) -> None:
    for word in (option_text(label).lower(), label):
        assert breach(CARRIER.format(DISGUISES[disguise](word)), label) == "names_label"


@pytest.mark.parametrize("label", [label for label in LABELS if len(label) > 4])
@pytest.mark.parametrize("disguise", DISGUISES_OF_LONG_WORDS)
def test_a_long_word_is_found_in_further_disguises(label: str, disguise: str) -> None:
    text = CARRIER.format(DISGUISES_OF_LONG_WORDS[disguise](label))
    assert breach(text, label) == "names_label"


@pytest.mark.parametrize("label", LABELS)
def test_every_word_that_names_a_label_is_found_and_no_other_label_is(label: str) -> None:
    for word in label_words(label):
        assert breach(CARRIER.format(word), label) == "names_label"
    for other in LABELS:
        if other != label and option_text(other).lower() not in label_words(label):
            assert breach(CARRIER.format(f"not {option_text(other).lower()}"), label) == ""


@pytest.mark.parametrize(
    ("label", "word"),
    [
        *(("anger", word) for word in ("dangerous", "like a hanger", "made up", "curious")),
        *(("sadness", word) for word in ("on the saddle", "like a crusade", "ambassadorial")),
        *(("fear", word) for word in ("near", "like a feather", "sacred", "in the ear")),
        *(("happiness", word) for word in ("perhaps weak", "as it happens", "enjoyable")),
        *(("neutral", word) for word in ("in different pitches", "like neurons", "natural")),
        *(("surprise", word) for word in ("uprising", "for the prize", "on the surface")),
        *(("disgust", word) for word in ("like a gust", "distinct", "dis cussed")),
        *(("contempt", word) for word in ("contemplative", "attempting", "contemporary")),
    ],
)
def test_a_word_that_only_contains_the_label_is_none(label: str, word: str) -> None:
    assert breach(CARRIER.format(word), label) == ""


def test_sadly_mistaken_names_sadness_whatever_it_means() -> None:
    assert breach(CARRIER.format("sadly mistaken"), "sadness") == "names_label"


def test_an_emoji_is_read_by_its_name() -> None:
    assert breach(CARRIER.format("😠"), "anger") == "names_label"
    assert breach(CARRIER.format("🅰🅽🅶🆁🆈"), "anger") == "names_label"


def test_every_alias_of_a_label_set_counts_but_codes_that_are_english_words() -> None:
    for label, words in ALIASES.items():
        whole = {word for word in words if len(word) > 3 and " " not in word}
        assert whole <= label_words(label)
    assert not {"con", "dis", "sur", "cal"} & {
        word for label in ALIASES for word in label_words(label)
    }


def test_a_quotation_does_not_excuse_the_label_unless_that_is_allowed() -> None:
    text = 'The words "I\'m so happy" are spoken with a bright voice and a quick, light rhythm.'
    spoken = "I'm so happy today."
    assert breach(text, "happiness", spoken) == "names_label"
    assert breach(text, "happiness", spoken, quoted_label="allowed") == ""
    assert breach(text, "happiness", "Something else.", quoted_label="allowed") == "names_label"
    outside = f"{text} It is a happy voice."
    assert breach(outside, "happiness", spoken, quoted_label="allowed") == "names_label"


def test_synonyms_may_be_allowed_and_forms_never() -> None:
    assert breach(CARRIER.format("irritated")) == "names_label"
    assert breach(CARRIER.format("irritated"), synonyms=False) == ""
    assert breach(CARRIER.format("angrily tense"), synonyms=False) == "names_label"


def test_a_question_of_the_transcript_is_no_question_to_the_reader() -> None:
    spoken = "What do you think? Where is it?"
    text = 'The words "What do you think? Where is it?" are spoken fast, with a rising pitch{}'
    assert breach(text.format("."), "fear", spoken) == ""
    assert breach(text.format(". Is it not?"), "fear", spoken) == "question_to_reader"


def test_well_is_a_filler_only_where_it_is_one() -> None:
    text = "{} voice fits the words about the ticket, and the slow tempo does as well as the pitch."
    assert breach(text.format("A well-articulated"), "fear") == ""
    assert breach(text.format("Well-articulated and clear, the"), "fear") == ""
    assert breach(text.format("Well the"), "fear") == "filler_opening"
    assert breach(text.format("The pitch is high. Well, the"), "fear") == "filler_opening"


def test_lengths_are_those_of_the_settings() -> None:
    text = "The words about a ticket are spoken with a low voice."
    assert breach(text, "fear", fewest_words=11) == ""
    assert breach(text, "fear", fewest_words=12) == "too_short"
    assert breach(text, "fear", most_words=10) == "too_long"


def test_without_a_transcript_the_words_are_still_spoken_of() -> None:
    text = "{} The voice is low and slow, with long pauses and little energy in the syllables."
    assert breach(text.format("The words are hardly audible."), "fear", None) == ""
    assert breach(text.format("It is dark."), "fear", None) == "cites_no_words"


def test_what_a_teacher_is_told_names_the_rule_and_not_only_its_name() -> None:
    draft = Draft(CARRIER.format("furious"), "anger", SPOKEN)
    for rule in RULES:
        assert len(rule.told(draft).split()) > 3
    naming = next(rule for rule in RULES if rule.name == "names_label")
    assert "furious" in naming.told(draft)


def test_an_answer_is_tidied_before_it_is_checked() -> None:
    text = "<think>angry?</think>\n\n**Rationale:** The words\nare few.\n"
    assert tidied(text) == "The words are few."
    assert tidied('"The words are few."') == "The words are few."
    assert tidied('"Stop it" and "now"') == '"Stop it" and "now"'
    assert tidied("<reason>The words.</reason>") == "The words."


@pytest.mark.parametrize(
    ("rule", "label", "text"),
    [
        ("names_label", "anger", "The speaker sounds pissed off: {}."),
        ("names_label", "anger", "Here {}, and hostile."),
        ("names_label", "disgust", "With repugnance {}."),
        ("names_label", "surprise", "As of someone shocked {}."),
        ("names_label", "neutral", "Emotionless though it stays, {}."),
        ("question_to_reader", "anger", "Here {}. Questions are welcome."),
        ("question_to_reader", "anger", "Here {}. Does that make sense"),
        ("filler_opening", "anger", "Okay so {}."),
        ("filler_opening", "anger", "Basically, {}."),
        ("speaks_of_the_task", "anger", "That {} fits the emotion you gave me."),
        ("special_token", "anger", "Here {} [/INST]."),
        ("refusal", "anger", "No recording was attached, though {}."),
    ],
)
def test_other_ways_to_break_a_rule(rule: str, label: str, text: str) -> None:
    whole = text.format("the voice is loud on the missed train and its pitch climbs to the end")
    broken = first_breach(Draft(whole, label, "We have missed the train.", RuleSettings()))
    assert broken is not None
    assert broken[0].name == rule


@pytest.mark.parametrize(
    ("label", "written"),
    [
        *[("anger", sign) for sign in "😡🤬👿"],
        *[("sadness", sign) for sign in "😢😭😞"],
        *[("happiness", sign) for sign in "😀😊🙂"],
        *[("disgust", sign) for sign in "🤢🤮"],
        *[("contempt", sign) for sign in "🙄😒"],
        *[("surprise", sign) for sign in "😮😲"],
        *[("fear", sign) for sign in "😨😱"],
        ("anger", "A, N, G, E, R"),
        ("anger", "an%67ry"),
        ("anger", "\\u0061ngry"),
        ("anger", "veryangry"),
        ("anger", "#angrycommuter"),
    ],
)
def test_further_disguises(label: str, written: str) -> None:
    text = f"The speaker is {written} about the train; the voice is loud and the words come fast."
    assert disguised(text, label_words(label)) is not None


def test_a_hashtag_or_a_stressed_word_that_is_another_names_nothing() -> None:
    text = "A #dangerous, veryold train: the words are really read fast, so sound loud, so tired."
    for label in LABELS:
        assert disguised(text, label_words(label)) is None
