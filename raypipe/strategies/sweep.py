"""A sweep: the same hypotheses read under several settings, each reading under a name of its own.

A strategy is expanded over the settings that it uses and over no other. What a sweep varies is
part of the recorded name, as in ``w_bon[tau=0.5]``; a setting with one value is not.

``sub_beams`` reads the first b beams, by rank, of a search that kept B: ``w_bon[beams=3of5]``.
That is cheap and needs no model, but it is not a beam search with b beams: a narrower search
prunes prefixes that the wider one follows, so its beams are not the first b of the wider one.
Exactly those need another run with ``decoding.beam_count: b``. The name always says which it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, product

from raypipe.errors import ConfigError
from raypipe.strategies import SETTINGS_USED, AggregationSettings, Variant


@dataclass(frozen=True, slots=True)
class Sweep:
    """What is to be varied: every setting with one value or several.

    Attributes:
        strategies: names from :data:`raypipe.strategies.STRATEGIES`.
        beam_count: beams of the search that made the hypotheses.
        sub_beams: how many of them to read; empty for all, without a word in the name.

    Raises:
        ConfigError: for a value given twice, no value, or one that cannot be.
    """

    strategies: tuple[str, ...]
    beam_count: int
    tau: tuple[float, ...] = (1.0,)
    token_steps: tuple[str, ...] = ("all",)
    token_temperature: tuple[float, ...] = (1.0,)
    length_normalised: tuple[bool, ...] = (False,)
    sub_beams: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for name in ("strategies", *SETTINGS):
            values = getattr(self, name)
            if len(set(values)) != len(values):
                raise ConfigError(f"{name}: give each value once, got {_listed(values)}")
            if not values and name != "sub_beams":
                raise ConfigError(f"{name}: give at least one value")
        for name in self.strategies:
            if name not in SETTINGS_USED:
                raise ConfigError(f"unknown strategy {name!r}; known: {', '.join(SETTINGS_USED)}")
        wrong = [count for count in self.sub_beams if not 1 <= count <= self.beam_count]
        if wrong:
            raise ConfigError(
                f"sub_beams: {_listed(wrong)} cannot be read from a search with "
                f"{self.beam_count} beams"
            )
        for variant in self.variants():  # checks every value
            assert variant.name

    def variants(self) -> tuple[Variant, ...]:
        """Every strategy under every combination of the settings it uses, in a fixed order."""
        return tuple(
            variant for strategy in self.strategies for variant in self._expanded(strategy)
        )

    def _expanded(self, strategy: str) -> Iterator[Variant]:
        used = SETTINGS_USED[strategy]
        choices = [getattr(self, name) or (None,) for name in used]
        # A setting that the strategy does not use keeps the first value: it changes nothing.
        fixed = {name: getattr(self, name)[0] for name in SETTINGS if name != "sub_beams"}
        for values in product(*choices):
            chosen = dict(zip(used, values, strict=True))
            sub_beams = chosen.pop("sub_beams", None)
            settings = AggregationSettings(**{**fixed, **chosen})
            yield Variant(self._name(strategy, chosen, sub_beams), strategy, settings, sub_beams)

    def _name(self, strategy: str, chosen: dict[str, object], sub_beams: int | None) -> str:
        parts = [] if sub_beams is None else [f"beams={sub_beams}of{self.beam_count}"]
        swept = [name for name in chosen if len(getattr(self, name)) > 1]
        parts += [f"{name}={_value(chosen[name])}" for name in swept]
        return f"{strategy}[{','.join(parts)}]" if parts else strategy


SETTINGS = ("sub_beams", "length_normalised", "tau", "token_steps", "token_temperature")


def used_settings(variant: Variant) -> dict[str, object]:
    """The settings that a variant's predictions depend on, by name."""
    return {
        name: variant.sub_beams if name == "sub_beams" else getattr(variant.settings, name)
        for name in SETTINGS_USED[variant.strategy]
    }


def compared(variants: Sequence[Variant]) -> frozenset[tuple[str, str]]:
    """Pairs of recorded names whose paired difference says what one choice does.

    Two readings of one strategy are compared if they differ in one setting, of two strategies if
    the settings that both use are equal. Two values of tau give the same distributions and are
    not compared. Without a sweep these are all pairs of strategies.

    Returns:
        Pairs in alphabetical order of the two names.
    """
    pairs = (sorted((left.name, right.name)) for left, right in _comparable(variants))
    return frozenset((first, second) for first, second in pairs)


def _comparable(variants: Sequence[Variant]) -> Iterator[tuple[Variant, Variant]]:
    for left, right in combinations(variants, 2):
        own, other = used_settings(left), used_settings(right)
        differing = [name for name in own if name in other and own[name] != other[name]]
        if len(differing) == (left.strategy == right.strategy) and differing != ["tau"]:
            yield left, right


def _value(value: object) -> str:
    """``0.5``, ``1``, ``words``, ``true``: as a user writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return repr(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    return str(value)


def _listed(values: Sequence[object]) -> str:
    return ", ".join(_value(value) for value in values)
