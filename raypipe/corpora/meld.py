"""MELD: utterances of the series Friends, in dialogues."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from typing import ClassVar, Literal

from pydantic import Field

from raypipe.corpora.base import Corpus, Selection
from raypipe.corpora.clips import FileTree, ListedClip, failure, label_of, parsed
from raypipe.corpora.facts import facts_of
from raypipe.corpora.fields import BadLineError, shown
from raypipe.corpora.lines import checked_text, csv_records, open_text
from raypipe.errors import CorpusError
from raypipe.labels import LABEL_SETS
from raypipe.records import Failure, Vote
from raypipe.votes import VotePolicy

LABELS: Mapping[str, str] = {
    "anger": "anger",
    "disgust": "disgust",
    "fear": "fear",
    "joy": "happiness",
    "neutral": "neutral",
    "sadness": "sadness",
    "surprise": "surprise",
}
# Where a split's clips lie: the names of the download first.
_FOLDERS: Mapping[str, tuple[str, ...]] = {
    "train": ("train_splits", "train"),
    "dev": ("dev_splits_complete", "dev_splits", "dev"),
    "test": ("output_repeated_splits_test", "test_splits", "test"),
}
_COLUMNS = [("Utterance",), ("Emotion",), ("Dialogue_ID",), ("Utterance_ID",)]


class Meld(Corpus):
    """Adapter of MELD; the fields are its options."""

    name: ClassVar[str] = "meld"
    title: ClassVar[str] = "MELD: Multimodal EmotionLines Dataset"
    about: ClassVar[str] = """
        13,708 utterances of the series Friends, in dialogues, with the majority of 3 annotators.

        Single votes are not published: each clip has one vote, the majority's. Ids restart in every
        split, so the split is part of ours. The clips are MP4 files with sound in 2 or 6 channels;
        make them audio files of the same name, next to them or in place of them, before ingest.
    """
    licence: ClassVar[str] = "repository under GPL-3.0; the clips are television material"
    selections: ClassVar[Mapping[str, Selection]] = {
        "all": Selection(
            LABEL_SETS["meld-7"],
            VotePolicy(aliases=False, plurality="corpus"),
            "9,989 train, 1,109 dev and 2,610 test utterances, one-hot",
        )
    }

    context_turns: int = Field(
        default=5,
        ge=0,
        description="how many previous turns of the dialogue are kept as context, each with the "
        "name of its speaker",
    )
    encoding: Literal["utf-8-sig", "cp1252", "latin-1"] = Field(
        default="utf-8-sig", description="of the CSV files; some copies are in cp1252"
    )

    def listed(self, tree: FileTree) -> Iterator[ListedClip | Failure]:
        """The rows of every split that is there, each followed by its clips without a row."""
        files = {split: tree.find(f"{split}_sent_emo.csv") for split in _FOLDERS}
        if not any(files.values()):
            names = " or ".join(f"{split}_sent_emo.csv" for split in _FOLDERS)
            raise CorpusError(f"there is no {names} in {tree.source.uri}")
        for split, file in files.items():
            if file is None:
                continue
            stems: set[str] = set()
            with open_text(tree.source, file, self.encoding, newline="") as text:
                rows = _DialogueRows(self, tree, split, file, stems)
                records = csv_records(text, file, _COLUMNS)
                yield from parsed(file, records, rows.clip, rows.name_of)
            for folder in _FOLDERS[split]:
                for stem, clips in tree.recordings(folder):
                    if stem not in stems:
                        stems.add(stem)  # train_splits may lie in train
                        name = f"{split}_{stem}"
                        yield failure(clips[0], None, name, "no_votes", "no row for this clip")


class _DialogueRows:
    """Clips from the rows of a split, with the previous turns of their dialogue."""

    def __init__(
        self, corpus: Meld, tree: FileTree, split: str, file: str, stems: set[str]
    ) -> None:
        self._corpus = corpus
        self._tree = tree
        self._split = split
        self._file = file
        self._stems = stems
        self._dialogue: str | None = None
        self._turns: deque[str] = deque(maxlen=corpus.context_turns)

    def clip(self, line: int, fields: Mapping[str, str]) -> ListedClip:
        """The clip of a row; a row that cannot be used is still a turn of its dialogue."""
        stem = _stem(fields)
        self._stems.add(stem)
        if fields["Dialogue_ID"] != self._dialogue:
            self._dialogue = fields["Dialogue_ID"]
            self._turns.clear()
        text = checked_text(fields.get("Utterance", ""), "Utterance")
        speaker = checked_text(fields.get("Speaker", ""), "Speaker") or None
        context = tuple(self._turns)
        self._turns.append(f"{speaker}: {text}" if speaker else text)
        label = label_of(fields.get("Emotion", ""), LABELS, "Emotion")
        utterance = self._corpus.bare_utterance(
            f"{self._split}_{stem}",
            split=self._split,
            speaker=speaker,
            transcript=text or None,
            context=context,
            votes=(Vote("majority of 3", (label,)),),
            consensus=label,
            facts=facts_of(
                **{
                    column.lower(): checked_text(fields.get(column, ""), column)
                    for column in ("Sentiment", "Season", "Episode")
                }
            ),
        )
        return ListedClip(utterance, stem, self._file, line, folder=self._folder(stem))

    def _folder(self, stem: str) -> str:
        folders = _FOLDERS[self._split]
        return next((folder for folder in folders if self._tree.audio(stem, folder)), folders[0])

    def name_of(self, fields: Mapping[str, str]) -> str | None:
        """A row's id, as far as it has one."""
        try:
            return f"{self._split}_{_stem(fields)}"
        except BadLineError:
            return None


def _stem(fields: Mapping[str, str]) -> str:
    numbers = [fields.get(column, "").strip() for column in ("Dialogue_ID", "Utterance_ID")]
    if not all(text.isascii() and text.isdigit() and len(text) < 9 for text in numbers):
        raise BadLineError("missing_id", f"dialogue and utterance are {shown(numbers)}")
    return f"dia{int(numbers[0])}_utt{int(numbers[1])}"
