import math

import numpy as np
import pytest

from raypipe.corpora.msp_votes import worker_line
from raypipe.ssl.folds import SplitNames, has_splits
from raypipe.tiny_alm import typed
from raypipe.tiny_alm.corpus import synthetic_utterance
from raypipe.tiny_alm.lexicon import TRANSLATIONS, WORDS, meaning
from raypipe.tiny_alm.lexicon_reader import relabelled
from raypipe.tiny_alm.synth import EMOTIONS, LABEL_SET
from raypipe.tiny_alm.typed import (
    SPEAKERS,
    VOTES_PER_CLIP,
    clip_id,
    true_mix,
    typed_utterance,
    typed_utterances,
    typed_votes,
)
from raypipe.votes import soft_label

CLIPS = 500
_AS_MSP_WRITES = {
    **{"anger": "Angry", "disgust": "Disgust", "fear": "Fear", "happiness": "Happy"},
    **{"neutral": "Neutral", "sadness": "Sad"},
}


@pytest.fixture(scope="module")
def votes():
    return [typed_votes(index, "train") for index in range(CLIPS)]


@pytest.fixture(scope="module")
def mixes():
    return np.array([true_mix(index, "train") for index in range(CLIPS)])


@pytest.fixture(scope="module")
def utterance():
    return typed_utterance(7)


def test_a_clip_is_a_function_of_its_number_split_and_seed(utterance):
    assert typed_utterance(7) == utterance
    assert utterance.votes == typed_votes(7)
    changed = [typed_votes(7, "train"), typed_votes(7, seed=1), typed_votes(8)]
    assert utterance.votes not in changed
    assert not np.array_equal(true_mix(7), true_mix(7, seed=1))


def test_the_mix_that_is_known_is_the_one_spoken(utterance, monkeypatch):
    spoken = []
    monkeypatch.setattr(
        typed, "speak", lambda mix, voice, rng: spoken.append(mix) or (np.zeros(16_000), None)
    )
    silent = typed_utterance(7)
    np.testing.assert_array_equal(spoken[0], true_mix(7))
    assert silent.votes == utterance.votes
    assert utterance.duration_s > 1.0
    assert silent.duration_s == 1.0
    assert utterance.facts == {}


def test_splits_share_no_speaker_with_each_other_or_with_the_demo(monkeypatch):
    monkeypatch.setattr(typed, "speak", lambda mix, voice, rng: (np.zeros(1600), None))
    rows = {split: list(typed_utterances(80, split=split)) for split in SPEAKERS}
    assert has_splits([row.split for part in rows.values() for row in part], SplitNames())
    speakers = {split: {row.speaker for row in part} for split, part in rows.items()}
    assert [len(names) for names in speakers.values()] == [80, 40, 60]
    assert len(set().union(*speakers.values())) == 180
    ids = {row.utterance_id for part in rows.values() for row in part}
    assert len(ids) == 240
    assert clip_id(3, "development") in ids
    pitches = {typed._voice(split, 0).pitch_hz for split in SPEAKERS}
    assert len(pitches) == 3
    demo = synthetic_utterance(0)
    assert demo.speaker not in set().union(*speakers.values())


def test_votes_are_what_msp_podcast_s_files_give(votes):
    kinds = set()
    for vote in (vote for clip in votes for vote in clip):
        names = [_AS_MSP_WRITES.get(label, f"Other-{vote.typed}") for label in vote.labels]
        line = f"{vote.annotator}; {names[0]}; {','.join(names[1:])}; A:; V:; D:;"
        assert worker_line(line) == vote
        assert (vote.typed is not None) == ("other" in vote.labels)
        kinds.add(tuple("other" if label == "other" else "label" for label in vote.labels))
    assert {("label",), ("other",), ("other", "label"), ("label", "other")} <= kinds
    assert all(len({vote.annotator for vote in clip}) == VOTES_PER_CLIP for clip in votes)


def test_the_reference_leaves_other_votes_out_and_some_clips_have_nothing_else(votes):
    without = [clip for clip in votes if all(vote.labels[0] == "other" for vote in clip)]
    assert 0 < len(without) < 0.03 * CLIPS
    assert all(soft_label(clip, LABEL_SET).probs is None for clip in without)


def test_other_is_chosen_where_no_emotion_leads(votes, mixes):
    other = np.array([[vote.labels[0] == "other" for vote in clip] for clip in votes]).mean(axis=1)
    pure = mixes.max(axis=1) > 0.9
    assert other[pure].mean() < 0.1
    assert 0.2 < other[~pure].mean() < 0.5


def test_people_misspell_write_other_languages_and_say_nothing(votes):
    texts = [vote.typed for clip in votes for vote in clip if vote.typed]
    lower = " / ".join(texts).lower()
    foreign = [word for words in TRANSLATIONS.values() for word in words.values()]
    assert sum(word in lower for word in foreign) > 8
    assert 0.03 < np.mean([meaning(text) is None for text in texts]) < 0.12
    assert any(text.istitle() for text in texts)
    known = {*WORDS, *foreign}
    alone = [text.lower() for text in texts if " " not in text and meaning(text) is not None]
    assert any(word not in known and "/" not in word for word in alone)


def test_what_is_typed_brings_labels_nearer_to_the_truth_and_anothers_words_do_not(votes, mixes):
    """Total variation, paired; another clip's words are the control."""
    rows = [
        (mix, counted.probs, [vote.typed for vote in clip if vote.typed])
        for mix, clip in zip(mixes, votes, strict=True)
        if (counted := soft_label(clip, LABEL_SET)).probs is not None
    ]
    rows = [row for row in rows if row[2]]
    truth, reference = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    words = [row[2] for row in rows]

    def gain(descriptions):
        adjusted = [
            relabelled(shares, texts, EMOTIONS)
            for shares, texts in zip(reference, descriptions, strict=True)
        ]
        distances = [np.abs(labels - truth).sum(axis=1) / 2 for labels in (reference, adjusted)]
        gains = distances[0] - distances[1]
        return gains.mean() / (gains.std() / math.sqrt(len(gains)))

    assert gain(words) > 8.0
    assert gain(words[1:] + words[:1]) < 0.0
