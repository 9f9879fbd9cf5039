"""Counts over a corpus, utterance by utterance."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping

import numpy as np

from raypipe.labels import LabelSet
from raypipe.metrics.agreement import fleiss_kappa, krippendorff_alpha
from raypipe.metrics.bins import BINS
from raypipe.metrics.distribution import entropy_bits
from raypipe.records import Utterance, Vote
from raypipe.reporting.corpus.findings import (
    AnnotatorAgreement,
    Annotators,
    AttributeFinding,
    Durations,
    Entropy,
    HistogramBin,
    LabelFinding,
    SelfReports,
    SliceFinding,
    Speakers,
    Spread,
    TypedDescriptions,
    VoteCounts,
)
from raypipe.reporting.corpus.values import RepeatedValues, even_edges
from raypipe.votes import SELF_REPORT, SoftLabel, VotePolicy, counted_labels, soft_label

ATTRIBUTES = ("arousal", "valence", "dominance")
TYPED_SHOWN = 20
DURATION_BINS = 24

_SAME = 1e-6  # two soft labels, one of them read from a file
_HALF = 0.5 + 1e-9
_FAR = 2.0  # times the 99.5 % quantile: beyond lie a few recordings of another kind


class SoftLabelTally:
    """Sums of the soft labels and votes of a corpus or of a slice of it."""

    def __init__(self, labels: LabelSet, policy: VotePolicy) -> None:
        self._labels, self._policy = labels, policy
        self.utterances = 0
        self.duration_s: list[float] = []
        self.votes = [0.0] * len(labels)
        self.mass = [0.0] * len(labels)
        self.references: Counter[str] = Counter()
        self.majorities: Counter[str] = Counter()
        self.ties: Counter[int] = Counter()
        self.labelled = 0
        self.unanimous = 0
        self.no_reference = 0
        self.entropies = RepeatedValues()
        self.patterns: Counter[tuple[int, ...]] = Counter()

    def add(self, utterance: Utterance, counted: SoftLabel, ratings: tuple[int, ...]) -> None:
        """Count one utterance.

        Args:
            utterance: without its audio.
            counted: what its votes add up to.
            ratings: by label, how many annotators' first label that counts it is.
        """
        self.utterances += 1
        if math.isfinite(utterance.duration_s):
            self._seconds(utterance.duration_s)
        for index, share in enumerate(counted.probs or ()):
            self.votes[index] += share * counted.n_votes
        if any(ratings):
            self.patterns[ratings] += 1
        if utterance.soft_label is not None:
            self._shares(utterance.soft_label)
            if utterance.plurality is None:
                self.no_reference += 1
            else:
                self.references[utterance.plurality] += 1

    def _seconds(self, duration_s: float) -> None:
        # fsum keeps the sum exact in any order; folding now and then keeps the list short.
        self.duration_s.append(duration_s)
        if len(self.duration_s) > 4096:
            self.duration_s = [math.fsum(self.duration_s)]

    def _shares(self, shares: tuple[float, ...]) -> None:
        self.labelled += 1
        for index, share in enumerate(shares):
            self.mass[index] += share
        # Shares of the same votes in another order differ in the last bit.
        self.entropies.add(round(float(entropy_bits(np.array(shares))), 12))
        top = max(shares)
        best = [i for i, share in enumerate(shares) if math.isclose(share, top, rel_tol=1e-9)]
        if len(best) > 1:
            self.ties[len(best)] += 1
        if top > _HALF:
            self.majorities[self._labels.names[best[0]]] += 1
        if math.isclose(top, 1.0, rel_tol=1e-9):
            self.unanimous += 1

    @property
    def seconds(self) -> float:
        """Duration of all utterances."""
        return math.fsum(self.duration_s)

    def label_findings(self) -> tuple[LabelFinding, ...]:
        """The labels, in the set's order."""
        total = sum(self.votes)
        return tuple(
            LabelFinding(
                label=name,
                votes=_plain(self.votes[index]),
                vote_share=self.votes[index] / total if total else None,
                plurality=self.references[name],
                majority=self.majorities[name],
                soft_mass=self.mass[index],
                mean_share=self.mass[index] / self.labelled if self.labelled else None,
            )
            for index, name in enumerate(self._labels.names)
        )

    def agreement(self) -> AnnotatorAgreement:
        """Krippendorff's alpha and Fleiss' kappa over the patterns of first labels."""
        patterns = np.array(list(self.patterns), dtype=np.float64).reshape(-1, len(self._labels))
        times = np.array(list(self.patterns.values()), dtype=np.float64)
        alpha, kappa = krippendorff_alpha(patterns, times), fleiss_kappa(patterns, times)
        ratings = patterns.sum(axis=1)
        compared = ratings >= 2
        undefined = None
        if not compared.any():
            undefined = "no utterance has two ratings or more"
        elif alpha is None:
            undefined = "all ratings are for one label"
        return AnnotatorAgreement(
            krippendorff_alpha=alpha,
            fleiss_kappa=kappa,
            utterances=int(times[compared].sum()),
            ratings=int(ratings[compared] @ times[compared]),
            fewest=int(ratings[compared].min()) if compared.any() else None,
            most=int(ratings[compared].max()) if compared.any() else None,
            undefined=undefined,
        )

    def entropy(self) -> Entropy:
        """Entropies of the soft labels in bits."""
        largest = math.log2(len(self._labels))
        spread = self.entropies.spread()
        return Entropy(
            largest=largest,
            spread=spread,
            mean_nats=None if spread is None else spread.mean * math.log(2),
            steps=self.entropies.steps(_up_to(largest, 0.5)),
            fine=self.entropies.histogram(_up_to(largest, 0.1)),
            equal_width=self.entropies.histogram(np.linspace(0, largest, BINS + 1)),
            equal_count=self.entropies.equal_count(BINS),
        )

    def slice_finding(self, name: str | None) -> SliceFinding:
        """The figures of a slice."""
        spread = self.entropies.spread()
        return SliceFinding(
            name=name,
            utterances=self.utterances,
            duration_s=self.seconds,
            labelled=self.labelled,
            votes=_plain(sum(self.votes)),
            plurality={label: self.references[label] for label in self._labels.names},
            ties=self.ties.total(),
            majority=self.majorities.total(),
            mean_entropy=None if spread is None else spread.mean,
            krippendorff_alpha=self.agreement().krippendorff_alpha,
        )


class CorpusTally:
    """All counts over the whole corpus."""

    def __init__(self, labels: LabelSet, policy: VotePolicy) -> None:
        self._labels, self._policy = labels, policy
        self.shares = SoftLabelTally(labels, policy)
        self.datasets: Counter[str] = Counter()
        self.splits: Counter[str] = Counter()
        self.sampling_rates: Counter[int] = Counter()
        self._speakers: Counter[str] = Counter()
        self._durations = RepeatedValues()
        self._zero = 0
        self._annotators: Counter[str] = Counter()
        self._numbered = True
        self._raters: Counter[int] = Counter()
        self._n_votes: Counter[int] = Counter()
        self._outside: Counter[str] = Counter()
        self._consensus: Counter[str] = Counter()
        self._not_from_votes = 0
        self._self_labels: Counter[str] = Counter()
        self._self_votes = self._self_utterances = 0
        self._texts: Counter[str] = Counter()
        self._typed_utterances = 0
        self._ratings = {name: RepeatedValues() for name in ATTRIBUTES}
        self._means = {name: RepeatedValues() for name in ATTRIBUTES}

    def add(self, utterance: Utterance) -> tuple[SoftLabel, tuple[int, ...]]:
        """Count one utterance.

        Returns:
            Its soft label, and by label the number of annotators whose first label it is.
        """
        self._facts(utterance)
        counted = soft_label(utterance.votes, self._labels, self._policy)
        own = [vote for vote in utterance.votes if vote.annotator.startswith(SELF_REPORT)]
        others = [vote for vote in utterance.votes if not vote.annotator.startswith(SELF_REPORT)]
        ratings = self._first_labels([*others, *own] if self._policy.self_reports else others)
        self._voters(others)
        self._self_reports(own)
        self._typed(utterance.votes)
        for name in ATTRIBUTES:
            for vote in others:
                _add_number(self._ratings[name], getattr(vote, name))
            _add_number(self._means[name], getattr(utterance, name))
        self._n_votes[counted.n_votes] += 1
        self._outside.update(word.strip().lower() for word in counted.outside)
        if utterance.consensus is not None:
            self._consensus[utterance.consensus] += 1
        self._not_from_votes += _differ(utterance.soft_label, counted.probs)
        self.shares.add(utterance, counted, ratings)
        return counted, ratings

    def _facts(self, utterance: Utterance) -> None:
        self.datasets[utterance.dataset] += 1
        if utterance.split is not None:
            self.splits[utterance.split] += 1
        if utterance.speaker is not None:
            self._speakers[utterance.speaker] += 1
        if utterance.sampling_rate > 0:
            self.sampling_rates[utterance.sampling_rate] += 1
        if math.isfinite(utterance.duration_s) and utterance.duration_s > 0:
            self._durations.add(utterance.duration_s)
        else:
            self._zero += 1

    def _first_labels(self, votes: list[Vote]) -> tuple[int, ...]:
        ratings = [0] * len(self._labels)
        for vote in votes:
            indices, _ = counted_labels(vote, self._labels, self._policy)
            if indices:
                ratings[indices[0]] += 1
        return tuple(ratings)

    def _voters(self, votes: list[Vote]) -> None:
        names = [vote.annotator for vote in votes if vote.labels]
        self._annotators.update(names)
        self._raters[len(set(names))] += 1
        numbers = [str(number) for number in range(1, len(names) + 1)]
        self._numbered = self._numbered and names == numbers

    def _self_reports(self, votes: list[Vote]) -> None:
        reports = [vote for vote in votes if vote.labels]
        self._self_votes += len(reports)
        self._self_utterances += bool(reports)
        for vote in reports:
            indices, outside = counted_labels(vote, self._labels, self._policy)
            self._self_labels.update(self._labels.names[index] for index in indices)
            self._self_labels.update(word.strip().lower() for word in outside)

    def _typed(self, votes: tuple[Vote, ...]) -> None:
        texts = [" ".join(vote.typed.split()).casefold() for vote in votes if vote.typed]
        written = [text for text in texts if text]
        self._texts.update(written)
        self._typed_utterances += bool(written)

    def durations(self) -> Durations:
        """Durations of the utterances counted so far."""
        spread = self._durations.spread()
        return Durations(
            total_s=round(self.shares.seconds, 6),
            spread=spread,
            histogram=() if spread is None else self._duration_bins(spread),
            zero=self._zero,
        )

    def _duration_bins(self, spread: Spread) -> tuple[HistogramBin, ...]:
        values, times = self._durations.sorted()
        most = float(values[np.searchsorted(np.cumsum(times), 0.995 * spread.n)])
        upper = most if spread.maximum > _FAR * most else spread.maximum
        bins = self._durations.histogram(even_edges(spread.minimum, upper, DURATION_BINS))
        longer = spread.n - sum(part.utterances for part in bins)
        if longer:
            last = bins[-1].model_copy(
                update={"high": spread.maximum, "utterances": bins[-1].utterances + longer}
            )
            bins = (*bins[:-1], last)
        return bins

    def speakers(self) -> Speakers:
        """Speakers of the utterances counted so far."""
        return Speakers(
            distinct=len(self._speakers),
            utterances=_of_counts(self._speakers),
            unknown=self.shares.utterances - self._speakers.total(),
        )

    def annotators(self) -> Annotators:
        """Annotators of the utterances counted so far."""
        known = bool(self._annotators) and not self._numbered
        return Annotators(
            distinct=len(self._annotators) if known else None,
            numbered=bool(self._annotators) and self._numbered,
            votes=_of_counts(self._annotators) if known else None,
            per_utterance=dict(sorted(self._raters.items())),
        )

    def votes(self) -> VoteCounts:
        """Numbers of votes, ties and majorities so far."""
        shares = self.shares
        return VoteCounts(
            counted=_plain(sum(shares.votes)),
            per_utterance=dict(sorted(self._n_votes.items())),
            outside=dict(self._outside.most_common()),
            labelled=shares.labelled,
            unlabelled=shares.utterances - shares.labelled,
            unanimous=shares.unanimous,
            majority=shares.majorities.total(),
            ties=dict(sorted(shares.ties.items())),
            no_reference=shares.no_reference,
            consensus=dict(self._consensus.most_common()),
            not_from_votes=self._not_from_votes,
        )

    def self_reports(self) -> SelfReports:
        """Votes of speakers on their own recordings."""
        return SelfReports(
            votes=self._self_votes,
            utterances=self._self_utterances,
            counted=self._policy.self_reports,
            labels=dict(self._self_labels.most_common()),
        )

    def typed(self) -> TypedDescriptions:
        """Typed descriptions, the most frequent ones with their numbers."""
        first = sorted(self._texts.items(), key=lambda text: (-text[1], text[0]))[:TYPED_SHOWN]
        return TypedDescriptions(
            votes=self._texts.total(),
            utterances=self._typed_utterances,
            distinct=len(self._texts),
            most_frequent=dict(first),
        )

    def attributes(self) -> dict[str, AttributeFinding]:
        """Spread of arousal, valence and dominance, as far as the corpus has them."""
        attributes = {
            name: AttributeFinding(
                ratings=self._ratings[name].spread(), utterances=self._means[name].spread()
            )
            for name in ATTRIBUTES
        }
        return {
            name: attribute
            for name, attribute in attributes.items()
            if attribute.ratings or attribute.utterances
        }


def _plain(votes: float) -> float:
    """A number of votes without the rounding of the shares it was added up from."""
    return round(votes, 6)


def _add_number(values: RepeatedValues, value: float | None) -> None:
    if value is not None and math.isfinite(value):
        values.add(value)


def _of_counts(counts: Mapping[str, int]) -> Spread | None:
    values = RepeatedValues()
    for count in counts.values():
        values.add(count)
    return values.spread()


def _differ(stored: tuple[float, ...] | None, counted: tuple[float, ...] | None) -> bool:
    """Whether a stored soft label differs from the one that the votes add up to."""
    if stored is None or counted is None:
        return stored is not counted
    return any(abs(a - b) > _SAME for a, b in zip(stored, counted, strict=True))


def _up_to(largest: float, step: float) -> np.ndarray:
    """Edges 0, step, 2 step, ... and the largest, which also ends a last step that is shorter."""
    whole = max(round(largest / step), 1)
    return np.array([*(round(number * step, 9) for number in range(whole)), largest])
