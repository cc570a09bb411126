"""What every load row stands on: pictures, a gateway, eyes on its memory and its health.

Invariant: everything listens on this machine alone, only processes started here are ended, and
by their numbers; each row has a gateway and a home folder of its own.
"""

import http.client
import json
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
from bench.load_client import Answer, probing

STOP_SECONDS = 60
GONE = (psutil.NoSuchProcess, psutil.AccessDenied)


@dataclass(frozen=True, kw_only=True)
class Ground:
    """What a row may use."""

    folder: Path  # on the disk that a library would be on
    large: Path  # recorded answers of 4K
    small: Path  # of 1K
    long: bool  # as long as the bar says, instead of about two minutes


@dataclass(frozen=True, kw_only=True)
class Row:
    """One bar and what was found."""

    number: str
    bar: str
    found: Mapping[str, Any]
    ratios: Mapping[str, float] = field(default_factory=dict)
    broken: tuple[str, ...] = ()  # what of the bar does not hold
    notes: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        return not self.broken


class Bars:
    """Collects what does not hold."""

    def __init__(self) -> None:
        self.broken: list[str] = []

    def most(self, what: str, value: float, bar: float) -> None:
        """It must not be more."""
        if not value <= bar:
            self.broken.append(f"{what} is {value:.4g}, more than {bar:g}")

    def least(self, what: str, value: float, bar: float) -> None:
        """It must not be less."""
        if not value >= bar:
            self.broken.append(f"{what} is {value:.4g}, less than {bar:g}")

    def none(self, what: str, count: int) -> None:
        """There must be none."""
        if count:
            self.broken.append(f"{count} {what}")


@dataclass(frozen=True, kw_only=True)
class Gateway:
    """A running gateway."""

    url: str
    key: str  # of the admin
    process: psutil.Process
    home: Path

    def call(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Status and JSON document, or text, of one small request."""
        parts = urlsplit(self.url)
        connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=30)
        try:
            sent = None if body is None else json.dumps(body)
            headers = {"authorization": f"Bearer {self.key}", "content-type": "application/json"}
            connection.request(method, path, sent, headers)
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        is_json = "json" in (answer.getheader("content-type") or "")
        return answer.status, json.loads(text) if is_json else text

    def fetch(self, path: str) -> int:
        """The status of a GET whose bytes are thrown away."""
        parts = urlsplit(self.url)
        connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=60)
        try:
            connection.request("GET", path, headers={"authorization": f"Bearer {self.key}"})
            answer = connection.getresponse()
            answer.read()
            return answer.status
        finally:
            connection.close()

    def metrics(self) -> dict[str, float]:
        """Everything of `/metrics`, by name and labels."""
        text = str(self.call("GET", "/metrics")[1])
        lines = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
        return {name: float(value) for name, _, value in lines if name}

    def user(self, name: str) -> str:
        """The text of a key of a new member."""
        status, user = self.call("POST", "/api/v1/users", {"name": name})
        if status != 201:
            raise RuntimeError(f"no user: {status} {user}")
        status, key = self.call("POST", "/api/v1/keys", {"name": "load", "user": user["id"]})
        if status != 201:
            raise RuntimeError(f"no key: {status} {key}")
        return str(key["text"])


GUARDED = 90 * 10**6  # bytes that the disk guard wants for each call under way

# A gateway whose disk guard expects smaller answers, for a row whose answers are small.
LENIENT = (
    "import sys, heliograph.server.health as h; h.ANSWERS = dict.fromkeys(h.ANSWERS, 2 * 10**6); "
    "from heliograph.cli import main; sys.exit(main())"
)


@contextmanager
def gateway(
    upstream: str, home: Path, *, lenient: bool = False, **settings: object
) -> Iterator[Gateway]:
    """Our gateway as a user starts it, with settings of its own; stopped at the end.

    Args:
        lenient: lift its disk guard, as `LENIENT` does.
    """
    process, served = start(upstream, home, lenient=lenient, **settings)
    try:
        yield served
    finally:
        stop(process)


def start(
    upstream: str, home: Path, *, lenient: bool = False, **settings: object
) -> tuple["subprocess.Popen[bytes]", Gateway]:
    """The same, to be ended by whoever starts it."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("HELIOGRAPH", "GOOGLE", "GEMINI"))
    }
    own = {f"HELIOGRAPH_{name.upper()}": str(value) for name, value in settings.items()}
    environment = {
        **inherited,
        "GEMINI_API_KEY": "bench",
        "HELIOGRAPH_BASE_URL": upstream,
        "HELIOGRAPH_SERVER_USER_PER_MINUTE": "1000000",
        **own,
    }
    words = ["-c", LENIENT] if lenient else ["-m", "heliograph"]
    log = home.with_name(f"{home.name}.log").open("ab")
    process = subprocess.Popen(
        [sys.executable, *words, "serve", "--port", "0", "--json", "--home", str(home)],
        stdout=subprocess.PIPE,
        stderr=log,
        env=environment,
    )
    log.close()
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        process.wait(STOP_SECONDS)
        raise RuntimeError(f"the gateway does not start; see {log.name}")
    said = json.loads(line)
    served = Gateway(
        url=said["url"],
        key=said.get("admin_key") or "",
        process=psutil.Process(process.pid),
        home=home,
    )
    return process, served


def stop(process: "subprocess.Popen[bytes]") -> None:
    """By SIGTERM, and by SIGKILL where that is not enough; its workers too."""
    if process.poll() is not None:
        return
    below = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for child in below:
        try:
            child.kill()
        except GONE:
            continue


def must_lift(folder: Path, calls: int) -> tuple[bool, tuple[str, ...]]:
    """Whether the disk is too small for the guard with so many calls, and what is said then."""
    free = shutil.disk_usage(folder).free
    if free > (calls + 1) * GUARDED:
        return False, ()
    return True, (f"the disk guard is lifted: {free / 1e9:.0f} GB are free",)


@dataclass
class Watch:
    """What was seen of a gateway during a block."""

    peak: float = 0.0  # megabytes of its process
    peak_all: float = 0.0  # with its workers
    swapped: float = 0.0  # megabytes of its process, at most
    health: list[float] = field(default_factory=list)  # seconds
    lag: dict[float, float] = field(default_factory=dict)  # ticks by the bound they stayed below

    @property
    def health_p99(self) -> float:
        """Milliseconds."""
        return 1000 * share(self.health, 0.99)

    def lagging(self, bound: float) -> float:
        """The share of ticks that were later than so many seconds."""
        every = self.lag.get(float("inf"), 0.0)
        return 1 - self.lag.get(bound, 0.0) / every if every else 0.0


@contextmanager
def watching(served: Gateway) -> Iterator[Watch]:
    """Look at memory, health and the event loop while the block runs."""
    watch, over = Watch(), threading.Event()

    def look() -> None:
        while not over.wait(0.1):
            own, below = memory(served.process)
            watch.peak = max(watch.peak, own)
            watch.peak_all = max(watch.peak_all, own + below)

    before = _lag(served)
    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        with probing(served.url) as health:
            yield watch
    finally:
        over.set()
        thread.join()
    watch.health = health
    watch.swapped = served.process.memory_full_info().swap / 1e6
    watch.lag = {bound: count - before[bound] for bound, count in _lag(served).items()}


def _lag(served: Gateway) -> dict[float, float]:
    begins = 'heliograph_loop_lag_seconds_bucket{le="'
    return {
        float(name.removeprefix(begins).removesuffix('"}')): value
        for name, value in served.metrics().items()
        if name.startswith(begins)
    }


def memory(process: psutil.Process) -> tuple[float, float]:
    """Megabytes of a process, and of its workers."""
    below = 0.0
    for child in process.children(recursive=True):
        try:
            below += child.memory_info().rss / 1e6
        except GONE:
            continue
    return process.memory_info().rss / 1e6, below


def cpu(process: psutil.Process) -> float:
    """Seconds of CPU of one process, without its workers."""
    times = process.cpu_times()
    return float(times.user + times.system)


def until(seconds: float, holds: Any, every: float = 0.05) -> float:
    """Seconds until it holds.

    Raises:
        TimeoutError: it does not.
    """
    began = time.monotonic()
    while not holds():
        if time.monotonic() - began > seconds:
            raise TimeoutError(f"not within {seconds} s")
        time.sleep(every)
    return time.monotonic() - began


def share(values: Sequence[float], part: float) -> float:
    """A quantile; not a number when there is nothing."""
    if not values:
        return float("nan")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def median(values: Sequence[float]) -> float:
    """The middle; not a number when there is nothing."""
    return statistics.median(values) if values else float("nan")


def done(answers: Sequence[Answer]) -> list[Answer]:
    """Those that brought a picture, or took a job on."""
    return [answer for answer in answers if answer.status in (200, 202)]


def statuses(answers: Sequence[Answer]) -> dict[str, int]:
    """How many of each; 0 are those that never came."""
    found: dict[str, int] = {}
    for answer in answers:
        found[str(answer.status)] = found.get(str(answer.status), 0) + 1
    return found


def upstream_seen(url: str) -> dict[str, int]:
    """What the waiting upstream counted."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=10)
    connection.request("GET", "/")
    found: dict[str, int] = json.loads(connection.getresponse().read())
    connection.close()
    return found


def machine() -> dict[str, Any]:
    """What it ran on."""
    return {
        "cores": psutil.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "load_average": [round(each, 2) for each in psutil.getloadavg()],
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
    }
