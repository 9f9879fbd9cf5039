"""How likely each label is as the whole answer, without an answer being written."""

from __future__ import annotations

from collections.abc import Sequence

from raypipe.labels import LabelSet
from raypipe.questions.cost import Cost, total
from raypipe.questions.outline import RunOutline
from raypipe.questions.passes import Pass
from raypipe.questions.question import Question
from raypipe.records import Hypothesis, TextScores


def _passes(outline: RunOutline) -> tuple[Pass, ...]:
    if outline.labels is None:
        return ()
    after_text = any(prompt.plain for prompt in outline.prompts)
    request = TextScores(_forms(outline.labels, spaced=after_text))
    return (Pass("labels", ("labels",), request, kind="label"),)


def _forms(labels: LabelSet, *, spaced: bool) -> tuple[str, ...]:
    """Every written form of every label, each once; also after a blank, where a text goes on."""
    forms = [form for name in labels.names for form in labels.written(name)]
    if spaced:
        forms = [variant for form in forms for variant in (form, f" {form}")]
    return tuple(dict.fromkeys(forms))


def _cost(answers: Sequence[Hypothesis], candidates: Sequence[Hypothesis]) -> Cost:
    """The prompt, and the tokens of all forms, each beginning that several share once."""
    if not answers:
        return Cost(None)
    beginnings = {
        answer.token_ids[:length] for answer in answers for length in range(1, answer.steps)
    }
    return Cost(total([answers[0].prompt_tokens, len(beginnings)]))


QUESTION = Question(
    name="labels",
    summary="how likely each label is as the whole answer, as itself and as its adjective, in "
    "lower case and capitalised",
    noun="the labels' log-likelihoods",
    kind="label",
    recorded="every form with its tokens, their log-probabilities and its log-likelihood alpha",
    rank=38,
    passes=_passes,
    requires=frozenset({"text_scores"}),
    cost=_cost,
)
