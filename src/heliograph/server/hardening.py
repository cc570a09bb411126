"""What holds for every request and every answer, whatever the route: the outermost middleware.

    id → method → address → encoding → size while reading → the app → headers of the answer

Invariant: a request that is refused by its headers is read no further than the bytes that came
with them (one read of the socket, 256 KB at most), unless it says that its body is small: that is
thrown away, because a client that is still sending it would see a reset connection and no answer.
No answer tells a version, a path, a statement or a stack. What breaks is answered in the envelope
of its face, with the request's id, and raised on to the server's log (S52, S56, S57, S65, S97,
S98).
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from heliograph.errors import Charged, HeliographError
from heliograph.server.addresses import Addresses, check_path
from heliograph.server.doors import request_id_of
from heliograph.server.faults import Fault, MethodNotAllowed, TooLarge, UnsupportedMedia
from heliograph.server.wire import Wire

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
HIDDEN = frozenset({b"server", b"x-powered-by", b"via"})
SAFE = ((b"x-content-type-options", b"nosniff"), (b"x-frame-options", b"DENY"))  # S82
ALLOW = ", ".join(sorted(METHODS)).encode()
KEEP_ALIVE = 65  # seconds; above the 60 s after which usual proxies drop a connection by themselves
SMALL = 64 << 10  # bytes of a body that is read out before its refusal
READ_OUT_SECONDS = 1.0  # it may take to come

Render = Callable[[HeliographError, Scope], Response]


class Internal(Fault):
    """Something of ours broke; the log has the reason under the request's id."""

    status: ClassVar[int] = 500
    code = "internal"


class Hardening:
    """Middleware around everything.

    Args:
        limit: bytes of a body.
        render: makes an error the answer of the face that the path belongs to.
    """

    def __init__(self, app: ASGIApp, *, limit: int, addresses: Addresses, render: Render) -> None:
        self.app = app
        self.limit = limit
        self.addresses = addresses
        self.render = render

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        exchange = _Exchange(scope, receive, send, limit=self.limit)
        try:
            self._check(scope)
            await self.app(scope, exchange.receive, exchange.send)
        except ClientDisconnect:
            return  # nobody is there to be told
        except HeliographError as error:
            if exchange.is_begun:
                raise  # the answer is cut, and the log says why
            await self._answer(error, exchange, scope)
        except Exception:
            await self._answer(_broken(), exchange, scope)
            raise
        if exchange.refusal is not None and not exchange.is_begun:
            # whatever the app made of it
            await self._answer(exchange.refusal, exchange, scope)

    def _check(self, scope: Scope) -> None:
        """Raises Fault for what no route takes."""
        if scope["method"] not in METHODS:
            raise MethodNotAllowed("There is no such method here.")
        self.addresses.check_host(scope)
        check_path(scope)
        length = None
        for name, value in scope["headers"]:
            if name == b"content-length":
                length = value if length is None else length
            elif name == b"content-encoding" and value.strip().lower() != b"identity":
                raise UnsupportedMedia(
                    "A compressed body is not taken.",
                    remedy="Send it without `Content-Encoding`.",
                )
        if length is not None and int(length) > self.limit:
            raise _too_large(self.limit)

    async def _answer(self, error: HeliographError, exchange: "_Exchange", scope: Scope) -> None:
        if exchange.is_begun:
            return
        exchange.is_ours = True
        await self.render(error, scope)(scope, exchange.receive, exchange.send)


class _Exchange:
    """One request and its answer."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, *, limit: int) -> None:
        self.id = request_id_of(scope)
        self.refusal: Fault | None = None  # what is answered instead of what the app says
        self.is_begun = False
        self.is_ours = False  # the answer is not the app's
        self._receive = receive
        self._send = send
        self._limit = limit
        self._size = 0
        self._is_read = not any(
            name == b"transfer-encoding" or (name == b"content-length" and value != b"0")
            for name, value in scope["headers"]
        )
        self._is_small = _is_small(scope)

    async def receive(self) -> Message:
        """A part of the body.

        Raises:
            TooLarge: it is more than is taken.
        """
        message = await self._receive()
        if message["type"] == "http.request":
            self._size += len(message.get("body", b""))
            self._is_read = self._is_read or not message.get("more_body", False)
            if self._size > self._limit:
                self.refusal = error = _too_large(self._limit)
                raise error
        return message

    async def send(self, message: Message) -> None:
        """A part of the answer, with the headers that all have."""
        is_start = message["type"] == "http.response.start"
        if is_start and message["status"] == Internal.status and not self.is_ours:
            self.refusal = _broken()  # frameworks have a plain text for it, and then raise on
        if self.refusal is not None and not self.is_begun and not self.is_ours:
            return  # nor does an answer count to a body that the app never got whole
        if is_start:
            self.is_begun = True
            if not self._is_read and message["status"] >= 400 and self._is_small:
                await self._read_out()
            message = {**message, "headers": self._headers(message)}
        await self._send(message)

    async def _read_out(self) -> None:
        """Throw a small body away, so that the connection is good for the next request."""
        try:
            async with asyncio.timeout(READ_OUT_SECONDS):
                while not self._is_read:
                    message = await self._receive()
                    if message["type"] != "http.request":
                        return
                    self._is_read = not message.get("more_body", False)
        except TimeoutError:
            return  # it is closed instead

    def _headers(self, message: Message) -> list[tuple[bytes, bytes]]:
        found, names = [], set()
        for name, value in message.get("headers", ()):
            low = name.lower()
            if low not in HIDDEN:
                found.append((low, value))
                names.add(low)
        if b"x-request-id" not in names:
            found.append((b"x-request-id", self.id.encode()))
        found += [pair for pair in SAFE if pair[0] not in names]
        if not self._is_read and message["status"] >= 400 and b"connection" not in names:
            # what is still on its way would be read only to be thrown away
            found.append((b"connection", b"close"))
        if message["status"] == MethodNotAllowed.status and b"allow" not in names:
            found.append((b"allow", ALLOW))
        return found


def serving_options(wire: Wire | None = None) -> Mapping[str, Any]:
    """How uvicorn must be set up for all of this to hold: `uvicorn.Config(app, **…)`.

    It believes no proxy by itself (`Addresses` does), names neither itself nor a version, writes
    no log of addresses, which may hold keys, and speaks no web sockets.
    """
    return {
        "http": wire or Wire(),
        "ws": "none",
        "proxy_headers": False,
        "server_header": False,
        "access_log": False,
        "timeout_keep_alive": KEEP_ALIVE,
    }


def _is_small(scope: Scope) -> bool:
    """Whether the body says that it is, and comes without being waited for."""
    head = dict(scope["headers"])
    return b"expect" not in head and int(head.get(b"content-length", SMALL + 1)) <= SMALL


def _too_large(limit: int) -> TooLarge:
    return TooLarge(
        "The body has too many bytes.",
        remedy=f"Send at most {limit} bytes; large pictures go through the files API.",
        facts={"limit": limit},
    )


def _broken() -> Internal:
    return Internal(
        "Something went wrong in the gateway.",
        remedy="Tell its operator the id of this request; its log has the reason.",
        charged=Charged.UNKNOWN,
    )
