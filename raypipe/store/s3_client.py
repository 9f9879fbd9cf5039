"""boto3's clients of object storage."""

from __future__ import annotations

import os
from functools import lru_cache
from typing import Any

import boto3
from botocore.config import Config

from raypipe.errors import StoreError

# What decides which account and place a client talks to; another value needs another client.
_ENVIRONMENT = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_PROFILE",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
)


def s3_client(endpoint: str | None, tries: int, reply_s: float) -> Any:
    """A client for the credentials that the environment has now.

    Args:
        endpoint: URL of an S3-compatible server; None for the cloud's own.
        tries: of one request.
        reply_s: seconds that each may be without an answer.

    Raises:
        StoreError: if a key holds what no key has.
    """
    identity = tuple(os.environ.get(name) for name in _ENVIRONMENT)
    return _client(endpoint, identity, os.getpid(), tries, reply_s)


def region() -> str:
    """The region that the environment names; any will do for another server than the cloud's."""
    return os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"


@lru_cache(maxsize=16)
def _client(
    endpoint: str | None,
    identity: tuple[str | None, ...],
    process: int,
    tries: int,
    reply_s: float,
) -> Any:
    """One client per endpoint, identity and process: threads may share it, forks may not."""
    session = boto3.session.Session()
    _check_credentials(session)
    return session.client(
        "s3",
        endpoint_url=endpoint,
        region_name=region(),
        config=Config(
            s3={"addressing_style": "path" if endpoint else "auto"},
            retries={"mode": "standard", "total_max_attempts": tries},
            connect_timeout=5,
            read_timeout=reply_s,
            max_pool_connections=32,
        ),
    )


def _check_credentials(session: boto3.session.Session) -> None:
    """Refuse keys with a line break or the like, which a file leaves at their end.

    What sends them would repeat them in its error.
    """
    credentials = session.get_credentials()
    if credentials is None:
        return
    frozen = credentials.get_frozen_credentials()
    for name, value in (
        ("AWS_ACCESS_KEY_ID", frozen.access_key),
        ("AWS_SECRET_ACCESS_KEY", frozen.secret_key),
        ("AWS_SESSION_TOKEN", frozen.token),
    ):
        if value and not (value.isascii() and value.isprintable() and " " not in value):
            raise StoreError(
                f"{name} ({credentials.method}) holds a line break, a blank or another character "
                "that no key has; it is not repeated here"
            )
