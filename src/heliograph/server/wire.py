"""HTTP/1.1 as it comes over the wire: what uvicorn's parser lets through and we do not.

httptools refuses most of it by itself (both lengths, bad chunks, folded headers; the tests name
them all). This adds limits that it lacks: time for headers and bodies, their size, and how many
connections may lie idle; and it refuses addresses in full or without a path.

Invariant: a connection that sends nothing, or next to nothing, ends by itself, and one that was
refused in the middle of a body is read no further (S56, S60, S61).
"""

import asyncio
import sys
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

from httptools import HttpParserInvalidMethodError
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from heliograph.server.faults import Fault

NO_METHOD = (
    b"HTTP/1.1 405 Method Not Allowed\r\nallow: DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT\r\n"
    b"content-length: 0\r\nconnection: close\r\n\r\n"
)


@dataclass(frozen=True, kw_only=True)
class Patience:
    """What one connection may take."""

    head_seconds: float = 10.0  # from the first byte, or the connection, to the end of headers
    body_seconds: float = 60.0  # in which a body ends, or `body_bytes` of it come
    body_bytes: int = 1 << 20
    head_bytes: int = 64 << 10  # request line and headers
    head_lines: int = 100  # headers
    idle: int = 2000  # connections without a request; the longest idle one goes first


@dataclass(kw_only=True)
class Wire:
    """Makes the protocol class for `uvicorn.Config(http=…)`, all of whose connections share
    one count."""

    patience: Patience = field(default_factory=Patience)
    idle: "OrderedDict[Protocol, None]" = field(default_factory=OrderedDict)

    def __call__(self, *args: Any, **named: Any) -> "Protocol":
        protocol = Protocol(*args, **named)
        protocol.wire = self
        return protocol


class Protocol(HttpToolsProtocol):
    """One connection."""

    wire: Wire
    _timer: asyncio.TimerHandle | None = None
    _head_bytes = 0
    _head_lines = 0
    _in_head = False
    _in_body = False
    _body_bytes = 0

    # ------------------------------------------------------------ connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]
        self._wait(self.wire.patience.head_seconds, self._too_slow)
        self._rest()

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait(None)
        self.wire.idle.pop(self, None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        was_in_head = self._in_head
        super().data_received(data)
        if was_in_head and self._in_head:
            # the parser holds back what is not complete, however long
            self._head_bytes += len(data)
            if self._head_bytes > self.wire.patience.head_bytes and not self.transport.is_closing():
                self.send_400_response("Request header too large.")

    def send_400_response(self, msg: str) -> None:
        # it is called while the parser's error is being handled, and gives no other reason
        if isinstance(sys.exc_info()[1], HttpParserInvalidMethodError):
            self.transport.write(NO_METHOD)
            self.transport.close()
        else:
            super().send_400_response(msg)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self._in_body and not self.pipeline:
            self._rest()

    # ------------------------------------------------------------ one request

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.wire.idle.pop(self, None)
        self._in_head, self._head_bytes, self._head_lines = True, 0, 0
        self._wait(self.wire.patience.head_seconds, self._too_slow)

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_head:
            return  # a trailer, after everything was decided by the headers
        self._head_lines += 1
        if self._head_lines > self.wire.patience.head_lines:
            raise Fault("There are too many headers.")
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        length = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if length > self.wire.patience.head_bytes:
            raise Fault("The headers have too many bytes.")
        if not self.url.startswith(b"/") or self.url.startswith(b"//"):
            raise Fault("The request line names no path.")
        self._in_head, self._in_body, self._body_bytes = False, True, 0
        self._wait(self.wire.patience.body_seconds, self._check_body)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._in_body = False
        self._wait(None)
        super().on_message_complete()

    # ------------------------------------------------------------ time

    def _check_body(self) -> None:
        patience = self.wire.patience
        # a body that we do not read yet is not the client's fault
        if self._body_bytes < patience.body_bytes and not self.flow.read_paused:
            self._too_slow()
            return
        self._body_bytes = 0
        self._wait(patience.body_seconds, self._check_body)

    def _too_slow(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()

    def _wait(self, seconds: float | None, then: Any = None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if seconds is None else self.loop.call_later(seconds, then)

    def _rest(self) -> None:
        self.wire.idle[self] = None
        while len(self.wire.idle) > self.wire.patience.idle:
            longest, _ = self.wire.idle.popitem(last=False)
            longest.transport.close()
