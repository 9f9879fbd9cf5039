from made_up_hypotheses import anger, heard, predicted


def test_it_mixes_the_scored_beams_by_their_scores() -> None:
    beams = [
        heard("beam", 0.9, rank=0, verifier_score=0.2),
        heard("beam", 0.1, rank=1, verifier_score=0.6),
        heard("beam", 0.5, rank=2),
    ]
    assert anger("w_alm_v", beams) == 0.3  # weights 1/4 and 3/4
    assert predicted("w_alm_v", beams).weighting == "verifier"


def test_scores_that_are_all_zero_weigh_the_same() -> None:
    beams = [
        heard("beam", share, rank=rank, verifier_score=0.0) for rank, share in ((0, 1), (1, 0))
    ]
    assert anger("w_alm_v", beams) == 0.5
