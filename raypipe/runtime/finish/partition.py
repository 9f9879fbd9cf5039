"""Folders of a run's tables: the Hive partition of a model and a prompt."""

from __future__ import annotations

from urllib.parse import quote

ModelPrompt = tuple[str, str]
"""A model and a prompt, by their names in the tables."""


def partition(model: str, prompt: str) -> str:
    """The Hive partition path of a model and prompt.

    Readers decode percent signs in a value, and a slash would be a new folder.
    """
    return f"{model_folder(model)}/prompt={quote(prompt, safe=' +')}"


def model_folder(model: str) -> str:
    """The part of :func:`partition` that is the same for all prompts."""
    return f"model={quote(model, safe=' +')}"
