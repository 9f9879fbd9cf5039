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


@lru_cache(maxsize=32)
def load_template(prompt: str) -> Template:
    """The template of a built-in prompt name, or of a user's file.

    Args:
        prompt: one of :data:`BUILT_IN`, or the path of a Jinja template.

    Raises:
        ConfigError: if it is neither, or the template does not compile.
    """
    if prompt in BUILT_IN:
        source = (resources.files(__name__) / f"{prompt}.jinja").read_text(encoding="utf-8")
    elif Path(prompt).is_file():
        source = Path(prompt).read_text(encoding="utf-8")
    else:
        raise ConfigError(
            f"prompt {prompt!r} is neither a file nor one of {', '.join(BUILT_IN)}"
        )
    try:
        return _ENVIRONMENT.from_string(source)
    except TemplateError as error:
        raise ConfigError(f"prompt {prompt!r} does not compile: {error}") from error


def render_prompt(
    prompt: str,
    labels: LabelSet,
    *,
    transcript: str | None = None,
    context: Sequence[str] = (),
    fixed_sentences: bool = False,
    candidate: str | None = None,
) -> str:
    """The text of the user's turn for one utterance.

    Args:
        prompt: a built-in name or a template file, see :func:`load_template`.
        transcript: what was said; left out of the prompt if None or ``fixed_sentences``.
        context: previous turns, oldest first.
        candidate: the distribution to be judged, as text; only for ``verify``.

    Raises:
        ConfigError: if the template does not compile or uses a name that is not given here.
    """
    try:
        return load_template(prompt).render(
            labels=list(labels.names),
            transcript=transcript,
            context=list(context),
            fixed_sentences=fixed_sentences,
            candidate=candidate,
        ).strip()
    except TemplateError as error:
        raise ConfigError(f"prompt {prompt!r} cannot be filled: {error}") from error
