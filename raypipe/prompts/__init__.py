"""Prompt templates and what fills them.

Each built-in prompt is a Jinja template in this folder; a user's own file takes its place by path.
Templates see ``labels`` (list of names), ``transcript`` (text or None), ``context`` (list of
previous turns) and ``fixed_sentences`` (the corpus is acted with fixed sentences, so its words
carry no emotion and the task speaks of the audio alone). ``verify`` also sees ``candidate``.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from importlib import resources
from pathlib import Path

from jinja2 import StrictUndefined, Template, TemplateError
from jinja2.sandbox import SandboxedEnvironment

from raypipe.errors import ConfigError
from raypipe.labels import LabelSet

BUILT_IN = ("distribution", "distribution+cot", "ambiguous", "single", "verify")

_ENVIRONMENT = SandboxedEnvironment(undefined=StrictUndefined, trim_blocks=True)


def template_source(prompt: str) -> str:
    """The text of a built-in prompt's template, or of a user's file.

    Args:
        prompt: one of :data:`BUILT_IN`, or the path of a Jinja template.

    Raises:
        ConfigError: if it is neither.
    """
    if prompt in BUILT_IN:
        return (resources.files(__name__) / f"{prompt}.jinja").read_text(encoding="utf-8")
    if Path(prompt).is_file():
        return Path(prompt).read_text(encoding="utf-8")
    raise ConfigError(f"prompt {prompt!r} is neither a file nor one of {', '.join(BUILT_IN)}")


@lru_cache(maxsize=32)
def _compiled(source: str) -> Template:
    return _ENVIRONMENT.from_string(source)


def fill_template(
    source: str,
    labels: LabelSet,
    *,
    transcript: str | None = None,
    context: Sequence[str] = (),
    fixed_sentences: bool = False,
    candidate: str | None = None,
) -> str:
    """The text of the user's turn for one utterance.

    Args:
        source: a template's text, see :func:`template_source`.
        labels: the labels the model may answer with, in the order it is asked for.
        transcript: what was said; the built-in prompts leave it out for fixed sentences.
        context: previous turns, oldest first.
        fixed_sentences: whether the corpus is acted with fixed sentences.
        candidate: the distribution to be judged, as text; only for ``verify``.

    Raises:
        ConfigError: if the template does not compile or uses a name that is not given here.
    """
    try:
        return (
            _compiled(source)
            .render(
                labels=list(labels.names),
                transcript=transcript,
                context=list(context),
                fixed_sentences=fixed_sentences,
                candidate=candidate,
            )
            .strip()
        )
    except TemplateError as error:
        raise ConfigError(f"the prompt template cannot be filled: {error}") from error


def render_prompt(
    prompt: str,
    labels: LabelSet,
    *,
    transcript: str | None = None,
    context: Sequence[str] = (),
    fixed_sentences: bool = False,
    candidate: str | None = None,
) -> str:
    """:func:`fill_template` for a built-in prompt name or a template file."""
    return fill_template(
        template_source(prompt),
        labels,
        transcript=transcript,
        context=context,
        fixed_sentences=fixed_sentences,
        candidate=candidate,
    )
