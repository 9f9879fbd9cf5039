"""Where a text names labels, and how: stated, denied, listed as options, in passing."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from raypipe.labels import LabelSet
from raypipe.parsing.vocabulary import word_set
from raypipe.parsing.words import label_pattern

_REACH: Final = 300
"""Most characters of a sentence that are looked at on either side of a label."""

_MANY: Final = 50
_SHORT_REACH: Final = 60
"""What is looked at where a sentence names more than that many labels, for the sake of time."""

Manner = Literal["field", "stated", "denied", "option", "unclear", "reason"]


@dataclass(frozen=True, slots=True)
class Mention:
    """A word of a label in running text, or an emotion word that is none (label None).

    Attributes:
        manner: ``field`` states it as the answer; ``unclear`` if nobody can say whether it is
            stated; ``reason`` explains something else.
        group: number of the list, field or sentence that it belongs to.
    """

    start: int
    end: int
    label: int | None
    word: str
    manner: Manner = "stated"
    group: int = 0


_SENTENCE_END: Final = re.compile(
    r"(?<![.!?])[.!?]++(?=[\s\"')\]*]|$)|\n+|;(?=\s|$)|<(?=/)|\.(?=[A-Z])"
)
_EMPHASIS = r"[\s>*_#\"'`(\[{|,.:-]*"
_FIELD: Final = re.compile(
    rf"^{_EMPHASIS}(?:\d+[.)]\s*)?(?:the\s|my\s|this\sis\s)?(?:(?:primary|dominant|main|predicted|"
    r"overall|final|detected|perceived|most\slikely|expressed|underlying|predominant|strongest|best|"
    r"speaker(?:'s)?|emotional|top|estimated|vocal|identified|recogni[sz]ed|likely|correct)\s){0,4}"
    r"(?:emotions?|labels?|answer|prediction|class(?:ification)?|category|mood|feeling|verdict|"
    r"conclusion|choice|guess|result|state|output|response|diagnosis|judge?ment)"
    r"(?:\s(?:of|in|by|for|that)\s[^:.]{1,40}?)?[\"'*_`)\]]*\s*"
    r"(?::|=|>|-|\b(?:is|are|was|would\sbe|seems\sto\sbe|appears\sto\sbe)\b)",
    re.IGNORECASE,
)
_REASON: Final = re.compile(
    rf"^{_EMPHASIS}(?:\d+[.)]\s*)?(?:(?:the|my|brief|short)\s)?(?:reason(?:s|ing)?|explanations?|"
    r"rationale|because|justification|analysis|evidence|(?:\w+\s)?cues?|notes?|why|comments?|context|"
    r"alternatives?|alternative\semotions?|runner-up|caveats?|"
    r"(?:emotions?\s)?(?:excluded|rejected|absent|not\spresent|ruled\sout))"
    r"[\"'*_`)\]]*\s*[:=]",
    re.IGNORECASE,
)
_DESCRIPTION: Final = re.compile(
    rf"^{_EMPHASIS}(?:\d+[.)]\s*)?(?:(?:the|vocal)\s)?(?:transcript(?:ion)?|description|words|content|"
    r"tone|voice|prosody|acoustics?|details?|observations?|pitch|tempo|pace|energy|volume)"
    r"[\"'*_`)\]]*\s*[:=]",
    re.IGNORECASE,
)
_SECOND: Final = re.compile(
    rf"^{_EMPHASIS}(?:secondary|second|other|also|minor|possible)\b[^:]{{0,30}}:", re.IGNORECASE
)
_NOT: Final = (
    r"\b(?:not|no|nor|neither|never|without|isn'?t|aren'?t|wasn'?t|don'?t|doesn'?t|didn'?t|can'?t|"
    r"couldn'?t|won'?t|wouldn'?t|shouldn'?t|cannot|hardly|barely|scarcely|nothing|none|"
    r"(?:nobody|no\sone|(?<!a\s)few)(?=(?:\s\w+){0,3}\s(?:would|will|could|hears?|says?)\b)|least|opposite\sof|lack(?:s|ing)?|absence|absent|rather\sthan|instead\sof|as\sopposed\sto|other\sthan|"
    r"opposed\sto|unlike|free\s(?:of|from)|devoid|rul(?:e|es|ed|ing)\sout|exclud\w+|den(?:y|ies|ied)|"
    r"doubt\w*|unlikely|except|far\sfrom|anything\sbut|dismiss\w*|reject\w*|little|wrong(?:ly)?|"
    r"false(?:ly)?|mistak\w+|confus(?:e|ed)\swith)\b"
    r"|\b(?:less|versus|vs|than|over)\b(?=(?:\W+\w+){0,2}\W*$)"
)
_DENIAL: Final = re.compile(_NOT, re.IGNORECASE)
_NO_DENIAL: Final = re.compile(
    r"\bno\s(?:doubt|question)(?:\s(?:about|that))?|\bwithout\s(?:an?y?\s)?(?:doubt|question)"
    r"|\bundoubtedly|\bno\sless\sthan|\bnone\sother\sthan|\bmore\sthan\sanything(?:\selse)?"
    r"|\bif\s(?:i|one|you|we)\s(?:really\s)?(?:had\sto|have\sto|must|were\sto)\b"
    r"|\bmore\soften\sthan\snot|\bless\sthan\b(?=\s[\d~<])|\bmore\sthan\b(?=\s[\d~<])",
    re.IGNORECASE,
)
_NOT_ONLY: Final = re.compile(
    r"\b(?:not|n't)\s(?:only|just|merely|simply|so\smuch)\b", re.IGNORECASE
)
_NOT_SURE: Final = re.compile(
    r"\b(?:not|n't|un)\s?(?:\w+\s)?(?:sure|certain|clear|obvious|know|tell|say)\b", re.IGNORECASE
)
_LATER_DENIAL: Final = re.compile(
    r"^[\"'*)]*\s*(?:(?:is|are|was|were|seems?|appears?|can|could|does|do|has|have|may|might|would)\s*"
    r"(?:not|n't|never|hardly)\b|(?:isn|aren|wasn|doesn|don|can|couldn)'?t\b|cannot\b"
    r"|(?:(?:is|are|was|were|seems?|appears?|can\sbe|being|be|very|highly|quite|rather)\s){0,3}"
    r"(?:absent|unlikely|ruled\sout|excluded|missing|lacking|improbable|implausible|negligible)\b"
    r"|(?:is|are|was|seems?)\s(?:(?:the|by\sfar)\s){0,2}least\b|is\sout\sof\sthe\squestion|(?:would\sbe|is)\swrong"
    r"|(?:fits?|suits?|matche?s?|sounds?|seems?|is|are)\s(?:much\s|far\s)?(?:less|worse|poorly|badly)\b"
    r"|:?\s*(?:no|none|absent|not\spresent|false)\b(?!\s\w))",
    re.IGNORECASE,
)
_AT_FIRST: Final = re.compile(r"^\W{0,3}(?:at\sfirst|initially|originally)\b", re.IGNORECASE)
_LIKENESS: Final = re.compile(
    r"\b(?:sounds?|seems?|feels?|felt|looks?|something|more|somewhat|most|is|just)\s+like\b",
    re.IGNORECASE,
)
_OPTIONS: Final = re.compile(
    r"^\W*of\b|\b(?:options?|choices?|candidates?|possible|possibilit(?:y|ies)|categories|classes|"
    r"label\s?set|labels|choose|choosing|select(?:ing|ed)?\sfrom|one\sof|among|amongst|between|either|"
    r"such\sas|for\sexample|e\.g|including|includes?|like|range|list\sof|emotions?\s(?:are|include)|"
    r"could\sbe|classify|identify|detect|consider(?:ing|ed)?|compare[ds]?|scores?\sfor)\b",
    re.IGNORECASE,
)
_EXAMPLES: Final = re.compile(
    r"\b(?:such\sas|for\sexample|e\.g|whether|if|unless|when|imagine|suppose|"
    r"mistaken\sfor|confused\swith|started?|then(?=\s\w)|(?<=\w\s)(?:while|whereas)|would\shave|might\shave|could\shave)\b",
    re.IGNORECASE,
)
_CONCESSION: Final = re.compile(
    r"^\W*(?:while|whereas)\b|\b(?:despite|although|though(?!,)|even\sthough|at\sfirst|initially|"
    r"originally|first(?!\s(?:half|part|speaker|voice|person|sentence)\b))\b",
    re.IGNORECASE,
)
_QUOTED: Final = re.compile(
    r"(?<!\w)\"(?=\w)[^\"\n]{1,300}?[^\W\d]\s[^\"\n]{1,300}?\"|(?<!\w)'[^'\n]*(?:\w'\w[^'\n]*)*\s[^'\n]*'(?!\w)"
)
_REASONING: Final = re.compile(
    r"\b(?:because|since|due\sto|given\s(?:the|that|how)|based\son|as\s(?:the|she|he|they|it|there|I)"
    r"|which|judging\sby|suggested\sby|indicated\sby|associated\swith|typical\sof)\b",
    re.IGNORECASE,
)
_SCOPE_END: Final = re.compile(
    r"\b(?:(?<!anything\s)but|yet|however|instead(?!\sof))\b|;|\s-\s|>|:|=|(?<!not)\)"
    r"|,\s(?:and\s|so\s|then\s)?(?:so|it'?s|(?:he|she|it|they|that|this)\s(?:is|sounds?|seems?|feels?|are|must|has|can\sonly)"
    r"|(?:the|this)\s(?:\w+\s)?(?:speaker|person|voice|emotion|tone|label|answer)\b|rather(?!\sthan)|"
    r"i\s(?:would|am\sleft|choose|pick|say|think|hear|believe)|definitely|clearly|just|mainly|mostly|"
    r"leaving|therefore|hence|thus)\b",
    re.IGNORECASE,
)
_STRONG_END: Final = re.compile(
    r"\b(?:(?<!anything\s)but|yet|however|instead(?!\sof))\b|;", re.IGNORECASE
)
_IN_PASSING: Final = re.compile(
    r"(?<!sure\s)(?<!certain\s)(?<!confident\s)\babout\s(?:\w+\s){0,2}$|\bdescrib\w+\s(?:an?|some|the)\s$"
    r"|\b(?:talk\w*|speak\w*|respond\w*|repl(?:y|ies|ying))\sto\s(?:an?|the)\s$|\bfun\sof\s(?:\w+\s)?$"
    r"|\bmak(?:es?|ing)\s\w+\s$|\b(?:expect|pretend|fail|refus|try|tries|avoid)\w*\s(?:\w+\s){0,3}$"
    r"|\bused\sto\s(?:\w+\s)?$|\b(?:says?|said|saying)[\s:,]*[\"'][^\"'\n]*$",
    re.IGNORECASE,
)
_IN_GENERAL: Final = re.compile(
    r"^\s(?:is|are)\s(?:an?\s(?:\w+\s)?(?:emotion|feeling)\b|(?:often|usually|typically|commonly)\s)",
    re.IGNORECASE,
)
_IF_BEHIND: Final = re.compile(r"^[^.;]{0,80}?\bif\b", re.IGNORECASE)
_WOULD: Final = re.compile(r"\b(?:would|could|might)\b", re.IGNORECASE)
_BETWEEN: Final = re.compile(r"\bbetween\s$", re.IGNORECASE)
_LEAST_FIELD: Final = re.compile(r"\bleast\s\w+(?:\s\w+){0,2}\s?(?::|is)\s*$", re.IGNORECASE)
_BETTER_THAN: Final = re.compile(r"\b(?:better|closer|rather|sooner)\b", re.IGNORECASE)
_HIDING: Final = re.compile(r"\b(?:hid|mask|conceal|suppress)\w*\s(?:\w+\s){0,2}$", re.IGNORECASE)
_TAG_QUESTION: Final = re.compile(
    r",\s(?:is|does|was|are|do|did|has)n'?t\s(?:he|she|it|they)\W*$", re.I
)
_IDIOM: Final = re.compile(
    r"\b(?:i'?m|i\sam|i'?d\sbe|i\swould\sbe)\s(?:\w+\s)?(?:happy|glad|delighted)\sto\b"
    r"|\bi(?:'?m|\sam)\s(?:afraid|sad)(?=,?\s(?:that|the|i|it|this|we|you|to)\b)"
    r"|\bdon'?t\sbe\s(?:afraid|sad|angry)|\bto\s(?:my|our|everyone's)\ssurprise\b",
    re.IGNORECASE,
)
_NOT_RULED_OUT: Final = re.compile(
    r"^[\"'*)]*\s*(?:cannot|can'?t|can\snot|could\snot|couldn'?t|should\snot|is\snot|isn'?t|not)\s"
    r"(?:be\s)?(?:\w+\s)?(?:ruled\sout|excluded|dismissed|denied|unlikely|impossible|absent)",
    re.IGNORECASE,
)
_LIGHT: Final = word_set(
    "and a an the also plus with both some bit little touch hint of slightly somewhat rather "
    "very quite mostly mainly primarily partly then lot mixture mix as well "
    "too tinge slight mild strong undertones traces trace sense"
)
_LIST_GAP = re.compile(r"[\s,/&|+*\"'`_.)(\]\[<>-]*|(?:[\s>*#-]*\(?\d{1,2}[.)]\s*)", re.IGNORECASE)


def mentions_in(text: str, labels: LabelSet) -> list[Mention]:
    """Every label that running text names, in order, with the manner in which it does.

    Example:
        >>> emotions = LabelSet(("anger", "sadness"))
        >>> [mention.manner for mention in mentions_in("She is not angry; she is sad.", emotions)]
        ['denied', 'stated']
    """
    pattern = label_pattern(labels)
    mentions: list[Mention] = []
    in_reasons = False
    for number, (start, end) in enumerate(_sentences(text)):
        sentence = text[start:end]
        is_field = _FIELD.match(sentence) is not None
        if _REASON.match(sentence):
            in_reasons = True
        elif is_field or _SECOND.match(sentence):
            in_reasons = False
        words = [
            Mention(
                start + match.start(),
                start + match.end(),
                labels.index(" ".join(match[0].split())) if match["known"] else None,
                match[0].lower(),
                group=number,
            )
            for match in pattern.finditer(_IDIOM.sub(lambda match: " " * len(match[0]), sentence))
        ]
        if words:
            mentions += _with_manners(words, text, start, end, is_field, in_reasons)
    return mentions


def _sentences(text: str) -> Iterator[tuple[int, int]]:
    """Spans of sentences and lines, with the mark that ends them."""
    start = 0
    for match in _SENTENCE_END.finditer(text):
        if text[start : match.start()].strip():
            yield start, match.end()
            start = match.end()
    if text[start:].strip():
        yield start, len(text)


def _with_manners(
    words: Sequence[Mention], text: str, start: int, end: int, is_field: bool, in_reasons: bool
) -> Iterator[Mention]:
    runs = _runs(words, text)
    asked = text[start:end].rstrip("\"') *").endswith("?")
    asked = asked and not _TAG_QUESTION.search(text[start:end])
    is_bare = len(runs) == 1 and _is_bare(text[start : words[0].start], text[words[-1].end : end])
    second = _SECOND.match(text[start:end]) is not None
    is_described = _DESCRIPTION.match(text[start:end]) is not None
    quoted = [
        (start + match.start(), start + match.end())
        for match in _QUOTED.finditer(text[start:end])
        if not is_bare and not _is_one_label(start + match.start(), start + match.end(), words)
    ]
    reach = _REACH if len(runs) <= _MANY else _SHORT_REACH
    for run in runs:
        manner: Manner = "stated"
        before = text[max(start, run[0].start - reach) : run[0].start]
        after = text[run[-1].end : min(end, run[-1].end + reach)]
        known = {word.label for word in run} - {None}
        if in_reasons or is_described or any(a <= run[0].start < b for a, b in quoted):
            manner = "reason"
        elif asked:
            manner = "unclear"
        else:
            manner = _manner(run, before, after, text)
        if manner == "stated" and (is_field or is_bare) and not second:
            manner = "field"
        if manner in ("stated", "field") and len(known) > 1 and _is_alternative(run, text):
            manner = "unclear"
        rest: Manner = manner
        if manner == "denied" and not _all_denied(run, before, text):
            # "not sad, angry": nobody can say whether the comma ends what is denied.
            rest = "stated" if len(_DENIAL.findall(before)) > 1 else "unclear"
        for word in run:
            same = word.label in (run[0].label, None)
            yield replace(word, manner=manner if same else rest)


def _is_one_label(start: int, end: int, words: Sequence[Mention]) -> bool:
    """Whether quotes stand around one label of several words, and nothing else."""
    return any(word.start == start + 1 and word.end == end - 1 for word in words)


def _manner(run: Sequence[Mention], before: str, after: str, text: str) -> Manner:
    cleared = _NO_DENIAL.sub(lambda match: " " * len(match[0]), before)
    cleared = _LIKENESS.sub(lambda match: " " * len(match[0]), cleared)
    scopes = list(_SCOPE_END.finditer(cleared))
    scope = cleared[scopes[-1].start() :] if scopes else cleared
    many = len({word.label for word in run} - {None}) > 1
    strong = list(_STRONG_END.finditer(cleared))
    condition = cleared[strong[-1].end() :] if strong else cleared
    if _NOT_RULED_OUT.match(after) or _HIDING.search(scope):
        return "unclear"
    if _LEAST_FIELD.search(before):
        return "denied"
    if _IN_PASSING.search(scope) or _IN_GENERAL.match(after):
        return "reason"
    if _WOULD.search(scope + after[:20]) and _IF_BEHIND.match(after):
        return "reason"
    if _AT_FIRST.match(after):
        return "unclear"
    if _LATER_DENIAL.match(after):
        return "unclear" if _DENIAL.search(scope.rpartition(",")[2]) else "denied"
    if _NOT_ONLY.search(scope):
        return "stated" if many else "unclear"
    if _NOT_SURE.search(condition):
        return "unclear"
    denials = list(_DENIAL.finditer(scope))
    if len(denials) > 1 and not _is_list_of_denials(scope, denials):
        return "unclear"
    if denials:
        behind = scope[denials[-1].end() :]
        last = denials[-1][0].lower()
        if last == "than" and re.search(r"\bworse\b", scope):
            return "stated"
        if last in ("than", "over", "vs", "versus", "less", "little"):  # compared
            return "denied" if last == "than" and _BETTER_THAN.search(scope) else "unclear"
        if "," in behind and len(denials) > 1:
            return "stated"  # "not sad, not angry, neutral": each has its own
        # "not sad, angry": nobody can say whether the comma ends what is denied.
        return "unclear" if "," in behind and not _joins_by_or(run, text) else "denied"
    if many and _OPTIONS.search(before):
        return "option"
    opening = _EXAMPLES.search(condition)
    if opening and not condition[: opening.start()].strip() and scope in condition:
        opening = _EXAMPLES.search(scope)  # "if …, I would choose": the clause is over
    if opening:
        return "reason" if _CONCESSION.search(scope) else "unclear"
    if _CONCESSION.search(scope):
        return "reason"
    return "reason" if _is_reason(scope) else "stated"


def _is_reason(scope: str) -> bool:
    """Whether a word such as "because" stands before a label, unless it opens another clause."""
    reasons = list(_REASONING.finditer(scope))
    if not reasons:
        return False
    last = reasons[-1]
    opens = not scope[: last.start()].strip(" \"'*,")
    return not (opens and "," in scope[last.end() :])


def _is_list_of_denials(scope: str, denials: Sequence[re.Match[str]]) -> bool:
    """Whether each of several denials has its own label: "no anger, no fear", "neither … nor"."""
    words = [match[0].lower() for match in denials]
    return set(words) <= {"no", "nor", "neither", "not", "without"} and (
        len(set(words)) == 1 or "nor" in words
    )


def _all_denied(run: Sequence[Mention], before: str, text: str) -> bool:
    """Whether a denial is about a whole list: "not sad or angry", "without fear and anger"."""
    denials = _DENIAL.findall(before)
    joined = any("and" in text[a.end : b.start] for a, b in itertools.pairwise(run))
    is_not = bool(denials) and re.search(r"not$|n'?t$", denials[-1], re.IGNORECASE) is not None
    return _joins_by_or(run, text) or (joined and not is_not)


def _joins_by_or(run: Sequence[Mention], text: str) -> bool:
    gaps = [text[first.end : second.start] for first, second in itertools.pairwise(run)]
    return any(re.search(r"\bn?or\b", gap) for gap in gaps)


def _is_alternative(run: Sequence[Mention], text: str) -> bool:
    """Whether labels are joined by "or", or ranked by a stroke such as ``>``."""
    known = [word for word in run if word.label is not None]
    return any(
        first.label != second.label
        and re.search(r"\bor\b|>|\bvs\b|\bto\b", text[first.end : second.start])
        for first, second in itertools.pairwise(known)
    )


def _runs(words: Sequence[Mention], text: str) -> list[list[Mention]]:
    """The words of a sentence in lists: those that only commas, "and", "or" and the like part."""
    runs = [[words[0]]]
    for word in words[1:]:
        gap = text[runs[-1][-1].end : word.start]
        # "between fear and anger, anger fits": the list ends where one of its labels is taken up
        is_taken_up = _BETWEEN.search(text, max(0, runs[-1][0].start - 20), runs[-1][0].start) and (
            word.label in {item.label for item in runs[-1]}
        )
        if is_list_gap(gap, alternatives=True) and not is_taken_up:
            runs[-1].append(word)
        else:
            runs.append([word])
    return runs


def is_list_gap(gap: str, *, alternatives: bool = False) -> bool:
    """Whether what stands between two labels joins them as a list."""
    if len(gap) > 60 or (gap and not gap.strip(" \t-") and "\n" not in gap):
        return False
    gap = re.sub(r"\bbut also\b", "and", gap, flags=re.IGNORECASE)
    words = re.findall(r"[^\W\d_]+", gap.lower())
    joins = {"or", "nor", "to"} if alternatives else set[str]()
    if not all(word in _LIGHT or word in joins for word in words):
        return False
    rest = re.sub(r"[^\W\d_]+", "", gap)
    return _LIST_GAP.fullmatch(rest) is not None


def _is_bare(before: str, after: str) -> bool:
    """Whether a sentence has nothing but labels: decoration, degrees and numbering aside."""
    words = re.findall(r"[^\W\d_]+", f"{before} {after}".lower())
    return all(word in _LIGHT or len(word) == 1 for word in words) and not re.search(
        r"\d{2}|[=<>]", before + after
    )
