"""Beams that write one text in different tokens, taken together.

A model gives a text its probability in pieces: ``{"`` in one token or in two are two beams. A
grammar, which allows every tokenisation, makes them common. In ``w_bon`` nothing changes, as the
weights of equal answers add up anyway; but ``bon`` compares texts instead of pieces of them, the
first n beams are n different answers, a verifier's score counts once for each, and dividing alpha
by the length no longer favours a text that is written in many tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from raypipe.records import FinishReason, Hypothesis

_Search = tuple[int | None, int]
_Text = tuple[_Search, str, FinishReason]


def merge_tokenisations(hypotheses: Sequence[Hypothesis]) -> list[Hypothesis]:
    """Beams of one search with the same text become one, as likely as all of them together.

    Its alpha is the log-sum-exp of theirs: a lower bound of the log-probability of the text, as
    other tokenisations may not have been found. Everything else, tokens, their log-probabilities
    and logits, is the most likely tokenisation's; so alpha is no longer the sum of its
    ``token_logprobs``, and dividing alpha by the number of tokens divides by the number of that
    tokenisation's. A verifier's judgement is the best ranked one's that has a score. Ranks are
    given anew, by alpha.

    Not merged are an answer that ended and one that was cut, whose probability is that of all that
    may follow; and samples, as a text drawn twice has been drawn twice.

    Args:
        hypotheses: of one utterance, in any order.

    Returns:
        Beams as above, best first within each search, in the place of the search's first beam;
        every other hypothesis as it is.

    Example:
        >>> def beam(rank, token_ids, p):
        ...     return Hypothesis("beam", rank, "yes", token_ids, None, float(np.log(p)), "stop",
        ...                       None)
        >>> (yes,) = merge_tokenisations([beam(0, (1,), 0.5), beam(1, (2, 3), 0.25)])
        >>> yes.token_ids, round(float(np.exp(yes.alpha)), 6)
        ((1,), 0.75)
    """
    same: dict[_Text, list[Hypothesis]] = {}
    for hypothesis in hypotheses:
        if _is_searched(hypothesis):
            same.setdefault(
                (_search(hypothesis), hypothesis.text, hypothesis.finish_reason), []
            ).append(hypothesis)
    searches: dict[_Search, list[Hypothesis]] = {}
    for (search, *_), beams in same.items():
        searches.setdefault(search, []).append(_merged(beams))
    merged: list[Hypothesis] = []
    for hypothesis in hypotheses:
        if not _is_searched(hypothesis):
            merged.append(hypothesis)
        else:
            merged.extend(_ranked(searches.pop(_search(hypothesis), [])))
    return merged


def _is_searched(hypothesis: Hypothesis) -> bool:
    return hypothesis.kind == "beam" and not hypothesis.sampled and hypothesis.alpha is not None


def _search(hypothesis: Hypothesis) -> _Search:
    return hypothesis.beam_count, hypothesis.window


def _merged(beams: Sequence[Hypothesis]) -> Hypothesis:
    best, *others = sorted(beams, key=lambda beam: beam.rank)
    if not others:
        return best
    alphas = np.array([beam.alpha for beam in beams], dtype=np.float64)
    judged = next(
        (hypothesis for hypothesis in (best, *others) if hypothesis.verifier_score is not None),
        best,
    )
    return replace(
        best,
        alpha=float(np.logaddexp.reduce(alphas)),
        verifier_score=judged.verifier_score,
        verifier_text=judged.verifier_text,
        verifier_error=judged.verifier_error,
        verifier_call=judged.verifier_call,
        verifier_tokens=judged.verifier_tokens,
    )


def _ranked(beams: Sequence[Hypothesis]) -> list[Hypothesis]:
    """Ranks by alpha; of equal ones, and where alpha is not a number, as they were."""
    order = sorted(beams, key=lambda beam: (-_finite(beam.alpha), beam.rank))
    return [
        beam if beam.rank == rank else replace(beam, rank=rank) for rank, beam in enumerate(order)
    ]


def _finite(alpha: float | None) -> float:
    return -np.inf if alpha is None or np.isnan(alpha) else alpha
