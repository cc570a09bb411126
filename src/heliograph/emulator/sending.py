"""The last yard: bytes to the socket, or not; invariant: only here is a connection mistreated."""

import asyncio
import socket
import struct
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import HttpVersion11, web

from heliograph.emulator.encoding import Body
from heliograph.emulator.envelope import ApiError, dump
from heliograph.emulator.faults.contract import Canned, Delivery
from heliograph.emulator.ledger import Call

_SLICE = 256 * 1024
_DRIP_TICK = 0.1
_POLL = 0.1
_JSON = "application/json; charset=UTF-8"
_EARLY_HINTS = 103
_PHRASES = {100: "Continue", 102: "Processing", _EARLY_HINTS: "Early Hints"}
# HTTP clients refuse header lines of more than about 8,000 bytes.
_LONGEST_NOTE = 1000


@dataclass(frozen=True, kw_only=True)
class Outgoing:
    """An HTTP answer that is ready to go."""

    body: Body
    status: int = 200
    reason: str | None = None
    headers: Mapping[str, str]


def json_response(value: Any) -> web.Response:
    """A small JSON answer."""
    return web.Response(body=dump(value), headers={"content-type": _JSON})


def outgoing_error(error: ApiError, *, as_list: bool = False) -> Outgoing:
    """The envelope as an answer; streams without SSE wrap it in a list."""
    body = [error.body()] if as_list else error.body()
    headers = {"content-type": _JSON, **error.headers}
    if error.note:
        headers["x-emu-note"] = error.note.encode("unicode_escape").decode()[:_LONGEST_NOTE]
    return Outgoing(status=error.code, headers=headers, body=plain(dump(body)))


def outgoing_canned(canned: Canned) -> Outgoing:
    """A fixed answer."""
    headers = {"content-type": _JSON, **canned.headers}
    return Outgoing(
        status=canned.status, reason=canned.reason, headers=headers, body=plain(canned.body)
    )


def plain(data: bytes) -> Body:
    """A body without an image in it."""
    return Body(pieces=(data,), image_start=0, image_end=0)


def reset(request: web.Request, call: Call | None = None) -> web.StreamResponse:
    """End the connection with a TCP reset instead of an answer."""
    if call is not None:
        call.cut_by_fault = True
    transport = request.transport
    if transport is not None:
        connection = transport.get_extra_info("socket")
        if connection is not None:
            # Linger zero makes the close a RST, which a peer sees as "connection reset".
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    return web.Response()


async def send(
    request: web.Request,
    call: Call,
    outgoing: Outgoing,
    delivery: Delivery,
    first_byte: Callable[[], None] = lambda: None,
) -> web.StreamResponse:
    """Write an answer as its delivery says, and note the times in the call."""
    call.http_status = outgoing.status
    if delivery.delay_headers:
        await _wait(request, delivery.delay_headers)
    response = web.StreamResponse(status=outgoing.status, reason=outgoing.reason)
    response.headers.update(outgoing.headers)
    if delivery.claim_extra:
        response.content_length = outgoing.body.length + delivery.claim_extra
        response.force_close()
    elif request.version >= HttpVersion11:
        response.enable_chunked_encoding()
    else:
        response.force_close()
    try:
        if delivery.informational:
            _announce(request, delivery.informational)
        await response.prepare(request)
        call.first_byte = call.now()
        first_byte()
        stopped = await _write(request, response, outgoing.body, delivery)
        if stopped:
            return await _end(request, response, call, delivery)
        await response.write_eof()
        call.last_byte = call.now()
        if delivery.claim_extra and request.transport is not None:
            request.transport.close()
    except ConnectionError as left:
        # The peer left; the ledger line says so. The error knows the frames that hold the answer,
        # and they know the error: without this cut, 30 MB wait for the collector of cycles.
        left.__traceback__ = None
        return response
    return response


async def _write(
    request: web.Request, response: web.StreamResponse, body: Body, delivery: Delivery
) -> bool:
    """Write up to where the delivery stops; says whether it stopped before the end."""
    limit = _stop(body, delivery)
    if delivery.prefix:
        await response.write(delivery.prefix)
    step = _SLICE
    if delivery.bytes_per_second:
        step = max(1, int(delivery.bytes_per_second * _DRIP_TICK))
    for piece in _slices(body, limit, step):
        await response.write(piece)
        if delivery.bytes_per_second:
            await asyncio.sleep(len(piece) / delivery.bytes_per_second)
            if peer_gone(request):
                raise ConnectionResetError
    return limit is not None and limit < body.length


def _stop(body: Body, delivery: Delivery) -> int | None:
    places = {
        "image_end": body.image_end + 1,
        "image_middle": (body.image_start + body.image_end) // 2,
        "half": body.length // 2,
    }
    if delivery.stop_at in places and not body.image_end:
        return body.length // 2
    return places[delivery.stop_at] if isinstance(delivery.stop_at, str) else delivery.stop_at


def _slices(body: Body, limit: int | None, step: int) -> Iterator[memoryview]:
    left = body.length if limit is None else limit
    for piece in body.pieces:
        view = memoryview(piece)[:left]
        for start in range(0, len(view), step):
            yield view[start : start + step]
        left -= len(view)


async def _end(
    request: web.Request, response: web.StreamResponse, call: Call, delivery: Delivery
) -> web.StreamResponse:
    call.cut_by_fault = True
    if delivery.ending == "stall":
        await _wait(request, float("inf"))
    elif delivery.ending == "reset":
        # Let what was written leave first: a reset drops what the kernel still holds.
        await asyncio.sleep(_POLL)
        return reset(request, call)
    elif delivery.ending == "clean":
        await response.write_eof()
    elif delivery.ending == "endless":
        await _go_on(request, response, delivery.endless_bytes)
    if delivery.ending != "clean" and request.transport is not None:
        request.transport.close()
    return response


async def _go_on(request: web.Request, response: web.StreamResponse, length: int) -> None:
    """Write base64 until the peer has had enough."""
    filler = b"QUJD" * (_SLICE // 4)
    for start in range(0, length, _SLICE):
        await response.write(filler[: length - start])
        # A reader that keeps up would leave no turn to anybody else.
        await asyncio.sleep(0)
        if peer_gone(request):
            raise ConnectionResetError


def _announce(request: web.Request, status: int) -> None:
    """Write a 1xx reply, which aiohttp has no way to say."""
    if request.transport is not None and request.version >= HttpVersion11:
        phrase = _PHRASES.get(status, "Informational")
        link = "link: </style.css>; rel=preload\r\n" if status == _EARLY_HINTS else ""
        request.transport.write(f"HTTP/1.1 {status} {phrase}\r\n{link}\r\n".encode())


async def _wait(request: web.Request, seconds: float) -> None:
    """Sleep, but no longer than the peer stays."""
    end = time.monotonic() + seconds
    while (  # noqa: ASYNC110 - aiohttp has no event for a peer that leaves
        not peer_gone(request) and (left := end - time.monotonic()) > 0
    ):
        await asyncio.sleep(min(_POLL, left))


def peer_gone(request: web.Request) -> bool:
    """Whether the connection was closed from the other side."""
    return request.transport is None or request.transport.is_closing()
