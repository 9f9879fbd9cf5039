from dataclasses import replace

from made_up_hypotheses import anger, beams, heard, predicted

GREEDY = heard("greedy", 0.9)


def test_it_is_the_one_label_that_the_answer_names() -> None:
    assert anger("open", [GREEDY, *beams(0.1)]) == 1.0
    assert anger("open", [replace(GREEDY, text="The speaker sounds gloomy.")]) == 0.0
    tagged = (
        "<asr>I am happy.</asr><answer>I think the emotion is angry</answer><reason>Sad.</reason>"
    )
    assert anger("open", [replace(GREEDY, text=tagged)]) == 1.0


def test_what_names_no_label_of_the_set_is_other() -> None:
    curious = predicted("open", [replace(GREEDY, text="She is curious.")])
    assert (curious.invalid_reason, curious.parse_rule) == ("other", "word_map")
    assert (
        predicted("open", [replace(GREEDY, text="Anger and sadness.")]).invalid_reason == "several"
    )
    assert predicted("open", [replace(GREEDY, text="Hm.")]).invalid_reason == "no_answer"
    refused = replace(GREEDY, text="Angry", finish_reason="refusal")
    assert predicted("open", [refused]).invalid_reason == "refusal"
    assert predicted("open", beams(0.1)).invalid_reason == "no_greedy"
