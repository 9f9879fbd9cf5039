"""Settings of a run that say ``auto``: resolved once, from the GPUs and the checkpoints.

What was chosen stands in ``run.json``, and a run that is continued takes it from there: on another
machine ``auto`` would be something else, and half of the answers of another precision.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import soundfile

from raypipe.config import ModelConfig, ResourcesConfig, RunConfig
from raypipe.engines.generation_config import generation_config_of, penalties_of
from raypipe.engines.memory import HALF_PRECISIONS, MemoryNeed, weight_bytes_in
from raypipe.engines.plugins import load_plugin
from raypipe.errors import ConfigError
from raypipe.records import Failure, ModelInput, Sampling, Search, TextScores, Utterance
from raypipe.runtime.infer.context import RunContext
from raypipe.runtime.infer.devices import Devices
from raypipe.runtime.infer.models import engine_of, make_frontend
from raypipe.runtime.infer.preparing import prepare_rows
from raypipe.store.location import Location
from raypipe.store.run_record import RECORD, read_record

_logger = logging.getLogger(__name__)

ROWS_ON_CPUS = 16
"""Utterances decoded together without a GPU, or by an engine that plans its memory itself."""

MOST_ROWS = 128
"""And on a GPU: a 7B model on an H200 was no faster with 256."""

USABLE_SHARE = 0.9
"""Of a GPU's memory; the rest is the driver's, the allocator's, and of what nobody counts."""

_LONGEST_S = 30.0
"""Clip that rows are planned for where the model's window is longer."""

_SAMPLING_RATE = 16_000

Choices = Mapping[str, str | int | float]
"""Values of settings that said ``auto``, by their names."""

AskDevices = Callable[[], Devices]
"""What tells the GPUs, see :func:`raypipe.runtime.infer.devices.devices`."""


class Automatic:
    """The choices for one run.

    Args:
        tables: the run's output; what an earlier attempt chose is taken from its ``run.json``.
            None for a run without one.
        ask: tells the GPUs; called once at most, and only if there is something to choose.

    Attributes:
        chosen: values by the settings' names.
    """

    def __init__(self, tables: Location | None, ask: AskDevices) -> None:
        self._tables, self._ask = tables, ask
        self.chosen: dict[str, str | int | float] = {}

    @cached_property
    def _devices(self) -> Devices:
        return self._ask()

    @property
    def devices(self) -> Devices | None:
        """GPUs that the choices were made for; None where there was nothing to ask."""
        asked: Devices | None = self.__dict__.get("_devices")
        return asked

    @cached_property
    def _earlier(self) -> Choices:
        if self._tables is None or not self._tables.exists(RECORD):
            return {}
        return read_record(self._tables).chosen

    def with_precision(self, config: RunConfig) -> RunConfig:
        """The config with devices and arithmetic resolved.

        Raises:
            ConfigError: if the GPUs cannot be asked.
        """
        two = config.verifier.model is not None
        main = self._with_gpus("resources", config.resources, config.all_models[0], two)
        update: dict[str, object] = {"resources": main}
        if config.models:
            update["models"] = tuple(
                self._with_dtype(f"model {model.label}", model, main) for model in config.models
            )
        else:
            update["model"] = self._with_dtype("model", config.model, main)
        verifier = config.verifier
        if verifier.model is not None:
            own = self._with_gpus("verifier.resources", verifier.resources, verifier.model, two)
            model = self._with_dtype("verifier.model", verifier.model, own)
            changes = {"resources": own, "model": model}
            update["verifier"] = verifier.model_copy(update=changes)
        self._note_penalties(config)
        return config.model_copy(update=update)

    def _note_penalties(self, config: RunConfig) -> None:
        """Keep what the checkpoints ask of the searches, where the run leaves it to them."""
        if config.decoding.penalties != "checkpoint":
            return
        for model in config.all_models:
            plugin, settings = engine_of(model)
            if not (plugin.loads_path and plugin.penalises):
                continue
            ignore = settings.ignore_generation_config
            asked = generation_config_of(settings.path, settings.revision)
            applied = penalties_of(asked, "checkpoint", ignore=ignore)
            if applied.any:
                section = f"model {model.label}" if config.models else "model"
                self.chosen[f"{section}.repetition_penalty"] = applied.repetition

    def with_rows(self, config: RunConfig, contexts: Mapping[str, RunContext]) -> RunConfig:
        """The config with the number of rows resolved.

        Args:
            config: its devices and arithmetic resolved.
            contexts: of each model, by its label.

        Raises:
            ConfigError: for a model that does not fit into a GPU's memory.
        """
        parts = [(config.with_model(model), contexts[model.label]) for model in config.all_models]
        main = self._with_batch_size("resources", config.resources, parts)
        update: dict[str, object] = {"resources": main}
        verifier = config.verifier
        if verifier.model is not None:
            parts = [(config.as_verifier(), context) for context in contexts.values()]
            own = self._with_batch_size("verifier.resources", verifier.resources, parts)
            update["verifier"] = verifier.model_copy(update={"resources": own})
        return config.model_copy(update=update)

    def _with_gpus(
        self, section: str, resources: ResourcesConfig, model: ModelConfig, two: bool
    ) -> ResourcesConfig:
        asked = resources.gpus_per_actor
        if model.device.startswith("cuda") and asked == 0:
            raise ConfigError(
                f"model {model.label}: device {model.device} needs a GPU, and "
                f"{section}.gpus_per_actor is 0"
            )
        if (asked != "auto" and asked > 0) or model.device.startswith("cuda"):
            self._require_gpus(section, resources, model)
        if asked != "auto":
            return resources
        gpus = 0.0
        if _loads_weights(model) and model.device != "cpu" and self._devices.gpus:
            # A verifier beside the model shares the only GPU with it.
            gpus = 0.5 if two and self._devices.gpus == 1 else 1.0
            self.chosen[f"{section}.gpus_per_actor"] = gpus
        return resources.model_copy(update={"gpus_per_actor": gpus})

    def _require_gpus(self, section: str, resources: ResourcesConfig, model: ModelConfig) -> None:
        """Refuse a run that names GPUs where there are not so many."""
        asked, actors = resources.gpus_per_actor, resources.actors
        needed = (1.0 if asked == "auto" else asked) * (1 if actors == "auto" else actors)
        if needed > self._devices.gpus:
            raise ConfigError(
                f"model {model.label}: "
                f"{f'device {model.device}' if asked == 'auto' else f'{section}.gpus_per_actor'} "
                f"asks for {needed:g} GPUs, and there are {self._devices.gpus} that torch can use"
            )

    def _with_dtype(
        self, section: str, model: ModelConfig, resources: ResourcesConfig
    ) -> ModelConfig:
        if model.dtype != "auto":
            return model
        name, dtype = f"{section}.dtype", "float32"
        plugin, settings = engine_of(model)
        if name in self._earlier:
            dtype = str(self._earlier[name])
        elif resources.gpus and plugin.gpu_dtype is not None:
            dtype = plugin.gpu_dtype(settings)
        if plugin.loads_path:
            self.chosen[name] = dtype
        return model.model_copy(update={"dtype": dtype})

    def _with_batch_size(
        self,
        section: str,
        resources: ResourcesConfig,
        parts: list[tuple[RunConfig, RunContext]],
    ) -> ResourcesConfig:
        name = f"{section}.batch_size"
        if resources.batch_size != "auto":
            if resources.gpus:
                self._compare(name, resources, parts)
            return resources
        if name in self._earlier:
            rows = int(self._earlier[name])
        else:
            most = MOST_ROWS if resources.gpus else ROWS_ON_CPUS
            rows = min(
                min(self._fitting(part, context, resources) or ROWS_ON_CPUS, most)
                for part, context in parts
            )
        if any(_loads_weights(part.model) for part, _ in parts):
            self.chosen[name] = rows
        return resources.model_copy(update={"batch_size": rows})

    def _compare(
        self, name: str, resources: ResourcesConfig, parts: list[tuple[RunConfig, RunContext]]
    ) -> None:
        """Say where rows by hand are more than fit: they are halved when memory runs out."""
        for part, context in parts:
            fitting = self._fitting(part, context, resources)
            if fitting is not None and resources.rows > fitting:
                _logger.warning(
                    "%s: %d is more than the %d that fit into the GPU's memory with model %s by "
                    "raypipe's count; rows are halved where memory runs out",
                    *(name, resources.rows, fitting, part.model.label),
                )

    def _fitting(
        self, config: RunConfig, context: RunContext, resources: ResourcesConfig
    ) -> int | None:
        """Rows of one model that fit into its share of a GPU, or of this machine.

        Returns:
            None for an engine that plans its memory itself, or where the room is not known.

        Raises:
            ConfigError: if not even its weights and one row fit.
        """
        plugin, settings = engine_of(config.model)
        if not plugin.loads_path or plugin.gpu_dtype is None:
            return None
        room = self._room(resources)
        if room is None:
            return None
        if plugin.memory_need is None:
            need, what = MemoryNeed(weight_bytes_in(settings), 0, 0), ""
        else:
            tokens = longest_prompt(config, context)
            if tokens is None:  # every clip will be an error row
                return None
            need = plugin.memory_need(settings, tokens, list(sized_requests(context)))
            what = " and one utterance"
        whole = need.weights + need.work + need.row
        if whole > room.usable:
            raise ConfigError(
                f"model {config.model.label} needs {_gib(whole)} for its weights in "
                f"{config.model.dtype}{what}; of {room.whose} {_gib(room.memory)} a run takes "
                f"{_gib(room.usable)}"
                + (". raypipe splits no model over GPUs" if resources.gpus else "")
                + ("; model.dtype: bfloat16 halves it" if settings.dtype == "float32" else "")
            )
        return need.rows(room.usable) if need.row else None

    def _room(self, resources: ResourcesConfig) -> _Room | None:
        """Memory of one actor; None where nobody knows it."""
        devices = self._devices
        if resources.gpus:
            if devices.memory is None:
                return None
            share = USABLE_SHARE * min(resources.gpus, 1.0)
            return _Room(devices.memory, int(share * devices.memory), f"the {devices.name}'s")
        if devices.host_memory is None:
            return None
        actors = 1 if resources.actors == "auto" else resources.actors
        usable = int(USABLE_SHARE * devices.host_memory / actors)
        each = "" if actors == 1 else f", {actors} actors,"
        return _Room(devices.host_memory, usable, f"this machine's{each}")


@dataclass(frozen=True, slots=True)
class _Room:
    """Memory for one actor: bytes there are, bytes it may take, and whose they are."""

    memory: int
    usable: int
    whose: str


def in_words(chosen: Choices) -> str:
    """What was chosen, in one line."""
    words = ", ".join(f"{name} {value}" for name, value in chosen.items())
    halves = [value for value in chosen.values() if value in HALF_PRECISIONS]
    if not halves:
        return words
    return (
        f"{words}. In {halves[0]} close hypotheses may differ with the batch size; raypipe "
        "selfcheck counts them"
    )


def _loads_weights(model: ModelConfig) -> bool:
    return load_plugin(model.engine).loads_path


def searches_of(context: RunContext) -> Iterator[Search]:
    """All that the model of a context is asked for."""
    for asking in context.passes:
        if isinstance(asking.request, Search):
            yield asking.request
    if context.verification is not None:
        yield context.verification.search


def sized_requests(context: RunContext) -> Iterator[Search | Sampling | TextScores]:
    """All that the model of a context is asked for and that takes memory for every utterance."""
    yield from searches_of(context)
    for asking in context.passes:
        if isinstance(asking.request, Sampling | TextScores):
            yield asking.request


def longest_prompt(config: RunConfig, context: RunContext) -> int | None:
    """Tokens of the longest prompt: about a clip of the model's window, half a minute at most.

    Returns:
        None if no prompt can be made about any clip that the run lets through.
    """
    seconds = min(context.window_s, context.limits.max_duration_s, _LONGEST_S)
    sink = io.BytesIO()
    # Noise, as a run refuses silence.
    noise = np.random.default_rng(0).integers(-1000, 1000, int(seconds * _SAMPLING_RATE))
    soundfile.write(sink, noise.astype(np.int16), _SAMPLING_RATE, format="WAV")
    longest = Utterance(
        utterance_id="longest",
        dataset="",
        split=None,
        speaker=None,
        audio=sink.getvalue(),
        sampling_rate=_SAMPLING_RATE,
        duration_s=seconds,
        transcript="word " * int(4 * seconds),
    )
    prepared = prepare_rows([longest], context, make_frontend(config.model))
    lengths = []
    for windows in prepared.windows:
        for window in () if isinstance(windows, Failure) else windows:
            for asked in window.asked:
                if not isinstance(asked, Failure) and isinstance(asked.prepared, ModelInput):
                    lengths.append(len(asked.prepared.token_ids))
    return max(lengths, default=None)


def _gib(size: int) -> str:
    return f"{size / 2**30:.1f} GiB"
