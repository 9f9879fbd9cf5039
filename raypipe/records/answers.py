"""Records of what a model answered, and what is read in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from raypipe.records.arrays import FloatArray
from raypipe.records.pickling import quickly_pickled

HypothesisKind = Literal["greedy", "beam"]
"""Kinds of a search's own hypotheses; questions may record others, see :class:`Hypothesis`."""
FinishReason = Literal["stop", "length", "refusal", "content_filter"]
"""Why an answer ends."""
AlphaKind = Literal["sum_logprob", "sum_logprob_without_end", "none"]
"""What an alpha is."""
EmotionKind = Literal["logit", "logprob"]
"""What recorded values of emotion tokens are."""


@quickly_pickled
@dataclass(frozen=True, slots=True)
class Hypothesis:
    """One generated output.

    Attributes:
        kind: ``greedy``, ``beam`` (see ``sampled``), ``cot`` (the greedy answer to the prompt's
            variant with step-by-step instructions), or the kind of another question, see
            :attr:`raypipe.questions.Question.kind`.
        rank: 0 for the greedy hypotheses; beams of one search are ranked by alpha from 0.
        token_ids: generated ids, shape ``(steps,)``, with the end-of-sequence id if it was reached;
            empty where the engine cannot know them.
        token_logprobs: log p of each generated token, natural log, shape ``(steps,)``; None where
            the engine cannot know them.
        alpha: cumulative log-likelihood, the plain sum of ``token_logprobs``; None where the
            engine cannot know it.
        finish_reason: ``stop`` at an end-of-sequence token, ``length`` if cut at the limit;
            ``refusal`` and ``content_filter`` mark a text that is no answer.
        emotion_logits: raw logits of the recorded emotion tokens, shape ``(steps, tokens)``,
            before softmax, temperature, penalties or grammar; None where unavailable.
        verifier_score: in [0, 1]; None if not scored.
        verifier_text: what the verifier wrote; of several answers, the first.
        verifier_error: why a candidate that was put to the verifier has no score; None otherwise.
        verifier_call: number of the call that judged it, from 0; the same for hypotheses that are
            the same candidate. None if it was not put to the verifier.
        verifier_tokens: prompt and answers of that call; None where unknown.
        alpha_kind: what alpha is; ``sum_logprob_without_end`` where an endpoint does not tell the
            probability of ending there, ``none`` where it tells no probabilities: such beams
            weigh the same.
        emotion_kind: ``logprob`` if ``emotion_logits`` holds log-probabilities instead, NaN where
            unknown: raw logits up to one constant per step.
        sampled: the beam is a sample that stands in for one found by search.
        step_count: number of generated tokens where their ids are not known.
        prompt_tokens: of the question that it answers, audio included; None where unknown.
        beam_count: how many beams the search that found it followed; None for greedy ones.
        window: which part of a long clip was heard, from 0; a clip within the model's window has
            one.
        window_s: seconds of that part; None for the whole clip.
        search_score: what the search ranked by, where that is not ``alpha``; None otherwise.
    """

    kind: str
    rank: int
    text: str
    token_ids: tuple[int, ...]
    token_logprobs: FloatArray | None
    alpha: float | None
    finish_reason: FinishReason
    emotion_logits: FloatArray | None
    verifier_score: float | None = None
    verifier_text: str | None = None
    verifier_error: str | None = None
    verifier_call: int | None = None
    verifier_tokens: int | None = None
    alpha_kind: AlphaKind = "sum_logprob"
    emotion_kind: EmotionKind = "logit"
    sampled: bool = False
    step_count: int | None = None
    prompt_tokens: int | None = None
    beam_count: int | None = None
    window: int = 0
    window_s: float | None = None
    search_score: float | None = None

    @property
    def is_answer(self) -> bool:
        """Whether the text is what the model answers, cut perhaps."""
        return self.finish_reason in ("stop", "length")

    @property
    def steps(self) -> int:
        """Number of generated tokens, 0 if the engine cannot know it."""
        return len(self.token_ids) if self.step_count is None else self.step_count


@quickly_pickled
@dataclass(frozen=True, slots=True)
class AskedQuestion:
    """A question that was put to a model about one window of an utterance, and whether it answered.

    Attributes:
        question: its name, see :mod:`raypipe.questions`.
        window: which part of a long clip it was about, from 0.
        window_s: seconds of that part; None for the whole clip.
        beam_count: beams of the search that was asked for; None for any other request.
        prompt_tokens: of the prompt, audio included; None where unknown.
        error_type: short stable name of why there is no answer; None where there is one.
        error_message: what was wrong; None where there is an answer.
    """

    question: str
    window: int = 0
    window_s: float | None = None
    beam_count: int | None = None
    prompt_tokens: int | None = None
    error_type: str | None = None
    error_message: str | None = None

    @property
    def failed(self) -> bool:
        """Whether it got no answer."""
        return self.error_type is not None


@quickly_pickled
@dataclass(frozen=True, slots=True)
class Generation:
    """Everything a model said about one utterance.

    Attributes:
        questions: what was asked; empty as an engine gives it.
        prompt_tokens: of the whole question, audio included; None where an endpoint does not say.
        audio_tokens: of them, those of the audio; None where an endpoint does not say.
        batch_size: utterances that were decoded together; fewer than asked for where memory ran
            out or a call held fewer. In half precision an answer may depend on it. None where
            the engine cannot know it.
    """

    utterance_id: str
    hypotheses: tuple[Hypothesis, ...]
    prompt_tokens: int | None
    audio_tokens: int | None
    batch_size: int | None = None
    questions: tuple[AskedQuestion, ...] = ()


@dataclass(frozen=True, slots=True)
class Parsed:
    """A text read as a distribution over the label set.

    Attributes:
        probs: shape ``(labels,)``, float64, sums to 1; None when invalid.
        rule: the parsing rule that fired, e.g. ``"json"``; ``"none"`` if no rule did.
        invalid_reason: why there is no distribution; None when valid.
        dropped_share: share of the answer's labels that are not in the label set, in [0, 1]; they
            were dropped and the rest renormalised.
    """

    probs: NDArray[np.float64] | None
    rule: str
    invalid_reason: str | None = None
    dropped_share: float = 0.0


@dataclass(frozen=True, slots=True)
class Prediction:
    """One strategy's answer for one utterance.

    Attributes:
        probs: shape ``(labels,)``, float64, sums to 1; None when invalid.
        parse_rule: rule of the hypothesis used; the distinct rules joined by ``+`` if several were.
        weighting: how beams were weighed, ``alpha``, ``verifier`` or, for want of alphas,
            ``uniform``; None where none were.
        entropy: entropy of ``probs``, in bits.
        total_uncertainty: H[E p] of the predicted mixture, in nats; None where a strategy has none.
        aleatoric_uncertainty: E[H(p)] under the mixture, in nats; None where a strategy has none.
        epistemic_uncertainty: their difference, in nats, >= 0; None where a strategy has none.
        model_tokens: prompts, each question once, and all that was generated for it, a verifier's
            included; None where unknown.
        verifier_calls: for this prediction; None where unknown.
        escalated: whether ``adaptive`` turned to its expensive strategy; None for any other.
        dropped_share: share of labels outside the set that was dropped from the answers read, the
            mean of several by weight, in [0, 1]; None where no text was read.
        covariance: of the label shares under the predicted mixture, shape ``(labels, labels)``,
            symmetric, rows sum to 0; None where a strategy has none.
        label_set: labels that are to hold a wanted share of the votes, in the label set's order;
            None but for ``conformal``.
    """

    strategy: str
    probs: NDArray[np.float64] | None
    parse_rule: str | None
    invalid_reason: str | None = None
    entropy: float | None = None
    total_uncertainty: float | None = None
    aleatoric_uncertainty: float | None = None
    epistemic_uncertainty: float | None = None
    weighting: str | None = None
    model_tokens: int | None = None
    verifier_calls: int | None = None
    escalated: bool | None = None
    dropped_share: float | None = None
    covariance: NDArray[np.float64] | None = None
    label_set: tuple[str, ...] | None = None

    @property
    def valid(self) -> bool:
        """Whether there is a distribution."""
        return self.probs is not None
