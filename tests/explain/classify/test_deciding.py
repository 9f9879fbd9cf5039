import json
import re
from collections import Counter

import pytest

from raypipe.explain.classify.answers import ReadAnswer
from raypipe.explain.classify.deciding import AnswerReader, decide
from raypipe.explain.classify.decisions import Decision
from raypipe.labels import LABEL_SETS
from raypipe.parsing.choices import NamedEmotion, read_free
from raypipe.records import Failure, Generation, Hypothesis

LABELS = LABEL_SETS["msp-podcast-8"]


def answer(text, emotion=None):
    if emotion is None:
        emotion = read_free(text, LABELS)
    return ReadAnswer(
        *("u", "d", "test", "s", "anger", ("anger",), True, None),
        *(text, text, None, None, (), emotion, None),
    )


def reply(text):
    hypothesis = Hypothesis("greedy", 0, text, (1,), None, None, "stop", None)
    return Generation("r", (hypothesis,), None, None)


class Model:
    """Extracts the word after "feeling", and groups by a table."""

    def __init__(self, groups, spoil=0, wrong="?"):
        self.groups, self.spoil, self.wrong = groups, spoil, wrong
        self.prompts = []

    def __call__(self, prompts):
        return [self.one(prompt) for prompt in prompts]

    def one(self, prompt):
        self.prompts.append(prompt)
        if self.spoil:
            self.spoil -= 1
            return (
                Failure("r", "engine", "http_500", "busy")
                if self.wrong is None
                else reply(self.wrong)
            )
        if "Categories" in prompt:
            phrases = re.findall(r"^- (.*)$", prompt, re.M)
            return reply(json.dumps({phrase: self.groups[phrase] for phrase in phrases}))
        found = re.search(r"feeling (\w+ ?\w*)", prompt)
        return reply(found[1] if found else "none")


def run(answers, model=None, attempts=3, **standing):
    reader = None if model is None else AnswerReader("m", model, attempts)
    return decide(
        answers,
        LABELS,
        extractions=standing.get("extractions", {}),
        groups=standing.get("groups", {}),
        reader=reader,
    )


def test_rules_come_first_then_the_word_map():
    decided, extractions, groups = run(
        [answer("Angry."), answer("She is gloomy."), answer("She is curious."), answer("Hm.")]
    )
    assert [(d.phrase, d.extracted_by, d.label, d.grouped_by) for d in decided] == [
        ("anger", "parser", "anger", "label_set"),
        ("gloomy", "word_map", "sadness", "word_map"),
        ("curious", "word_map", "other", "word_map"),
        (None, "none", "other", "none"),
    ]
    assert decided[-1].fault == "no_answer"
    assert extractions["Hm."] == Decision("Hm.", "", "none", 1)
    assert set(groups) == {"gloomy", "curious"}


def test_the_model_reads_what_the_rules_cannot_and_is_asked_once_for_each_text():
    model = Model({"wired up": "fear"})
    texts = ["He is feeling wired up.", "He is feeling wired up.", "Nothing to hear.", "Angry."]
    decided, extractions, groups = run([answer(text) for text in texts], model)
    assert [(d.phrase, d.extracted_by, d.label, d.grouped_by) for d in decided] == [
        *[("wired up", "model m", "fear", "model m")] * 2,
        (None, "model m", "other", "none"),
        ("anger", "parser", "anger", "label_set"),
    ]
    assert len(model.prompts) == 3
    assert (extractions[texts[0]].count, groups["wired up"].count) == (2, 2)
    again = Model({})
    redone, *_ = run([answer(t) for t in texts], again, extractions=extractions, groups=groups)
    assert redone == decided
    assert not again.prompts


@pytest.mark.parametrize("wrong", [None, "sort of weird and long and so on", "purple"])
def test_a_reply_that_cannot_be_used_is_asked_again_with_the_reason(wrong):
    model = Model({"wired up": "fear"}, spoil=2, wrong=wrong)
    (decided,), *_ = run([answer("He is feeling wired up.")], model)
    assert decided.label == "fear"
    assert "could not be used" in model.prompts[2]
    never = Model({}, spoil=99, wrong=wrong)
    (decided,), *_ = run([answer("He is feeling wired up.")], never, attempts=2)
    assert (decided.label, decided.extracted_by, len(never.prompts)) == ("other", "none", 2)


def test_a_person_is_obeyed_against_rules_and_model():
    texts = ["Angry.", "She is gloomy.", "He is feeling wired up."]
    decided, *_ = run(
        [answer(text) for text in texts],
        Model({}),
        extractions={
            "Angry.": Decision("Angry.", "", "person"),
            texts[2]: Decision(texts[2], "wired", "person"),
        },
        groups={
            "gloomy": Decision("gloomy", "neutral", "person"),
            "wired": Decision("wired", "surprise", "person"),
        },
    )
    assert [(d.label, d.extracted_by, d.grouped_by) for d in decided] == [
        ("other", "person", "none"),
        ("neutral", "word_map", "person"),
        ("surprise", "person", "person"),
    ]


def test_letters_are_decided_by_each_answers_own_options():
    first = answer("B.", NamedEmotion("B", "sadness", "letter"))
    second = answer("B.", NamedEmotion("B", "fear", "letter"))
    decided, extractions, groups = run([first, second])
    assert [d.label for d in decided] == ["sadness", "fear"]
    assert (extractions, groups) == ({}, {})


def test_what_has_been_decided_is_kept_after_every_round():
    kept = []
    decide(
        [answer("He is feeling wired up.")],
        LABELS,
        extractions={},
        groups={},
        reader=AnswerReader("m", Model({"wired up": "fear"})),
        keep=lambda extracted, grouped: kept.append(
            (len(extracted), Counter(row.decided_by for row in grouped.values()))
        ),
    )
    assert kept == [(1, Counter()), (1, Counter({"model m": 1}))]
