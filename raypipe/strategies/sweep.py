"""A sweep: the same hypotheses read under several settings, each reading under a name of its own.

A strategy is expanded over the settings that it uses and over no other. What a sweep varies is
part of the recorded name, as in ``w_bon[tau=0.5]``; a setting with one value is not.

There are two ways to look at fewer beams, and the name always says which it is:

- ``sub_beams`` reads the first b beams, by rank, of the main search, which kept B:
  ``w_bon[beams=3of5]``. That is cheap and needs no model, but it is not a beam search with b
  beams: a narrower search prunes prefixes that the wider one follows, so its beams are not the
  first b of the wider one.
- ``beam_counts`` reads other searches that were really made, beside the main one, in the same
  run: ``w_bon[beams=3]``.

``adaptive`` uses what its cheap and its expensive strategy use, and ``cheap``, ``expensive`` and
``threshold`` of its own: ``adaptive[threshold=0.5]``. Its thresholds are the cost-quality curve.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any

from raypipe.errors import ConfigError
from raypipe.strategies.settings import AdaptiveSettings, AggregationSettings
from raypipe.strategies.variants import ADAPTIVE_SETTINGS, Variant

_SHARED = ("tau", "token_steps", "token_temperature", "length_normalised", "merge_tokenisations")
_VALUES = (*_SHARED, *ADAPTIVE_SETTINGS)
_BEAMS = ("beam_count", "sub_beams")


@dataclass(frozen=True, slots=True)
class Sweep:
    """What is to be varied: every setting with one value or several.

    Attributes:
        strategies: names from :data:`raypipe.strategies.STRATEGIES`.
        beam_count: beams of the main search.
        sub_beams: how many of them to read; empty for all, without a word in the name.
        beam_counts: of the run's other searches, those that are read as well.
        cheap: of ``adaptive``, as ``expensive`` and ``threshold``.

    Raises:
        ConfigError: for a value given twice, no value, or one that cannot be.
    """

    strategies: tuple[str, ...]
    beam_count: int
    tau: tuple[float, ...] = (1.0,)
    token_steps: tuple[str, ...] = ("all",)
    token_temperature: tuple[float, ...] = (1.0,)
    length_normalised: tuple[bool, ...] = (False,)
    merge_tokenisations: tuple[bool, ...] = (False,)
    sub_beams: tuple[int, ...] = ()
    beam_counts: tuple[int, ...] = ()
    cheap: tuple[str, ...] = ("greedy",)
    expensive: tuple[str, ...] = ("w_bon",)
    threshold: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        for name in ("strategies", "sub_beams", "beam_counts", *_VALUES):
            values = getattr(self, name)
            if len(set(values)) != len(values):
                raise ConfigError(f"{name}: give each value once, got {_listed(values)}")
            if not values and name not in ("sub_beams", "beam_counts"):
                raise ConfigError(f"{name}: give at least one value")
        wrong = [count for count in self.sub_beams if not 1 <= count <= self.beam_count]
        if wrong:
            raise ConfigError(
                f"sub_beams: {_listed(wrong)} cannot be read from a search with "
                f"{self.beam_count} beams"
            )
        if self.beam_count in self.beam_counts:
            raise ConfigError(f"beam_counts: {self.beam_count} is the main search, always read")
        for variant in self.variants():  # checks every value
            assert variant.name

    def variants(self) -> tuple[Variant, ...]:
        """Every strategy under every combination of the settings it uses, in a fixed order."""
        return tuple(
            variant for strategy in self.strategies for variant in self._expanded(strategy)
        )

    def _expanded(self, strategy: str) -> Iterator[Variant]:
        own: list[AdaptiveSettings] = [AdaptiveSettings()]
        if strategy == "adaptive":
            choices = product(self.cheap, self.expensive, self.threshold)
            own = [AdaptiveSettings(*chosen) for chosen in choices]
        for adaptive in own:
            first = {name: getattr(self, name)[0] for name in _SHARED}
            plain = Variant(strategy, strategy, AggregationSettings(**first, adaptive=adaptive))
            used = [name for name in plain.settings_used if name in _SHARED]
            beams = self._beams() if _BEAMS[0] in plain.settings_used else [(self._main, None)]
            for (beam_count, sub_beams), *values in product(
                beams, *(getattr(self, name) for name in used)
            ):
                # A setting that the strategy does not use keeps the first value: no change.
                settings = AggregationSettings(
                    **first | dict(zip(used, values, strict=True)), adaptive=adaptive
                )
                variant = Variant(strategy, strategy, settings, sub_beams, beam_count)
                yield Variant(self._name(variant), strategy, settings, sub_beams, beam_count)

    @property
    def _main(self) -> int | None:
        """None, the run's only search, which need not say how wide it is."""
        return self.beam_count if self.beam_counts else None

    def _beams(self) -> list[tuple[int | None, int | None]]:
        """Which search is read, and how many of its beams."""
        main = [(self._main, count) for count in self.sub_beams or (None,)]
        return [*main, *((count, None) for count in self.beam_counts)]

    def _name(self, variant: Variant) -> str:
        parts = []
        if variant.sub_beams is not None:
            parts.append(f"beams={variant.sub_beams}of{self.beam_count}")
        elif variant.beam_count != self._main:
            parts.append(f"beams={variant.beam_count}")
        used = used_settings(variant)
        swept = [name for name in used if name in _VALUES and len(getattr(self, name)) > 1]
        parts += [f"{name}={_value(used[name])}" for name in swept]
        return f"{variant.strategy}[{','.join(parts)}]" if parts else variant.strategy


def used_settings(variant: Variant) -> dict[str, Any]:
    """The settings that a variant's predictions depend on, by name."""
    return {name: _setting(variant, name) for name in variant.settings_used}


def _setting(variant: Variant, name: str) -> Any:
    if name in _BEAMS:
        return getattr(variant, name)
    if name in ADAPTIVE_SETTINGS:
        return getattr(variant.settings.adaptive, name)
    return getattr(variant.settings, name)


def compared(variants: Sequence[Variant]) -> frozenset[tuple[str, str]]:
    """Pairs of recorded names whose paired difference says what one choice does.

    Two readings of one strategy are compared if they differ in one setting, of two strategies if
    the settings that both use are equal; which search is read and how much of it counts as one
    setting. Two values of tau give the same distributions and are not compared. Without a sweep
    these are all pairs of strategies.

    Returns:
        Pairs in alphabetical order of the two names.
    """
    pairs = (sorted((left.name, right.name)) for left, right in _comparable(variants))
    return frozenset((first, second) for first, second in pairs)


def _comparable(variants: Sequence[Variant]) -> Iterator[tuple[Variant, Variant]]:
    for left, right in combinations(variants, 2):
        own, other = _choices(left), _choices(right)
        differing = [name for name in own if name in other and own[name] != other[name]]
        if len(differing) == (left.strategy == right.strategy) and differing != ["tau"]:
            yield left, right


def _choices(variant: Variant) -> dict[str, Any]:
    used = used_settings(variant)
    beams = tuple(used.pop(name, None) for name in _BEAMS)
    return {**used, "beams": beams} if _BEAMS[0] in variant.settings_used else used


def _value(value: object) -> str:
    """``0.5``, ``1``, ``words``, ``true``: as a user writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return repr(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    return str(value)


def _listed(values: Sequence[object]) -> str:
    return ", ".join(_value(value) for value in values)
