from made_up_hypotheses import anger, heard, predicted


def test_it_is_the_valid_beam_with_the_best_score() -> None:
    beams = [
        heard("beam", 0.9, rank=0, verifier_score=0.3),
        heard("beam", 0.4, rank=1, verifier_score=0.6),
        heard("beam", None, rank=2, verifier_score=1.0),
        heard("beam", 0.1, rank=3),
    ]
    assert anger("alm_v", beams) == 0.4
    assert predicted("alm_v", beams[3:]).invalid_reason == "no_scores"
