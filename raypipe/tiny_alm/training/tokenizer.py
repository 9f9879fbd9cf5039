"""Tokenizer of the bundled model: byte-level BPE with the project's own words.

It is trained on the built-in prompts, on their answers and on plain English, so that a prompt is
short in tokens. Digits stand alone, and every surface form of an emotion word is one token, which
makes the token-level evidence of a label the logits of whole words.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from raypipe.labels import ALIASES, LABEL_SETS
from raypipe.prompts import DISTRIBUTIONS, render_prompt

SPECIAL_TOKENS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|audio_bos|>",
    "<|AUDIO|>",
    "<|audio_eos|>",
)
VOCABULARY_SIZE = 1000
_WORDS_PER_LABEL = 2
# BPE merges the most frequent pairs first: this makes the emotion words whole before the rest.
_WORD_REPEATS = 400
_PROMPT_REPEATS = 20

_COMMON = (
    "the of and to in is that for it as was with be by on not he his but at are this have from or "
    "had an they which one you were her all she there would their we him been has when who will "
    "more no if out so said what up its about into than them can only other new some could time "
    "these two may then do first any my now such like our over man me even most made after also "
    "did many before must through back years where much your way well down should because each "
    "just those people how too little state good very make world still own see men work long get "
    "here between both life being under never day same another know while last might us great old "
    "year off come since against go came right used take three states himself few house use during "
    "without again place around however home small found thought went say part once general high "
    "upon school every eleven o'clock I'm what happened outside think doctor's appointment don't "
    "forget jacket airplane almost full maybe tomorrow will be cold wonder would pick stop please "
    "alright yes really talk tell later always nothing something anything morning night week money "
    "car door phone friend mother father minute fine bad sorry thanks hello okay help better hear"
)
COMMON_WORDS = tuple(_COMMON.split())

_NOTES = (
    "High Low Middle Wide Flat Lively pitch melody loud soft medium energy voice fast slow steady "
    "tempo pauses many few some no Rough Breathy Bright Dark Clear tone trembling rising falling "
    "words carry emotion little cues point to mostly clear alone only mixed with nothing silence "
    "sound Mostly Some Only then and sounds The No"
)
NOTE_WORDS = tuple(_NOTES.split())


def surface_forms(label: str) -> list[str]:
    """The four surface forms of the first two words of a label, e.g. ``anger`` and `` Angry``."""
    words = ALIASES.get(label, (label,))[:_WORDS_PER_LABEL]
    return [
        form
        for word in words
        for form in (word, " " + word, word.capitalize(), " " + word.capitalize())
    ]


def train_tokenizer(
    more: Sequence[str] = (), size: int = VOCABULARY_SIZE
) -> PreTrainedTokenizerFast:
    """Newly trained tokenizer; the result is always the same.

    Args:
        more: further training text.
        size: number of tokens.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size - len(SPECIAL_TOKENS),
        min_frequency=2,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(itertools.chain(_corpus(), more), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=list(SPECIAL_TOKENS),
        clean_up_tokenization_spaces=False,
        model_max_length=2048,
        padding_side="left",
    )


def _corpus() -> Iterator[str]:
    """Training text, in which frequent pairs of characters become single tokens."""
    for label in ALIASES:
        for form in surface_forms(label):
            yield from [form] * _WORD_REPEATS
    yield from ["system\nYou are a helpful assistant.", "user\nAudio 1: ", "assistant\n"] * 50
    for labels in LABEL_SETS.values():
        candidate = "{" + ", ".join(f'"{name}": 0.1' for name in labels.names) + "}"
        for prompt in DISTRIBUTIONS:
            for transcript in (None, "yes"):
                text = render_prompt(
                    prompt, labels, transcript=transcript, context=["yes"], candidate=candidate
                )
                yield from [text] * _PROMPT_REPEATS
        yield from [candidate, candidate.replace('"', "").replace(",", "%\n")] * _PROMPT_REPEATS
    yield from [" ".join(["", *NOTE_WORDS])] * 8
    yield from ["\n".join(NOTE_WORDS)] * 3
    yield from [" ".join(["", *COMMON_WORDS])] * 3
    yield from [" ".join(word.capitalize() for word in COMMON_WORDS)] * 2
