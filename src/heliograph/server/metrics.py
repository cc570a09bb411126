"""What the gateway counts and measures, for Prometheus.

Fed by three: `served` (a sink of `logs.RequestWatch`), `observe` (an observer of client events)
and `ticking` (the event loop). Everything else is looked up when somebody asks for `/metrics`.
Invariant: labels come from sets that cannot grow by what clients send; no user, key, job, prompt
or address is one.
"""

import asyncio
import ipaddress
import logging
import shutil
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from heliograph.client import AsyncHeliograph
from heliograph.errors import HeliographError
from heliograph.ledger import budget_of
from heliograph.ports import Event
from heliograph.server.faults import Forbidden, Unauthenticated
from heliograph.server.logs import Served
from heliograph.server.routes import guarded

TICK = 0.010  # seconds; the loop may never be busy for 50 ms at a time (reliability.md L6)
LAGS = (0.001, 0.002, 0.005, 0.010, 0.020, 0.050, 0.100, 0.250, 0.5, 1.0)
SECONDS = (0.005, 0.025, 0.1, 0.5, 1, 2.5, 5, 10, 20, 40, 60, 90, 120, 180, 300)
WAITS = (0.01, 0.1, 0.5, 1, 5, 15, 30, 60, 120, 300)
SILENCE = 60.0  # seconds after its latest bytes in which a body counts as being received
FAR = 10_000  # jobs whose model is remembered; more are never under way
# the steps of a call that are counted; see `Event`
STEPS = frozenset(
    {
        *("planned", "reserved", "connected", "sent", "answering", "received", "checked", "kept"),
        *("exported", "retrying", "waiting", "falling back", "submitted", "late", "given up"),
        *("recovered", "not recovered", "uploading", "upload failed", "finished", "admitted"),
    }
)
ENDED = ("kept", "given up", "finished")
Access = Literal["local", "key", "open", "off"]
LOG = logging.getLogger("heliograph.server")
Breakers = Callable[[], Iterable[tuple[str, str, str]]]  # project, model, state
_FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip")


class Readable(Protocol):
    """What is looked up in the gateway when metrics are asked for."""

    @property
    def client(self) -> AsyncHeliograph: ...

    @property
    def is_draining(self) -> bool: ...


class Metrics:
    """The registry of one gateway; several can live in one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=True)
        self._lookups: dict[str, Callable[[], float]] = {}
        self._models: OrderedDict[str, tuple[str, str]] = OrderedDict()  # by job
        # labels are looked up once each; there are as few as there are routes and statuses
        self._served: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self._receiving: dict[str, float] = {}  # when the latest bytes came, by job
        ProcessCollector(registry=self.registry)
        self._requests = self._counter(
            "http_requests", "Requests answered.", "face", "method", "route", "status"
        )
        self._durations = self._histogram(
            "http_request_seconds", "Until the last byte of an answer.", SECONDS, "face", "route"
        )
        self._steps = self._counter("call_steps", "Steps that calls came to.", "step")
        self._retries = self._counter("call_retries", "Attempts after a failure.", "error")
        self._images = self._counter("images", "Pictures kept.", "model", "size", "verdict")
        self._spent = self._counter("spent_micro_dollars", "Cost of kept pictures.", "model")
        self._jobs = self._counter("jobs", "Jobs that came to a state.", "face", "state")
        self._waited = self._histogram("queue_wait_seconds", "Wait for a free place.", WAITS)
        self._lag = self._histogram("loop_lag_seconds", "Lateness of a 10 ms ticker.", LAGS)
        self._draining = Gauge(
            "heliograph_draining", "1 while the gateway stops.", registry=self.registry
        )
        bodies = Gauge(
            "heliograph_bodies_in_receipt", "Answers being received.", registry=self.registry
        )
        bodies.set_function(self._in_receipt)
        self._looked_up = _LookedUp(self._lookups)
        self.registry.register(self._looked_up)

    # ------------------------------------------------------------ fed

    def served(self, served: Served) -> None:
        """A sink of `RequestWatch`."""
        kind = served.method, served.route, served.status
        found = self._served.get(kind)
        if found is None:
            face = served.face
            found = self._served[kind] = (
                self._requests.labels(face, served.method, served.route, str(served.status)),
                self._durations.labels(face, served.route),
            )
        count, duration = found
        count.inc()
        duration.observe(served.seconds)

    def observe(self, event: Event) -> None:
        """An observer of the client."""
        facts = event.facts
        if event.name == "receiving":
            self._receiving[event.job] = time.monotonic()
            return
        self._receiving.pop(event.job, None)
        self._steps.labels(event.name if event.name in STEPS else "other").inc()
        if event.name == "planned":
            self._remember(event.job, str(facts.get("model")), str(facts.get("size")))
        elif event.name == "retrying":
            self._retries.labels(str(facts.get("error", "unknown"))).inc()
        elif event.name == "kept":
            model, size = self._models.get(event.job, ("unknown", "unknown"))
            self._images.labels(model, size, str(facts.get("verdict") or "none")).inc()
            self._spent.labels(model).inc(int(facts.get("cost_micro", 0)))
        elif event.name == "finished":
            self._jobs.labels(str(facts["face"]), str(facts["state"])).inc()
        elif event.name == "admitted":
            self._waited.observe(float(facts["waited"]))
        if event.name in ENDED:
            self._models.pop(event.job, None)

    def look_up(self, name: str, value: Callable[[], float]) -> None:
        """Ask for a number whenever metrics are read, such as "jobs_waiting"."""
        self._lookups[name] = value

    def look_up_breakers(self, breakers: Breakers) -> None:
        """Ask for the states of breakers whenever metrics are read."""
        self._looked_up.breakers = breakers

    async def ticking(self) -> None:
        """Measure the event loop until cancelled."""
        while True:
            begun = time.monotonic()
            await asyncio.sleep(TICK)
            self._lag.observe(max(0.0, time.monotonic() - begun - TICK))

    # ------------------------------------------------------------ read

    async def text(self, gateway: Readable) -> bytes:
        """Everything, in Prometheus's text format."""
        self._draining.set(int(gateway.is_draining))
        home = gateway.client.settings.home
        families = await _money(gateway.client)
        self._looked_up.families = [*families, *await asyncio.to_thread(_disk, home)]
        return await asyncio.to_thread(generate_latest, self.registry)

    def route(self, gateway: Readable) -> BaseRoute:
        """`/metrics`, for whom `server_metrics` allows it."""

        async def metrics(request: Request) -> Response:
            allowed = gateway.client.settings.server_metrics
            refusal = refuse_reader(allowed, request)
            if refusal is not None:
                return refusal
            text = await self.text(gateway)
            kind = "text/plain; version=0.0.4; charset=utf-8"
            return Response(text, media_type=kind, headers={"cache-control": "no-store"})

        return guarded("/metrics", metrics, methods=["GET"], scope=None)  # it checks for itself

    def _in_receipt(self) -> float:
        # nobody tells when a body is cut; by then its call is given up
        oldest = time.monotonic() - SILENCE
        for job in [job for job, at in self._receiving.items() if at < oldest]:
            del self._receiving[job]
        return len(self._receiving)

    def _remember(self, job: str, model: str, size: str) -> None:
        self._models[job] = model, size
        if len(self._models) > FAR:
            self._models.popitem(last=False)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"heliograph_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: Sequence[float], *labels: str) -> Histogram:
        return Histogram(
            f"heliograph_{name}", text, labels, buckets=tuple(buckets), registry=self.registry
        )


class _LookedUp(Collector):
    """Numbers that are looked up when they are wanted."""

    def __init__(self, lookups: Mapping[str, Callable[[], float]]) -> None:
        self._lookups = lookups
        self.breakers: Breakers = tuple
        self.families: list[Metric] = []

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterable[Metric]:
        for name, value in self._lookups.items():
            yield GaugeMetricFamily(f"heliograph_{name}", "Looked up now.", value=value())
        states = GaugeMetricFamily(
            "heliograph_breaker", "1 for the state a breaker is in.", labels=_BREAKER
        )
        for labels in self.breakers():
            states.add_metric(labels, 1)
        yield states
        yield from self.families


_BREAKER = ("project", "model", "state")


def refuse_reader(allowed: Access, request: Request) -> Response | None:
    """None when this request may read metrics, or else how it is refused.

    Raises:
        Unauthenticated, Forbidden: an admin's key is needed and is not there.
    """
    if allowed == "open":
        return None
    if allowed == "key":
        caller: Any = request.scope.get("state", {}).get("caller")
        if caller is None:
            raise Unauthenticated("Metrics need the key of an admin.", remedy="Send one.")
        if not caller.is_admin:
            raise Forbidden("Metrics are for admins.", remedy="Use the key of an admin.")
        return None
    if allowed == "local" and is_local(request):
        return None
    # as if there were no such route: whether it exists is nobody's business
    return Response("Not Found", status_code=404, media_type="text/plain")


def is_local(request: Request) -> bool:
    """Whether a request comes from this machine, and not through a proxy that runs on it."""
    client = request.scope.get("client")
    if client is None or any(name in request.headers for name in _FORWARDED):
        return False
    try:
        return ipaddress.ip_address(str(client[0]).partition("%")[0]).is_loopback
    except ValueError:
        return False


def _disk(home: Path) -> list[Metric]:
    free = GaugeMetricFamily("heliograph_disk_free_bytes", "Free where the library lies.")
    wal = GaugeMetricFamily("heliograph_wal_bytes", "Size of the database's write-ahead log.")
    try:
        free.add_metric((), shutil.disk_usage(home).free)
        wal.add_metric((), wal_bytes(home))
    except OSError as error:
        LOG.warning("the disk of the library cannot be measured: %s", error.strerror)
    return [free, wal]


def wal_bytes(home: Path) -> int:
    """Bytes of the write-ahead log of the library's own database; 0 when it has none."""
    try:
        return (home / "heliograph.db-wal").stat().st_size
    except FileNotFoundError:
        return 0


async def _money(client: AsyncHeliograph) -> list[Metric]:
    micro = GaugeMetricFamily(
        "heliograph_ledger_micro_dollars",
        "What is taken: settled, reserved for calls under way, held for unknown outcomes.",
        labels=("window", "account", "simulated"),
    )
    limits = GaugeMetricFamily(
        "heliograph_budget_micro_dollars", "Budgets of the whole gateway.", labels=("window",)
    )
    up = GaugeMetricFamily("heliograph_database_up", "1 when the database answers.")
    try:
        balances, budgets = await client.balances(), await client.budgets()
    except HeliographError:
        up.add_metric((), 0)
        return [up]
    up.add_metric((), 1)
    for balance in balances:
        window = budget_of(balance.scope)
        if "/" in window:
            continue  # of a tag, a user or a key: whose money it is is no label
        for account in ("settled", "reserved", "held"):
            labels = (window, account, str(balance.simulated).lower())
            micro.add_metric(labels, getattr(balance, account))
    for window, limit in budgets.items():
        if "/" not in window:
            limits.add_metric((window,), limit)
    return [micro, limits, up]
