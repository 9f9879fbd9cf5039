import pytest

from raypipe.parsing.explained import PARTS, read_parts


def test_the_papers_form_is_read_whole():
    parts = read_parts(
        "<asr>Oh, no.</asr><answer>I think the emotion is sad</answer><reason>A low voice.</reason>"
    )
    assert (parts.transcript, parts.answer, parts.reason) == (
        "Oh, no.",
        "I think the emotion is sad",
        "A low voice.",
    )
    assert parts.tagged
    assert not parts.faults


def test_another_form_has_no_parts_and_no_faults():
    parts = read_parts("The answer is sad.")
    assert not parts.tagged
    assert (parts.transcript, parts.answer, parts.reason, dict(parts.faults)) == (
        *(None, None, None),
        {},
    )


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("<asr>a</asr><answer>b</answer>", {"reason": "missing"}),
        ("<asr>a</asr><answer>b</answer><reason>c", {"reason": "unclosed"}),
        ("<asr>a<answer>b</answer><reason>c</reason>", {"asr": "unclosed"}),
        ("a</asr><answer>b</answer><reason>c</reason>", {"asr": "unopened"}),
        ("<asr></asr><answer> </answer><reason>c</reason>", {"asr": "empty", "answer": "empty"}),
        ("<asr>a</asr><asr>b</asr><answer>b</answer><reason>c</reason>", {"asr": "twice"}),
        ("<answer>b</answer>", {"asr": "missing", "reason": "missing"}),
    ],
)
def test_a_part_that_is_not_clearly_there_is_none_and_named(text, faults):
    parts = read_parts(text)
    assert dict(parts.faults) == faults
    values = dict(zip(PARTS, (parts.transcript, parts.answer, parts.reason), strict=True))
    assert {part for part, value in values.items() if value is None} == set(faults)


def test_what_is_repeated_word_for_word_is_one_answer():
    parts = read_parts("<asr>a</asr><answer>b</answer><answer>b</answer><reason>c</reason>")
    assert (parts.answer, dict(parts.faults)) == ("b", {})


def test_a_reason_that_nobody_asked_for_is_not_missed():
    assert not read_parts("<asr>a</asr><answer>b</answer>", reason=False).faults


def test_tags_are_read_in_any_case_and_with_blanks():
    parts = read_parts("<ASR> a </ASR>\n< Answer >b</ answer >\n<reason>c</reason>")
    assert (parts.transcript, parts.answer, parts.reason) == ("a", "b", "c")


def test_the_time_is_linear():
    text = "<asr>" * 200_000
    assert read_parts(text).faults["asr"] == "unclosed"
