"""Soft labels from votes, under a policy in which every choice has a name.

Published work on one corpus differs in what a vote is, in what becomes of votes outside the label
set, in when labels are merged, and in which clips stay. Here each is a field of
:class:`VotePolicy`; the votes themselves stay in the shards as they were given.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from raypipe.errors import ConfigError
from raypipe.labels import LabelSet
from raypipe.records import Failure, Utterance, Vote

SoftLabelRule = Literal["primary", "primary+secondary", "split", "all_inclusive"]
OutsideRule = Literal["drop_vote", "drop_clip", "other"]
PluralityRule = Literal["votes", "corpus"]
ClipRule = Literal["all", "voted", "plurality", "majority", "consensus"]
AnnotatorLabels = Literal["primary", "primary+secondary"]
"""Which of an annotator's labels a prediction may match: the first one, or each."""

OTHER = "other"
"""The word of a vote for none of the labels on offer."""

NO_AGREEMENT = "no_agreement"
"""The consensus of a clip on which the annotators do not agree, by the corpus itself."""

SELF_REPORT = "self:"
"""Prefix of the annotator id of a speaker's judgement of their own recording."""


class VotePolicy(BaseModel):
    """Rules by which votes become a soft label, and clips stay.

    Attributes:
        rule: ``primary``: an annotator's first label is one vote. ``primary+secondary``: each
            mention of a label is one vote. ``split``: an annotator's one vote is shared equally by
            those of the annotator's labels that are in the set. ``all_inclusive``: as
            ``primary+secondary``, and each word for another label in the typed description is one
            more vote for it; with ``outside="other"`` nothing that was said is left out.
        outside: what becomes of a counted label outside the set. ``drop_vote``: it does not count,
            the rest is renormalised. ``drop_clip``: its clip is left out. ``other``: it is a vote
            for the label ``other``, which the label set must have. It does not allow any word: in
            users' own data one that is neither a label nor named as another is a failure.
        merges: words that count as another label, before anything is looked up or tied.
        self_reports: whether speakers' judgements of themselves count.
        aliases: whether any word for a label stands for it (``annoyed`` for ``anger``), as in
            users' own manifests, or only the label itself, as in corpora that know both words.
        plurality: ``votes``: the label with most of the votes that count, none for a tie.
            ``corpus``: the consensus the corpus itself publishes, where it is in the label set.
        clips: ``all``; ``voted``: with a vote that counts; ``plurality``: without a tie;
            ``majority``: one label has more than half of the votes that count; ``consensus``: the
            corpus's own consensus is in the label set.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rule: SoftLabelRule = "primary"
    outside: OutsideRule = "drop_vote"
    merges: dict[str, str] = Field(default_factory=dict)
    self_reports: bool = False
    aliases: bool = True
    plurality: PluralityRule = "votes"
    clips: ClipRule = "all"


@dataclass(frozen=True, slots=True)
class Excluded(Failure):
    """A clip that a policy leaves out: nothing is wrong with it."""


@dataclass(frozen=True, slots=True)
class SoftLabel:
    """Sum of the votes for one utterance.

    Attributes:
        probs: shape ``(labels,)``, sums to 1; None without a vote inside the label set.
        plurality: the single most-voted label; None for a tie or without votes.
        n_votes: number of votes inside the label set.
        outside: the words that were counted and are not in the label set, in order.
    """

    probs: tuple[float, ...] | None
    plurality: str | None
    n_votes: int
    outside: tuple[str, ...] = ()


def soft_label(
    votes: Sequence[Vote], labels: LabelSet, policy: VotePolicy | None = None
) -> SoftLabel:
    """Count votes.

    Args:
        votes: in any order; one without labels (a rating of attributes only) is no vote.
        labels: the label set.
        policy: how they are counted; ``plurality="corpus"`` and ``clips`` play no part.

    Raises:
        ConfigError: if votes are to count as ``other`` and the label set has no such label.

    Example:
        >>> votes = (Vote("a", ("angry", "sad")), Vote("b", ("sadness",)), Vote("c", ("other",)))
        >>> soft_label(votes, LabelSet(("anger", "sadness")))
        SoftLabel(probs=(0.5, 0.5), plurality=None, n_votes=2, outside=('other',))
        >>> soft_label(votes, LabelSet(("anger", "sadness")), VotePolicy(rule="split")).probs
        (0.25, 0.75)
    """
    policy = policy or VotePolicy()
    counts = [0.0] * len(labels)
    n_votes = 0
    outside: list[str] = []
    for vote in votes:
        if vote.annotator.startswith(SELF_REPORT) and not policy.self_reports:
            continue
        indices, unknown = counted_labels(vote, labels, policy)
        outside += unknown
        for index in indices:
            counts[index] += 1 / len(indices) if policy.rule == "split" else 1
        n_votes += min(1, len(indices)) if policy.rule == "split" else len(indices)
    if n_votes == 0:
        return SoftLabel(None, None, 0, tuple(outside))
    total = math.fsum(counts)
    probs = tuple(count / total for count in counts)
    return SoftLabel(probs, plurality(probs, labels), n_votes, tuple(outside))


def counted_labels(vote: Vote, labels: LabelSet, policy: VotePolicy) -> tuple[list[int], list[str]]:
    """Indices of the labels that one annotator's judgement counts for, and the words outside.

    Whether a speaker's judgement of themselves counts at all is not decided here.

    Raises:
        ConfigError: as :func:`soft_label`.
    """
    return _counted(vote, labels, policy, policy.rule)


def _counted(
    vote: Vote, labels: LabelSet, policy: VotePolicy, rule: SoftLabelRule
) -> tuple[list[int], list[str]]:
    words = vote.labels[:1] if rule == "primary" else vote.labels
    indices: list[int] = []
    outside: list[str] = []
    for word in words:
        index = label_index(word, labels, policy)
        if index is None and policy.outside == "other":
            index = _other(labels)
        if index is None:
            outside.append(word)
        else:
            indices.append(index)
    if rule == "all_inclusive":
        indices += sorted(_typed(vote.typed or "", labels, policy) - {*indices})
    return indices, outside


def labels_given(
    votes: Sequence[Vote],
    labels: LabelSet,
    policy: VotePolicy,
    which: AnnotatorLabels = "primary+secondary",
) -> list[str]:
    """Labels that any annotator gave, in the label set's order.

    Words are understood as the policy says: with its merges and aliases, without self-reports
    that do not count, and as ``other`` where it makes that of words outside the set.

    Raises:
        ConfigError: as :func:`soft_label`.

    Example:
        >>> votes = (Vote("a", ("anger", "annoyed")), Vote("self:a", ("fear",)))
        >>> labels = LabelSet(("anger", "fear", "other"))
        >>> labels_given(votes, labels, VotePolicy(outside="other", aliases=False))
        ['anger', 'other']
        >>> labels_given(votes, labels, VotePolicy(outside="other", aliases=False), "primary")
        ['anger']
    """
    given = {
        index
        for vote in votes
        if policy.self_reports or not vote.annotator.startswith(SELF_REPORT)
        for index in _counted(vote, labels, policy, which)[0]
    }
    return [name for index, name in enumerate(labels.names) if index in given]


def _typed(text: str, labels: LabelSet, policy: VotePolicy) -> set[int]:
    """Indices of the labels that a typed description names; here any word for a label will do."""
    words = [piece.strip(" \t.?!\"'").lower() for piece in re.split("[,;/]", text)]
    indices = {labels.index(policy.merges.get(word, word)) for word in words if word}
    return {index for index in indices if index is not None}


def label_index(word: str, labels: LabelSet, policy: VotePolicy) -> int | None:
    """Index of the label that a vote's word counts for under a policy, or None."""
    clean = word.strip().lower()
    clean = policy.merges.get(clean, clean)
    if policy.aliases:
        return labels.index(clean)
    return labels.names.index(clean) if clean in labels.names else None


def _other(labels: LabelSet) -> int:
    if OTHER not in labels.names:
        raise ConfigError(
            f"votes outside the set are to count as {OTHER!r}, which is none of its labels: "
            f"{', '.join(labels.names)}"
        )
    return labels.names.index(OTHER)


def plurality(probs: Sequence[float], labels: LabelSet) -> str | None:
    """The label with the largest share, or None if several have it (to within rounding)."""
    top = max(probs)
    best = [index for index, share in enumerate(probs) if math.isclose(share, top, rel_tol=1e-9)]
    return labels.names[best[0]] if len(best) == 1 else None


def consensus(votes: Sequence[Vote]) -> str | None:
    """The word that most annotators put first, any word a class of its own.

    A tie for the first place is :data:`NO_AGREEMENT`: the rule of the MSP corpora, in which all
    ``Other-...`` are one class. None without votes.

    Example:
        >>> consensus((Vote("a", ("anger",)), Vote("b", ("other",), "curious")))
        'no_agreement'
    """
    counts = Counter(vote.labels[0] for vote in votes if vote.labels)
    first = counts.most_common(2)
    if not first:
        return None
    return NO_AGREEMENT if len(first) == 2 and first[0][1] == first[1][1] else first[0][0]


def labelled(
    utterance: Utterance, labels: LabelSet, policy: VotePolicy | None = None
) -> Utterance | Excluded:
    """An utterance with its soft label, plurality and number of votes; or why it is left out.

    A soft label that the utterance brings along overrules its votes and the policy.

    Raises:
        ConfigError: as :func:`soft_label`.
    """
    policy = policy or VotePolicy()
    if utterance.soft_label is not None:
        top = utterance.plurality or plurality(utterance.soft_label, labels)
        return replace(utterance, plurality=top)
    counted = soft_label(utterance.votes, labels, policy)
    agreed = _agreed(utterance, labels, policy)
    fault = _reason_to_exclude(utterance, counted, agreed, policy)
    if fault is not None:
        return Excluded(utterance.utterance_id, "ingest", *fault)
    return replace(
        utterance,
        soft_label=counted.probs,
        plurality=counted.plurality if policy.plurality == "votes" else agreed,
        n_votes=counted.n_votes,
    )


def _agreed(utterance: Utterance, labels: LabelSet, policy: VotePolicy) -> str | None:
    if utterance.consensus is None:
        return None
    index = label_index(utterance.consensus, labels, policy)
    return None if index is None else labels.names[index]


def _reason_to_exclude(
    utterance: Utterance, counted: SoftLabel, agreed: str | None, policy: VotePolicy
) -> tuple[str, str] | None:
    """Short name and sentence, or None for a clip that stays."""
    if policy.outside == "drop_clip" and counted.outside:
        return "outside_label", f"voted for outside the label set: {', '.join(counted.outside)}"
    if policy.clips == "consensus" and agreed is None:
        return "no_consensus", f"the corpus's consensus is {utterance.consensus!r}"
    if policy.clips == "all" or policy.clips == "consensus":
        return None
    if counted.probs is None:
        return "no_vote", "no vote in the label set"
    if policy.clips == "plurality" and counted.plurality is None:
        return "tie", f"several labels have {max(counted.probs):.3g} of {counted.n_votes} votes"
    if policy.clips == "majority" and max(counted.probs) <= 0.5 + 1e-9:
        return "no_majority", f"the most voted label has {max(counted.probs):.3g} of the votes"
    return None
