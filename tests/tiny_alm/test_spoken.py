import hashlib

import numpy as np
import pytest

from raypipe.tiny_alm import spoken
from raypipe.tiny_alm.corpus import synthetic_utterance
from raypipe.tiny_alm.spoken import (
    LABEL_SET,
    PRONUNCIATIONS,
    SPEAKERS,
    SPOKEN_PROFILES,
    VOTES_PER_CLIP,
    clip_id,
    sentence,
    spoken_clip,
    spoken_utterance,
    spoken_utterances,
    spoken_votes,
    syllables,
    true_mix,
)
from raypipe.tiny_alm.synth import EMOTIONS, SAMPLING_RATE, VOWELS, random_speaker, speak
from raypipe.votes import soft_label


def test_a_clip_is_a_function_of_its_number_split_and_seed():
    utterance = spoken_utterance(7)
    assert spoken_utterance(7) == utterance
    assert (utterance.transcript, utterance.votes) == (sentence(7), spoken_votes(7))
    assert utterance.soft_label == soft_label(utterance.votes, LABEL_SET).probs
    assert len(utterance.votes) == VOTES_PER_CLIP
    assert utterance.duration_s == len(spoken_clip(7)[0]) / SAMPLING_RATE
    others = [spoken_utterance(7, split="train"), spoken_utterance(7, seed=1), spoken_utterance(8)]
    assert all(utterance.audio != other.audio for other in others)


def test_splits_share_no_speaker_and_ids_are_unique():
    ids = [clip_id(index, split) for split in SPEAKERS for index in range(500)]
    assert len(set(ids)) == len(ids)
    voices = {split: {spoken._voice(split, n).pitch_hz for n in range(24)} for split in SPEAKERS}
    assert len(set.union(*voices.values())) == 24 * len(SPEAKERS)


def test_every_word_sounds_unlike_every_other():
    spoken_as = [tuple((s.consonant, s.vowel) for s in syllables(word)) for word in PRONUNCIATIONS]
    assert len(set(spoken_as)) == len(PRONUNCIATIONS) == 33
    assert len({syllable[1] for word in spoken_as for syllable in word}) == len(VOWELS)
    firsts = [word[0] for word in spoken_as]
    assert len(set(firsts)) == len(firsts)
    assert not set(firsts) & {syllable for word in spoken_as for syllable in word[1:]}


def test_pauses_are_between_words():
    assert [syllable.pause for syllable in syllables("Anna left her ticket.")] == [
        *(False, True, True, True),
        *(False, True),
    ]
    with pytest.raises(KeyError, match="perhaps"):
        syllables("Anna left perhaps.")


def test_the_words_are_heard_in_the_vowels():
    """The same voice and chance: other words change the sound, the same words do not."""
    mix, voice = np.eye(len(LABEL_SET))[5], random_speaker(np.random.default_rng(3))

    def sound(text):
        rng = np.random.default_rng(4)
        return speak(mix, voice, rng, text=syllables(text), profiles=SPOKEN_PROFILES)[0]

    assert np.array_equal(sound("Tony cut my letter."), sound("Tony cut my letter."))
    first, second = sound("Tony cut my letter."), sound("Tony took my letter.")
    assert len(first) == len(second)
    changed = np.flatnonzero(first != second)
    assert changed[0] > 0.1 * SAMPLING_RATE  # the subject comes before


def test_sentences_follow_neither_emotion_nor_each_other():
    sentences = [sentence(index, "train") for index in range(2000)]
    leading = [int(true_mix(index, "train").argmax()) for index in range(2000)]
    assert len(set(sentences)) > 1500
    anger = [s.split()[0] for s, label in zip(sentences, leading, strict=True) if label == 0]
    shares = [anger.count(word) / len(anger) for word in spoken.SUBJECTS]
    assert max(shares) < 2 / len(spoken.SUBJECTS)


def test_pretraining_voices_know_six_emotions():
    known = np.array([true_mix(index, "pretrain") for index in range(400)]).sum(axis=0)
    assert {n for n, sum_ in zip(LABEL_SET.names, known, strict=True) if sum_} == set(EMOTIONS)
    heard = np.array([true_mix(index) for index in range(400)])
    assert (heard.sum(axis=0) > 20).all()
    np.testing.assert_allclose(heard.sum(axis=1), 1.0)


def test_annotators_agree_on_pure_clips_and_disagree_on_mixed_ones():
    agreement = {True: [], False: []}
    for utterance in spoken_utterances(200):
        mix = true_mix(int(utterance.utterance_id[-5:]))
        agreement[bool(mix.max() > 0.9)].append(max(utterance.soft_label))
    assert np.mean(agreement[True]) > np.mean(agreement[False]) + 0.1


def test_the_wordless_corpus_is_byte_for_byte_what_it_was():
    """Its tables and figures stand in the documentation."""
    digest = hashlib.sha256()
    for index in range(40):
        utterance = synthetic_utterance(index)
        digest.update(utterance.audio)
        digest.update(repr(utterance.votes).encode())
    assert digest.hexdigest()[:16] == "ab930a8789db79e3"
