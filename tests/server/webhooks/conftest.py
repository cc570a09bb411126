"""Webhooks over a real cabinet, and a receiver on a real socket."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiohttp import web

from heliograph.accounts import new_id
from heliograph.jobs import Job, JobState
from heliograph.providers.outbound import Allowed, Outbound
from heliograph.server.webhooks.sender import Webhooks
from heliograph.storage import open_storage

ANNA, BEN = "a" * 32, "b" * 32
START = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)


@dataclass
class Clock:
    """A clock that is turned by hand."""

    now: datetime = START

    def __call__(self) -> datetime:
        return self.now

    def pass_by(self, **time: float) -> None:
        """Turn it on."""
        self.now += timedelta(**time)


@dataclass
class Receiver:
    """What somebody's server got, and what it answers."""

    port: int = 0
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    answer: Callable[[], web.StreamResponse] = field(default=web.Response)

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}/hook"

    async def take(self, request: web.Request) -> web.StreamResponse:
        """Any request."""
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.got.append((headers, await request.read()))
        return self.answer()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    made = Receiver()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", made.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.port = runner.addresses[0][1]
    yield made
    await runner.cleanup()


class NoJobs:
    """A gateway without jobs of earlier processes."""

    def __init__(self) -> None:
        self.kept: list[Job] = []

    async def jobs(self, **_: Any) -> Sequence[Job]:
        return self.kept


@dataclass
class Engine:
    """As much of a gateway as webhooks need."""

    store: Any
    settings: Any
    jobs: NoJobs = field(default_factory=NoJobs)
    secrets: Any = field(default_factory=lambda: SimpleNamespace(webhooks=b"w" * 32))
    clock: Clock = field(default_factory=Clock)

    def webhooks(self, **changes: Any) -> Webhooks:
        """A sender; times between attempts are not left to chance."""
        allowed = Allowed.of(self.settings.server_webhook_hosts)
        given: dict[str, Any] = {"outbound": Outbound(allowed), "clock": self.clock} | changes
        return Webhooks(cast("Any", self), draw=lambda: 0.5, **given)


@pytest.fixture(scope="session")
def blank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty library, migrated once."""
    folder = tmp_path_factory.mktemp("blank") / "library"
    asyncio.run(open_storage(folder).close())
    return folder


@pytest.fixture
async def engine(tmp_path: Path, blank: Path, receiver: Receiver) -> AsyncIterator[Engine]:
    shutil.copytree(blank, tmp_path / "library")
    storage = open_storage(tmp_path / "library")
    settings = SimpleNamespace(server_webhook_hosts=f"localhost:{receiver.port}")
    yield Engine(store=storage, settings=settings)
    await storage.close()


def a_job(state: JobState = JobState.DONE, **changes: Any) -> Job:
    fields: dict[str, Any] = {
        "id": new_id(),
        "user": ANNA,
        "access": None,
        "face": "native",
        "route": "POST /jobs",
        "state": state,
        "mark": "m",
        "pictures": ("p" * 32,),
        "prompt": "SECRET-PROMPT",
        "created": START,
        "changed": START + timedelta(seconds=30),
        "owner": "o",
        "library": "l",
        "records": ("r" * 32,) if state is JobState.DONE else (),
        "cost": 240_000,
    }
    return Job(**{**fields, **changes})
