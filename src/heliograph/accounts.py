"""Who may use a gateway: users, their keys, and what each may do.

Pure nouns and rules; `ports.Accounts` keeps them. Invariant: the text of a key exists only where
it was made and at its owner's; what is kept is its public id and a digest that a stolen database
is of no use to.

    helio_live_ + 43 characters (32 random bytes, base 62) + 6 characters (CRC-32 of all before)
"""

import hashlib
import hmac
import re
import secrets
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

PREFIX = "helio_live_"
RANDOM_BYTES = 32
RANDOM_LENGTH = 43  # characters of base 62 that hold 32 bytes
CHECK_LENGTH = 6  # characters of base 62 that hold 32 bits
ID_LENGTH = 8  # characters of a key that name it
ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_KEY = re.compile(rf"{PREFIX}[0-9A-Za-z]{{{RANDOM_LENGTH + CHECK_LENGTH}}}", re.ASCII)


class Role(Enum):
    """What a user is to the gateway."""

    ADMIN = "admin"  # everything, other users' things included
    MEMBER = "member"  # makes, finds and manages own things
    VIEWER = "viewer"  # finds own things


class Scope(Enum):
    """What a key may be used for; never more than its user's role allows."""

    GENERATE = "generate"  # calls that cost money
    READ = "read"  # images, jobs, sessions, costs
    MANAGE = "manage"  # trash, names, casts, prompts, webhooks
    ADMIN = "admin"  # users, keys, budgets, everybody's things


SCOPES: dict[Role, frozenset[Scope]] = {
    Role.ADMIN: frozenset(Scope),
    Role.MEMBER: frozenset({Scope.GENERATE, Scope.READ, Scope.MANAGE}),
    Role.VIEWER: frozenset({Scope.READ}),
}


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much at a time; None sets no limit of its own."""

    per_minute: int | None = None  # requests in any 60 s
    at_once: int | None = None  # calls under way


@dataclass(frozen=True, kw_only=True)
class User:
    """One person or service."""

    id: str  # 32 hexadecimal digits
    name: str  # unique, ignoring case
    role: Role
    created: datetime  # UTC
    changed: datetime  # UTC
    disabled: bool = False
    limits: Limits = field(default_factory=Limits)
    version: int = 1  # grows by one with each change


@dataclass(frozen=True, kw_only=True)
class ApiKey:
    """One key, without its text."""

    id: str  # the first 8 random characters of its text
    user: str  # id
    name: str  # what its owner calls it
    digest: str  # of its text, see `digest`
    scopes: tuple[Scope, ...]
    created: datetime  # UTC
    expires: datetime | None = None  # UTC
    revoked: datetime | None = None  # UTC; for good
    last_used: datetime | None = None  # UTC, to the minute
    limits: Limits = field(default_factory=Limits)

    def is_good(self, now: datetime) -> bool:
        """Whether it is neither revoked nor expired."""
        return self.revoked is None and (self.expires is None or now < self.expires)


def new_key() -> str:
    """The text of a new key; shown once, to its owner."""
    body = PREFIX + _base62(int.from_bytes(secrets.token_bytes(RANDOM_BYTES)), RANDOM_LENGTH)
    return body + _check(body)


def key_id(text: str) -> str | None:
    """The public id in a key's text, or None when it cannot be a key: cheap, no lookup."""
    if not _KEY.fullmatch(text):
        return None
    body, check = text[:-CHECK_LENGTH], text[-CHECK_LENGTH:]
    if not hmac.compare_digest(check.encode(), _check(body).encode()):
        return None
    return text[len(PREFIX) :][:ID_LENGTH]


def digest(text: str, pepper: bytes) -> str:
    """What is kept of a key: HMAC-SHA-256 under the server's pepper, hexadecimal.

    The text has 256 random bits, so no slow hash is needed.
    """
    return hmac.new(pepper, text.encode(), hashlib.sha256).hexdigest()


def is_same(text: str, kept: str, pepper: bytes) -> bool:
    """Whether a key's text belongs to a kept digest; takes the same time either way."""
    return hmac.compare_digest(digest(text, pepper).encode(), kept.encode())


def new_id() -> str:
    """An id with 128 random bits."""
    return secrets.token_hex(16)


def _check(body: str) -> str:
    return _base62(zlib.crc32(body.encode()), CHECK_LENGTH)


def _base62(number: int, length: int) -> str:
    letters = []
    for _ in range(length):
        number, rest = divmod(number, len(ALPHABET))
        letters.append(ALPHABET[rest])
    return "".join(reversed(letters))


def key_budgets(budgets: Mapping[str, int], key: str) -> Mapping[str, int]:
    """The budgets of one API key by the ending of their names: "", "/day", "/month".

    Args:
        budgets: all limits in micro-dollars, by name ("key/3fA81bQz/day").
    """
    name = f"key/{key}"
    return {
        budget.removeprefix(name): limit
        for budget, limit in budgets.items()
        if budget == name or budget.startswith(f"{name}/")
    }
