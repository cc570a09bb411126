"""What Prometheus reads: true numbers, bounded labels, and only for whom they are meant."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families
from starlette.requests import Request
from starlette.types import Message, Scope

from heliograph import AsyncHeliograph
from heliograph.jobs import JobState
from heliograph.ports import Event
from heliograph.server.faults import Forbidden, Unauthenticated
from heliograph.server.logs import Served
from heliograph.server.metrics import Metrics, refuse_reader


class Stand:
    """As much of a gateway as metrics read."""

    def __init__(self, client: AsyncHeliograph) -> None:
        self.client = client
        self.is_draining = False


@pytest.fixture
async def stand(tmp_path: Path) -> AsyncIterator[Stand]:
    async with AsyncHeliograph(home=tmp_path / "home", simulate=True) as client:
        yield Stand(client)


def served(**named: Any) -> Served:
    fields: dict[str, Any] = {
        "request_id": "r1",
        "method": "POST",
        "route": "/openai/v1/images/generations",
        "status": 200,
        "seconds": 1.5,
        "user": "u" * 32,
        "key": "k3yk3yk3",
        "address": "192.0.2.1",
        "job": "j" * 32,
        "cost_micro": 240000,
    }
    return Served(**{**fields, **named})


async def read(metrics: Metrics, stand: Stand) -> dict[str, float]:
    text = (await metrics.text(stand)).decode()
    return {
        sample.name + "".join(f",{k}={v}" for k, v in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_requests_and_calls_are_counted(stand: Stand) -> None:
    metrics = Metrics()
    metrics.served(served())
    metrics.served(served(status=429))
    job = "a" * 32
    metrics.observe(Event(name="planned", job=job, at=0, facts={"model": "m", "size": "4K"}))
    metrics.observe(Event(name="receiving", job=job, at=1, facts={"bytes": 1}))
    assert (await read(metrics, stand))["heliograph_bodies_in_receipt"] == 1
    metrics.observe(Event(name="retrying", job=job, at=1, facts={"error": "overloaded"}))
    metrics.observe(
        Event(name="kept", job=job, at=2, facts={"cost_micro": 240000, "verdict": "verified"})
    )
    finished = {"face": "openai", "state": JobState.DONE.value}
    metrics.observe(Event(name="finished", job=job, at=3, facts=finished))
    metrics.observe(Event(name="admitted", job=job, at=0, facts={"waited": 0.3}))
    metrics.look_up("jobs_waiting", lambda: 7)
    metrics.look_up_breakers(lambda: [("p", "m", "open")])
    found = await read(metrics, stand)
    route = "face=openai,method=POST,route=/openai/v1/images/generations"
    assert found[f"heliograph_http_requests_total,{route},status=200"] == 1
    assert found[f"heliograph_http_requests_total,{route},status=429"] == 1
    assert found["heliograph_images_total,model=m,size=4K,verdict=verified"] == 1
    assert found["heliograph_spent_micro_dollars_total,model=m"] == 240000
    assert found["heliograph_call_retries_total,error=overloaded"] == 1
    assert found["heliograph_call_steps_total,step=kept"] == 1
    assert found["heliograph_jobs_total,face=openai,state=done"] == 1
    assert found["heliograph_queue_wait_seconds_count"] == 1
    assert found["heliograph_jobs_waiting"] == 7
    assert found["heliograph_breaker,model=m,project=p,state=open"] == 1
    assert found["heliograph_bodies_in_receipt"] == 0
    assert found["heliograph_disk_free_bytes"] > 0
    assert found["heliograph_database_up"] == 1
    assert found["process_resident_memory_bytes"] > 0


async def test_money_is_that_of_the_ledger(stand: Stand) -> None:
    await stand.client.set_budget("day", "5")
    result = await stand.client.generate("A lighthouse", size="1K")
    found = await read(Metrics(), stand)
    assert found["heliograph_budget_micro_dollars,window=day"] == 5_000_000
    name = "heliograph_ledger_micro_dollars,account=settled,simulated=true,window=total"
    assert found[name] == result.cost > 0
    assert found["heliograph_wal_bytes"] > 0


async def test_no_user_key_job_or_address_is_a_label(stand: Stand) -> None:
    metrics = Metrics()
    metrics.served(served())
    metrics.observe(Event(name="planned", job="j" * 32, at=0, facts={"model": "m", "size": "4K"}))
    store = await stand.client.store()
    await store.journal.set_budget("user/" + "u" * 32, 5_000_000)
    text = (await metrics.text(stand)).decode()
    for private in ("u" * 32, "k3yk3yk3", "192.0.2.1", "j" * 32, "python_info"):
        assert private not in text


@given(st.lists(st.text(max_size=20), max_size=20))
def test_made_up_steps_share_one_label(names: list[str]) -> None:
    metrics = Metrics()
    for name in names:
        metrics.observe(Event(name=name, job="j", at=0))
    steps = {
        sample.labels["step"]
        for family in metrics.registry.collect()
        for sample in family.samples
        if "step" in sample.labels
    }
    assert len(steps) <= 30


async def test_a_busy_loop_is_seen(stand: Stand) -> None:
    metrics = Metrics()
    ticker = asyncio.create_task(metrics.ticking())
    await asyncio.sleep(0.03)
    time.sleep(0.2)  # noqa: ASYNC251  blocking it is the point
    await asyncio.sleep(0.03)
    ticker.cancel()
    found = await read(metrics, stand)
    slow = found["heliograph_loop_lag_seconds_count"]
    # a machine that stood still besides is seen, too
    assert slow - found["heliograph_loop_lag_seconds_bucket,le=0.05"] >= 1
    assert found["heliograph_loop_lag_seconds_sum"] > 0.1


# ------------------------------------------------------------ who may read


class _Caller:
    def __init__(self, *, is_admin: bool) -> None:
        self.is_admin = is_admin


def _request(peer: str | None, *headers: str, caller: _Caller | None = None) -> Request:
    scope: Scope = {
        "type": "http",
        "method": "GET",
        "path": "/metrics",
        "client": (peer, 1) if peer else None,
        "headers": [(name.encode(), b"192.0.2.1") for name in headers],
        "state": {"caller": caller},
    }

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    return Request(scope, receive)


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.8.8.8", "::1"])
def test_this_machine_may_read(peer: str) -> None:
    assert refuse_reader("local", _request(peer)) is None


@pytest.mark.parametrize(
    "request_",
    [
        _request("192.0.2.1"),
        _request("unix"),
        _request(None),
        _request("127.0.0.1", "x-forwarded-for"),
        _request("127.0.0.1", "forwarded"),
        _request("127.0.0.1", "x-real-ip"),
    ],
)
def test_others_get_the_answer_of_a_path_that_is_not_there(request_: Request) -> None:
    refusal = refuse_reader("local", request_)
    assert refusal is not None
    assert refusal.status_code == 404


def test_off_means_nobody_and_open_means_anybody() -> None:
    off = refuse_reader("off", _request("127.0.0.1"))
    assert off is not None
    assert off.status_code == 404
    assert refuse_reader("open", _request("192.0.2.1")) is None


def test_with_key_it_takes_an_admin() -> None:
    with pytest.raises(Unauthenticated):
        refuse_reader("key", _request("127.0.0.1"))
    with pytest.raises(Forbidden):
        refuse_reader("key", _request("127.0.0.1", caller=_Caller(is_admin=False)))
    assert refuse_reader("key", _request("192.0.2.1", caller=_Caller(is_admin=True))) is None
