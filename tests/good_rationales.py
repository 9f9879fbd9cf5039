"""Rationales as a good teacher writes them, and each of them spoilt in one way."""

# ruff: noqa: RUF001  letters of other alphabets are what it is about
from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from raypipe.prompts.options import option_text


@dataclass(frozen=True, slots=True)
class GoodRationale:
    """A rationale that keeps every rule."""

    label: str
    transcript: str
    rationale: str


GOOD: tuple[GoodRationale, ...] = tuple(
    GoodRationale(**json.loads(line))
    for line in (Path(__file__).parent / "data" / "good_rationales.jsonl").read_text().splitlines()
)

DISGUISES: Mapping[str, Callable[[str], str]] = {
    "capitals": str.upper,
    "hyphens": lambda word: "-".join(word),
    "dots": lambda word: ".".join(word),
    "blanks": lambda word: " ".join(word),
    "split": lambda word: f"{word[:2]} {word[2:]}",
    "zero width": lambda word: "\u200b".join(word),
    "soft hyphen": lambda word: f"{word[:2]}\u00ad{word[2:]}",
    "homoglyphs": lambda word: word.translate(str.maketrans("aeoscyi", "аеоѕсуі")),
    "greek": lambda word: word.translate(str.maketrans("aeopnui", "αεορηυι")),
    "leetspeak": lambda word: word.translate(str.maketrans("aeist", "43157")),
    "signs": lambda word: word.translate(str.maketrans("ais", "@!$")),
    "accents": lambda word: word.translate(str.maketrans("aeiouyn", "áèîöúÿñ")),
    "camel case": lambda word: "".join(
        letter.upper() if at % 2 else letter for at, letter in enumerate(word)
    ),
    "camel case in a compound": lambda word: f"very{word.capitalize()}Voice",
    "markdown": lambda word: f"**{word[:3]}**{word[3:]}",
    "underscores": lambda word: f"_{word[:2]}_{word[2:]}",
    "tags": lambda word: f"<b>{word[:2]}</b>{word[2:]}",
    "comments": lambda word: f"{word[:2]}<!-- -->{word[2:]}",
    "parentheses": lambda word: "".join(f"({letter})" for letter in word),
    "line ends": lambda word: f"{word[:2]}-\n{word[2:]}",
    "entities": lambda word: "".join(f"&#{ord(letter)};" for letter in word),
    "full width": lambda word: "".join(chr(ord(letter) + 0xFEE0) for letter in word),
    "mathematical": lambda word: "".join(chr(0x1D41A + ord(letter) - 97) for letter in word),
    "circled": lambda word: "".join(chr(0x24D0 + ord(letter) - 97) for letter in word),
    "stretched": lambda word: word + 3 * word[-1],
    "quoted": lambda word: f'"{word}"',
    "possessive": lambda word: f"{word}'s",
}
"""Ways to write a word so that a plain search does not find it."""

DISGUISES_OF_LONG_WORDS: Mapping[str, Callable[[str], str]] = {
    "masked": lambda word: f"{word[:2]}*{word[3:]}",
    "scrambled": lambda word: word[:1] + word[2] + word[1] + word[3:],
    "backwards": lambda word: word[::-1],
    "split by a blank late": lambda word: f"{word[:-2]} {word[-2:]}",
}
"""The same for words of five letters and more."""

_ENDINGS = (
    "What do you think about this?",
    "What do you think?",
    "If you want to talk more about this or have other thoughts, feel free to share.",
    "Let me know if you agree.",
    "Don't you think so?",
    "Isn't that clear？",
    "I hope this helps.",
)
_OPENINGS = (
    "Well, you know, {}",
    "Well, {}",
    "well... {}",
    "Sure! {}",
    "Certainly! Here is the reasoning. {}",
    "As an AI language model, I listened closely. {}",
    "Okay, {}",
    "Here's my explanation. {}",
    "Of course. {}",
    "Let me explain. {}",
)
_REFUSALS = (
    "I'm sorry, but I cannot help with that request about the words and the voice of a speaker.",
    "I can't hear the audio, so nothing about the pitch or the words of the speaker can be said.",
    "I am unable to process audio files; please describe the voice and the words in your message.",
)
_NO_WORDS = (
    "The pitch is high and rising, the loudness is strong, and the tempo is fast with few pauses.",
    "A low, breathy voice with a slow tempo, long pauses and very little energy from start to end.",
    "Clear articulation, a wide melody and a bright timbre at a moderate and quite regular tempo.",
)
_NO_VOICE = (
    'The words "{}" leave no doubt about the state that the speaker is in at this moment.',
    "Content such as “{}” points to a difficult moment in a relation between two people.",
)
_TASKS = (
    "This agrees with the given emotion. {}",
    "The label provided fits: the emotion label is right. {}",
    "As instructed, the word itself is left out. {}",
)
_TAGS = ("{} </answer>", "<answer>{}", "{}<|im_end|>", "<asr>x</asr> {}", "<audio> {}")


def broken(good: GoodRationale, rule: str, dice: random.Random) -> str:
    """A good rationale changed so that it breaks one rule."""
    text = good.rationale
    if rule == "names_label":
        word = option_text(good.label).lower()
        return f"{text} It is {dice.choice(list(DISGUISES.values()))(word)} altogether."
    texts: Mapping[str, Callable[[], str]] = {
        "empty": lambda: dice.choice(("", "  ", "…", "**", "<think>hm</think>")),
        "refusal": lambda: dice.choice(_REFUSALS),
        "special_token": lambda: dice.choice(_TAGS).format(text),
        "speaks_of_the_task": lambda: dice.choice(_TASKS).format(text),
        "question_to_reader": lambda: f"{text} {dice.choice(_ENDINGS)}",
        "filler_opening": lambda: dice.choice(_OPENINGS).format(text),
        "too_short": lambda: dice.choice(("The words, a low pitch.", "A flat voice.")),
        "too_long": lambda: " ".join([text] * 12),
        "cites_no_words": lambda: dice.choice(_NO_WORDS),
        "cites_no_voice": lambda: dice.choice(_NO_VOICE).format(good.transcript),
    }
    return texts[rule]()
