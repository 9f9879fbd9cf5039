"""Records of what a corpus of shards holds: the keys of ``raypipe inspect --json``.

Counts are numbers of utterances unless a field says otherwise; shares lie in [0, 1], entropies are
in bits. A figure that is undefined (no utterance, no votes) is null, never zero.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from raypipe.votes import VotePolicy

SliceBy = Literal["split", "speaker", "dataset"]


class _Finding(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Spread(_Finding):
    """Quantiles, mean and standard deviation of a set of values.

    Attributes:
        n: number of values.
        std: standard deviation with n - 1; null for a single value.
    """

    n: int
    minimum: float
    q25: float
    median: float
    q75: float
    maximum: float
    mean: float
    std: float | None


class HistogramBin(_Finding):
    """Number of utterances in a range of values.

    Which of its ends belongs to the range is said where the bin is used.
    """

    low: float
    high: float
    utterances: int


class Durations(_Finding):
    """Durations of the utterances in seconds.

    Attributes:
        total_s: of all utterances, in seconds.
        spread: of the positive durations, in seconds; null if there is none.
        histogram: of the positive durations in bins ``[low, high)``; the last one is closed, or
            open towards longer ones where a few are far longer than the rest.
        zero: utterances with a duration of zero, or none at all.
    """

    total_s: float
    spread: Spread | None
    histogram: tuple[HistogramBin, ...]
    zero: int


class Signals(_Finding):
    """What was measured of the recordings' signals at ingest.

    Attributes:
        measured: utterances with marks; all others are in no figure here.
        silent: in which nothing is to be heard, or whose channels cancel each other out.
        antiphase: of them, those whose channels cancel each other out.
        out_of_range: with samples far beyond full scale, as whole numbers written as floats.
        clipped: with more than one sample in a hundred at full scale.
        mended: whose container was wrong about its size.
    """

    measured: int
    silent: int
    antiphase: int
    out_of_range: int
    clipped: int
    mended: int


class Speakers(_Finding):
    """Speakers and their numbers of utterances.

    Attributes:
        distinct: number of different speakers.
        utterances: per speaker; null without speakers.
        unknown: utterances whose speaker is not known.
    """

    distinct: int
    utterances: Spread | None
    unknown: int


class Annotators(_Finding):
    """Annotators and their numbers of votes, self-reports left out.

    Attributes:
        distinct: number of different annotators; null if ``numbered`` or without votes.
        numbered: every utterance calls its annotators 1, 2, ...: the corpus tells how many votes
            there are, not whose they are.
        votes: per annotator, inside the label set or not; null where ``distinct`` is.
        per_utterance: number of utterances by how many annotators gave them a label.
    """

    distinct: int | None
    numbered: bool
    votes: Spread | None
    per_utterance: dict[int, int]


class LabelFinding(_Finding):
    """Votes and soft labels of one label.

    Attributes:
        votes: that count for it; not whole only under the rule ``split``.
        vote_share: of all votes that count; null without votes.
        plurality: utterances whose reference label (the ``plurality`` column) it is.
        majority: utterances in which more than half of the soft label is its.
        soft_mass: sum of its shares over all soft labels.
        mean_share: ``soft_mass`` per utterance with a soft label: the constant predictor
            ``prior``; null without soft labels.
    """

    label: str
    votes: float
    vote_share: float | None
    plurality: int
    majority: int
    soft_mass: float
    mean_share: float | None


class VoteCounts(_Finding):
    """Numbers of votes, of ties, of majorities and of words outside the label set.

    Attributes:
        counted: votes inside the label set, under the policy.
        per_utterance: number of utterances by votes that count.
        outside: words that the policy counts and the label set lacks, by how often they were said.
        labelled: utterances with a soft label.
        unlabelled: utterances without: no vote inside the label set.
        unanimous: utterances with all of the soft label on one label.
        majority: utterances with more than half of the soft label on one label.
        ties: utterances without a single most-voted label, by how many labels share the place.
        no_reference: utterances with a soft label whose ``plurality`` column is empty: a tie, or
            with ``plurality="corpus"`` no consensus inside the label set.
        consensus: the corpus's own consensus in its words, where it publishes one.
        not_from_votes: utterances whose soft label came with the corpus and is not what their
            votes add up to.
    """

    counted: float
    per_utterance: dict[int, int]
    outside: dict[str, int]
    labelled: int
    unlabelled: int
    unanimous: int
    majority: int
    ties: dict[int, int]
    no_reference: int
    consensus: dict[str, int]
    not_from_votes: int


class Entropy(_Finding):
    """Entropies of the soft labels in bits.

    Attributes:
        largest: that a soft label can have: log2 of the number of labels.
        spread: of all soft labels; null without any.
        mean_nats: the mean in nats; null without any.
        steps: exactly 0, then steps of half a bit, ``(low, high]``.
        fine: steps of a tenth of a bit, ``[low, high)``, the last one closed.
        equal_width: the five ambiguity bins of equal width, ``[low, high)``, the last one closed.
        equal_count: the five of equal count, with the smallest and largest entropy in each.
    """

    largest: float
    spread: Spread | None
    mean_nats: float | None
    steps: tuple[HistogramBin, ...]
    fine: tuple[HistogramBin, ...]
    equal_width: tuple[HistogramBin, ...]
    equal_count: tuple[HistogramBin, ...]


class AnnotatorAgreement(_Finding):
    """Agreement of annotators beyond chance, on the first label of each that counts.

    Attributes:
        krippendorff_alpha: nominal; null where undefined.
        fleiss_kappa: in its generalised form where numbers of ratings differ; null where
            undefined.
        utterances: with two ratings or more.
        ratings: of these utterances.
        fewest: smallest number of ratings among them; null without any.
        most: largest number of ratings among them; null without any.
        undefined: why there is no coefficient; null if there is one.
    """

    krippendorff_alpha: float | None
    fleiss_kappa: float | None
    utterances: int
    ratings: int
    fewest: int | None
    most: int | None
    undefined: str | None


class SelfReports(_Finding):
    """Numbers of votes that speakers gave on their own recordings.

    Attributes:
        votes: number of self-reports with a label.
        utterances: that have one.
        counted: whether the policy counts them as votes.
        labels: their labels under the policy; words outside the set as they stand.
    """

    votes: int
    utterances: int
    counted: bool
    labels: dict[str, int]


class TypedDescriptions(_Finding):
    """Texts that annotators wrote instead of, or beside, picking a label.

    Attributes:
        votes: with a text.
        utterances: with one or more.
        distinct: different texts, case and outer blanks ignored.
        most_frequent: the most frequent texts in lower case, with how often they were written.
    """

    votes: int
    utterances: int
    distinct: int
    most_frequent: dict[str, int]


class AttributeFinding(_Finding):
    """Ratings of arousal, valence or dominance, on the corpus's own scale.

    Attributes:
        ratings: of single annotators, self-reports left out; null without any.
        utterances: the means that the corpus publishes; null without any.
    """

    ratings: Spread | None
    utterances: Spread | None


class OmissionReason(_Finding):
    """One reason why inputs are not among the utterances.

    Attributes:
        inputs: how many.
        example: the first one, in words.
    """

    reason: str
    inputs: int
    example: str


class OmittedInputs(_Finding):
    """Number of inputs that are not among the utterances, with the reasons.

    Attributes:
        inputs: how many, by ``shards.json``.
        reasons: why, most frequent first, from the table that ingest wrote beside the shards.
    """

    inputs: int
    reasons: tuple[OmissionReason, ...]


class SliceFinding(_Finding):
    """Figures of one split, speaker or data set; fields as in the records above.

    Attributes:
        name: its split, speaker or data set; null for utterances without.
        plurality: utterances by reference label.
    """

    name: str | None
    utterances: int
    duration_s: float
    labelled: int
    votes: float
    plurality: dict[str, int]
    ties: int
    majority: int
    mean_entropy: float | None
    krippendorff_alpha: float | None


class Findings(_Finding):
    """All figures about a corpus.

    Attributes:
        location: where the shards lie.
        dataset: the corpus's name.
        origin: where its utterances came from, in words.
        corpus: name of the adapter or reader; null for shards that no ingest made.
        selection: name of the selection; null for the default one, and where no ingest made the
            shards.
        options: of the adapter or reader; empty where no ingest made the shards.
        licence: what may be done with the corpus; empty if unknown.
        audio: ``flac`` or ``original``, see :class:`raypipe.shards.ShardIndex`; null for
            shards that no ingest made.
        kept_original: recordings that are not FLAC, by format.
        labels: every label of the set, in its order.
        policy: how votes became soft labels; null for a corpus that does not say (the default
            policy is then taken here).
        fingerprint: of the corpus.
        shards: number of objects.
        bytes: their size; null where no index says so.
        utterances: that were read.
        failed: inputs that could not be used.
        excluded: good inputs that the policy leaves out.
        problems: what could not be read, in words; all figures leave it out.
        datasets: utterances by data set.
        splits: utterances by split; those without one are left out.
        sampling_rates: utterances by sampling rate in Hz; those without one are left out.
        slice_by: what ``slices`` are taken by; null for none.
        slices: most utterances first.
    """

    location: str
    dataset: str
    origin: str
    corpus: str | None
    selection: str | None
    options: dict[str, object]
    licence: str
    audio: Literal["flac", "original"] | None
    kept_original: dict[str, int]
    policy: VotePolicy | None
    fixed_sentences: bool
    fingerprint: str
    shards: int
    bytes: int | None
    utterances: int
    failed: OmittedInputs
    excluded: OmittedInputs
    problems: tuple[str, ...]
    datasets: dict[str, int]
    splits: dict[str, int]
    sampling_rates: dict[int, int]
    durations: Durations
    signals: Signals
    speakers: Speakers
    annotators: Annotators
    labels: tuple[LabelFinding, ...]
    votes: VoteCounts
    entropy: Entropy
    agreement: AnnotatorAgreement
    self_reports: SelfReports
    typed: TypedDescriptions
    attributes: dict[str, AttributeFinding]
    slice_by: SliceBy | None
    slices: tuple[SliceFinding, ...]
