"""Prompt templates and what fills them.

Each built-in prompt is a Jinja template in this folder; a user's own file takes its place by path.
Templates see ``labels`` (list of names), ``transcript`` (text or None), ``context`` (list of
previous turns) and ``fixed_sentences`` (the corpus is acted with fixed sentences, so its words
carry no emotion and the task speaks of the audio alone). ``verify`` also sees ``candidate``, and
``describe`` the ``descriptors`` of the clip (:class:`raypipe.records.Descriptors`) and solved
``examples`` (:class:`raypipe.prompts.examples.Example`). Closed forms see ``options``
(:class:`raypipe.records.Option`).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import lru_cache
from importlib import resources
from pathlib import Path

from jinja2 import Template, TemplateError, meta

from raypipe.config.values import shortened
from raypipe.errors import ConfigError, TemplateValueError
from raypipe.labels import LabelSet
from raypipe.prompts.examples import Example
from raypipe.prompts.options import lettered
from raypipe.prompts.sandbox import PromptEnvironment, rendered
from raypipe.records import Descriptors, Option, Scale

DISTRIBUTIONS = ("distribution", "distribution+cot", "ambiguous", "single", "verify")
"""Built-in prompts about how listeners would judge a clip."""

EXPLAINABLE = ("open_form", "open_form+cot", "closed_form", "closed_form+cot", "transcribe")
"""Built-in prompts of explainable_speechlm, section 3.1, and for a transcript."""

HEARING = (*DISTRIBUTIONS, *EXPLAINABLE)
"""Built-in prompts that come with a clip."""

BUILT_IN = (*HEARING, "describe")
"""Built-in prompts about a clip."""

RELABEL = "relabel"
"""The built-in prompt about what annotators wrote; see :mod:`raypipe.relabel.prompt`."""

EXTRACT, GROUP = "extract", "group"
"""Built-in prompts about answers; see :mod:`raypipe.explain.classify.deciding`."""

ATTRIBUTES = "attributes"
"""The built-in prompt about arousal, valence and dominance, which sees ``low`` and ``high``."""

JUDGE = "judge"
"""The built-in prompt about two reasons; see :mod:`raypipe.explain.judge.verdicts`."""


RATIONALE = "rationale"
"""The built-in prompt of a teacher that knows the label; see :mod:`raypipe.explain.rationale`."""

NAMES = (*BUILT_IN, ATTRIBUTES, RELABEL, EXTRACT, GROUP, JUDGE, RATIONALE)
"""All built-in prompts, whatever they are about."""

_ENVIRONMENT = PromptEnvironment()


def template_source(prompt: str) -> str:
    """The text of a built-in prompt's template, or of a user's file.

    Args:
        prompt: the name of a built-in one, or the path of a Jinja template.

    Raises:
        ConfigError: if it is neither, or no text in UTF-8.
    """
    if prompt in NAMES:
        return (resources.files(__name__) / f"{prompt}.jinja").read_text(encoding="utf-8")
    if os.path.isfile(prompt):  # False for a text that no path can be
        try:
            return Path(prompt).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"prompt {prompt}: cannot be read: {error}") from error
    raise ConfigError(
        f"prompt {shortened(prompt)} is neither a file nor one of {', '.join(BUILT_IN)}"
    )


@lru_cache(maxsize=128)
def uses(source: str, name: str) -> bool:
    """Whether a template reads one of the names it is given, say ``descriptors``.

    Raises:
        ConfigError: if it is no template.
    """
    try:
        return name in meta.find_undeclared_variables(_ENVIRONMENT.parse(source))
    except TemplateError as error:
        raise ConfigError(f"the prompt template cannot be filled: {error}") from error


@lru_cache(maxsize=32)
def _compiled(source: str) -> Template:
    return _ENVIRONMENT.compiled(source)


def fill_template(
    source: str,
    labels: LabelSet,
    *,
    transcript: str | None = None,
    context: Sequence[str] = (),
    fixed_sentences: bool = False,
    candidate: str | None = None,
    descriptors: Descriptors | None = None,
    examples: Sequence[Example] = (),
    options: Sequence[Option] = (),
    scale: Scale | None = None,
) -> str:
    """The text of the user's turn for one utterance.

    Args:
        source: a template's text, see :func:`template_source`.
        labels: the labels the model may answer with, in the order it is asked for.
        transcript: what was said; the built-in prompts leave it out for fixed sentences.
        context: previous turns, oldest first.
        fixed_sentences: whether the corpus is acted with fixed sentences.
        candidate: the distribution to be judged, as text; only for ``verify``.
        descriptors: how the clip sounds; for templates that use them.
        examples: solved ones, for templates that use them.
        options: of a closed form; none for all labels in the usual order.
        scale: that attributes are asked on: ``low`` and ``high`` for templates about them.

    Raises:
        ConfigError: if the template does not compile, uses a name or descriptors that are not given
            here, or makes of a value what cannot be made of it.
    """
    if descriptors is None and uses(source, "descriptors"):
        raise ConfigError("the prompt template uses descriptors, and the clip was not measured")
    return render(
        source,
        labels=list(labels.names),
        transcript=transcript,
        context=list(context),
        fixed_sentences=fixed_sentences,
        candidate=candidate,
        descriptors=descriptors,
        examples=list(examples),
        options=options or (lettered(labels) if uses(source, "options") else ()),
        **({} if scale is None else {"low": f"{scale[0]:g}", "high": f"{scale[1]:g}"}),
    )


def render(source: str, **values: object) -> str:
    """A template filled with values by their names, without outer blanks.

    Raises:
        TemplateValueError: if it uses a name that is not given, or makes of a value what cannot be
            made of it.
        ConfigError: if it does not compile.
    """
    try:
        return rendered(_compiled(source), **values).strip()
    # Filters raise what Python raises, as "%.0f" does for None.
    except (
        *(TemplateError, TypeError, ValueError, ArithmeticError, LookupError, RecursionError),
    ) as error:
        raise TemplateValueError(f"the prompt template cannot be filled: {error}") from error


def check_template(
    source: str,
    labels: LabelSet,
    *,
    fixed_sentences: bool = False,
    candidate: str | None = None,
    examples: Sequence[Example] = (),
    scale: Scale | None = None,
) -> None:
    """Fill a template with what utterances may be like, before there is one.

    Args:
        source: a template's text.
        labels: of the run.
        fixed_sentences: of the corpus.
        candidate: for templates that judge one.
        examples: solved ones.
        scale: for templates about attributes.

    Raises:
        ConfigError: if it cannot be filled, or does not show the examples that there are.
    """
    if examples and not uses(source, "examples"):
        raise ConfigError("there are examples, and the prompt template does not use them")
    clips = (_HEARD, _SILENT) if uses(source, "descriptors") else (None,)
    for transcript in ("Well.", None):
        for descriptors in clips:
            fill_template(
                source,
                labels,
                transcript=transcript,
                context=() if transcript is None else ("And?",),
                fixed_sentences=fixed_sentences,
                candidate=candidate,
                descriptors=descriptors,
                examples=examples,
                scale=scale,
            )


# What a clip's measurements may be: all there, or next to none.
_HEARD = Descriptors(2.4, 1.6, 182.0, 140.0, 262.0, -21.4, 17.5, 5.1, 2, 0.8)
_SILENT = Descriptors(1.0, 0.0, None, None, None, None, None, None, 0, 0.0)


def render_prompt(
    prompt: str,
    labels: LabelSet,
    *,
    transcript: str | None = None,
    context: Sequence[str] = (),
    fixed_sentences: bool = False,
    candidate: str | None = None,
    descriptors: Descriptors | None = None,
    examples: Sequence[Example] = (),
    options: Sequence[Option] = (),
) -> str:
    """:func:`fill_template` for a built-in prompt name or a template file."""
    return fill_template(
        template_source(prompt),
        labels,
        transcript=transcript,
        context=context,
        fixed_sentences=fixed_sentences,
        candidate=candidate,
        descriptors=descriptors,
        examples=examples,
        options=options,
    )
