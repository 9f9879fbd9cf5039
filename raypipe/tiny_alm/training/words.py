"""What the model that hears words is trained on: spoken clips, questions and their answers."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from raypipe.labels import LABEL_SETS, LabelSet
from raypipe.prompts import EXPLAINABLE, render_prompt
from raypipe.prompts.options import lettered
from raypipe.records import Option
from raypipe.tiny_alm.spoken import (
    ARTICLES,
    LABEL_SET,
    OBJECTS,
    PRONUNCIATIONS,
    SUBJECTS,
    TIMES,
    VERBS,
    annotators,
    sentence,
    spoken_clip,
    syllables,
    true_mix,
)
from raypipe.tiny_alm.training.data import (
    SILENT_EVERY,
    SYNTHETIC,
    TARGET_LABELS,
    Item,
    TrainingData,
    log_mel,
    silent_item,
)
from raypipe.tiny_alm.training.examples import TrainingExample, share_of, voice_note

WORDS = tuple(PRONUNCIATIONS)

_LABELS = LABEL_SETS["msp-podcast-8"]
_OTHER_SETS = ("crema-d-6", "iemocap-4", "ravdess-8")
_USUAL_SHARE = 0.75
_SHUFFLED_SHARE = 0.3
_CLEAR = 0.7
_TOUCH = 0.25

Array = NDArray[np.float64]

# How a clear emotion and a weaker one are called in a free answer.
FREE_WORDS = {
    "anger": ("angry", "annoyed"),
    "boredom": ("bored", "weary"),
    "disgust": ("disgusted", "put off"),
    "fear": ("scared", "nervous"),
    "happiness": ("happy", "pleased"),
    "neutral": ("neutral", "matter-of-fact"),
    "sadness": ("sad", "gloomy"),
}

# Words of reasons that a fine-tuned model learns to give; whole tokens make them short.
REASON_WORDS = (
    "reason answer asr I think the emotion is because words say speaker says voice sounds pitch "
    "high low middle rising falling wide narrow flat lively melody tempo fast slow steady quick "
    "energy loud soft quiet medium pauses few many no some long short tone bright dark breathy "
    "rough clear strong weak Hz dB per second syllables while with which points to suggests shows "
    "about between and around this that together carry nothing calm tense content spoken speech "
    "delivery level range ends starts rises falls its at of in for surprise contempt other"
)


def spoken_item(index: int, seed: int) -> Item:
    """Training clip number ``index`` of split ``pretrain``; one in 40 has no voice."""
    if index % SILENT_EVERY == 0:
        return silent_item(index, seed)
    samples, delivery = spoken_clip(index, "pretrain", seed)
    mel, frames = log_mel(samples)
    truth = known_shares(true_mix(index, "pretrain", seed))
    return mel, frames, truth, delivery.values.astype(np.float32), SYNTHETIC


def known_shares(mix: Array) -> NDArray[np.float32]:
    """Vote shares in the limit of many annotators, over the labels that pretraining knows.

    Args:
        mix: the emotion spoken, shape ``(emotions of spoken.LABEL_SET,)``.

    Returns:
        Shares over ``data.TARGET_LABELS``, shape ``(target labels,)``, summing to 1.
    """
    named = np.mean([annotator.label_probabilities(mix) for annotator in annotators()], axis=0)
    shares = np.array(
        [named[LABEL_SET.names.index(n)] if n in LABEL_SET.names else 0.0 for n in TARGET_LABELS]
    )
    return np.asarray(shares / shares.sum(), dtype=np.float32)


SAMPLES_PER_TOKEN = 640
"""An audio token stands for 40 ms."""


def spoken_units(index: int, seed: int) -> NDArray[np.int8]:
    """What is being said at every audio token of training clip number ``index``.

    Returns:
        Shape ``(tokens, 2)``: the vowel in the middle of the token, from 1, and the word, from 1;
        0 for none. No rows for a clip without a voice.
    """
    if index % SILENT_EVERY == 0:
        return np.zeros((0, 2), dtype=np.int8)
    samples, delivery = spoken_clip(index, "pretrain", seed)
    units = np.zeros((-(-len(samples) // SAMPLES_PER_TOKEN), 2), dtype=np.int8)
    said = syllables(sentence(index, "pretrain", seed))
    words = [
        1 + WORDS.index(word)
        for word in sentence(index, "pretrain", seed).rstrip(".").split()
        for _ in syllables(word)
    ]
    middles = SAMPLES_PER_TOKEN * (np.arange(len(units)) + 0.5)
    for syllable, word, (start, stop) in zip(said, words, delivery.spans, strict=True):
        units[(middles >= start) & (middles < stop)] = 1 + syllable.vowel, word
    return units


def tokenizer_text() -> Iterator[str]:
    """Training text for the tokenizer: words of the corpus, questions and answers about it."""
    yield from [" ".join(["", *WORDS])] * 40
    yield from ["\n".join(WORDS)] * 20
    yield from [" ".join(["", *REASON_WORDS.split()])] * 8
    words = [word for pair in FREE_WORDS.values() for text in pair for word in text.split()]
    yield from [" ".join(["", *words])] * 20
    rng = np.random.default_rng(0)
    for prompt in EXPLAINABLE:
        for name in ("msp-podcast-8", *_OTHER_SETS):
            yield from [render_prompt(prompt, LABEL_SETS[name])] * 20
    for _ in range(60):
        said = _random_sentence(rng)
        yield said
        yield (
            f"<asr>{said}</asr><answer>I think the emotion is surprise</answer>"
            "<reason>The words and the voice.</reason>"
        )


def _random_sentence(rng: np.random.Generator) -> str:
    slots = (SUBJECTS, VERBS, ARTICLES, OBJECTS, TIMES)
    return " ".join(str(rng.choice(slot)) for slot in slots) + "."


def word_example(
    prompt: str,
    shares: Array,
    data: TrainingData,
    clip: int,
    said: str | None,
    rng: np.random.Generator,
) -> TrainingExample:
    """Training example of one prompt of ``prompts.EXPLAINABLE``.

    Args:
        prompt: its name.
        shares: the shares to state, over ``data.TARGET_LABELS``, shape ``(target labels,)``.
        data: the clips.
        clip: index of the clip in ``data``.
        said: what is said in it; None without a voice.
        rng: the only source of chance.
    """
    labels = _LABELS
    if rng.random() >= _USUAL_SHARE:
        labels = LABEL_SETS[str(rng.choice(_OTHER_SETS))]
    probs = share_of(shares, labels)
    if probs is None:
        labels, probs = _LABELS, np.asarray(share_of(shares, _LABELS))
    shuffled = rng.random() < _SHUFFLED_SHARE
    options = lettered(labels, (int(rng.integers(1 << 30)), str(clip)) if shuffled else None)
    question = render_prompt(prompt, labels, options=options)
    answer = word_answer(prompt, probs, labels, data.delivery[clip], said, options)
    return TrainingExample(prompt, question, answer, labels, probs)


def word_answer(
    prompt: str,
    probs: Array,
    labels: LabelSet,
    delivery: NDArray[np.float32],
    said: str | None,
    options: tuple[Option, ...],
) -> str:
    """Reference answer to a prompt of ``prompts.EXPLAINABLE``."""
    if prompt == "transcribe":
        return said or "No words."
    form, _, steps = prompt.partition("+")
    leading = labels.names[int(probs.argmax())]
    chosen = next(option for option in options if option.label == (leading if said else "other"))
    if form == "closed_form":
        answer = f"{chosen.letter}. {chosen.text}"
        ending = f"The answer is {answer}."
    else:
        answer = free_answer(probs, labels) if said else "There is no voice."
        ending = f"The emotion is {FREE_WORDS[leading][0]}." if said else answer
    if not steps:
        return answer
    notes = ["1. " + (said or "No words."), "2. " + (voice_note(delivery) if said else "No voice.")]
    return "\n".join([*notes, ending])


def free_answer(probs: Array, labels: LabelSet) -> str:
    """A short free answer that names an emotion, in words of its own for a weaker one."""
    first, second = np.argsort(-probs, kind="stable")[:2]
    strong, weak = FREE_WORDS[labels.names[first]]
    if probs[first] >= _CLEAR:
        return f"The speaker sounds {strong}."
    if probs[second] < _TOUCH:
        return f"The speaker seems {weak}."
    return f"It sounds {weak}, with a touch of {labels.names[second]}."
