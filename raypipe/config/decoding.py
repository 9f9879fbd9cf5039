"""The section of a run's config that says which answers a model is asked for."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from raypipe.config.base import ConfigSection
from raypipe.records import Sampling

_GRAMMARS = "a grammar is distribution, {regex: ...} or {json_schema: ...}"


class GrammarConfig(ConfigSection):
    """What every answer has to match; exactly one of the two.

    Attributes:
        regex: a regular expression for the whole answer, in the syntax of Rust's regex crate.
        json_schema: the schema of one JSON value.
    """

    regex: str | None = None
    json_schema: dict[str, object] | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.regex is None) == (self.json_schema is None):
            raise ValueError(_GRAMMARS)
        return self


AskedGrammar = GrammarConfig | Literal["distribution"]
"""What answers are held to: the distribution over the corpus's labels, or what the user wrote."""


class PenaltiesConfig(ConfigSection):
    """Penalties of the run's own, whatever a checkpoint asks for.

    Attributes:
        repetition_penalty: as transformers' ``generate()`` takes it; 1 for none.
    """

    repetition_penalty: float = Field(gt=0, allow_inf_nan=False)


_PENALTIES = "penalties are checkpoint, none or {repetition_penalty: ...}"


class SamplesConfig(ConfigSection):
    """Answers that are drawn from the model's own distribution, beside those searched for.

    Attributes:
        count: how many of every utterance.
        temperature: that logits are divided by; larger is more varied.
        top_p: tokens are drawn from the likeliest ones that have this share of the probability
            together; 1 for all.
        seed: another one draws others. What is drawn for an utterance depends on it and on the
            utterance's id alone.
    """

    count: int = Field(ge=1, le=64)
    temperature: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    top_p: float = Field(default=1.0, gt=0, le=1)
    seed: int = Field(default=0, ge=0)


class DecodingConfig(ConfigSection):
    """One pass that serves every strategy.

    Attributes:
        beam_count: number of beams B; 0 for none.
        other_beam_counts: further searches with other numbers of beams, whose strategies stand
            beside those of B. The beams of a narrower search are not the first of a wider one.
        greedy: also follow the greedy hypothesis, which is not the best beam.
        samples: answers drawn beside them, such as ``{count: 5, temperature: 0.7}``; None for
            none. They are not held to a grammar, and not drawn under penalties.
        max_new_tokens: longest answer in tokens; a hypothesis cut there says so.
        grammar: what every answer has to match: ``distribution`` for one JSON object with one
            number in [0, 1] per label, ``{regex: ...}`` or ``{json_schema: ...}``; None for
            anything. Not for prompts that ask for reasoning. Engine ``openai`` sends it as a
            schema; the others need the extra ``grammar``. Recorded logits and log-probabilities
            stay the model's own.
        penalties: what the search holds against tokens that were said already: what the
            ``checkpoint``'s generation config asks for, which is what ``generate()`` applies and
            so what others get from that checkpoint; ``none``; or ``{repetition_penalty: 1.05}``.
            Hypotheses then have two scores: the search's, in ``search_score``, and ``alpha``,
            which stays the model's own cumulative log-likelihood and is what strategies weigh
            beams by.
    """

    beam_count: int = Field(default=5, ge=0, le=16)
    other_beam_counts: tuple[Annotated[int, Field(ge=1, le=16)], ...] = ()
    greedy: bool = True
    samples: SamplesConfig | None = None
    max_new_tokens: int = Field(default=96, ge=1)
    grammar: AskedGrammar | None = None
    penalties: Literal["checkpoint", "none"] | PenaltiesConfig = "checkpoint"

    @field_validator("penalties", mode="before")
    @classmethod
    def _in_words_or_numbers(cls, penalties: object) -> object:
        # Otherwise a misspelt key is explained once for each of the two.
        if isinstance(penalties, dict):
            return PenaltiesConfig.model_validate(penalties)
        if penalties in ("checkpoint", "none") or isinstance(penalties, PenaltiesConfig):
            return penalties
        raise ValueError(_PENALTIES)

    @field_validator("grammar", mode="before")
    @classmethod
    def _by_name_or_in_full(cls, grammar: object) -> object:
        # Otherwise a misspelt key is explained once for each of the two.
        if isinstance(grammar, dict):
            return GrammarConfig.model_validate(grammar)
        if grammar in (None, "distribution") or isinstance(grammar, GrammarConfig):
            return grammar
        raise ValueError(_GRAMMARS)

    @property
    def sampling(self) -> Sampling | None:
        """The request for samples; None for none."""
        if self.samples is None:
            return None
        return Sampling(max_new_tokens=self.max_new_tokens, **self.samples.model_dump())

    @model_validator(mode="after")
    def _names_each_search_once(self) -> Self:
        if len({self.beam_count, *self.other_beam_counts}) <= len(self.other_beam_counts):
            raise ValueError("other_beam_counts: give every number of beams once")
        return self
