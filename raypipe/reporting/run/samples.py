"""Utterances on the page about a run: heard, judged by people, predicted by every strategy."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, cast

from raypipe.errors import DecodeError, ShardError, StoreError
from raypipe.labels import LabelSet
from raypipe.records import Utterance
from raypipe.reporting.clips import BrowserClip, short_clip, stored_clip
from raypipe.reporting.names import PRIMARY, strategy_rank
from raypipe.reporting.run.choosing import ChosenUtterance
from raypipe.reporting.run.scores import Approach
from raypipe.reporting.text import NONE, clean, score
from raypipe.reporting.view.tables import RunTables
from raypipe.reporting.view.utterance import ShareBar, share_bars

AUDIO_LIMIT: Final = 4_000_000
"""Characters of all recordings of a page together, as it holds them."""

MOST_CLIP_BYTES: Final = 110_000
"""A larger recording is held as mono FLAC of 16 kHz."""

MOST_CLIP_S: Final = 15.0
"""Seconds of such a recording."""

MOST_ROWS: Final = 12
"""Strategies shown of each utterance."""

_RATE: Final = 16_000
_MOST_TYPED: Final = 300
_MOST_TRANSCRIPT: Final = 400


@dataclass(frozen=True, slots=True)
class SharesRow:
    """One distribution of an utterance: the annotators' or a strategy's.

    Attributes:
        js: its distance from the annotators; empty for their own.
        invalid: why there is no distribution; empty where there is.
        bars: its shares.
        is_focus: whether the utterance was chosen by it.
    """

    name: str
    js: str
    invalid: str
    bars: tuple[ShareBar, ...]
    is_focus: bool = False


@dataclass(frozen=True, slots=True)
class Sample:
    """One utterance as texts.

    Attributes:
        rule: that chose it.
        about: data set, speaker, length.
        votes: labels with the number of annotators that gave them.
        typed: what annotators wrote.
        rows: the annotators' distribution, then the strategies'.
        hidden: number of strategies that are not shown.
        audio: the recording as an address of its own; empty where it is not on the page.
        audio_note: what was done to it, or why it is not there; empty for nothing.
    """

    rule: str
    utterance_id: str
    about: str
    transcript: str
    votes: tuple[str, ...]
    typed: tuple[str, ...]
    rows: tuple[SharesRow, ...]
    hidden: int
    audio: str
    audio_note: str


@dataclass(frozen=True, slots=True)
class Samples:
    """All utterances of a page.

    Attributes:
        rules: that chose them, in order.
        heard: how many can be played.
        over_limit: recordings that were left out because the page holds enough.
        missing: why the first recording that is not at hand is not; empty if none is.
    """

    samples: tuple[Sample, ...]
    rules: tuple[str, ...]
    heard: int
    over_limit: int
    missing: str


NO_SAMPLES: Final = Samples((), (), 0, 0, "")
"""Where no rule chooses any."""


def gather_samples(
    run: RunTables,
    labels: LabelSet,
    focus: Approach,
    chosen: Sequence[ChosenUtterance],
    *,
    with_audio: bool = True,
) -> Samples:
    """The utterances that stand on a page, with their recordings.

    Args:
        run: tables of the chosen utterances' shards at least; recordings come from the shards, if
            those are still there.
        labels: of the corpus.
        focus: the approach that the page looks at most closely, named as in the tables.
        chosen: the utterances.
        with_audio: whether the page is to hold recordings.
    """
    samples = []
    held = heard = over_limit = 0
    missing = ""
    for each in chosen:
        audio, note = "", ""
        if with_audio:
            try:
                clip = _clip(run, each.shard, each.utterance_id)
            except (ShardError, StoreError, DecodeError) as error:
                missing = missing or clean(error, 400)
                note = "not at hand"
            else:
                audio, note = _data_address(clip), clip.note
        if held + len(audio) > AUDIO_LIMIT:
            audio, note = "", "left out: the page holds enough"
            over_limit += 1
        held += len(audio)
        heard += audio != ""
        samples.append(
            _sample(
                each.rule,
                each.utterance_id,
                run.utterance_of(each.utterance_id, each.shard),
                run.predictions_of(each.utterance_id, each.shard),
                labels,
                focus,
                (audio, note),
            )
        )
    rules = tuple(dict.fromkeys(each.rule for each in chosen))
    return Samples(tuple(samples), rules, heard, over_limit, missing)


def _clip(run: RunTables, shard: str, utterance_id: str) -> BrowserClip:
    if run.shards is None:
        raise ShardError("the run does not say which shards it read")
    return short_clip(
        stored_clip(run.shards, shard, utterance_id),
        most_bytes=MOST_CLIP_BYTES,
        most_s=MOST_CLIP_S,
        sampling_rate=_RATE,
    )


def _data_address(clip: BrowserClip) -> str:
    return f"data:{clip.content_type};base64,{base64.b64encode(clip.data).decode()}"


def _sample(
    rule: str,
    utterance_id: str,
    utterance: Utterance | None,
    predictions: Sequence[Mapping[str, object]],
    labels: LabelSet,
    focus: Approach,
    audio: tuple[str, str],
) -> Sample:
    rows = sorted(predictions, key=lambda row: _place(row, focus))
    truth = next((row["soft_label"] for row in rows if row.get("soft_label")), None)
    shown = [_row(row, labels, focus) for row in rows[:MOST_ROWS]]
    if truth is not None:
        bars = _bars(labels, truth)
        shown.insert(0, SharesRow("annotators", "", "", bars))
    return Sample(
        rule=rule,
        utterance_id=clean(utterance_id),
        about=_about(utterance, rows),
        transcript=clean(utterance.transcript, _MOST_TRANSCRIPT)
        if utterance is not None and utterance.transcript
        else "",
        votes=() if utterance is None else tuple(_votes(utterance)),
        typed=() if utterance is None else tuple(_typed(utterance)),
        rows=tuple(shown),
        hidden=max(len(rows) - MOST_ROWS, 0),
        audio=audio[0],
        audio_note=audio[1],
    )


def _place(row: Mapping[str, object], focus: Approach) -> tuple[bool, bool, str, str, int, str]:
    """Order of the strategies: those of the focus approach's model and prompt first."""
    model, prompt, strategy = (str(row[name]) for name in ("model", "prompt", "strategy"))
    apart = (model, prompt) != (focus.model, focus.prompt)
    is_other = apart or strategy != focus.strategy
    return apart, is_other, model, prompt, strategy_rank(strategy), strategy


def _row(row: Mapping[str, object], labels: LabelSet, focus: Approach) -> SharesRow:
    cell = (row["model"], row["prompt"])
    name = clean(row["strategy"])
    if cell != (focus.model, focus.prompt):
        name = f"{name} · {clean(row['prompt'])} · {clean(row['model'])}"
    is_focus = cell == (focus.model, focus.prompt) and row["strategy"] == focus.strategy
    if not row["valid"]:
        return SharesRow(name, NONE, clean(row.get("invalid_reason")), (), is_focus)
    js = row.get(PRIMARY)
    text = score(js) if isinstance(js, float) else NONE
    return SharesRow(name, text, "", _bars(labels, row.get("probs")), is_focus)


def _bars(labels: LabelSet, shares: object) -> tuple[ShareBar, ...]:
    return share_bars(labels.names, None, cast(Sequence[float] | None, shares))


def _about(utterance: Utterance | None, rows: Sequence[Mapping[str, object]]) -> str:
    parts: list[object] = [row["dataset"] for row in rows[:1]]
    if utterance is not None:
        parts = [utterance.dataset, utterance.speaker]
        parts += [f"{utterance.duration_s:.1f} s"] if utterance.duration_s else []
    return " · ".join(clean(part) for part in parts if part)


def _votes(utterance: Utterance) -> Iterable[str]:
    """Labels by how many annotators gave them first, then those that were given beside others."""
    first = Counter(vote.labels[0] for vote in utterance.votes if vote.labels)
    also = Counter(label for vote in utterance.votes for label in vote.labels[1:])
    for label, number in sorted(first.items(), key=lambda item: (-item[1], item[0])):
        yield f"{clean(label)} {number}"
    for label, number in sorted(also.items(), key=lambda item: (-item[1], item[0])):
        yield f"also {clean(label)} {number}"


def _typed(utterance: Utterance) -> Iterable[str]:
    """What annotators typed, each text once."""
    texts = (clean(vote.typed, _MOST_TYPED) for vote in utterance.votes if vote.typed)
    return dict.fromkeys(texts)
