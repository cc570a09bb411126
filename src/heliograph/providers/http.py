"""One exchange over aiohttp: the request leaves in pieces, the answer goes into a spool.

It knows exactly how far it came, because that decides whether money may have been spent: nothing
was sent, the request left whole, the answer is whole. Invariant: it never repeats anything by
itself (no redirects, no kept connection that could be stale, no hidden retry), and the key goes
to the configured host only.
"""

import asyncio
import base64
import io
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

import aiohttp

from heliograph.errors import (
    Charged,
    HeliographError,
    NotSent,
    OutcomeUnknown,
    ProtocolError,
    UntrustedUpstream,
)
from heliograph.killpoints import reach
from heliograph.ports import CallLog
from heliograph.providers.body import Body
from heliograph.providers.classify import classify
from heliograph.providers.clock import BEAT, Clock, Deadlines, Progress, Tell
from heliograph.providers.intake import Intake, unread
from heliograph.providers.room import Room
from heliograph.providers.spool import Spool
from heliograph.providers.tap import AnswerTooLarge, Tapped
from heliograph.providers.wire import WireReply, WireRequest

__all__ = ["Channel", "Deadlines", "Listing", "Tell", "Told", "unanswered"]

T = TypeVar("T")
READ_BUFFER = 1 << 18
GOOGLE = ".googleapis.com"
LIST_BYTES = 8 << 20  # a thousand models are about one megabyte


@dataclass(frozen=True, kw_only=True)
class Listing:
    """The upstream's models, and its clock against ours."""

    models: tuple[str, ...]  # ids, without `models/`
    ahead: float | None  # seconds that our clock is ahead; None when the upstream says no date
    seconds: float  # it took


@dataclass(frozen=True, kw_only=True)
class Told:
    """The whole answer to a free question."""

    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes


@dataclass(frozen=True, kw_only=True)
class _Question:
    """One free question."""

    verb: str
    path: str  # below the version
    what: str  # how an error calls its answer
    data: bytes = b""


class Channel:
    """Connections to one upstream with one key.

    Args:
        base_url: scheme, host and optional path prefix, without the API version.
        version: API version prefix, such as "v1".
        key: the API key; sent as `x-goog-api-key` only.
        room: places for answers that are being received; without it there is no limit.
    """

    def __init__(
        self,
        base_url: str,
        version: str,
        key: str,
        deadlines: Deadlines,
        room: Room | None = None,
    ) -> None:
        self._base = base_url.rstrip("/")
        self._version = version
        self._key = key
        self._deadlines = deadlines
        self._room = room or Room()
        self._session: aiohttp.ClientSession | None = None
        parts = urlsplit(base_url)
        host = parts.hostname or ""
        self._is_direct = parts.scheme == "https" and host.endswith(GOOGLE)

    @property
    def upstream(self) -> str:
        """Host and port the calls go to."""
        return self._base.partition("://")[2].partition("/")[0]

    @property
    def base(self) -> str:
        """Scheme, host and perhaps path of the upstream, without the API version."""
        return self._base

    def without_key(self, text: str) -> str:
        """The text with every trace of the key masked, also URL-encoded and in base64."""
        encoded = base64.b64encode(self._key.encode()).decode()
        for form in sorted({self._key, quote(self._key, safe=""), encoded}, key=len, reverse=True):
            text = text.replace(form, "(key)")
        return text

    async def exchange(
        self, request: WireRequest, folder: Path, tell: Tell, log: CallLog | None = None
    ) -> WireReply:
        """Send once and read the answer through a spool in `folder`.

        Args:
            tell: told what happens; "late" means that a deadline has passed, and that the answer
                is waited for all the same, because it may be paid for.
            log: written before the last byte of a request that may cost money leaves.

        Raises:
            NotSent: the upstream provably did not receive the whole request, or was asked for
                something that is free.
            UntrustedUpstream: its certificate does not hold.
            OutcomeUnknown: sent whole, and no answer came back in time or at all.
        """
        progress = Progress(begun=time.monotonic())
        limits = self._deadlines
        try:
            async with asyncio.timeout(limits.connect + limits.write) as timeout:
                clock = Clock(timeout, limits, tell)
                try:
                    return await self._exchange(request, folder, progress, (clock, tell, log))
                finally:
                    clock.stop()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            if progress.refused is not None:
                raise progress.refused from error
            raise self._failure(error, progress, is_free=log is None) from error

    async def _exchange(
        self,
        request: WireRequest,
        folder: Path,
        progress: Progress,
        hooks: tuple[Clock, Tell, CallLog | None],
    ) -> WireReply:
        clock, tell, log = hooks

        async def before_last() -> None:
            reach("before-sent")
            if log is not None:
                await log.sent()
            reach("sent")
            progress.sent = progress.now()
            tell("sent", {"bytes": request.length})
            clock.sent()

        query = f"?{request.query}" if request.query else ""
        headers = {
            **request.headers,
            "x-goog-api-key": self._key,
            "x-server-timeout": str(round(self._deadlines.first_byte)),
            "accept-encoding": "identity",
        }
        if not request.body:
            clock.sent()
        session = await self._open()
        async with session.request(
            request.method,
            f"{self._base}/{self._version}{request.path}{query}",
            data=Body(request, before_last, progress.refuse) if request.body else None,
            headers=headers,
            allow_redirects=False,
            trace_request_ctx=(progress, tell),
        ) as response:
            progress.first_byte = progress.now()
            found = {k.lower(): v for k, v in response.headers.items()}
            spool = Spool(folder)
            spool.head(response.status, found, is_direct=self._is_direct)
            tell("answering", {"http_status": response.status})
            async with self._room.place(clock):
                incomplete, tapped = await self._read(response, spool, clock, tell)
            return WireReply(
                status=response.status,
                headers=found,
                tapped=tapped,
                timing=progress.timing(),
                incomplete=incomplete,
                was_sent=progress.sent is not None,
                is_direct=self._is_direct,
            )

    async def _read(
        self, response: aiohttp.ClientResponse, spool: Spool, clock: Clock, tell: Tell
    ) -> tuple[str | None, Tapped]:
        """The body through the spool, and why it is not whole when it is not."""
        intake = Intake(spool, self._room.hands)
        told = time.monotonic()
        incomplete: str | None = None
        try:
            clock.heard()
            async for chunk in response.content.iter_any():
                intake.put(chunk)
                if intake.is_full:
                    clock.hold()
                    await intake.room()
                clock.heard()
                if time.monotonic() - told >= BEAT:
                    told = time.monotonic()
                    tell("receiving", {"bytes": intake.taken})
            clock.hold()
            await intake.settle()
            if intake.taken:
                tell("receiving", {"bytes": intake.taken})
        except AnswerTooLarge as error:
            incomplete = str(error)
        except asyncio.CancelledError:
            if not clock.is_up:
                raise
            # silence ends the listening, but an image that is complete already is still one
            incomplete = "it fell silent"
        except (aiohttp.ClientError, OSError) as error:
            incomplete = f"the connection broke ({type(error).__name__})"
            intake.put(unread(response.content))
        finally:
            # also when we are stopped: what arrived must reach the disk
            tapped = intake.close()
        return incomplete, tapped

    def _failure(
        self,
        error: Exception,
        progress: Progress,
        *,
        is_free: bool = False,
        is_upload: bool = False,
    ) -> HeliographError:
        why = type(error).__name__
        # the text may hold the address, and whoever has that of an upload can go on with it
        if str(error) and not is_upload:
            why = f"{why}: {error}"
        facts = {"upstream": self.upstream, "after_seconds": round(progress.now(), 3)}
        if isinstance(error, aiohttp.ClientSSLError | ssl.SSLError):
            return UntrustedUpstream(
                f"The TLS certificate of {self.upstream} does not hold.",
                why=why,
                remedy="Check the clock, the proxy and the base URL; verification stays on.",
                facts=facts,
            )
        if is_free or progress.sent is None:
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
        begun = time.monotonic()
        told, names = await self._ask(
            _Question(verb="GET", path="/models?pageSize=1000", what="list of models"),
            seconds,
            lambda answer: [str(row["name"]).removeprefix("models/") for row in answer["models"]],
        )
        took = time.monotonic() - begun
        return Listing(models=tuple(names), ahead=_ahead(told.headers), seconds=took)

    async def count_tokens(self, model: str, text: str, seconds: float = 20.0) -> int:
        """Input tokens of a text for a model: free.

        Raises:
            CredentialRejected: the upstream does not accept the key.
            UpstreamError: no usable answer within `seconds`.
        """
        body = {"contents": [{"role": "user", "parts": [{"text": text}]}]}
        question = _Question(
            verb="POST",
            path=f"/models/{quote(model, safe='')}:countTokens",
            what="count of tokens",
            data=json.dumps(body).encode(),
        )
        # proto-JSON leaves out what is zero
        _, count = await self._ask(
            question, seconds, lambda answer: int(answer.get("totalTokens", 0))
        )
        return count

    async def _ask(
        self, question: "_Question", seconds: float, read: Callable[[Any], T]
    ) -> tuple[Told, T]:
        progress = Progress(begun=time.monotonic())
        url = f"{self._base}/{self._version}{question.path}"
        try:
            async with asyncio.timeout(seconds):
                await _resolve(self._base)
                told = await self._exchange_free(
                    question.verb, url, self._key_header, question.data
                )
        except TimeoutError as error:
            raise unanswered(self.upstream, seconds) from error
        except (aiohttp.ClientError, OSError) as error:
            raise self._failure(error, progress, is_free=True) from error
        if told.status != 200:
            raise self.refused(told)
        try:
            return told, read(json.loads(told.body))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ProtocolError(
                f"{self.upstream} does not answer like the Gemini API.",
                why=f"Its {question.what} is none ({type(error).__name__}).",
                remedy="Check the base URL and any proxy on the way.",
            ) from error

    async def begin_upload(self, headers: Mapping[str, str], data: bytes) -> Told:
        """The first request of a resumable upload, which carries the key; free.

        Raises:
            NotSent, UntrustedUpstream: there was no answer.
        """
        url = f"{self._base}/upload/{self._version}/files"
        return await self._push(url, {**self._key_header, **headers}, data)

    async def continue_upload(self, url: str, headers: Mapping[str, str], data: bytes) -> Told:
        """A later request of an upload, to the address that the first one brought, without key.

        Raises:
            NotSent, UntrustedUpstream: there was no answer; the error does not tell the address.
        """
        return await self._push(url, headers, data)

    async def _push(self, url: str, headers: Mapping[str, str], data: bytes) -> Told:
        progress = Progress(begun=time.monotonic())
        try:
            async with asyncio.timeout(self._deadlines.connect + self._deadlines.write):
                return await self._exchange_free("POST", url, headers, data)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            failure = self._failure(error, progress, is_free=True, is_upload=True)
        # outside of the clause: as a cause, too, it would tell the address
        raise failure

    async def _exchange_free(
        self, verb: str, url: str, headers: Mapping[str, str], data: bytes
    ) -> Told:
        session = await self._open()
        async with session.request(
            verb,
            url,
            # in a file's place: aiohttp then sends it in pieces, and says nothing about its size
            data=io.BytesIO(data) if data else None,
            headers={"content-type": "application/json", "accept-encoding": "identity", **headers},
            allow_redirects=False,
        ) as response:
            body = bytearray()
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > LIST_BYTES:
                    break
            found = {k.lower(): v for k, v in response.headers.items()}
            return Told(status=response.status, headers=found, body=bytes(body))

    @property
    def _key_header(self) -> Mapping[str, str]:
        return {"x-goog-api-key": self._key}

    def refused(self, told: Told) -> HeliographError:
        """The error behind an answer that is no success, without the key."""
        try:
            answer = json.loads(told.body)
        except ValueError:
            answer = None
        error = answer.get("error") if isinstance(answer, Mapping) else None
        return self._hidden(
            classify(told.status, error if isinstance(error, Mapping) else None, told.headers)
        )

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
    except (ValueError, OverflowError):
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
