"""Names and amounts as Kubernetes takes them, checked before a cluster sees them.

The rules are Kubernetes' own: labels of RFC 1123 and 1035, qualified names, amounts.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator

_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_PART = r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?"
_LONGEST_LABEL = 63
_LONGEST_SUBDOMAIN = 253
# A RayJob's name becomes part of the names of its pods and services.
_LONGEST_JOB = 47
_QUANTITY = re.compile(r"([0-9]{1,19}(?:\.[0-9]{1,9})?)(m|k|[KMGTPE]i?)?")
_THOUSANDTH = Fraction(1, 1000)
_UNITS = {
    **{unit: 1000**power for power, unit in enumerate(("", "k", "M", "G", "T", "P", "E"))},
    **{f"{unit}i": 1024**power for power, unit in enumerate("KMGTPE", start=1)},
    "m": _THOUSANDTH,
}
_MOST_CPUS = 10_000
_FEWEST_BYTES, _MOST_BYTES = 1 << 20, 1 << 60
_LARGEST_PORT = 65_535
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_REPOSITORY = re.compile(
    r"[a-z0-9]+([.-][a-z0-9]+)*(:[0-9]{1,5})?(/[a-z0-9]+((\.|__?|-+)[a-z0-9]+)*)*"
)
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_ADDRESS = re.compile(rf"({_LABEL})(\.{_LABEL})*:[0-9]{{1,5}}")
_FOLDER = re.compile(r"(/[A-Za-z0-9_][A-Za-z0-9_.-]*)+")
_HUB_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*/[A-Za-z0-9_][A-Za-z0-9_.-]*")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_ARCHIVE = re.compile(r"(s3|https)://[A-Za-z0-9._~/-]+\.zip")


def _job_name(text: str) -> str:
    if len(text) > _LONGEST_JOB or not re.fullmatch(_LABEL, text) or not text[0].isalpha():
        raise ValueError(
            "a RayJob's name has lower-case letters, digits and '-', begins with a letter and has "
            f"{_LONGEST_JOB} characters at most"
        )
    return text


def _label(text: str) -> str:
    if len(text) > _LONGEST_LABEL or not re.fullmatch(_LABEL, text):
        raise ValueError(
            f"has lower-case letters, digits and '-' inside, {_LONGEST_LABEL} characters at most"
        )
    return text


def _subdomain(text: str) -> str:
    if len(text) > _LONGEST_SUBDOMAIN or not re.fullmatch(rf"{_LABEL}(\.{_LABEL})*", text):
        raise ValueError(
            "is no name of a Kubernetes object: lower-case letters, digits, '-' and '.' inside, "
            f"{_LONGEST_SUBDOMAIN} characters at most"
        )
    return text


def _qualified_name(text: str) -> str:
    prefix, slash, name = text.rpartition("/")
    if slash:
        _subdomain(prefix)
    if len(name) > _LONGEST_LABEL or not re.fullmatch(_PART, name):
        raise ValueError("is no key of a Kubernetes label, such as nvidia.com/gpu.product")
    return text


def _extended_resource(text: str) -> str:
    """Kubernetes' own rule: without it a name would be another resource's, or nobody's."""
    prefix, _, _ = text.rpartition("/")
    if not prefix or "kubernetes.io/" in text or text.startswith("requests."):
        raise ValueError(
            "is no name of an extended resource, such as nvidia.com/gpu: a domain, other than "
            "kubernetes.io and not beginning with 'requests.', a '/' and a name"
        )
    return _qualified_name(text)


def _label_value(text: str) -> str:
    if len(text) > _LONGEST_LABEL or (text and not re.fullmatch(_PART, text)):
        raise ValueError(
            f"is no value of a Kubernetes label: letters, digits, and '-', '_', '.' inside, "
            f"{_LONGEST_LABEL} characters at most"
        )
    return text


def _number_as_text(value: object) -> object:
    """A quantity as YAML reads it: ``cpus: 4`` is a number there."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return str(value) if is_number else value


def amount(text: str) -> Fraction:
    """The number that a quantity stands for.

    Raises:
        ValueError: if it is none above zero.
    """
    found = _QUANTITY.fullmatch(text)
    number = Fraction(found[1]) * _UNITS[found[2] or ""] if found else Fraction(0)
    if number <= 0:
        raise ValueError("is no amount that Kubernetes takes, such as 4, 500m or 16Gi")
    return number


def _cpu_amount(text: str) -> str:
    thousandths = amount(text) / _THOUSANDTH
    if not re.fullmatch(r"[0-9.]+m?", text):
        raise ValueError("is no number of CPUs")
    if thousandths.denominator != 1 or thousandths > _MOST_CPUS / _THOUSANDTH:
        raise ValueError(f"is no number of CPUs in whole thousandths up to {_MOST_CPUS}")
    return text


def _byte_amount(text: str) -> str:
    if not _FEWEST_BYTES <= amount(text) <= _MOST_BYTES:
        raise ValueError("is no number of bytes from 1Mi to 1Ei")
    return text


def _with_port(text: str) -> str:
    port = re.search(r":([0-9]+)(/|$)", text)
    if port is not None and not 1 <= int(port[1]) <= _LARGEST_PORT:
        raise ValueError(f"its port is none from 1 to {_LARGEST_PORT}")
    return text


def _matches(pattern: re.Pattern[str], what: str) -> AfterValidator:
    def check(text: str) -> str:
        if not pattern.fullmatch(text):
            raise ValueError(f"is no {what}")
        return text

    return AfterValidator(check)


JobName = Annotated[str, AfterValidator(_job_name)]
"""Name of a RayJob: an RFC 1035 label, 47 characters at most."""
Label = Annotated[str, AfterValidator(_label)]
"""Name of a namespace or of a group of workers: an RFC 1123 label."""
ObjectName = Annotated[str, AfterValidator(_subdomain)]
"""Name of a secret, a claim, an account: an RFC 1123 subdomain."""
QualifiedName = Annotated[str, AfterValidator(_qualified_name)]
"""Key of a label or taint."""
ExtendedResource = Annotated[str, AfterValidator(_extended_resource)]
"""Name of what a device plug-in offers: a domain and a name."""
LabelValue = Annotated[str, AfterValidator(_label_value)]
"""Value of a label or taint."""
ByteAmount = Annotated[str, BeforeValidator(_number_as_text), AfterValidator(_byte_amount)]
"""Number of bytes, from 1Mi to 1Ei."""
CpuAmount = Annotated[str, BeforeValidator(_number_as_text), AfterValidator(_cpu_amount)]
"""Number of CPUs above zero, whole, with a fraction, or in thousandths."""
Variable = Annotated[str, _matches(_VARIABLE, "name of an environment variable")]
"""Name of an environment variable."""
SecretKey = Annotated[str, _matches(re.compile(r"[-._A-Za-z0-9]{1,253}"), "key of a secret")]
"""Key in a secret's data."""
Repository = Annotated[
    str,
    _matches(_REPOSITORY, "name of an image, such as registry/raypipe"),
    AfterValidator(_with_port),
]
"""Name of an image without tag and digest."""
Tag = Annotated[str, _matches(_TAG, "tag of an image")]
"""Tag of an image."""
Digest = Annotated[str, _matches(_DIGEST, "digest of an image: sha256: and 64 hex digits")]
"""Digest of an image."""
Address = Annotated[
    str, _matches(_ADDRESS, "address of a server, such as redis:6379"), AfterValidator(_with_port)
]
"""Host and port."""
MountPath = Annotated[str, _matches(_FOLDER, "absolute path of a folder, such as /models/mine")]
"""Absolute path in a container."""
HubId = Annotated[str, _matches(_HUB_ID, "id of a repository on the hub, such as owner/model")]
"""Repository of a model hub."""
Commit = Annotated[str, _matches(_COMMIT, "commit of 40 hex digits")]
"""Full id of a commit."""
Archive = Annotated[str, _matches(_ARCHIVE, "s3:// or https:// address of a .zip")]
"""Address of an archive that Ray, with what the image has, fetches and unpacks for the job."""
