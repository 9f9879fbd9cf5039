"""Which tokens a grammar lets through, against trying every one of them."""

import json
from pathlib import Path

import numpy as np
import pytest
from hf_reference import Follows
from random_checkpoint import train_tokenizer
from tokenizers import Tokenizer, decoders, models, normalizers
from transformers import PreTrainedTokenizerFast

from raypipe.engines.grammar import GrammarCompiler, check_grammar
from raypipe.errors import ConfigError, UnsupportedError
from raypipe.grammars import distribution_regex
from raypipe.labels import LabelSet
from raypipe.records import Grammar

UNWRITABLE = 37
LABELS = LabelSet(("anger", "sadness"))
PATTERNS = [
    r"[a-z ]{3,9}",
    r"yes|no|maybe",
    r"(ab)*c?",
    r"",
    distribution_regex(LABELS).source,
]


@pytest.fixture(scope="module")
def byte_level():
    return train_tokenizer(700)


@pytest.fixture(scope="module")
def byte_fallback():
    """Tokens as Llama 2's are written: a block for a space, bytes where no token fits."""
    pieces = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)]
    pieces += ["\u2581", *map(chr, range(33, 127)), "\u2581yes", "no", "\u2581{", '"anger', '":']
    tokenizer = Tokenizer(
        models.BPE({piece: i for i, piece in enumerate(pieces)}, [], byte_fallback=True)
    )
    tokenizer.normalizer = normalizers.Replace(" ", "\u2581")
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    )


def tokens(bits: np.ndarray) -> list[int]:
    return np.flatnonzero(np.unpackbits(bits, bitorder="little")).tolist()


def start(tokenizer, grammar: Grammar | str, ends=None):
    if isinstance(grammar, str):
        grammar = Grammar("regex", grammar)
    ends = ends or (tokenizer.eos_token_id,)
    return GrammarCompiler(tokenizer, len(tokenizer) + UNWRITABLE, ends).compile(grammar)


def walk(state, seed: int, most: int = 60):
    """Chosen tokens of one random answer, with what was allowed at each of them."""
    random, chosen = np.random.default_rng(seed), []
    for _ in range(most):
        allowed = tokens(state.allowed)
        if not allowed:
            break
        token_id = int(random.choice(allowed))
        yield tuple(chosen), allowed
        chosen.append(token_id)
        state = state.after(token_id)


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("kind", ["byte_level", "byte_fallback"])
def test_allowed_is_what_can_still_become_an_answer(kind, pattern, request):
    tokenizer = request.getfixturevalue(kind)
    follows = Follows(pattern, tokenizer, (tokenizer.eos_token_id,))
    if kind == "byte_fallback":  # decoded alone, a token loses nothing here but its first space
        follows.texts = {
            i: tokenizer.convert_ids_to_tokens(i).replace("\u2581", " ") for i in follows.texts
        } | {3 + byte: chr(byte) for byte in range(128)}
    places = 0
    for seed in range(6):
        for chosen, allowed in walk(start(tokenizer, pattern), seed):
            assert sorted(allowed) == sorted(follows.allowed(follows.text(chosen))), chosen
            places += 1
    assert places >= 6


def test_every_end_token_may_end_an_answer_and_none_may_earlier(byte_level):
    ends = (byte_level.eos_token_id, byte_level.pad_token_id, byte_level.encode("a")[0])
    state = start(byte_level, "[a-c]{2}", ends)
    assert not set(tokens(state.allowed)) & set(ends)
    for text in "bb":
        state = state.after(byte_level.encode(text)[0])
    assert tokens(state.allowed) == sorted(ends)
    for end in ends:
        assert tokens(state.after(end).allowed) == []


def test_nothing_follows_what_is_forbidden(byte_level):
    state = start(byte_level, "ab")
    dead = state.after(byte_level.encode("x")[0])
    assert tokens(dead.allowed) == []
    assert tokens(dead.after(byte_level.encode("a")[0]).allowed) == []
    # Nor did asking change where we were.
    assert byte_level.encode("a")[0] in tokens(state.allowed)


def test_special_and_unwritable_tokens_are_never_allowed(byte_level):
    allowed = set(tokens(start(byte_level, r"(.|\n)*").allowed))
    assert byte_level.eos_token_id in allowed
    assert not allowed & (set(byte_level.all_special_ids) - {byte_level.eos_token_id})
    assert max(allowed) < len(byte_level)


SCHEMA = {
    "type": "object",
    "properties": {
        "why": {"type": "string", "maxLength": 8},
        "scores": {"type": "array", "items": {"enum": [0, 1]}, "minItems": 1, "maxItems": 3},
    },
    "required": ["why", "scores"],
    "additionalProperties": False,
}


def test_every_answer_to_a_schema_is_json_that_obeys_it(byte_level):
    texts = set()
    for seed in range(20):
        steps = list(walk(start(byte_level, Grammar("json_schema", json.dumps(SCHEMA))), seed, 400))
        text = byte_level.decode(steps[-1][0])
        answer = json.loads(text)
        assert list(answer) == ["why", "scores"]
        assert len(answer["why"]) <= 8
        assert 1 <= len(answer["scores"]) <= 3
        assert set(answer["scores"]) <= {0, 1}
        texts.add(text)
    assert len(texts) == 20


def test_hypotheses_that_came_the_same_way_share_their_place(byte_level):
    state, letter = start(byte_level, "[a-z]*"), byte_level.encode("a")[0]
    one = state.after(letter)
    assert state.after(letter) is one


@pytest.mark.parametrize(
    ("grammar", "word"),
    [
        (Grammar("regex", "(a"), "unclosed group"),
        (Grammar("regex", r"(a)\1"), "backreference"),
        (Grammar("json_schema", '{"type": "nonsense"}'), "nonsense"),
        (Grammar("json_schema", "[1]"), "json_schema"),
    ],
)
def test_a_grammar_that_cannot_be_followed_is_refused_with_the_reason(grammar, word, byte_level):
    with pytest.raises(ConfigError, match=word):
        check_grammar(grammar)
    with pytest.raises(ConfigError, match=word):
        start(byte_level, grammar)


def test_a_missing_library_is_named_with_what_to_install(byte_level, monkeypatch):
    monkeypatch.setattr("raypipe.engines.grammar.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install '\.\[grammar\]'"):
        check_grammar(Grammar("regex", "a"))
    with pytest.raises(ConfigError, match=r"pip install '\.\[grammar\]'"):
        start(byte_level, "a")


def test_one_file_imports_the_library():
    sources = (Path(__file__).parents[2] / "raypipe").rglob("*.py")
    assert [path.name for path in sources if "llguidance import" in path.read_text()] == [
        "grammar.py"
    ]


def word_pieces():
    tokenizer = Tokenizer(models.WordPiece({"[UNK]": 0, "he": 1, "##llo": 2}, unk_token="[UNK]"))
    tokenizer.decoder = decoders.WordPiece()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="[UNK]")


@pytest.mark.parametrize(
    ("tokenizer", "word"), [(object(), "object"), (word_pieces(), "WordPiece")]
)
def test_a_tokenizer_whose_tokens_have_no_known_text_is_refused(tokenizer, word):
    with pytest.raises(UnsupportedError, match=word):
        GrammarCompiler(tokenizer, 10, (0,))


def test_a_tokenizer_may_know_more_tokens_than_the_model(byte_level):
    ends = (byte_level.eos_token_id,)
    fewer = GrammarCompiler(byte_level, len(byte_level) - 9, ends).compile(Grammar("regex", "a+"))
    assert tokens(fewer.allowed) == tokens(start(byte_level, "a+").allowed)
