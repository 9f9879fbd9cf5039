from dataclasses import replace

from made_up_hypotheses import beams, chosen, closed_form, heard, predicted

GREEDY = heard("greedy", 0.9)


def probs(text: str) -> list[float] | str | None:
    prediction = closed_form("closed", [replace(GREEDY, text=text)])
    return prediction.invalid_reason if prediction.probs is None else prediction.probs.tolist()


def test_it_is_the_option_that_the_answer_chooses() -> None:
    assert probs("B. Sad") == [0.0, 1.0]
    assert probs("Angry") == [1.0, 0.0]
    assert probs("C. Other") == "other"
    assert probs("B. Angry") == "letter_and_words_differ"
    assert closed_form("closed", beams(0.1)).invalid_reason == "no_greedy"


def test_without_options_there_is_nothing_to_choose() -> None:
    assert predicted("closed", [GREEDY]).valid  # the helper asks a closed form
    from made_up_hypotheses import LABELS, TOKENS

    from raypipe.strategies import Settings, predict

    (prediction,) = predict([chosen("A", GREEDY)], ["closed"], LABELS, TOKENS, Settings())
    assert prediction.invalid_reason == "no_options"
