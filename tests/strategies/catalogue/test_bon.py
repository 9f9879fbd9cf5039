from made_up_hypotheses import anger, heard, predicted

LIKELY = heard("beam", 0.9, 10, rank=0, alpha=-5.0)
SHORT = heard("beam", 0.2, 2, rank=1, alpha=-4.0)


def test_it_is_the_valid_beam_with_the_largest_alpha() -> None:
    assert anger("bon", [LIKELY, SHORT]) == 0.2
    unreadable = heard("beam", None, 2, rank=2, alpha=-1.0)
    assert anger("bon", [LIKELY, SHORT, unreadable]) == 0.2
    assert predicted("bon", [unreadable]).invalid_reason == "no_valid_beam"


def test_alpha_can_be_divided_by_the_number_of_tokens() -> None:
    assert anger("bon", [LIKELY, SHORT], length_normalised=True) == 0.9  # -0.5 against -2


def test_beams_of_one_text_count_together_on_request() -> None:
    twins = [heard("beam", 0.9, 3, rank=rank, alpha=-1.0, token_ids=(rank,)) for rank in (0, 1)]
    other = heard("beam", 0.2, 3, rank=2, alpha=-0.5, token_ids=(7,))
    assert anger("bon", [*twins, other]) == 0.2
    assert anger("bon", [*twins, other], merge_tokenisations=True) == 0.9  # log(2 / e) > -0.5
