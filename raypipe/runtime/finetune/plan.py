"""What a finetune job trains on what, checked before Ray starts and before weights are loaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from raypipe.engines.adapters import ADAPTER_WEIGHTS, require_peft
from raypipe.errors import ConfigError, FingerprintError
from raypipe.finetune.examples import ExampleSet, read_examples
from raypipe.finetune.record import ADAPTER, FinetuneRecord, read_finetune_record
from raypipe.runtime.finetune.config import FinetuneConfig
from raypipe.runtime.infer.models import engine_of, model_fingerprint
from raypipe.runtime.ray.uploaded import refuse_uploaded_folder


@dataclass(frozen=True, slots=True)
class FinetunePlan:
    """A finetune job, ready to start.

    Attributes:
        examples: learnt from and measured on.
        output: where everything goes.
        fingerprint: of everything that can change the adapter.
        identity: fingerprints of the model and of the examples.
        finished: the record of the same job, if it is done.
    """

    config: FinetuneConfig
    examples: ExampleSet
    output: Path
    fingerprint: str
    identity: dict[str, str]
    finished: FinetuneRecord | None


def plan_finetune(config: FinetuneConfig) -> FinetunePlan:
    """The plan of a finetune job.

    Raises:
        ConfigError: if the export or the model cannot be used.
        UnsupportedError: without peft.
        FingerprintError: if the output holds another job's adapter.
    """
    refuse_uploaded_folder(config.output)
    require_peft()
    plugin, settings = engine_of(config.model)
    for fault in plugin.faults(settings):
        raise ConfigError(f"model {config.model.path}: {fault}")
    examples = read_examples(config.input.export)
    identity = {"model": model_fingerprint(config.model), "examples": examples.fingerprint}
    fingerprint = config.identity(identity["model"], identity["examples"])
    # Workers of other nodes do not have this one's current directory.
    output = Path(config.output).absolute()
    record = read_finetune_record(output)
    if record is not None and record.fingerprint != fingerprint:
        changed = sorted(name for name, value in identity.items() if record.identity[name] != value)
        raise FingerprintError(
            f"{config.output} holds another fine-tuning, of "
            f"{'another ' + ' and other '.join(changed) if changed else 'other settings'}: "
            "give another output"
        )
    is_finished = record is not None and record.status == "finished"
    is_there = (output / ADAPTER / ADAPTER_WEIGHTS).is_file()
    finished = record if is_finished and is_there else None
    return FinetunePlan(config, examples, output, fingerprint, identity, finished)
