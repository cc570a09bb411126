"""Who is calling: a key from one of five doors, checked before any byte of a body is read.

    Authorization: Bearer     OpenAI SDKs, and everybody else
    x-goog-api-key            google-genai
    x-api-key, api-key        other SDKs
    ?key=                     the Gemini face, where the operator allows it

Invariant: no key, a wrong one, a revoked and an expired one get the same answer; whatever lies
between the door and the answer takes the same steps, whether the key's id is known or not (S02).
What is remembered of a good key is found by its whole digest, and for less than a second.
"""

import asyncio
import logging
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from urllib.parse import parse_qs

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from heliograph.accounts import ApiKey, User, digest, is_same, key_id, new_id
from heliograph.errors import HeliographError
from heliograph.ports import Accounts
from heliograph.server.addresses import Addresses, block_of
from heliograph.server.caller import Caller
from heliograph.server.faults import AmbiguousCredentials, TooMany, Unauthenticated
from heliograph.server.rates import Rates

LOG = logging.getLogger("heliograph.server")
BEARER = b"bearer"
KEY_HEADERS = (b"x-goog-api-key", b"x-api-key", b"api-key")
LONGEST = 1000  # bytes of a credential that are looked at
REMEMBERED = 0.9  # seconds
LOOKS = 0.25  # seconds between looks at whether users or keys were changed
MOST = 10_000  # keys and addresses remembered
BAD_KEYS = 100  # per minute and address
TOUCH = 60.0  # seconds
CHALLENGE = "Bearer"
DUMMY = "0" * 64  # a digest that no key has, for ids that nobody has

GEMINI = ("/v1/", "/v1beta/", "/upload/", "/gemini/")
OPEN = frozenset({"/healthz", "/readyz"})
PICTURES, SIGNATURE = "/pictures/", b"sig"
UPLOADS, UPLOAD_ID = ("/upload/", "/gemini/upload/"), b"upload_id"

Render = Callable[[HeliographError, Scope], Response]
IsOpen = Callable[[Scope], bool]


@dataclass(frozen=True, kw_only=True)
class _Known:
    """A key that was good a moment ago."""

    user: User
    key: ApiKey
    until: float  # monotonic


class Doorkeeper:
    """Tells who calls.

    Args:
        pepper: of the gateway's secrets; see `accounts.digest`.
        per_minute: requests of a user that has no limit of its own.
        query_keys: whether `?key=` counts on the Gemini face.
    """

    def __init__(
        self,
        accounts: Accounts,
        rates: Rates,
        addresses: Addresses,
        *,
        pepper: bytes,
        per_minute: int,
        query_keys: bool = False,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._accounts = accounts
        self._rates = rates
        self._addresses = addresses
        self._pepper = pepper
        self._per_minute = per_minute
        self._query_keys = query_keys
        self._clock = clock
        self._block_of = lru_cache(maxsize=MOST)(block_of)
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._revision: int | None = None
        self._looks_again = 0.0  # monotonic
        self._touched: dict[str, float] = {}  # monotonic, by key id
        self._touching: set[asyncio.Task[None]] = set()

    async def caller_of(self, scope: Scope) -> Caller:
        """The caller of a request, counted.

        Raises:
            Unauthenticated: there is no good key.
            AmbiguousCredentials: there are two different ones.
            TooMany: the address sent too many bad ones, or user or key have no request left in
                this minute.
            StorageError: the database does not answer.
        """
        address = self._addresses.client(scope)
        told = credential(scope, query_keys=self._query_keys)
        if told is None:
            raise _stranger()
        bad = f"bad/{self._block_of(address)}"
        wait = await self._rates.look(bad, BAD_KEYS)
        if wait:
            raise _too_many("Too many bad keys came from this address.", wait)
        found = await self._check(told)
        if found is None:
            await self._rates.take(bad, BAD_KEYS)
            raise _stranger()
        await self._count(found)
        self._touch(found.key.id)
        return Caller(
            user=found.user, key=found.key, address=address, request_id=request_id_of(scope)
        )

    def forget(self) -> None:
        """Forget all keys; the next request looks them up."""
        self._known.clear()

    async def close(self) -> None:
        """Wait until the last use of each key is noted."""
        await asyncio.gather(*self._touching)

    async def _check(self, told: bytes) -> _Known | None:
        text = _text(told)
        now = time.monotonic()
        if now >= self._looks_again:
            await self._look(now)
            now = time.monotonic()
        whole = digest(text, self._pepper)
        known = self._known.get(whole)
        if known is None or now >= known.until:
            known = await self._find(text)
            if known is not None:
                self._known[whole] = known
                if len(self._known) > MOST:
                    self._known.popitem(last=False)
        if known is None or not known.key.is_good(self._clock()) or known.user.disabled:
            self._known.pop(whole, None)
            return None
        return known

    async def _find(self, text: str) -> _Known | None:
        name = key_id(text)
        if name is None:
            return None
        # from here, not from its answer, runs the time in which a revocation may be missed
        until = time.monotonic() + REMEMBERED
        key = await self._accounts.key(name)
        if not is_same(text, key.digest if key else DUMMY, self._pepper) or key is None:
            return None
        user = await self._accounts.user(key.user)
        return None if user is None else _Known(user=user, key=key, until=until)

    async def _look(self, now: float) -> None:
        """Forget all when something was changed, here or in another process."""
        self._looks_again = now + LOOKS
        revision = await self._accounts.revision()
        if revision != self._revision:
            self._revision = revision
            self._known.clear()

    async def _count(self, found: _Known) -> None:
        own = found.key.limits.per_minute
        if own is not None:
            wait = await self._rates.take(f"key/{found.key.id}", own)
            if wait:
                raise _too_many("This key has sent all requests that it may in a minute.", wait)
        of_user = found.user.limits.per_minute
        most = self._per_minute if of_user is None else of_user
        wait = await self._rates.take(f"user/{found.user.id}", most)
        if wait:
            raise _too_many("This user has sent all requests of a minute.", wait)

    def _touch(self, name: str) -> None:
        now = time.monotonic()
        if now - self._touched.get(name, -TOUCH) < TOUCH:
            return
        self._touched[name] = now
        task = asyncio.ensure_future(self._note(name))
        self._touching.add(task)
        task.add_done_callback(self._touching.discard)

    async def _note(self, name: str) -> None:
        try:
            await self._accounts.touch_key(name, self._clock())
        except HeliographError as error:
            # not worth a request's failure; the next minute tries again
            LOG.warning("the last use of a key could not be noted: %s", type(error).__name__)


class Doors:
    """Middleware: puts the `Caller` into `scope["state"]["caller"]`, or answers for the app.

    Args:
        is_open: paths that need no key here; their routes check for themselves, or let all in.
        render: makes an error the answer of the face that the path belongs to.
    """

    def __init__(
        self, app: ASGIApp, *, keeper: Doorkeeper, render: Render, is_open: "IsOpen | None" = None
    ) -> None:
        self.app = app
        self.keeper = keeper
        self.render = render
        self.is_open = is_open or needs_no_key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not self.is_open(scope):
            try:
                scope["state"]["caller"] = await self.keeper.caller_of(scope)
            except HeliographError as error:
                response = self.render(error, scope)
                if response.status_code == Unauthenticated.status:
                    response.headers.setdefault("www-authenticate", CHALLENGE)
                await response(scope, receive, send)
                return
        await self.app(scope, receive, send)


def needs_no_key(scope: Scope) -> bool:
    """The open list: probes, signed pictures, and uploads that their id continues.

    What has a signature or an upload id has no caller then, so its route must check that.
    """
    path = scope["path"]
    if path in OPEN:
        return True
    if path.startswith(PICTURES):
        return SIGNATURE in _names(scope)
    return path.startswith(UPLOADS) and UPLOAD_ID in _names(scope)


def request_id_of(scope: Scope) -> str:
    """The id of a request, 128 random bits; made when it is first asked for."""
    state = scope.setdefault("state", {})
    found: str | None = state.get("request_id")
    if found is None:
        found = state["request_id"] = new_id()
    return found


def credential(scope: Scope, *, query_keys: bool = False) -> bytes | None:
    """The one credential of a request, as bytes; None when there is none.

    Raises:
        AmbiguousCredentials: there are different ones. Equal ones are one.
    """
    told = set()
    for name, value in scope["headers"]:
        if name == b"authorization":
            kind, _, token = value.strip().partition(b" ")
            if kind.lower() == BEARER:
                told.add(token.strip())
        elif name in KEY_HEADERS:
            told.add(value.strip())
    if query_keys and scope["path"].startswith(GEMINI):
        told |= set(_query(scope).get(b"key", ()))
    told.discard(b"")
    if len(told) > 1:
        raise AmbiguousCredentials(
            "Two different keys came with one request.", remedy="Send one of them."
        )
    return told.pop() if told else None


def _text(told: bytes) -> str:
    """A key has ASCII letters only; what has others is none, and never an error of ours."""
    return told[:LONGEST].decode("ascii", errors="replace")


def _query(scope: Scope) -> dict[bytes, list[bytes]]:
    try:
        return parse_qs(scope["query_string"], max_num_fields=100)
    except ValueError:
        return {}


def _names(scope: Scope) -> set[bytes]:
    return set(_query(scope))


def _stranger() -> Unauthenticated:
    return Unauthenticated(
        "No valid key came with the request.",
        remedy="Send `Authorization: Bearer` with a key of this gateway.",
    )


def _too_many(what: str, wait: float) -> TooMany:
    # whole seconds, as in the header; so that there are few different answers (`ready`)
    seconds = float(math.ceil(wait))
    return TooMany(what, remedy="Send it again later; nothing was charged.", retry_after=seconds)
