"""Oracle: character offsets of a small BPE, which raypipe does not have where it aggregates."""

import random
import re

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from raypipe.engines.emotion_tokens import emotion_tokens
from raypipe.labels import LabelSet
from raypipe.prompts.options import LETTERS, with_letters
from raypipe.records import EmotionTokens, EmotionWord
from raypipe.strategies.word_steps import word_steps

LABELS = LabelSet(("anger", "fear", "happiness", "sadness"))
TRAPS = (
    "her voice is lower than the others, with kindness and some tenderness; she was there, the "
    "speaker never raises her pitch, fearless, fearlessly, unhappy, unhappiness, angers, sadly, "
    "sadder, dangerous, madness, happy-go-lucky"
)
WORDS = "anger angry Anger Angry fear fearful Fear happiness happy Happy sadness sad Sad"


class SmallBpe:
    """A byte-level BPE of 300 tokens, as an engine's tokenizer."""

    def __init__(self) -> None:
        self._inner = Tokenizer(models.BPE())
        self._inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        self._inner.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(vocab_size=300, initial_alphabet=alphabet)
        self._inner.train_from_iterator([TRAPS] * 5 + [WORDS], trainer)

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]:
        return list(self._inner.encode(text, add_special_tokens=add_special_tokens).ids)

    def decode(self, token_ids: list[int]) -> str:
        return str(self._inner.decode(token_ids, skip_special_tokens=False))

    def steps(self, text: str, words: set[str]) -> tuple[list[int], np.ndarray]:
        """Ids, and whether each stands in one of the words by its offsets, blanks aside."""
        encoded = self._inner.encode(text, add_special_tokens=False)
        spans = [match.span() for match in re.finditer(r"[^\W_]+", text) if match[0] in words]
        mask = []
        for begin, end in encoded.offsets:
            begin += text[begin:end].startswith(" ")
            mask.append(any(begin < high and end > low and begin < end for low, high in spans))
        return list(encoded.ids), np.array(mask)


@pytest.fixture(scope="module")
def bpe() -> SmallBpe:
    return SmallBpe()


@pytest.fixture(scope="module")
def tokens(bpe: SmallBpe) -> EmotionTokens:
    return emotion_tokens(bpe, LABELS)


def forms(tokens: EmotionTokens) -> set[str]:
    return {word.form.strip() for word in tokens.words}


def test_the_words_are_spelt_with_pieces_of_others(bpe: SmallBpe, tokens: EmotionTokens) -> None:
    ids, wanted = bpe.steps(TRAPS, forms(tokens))
    shared = np.isin(ids, tokens.token_ids)
    assert shared.sum() - (shared & wanted).sum() > 30, "or the tests below would show nothing"


@pytest.mark.parametrize("seed", range(40))
def test_steps_are_those_inside_emotion_words(
    bpe: SmallBpe, tokens: EmotionTokens, seed: int
) -> None:
    drawn = random.Random(seed)
    pieces = [*TRAPS.replace(",", "").split(), *WORDS.split()]
    joints = (" ", ", ", ": 40%, ", '", "', " (", "-", "\n")
    text = "".join(drawn.choice(pieces) + drawn.choice(joints) for _ in range(30))
    ids, wanted = bpe.steps(text, forms(tokens))
    assert wanted.any()
    np.testing.assert_array_equal(word_steps(ids, text, tokens, LABELS), wanted)


def test_json_answers(bpe: SmallBpe, tokens: EmotionTokens) -> None:
    text = '{"anger": 0.5, "fear": 0.125, "happiness": 0.25, "sadness": 0.125}'
    ids, wanted = bpe.steps(text, forms(tokens))
    mask = word_steps(ids, text, tokens, LABELS)
    np.testing.assert_array_equal(mask, wanted)
    assert bpe.decode([ids[step] for step in np.flatnonzero(mask)]) == "angerfearhappinesssadness"


def test_letters_of_a_closed_form_and_words_of_other_labels_do_not_count(
    bpe: SmallBpe, tokens: EmotionTokens
) -> None:
    both = with_letters(tokens, emotion_tokens(bpe, LETTERS))
    text = "A B anger C"
    ids, wanted = bpe.steps(text, forms(tokens))
    np.testing.assert_array_equal(word_steps(ids, text, both, LABELS), wanted)
    assert not word_steps(ids, text, both, LabelSet(("fear", "sadness"))).any()


def words_of(*spelt: tuple[str, ...]) -> EmotionTokens:
    """Made-up tokens, one id for each piece."""
    pieces = sorted({piece for word in spelt for piece in word})
    ids = {piece: number for number, piece in enumerate(pieces)}
    words = [EmotionWord("x", "".join(word), tuple(ids[piece] for piece in word)) for word in spelt]
    return EmotionTokens(tuple(words), tuple(ids.values()), tuple(pieces))


def located(tokens: EmotionTokens, pieces: list[str], text: str | None = None) -> list[str]:
    """Pieces of the steps that count; a piece that is not recorded has an id of its own."""
    known = dict(zip(tokens.token_strings, tokens.token_ids, strict=True))
    ids = [known.get(piece, 1000 + number) for number, piece in enumerate(pieces)]
    mask = word_steps(ids, "".join(pieces) if text is None else text, tokens, LabelSet(("x", "y")))
    return [piece for piece, used in zip(pieces, mask, strict=True) if used]


def test_cases_by_hand() -> None:
    tokens = words_of(("sad",), (" sad",), ("sad", "ness"), (" fear",), (" ", "joy"))
    assert located(tokens, ["sad", "ness", ",", " sad"]) == ["sad", "ness", " sad"]
    assert located(tokens, ["kind", "ness", " sad", "ly"]) == []
    assert located(tokens, ["un", "sad", "; ", "sad"]) == ["sad"]
    assert located(tokens, [" fear", "less", " fear"]) == [" fear"]
    assert located(tokens, [" ", "joy", " ", "hm"]) == ["joy"]  # the blank before it is no word
    assert located(tokens, [" sad", " ", "\n"], "sad") == [" sad"]  # a text without outer blanks
    assert located(tokens, [" sad"], "hm") == []
    assert located(tokens, [], "") == []


def test_a_word_in_other_pieces_than_its_own_is_found_where_the_pieces_are_recorded() -> None:
    tokens = words_of(("sad",), ("s", "o"), ("m", "ad"))
    assert located(tokens, ["s", "ad", ": 1"]) == ["s", "ad"]  # as a beam may spell it
    assert located(tokens, ['"s', "ad", ": 1"]) == []


def test_a_longer_word_in_tokens_of_its_own_takes_nothing_from_the_word() -> None:
    tokens = words_of(
        (" fear",),
    )
    assert located(tokens, [" fearless", ", ", "no", " fear", "."]) == [" fear"]
