"""Answers held to a grammar: which tokens may come next, worked out on the host by llguidance.

A token may come next if the text that it makes can still become an answer: every tokenisation of
an allowed text is allowed, special tokens never are, and an end token is allowed where the answer
may stop. What the model would have said of the other tokens is not this module's business.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from raypipe.errors import ConfigError, UnsupportedError
from raypipe.installation import install_hint
from raypipe.records import Grammar

if TYPE_CHECKING:
    from llguidance import LLMatcher
    from transformers import PreTrainedTokenizerBase

    from raypipe.engines.engine import ModelSettings
    from raypipe.protocols import Demand

PackedBits = NDArray[np.uint8]
"""One bit per token id, the lowest bit of the first byte for id 0; a whole number of words."""

_WORD_BYTES = 4
_WHITESPACE = r"( |\n {0,16})"
"""Between the parts of a JSON answer: nothing, a space, or a line break with an indentation. Any
number of them would let a model fill its whole answer with blanks. ``x-guidance`` in a schema
says otherwise."""


def require_llguidance() -> None:
    """Refuse to go on without the library, which is not imported.

    Raises:
        ConfigError: if it is missing.
    """
    if find_spec("llguidance") is None:
        raise ConfigError(
            f"decoding.grammar needs the library llguidance: {install_hint('grammar')}"
        )


def check_demanded_grammar(settings: ModelSettings, demand: Demand) -> None:
    """Refuse a run whose grammar an engine that searches here cannot follow.

    Raises:
        ConfigError: if the library is missing, or naming what it does not understand.
    """
    if demand.grammar is None:
        return
    require_llguidance()
    if demand.grammar != "distribution":
        check_grammar(demand.grammar)


def check_grammar(grammar: Grammar) -> None:
    """Refuse a grammar that cannot be followed, before a model is loaded.

    Raises:
        ConfigError: if the library is missing, or naming what it does not understand.
    """
    require_llguidance()
    from llguidance import LLMatcher

    wrong, messages = LLMatcher.validate_grammar_with_warnings(_written(grammar))
    if wrong:
        raise ConfigError(f"decoding.grammar: {grammar.kind}: {'; '.join(messages)}")


class GrammarCompiler:
    """Compiler of grammars for one model's tokenizer.

    Args:
        tokenizer: the model's, a fast one whose tokens are bytes, or fall back to bytes.
        vocabulary: width of the model's logits.
        end_ids: ids that end an answer.

    Raises:
        ConfigError: if the library is missing.
        UnsupportedError: for a tokenizer whose tokens have no text of their own.
    """

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, vocabulary: int, end_ids: Sequence[int]
    ) -> None:
        require_llguidance()
        from llguidance.hf import from_tokenizer

        if not getattr(tokenizer, "is_fast", False):
            raise UnsupportedError(
                f"a grammar needs a fast tokenizer, this is a {type(tokenizer).__name__}"
            )
        # Either may be the larger: models have rows to spare, tokenizers tokens that no model has.
        width = max(vocabulary, len(tokenizer))
        try:
            self._tokens = from_tokenizer(tokenizer, n_vocab=width, eos_token=end_ids[0])
        except ValueError as error:
            raise UnsupportedError(
                f"a grammar needs to know what each token writes: {error}"
            ) from error
        size = -(-width // (8 * _WORD_BYTES)) * _WORD_BYTES
        self._ends = _packed(end_ids, size)

    def compile(self, grammar: Grammar) -> GrammarState:
        """State at which every answer begins.

        Raises:
            ConfigError: if the grammar cannot be followed.
        """
        from llguidance import LLMatcher

        matcher = LLMatcher(self._tokens, _written(grammar), log_level=0)
        if matcher.is_error():
            raise ConfigError(f"decoding.grammar: {grammar.kind}: {matcher.get_error()}")
        return GrammarState(matcher, self._ends)


class GrammarState:
    """State of a grammar after some tokens. It never changes; equal hypotheses share it.

    Args:
        matcher: the library's own state; None where nothing may follow.
        ends: ids that end an answer.
        before: what identifies the tokens that were allowed one token earlier.
    """

    __slots__ = ("__weakref__", "_after", "_allowed", "_before", "_ends", "_mark", "_matcher")

    def __init__(self, matcher: LLMatcher | None, ends: PackedBits, before: int = 0) -> None:
        self._matcher, self._ends, self._before = matcher, ends, before
        self._allowed: PackedBits | None = None
        self._mark: int | None = None
        self._after: WeakValueDictionary[int, GrammarState] = WeakValueDictionary()

    def nowhere(self) -> GrammarState:
        """State after which nothing may follow."""
        return GrammarState(None, self._ends)

    @property
    def allowed(self) -> PackedBits:
        """The tokens that may come next; none after the end of an answer."""
        if self._allowed is None:
            self._allowed = self._find_allowed()
        return self._allowed

    @property
    def goes_on(self) -> bool:
        """Whether any token may come next."""
        return self._matcher is not None

    @property
    def kinds(self) -> tuple[tuple[int, ...], ...]:
        """Kinds of place in an answer that this is, the narrower one first.

        Places of one kind allow the same tokens; in the narrower sense the ones before them do,
        too.
        """
        mark = self._own_mark()
        return (self._before, mark), (mark,)

    def forced(self) -> int | None:
        """The only token that may come next, or the usual one of the only text that may.

        Other tokenisations of that text may be allowed as well. None where there is a choice of
        texts, or the answer may end.
        """
        if self._matcher is None:
            return None
        allowed = np.flatnonzero(np.unpackbits(self.allowed, bitorder="little"))
        if len(allowed) == 1:
            return int(allowed[0])
        matcher = self._matcher.deep_copy()
        # The library tells tokens of a text only once it was asked for the text.
        matcher.compute_ff_bytes()
        return next(iter(matcher.compute_ff_tokens()), None)

    def after(self, token_id: int) -> GrammarState:
        """State after one more token; one that allows nothing if there is none."""
        if self._matcher is None:
            return self
        state = self._after.get(token_id)
        if state is None:
            state = GrammarState(self._matcher_after(token_id), self._ends, self._own_mark())
            self._after[token_id] = state
        return state

    def _own_mark(self) -> int:
        if self._mark is None:
            self._mark = hash(self.allowed.tobytes())
        return self._mark

    def _matcher_after(self, token_id: int) -> LLMatcher | None:
        if self._matcher is None or not _holds(self.allowed, token_id):
            return None
        if _holds(self._ends, token_id):
            return None
        matcher = self._matcher.deep_copy()
        return matcher if matcher.consume_token(token_id) else None

    def _find_allowed(self) -> PackedBits:
        allowed = np.zeros_like(self._ends)
        if self._matcher is None:
            return allowed
        if not self._matcher.is_stopped():
            self._matcher.unsafe_compute_mask_ptr(allowed.ctypes.data, allowed.nbytes)
            allowed &= ~self._ends
        # The library knows one end token; all of them end an answer, and none elsewhere.
        return allowed | self._ends if self._matcher.is_accepting() else allowed


def _packed(token_ids: Sequence[int], size: int) -> PackedBits:
    bits = np.zeros(8 * size, dtype=np.uint8)
    bits[list(token_ids)] = 1
    return np.packbits(bits, bitorder="little")


def _holds(bits: PackedBits, token_id: int) -> bool:
    return bool(bits[token_id >> 3] >> (token_id & 7) & 1)


def _written(grammar: Grammar) -> str:
    """The grammar in the library's own form."""
    from llguidance import LLMatcher, regex_to_lark

    if grammar.kind == "regex":
        rule = f"/{regex_to_lark(grammar.source, '')}/" if grammar.source else '""'
    else:
        rule = f"%json {_with_bounded_whitespace(grammar)}"
    # Where only one text can follow, the library would otherwise allow only its usual tokens.
    return LLMatcher.grammar_from_lark(f'%llguidance {{"no_forcing": true}}\nstart: {rule}\n')


def _with_bounded_whitespace(grammar: Grammar) -> str:
    try:
        schema = json.loads(grammar.source)
    except ValueError as error:
        raise ConfigError(f"decoding.grammar: json_schema: {error}") from error
    if not isinstance(schema, dict):
        raise ConfigError(f"decoding.grammar: json_schema: is {schema!r}, not an object")
    own = schema.get("x-guidance", {})
    return json.dumps({**schema, "x-guidance": {"whitespace_pattern": _WHITESPACE} | own})
