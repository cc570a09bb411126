"""Signatures of webhooks: made for each message, and checked by whoever receives one.

Source: the Standard Webhooks specification (headers `webhook-id`, `webhook-timestamp`,
`webhook-signature`). Invariant: a secret is derived from the server's own root and the webhook's
id, so it is stored nowhere; an empty root or secret signs and proves nothing.
"""

import base64
import binascii
import hashlib
import hmac
import json
import re
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from heliograph.errors import ConfigurationError
from heliograph.server.faults import Fault

PREFIX = "whsec_"
TOLERANCE = 300.0  # seconds by which the clocks of both sides may differ
_DOMAIN = b"heliograph webhook secret\n"
_SHORTEST = 24  # bytes of a secret, as the specification has it
_MOST_SIGNATURES = 10  # of one message, while secrets are exchanged
_EVENT = re.compile(r"[A-Za-z0-9_-]{1,100}", re.ASCII)
_TIMESTAMP = re.compile(r"[1-9][0-9]{0,11}", re.ASCII)


class Forged(Fault):
    """A message that does not come from where it says, not now, or not for the first time."""

    status = 401
    code = "webhook_rejected"


@dataclass(frozen=True, kw_only=True)
class Received:
    """A message that is genuine."""

    id: str  # of the event; the same when it is told again
    payload: Mapping[str, Any]
    is_repeat: bool  # the event was received before: acknowledge it, and do nothing more


class Memory:
    """What one receiver has received lately.

    Args:
        most: events and messages that are remembered; the oldest are forgotten first.
    """

    def __init__(self, most: int = 10_000) -> None:
        self._most = most
        self._messages: OrderedDict[str, None] = OrderedDict()
        self._events: OrderedDict[str, None] = OrderedDict()

    def has_message(self, message: str) -> bool:
        """Whether exactly this message came before; it is remembered from now on."""
        return self._note(self._messages, message)

    def has_event(self, event: str) -> bool:
        """Whether its event came before; it is remembered from now on."""
        return self._note(self._events, event)

    def _note(self, known: OrderedDict[str, None], name: str) -> bool:
        if name in known:
            return True
        known[name] = None
        if len(known) > self._most:
            known.popitem(last=False)
        return False


def secret_of(root: bytes, webhook_id: str) -> str:
    """The secret that its receiver is given.

    Raises:
        ConfigurationError: the server has no root for them.
    """
    if len(root) < _SHORTEST:
        raise ConfigurationError(
            "The gateway has no secret for webhooks.",
            remedy="Start it with its folder of secrets (`server_secrets`).",
        )
    made = hmac.new(root, _DOMAIN + webhook_id.encode(), hashlib.sha256).digest()
    return PREFIX + base64.b64encode(made).decode()


def signed_headers(secret: str, event_id: str, body: bytes, at: int) -> dict[str, str]:
    """The headers of one message.

    Args:
        at: seconds since the epoch.
    """
    return {
        "content-type": "application/json",
        "webhook-id": event_id,
        "webhook-timestamp": str(at),
        "webhook-signature": f"v1,{_signature(_key(secret), event_id, str(at), body)}",
    }


def verify(
    headers: Mapping[str, str],
    body: bytes,
    secret: str,
    *,
    memory: Memory,
    now: float | None = None,
) -> Received:
    """Check a message, on the side of its receiver.

    Args:
        headers: of the request, by name.
        body: its bytes, as they came.
        secret: `whsec_…`, as the gateway gave it.
        memory: kept from message to message.
        now: seconds since the epoch, when the clock is not to be asked.

    Raises:
        Forged: it is not genuine, too old or too new, or exactly this message came before.
    """
    given = {name.lower(): value for name, value in headers.items()}
    event, at = given.get("webhook-id", ""), given.get("webhook-timestamp", "")
    told = given.get("webhook-signature", "")
    key = _key(secret)
    if not _EVENT.fullmatch(event) or not _TIMESTAMP.fullmatch(at):
        raise _forged("It has no id or no time.")
    expected = f"v1,{_signature(key, event, at, body)}".encode()
    given_tags = told.split(" ")[:_MOST_SIGNATURES]
    # all are compared, so that time does not tell which one is close
    if not sum(hmac.compare_digest(expected, tag.encode("utf-8", "replace")) for tag in given_tags):
        raise _forged("Its signature is not that of the secret.")
    clock = time.time() if now is None else now
    if abs(clock - int(at)) > TOLERANCE:
        raise _forged("It was signed more than 5 minutes away from now.")
    try:
        payload = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise _forged("It is no JSON.") from error
    if not isinstance(payload, dict):
        raise _forged("It is no event.")
    if memory.has_message(f"{event} {at}"):
        raise _forged("Exactly this message came before.")
    return Received(id=event, payload=payload, is_repeat=memory.has_event(event))


def _key(secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError) as error:
        raise _forged("The secret is none.") from error
    if len(key) < _SHORTEST:
        raise _forged("The secret is empty or too short.")
    return key


def _signature(key: bytes, event_id: str, at: str, body: bytes) -> str:
    signed = b".".join((event_id.encode("utf-8", "replace"), at.encode(), body))
    return base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def _forged(why: str) -> Forged:
    return Forged("This message is refused.", why=why)
