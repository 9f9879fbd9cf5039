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

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations, product

from raypipe.errors import ConfigError
from raypipe.strategies.reading import BEAM_CHOICES, Variant
from raypipe.strategies.registry import SETTINGS, strategy_named
from raypipe.strategies.setting import Settings, SettingValue
from raypipe.strategies.strategy import Fitted, Strategy


class Sweep:
    """What is to be varied: every setting with one value or several.

    Args:
        strategies: names from :data:`raypipe.strategies.STRATEGIES`.
        beam_count: beams of the main search.
        sub_beams: how many of them to read; empty for all, without a word in the name.
        beam_counts: of the run's other searches, those that are read as well.
        values: of settings by their names; the default of one that is not given.

    Raises:
        ConfigError: for an unknown setting, a value given twice, no value, or one that cannot be.
    """

    def __init__(
        self,
        strategies: Sequence[str],
        beam_count: int,
        *,
        sub_beams: Sequence[int] = (),
        beam_counts: Sequence[int] = (),
        **values: Sequence[object],
    ) -> None:
        self.strategies, self.beam_count = tuple(strategies), beam_count
        self.sub_beams, self.beam_counts = tuple(sub_beams), tuple(beam_counts)
        unknown = sorted(values.keys() - SETTINGS.keys())
        if unknown:
            raise ConfigError(f"unknown settings {unknown}; known: {', '.join(SETTINGS)}")
        self.values: Mapping[str, tuple[object, ...]] = {
            name: tuple(values.get(name, (setting.default,))) for name, setting in SETTINGS.items()
        }
        self._check()

    def _check(self) -> None:
        beams = {"sub_beams": self.sub_beams, "beam_counts": self.beam_counts}
        for name, values in {"strategies": self.strategies, **beams, **self.values}.items():
            if len(set(values)) != len(values):
                raise ConfigError(f"{name}: give each value once, got {_listed(values)}")
            if not values and name not in beams:
                raise ConfigError(f"{name}: give at least one value")
        wrong = [count for count in self.sub_beams if not 1 <= count <= self.beam_count]
        if wrong:
            raise ConfigError(
                f"sub_beams: {_listed(wrong)} cannot be read from a search with "
                f"{self.beam_count} beams"
            )
        if self.beam_count in self.beam_counts:
            raise ConfigError(f"beam_counts: {self.beam_count} is the main search, always read")
        self.variants()  # checks every value

    def variants(self) -> tuple[Variant, ...]:
        """Every strategy under every combination of the settings it uses, in a fixed order."""
        return tuple(
            variant for strategy in self.strategies for variant in self._expanded(strategy)
        )

    def _expanded(self, strategy: str) -> Iterator[Variant]:
        # A setting that the strategy does not use keeps its first value: no change.
        yield from self._over(strategy, {name: values[0] for name, values in self.values.items()})

    def _over(self, strategy: str, first: Mapping[str, object]) -> Iterator[Variant]:
        """A strategy over its settings; a fitted one over its own and those of its base."""
        declared = strategy_named(strategy)
        own = [] if isinstance(declared, Strategy) else [known.name for known in declared.settings]
        # Which settings a composite uses depends on its own: they say which its parts are.
        for chosen in product(*(self.values[name] for name in own)):
            fixed = {**first, **dict(zip(own, chosen, strict=True))}
            if isinstance(declared, Fitted):
                for base in self._over(declared.base(Settings(**fixed)), fixed):
                    variant = replace(base, strategy=strategy)
                    yield replace(variant, name=self._name(variant))
                continue
            plain = Variant(strategy, strategy, Settings(**fixed))
            names = plain.settings_used
            used = [name for name in names if name in self.values and name not in own]
            beams = self._beams() if BEAM_CHOICES[0] in names else [(self._main, None)]
            for beam_count, sub_beams in beams:
                for values in product(*(self.values[name] for name in used)):
                    settings = Settings(**fixed | dict(zip(used, values, strict=True)))
                    variant = Variant(strategy, strategy, settings, sub_beams, beam_count)
                    yield Variant(self._name(variant), strategy, settings, sub_beams, beam_count)

    @property
    def _main(self) -> int | None:
        """Width of the main search; None for the only one, which need not say how wide it is."""
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
        parts += [
            f"{name}={_value(variant.value(name))}"
            for name in variant.settings_used
            if len(self.values.get(name, ())) > 1
        ]
        return f"{variant.strategy}[{','.join(parts)}]" if parts else variant.strategy


def used_settings(variant: Variant) -> dict[str, SettingValue | None]:
    """The settings that a variant's predictions depend on, by name."""
    return {name: variant.value(name) for name in variant.settings_used}


def compared(variants: Sequence[Variant]) -> frozenset[tuple[str, str]]:
    """Pairs of recorded names whose paired difference says what one choice does.

    Two readings of one strategy are compared if they differ in one setting, of two strategies if
    the settings that both use are equal; which search is read and how much of it counts as one
    setting. Two values of
    a setting that changes no distribution, such as tau, are not compared. Without a sweep
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
        same_probs = bool(differing) and not any(_changes_probs(name) for name in differing)
        if len(differing) == (left.strategy == right.strategy) and not same_probs:
            yield left, right


def _changes_probs(name: str) -> bool:
    return name not in SETTINGS or SETTINGS[name].changes_probs


def _choices(variant: Variant) -> Mapping[str, object]:
    used = used_settings(variant)
    beams = tuple(used.pop(name, None) for name in BEAM_CHOICES)
    return {**used, "beams": beams} if BEAM_CHOICES[0] in variant.settings_used else used


def _value(value: object) -> str:
    """``0.5``, ``1``, ``words``, ``true``: as a user writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return repr(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    return str(value)


def _listed(values: Sequence[object]) -> str:
    return ", ".join(_value(value) for value in values)
