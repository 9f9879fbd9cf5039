"""Records come out of a pickle as they went in, however they are pickled."""

from __future__ import annotations

import copy
import pickle
from dataclasses import FrozenInstanceError, dataclass, field, replace

import cloudpickle
import pytest

from raypipe.engines.contract import Tagged
from raypipe.records import (
    AskedQuestion,
    AudioMarks,
    ChatInput,
    Failure,
    Generation,
    Hypothesis,
    ModelInput,
    Utterance,
    Vote,
)
from raypipe.records.pickling import quickly_pickled
from raypipe.runtime.infer.answering import WindowInputs

QUICK = (
    *(AskedQuestion, AudioMarks, ChatInput, Failure, Generation, Hypothesis, ModelInput),
    *(Tagged, Utterance, Vote, WindowInputs),
)


@quickly_pickled
@dataclass(frozen=True, slots=True)
class Small:
    """A record with a default and a field that is compared by nobody."""

    name: str
    numbers: tuple[int, ...] = ()
    note: list[str] = field(default_factory=list, compare=False)


@dataclass(frozen=True, slots=True)
class Larger(Small):
    """One that adds a field and says nothing of pickles."""

    more: int = 0


@pytest.mark.parametrize("pickled", [pickle.dumps, cloudpickle.dumps])
@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("record", [Small("a", (1, 2), ["x"]), Larger("a", (1,), ["y"], 3)])
def test_every_field_comes_back(record: Small, pickled: object, protocol: int) -> None:
    assert callable(pickled)
    again = pickle.loads(pickled(record, protocol=protocol))
    assert type(again) is type(record)
    assert again == record
    assert again.note == record.note
    with pytest.raises(FrozenInstanceError):
        again.name = "b"


def test_copies_are_equal_and_changes_are_changes() -> None:
    record = Small("a", (1,), ["x"])
    assert copy.copy(record) == copy.deepcopy(record) == record
    assert replace(record, name="b") == Small("b", (1,))


@pytest.mark.parametrize("record", QUICK, ids=lambda record: record.__name__)
def test_what_travels_by_the_thousand_is_quick(record: type) -> None:
    assert record.__getstate__.__module__ == quickly_pickled.__module__
    blank = record.__new__(record)
    names = [*record.__dataclass_fields__]
    blank.__setstate__(range(len(names)))
    assert [getattr(blank, name) for name in names] == [*range(len(names))]
    assert blank.__getstate__() == (*range(len(names)),)
    with pytest.raises(ValueError, match="shorter"):
        blank.__setstate__([0])
