"""The prompts of a run: texts of their templates, seen to be such as can be filled."""

from __future__ import annotations

from collections.abc import Sequence

from raypipe.audio import decode
from raypipe.config import PromptConfig, RunConfig
from raypipe.descriptors import describe
from raypipe.errors import ConfigError
from raypipe.labels import LabelSet
from raypipe.prompts import check_template, template_source, uses
from raypipe.prompts.examples import Example, read_examples
from raypipe.records import Descriptors, Scale
from raypipe.runtime.infer.closed_form import option_order
from raypipe.runtime.infer.context import AttributesPrompt, Prompt
from raypipe.runtime.infer.questions import passes_of
from raypipe.shards import ShardIndex

_MEASURED_AT_HZ = 16_000


def run_prompt(
    prompt: PromptConfig, config: RunConfig, labels: LabelSet, index: ShardIndex
) -> Prompt:
    """A prompt of a run with all its templates.

    Args:
        prompt: its section of the config.
        config: of the run.
        labels: of the corpus.
        index: of the corpus.

    Raises:
        ConfigError: if a template cannot be used.
    """
    examples: tuple[Example, ...] = ()
    if prompt.examples is not None:
        examples = read_examples(prompt.examples, labels, _measure)
    asks_cot = any(asking.cot for asking in passes_of(config, labels))
    cot = prompt.cot_template if asks_cot else None
    return Prompt(
        prompt.label,
        usable_source(prompt.template, labels, index, examples=examples),
        None if cot is None else usable_source(cot, labels, index, examples=examples),
        prompt.is_text_only,
        examples,
        prompt.turn,
        option_order(prompt),
        prompt.clip,
        _attributes(config, labels, index),
    )


def _attributes(config: RunConfig, labels: LabelSet, index: ShardIndex) -> AttributesPrompt | None:
    scales = config.attribute_scales
    if scales is None:
        return None
    template = config.attributes.template
    source = usable_source(template, labels, index, scale=scales.asked)
    if uses(source, "descriptors"):
        raise ConfigError(f"attributes.template: {template} uses descriptors; it gets none")
    return AttributesPrompt(source, scales.asked)


def _measure(audio: bytes) -> Descriptors:
    """How an example's clip sounds."""
    return describe(decode(audio, sampling_rate=_MEASURED_AT_HZ), _MEASURED_AT_HZ)


def usable_source(
    template: str,
    labels: LabelSet,
    index: ShardIndex,
    *,
    candidate: str | None = None,
    examples: Sequence[Example] = (),
    scale: Scale | None = None,
) -> str:
    """The text of a template that can be filled.

    Args:
        template: a built-in name or a path.
        labels: of the corpus.
        index: of the corpus.
        candidate: for templates that judge one.
        examples: solved ones.
        scale: for templates about attributes.

    Raises:
        ConfigError: if it cannot, naming it.
    """
    source = template_source(template)
    try:
        check_template(
            source,
            labels,
            fixed_sentences=index.fixed_sentences,
            candidate=candidate,
            examples=examples,
            scale=scale,
        )
    except ConfigError as error:
        raise ConfigError(f"prompt {template}: {error}") from error
    return source
