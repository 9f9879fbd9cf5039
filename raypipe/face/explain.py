"""The explainable framework: classify, rationale, export, finetune, judge."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from raypipe.face.everyday import Run, Settings, settings_of

if TYPE_CHECKING:
    from raypipe.explain.export.config import ExportConfig
    from raypipe.finetune.record import FinetuneRecord
    from raypipe.runtime.classify.config import ClassifyConfig
    from raypipe.runtime.finetune.config import FinetuneConfig
    from raypipe.runtime.judge.config import JudgeConfig
    from raypipe.runtime.rationale.config import RationaleConfig


def classify(config: str | Path | Settings | ClassifyConfig, *, address: str | None = None) -> Run:
    """Find out which emotion each answer of finished runs names; again obeys corrections.

    Args:
        config: path of a YAML file, or what stands in one.
        address: of a Ray cluster, for a reader; None for ``RAY_ADDRESS``, else an embedded one.

    Raises:
        RaypipeError: if the config, a run, a reviewed file, the reader or the storage is wrong.
    """
    from raypipe.runtime.classify.config import ClassifyConfig, load_classify_config
    from raypipe.runtime.classify.job import classify as carry_out  # loads Ray

    settings = settings_of(config, ClassifyConfig, load_classify_config)
    carry_out(settings, address=address)
    return Run(settings.output, settings.storage.endpoint)


def judge(config: str | Path | Settings | JudgeConfig, *, address: str | None = None) -> Run:
    """Let a model choose between two systems' reasons; the same call again continues.

    Args:
        config: path of a YAML file, or what stands in one.
        address: of a Ray cluster; None for ``RAY_ADDRESS``, else an embedded local Ray.

    Raises:
        RaypipeError: if the config, the answers, the model or the storage is wrong.
    """
    from raypipe.runtime.infer.devices import devices
    from raypipe.runtime.judge.config import JudgeConfig, load_judge_config
    from raypipe.runtime.judge.plan import plan_judge

    settings = settings_of(config, JudgeConfig, load_judge_config)
    plan = plan_judge(settings, partial(devices, address))

    from raypipe.runtime.judge.job import carry_out_judge  # loads Ray

    carry_out_judge(plan, address=address)
    return Run(settings.output, settings.storage.endpoint)


def rationale(
    config: str | Path | Settings | RationaleConfig, *, address: str | None = None
) -> Run:
    """Let a teacher that hears the clips explain their gold labels; the same call again continues.

    Args:
        config: path of a YAML file, or what stands in one.
        address: of a Ray cluster; None for ``RAY_ADDRESS``, else an embedded local Ray.

    Raises:
        RaypipeError: if the config, the input, the model or the storage is wrong.
    """
    from raypipe.runtime.infer.devices import devices
    from raypipe.runtime.rationale.config import RationaleConfig, load_rationale_config
    from raypipe.runtime.rationale.plan import plan_rationale

    settings = settings_of(config, RationaleConfig, load_rationale_config)
    plan = plan_rationale(settings, partial(devices, address))

    from raypipe.runtime.rationale.job import carry_out_rationale  # loads Ray

    carry_out_rationale(plan, address=address)
    return Run(settings.output, settings.storage.endpoint)


def export(config: str | Path | Settings | ExportConfig) -> Mapping[str, object]:
    """Write corpora and their rationales as training files; what ``manifest.json`` says of them.

    Args:
        config: path of a YAML file, or what stands in one.

    Raises:
        RaypipeError: if the config, the corpora, the rationales or the output is wrong.
    """
    from raypipe.explain.export.config import ExportConfig, load_export_config
    from raypipe.explain.export.write import export

    return export(settings_of(config, ExportConfig, load_export_config))


def finetune(
    config: str | Path | Settings | FinetuneConfig, *, address: str | None = None
) -> FinetuneRecord:
    """Train a LoRA adapter on exported answers; the same call again goes on.

    Args:
        config: path of a YAML file, or what stands in one.
        address: of a Ray cluster; None for ``RAY_ADDRESS``, else an embedded local Ray.

    Raises:
        RaypipeError: if the config, the export or the model is wrong.
    """
    from raypipe.runtime.finetune.config import FinetuneConfig, load_finetune_config
    from raypipe.runtime.finetune.plan import plan_finetune

    plan = plan_finetune(settings_of(config, FinetuneConfig, load_finetune_config))

    from raypipe.runtime.finetune.job import carry_out_finetune  # loads Ray

    return carry_out_finetune(plan, address=address)
