"""Files of a hub id, and what to tell where the hub does not give them: one line, what to do."""

from __future__ import annotations

import difflib
import os
import re
from pathlib import Path

from raypipe.engines.families import FAMILIES
from raypipe.errors import ConfigError, without_user

# Before its first request of a day the hub's client asks the hub which agents there are, to name
# one, and waits 3 s for the answer. Set before it is imported, and only where nobody else did.
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

PATIENCE_S = 3.0
"""Longest wait for an answer of the hub, before a run starts."""

_FIRST = "config.json"
"""The file that is asked for first: it is the least that every checkpoint has."""

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?")


class HubFiles:
    """Files of a repository of the hub, which answers.

    Args:
        repository: its hub id.
        revision: commit, tag or branch; None for the newest.

    Attributes:
        where: what its files stand in, in words.
        names: of its files.

    Raises:
        ConfigError: if the hub does not list them.
    """

    def __init__(self, repository: str, revision: str | None) -> None:
        self._repository, self._revision = repository, revision
        self.where = "its repository on the hub"
        self._sizes = _listed(repository, revision)
        self.names = frozenset(self._sizes)

    def size(self, name: str) -> int | None:
        """Bytes of a file; None where there is none, or the hub does not say."""
        return self._sizes.get(name)

    def file(self, name: str) -> Path:
        """A file on this machine, fetched if need be; for small ones.

        Raises:
            ConfigError: if the hub does not give it.
        """
        from huggingface_hub import hf_hub_download

        try:
            return Path(hf_hub_download(self._repository, name, revision=self._revision))
        except _failures() as error:
            raise ConfigError(f"{name}: {why_not(error, self._repository)}") from error

    def on_this_machine(self, name: str) -> Path | None:
        """A file that is in the cache already."""
        from huggingface_hub import try_to_load_from_cache

        found = try_to_load_from_cache(self._repository, name, revision=self._revision)
        return Path(found) if isinstance(found, str) else None


def is_hub_id(path: str) -> bool:
    """Whether a path can be the id of a repository of the hub.

    Example:
        >>> is_hub_id("Qwen/Qwen2-Audio-7B-Instruct"), is_hub_id("./models/mine")
        (True, False)
    """
    return _HUB_ID.fullmatch(path) is not None and "--" not in path and ".." not in path


def why_not(error: BaseException, repository: str) -> str:
    """What a failure of the hub means and what to do, in one line.

    The type of the error decides, and no text of it is repeated.
    """
    from huggingface_hub import errors, get_token, is_offline_mode

    has_token = get_token() is not None
    if isinstance(error, errors.GatedRepoError):
        accept = f"gated: accept its licence at {_address()}/{repository} and "
        return accept + ("give HF_TOKEN of that account" if has_token else "set HF_TOKEN")
    if isinstance(error, errors.RevisionNotFoundError):
        return "its revision is not found on the hub; correct model.revision"
    if isinstance(error, errors.RepositoryNotFoundError):
        near = _known_as(repository)
        spelling = f"did you mean {near}?" if near else "check the spelling."
        private = "Is HF_TOKEN one that may read it?" if has_token else "If private, set HF_TOKEN"
        return f"no such folder here, and not found on the hub: {spelling} {private}"
    if isinstance(error, errors.DisabledRepoError):
        return "the hub has disabled this repository"
    if isinstance(error, errors.OfflineModeIsEnabled) or is_offline_mode():
        return (
            "no such folder here, not in the cache, and HF_HUB_OFFLINE forbids to ask the hub; "
            f"fetch it once without (hf download {repository})"
        )
    if isinstance(error, errors.HfHubHTTPError):
        status = error.response.status_code
        if status == 401:
            return "the hub refuses the token that is set (HF_TOKEN, or hf auth login)"
        return f"the hub ({_address()}) answers with status {status}; try again later"
    if isinstance(error, errors.EntryNotFoundError):
        return "not in the cache, and the hub has no such file"
    return (
        f"no such folder here, and no network: {_address()} does not answer, and the model is not "
        f"in the cache; fetch it where there is one (hf download {repository}), or give a folder"
    )


def cached_instead(repository: str, revision: str | None) -> Path | None:
    """The folder of the cached files of a repository that the hub does not give.

    Returns:
        None if the hub gives them.

    Raises:
        ConfigError: if they are not in the cache: gated, missing, private, or no network.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url
    from huggingface_hub.errors import EntryNotFoundError, RemoteEntryNotFoundError

    url = hf_hub_url(repository, _FIRST, revision=revision)
    try:
        # Once: a run that cannot begin says so at once.
        get_hf_file_metadata(url, timeout=PATIENCE_S, retry_on_errors=False)
        return None
    except RemoteEntryNotFoundError:
        return None  # without it; the listing tells what else there is
    except _failures() as error:
        # Of the hub's errors, missing network and offline mode alike: it may be in the cache.
        failure = error
    try:
        cached = hf_hub_download(repository, _FIRST, revision=revision, local_files_only=True)
    except EntryNotFoundError:
        raise ConfigError(why_not(failure, repository)) from failure
    return Path(cached).parent


def _listed(repository: str, revision: str | None) -> dict[str, int | None]:
    """Names and sizes of a repository's files.

    Raises:
        ConfigError: if the hub does not tell.
    """
    from huggingface_hub import HfApi

    try:
        told = HfApi().model_info(
            repository, revision=revision, timeout=PATIENCE_S, files_metadata=True
        )
    except _failures() as error:
        raise ConfigError(why_not(error, repository)) from error
    except ValueError as error:  # no JSON, with status 200
        raise ConfigError(
            f"{_address()} answers, but not as the hub does: is it a proxy, or a portal?"
        ) from error
    return {file.rfilename: file.size for file in told.siblings or ()}


def _failures() -> tuple[type[Exception], ...]:
    """What asking the hub can raise: its own errors, the HTTP client's, the system's."""
    from huggingface_hub import errors

    client: type[Exception] = errors.HTTPError  # type: ignore[attr-defined]  # whichever it uses
    return (errors.EntryNotFoundError, client, OSError)


def _address() -> str:
    from huggingface_hub import constants

    return without_user(constants.ENDPOINT)


def _known_as(repository: str) -> str | None:
    """The published checkpoint whose name is nearest."""
    published = [each.name for family in FAMILIES for each in family.published]
    names = [name for name in published if name != repository]
    near = difflib.get_close_matches(repository, ["tiny-alm", *names], n=1, cutoff=0.8)
    return near[0] if near else None
