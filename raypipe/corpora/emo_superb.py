"""Label tables of EMO-SUPERB: one share per emotion and clip, smoothed.

With K emotions and eps = 0.05 a share p is published as::

    y = (1 - eps) p + (1 - p) eps / (K - 1)

which runs from a = eps / (K - 1) for p = 0 to b = 1 - eps for p = 1, and sums to
(1 - eps) + eps = 1 over the K emotions. It is undone by::

    p = (y - a) / (b - a)

in decimal arithmetic on the digits of the file. They are rounded, to six digits in the published
tables, so y may leave [a, b] by half a unit of a row's finest digit, and the sum may differ from 1
by K times that; p is then set to 0 or 1 and the row normalised. What lies further out was not made
by this smoothing and is refused. Source of the tables:
github.com/EMOsuperb/EMO-SUPERB-submission, ``data/``; the formula is not stated there, but with it
CREMA-D's rows become whole votes of 9 to 11 annotators.
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from raypipe.corpora.bad_line import line_fault
from raypipe.corpora.clips import FileTree
from raypipe.corpora.facts import gender
from raypipe.corpora.fields import BadLineError, FieldRules, shown
from raypipe.corpora.lines import checked_text, csv_columns, csv_records, open_text
from raypipe.corpora.manifest import AudioPaths, ManifestParser, Record
from raypipe.corpora.msp_votes import SECONDARY, stem
from raypipe.corpora.pending import PendingClip, sized_ahead
from raypipe.errors import ConfigError, CorpusError, ObjectMissingError
from raypipe.labels import LabelSet
from raypipe.records import Failure
from raypipe.shards import RowFailure
from raypipe.store.location import Location

LAYOUT = """
A table is <corpus>/Primary/labels_consensus_<fold>.csv (or Secondary): FileName (no name at all in
some), a column for each emotion, often EmoAct,EmoVal,EmoDom, then SpkrID, Gender and Split_Set.
config.json beside it names the emotions. Its flip_aro is not acted on: in MSP-IMPROV's tables,
which have it, the angry clips are the active ones already. Recordings are found by name below the
corpus's folder, whose Audios need not be EMO-SUPERB's.

The tables of typed descriptions (chatGPT/input_*.csv) are read as well: they are not smoothed, and
words holds what the annotators wrote, joined by commas: it becomes the typed text of one vote
without labels.

With K emotions and eps = 0.05 a share p is published as (1 - eps) p + (1 - p) eps / (K - 1). With
invert_smoothing the shares become what they were before; those that this smoothing cannot have
produced are refused.
"""
"""Text of the catalogue about the files, in paragraphs."""

SMOOTHING = Decimal("0.05")
"""The eps of all published tables."""

_MOST_DIGITS = 6  # more of them are the noise of binary fractions
_FEWEST_DIGITS = 3  # with fewer, rows that were never smoothed could pass for smoothed ones

_FILE_NAME = ("FileName", "")
_FACTS = ("EmoAct", "EmoVal", "EmoDom", "SpkrID", "Gender", "Split_Set", "words", "reason")


def unsmoothed(smoothed: Sequence[Decimal], smoothing: Decimal = SMOOTHING) -> tuple[Decimal, ...]:
    """The shares that were smoothed, see the module's formula.

    Args:
        smoothed: shape ``(K,)``, K >= 2, in [a, b] to within rounding.
        smoothing: eps, in (0, 1 - 1/K): beyond it the order of shares would be turned round.

    Returns:
        Shape ``(K,)``, in [0, 1], summing to 1.

    Raises:
        BadLineError: ``bad_soft_label`` for values that this smoothing cannot have produced.

    Example:
        >>> row = ["0.386", "0.01", "0.01", "0.01", "0.01", "0.574"]
        >>> [float(share) for share in unsmoothed([Decimal(text) for text in row])]
        [0.4, 0.0, 0.0, 0.0, 0.0, 0.6]
    """
    low, high = smoothing / (len(smoothed) - 1), 1 - smoothing
    slack = _rounding(smoothed)
    for value in smoothed:
        if not low - slack <= value <= high + slack:
            raise BadLineError(
                "bad_soft_label",
                f"{value} cannot come from smoothing by {smoothing} over {len(smoothed)} emotions, "
                f"which gives {low:.4g} to {high:.4g}",
            )
    _check_sum(smoothed)
    shares = [min(max((value - low) / (high - low), Decimal(0)), Decimal(1)) for value in smoothed]
    total = sum(shares)
    return tuple(share / total for share in shares)


def _rounding(row: Sequence[Decimal]) -> Decimal:
    """Half a unit of the finest digit of a row, within reason."""
    exponents = [value.as_tuple().exponent for value in row]
    digits = max(-exponent for exponent in exponents if isinstance(exponent, int))
    return Decimal("0.5") / Decimal(10) ** min(max(digits, _FEWEST_DIGITS), _MOST_DIGITS)


def _check_sum(row: Sequence[Decimal]) -> None:
    total = sum(row, Decimal(0))
    if abs(total - 1) > _rounding(row) * len(row):
        raise BadLineError("bad_soft_label", f"the emotions sum to {total}")


def pending_emo_superb(
    table: str,
    labels: LabelSet,
    *,
    audio_root: str | None = None,
    endpoint: str | None = None,
    dataset: str | None = None,
    other_labels: Iterable[str] = (),
    channel: int | None = None,
    allow: Sequence[Location] = (),
    invert_smoothing: bool = False,
    smoothing: float = float(SMOOTHING),
) -> Iterator[PendingClip | Failure]:
    """The clips of a label table, before their audio is read.

    Args:
        table: path or ``s3://`` URI of the CSV file.
        labels: the label set; an emotion's column is the label of that meaning and no other
            (annoyed is not anger).
        audio_root: folder below which the recordings lie, at any depth. Default: the corpus's
            folder, two above the table.
        endpoint: S3 server; default: the environment's.
        dataset: name of the corpus; default: the name of the corpus's folder.
        other_labels: columns outside the label set: their shares are dropped and the rest
            normalised. Any other column outside it is an error.
        channel: channel of a recording that is the clip, counted from 0; None for the mix.
        allow: places beside its own that its paths and links may lead to.
        invert_smoothing: give the shares as they were before smoothing.
        smoothing: the eps that the table was smoothed with.

    Raises:
        ConfigError: for a smoothing outside (0, 1 - 1/K).
        CorpusError: if the table or its ``config.json`` cannot be read as a whole, or an emotion
            has no label.
        StoreError: if the storage refuses.
    """
    place, name = Location.parse_object(table, endpoint)
    root = _folder(place, audio_root, endpoint).confined(allow)
    rules = FieldRules.of(labels, (), dataset or posixpath.basename(root.uri), channel)
    named = _emotions(place)
    with open_text(place, name, newline="") as text:
        header = csv_columns(text, name, [_FILE_NAME])
        columns = _columns(name, header, named, labels, other_labels)
        eps = _checked(smoothing, len(columns)) if invert_smoothing else None
        rows = _ShareRows(FileTree(root), columns, eps)
        parser = ManifestParser(name, rules, AudioPaths(root, root, tuple(allow)))
        records = csv_records(text, name, [_FILE_NAME])
        yield from sized_ahead(parser.lines(rows.read(records)))


@dataclass(frozen=True, slots=True)
class LabelRow:
    """A clip in a label table, whose recording is not looked at.

    Attributes:
        line: of the file, counted from 1.
        name: of the clip, without the ending of its file.
        shares: shape ``(labels,)``, normalised; None where all of them are 0.
        total: sum of the shares as they stand in the file: below 1 where annotators who wrote a
            description of their own were counted, too.
        words: what the annotators wrote, joined by commas; empty for nothing.
        reason: why a language model changed the shares; None where the table does not say.
    """

    line: int
    name: str
    shares: tuple[float, ...] | None
    total: float
    words: str = ""
    reason: str | None = None
    speaker: str | None = None
    split: str | None = None


def label_rows(
    table: str,
    labels: LabelSet,
    *,
    endpoint: str | None = None,
    other_labels: Iterable[str] = (),
) -> Iterator[LabelRow | RowFailure]:
    """The rows of a label table without their recordings, a failure for each unusable one.

    Shares are taken as they are, smoothed or not, and normalised: some published rows sum to .7,
    as the votes for a description of one's own have no column. A sum above 1 is a failure.

    Args:
        table: path or ``s3://`` URI of the CSV file.
        labels: the label set, as for :func:`pending_emo_superb`.
        endpoint: S3 server; default: the environment's.
        other_labels: columns outside the label set.

    Raises:
        CorpusError: if the table or its ``config.json`` cannot be read as a whole, an emotion has
            no label, or a label no column.
        StoreError: if the storage refuses.
    """
    place, file = Location.parse_object(table, endpoint)
    named = _emotions(place)
    seen: dict[str, int] = {}
    with open_text(place, file, newline="") as text:
        header = csv_columns(text, file, [_FILE_NAME])
        columns = _columns(file, header, named, labels, other_labels)
        missing = [label for label in labels.names if label not in columns.values()]
        if missing:
            raise CorpusError(f"{file} has no column for {', '.join(missing)}: {header}")
        for line, cells in csv_records(text, file, [_FILE_NAME]):
            name: str | None = None
            try:
                if isinstance(cells, BadLineError):
                    raise cells
                name = _clip_name(cells)
                if seen.setdefault(name, line) != line:
                    raise BadLineError("duplicate_id", f"{name} is also in line {seen[name]}")
                yield _label_row(line, name, cells, columns, labels)
            except Exception as error:
                fault = line_fault(error, name)
                message = f"{file} line {line}: {fault}"
                yield RowFailure(fault.utterance_id, "ingest", fault.reason, message, line)


def _label_row(
    line: int,
    name: str,
    cells: Mapping[str, str],
    columns: Mapping[str, str | None],
    labels: LabelSet,
) -> LabelRow:
    given = [_share(cells, column) for column in columns]
    total = sum(given, Decimal(0))
    if total > 1 + _rounding(given) * len(given):
        raise BadLineError("bad_soft_label", f"the emotions sum to {total}")
    shares = _by_label(columns.values(), given)
    return LabelRow(
        line,
        name,
        None if shares is None else tuple(shares.get(label, 0.0) for label in labels.names),
        float(total),
        checked_text(cells.get("words", ""), "words").strip(),
        cells.get("reason"),
        cells.get("SpkrID"),
        cells.get("Split_Set"),
    )


def _folder(place: Location, audio_root: str | None, endpoint: str | None) -> Location:
    if audio_root is not None:
        return Location.parse(audio_root, endpoint)
    return Location.parse_object(place.uri, endpoint)[0]


def _checked(smoothing: float, emotion_count: int) -> Decimal:
    eps = Decimal(str(smoothing))
    if not 0 < eps < 1 - Decimal(1) / emotion_count:
        raise ConfigError(f"smoothing is {smoothing}, not between 0 and 1 - 1/{emotion_count}")
    return eps


def _emotions(place: Location) -> tuple[str, ...]:
    """The columns that ``config.json`` names; none where there is no such file."""
    try:
        with open_text(place, "config.json") as stream:
            text = stream.document()
    except ObjectMissingError:
        return ()
    try:
        return tuple(str(word) for word in json.loads(text)["categorical"]["emo_type"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CorpusError(f"{place.uri}/config.json cannot be read: {error!r}") from error


def _columns(
    file: str,
    header: Sequence[str],
    named: Sequence[str],
    labels: LabelSet,
    other_labels: Iterable[str],
) -> Mapping[str, str | None]:
    """The label of each emotion's column, None for one that is dropped."""
    emotions = named or [emotion for emotion in header if emotion not in (*_FILE_NAME, *_FACTS)]
    missing = [emotion for emotion in emotions if emotion not in header]
    if missing or len({*emotions}) < 2:
        raise CorpusError(f"{file} has the columns {header}, but not {missing or 'two emotions'}")
    others = {word.strip().lower() for word in other_labels}
    columns: dict[str, str | None] = {}
    for emotion in emotions:
        word = emotion.strip().lower()
        known = word if word in labels.names else SECONDARY.get(word, word)
        columns[emotion] = known if known in labels.names else None
        if columns[emotion] is None and word not in others:
            raise CorpusError(
                f"{file}: the emotion {shown(emotion)} is none of {', '.join(labels.names)}; take "
                "another label set, or drop its share by naming it in other_labels"
            )
    return columns


@dataclass(frozen=True, slots=True)
class _ShareRows:
    """Rows of a table as the fields of a manifest's line."""

    tree: FileTree
    columns: Mapping[str, str | None]
    eps: Decimal | None

    def read(
        self, records: Iterable[tuple[int, Mapping[str, str] | BadLineError]]
    ) -> Iterator[Record]:
        for line, cells in records:
            if isinstance(cells, BadLineError):
                yield line, cells
                continue
            name: str | None = None
            try:
                name = _clip_name(cells)
                yield line, self._fields(name, cells)
            except Exception as error:
                yield line, line_fault(error, name)

    def _fields(self, name: str, cells: Mapping[str, str]) -> dict[str, object]:
        words = checked_text(cells.get("words", ""), "words")
        return {
            "id": name,
            "audio": self.tree.audio(name) or f"{name}.wav",
            "soft_label": self._shares(cells),
            "votes": [{"annotator": "typed", "typed": words}] if words else None,
            "speaker": cells.get("SpkrID"),
            "split": cells.get("Split_Set"),
            "arousal": cells.get("EmoAct"),
            "valence": cells.get("EmoVal"),
            "dominance": cells.get("EmoDom"),
            "gender": gender(checked_text(cells.get("Gender", ""), "Gender")),
        }

    def _shares(self, cells: Mapping[str, str]) -> dict[str, float] | None:
        """Shares by label; None where all of them went to something outside the set."""
        emotion_shares = [_share(cells, column) for column in self.columns]
        if self.eps is not None:
            emotion_shares = list(unsmoothed(emotion_shares, self.eps))
        elif any(emotion_shares):  # all zero: everybody wrote a description of their own
            _check_sum(emotion_shares)
        return _by_label(self.columns.values(), emotion_shares)


def _by_label(
    labels: Iterable[str | None], emotion_shares: Iterable[Decimal]
) -> dict[str, float] | None:
    """Normalised shares by label; None where all of them went to something outside the set."""
    by_label: dict[str, Decimal] = {}
    for label, share in zip(labels, emotion_shares, strict=True):
        if label is not None:
            by_label[label] = by_label.get(label, Decimal(0)) + share
    total = sum(by_label.values())
    if not total:
        return None
    return {label: float(share / total) for label, share in by_label.items()}


def _clip_name(cells: Mapping[str, str]) -> str:
    cell = next((cells[column] for column in _FILE_NAME if column in cells), "")
    name = stem(checked_text(cell, "FileName"))
    if not name:
        raise BadLineError("missing_id", "no FileName")
    return name


def _share(cells: Mapping[str, str], column: str) -> Decimal:
    text = cells.get(column, "")
    try:
        value = Decimal(text.strip())
    except InvalidOperation:
        value = Decimal("NaN")
    if not (value.is_finite() and 0 <= value <= 1):
        raise BadLineError("bad_soft_label", f"{column} is no share: {shown(text)}")
    return value
