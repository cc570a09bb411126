"""Who calls; invariant: a key is never kept or shown, only a short hash of it.

Errors and texts: shared facts section 5.2. The well-known test keys below make a whole project
behave badly without any rule.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from heliograph.emulator.envelope import ApiError
from heliograph.emulator.faults import errors

PROJECT_PREFIX = "emu-project-"

_CREDENTIAL_SHAPES: Mapping[str, Callable[[], ApiError]] = {
    "emu-leaked": errors.leaked,
    "emu-expired": errors.key_expired,
    "emu-blocked": errors.service_blocked,
    "emu-disabled": errors.service_disabled,
    "emu-location": errors.location,
}
# Keys whose project can look but not generate.
_QUOTA_SHAPES: Mapping[str, Callable[[str], ApiError]] = {
    "emu-depleted": lambda _: errors.depleted(),
    "emu-free-tier": errors.limit_zero,
}


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Who a key stands for."""

    project: str
    key_hash: str


def key_hash(key: str) -> str:
    """The first 12 hex characters of the key's SHA-256."""
    return hashlib.sha256(key.encode()).hexdigest()[:12]


def identify(key: str) -> Caller:
    """The project and hash of a key, whether or not it is good."""
    project = key.removeprefix(PROJECT_PREFIX) if key.startswith(PROJECT_PREFIX) else "default"
    return Caller(project=project, key_hash=key_hash(key))


def admit(key: str, accepted: tuple[str, ...]) -> Caller:
    """The caller behind a good key, or the error that Google would give a bad one."""
    if not key:
        raise errors.no_key()
    if shape := _CREDENTIAL_SHAPES.get(key):
        raise shape()
    if accepted and key not in accepted:
        raise errors.api_key_invalid()
    return identify(key)


def check_quota(key: str, model: str) -> None:
    """Raise the 429 of a key whose project has nothing left to spend."""
    if shape := _QUOTA_SHAPES.get(key):
        raise shape(model)
