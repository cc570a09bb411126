"""Structured logs: one JSON object a line, one line a request, no secret in any of them.

Invariant: what a line may hold is listed in `FIELDS`; prompts and foreign error texts, which may
quote them, are not in the list. Everything else passes the redactor, and whatever is left is
escaped, so that no field can begin a new line or steer a terminal.
"""

import json
import logging
import math
import secrets
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TextIO

from starlette.routing import Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from heliograph.errors import HeliographError
from heliograph.money import parse_dollars
from heliograph.server.redaction import Redactor

LOG = logging.getLogger("heliograph.server")
# everything that a line may say besides time, level, logger and message
FIELDS = (
    *("request", "method", "route", "status", "ms", "job", "user", "key", "cost_micro", "address"),
    *("call", "calls", "stage", "event", "face", "error", "seconds", "wait", "count", "bytes"),
    *("open", "signal", "state"),
)
UNMATCHED = "unmatched"  # the template of a path that no route takes
LONGEST = 4000  # characters of one field; a line stays one that a log reader takes
FRAMES = 30  # of one exception
PLAIN = (bool, int, float)
# ASCII alone: control characters, line separators and marks of direction come out escaped
_quoted = json.encoder.encode_basestring_ascii
_encode = json.JSONEncoder(ensure_ascii=True).encode


class JsonLines(logging.Formatter):
    """Turns records into lines of JSON, redacted."""

    def __init__(self, redactor: Redactor) -> None:
        super().__init__()
        self._redactor = redactor
        self._second = (0, "")  # the latest one, as it is written

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        line = [
            f'"time": "{self._time(record.created)}", "level": "{record.levelname.lower()}"',
            f'"logger": {_quoted(record.name)}, "message": {self._value(_message(record))}',
        ]
        given = record.__dict__
        served = given.get("served")
        if served is not None:
            line.append(self._served(served))
        else:
            found = ((name, given.get(name)) for name in FIELDS)
            line += [f'"{n}": {self._value(value)}' for n, value in found if value is not None]
        if record.exc_info and record.exc_info[1] is not None:
            line.append(f'"exception": {self._value(list(_chain(record.exc_info[1])))}')
        return f"{{{', '.join(line)}}}"

    def _served(self, served: "Served") -> str:
        """The fields of a request's line, in the order of `FIELDS`, written out: most lines are
        such, and each of their texts but the id, which was drawn here, has been seen before."""
        clean = self._redactor.clean
        line = (
            f'"request": {_quoted(served.request_id)}, "method": "{served.method}", '
            f'"route": {_quoted(clean(served.route))}, "status": {served.status}, '
            f'"ms": {served.seconds * 1000:.1f}'
        )
        if served.job is not None:
            line += f', "job": {_quoted(clean(served.job))}'
        if served.user is not None:
            line += f', "user": {_quoted(clean(served.user))}'
        if served.key is not None:
            line += f', "key": {_quoted(clean(served.key))}'
        if served.cost_micro is not None:
            line += f', "cost_micro": {served.cost_micro}'
        if served.address is not None:
            line += f', "address": {_quoted(clean(served.address))}'
        return line

    def _time(self, seconds: float) -> str:
        """Milliseconds in UTC; most lines share their second with the one before."""
        whole = int(seconds)
        if whole != self._second[0]:
            self._second = whole, datetime.fromtimestamp(whole, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        return f"{self._second[1]}.{int((seconds - whole) * 1000):03d}Z"

    def _value(self, value: object) -> str:
        """A value as JSON, redacted."""
        if isinstance(value, str):
            return _quoted(self._clean(value))
        if type(value) is int or (type(value) is float and math.isfinite(value)):
            return repr(value)
        return _encode(self._safe(value))

    def _safe(self, value: object) -> Any:
        if value is None or isinstance(value, PLAIN):
            return value
        if isinstance(value, (list, tuple)):
            return [self._safe(item) for item in value]
        return self._clean(str(value))

    def _clean(self, text: str) -> str:
        return self._redactor.clean(text[: 2 * LONGEST])[:LONGEST]


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError):
        return str(record.msg)  # arguments that do not fit it must not take the line away


def _chain(error: BaseException) -> Iterator[str]:
    """An exception and its causes, with where they were raised; texts of ours alone.

    Others may quote what they choked on: a prompt, a body, a row.
    """
    seen: set[int] = set()
    at: BaseException | None = error
    while at is not None and id(at) not in seen:
        seen.add(id(at))
        if isinstance(at, HeliographError):
            said = f": {at.what}"
        elif isinstance(at, OSError) and at.strerror:
            said = f": {at.strerror}"
        else:
            said = ""
        frames = traceback.extract_tb(at.__traceback__)[-FRAMES:]
        where = " < ".join(
            f"{frame.filename.replace(chr(92), '/').rpartition('site-packages/')[2]}"
            f":{frame.lineno} {frame.name}"
            for frame in reversed(frames)
        )
        yield f"{type(at).__name__}{said}" + (f" at {where}" if where else "")
        at = at.__cause__ or (None if at.__suppress_context__ else at.__context__)


def write_logs(
    redactor: Redactor, *, stream: TextIO | None = None, level: int = logging.INFO
) -> logging.Handler:
    """Send everything that this process logs to one stream, as lines of JSON.

    Args:
        stream: standard error by default.

    Returns:
        The handler, for whoever takes it away again with `stop_logs`.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines(redactor))
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(level)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi", "alembic"):
        logger = logging.getLogger(name)
        # they tell of each start and step; what `heliograph serve` says is enough
        logger.setLevel(max(level, logging.WARNING))
        logger.propagate = True
        logger.handlers.clear()
    logging.captureWarnings(capture=True)
    return handler


def stop_logs(handler: logging.Handler) -> None:
    """Undo `write_logs`."""
    logging.captureWarnings(capture=False)
    logging.getLogger().removeHandler(handler)
    handler.close()


@dataclass(frozen=True, kw_only=True)
class Served:
    """One request that was answered, without anything that its sender wrote."""

    request_id: str
    method: str
    route: str  # template, "/v1beta/models/{model}:generateContent", or `UNMATCHED`
    status: int  # 499 when the client left before the head of the answer
    seconds: float
    user: str | None  # id
    key: str | None  # public id of its API key
    address: str | None  # of the client, as far as proxies are believed
    job: str | None
    cost_micro: int | None

    @property
    def face(self) -> str:
        """Which face it came through: "gemini", "openai", "native", or "other"."""
        return face_of(self.route)


Sink = Callable[[Served], None]
CLIENT_LEFT = 499
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_FACES = (
    ("/openai/", "openai"),
    ("/api/", "native"),
    ("/gemini/", "gemini"),
    ("/v1/", "gemini"),
    ("/v1beta/", "gemini"),
    ("/upload/", "gemini"),
)


def face_of(route: str) -> str:
    """The face that a route template belongs to."""
    return next((face for prefix, face in _FACES if route.startswith(prefix)), "other")


class RequestWatch:
    """ASGI middleware: gives every request an id, and tells the sinks when it is answered.

    It belongs outside of everything else. The id is ours alone; whatever a client sends as
    `X-Request-Id` is not taken, because it would be written into the log.
    """

    def __init__(self, app: ASGIApp, *, sinks: Sequence[Sink] = ()) -> None:
        self._app = app
        self._sinks = tuple(sinks)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection's request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = time.monotonic()
        state = scope.setdefault("state", {})
        request_id = state.get("request_id") or secrets.token_hex(16)
        state["request_id"] = request_id
        root = str(scope.get("root_path", ""))
        head = _Head(request_id=request_id.encode())

        async def send_on(message: Message) -> None:
            await send(head.seen(message) if message["type"] == "http.response.start" else message)

        try:
            await self._app(scope, receive, send_on)
        finally:
            served = _served(scope, root, head, time.monotonic() - begun)
            for sink in self._sinks:
                sink(served)


@dataclass(kw_only=True)
class _Head:
    """What a log wants to know of the head of an answer."""

    request_id: bytes
    status: int = CLIENT_LEFT
    job: bytes | None = None
    cost: bytes | None = None

    def seen(self, message: Message) -> Message:
        """The message that begins an answer, with the request's id in it."""
        self.status = message["status"]
        headers = message.get("headers", ())
        has_id = False
        for name, value in headers:
            if not name.startswith(b"x-"):
                continue
            if name == b"x-request-id":
                has_id = True
            elif name == b"x-heliograph-job":
                self.job = value
            elif name == b"x-heliograph-cost-usd":
                self.cost = value
        if has_id:
            return message
        return {**message, "headers": [*headers, (b"x-request-id", self.request_id)]}


def _served(scope: Scope, root: str, head: _Head, seconds: float) -> Served:
    caller = scope["state"].get("caller")
    client = scope.get("client")
    return Served(
        request_id=scope["state"]["request_id"],
        method=scope["method"] if scope["method"] in _METHODS else "OTHER",
        route=template(scope, root),
        status=head.status,
        seconds=seconds,
        user=caller.user.id if caller else None,
        key=caller.key.id if caller else None,
        address=caller.address if caller else client[0] if client else None,
        job=head.job.decode("latin-1") if head.job else None,
        cost_micro=_micro(head.cost),
    )


def template(scope: Scope, root: str) -> str:
    """The route template that took a request, with the places where others are mounted.

    Args:
        root: the scope's `root_path` before it was routed.
    """
    route = scope.get("route")
    path = getattr(route, "path", None)
    if path is None or isinstance(route, Mount) or "path_params" not in scope:
        return UNMATCHED
    return str(scope.get("root_path", ""))[len(root) :] + str(path)


def _micro(header: bytes | None) -> int | None:
    if header is None:
        return None
    try:
        return parse_dollars(header.decode("latin-1"))
    except ValueError:
        return None


def log_request(served: Served) -> None:
    """A sink: the one line of each request; those of probes are not worth one."""
    if served.route in ("/healthz", "/readyz", "/metrics") and served.status < 400:
        return
    if LOG.isEnabledFor(logging.INFO):
        LOG.handle(_record(served))


# what is the same for the lines of all requests; to ask each time who logs, in which thread and
# process, costs more than to write the line
_SAME = dict(logging.LogRecord(LOG.name, logging.INFO, __file__, 0, "request", (), None).__dict__)


def _record(served: Served) -> logging.LogRecord:
    now = time.time()
    record = logging.LogRecord.__new__(logging.LogRecord)
    record.__dict__.update(_SAME, created=now, msecs=now % 1 * 1000, served=served)
    return record
