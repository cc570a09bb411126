"""Signed addresses: whoever has one may fetch one variant of one picture, until it expires.

    BASE/pictures/RECORD/VARIANT?v=1&kid=KEY&exp=SECONDS&sig=HMAC

Source: reliability.md section 8. Invariant: every part of the address but the fragment is signed
or fixed, so an address is exactly what was given out or it is refused, before anything is looked
up; one method, one host, no further parameter.
"""

import base64
import hashlib
import hmac
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

from heliograph.errors import ConfigurationError, InvalidRequest, Problem
from heliograph.server.faults import Forbidden, Gone

VERSION = "1"
LONGEST = 7 * 86400  # seconds
SIGNATURE = "sig"  # the parameter by which an address is known to be signed; logs hide it
RECORD = re.compile(r"[0-9a-f]{32}", re.ASCII)
_DOMAIN = "heliograph picture link"  # a signature for anything else never fits here
_QUERY = re.compile(
    r"v=1&kid=([A-Za-z0-9_-]{1,64})&exp=([1-9][0-9]{0,11})&sig=([A-Za-z0-9_-]{43})", re.ASCII
)


class SigningKeys(Protocol):
    """The keys of links: the first one signs, all of them verify."""

    @property
    def signing(self) -> Sequence[tuple[str, bytes]]:
        """Ids and keys."""


class LinkSettings(Protocol):
    """What an operator says of links."""

    @property
    def server_link_life(self) -> float:
        """Seconds."""

    @property
    def server_url(self) -> str | None:
        """How clients reach the gateway."""


class Signer(Protocol):
    """What of the gateway is needed here."""

    @property
    def secrets(self) -> SigningKeys: ...

    @property
    def settings(self) -> LinkSettings: ...


@dataclass(frozen=True, kw_only=True)
class Target:
    """What one address is good for."""

    record: str  # whole id
    variant: str  # all of the path behind it
    method: str = "GET"
    host: str  # with its port where that is not the scheme's own

    def sign(self, expiry: str, key_id: str, key: bytes) -> str:
        """The signature, as it stands in the address."""
        # no part can hold a line break, so no two sets of parts give the same text
        parts = (_DOMAIN, VERSION, self.method, self.host, self.record, self.variant)
        text = "\n".join((*parts, expiry, key_id))
        made = hmac.new(key, text.encode(), hashlib.sha256).digest()
        return base64.urlsafe_b64encode(made).rstrip(b"=").decode()


def signed_url(
    gateway: Signer,
    record_id: str,
    variant: str,
    *,
    seconds: float | None = None,
    base: str,
    method: str = "GET",
    now: float | None = None,
) -> str:
    """An address that needs no key. Who may have it is for the caller to decide.

    Args:
        record_id: whole id of a record.
        variant: as in its path, such as "original" or "preview.jpg".
        seconds: how long it is good; None means as set (`server_link_life`), 7 days at most.
        base: how clients reach the gateway: `https://images.example.com/helio`.
        method: "GET", or "HEAD" for an address that only tells about the picture.
        now: seconds since the epoch, when the clock is not to be asked.

    Raises:
        InvalidRequest: the life, the id or the variant is none.
        ConfigurationError: the gateway has no signing key.
    """
    life = gateway.settings.server_link_life if seconds is None else seconds
    if isinstance(life, bool) or not 1 <= life <= LONGEST:
        raise _wrong("seconds", str(life), f"must be from 1 to {LONGEST}")
    if not RECORD.fullmatch(record_id):
        raise _wrong("record", record_id[:80], "is no whole id of a record")
    if not re.fullmatch(r"[A-Za-z0-9_./-]{1,80}", variant, re.ASCII):
        raise _wrong("variant", variant[:80], "is no variant of a picture")
    if not gateway.secrets.signing:
        raise ConfigurationError(
            "The gateway has no key to sign links with.",
            remedy="Start it with its folder of secrets (`server_secrets`).",
        )
    key_id, key = gateway.secrets.signing[0]
    target = Target(record=record_id, variant=variant, method=method, host=host_of(base))
    expiry = str(int((time.time() if now is None else now) + life))
    signature = target.sign(expiry, key_id, key)
    query = f"v={VERSION}&kid={key_id}&exp={expiry}&{SIGNATURE}={signature}"
    return f"{base.rstrip('/')}/pictures/{record_id}/{variant}?{query}"


def check_link(gateway: Signer, target: Target, query: str, *, now: float | None = None) -> None:
    """Look whether an address was given out and is still good.

    Args:
        target: what the request asks for.
        query: its parameters, as they came.

    Raises:
        Forbidden: it was not given out like this.
        Gone: it has expired.
    """
    found = _QUERY.fullmatch(query)
    if found is None:
        raise _forged()
    key_id, expiry, signature = found.groups()
    key = next((key for name, key in gateway.secrets.signing if name == key_id), None)
    if key is None or not key:
        raise _forged()
    expected = target.sign(expiry, key_id, key)
    if not hmac.compare_digest(expected.encode(), signature.encode()):
        raise _forged()
    if (time.time() if now is None else now) >= int(expiry):
        raise Gone(
            "This link has expired.",
            remedy="Ask whoever gave it to you for a new one.",
        )


def host_of(base: str) -> str:
    """The host of an address, as links are bound to it."""
    parts = urlsplit(base)
    usual = {"http": ":80", "https": ":443"}.get(parts.scheme, "")
    return parts.netloc.lower().removesuffix(usual) if usual else parts.netloc.lower()


def _forged() -> Forbidden:
    return Forbidden(
        "This link is not good.",
        why="Its signature does not belong to this address.",
        remedy="Use it exactly as it was given to you, or ask for a new one.",
    )


def _wrong(field: str, value: str, message: str) -> InvalidRequest:
    return InvalidRequest([Problem(field=field, value=value, message=f"{message}.")])
