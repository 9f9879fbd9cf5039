import io
import itertools
from collections.abc import Iterator

import numpy as np
import pytest
import soundfile

from raypipe.tiny_alm.annotators import annotator_pool, collect_votes, vote_shares
from raypipe.tiny_alm.corpus import synthetic_clip, synthetic_utterance, synthetic_utterances
from raypipe.tiny_alm.synth import (
    EMOTIONS,
    MAX_DURATION_S,
    MIN_DURATION_S,
    PROFILES,
    SAMPLING_RATE,
    Speaker,
    random_speaker,
    speak,
)


@pytest.fixture(scope="module")
def utterances():
    return list(synthetic_utterances(120))


def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not(utterances):
    again = list(synthetic_utterances(3))
    assert again == utterances[:3]
    assert next(synthetic_utterances(1, seed=1)).audio != utterances[0].audio


def test_a_clip_does_not_depend_on_those_before_it(utterances):
    assert synthetic_utterance(57) == utterances[57]


def test_the_corpus_is_made_while_it_is_read():
    endless = synthetic_utterances(10**9)
    assert isinstance(endless, Iterator)
    assert len(list(itertools.islice(endless, 2))) == 2


def test_ids_are_unique_and_name_their_speaker(utterances):
    assert len({u.utterance_id for u in utterances}) == len(utterances)
    assert all(u.utterance_id.startswith(f"{u.speaker}-") for u in utterances)


def test_no_speaker_is_in_both_splits(utterances):
    train = {u.speaker for u in synthetic_utterances(120, split="train")}
    assert train.isdisjoint({u.speaker for u in utterances})


def test_flac_decodes_to_the_length_and_rate_that_the_row_states(utterances):
    for utterance in utterances[:20]:
        samples, rate = soundfile.read(io.BytesIO(utterance.audio))
        assert rate == utterance.sampling_rate == SAMPLING_RATE
        assert len(samples) / rate == pytest.approx(utterance.duration_s)
        assert MIN_DURATION_S <= utterance.duration_s <= MAX_DURATION_S
        assert 0.01 < np.abs(samples).max() <= 1.0


def test_soft_label_is_the_share_of_first_votes(utterances):
    for utterance in utterances:
        firsts = [vote.labels[0] for vote in utterance.votes]
        assert len({vote.annotator for vote in utterance.votes}) == utterance.n_votes == 10
        expected = tuple(firsts.count(name) / 10 for name in EMOTIONS)
        assert utterance.soft_label == expected


def test_plurality_is_the_single_most_voted_label_or_none(utterances):
    for utterance in utterances:
        counts = sorted(utterance.soft_label)
        if counts[-1] == counts[-2]:
            assert utterance.plurality is None
        else:
            assert utterance.soft_label[EMOTIONS.index(utterance.plurality)] == counts[-1]


def test_neutral_leads_the_corpus_as_in_crema_d(utterances):
    prior = np.mean([u.soft_label for u in utterances], axis=0)
    assert prior.argmax() == EMOTIONS.index("neutral")
    assert 0.2 < prior.max() < 0.45


def test_annotators_disagree_the_more_the_emotion_is_mixed():
    pool, rng = annotator_pool(), np.random.default_rng(0)

    def agreement(share: float) -> float:
        mix = np.full(6, 0.0)
        mix[[0, 3]] = share, 1.0 - share
        return float(np.mean([max(vote_shares(collect_votes(mix, pool, rng))) for _ in range(60)]))

    pure, leaning, even = agreement(1.0), agreement(0.75), agreement(0.5)
    assert pure > leaning + 0.1 > even + 0.15


def _plain_speaker(pitch_hz: float = 120.0) -> Speaker:
    return Speaker(pitch_hz=pitch_hz, formant_scale=1.0, style=np.zeros(PROFILES.shape[1]))


def _pure(emotion: str) -> np.ndarray:
    return np.eye(len(EMOTIONS))[EMOTIONS.index(emotion)]


def _spectral_centroid(samples: np.ndarray) -> float:
    power = np.abs(np.fft.rfft(samples)) ** 2
    frequencies = np.fft.rfftfreq(len(samples), 1 / SAMPLING_RATE)
    return float((power * frequencies).sum() / power.sum())


def test_anger_is_brighter_and_louder_than_sadness():
    def measured(emotion: str) -> tuple[float, float]:
        clips = [
            speak(_pure(emotion), _plain_speaker(), np.random.default_rng(k))[0] for k in range(8)
        ]
        centroid = np.mean([_spectral_centroid(clip) for clip in clips])
        return float(centroid), float(np.mean([np.sqrt(np.mean(clip**2)) for clip in clips]))

    angry, sad = measured("anger"), measured("sadness")
    assert angry[0] > 1.3 * sad[0]
    assert angry[1] > 2.0 * sad[1]


def test_pitch_follows_the_emotion_as_the_delivery_says():
    _, afraid = speak(_pure("fear"), _plain_speaker(), np.random.default_rng(0))
    _, calm = speak(_pure("neutral"), _plain_speaker(), np.random.default_rng(0))
    assert afraid["pitch"] > calm["pitch"] + 3.0
    assert afraid["rate"] > calm["rate"]


def test_voices_differ():
    pitches = [random_speaker(np.random.default_rng(k)).pitch_hz for k in range(40)]
    assert min(pitches) < 120 < 180 < max(pitches)


def test_a_clip_and_its_utterance_are_the_same_recording():
    clip, shares = synthetic_clip(5)
    utterance = synthetic_utterance(5)
    samples, _ = soundfile.read(io.BytesIO(utterance.audio))
    assert utterance.soft_label == shares
    np.testing.assert_allclose(samples, clip.samples, atol=2 / 2**15)
