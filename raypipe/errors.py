"""Everything raypipe raises on purpose.

RaypipeError
├── ConfigError          a config, prompt file or command line is wrong; nothing has started
│   └── TemplateValueError a prompt template cannot be filled with some values
├── CorpusError          a corpus or manifest cannot be read as a whole
├── ShardError           one shard is missing, unreadable or not a shard
├── DecodeError          one clip is not usable audio
├── EngineError          one utterance cannot be answered by the model
│   ├── UnsupportedError the engine does not offer what was asked
│   ├── DeadEndError     the grammar leaves an answer no token to go on with
│   └── LostEngineError  an engine's process ends whatever it is asked
├── CallError            a worker's call came to nothing
│   └── ProcessEndedError and its process with it
├── StoreError           object storage refuses or does not keep its promises
│   ├── ObjectMissingError there is no object of that name
│   ├── OutsideError     a path or link of a corpus leads out of it
│   └── FingerprintError an output holds another run's results
├── ClusterError         Ray, or a process of it, fails for no reason of raypipe's own
├── StoppedError         a run ended early on purpose; the same command continues it
├── ErrorShareError      too many utterances failed for the rest to be believed
├── AccountingError      counts that must add up do not
└── RegistryError        a strategy, question or metric is declared wrongly or twice

One utterance's failure never travels as an exception between rooms: it is caught where it
happens and becomes a :class:`raypipe.records.Failure`.
"""

from __future__ import annotations

import difflib
import re
import signal
from collections.abc import Iterable
from typing import ClassVar, Final


class RaypipeError(Exception):
    """Base of every error raypipe raises on purpose."""


class ConfigError(RaypipeError):
    """A config, a prompt file or a command line is wrong; no work has started."""


class TemplateValueError(ConfigError):
    """A prompt template cannot be filled with some values.

    Tried before a run starts; in a run it is about an utterance, of which it makes a failure.
    """


class CorpusError(RaypipeError):
    """A corpus or a manifest cannot be read as a whole."""


class ShardError(RaypipeError):
    """One shard is missing, unreadable or not a shard."""


class DecodeError(RaypipeError):
    """One clip is not usable audio.

    Args:
        code: short stable name of the reason, e.g. ``"truncated"``; stored as ``error_type``.
        message: what is wrong, with the value found and the limit.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code

    def __reduce__(self) -> tuple[type[DecodeError], tuple[str, str]]:
        """How it is made anew in another process."""
        return type(self), (self.code, str(self))


class EngineError(RaypipeError):
    """One utterance cannot be answered by the model."""


class UnsupportedError(EngineError):
    """The engine does not offer what was asked."""


class DeadEndError(EngineError):
    """The grammar leaves an answer no token to go on with, and it may not end there."""


class LostEngineError(EngineError):
    """An engine's process ends while the model is loaded, or whatever it is asked."""


class CallError(RaypipeError):
    """A call of a worker raised what nobody foresaw; whatever it was about is to blame.

    Args:
        code: short stable name of the reason: the exception's, ``"process_died"``, ``"timeout"`` or
            ``"memory_limit"``; stored as ``error_type``.
        message: in words.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code

    def __reduce__(self) -> tuple[type[CallError], tuple[str, str]]:
        """How it is made anew in another process."""
        return type(self), (self.code, str(self))


class ProcessEndedError(CallError):
    """A worker's process died, or was killed as it took too long or too much; says how."""


class ProcessKilledError(ProcessEndedError):
    """A worker's process was killed by somebody else, as the kernel does where memory runs out."""


class StoreError(RaypipeError):
    """Object storage refuses, or does not keep the promises the commit needs."""


class ObjectMissingError(StoreError):
    """There is no object of that name."""


class OutsideError(StoreError):
    """A path or a link of a corpus leads to where nothing of it may be read."""


class FingerprintError(StoreError):
    """An output location already holds the results of a different run."""


class ClusterError(RaypipeError):
    """Ray, or a process of it, fails for no reason of raypipe's own; the same command continues."""


class StoppedError(RaypipeError):
    """A run ended early on purpose: what is done is committed, the same command continues.

    Raised for a spent budget or quota, or a key that the endpoint refuses.
    """


class ErrorShareError(RaypipeError):
    """So many utterances failed that something is broken, not they: a run ends with the reasons."""


class AccountingError(RaypipeError):
    """Counts that must add up do not: an utterance was lost or answered twice."""


class RegistryError(RaypipeError):
    """A strategy, a question, a metric or a setting is declared wrongly, or twice."""


class TerminatedError(KeyboardInterrupt):
    """SIGTERM, or a terminal that is gone: a job ends as by Ctrl-C, with another exit code.

    Attributes:
        signal: that made :func:`terminate` raise it since the command began; None if none did. Ray,
            where it is waiting, puts a KeyboardInterrupt in the place of any exception of a signal.
    """

    signal: ClassVar[int | None] = None


def exit_code() -> int:
    """Of a command that was told to stop, as shells count: 128 and the number of the signal."""
    return 128 + (TerminatedError.signal or signal.SIGINT)


def terminate(signal_number: int, frame: object) -> None:
    """What a command does at SIGTERM and SIGHUP.

    Raises:
        TerminatedError: always.
    """
    TerminatedError.signal = signal_number
    raise TerminatedError


def interruption(interrupt: KeyboardInterrupt) -> str:
    """What is told of a command that was told to stop."""
    return str(interrupt) or "stopped; the same command continues"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The known word that is nearest to a mistyped one, as a part of a message; empty if none is.

    Example:
        >>> did_you_mean("greedi", ["greedy", "bon"]), did_you_mean("x", ["greedy"])
        (", did you mean 'greedy'?", '')
    """
    nearest = difflib.get_close_matches(word, list(known), n=1)
    return f", did you mean {nearest[0]!r}?" if nearest else ""


_SECRET_NAME: Final = re.compile(
    r"(?i)(?:password|passwd|passphrase|secret"
    r"|(?:(?<![a-z])|(?<=api)|(?<=auth)|(?<=access))(?:token|key|signature|credential))"
    r"\w{0,20}[\"']?\s{0,9}[=:]"
)
_HIDDEN: Final = "***"


def without_user(text: str) -> str:
    """A text without the user and password of a server's address in it.

    A password may hold any character, so all is left out up to the last ``@``. Names of objects
    hold ``@``, too: of ``s3://`` it is the bucket alone.

    Example:
        >>> without_user("http://me:secret@host/x.wav"), without_user("s3://bucket/a@b.wav")
        ('http://***@host/x.wav', 's3://bucket/a@b.wav')
    """
    begin = 0
    while (scheme := text.find("://", begin)) >= 0:
        begin = scheme + len("://")
        is_s3 = text.endswith("s3", 0, scheme)
        slash = text.find("/", begin) if is_s3 else -1
        last = text.rfind("@", begin, slash if slash >= 0 else len(text))
        if last >= 0:
            text = f"{text[:begin]}{_HIDDEN}{text[last:]}"
            begin += len(_HIDDEN)
    return text


def without_secrets(text: str) -> str:
    """A value for a message, without what seems a password, a key or a token of somebody.

    Example:
        >>> without_secrets("password=letmein"), without_secrets("{'api_key': 'k'}")
        ('password=***', "{'api_key':***")
        >>> without_secrets("apiKey=k"), without_secrets("the monkey: see")
        ('apiKey=***', 'the monkey: see')
    """
    text = without_user(text)
    named = _SECRET_NAME.search(text)
    return text if named is None else f"{text[: named.end()]}{_HIDDEN}"


def unexpected(error: Exception) -> tuple[str, str]:
    """Error type and message of what nobody foresaw, for the row of the item that it came from."""
    text = " ".join(str(error).split())
    return type(error).__name__, f"unexpected {type(error).__name__}: {text}"
