"""Check of whether a run's answers depend on which utterances are decoded together."""

from __future__ import annotations

from dataclasses import dataclass

from rich.table import Table

from raypipe.config import RunConfig
from raypipe.engines.agreement import (
    LOGIT_TOLERANCE,
    SCORE_RELATIVE_TOLERANCE,
    SCORE_TOLERANCE,
    AnswerAgreement,
    compare,
)
from raypipe.engines.contract import Tagged
from raypipe.errors import ConfigError
from raypipe.protocols import Frontend
from raypipe.records import Failure
from raypipe.runtime.infer.automatic import Automatic
from raypipe.runtime.infer.context import RunContext, ShardTask
from raypipe.runtime.infer.devices import local_devices
from raypipe.runtime.infer.models import (
    check_batches,
    main_search,
    make_engine,
    make_frontend,
)
from raypipe.runtime.infer.plan import run_contexts
from raypipe.runtime.infer.preparing import prepare_shard
from raypipe.shards import ShardIndex, read_index
from raypipe.store.location import Location

_MOST_SHARDS = 8
_LARGEST_DEFAULT_SAMPLE = 64


@dataclass(frozen=True, slots=True)
class SelfCheck:
    """Result of a self-check.

    Attributes:
        dtype: arithmetic of the weights.
        batch_size: utterances decoded together in the run, at most those of the sample.
        agreement: batch size 1 against it.
    """

    dtype: str
    batch_size: int
    agreement: AnswerAgreement

    @property
    def passed(self) -> bool:
        """Whether nothing contradicts the promise: answers may change in half precision only."""
        return self.agreement.agrees or self.dtype != "float32"


def selfcheck(config: RunConfig, sample: int | None = None) -> SelfCheck:
    """Answer some of the run's utterances one by one and together, and compare.

    The sample is the first rows of up to eight shards, evenly spaced. Neither Ray nor the run's
    output is touched.

    Args:
        config: the run.
        sample: number of utterances; by default twice the batch size, at most 64.

    Raises:
        ConfigError: if no utterance of the sample can be heard, or the engine knows no batches.
        RaypipeError: if the config, the input or the model is wrong.
    """
    check_batches(config.all_models[0])
    shards = Location.parse(config.input.shards, config.storage.endpoint)
    tables = Location.parse(config.output, config.storage.endpoint)
    index = read_index(shards)
    # All of the first model's own answers; what it says as a verifier is no longer search.
    config = config.with_model(config.all_models[0])
    automatic = Automatic(tables, local_devices)
    config, (context,) = run_contexts(config, shards, tables, index, automatic)
    wanted = sample or min(2 * config.resources.rows, _LARGEST_DEFAULT_SAMPLE)
    inputs = _sample(index, context, make_frontend(config.model), wanted)
    if not inputs:
        raise ConfigError(f"{shards.uri}: none of the first {wanted} rows can be heard")
    search = main_search(config, context.labels)
    engine = make_engine(config, context.emotion_tokens, [search])
    alone = [reply for prepared in inputs for reply in engine.generate([prepared], search)]
    together = engine.generate(inputs, search)
    batch_size = min(config.resources.rows, len(inputs))
    return SelfCheck(config.model.dtype, batch_size, compare(alone, together))


def _sample(
    index: ShardIndex, context: RunContext, frontend: Frontend[Tagged], wanted: int
) -> list[Tagged]:
    filled = [entry for entry in index.shards if entry.rows]
    count = min(len(filled), _MOST_SHARDS, wanted)
    inputs: list[Tagged] = []
    for place in range(count):
        entry = filled[place * len(filled) // count]
        # A short or partly unreadable shard leaves its share to the ones after it.
        take = min(entry.rows, -(-(wanted - len(inputs)) // (count - place)))
        prepared = prepare_shard(ShardTask(entry, take), context, frontend)
        inputs_by_row = [
            row[0].asked[0] for row in prepared.rows.windows if not isinstance(row, Failure)
        ]
        inputs += [item for item in inputs_by_row if not isinstance(item, Failure)]
    return inputs


def selfcheck_table(check: SelfCheck) -> Table:
    """Table of the differences, one line per kind."""
    agreement = check.agreement
    table = Table(
        "",
        f"batch size 1 against {check.batch_size}",
        title=f"{agreement.utterances} utterances, {check.dtype}",
    )
    table.add_row("failed the same way in both", str(agreement.failed))
    table.add_row("failed in one only", str(agreement.failed_once))
    table.add_row("any text changed", _share(agreement.changed, agreement.utterances))
    table.add_row(
        "greedy or best beam changed", _share(agreement.changed_first, agreement.utterances)
    )
    table.add_row("hypotheses changed", _share(agreement.changed_hypotheses, agreement.hypotheses))
    table.add_row("largest difference of a score", _number(agreement.score_difference))
    table.add_row(
        f"  beyond {SCORE_TOLERANCE:g} + {SCORE_RELATIVE_TOLERANCE:g} |score|",
        _number(agreement.score_excess),
    )
    table.add_row(
        f"largest difference of a raw logit (allowed: {LOGIT_TOLERANCE:g})",
        _number(agreement.logit_difference),
    )
    return table


def _share(count: int, of: int) -> str:
    return f"{count} ({count / of:.1%})" if of else "0"


def _number(value: float | None) -> str:
    return "not given" if value is None else f"{value:.2g}"
