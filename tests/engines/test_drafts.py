"""Guesses of what a grammar's answer says next, and how a step lays them out."""

import numpy as np
import pytest
from random_checkpoint import train_tokenizer

from raypipe.engines.drafts import AnswerForm, drafted
from raypipe.engines.grammar import GrammarCompiler
from raypipe.records import Grammar


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(700)


@pytest.fixture
def start(tokenizer):
    def compiled(pattern):
        compiler = GrammarCompiler(tokenizer, len(tokenizer), (tokenizer.eos_token_id,))
        return compiler.compile(Grammar("regex", pattern))

    return compiled


def after(state, tokenizer, text):
    for token in tokenizer.encode(text):
        state = state.after(token)
    return state


def test_the_only_text_that_may_follow_is_guessed_in_its_usual_tokens(start, tokenizer):
    state = start('"anger":(0|1)')
    chain = AnswerForm().continuation(state, 20)
    assert [token for token, _ in chain] == tokenizer.encode('"anger":')
    assert len(AnswerForm().continuation(state, 1)) == 1 < len(chain)
    # Other tokenisations are allowed: the guesses are some of several tokens.
    assert np.unpackbits(chain[0][1].allowed).sum() > 1
    # And each place is the one after its token.
    for token, place in chain:
        state = state.after(token)
        assert place is state


def test_where_only_one_token_may_follow_it_is_the_guess(start, tokenizer):
    (zero,) = tokenizer.encode("0")
    state = start("(0)?x").after(zero)
    (x,) = tokenizer.encode("x")
    assert state.forced() == x


def test_a_choice_of_texts_is_not_guessed_and_no_end_is(start, tokenizer):
    form = AnswerForm()
    assert form.continuation(start("[ab]c"), 5) == []
    assert form.continuation(start("anger"), 0) == []
    complete = after(start("ab"), tokenizer, "ab")
    assert complete.forced() == tokenizer.eos_token_id
    assert form.continuation(complete, 5) == []
    assert form.continuation(complete.after(tokenizer.eos_token_id), 5) == []


def test_what_always_followed_in_the_same_kind_of_place_is_guessed(start, tokenizer):
    state, form = start("([0-9],? ?){1,6}"), AnswerForm()
    for token in tokenizer.encode("1,2,3,"):
        form.note(state, token)
        state = state.after(token)
    digit, comma = (tokenizer.encode(text)[0] for text in "3,")
    assert form.guess(state) is None  # a digit, and digits varied
    state = state.after(digit)
    assert form.guess(state) == comma
    form.note(state, digit)  # now a comma does not always follow
    assert form.guess(state) is None


CHAINS = {"a": [(5, None), (6, None)], "b": [(7, None)]}


def test_a_step_is_laid_out_by_depth_and_what_lanes_share_stands_once():
    a, b = CHAINS.values()
    draft = drafted(2, {1: [1, 2, 1]}, {1: [a, b, a]}, 3, {1: 9})
    assert draft.tokens.tolist() == [[0] * 6, [1, 2, 1, 5, 7, 6]]
    assert draft.lanes.tolist() == [[-1] * 6, [0, 1, 2, 0, 1, 0]]
    assert draft.depths.tolist() == [[0] * 6, [0, 0, 0, 1, 1, 2]]
    assert draft.children == [{}, {(0, 5): 3, (2, 5): 3, (1, 7): 4, (3, 6): 5}]


def test_a_row_is_fed_no_more_than_it_has_room_for_and_the_deepest_go_first():
    a, b = CHAINS.values()
    draft = drafted(1, {0: [1, 2]}, {0: [a, b]}, 2, {0: 2})
    assert draft.tokens.tolist() == [[1, 2, 5, 7]]
    assert draft.children == [{(0, 5): 2, (1, 7): 3}]


def test_nothing_is_guessed_where_most_of_what_is_fed_would_be_padding():
    a, nothing = CHAINS["a"], []
    chains = {0: [a], 1: [nothing], 2: [nothing]}
    tokens = {row: [1] for row in chains}
    most = dict.fromkeys(chains, 9)
    assert drafted(3, tokens, chains, 1, most).tokens.shape == (3, 1)
    assert drafted(3, tokens, chains | {1: [a]}, 1, most).tokens.shape == (3, 3)
    assert drafted(3, {0: [1]}, {0: [a]}, 1, most).tokens.shape == (3, 3)  # others not in use
