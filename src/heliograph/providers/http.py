"""One paid POST over aiohttp: the request leaves in pieces, the answer goes through the tap.

It knows exactly how far it came, because that decides whether money may have been spent: nothing
was sent, the request left whole, the answer is whole. Invariant: it never repeats anything by
itself (no redirects, no kept connection that could be stale, no hidden retry), and the key goes
to the configured host only.
"""

import asyncio
import base64
import json
import socket
import ssl
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import aiohttp
from aiohttp.abc import AbstractStreamWriter

from heliograph.errors import (
    Charged,
    HeliographError,
    NotSent,
    OutcomeUnknown,
    ProtocolError,
    UntrustedUpstream,
)
from heliograph.providers.classify import classify
from heliograph.providers.tap import AnswerTooLarge, Tap, Tapped
from heliograph.providers.wire import WireReply, WireRequest
from heliograph.types import Reference, Timing

PIECE = 3 << 18  # bytes read of a reference at once; a multiple of 3, so base64 joins seamlessly
READ_BUFFER = 1 << 18
LIST_BYTES = 8 << 20  # a thousand models are about one megabyte

Tell = Callable[[str, Mapping[str, Any]], None]  # an event's name and facts


@dataclass(frozen=True, kw_only=True)
class Deadlines:
    """Seconds (reliability.md section 3). A 4K picture has been measured at up to 142 s."""

    connect: float = 5.0  # TCP and TLS
    write: float = 60.0  # the whole request, large references included
    first_byte: float = 180.0  # from the request's last byte to the answer's first
    between: float = 30.0  # silence inside the answer
    call: float = 300.0  # one attempt in all
    patience: float = 600.0  # all attempts and the waits between them


@dataclass(frozen=True, kw_only=True)
class Listing:
    """The upstream's models, and its clock against ours."""

    models: tuple[str, ...]  # ids, without `models/`
    ahead: float | None  # seconds that our clock is ahead; None when the upstream says no date
    seconds: float  # it took


@dataclass
class _Progress:
    """How far one attempt came; seconds since its start."""

    begun: float
    connected: float | None = None
    sent: float | None = None
    first_byte: float | None = None

    def now(self) -> float:
        return time.monotonic() - self.begun

    def timing(self) -> Timing:
        return Timing(
            connected=self.connected,
            sent=self.sent,
            first_byte=self.first_byte,
            done=self.now(),
        )


class _Body(aiohttp.payload.Payload):
    """The request body; tells when its last byte was handed to the socket."""

    def __init__(self, request: WireRequest, sent: Callable[[], None]) -> None:
        super().__init__(request, content_type=request.headers["content-type"])
        self._size = request.length
        self._request = request
        self._sent = sent

    async def write(self, writer: AbstractStreamWriter) -> None:
        await self.write_with_length(writer, None)

    async def write_with_length(
        self, writer: AbstractStreamWriter, _content_length: int | None
    ) -> None:
        # one byte is held back, so that "sent" can never be claimed too late
        held = b""
        async for piece in _pieces(self._request):
            await writer.write(held + piece[:-1])
            held = piece[-1:]
        self._sent()
        await writer.write(held)

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        del encoding, errors
        raise TypeError("a request body is sent, never shown")


async def _pieces(request: WireRequest) -> AsyncIterator[bytes]:
    for part in request.body:
        if isinstance(part, bytes):
            yield part
        elif isinstance(part.source, bytes):
            yield base64.b64encode(part.source)
        else:
            async for piece in _file_pieces(part, part.source):
                yield piece


async def _file_pieces(reference: Reference, path: Path) -> AsyncIterator[bytes]:
    read = 0
    with await asyncio.to_thread(path.open, "rb") as file:
        while data := await asyncio.to_thread(file.read, PIECE):
            read += len(data)
            yield base64.b64encode(data)
    if read != reference.size:
        raise OSError(f"{reference.name} changed while it was being sent")


class Channel:
    """Connections to one upstream with one key.

    Args:
        base_url: scheme, host and optional path prefix, without the API version.
        version: API version prefix, such as "v1".
        key: the API key; sent as `x-goog-api-key` only.
    """

    def __init__(self, base_url: str, version: str, key: str, deadlines: Deadlines) -> None:
        self._base = base_url.rstrip("/")
        self._version = version
        self._key = key
        self._deadlines = deadlines
        self._session: aiohttp.ClientSession | None = None

    @property
    def upstream(self) -> str:
        """Host and port the calls go to."""
        return self._base.partition("://")[2].partition("/")[0]

    def without_key(self, text: str) -> str:
        """The text with every trace of the key masked, also URL-encoded and in base64."""
        encoded = base64.b64encode(self._key.encode()).decode()
        for form in sorted({self._key, quote(self._key, safe=""), encoded}, key=len, reverse=True):
            text = text.replace(form, "(key)")
        return text

    async def post(self, request: WireRequest, folder: Path, tell: Tell) -> WireReply:
        """Send once and read the answer through a tap into `folder`.

        Raises:
            NotSent: the upstream provably did not receive the whole request.
            UntrustedUpstream: its certificate does not hold.
            OutcomeUnknown: sent whole, and no answer came back in time or at all.
        """
        progress = _Progress(begun=time.monotonic())

        def sent() -> None:
            progress.sent = progress.now()
            tell("sent", {"bytes": request.length})

        try:
            async with asyncio.timeout(self._deadlines.connect + self._deadlines.write) as clock:
                return await self._exchange(request, folder, progress, (clock, sent, tell))
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise self._failure(error, progress) from error

    async def _exchange(
        self,
        request: WireRequest,
        folder: Path,
        progress: _Progress,
        hooks: tuple[asyncio.Timeout, Callable[[], None], Tell],
    ) -> WireReply:
        clock, sent, tell = hooks
        limits = self._deadlines
        loop = asyncio.get_running_loop()
        end = loop.time() + limits.call

        def when_sent() -> None:
            sent()
            clock.reschedule(min(loop.time() + limits.first_byte, end))

        url = f"{self._base}/{self._version}{request.path}"
        query = f"?{request.query}" if request.query else ""
        headers = {
            **request.headers,
            "x-goog-api-key": self._key,
            "x-server-timeout": str(round(limits.first_byte)),
            "accept-encoding": "identity",
        }
        session = await self._open()
        async with session.post(
            url + query,
            data=_Body(request, when_sent),
            headers=headers,
            allow_redirects=False,
            trace_request_ctx=(progress, tell),
        ) as response:
            progress.first_byte = progress.now()
            tell("answering", {"http_status": response.status})
            incomplete, tapped = await self._read(response, folder, (clock, end, tell))
            return WireReply(
                status=response.status,
                headers={k.lower(): v for k, v in response.headers.items()},
                tapped=tapped,
                timing=progress.timing(),
                incomplete=incomplete,
            )

    async def _read(
        self,
        response: aiohttp.ClientResponse,
        folder: Path,
        hooks: tuple[asyncio.Timeout, float, Tell],
    ) -> tuple[str | None, Tapped]:
        """The body through a tap, and why it is not whole when it is not."""
        clock, end, tell = hooks
        loop = asyncio.get_running_loop()
        tap = Tap(folder)
        received = 0
        incomplete: str | None = None
        try:
            async for chunk in response.content.iter_any():
                clock.reschedule(min(loop.time() + self._deadlines.between, end))
                try:
                    tap.feed(chunk)
                except OSError as error:
                    incomplete = f"the disk refused it ({error.strerror})"
                    break
                received += len(chunk)
                tell("receiving", {"bytes": received})
        except AnswerTooLarge as error:
            incomplete = str(error)
        except (aiohttp.ClientError, OSError) as error:
            incomplete = f"the connection broke ({type(error).__name__})"
        finally:
            # also when time runs out: what arrived must reach the disk
            tapped = tap.close()
        return incomplete, tapped

    def _failure(self, error: Exception, progress: _Progress) -> HeliographError:
        why = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        facts = {"upstream": self.upstream, "after_seconds": round(progress.now(), 3)}
        if isinstance(error, aiohttp.ClientSSLError | ssl.SSLError):
            return UntrustedUpstream(
                f"The TLS certificate of {self.upstream} does not hold.",
                why=why,
                remedy="Check the clock, the proxy and the base URL; verification stays on.",
                facts=facts,
            )
        if progress.sent is None:
            return NotSent(
                f"{self.upstream} did not receive the request.",
                why=why,
                remedy="Check the network and the base URL; nothing was charged.",
                facts=facts,
            )
        return OutcomeUnknown(
            f"The request went out, but {self.upstream} never answered it whole.",
            why="No answer came in time."
            if isinstance(error, TimeoutError)
            else f"The connection broke ({why}).",
            remedy="It may have been charged. Check the provider's billing before asking again.",
            charged=Charged.UNKNOWN,
            facts=facts,
        )

    async def answers(self, path: str) -> bool:
        """Whether a free GET of `path` succeeds with JSON; for telling an emulator apart."""
        session = await self._open()
        try:
            async with (
                asyncio.timeout(self._deadlines.connect),
                session.get(self._base + path, allow_redirects=False) as response,
            ):
                if response.status != 200:
                    return False
                json.loads(await response.content.read(1 << 16))
                return True
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
            return False

    async def models(self, seconds: float) -> Listing:
        """List the upstream's models: free, and it proves address, key and clock.

        Raises:
            CredentialRejected: the upstream does not accept the key.
            UpstreamError: no usable answer within `seconds`.
        """
        progress = _Progress(begun=time.monotonic())
        try:
            async with asyncio.timeout(seconds):
                await _resolve(self._base)
                status, headers, body = await self._get("/models?pageSize=1000")
        except TimeoutError as error:
            raise unanswered(self.upstream, seconds) from error
        except (aiohttp.ClientError, OSError) as error:
            raise self._failure(error, progress) from error
        try:
            answer = json.loads(body)
            if status != 200:
                raise self._hidden(classify(status, answer.get("error"), headers))
            names = [str(row["name"]).removeprefix("models/") for row in answer["models"]]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            if status != 200:
                raise classify(status, None, headers) from error
            raise ProtocolError(
                f"{self.upstream} does not answer like the Gemini API.",
                why=f"Its list of models is none ({type(error).__name__}).",
                remedy="Check the base URL and any proxy on the way.",
            ) from error
        return Listing(models=tuple(names), ahead=_ahead(headers), seconds=progress.now())

    async def _get(self, path: str) -> tuple[int, Mapping[str, str], bytes]:
        session = await self._open()
        url = f"{self._base}/{self._version}{path}"
        headers = {"x-goog-api-key": self._key, "accept-encoding": "identity"}
        async with session.get(url, headers=headers, allow_redirects=False) as response:
            body = bytearray()
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > LIST_BYTES:
                    break
            found = {k.lower(): v for k, v in response.headers.items()}
            return response.status, found, bytes(body)

    def _hidden(self, error: HeliographError) -> HeliographError:
        error.why = error.why and self.without_key(error.why)
        return error

    async def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                # a kept connection that died unseen would make "was it sent?" unanswerable
                connector=aiohttp.TCPConnector(limit=0, force_close=True, ttl_dns_cache=5),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._deadlines.connect),
                read_bufsize=READ_BUFFER,
                auto_decompress=False,
                trust_env=False,
                trace_configs=[_tracer()],
                skip_auto_headers=["user-agent"],
                headers={"user-agent": "heliograph"},
            )
        return self._session

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()


def unanswered(upstream: str, seconds: float) -> NotSent:
    """The error for a free question that found no answer in time."""
    return NotSent(
        f"{upstream} did not answer within {seconds:g} s.",
        remedy="Check the network, the base URL and the proxy.",
    )


async def _resolve(url: str) -> None:
    """Look the host's name up, giving up in time.

    The resolver's own thread can hang for half a minute without a network, and the event loop
    would wait for it at its end; a daemon thread is left behind instead.
    """
    loop = asyncio.get_running_loop()
    done = asyncio.Event()
    parts = urlsplit(url)
    failed: list[OSError] = []

    def look_up() -> None:
        try:
            socket.getaddrinfo(parts.hostname, parts.port or 443)
        except OSError as error:
            failed.append(error)
        if not loop.is_closed():
            loop.call_soon_threadsafe(done.set)

    threading.Thread(target=look_up, name="heliograph-resolve", daemon=True).start()
    await done.wait()
    if failed:
        raise failed[0]


def _ahead(headers: Mapping[str, str]) -> float | None:
    try:
        theirs = parsedate_to_datetime(headers.get("date", ""))
    except ValueError:
        return None
    if theirs.tzinfo is None:
        theirs = theirs.replace(tzinfo=UTC)
    return (datetime.now(UTC) - theirs).total_seconds()


def _tracer() -> aiohttp.TraceConfig:
    tracer = aiohttp.TraceConfig()

    async def connected(_session: object, context: Any, _facts: object) -> None:
        if context.trace_request_ctx:
            progress, tell = context.trace_request_ctx
            progress.connected = progress.now()
            tell("connected", {})

    tracer.on_connection_create_end.append(connected)
    return tracer
