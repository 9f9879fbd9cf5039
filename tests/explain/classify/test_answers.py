from dataclasses import replace

import numpy as np
import pytest

from raypipe.explain.classify.answers import read_answers, reasons_as_asked
from raypipe.explain.classify.deciding import decide
from raypipe.explain.classify.findings import system_findings, word_error_rate
from raypipe.labels import LABEL_SETS
from raypipe.prompts.options import options_for
from raypipe.records import (
    EmotionTokens,
    Failure,
    Generation,
    Hypothesis,
    OptionOrder,
    Utterance,
    Vote,
)
from raypipe.store.generations import Answered, generations_table

LABELS = LABEL_SETS["msp-podcast-8"]
UTTERANCE = Utterance(
    *("u1", "d", "test", "s1", b"", 16_000, 1.0, "Anna lost it.", ()),
    votes=(Vote("a", ("sadness", "fear")), Vote("b", ("sadness",)), Vote("c", ("other",))),
    soft_label=(0, 0, 0, 0, 0, 0, 1.0, 0),
    plurality="sadness",
    n_votes=2,
)


def table(*texts, order=None):
    answered = []
    for number, text in enumerate(texts):
        utterance = replace(UTTERANCE, utterance_id=f"u{number}")
        answer = Failure(utterance.utterance_id, "engine", "out_of_memory", "it was")
        if text is not None:
            hypothesis = Hypothesis("greedy", 0, text, (1, 2), None, None, "stop", None)
            answer = Generation(utterance.utterance_id, (hypothesis,), 3, 1)
        answered.append(Answered(utterance, answer, 1.0))
    return generations_table(
        answered,
        run="r",
        model="m",
        prompt="p",
        labels=LABELS,
        emotion_tokens=EmotionTokens((), (), ()),
        options=order,
    )


def test_transcript_label_and_reason_stand_by_themselves():
    text = (
        "<asr>Anna found it.</asr><answer>I think the emotion is sad</answer>"
        "<reason>A low voice.</reason>"
    )
    (answer,) = read_answers(table(text), LABELS, "open", steps=False)
    assert (answer.transcript, answer.emotion.label, answer.reason, answer.faults) == (
        *("Anna found it.", "sadness", "A low voice."),
        (),
    )
    assert (answer.word_errors.errors, answer.word_errors.words) == (1, 3)
    assert answer.union == ("sadness",)
    (every,) = read_answers(
        table(text), LABELS, "open", steps=False, annotator_labels="primary+secondary"
    )
    assert every == replace(answer, union=("fear", "sadness"))
    assert (answer.reference, answer.majority, answer.speaker) == ("sadness", True, "s1")


def test_invalid_parts_are_named_and_cost_only_themselves():
    text = "<asr>Anna lost it.<answer>I think the emotion is sad</answer><reason>Low"
    (answer,) = read_answers(table(text), LABELS, "open", steps=False)
    assert answer.faults == ("asr: unclosed", "reason: unclosed")
    assert (answer.transcript, answer.emotion.label, answer.reason) == (None, "sadness", None)
    assert answer.word_errors.deletions == 3


def test_the_steps_are_the_reason_where_steps_were_asked_for():
    text = "1. She lost it.\n2. Low.\nThe emotion is sad."
    (answer,) = read_answers(table(text), LABELS, "open", steps=True)
    assert answer.reason == text
    (answer,) = read_answers(table(text), LABELS, "open", steps=False)
    assert answer.reason is None


def test_an_utterance_without_an_answer_is_there_with_its_reason():
    (answer,) = read_answers(table(None), LABELS, "open", steps=False)
    assert (answer.text, answer.emotion.fault) == (None, "out_of_memory")


@pytest.mark.parametrize("seed", [None, 3])
def test_letters_follow_the_order_that_the_question_had(seed):
    order = OptionOrder(seed)
    answers = list(read_answers(table(*"ABCDEFGH", order=order), LABELS, "closed", steps=False))
    for answer in answers:
        options = options_for(order, LABELS, answer.utterance_id)
        by_letter = {option.letter: option.label for option in options}
        assert answer.emotion.label == by_letter[answer.text]
        assert by_letter[answer.reference_letter] == "sadness"


def test_a_rate_is_of_all_words_together_with_the_commonest_sentence_beside_it():
    said = "<asr>{}</asr><answer>sad</answer>"
    rows = table(said.format("Anna lost it."), said.format("Anna found"), "sad")
    answers = list(read_answers(rows, LABELS, "open", steps=False))
    rate = word_error_rate(answers, 200, 0)
    assert (rate.rate, rate.words, rate.without) == (pytest.approx(5 / 9), 9, 1)
    assert rate.baseline == 0.0  # they all say the same
    assert word_error_rate([answers[2]], 200, 0) is None


def test_letters_are_counted_beside_the_references():
    order = OptionOrder()
    answers = list(read_answers(table("A", "A", "B", order=order), LABELS, "closed", steps=False))
    decided, *_ = decide(answers, LABELS, extractions={}, groups={}, reader=None)
    findings = system_findings("x", "closed", answers, decided, 100, 0)
    uses = {use.letter: (use.chosen, use.reference) for use in findings.letters}
    assert uses == {
        "A": (pytest.approx(2 / 3), 0.0),
        "B": (pytest.approx(1 / 3), pytest.approx(1.0)),
    }
    assert np.isclose(sum(use.chosen for use in findings.letters), 1.0)


def test_a_form_without_reasons_has_none_and_no_fault():
    plain = "<asr>Anna lost it.</asr><answer>I think the emotion is sad</answer>"
    answers = list(read_answers(table(plain, plain), LABELS, "open", steps=False))
    assert [answer.faults for answer in reasons_as_asked(answers)] == [(), ()]
    # Where another of the system's answers has one, or the trace of one, it is missed.
    for other in ("<reason>A low voice.</reason>", "<reason>Low"):
        mixed = list(read_answers(table(plain, plain + other), LABELS, "open", steps=False))
        assert reasons_as_asked(mixed)[0].faults == ("reason: missing",)
