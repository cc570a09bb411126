"""What one emulator knows while it runs; invariant: built once, handed to every handler."""

import asyncio
import hashlib
import json
import secrets
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any, TypeVar

from aiohttp import web

from heliograph.emulator.clock import Clock
from heliograph.emulator.doors import Doors
from heliograph.emulator.envelope import ApiError
from heliograph.emulator.files import FileStore
from heliograph.emulator.ledger import Call, Ledger
from heliograph.emulator.projects import Projects
from heliograph.emulator.protojson import decode_base64
from heliograph.emulator.quotas import Quotas
from heliograph.emulator.rules import Rulebook
from heliograph.emulator.settings import EmulatorSettings, StartError

_LOG_LENGTH = 2_000
_PAINTERS = 4
_READERS = 4
# Deeper than any request of the API; the walk of a hostile one must end before Python's stack.
_DEEPEST = 50

T = TypeVar("T")


class Desk:
    """Settings, clock, ledger, rules, quotas, files, request log and the threads that paint."""

    def __init__(self, settings: EmulatorSettings) -> None:
        self.settings = settings
        self.seed = secrets.randbits(32) if settings.seed is None else settings.seed
        self.clock = Clock()
        self.ledger = _open_ledger(settings.ledger, self.clock)
        self.rules = Rulebook(self.seed, self.clock.now)
        if settings.rules is not None:
            _read_file("rule", settings.rules, self.rules.add)
        self.quotas = Quotas(self.clock.now, self.ledger.open_calls)
        self.ledger.watch(self.quotas.note)
        if settings.quotas is not None:
            _read_file("quota", settings.quotas, self.quotas.take)
        self.projects = Projects(settings)
        self.doors = Doors(settings)
        self.files = FileStore(self.seed, self.clock.now)
        self.requests: deque[dict[str, Any]] = deque(maxlen=_LOG_LENGTH)
        self.forgetters: list[Callable[[], None]] = []
        """What else a reset clears, called before the ledger is."""
        self._painters = ThreadPoolExecutor(max_workers=_PAINTERS, thread_name_prefix="painter")
        self._readers = ThreadPoolExecutor(max_workers=_READERS, thread_name_prefix="reader")

    def open_call(self, *, method: str, model: str, path: str) -> Call:
        """A new ledger record; its id follows from the seed and the number of calls before."""
        number = self.ledger.calls_ever
        while self.ledger.knows(name := _call_id(self.seed, number)):
            # A killed emulator leaves no line for calls in flight, so lines count less than ids.
            number += 1
        call = Call(id=name, method=method, model=model, path=path, now=self.clock.now)
        self.ledger.open(call)
        return call

    def dice(self, call: Call) -> Random:
        """The chance of one call, the same in every run with this seed."""
        return Random(f"{self.seed}:{call.id}")  # noqa: S311 - repeatable on purpose

    async def paint_aside(self, work: Callable[[], T]) -> T:
        """Run work of about a second beside the event loop, a few at a time."""
        return await asyncio.get_running_loop().run_in_executor(self._painters, work)

    async def read_aside(self, work: Callable[[], T]) -> T:
        """Run work of milliseconds beside the event loop, never queued behind a painter."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, work)

    def reset(self) -> None:
        """Forget everything a test may have left."""
        for forget in self.forgetters:
            forget()
        self.ledger.reset()
        self.rules.clear()
        self.quotas.clear()
        self.projects.clear()
        self.files.clear()
        self.clock.reset()
        self.requests.clear()

    def close(self) -> None:
        """Free threads and files."""
        for pool in (self._painters, self._readers):
            pool.shutdown(wait=False, cancel_futures=True)
        self.files.close()


def _read_file(kind: str, path: Path, take: Callable[[Any], None]) -> None:
    try:
        take(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, RecursionError) as error:
        raise StartError(f"cannot read {kind}s from {path}: {error}") from error
    except ApiError as error:
        raise StartError(f"bad {kind} in {path}: {error.note or error}") from error


def _open_ledger(path: Path | None, clock: Clock) -> Ledger:
    try:
        ledger = Ledger(path, clock.now)
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.open("a", encoding="utf-8").close()
    except (OSError, UnicodeError) as error:
        raise StartError(f"cannot keep a ledger in {path}: {error}") from error
    return ledger


def _call_id(seed: int, number: int) -> str:
    return hashlib.blake2b(f"{seed}:{number}".encode(), digest_size=8).hexdigest()


DESK = web.AppKey("desk", Desk)
ENTRY = web.RequestKey("entry", dict[str, Any])

_SECRET_HEADERS = ("x-goog-api-key", "authorization")


def log_request(desk: Desk, request: web.Request) -> None:
    """Note a request; its body follows when it is read."""
    headers = {
        name.lower(): "(redacted)" if name.lower() in _SECRET_HEADERS else value
        for name, value in request.headers.items()
    }
    query = {k: "(redacted)" if k == "key" else v for k, v in request.query.items()}
    entry: dict[str, Any] = {
        "time": desk.clock.now(),
        "method": request.method,
        "path": request.path,
        "query": query,
        "headers": headers,
        "json": None,
        "bytes": None,
    }
    request[ENTRY] = entry
    desk.requests.append(entry)


def log_body(request: web.Request, body: bytes, document: Any = None) -> None:
    """Complete a request's entry; long base64 strings become their digest."""
    request[ENTRY]["bytes"] = len(body)
    request[ENTRY]["json"] = _shorten(document)


def _shorten(value: Any, depth: int = 0) -> Any:
    if depth > _DEEPEST:
        return "(deeper)"
    if isinstance(value, dict):
        return {key: _shorten(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list):
        return [_shorten(item, depth + 1) for item in value]
    if isinstance(value, str) and len(value) > 4096:
        raw = _decoded(value)
        return {"sha256": hashlib.sha256(raw).hexdigest(), "bytes": len(raw)}
    return value


def _decoded(text: str) -> bytes:
    try:
        return decode_base64(text)
    except ValueError:
        return text.encode()
