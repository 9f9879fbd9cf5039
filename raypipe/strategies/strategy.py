"""What a strategy is."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from raypipe.errors import ConfigError, RegistryError
from raypipe.labels import LabelSet
from raypipe.records import Prediction
from raypipe.strategies.answers import WindowAnswers
from raypipe.strategies.fit_rows import Fit, FitRows
from raypipe.strategies.setting import Setting, Settings, SettingValue


@dataclass(frozen=True, slots=True, eq=False)
class Strategy:
    """A rule that turns what a model answered into one predicted distribution.

    Attributes:
        name: in configs, tables and reports.
        summary: what the distribution is, in one line.
        source: paper and equation or section; empty for what is raypipe's own.
        rank: place in tables and reports: lower ones come first.
        questions: names of the questions that it reads.
        predict: the prediction from one window's answers; an invalid one with a stable reason
            where the answers do not serve. It never raises for an answer, and never takes another
            strategy's place.
        settings: those that change its predictions.
        instead: questions that it reads where a run cannot ask ``questions``.
        requires: names of capabilities that an engine must have beside those of the questions,
            see :class:`raypipe.protocols.Capabilities`.
        reads_logits: it looks at recorded logits, most of the bytes of ``generations/``; False
            spares ``reaggregate`` to read them.
        reads_options: it looks at the options of a closed form; a run without one refuses it.

    Raises:
        RegistryError: for a declaration without its texts or questions.
    """

    name: str
    summary: str
    source: str
    rank: int
    questions: tuple[str, ...]
    predict: Callable[[WindowAnswers], Prediction]
    settings: tuple[Setting[SettingValue], ...] = ()
    instead: tuple[str, ...] = ()
    requires: frozenset[str] = frozenset()
    reads_logits: bool = True
    reads_options: bool = False

    def __post_init__(self) -> None:
        _check_texts(self.name, self.summary)
        if not self.questions:
            raise RegistryError(f"strategy {self.name}: it reads no question")

    def asked(self, offered: Collection[str]) -> tuple[str, ...]:
        """The questions that it reads in a run that offers some.

        Args:
            offered: names of the questions that can be asked, or were.
        """
        served = set(self.questions) <= set(offered)
        return self.instead if self.instead and not served else self.questions


def _never(_settings: Settings) -> None:
    """No settings are refused."""


@dataclass(frozen=True, slots=True, eq=False)
class Composite:
    """A strategy that chooses from, or combines, predictions of other strategies.

    It decides once for a whole utterance, whatever the number of windows.

    Attributes:
        name: in configs, tables and reports.
        summary: what the distribution is, in one line.
        source: paper and equation or section; empty for what is raypipe's own.
        rank: place in tables and reports: lower ones come first.
        parts: names of the strategies it may read under some settings; what the first reads is
            asked of every utterance, the rest only where :attr:`is_needed` says so.
        predict: the prediction, from the settings and a function that gives a part's prediction;
            with the names of the parts that it read.
        settings: its own, beside those of its parts.
        is_needed: whether an utterance needs the other parts, from the first one's prediction;
            None if every utterance does.
        refusal: why it cannot be under some settings; None if it can.
        when: of which utterances it needs its other parts under some settings, for messages.
        covers: whether every utterance that needs the other parts under the first settings needs
            them under the second ones, too; both read the same beams.

    Raises:
        RegistryError: for a declaration without its texts.
    """

    name: str
    summary: str
    source: str
    rank: int
    parts: Callable[[Settings], tuple[str, ...]]
    predict: Callable[[Settings, Callable[[str], Prediction]], tuple[Prediction, tuple[str, ...]]]
    settings: tuple[Setting[SettingValue], ...]
    is_needed: Callable[[Settings, Prediction], bool] | None = None
    refusal: Callable[[Settings], str | None] = _never
    when: Callable[[Settings], str] | None = None
    covers: Callable[[Settings, Settings], bool] | None = None

    def __post_init__(self) -> None:
        _check_texts(self.name, self.summary)
        if (self.is_needed, self.when, self.covers).count(None) not in (0, 3):
            raise RegistryError(f"strategy {self.name}: is_needed, when and covers belong together")


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """A strategy that changes another one's predictions by parameters fitted to annotators' labels.

    The parameters are fitted once for every model and prompt, to other utterances than those that
    they are applied to (:mod:`raypipe.strategies.fitting`). That takes the predictions of the
    whole corpus, so a finished run is reaggregated; a run itself refuses such a strategy.

    Attributes:
        name: in configs, tables and reports.
        summary: what the distribution is, in one line.
        source: paper and equation or section; empty for what is raypipe's own.
        rank: place in tables and reports: lower ones come first.
        base: name of the strategy whose predictions it changes, under some settings; none that is
            fitted itself.
        fit: the parameters, from the settings and the rows that they are fitted to, at least one.
        apply: the prediction, from the parameters and a valid one of the base.
        settings: its own, beside those of its base; among them those of
            :mod:`raypipe.strategies.folds`.

    Raises:
        RegistryError: for a declaration without its texts.
    """

    name: str
    summary: str
    source: str
    rank: int
    base: Callable[[Settings], str]
    fit: Callable[[Settings, FitRows], Fit]
    apply: Callable[[Mapping[str, float], Prediction, LabelSet], Prediction]
    settings: tuple[Setting[SettingValue], ...]

    def __post_init__(self) -> None:
        _check_texts(self.name, self.summary)


AnyStrategy = Strategy | Composite | Fitted


def base_named(name: str) -> str:
    """The name of a strategy that a fitted one may start from.

    Raises:
        ValueError: for a pydantic field, if there is none or it is fitted itself.
    """
    from raypipe.strategies.registry import strategy_named  # which reads fitted ones

    try:
        strategy = strategy_named(name)
    except ConfigError as error:
        raise ValueError(str(error)) from error
    if isinstance(strategy, Fitted):
        raise ValueError(f"{name} is fitted itself; name a strategy that is not")
    return name


def part_named(name: str, refusal: str) -> Strategy:
    """The strategy of a name, for a composite that reads it; a composite is none.

    Args:
        name: as a setting has it.
        refusal: what a message about a composite begins with; the names that can be follow.

    Raises:
        ValueError: for a pydantic field, if there is none or it is a composite.
    """
    from raypipe.strategies.registry import STRATEGIES, strategy_named  # which reads composites

    try:
        strategy = strategy_named(name)
    except ConfigError as error:
        raise ValueError(str(error)) from error
    if not isinstance(strategy, Strategy):
        plain = [known for known, item in STRATEGIES.items() if isinstance(item, Strategy)]
        raise ValueError(f"{refusal} {', '.join(plain)}")
    return strategy


def _check_texts(name: str, summary: str) -> None:
    if not name.isidentifier() or not summary.strip():
        raise RegistryError(
            f"strategy {name!r}: its name is no identifier, or its summary is empty"
        )
