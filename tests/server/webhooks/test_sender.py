"""Receivers are told how jobs have ended, at least once and under one id (K22)."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook as Judge
from tests.server.waiting import HANG, until
from tests.server.webhooks.conftest import ANNA, BEN, START, Engine, Receiver, a_job

from heliograph.errors import ConfigurationError, InvalidRequest, RecordNotFound
from heliograph.jobs import JobState
from heliograph.providers.outbound import Allowed, Answered, NotDelivered, Outbound
from heliograph.server.webhooks import delivery as deliveries
from heliograph.server.webhooks.delivery import OPEN, Log, State
from heliograph.server.webhooks.registration import (
    FAILED,
    LEFT,
    MOST,
    UrlNotAllowed,
    WebhooksOff,
)
from heliograph.server.webhooks.sender import (
    GIVEN_UP,
    LONGEST,
    LOOK_AGAIN,
    Webhooks,
    pause_after,
)
from heliograph.server.webhooks.signing import Memory, verify


async def settled(webhooks: Webhooks, webhook: str, count: int = 1) -> list[deliveries.Delivery]:
    """The deliveries of a webhook once so many are at their end."""
    async with asyncio.timeout(HANG):
        while True:
            found = list(await webhooks.deliveries(ANNA, webhook))
            if sum(d.state is not State.PENDING for d in found) >= count:
                return found
            await asyncio.sleep(0.01)


async def disabled(webhooks: Webhooks, webhook: str) -> str:
    """Why a webhook is disabled, once it is."""
    async with asyncio.timeout(HANG):
        while (found := (await webhooks.get(ANNA, webhook)).disabled) is None:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    return found


class Line(Outbound):
    """A receiver without a socket, for tests of days: answers in turn, the last one for ever."""

    def __init__(self, *answers: int | None) -> None:
        super().__init__(Allowed.of("hooks.example.com"), resolve=self._stand_for)
        self.answers = list(answers)
        self.ids: list[str] = []

    async def _stand_for(self, host: str, port: int) -> list[str]:
        del host, port
        return ["8.8.8.8"]

    async def safe_post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answered:
        assert (url, bool(body)) == ("https://hooks.example.com/h", True)
        self.ids.append(headers["webhook-id"])
        status = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if status is None:
            raise NotDelivered("x")
        return Answered(status=status)


URL = "https://hooks.example.com/h"


async def turn(engine: Engine, webhooks: Webhooks, webhook: str, tries: int) -> None:
    """Let time pass until an event was tried so often, or is at its end."""
    async with asyncio.timeout(HANG):
        while True:
            (found, *_) = await webhooks.deliveries(ANNA, webhook)
            if found.tries >= tries or found.state is not State.PENDING:
                return
            engine.clock.now = max(engine.clock.now, found.next)
            webhooks._wake.set()  # the clock was turned by hand
            await asyncio.sleep(0.005)


async def test_a_receiver_is_told_in_the_standard_way(engine: Engine, receiver: Receiver) -> None:
    async with engine.webhooks() as webhooks:
        made = await webhooks.register(ANNA, receiver.url)
        job = a_job()
        await webhooks.deliver(job)
        (told,) = await settled(webhooks, made.webhook.id)
    ((headers, body),) = receiver.got
    assert (told.state, [a.status for a in told.attempts]) == (State.DELIVERED, [200])
    received = verify(headers, body, made.secret, memory=Memory(), now=engine.clock.now.timestamp())
    assert received.payload["type"] == "job.done"
    assert received.payload["data"]["images"] == ["r" * 32]
    assert received.payload["data"]["id"] == job.id
    assert received.payload["data"]["cost_usd"] == "0.24"
    assert b"SECRET-PROMPT" not in body
    assert headers["content-type"] == "application/json"
    signed = Judge(made.secret).sign(headers["webhook-id"], START, body.decode())
    assert headers["webhook-signature"] == signed


async def test_one_event_for_one_job_however_often_it_is_reported(
    engine: Engine, receiver: Receiver
) -> None:
    async with engine.webhooks() as webhooks:
        made = await webhooks.register(ANNA, receiver.url)
        job = a_job()
        for _ in range(3):
            await webhooks.deliver(job)
        await settled(webhooks, made.webhook.id)
        await webhooks.deliver(job)
        await webhooks.deliver(a_job())
        await settled(webhooks, made.webhook.id, 2)
    assert len(receiver.got) == 2
    assert not await engine.store.cabinet.cards(OPEN)


async def test_who_is_told_of_what(engine: Engine, receiver: Receiver) -> None:
    async with engine.webhooks() as webhooks:
        failures = await webhooks.register(ANNA, receiver.url + "/f", ["job.failed"])
        every = await webhooks.register(ANNA, receiver.url + "/e")
        other = await webhooks.register(BEN, receiver.url + "/b")
        error = {"code": "overloaded", "what": "Busy.", "facts": {"path": "/secret"}}
        for job in (
            a_job(JobState.FAILED, error=error),
            a_job(JobState.CANCELLED),
            a_job(webhook=failures.webhook.id),  # which does not want it
            a_job(JobState.RUNNING),
            a_job(changed=START - timedelta(seconds=1)),  # before they were there
        ):
            await webhooks.deliver(job)
        told = await settled(webhooks, every.webhook.id, 2)
        await settled(webhooks, failures.webhook.id, 1)
        assert sorted(d.type for d in told) == ["job.cancelled", "job.failed"]
        assert [d.type for d in await webhooks.deliveries(ANNA, failures.webhook.id)] == [
            "job.failed"
        ]
        assert not await webhooks.deliveries(BEN, other.webhook.id)
    assert len(receiver.got) == 3
    assert not any(b"/secret" in body for _, body in receiver.got)


async def test_killed_between_telling_and_writing_it_down(
    engine: Engine, receiver: Receiver
) -> None:
    """K22: told again, with the same event id and the same body."""
    may = asyncio.Event()

    class Dying(Outbound):
        async def safe_post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answered:
            await super().safe_post(url, body, headers)
            may.set()
            await asyncio.sleep(3600)
            raise AssertionError("it is dead by now")

    allowed = Allowed.of(f"localhost:{receiver.port}")
    async with engine.webhooks(outbound=Dying(allowed)) as webhooks:
        made = await webhooks.register(ANNA, receiver.url)
        await webhooks.deliver(a_job())
        await asyncio.wait_for(may.wait(), HANG)
    assert len(receiver.got) == 1
    async with engine.webhooks() as webhooks:
        await asyncio.sleep(0.05)
        assert len(receiver.got) == 1  # the dead one's claim has not run out
        engine.clock.pass_by(seconds=61)
        webhooks._wake.set()
        await settled(webhooks, made.webhook.id)
    (first, body), (second, again) = receiver.got
    assert first["webhook-id"] == second["webhook-id"]
    assert body == again
    assert first["webhook-timestamp"] != second["webhook-timestamp"]


async def test_killed_between_the_two_cards(engine: Engine, receiver: Receiver) -> None:
    async with engine.webhooks() as webhooks:
        made = await webhooks.register(ANNA, receiver.url)
        await webhooks.deliver(a_job())
        (told,) = await settled(webhooks, made.webhook.id)
        await Log(engine.store.cabinet).change(
            replace(told, state=State.PENDING, version=0, next=START)  # as if it had never left
        )
        webhooks._wake.set()
        async with asyncio.timeout(HANG):
            while await engine.store.cabinet.cards(OPEN):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    assert len(receiver.got) == 1


async def test_what_ended_just_before_the_process_did(engine: Engine, receiver: Receiver) -> None:
    async with engine.webhooks() as webhooks:
        made = await webhooks.register(ANNA, receiver.url)
    engine.jobs.kept = [a_job(), a_job(changed=START - timedelta(minutes=16))]
    async with engine.webhooks() as webhooks:
        await settled(webhooks, made.webhook.id)
    assert len(receiver.got) == 1


async def test_what_ended_with_a_process_beside_this_one(
    engine: Engine, receiver: Receiver
) -> None:
    async with engine.webhooks() as webhooks:
        made = await webhooks.register(ANNA, receiver.url)
        await webhooks.deliver(a_job())
        await settled(webhooks, made.webhook.id)  # the first look is over
        engine.jobs.kept = [a_job()]  # its process has died before it told
        for _ in range(2):
            engine.clock.pass_by(seconds=LOOK_AGAIN)
            webhooks._wake.set()  # the clock was turned by hand
            await settled(webhooks, made.webhook.id, 2)
        engine.jobs.kept += [a_job()]
        engine.clock.pass_by(seconds=LOOK_AGAIN)
        webhooks._wake.set()
        await settled(webhooks, made.webhook.id, 3)
    assert len(receiver.got) == 3


async def test_two_processes_make_each_attempt_once(engine: Engine, receiver: Receiver) -> None:
    async with engine.webhooks() as one, engine.webhooks() as two:
        made = await one.register(ANNA, receiver.url)
        for _ in range(10):
            job = a_job()
            await asyncio.gather(one.deliver(job), two.deliver(job))
        await settled(one, made.webhook.id, 10)
    assert len(receiver.got) == 10


async def test_tried_for_a_day_then_dead_and_replayed(engine: Engine) -> None:
    line = Line(None, 500, 302, 404)
    async with engine.webhooks(outbound=line) as webhooks:
        made = (await webhooks.register(ANNA, URL)).webhook
        await webhooks.deliver(a_job())
        await turn(engine, webhooks, made.id, 999)
        (dead,) = await webhooks.deliveries(ANNA, made.id)
        assert dead.state is State.DEAD
        assert timedelta(hours=19) < dead.attempts[-1].at - dead.created <= GIVEN_UP
        assert [a.status for a in dead.attempts[:4]] == [None, 500, 302, 404]
        assert 10 <= dead.tries <= 20
        assert len(set(line.ids)) == 1
        line.answers = [200]
        replayed = await webhooks.replay(ANNA, made.id, dead.event)
        assert (replayed.event, replayed.state) == (dead.event, State.PENDING)
        (told,) = await settled(webhooks, made.id)
        assert (told.state, told.event) == (State.DELIVERED, dead.event)
        assert len(set(line.ids)) == 1
        with pytest.raises(RecordNotFound):
            await webhooks.replay(ANNA, made.id, "evt_" + "0" * 32)
        with pytest.raises(RecordNotFound):
            await webhooks.replay(BEN, made.id, dead.event)


async def test_one_that_is_never_heard_is_disabled(engine: Engine) -> None:
    line = Line(500)
    async with engine.webhooks(outbound=line) as webhooks:
        made = (await webhooks.register(ANNA, URL)).webhook
        for _ in range(3):
            await webhooks.deliver(a_job(changed=engine.clock.now))
            await turn(engine, webhooks, made.id, 999)
        assert await disabled(webhooks, made.id) == FAILED
        before = len(line.ids)
        await webhooks.deliver(a_job(changed=engine.clock.now))
        assert len(await webhooks.deliveries(ANNA, made.id)) == 3
        assert len(line.ids) == before
        assert (await webhooks.enable(ANNA, made.id)).disabled is None
        line.answers = [204]
        await webhooks.deliver(a_job(changed=engine.clock.now))
        assert (await settled(webhooks, made.id, 4))[0].state is State.DELIVERED


async def test_one_that_is_gone_is_disabled_at_once(engine: Engine) -> None:
    async with engine.webhooks(outbound=Line(410)) as webhooks:
        made = (await webhooks.register(ANNA, URL)).webhook
        await webhooks.deliver(a_job())
        (told,) = await settled(webhooks, made.id)
        assert (told.state, told.tries) == (State.DEAD, 1)
        assert await disabled(webhooks, made.id) == LEFT


async def test_a_receiver_that_says_when(engine: Engine, receiver: Receiver) -> None:
    receiver.answer = lambda: web.Response(status=429, headers={"retry-after": "3000"})
    async with engine.webhooks() as webhooks:
        made = (await webhooks.register(ANNA, receiver.url)).webhook
        await webhooks.deliver(a_job())
        await until(lambda: bool(receiver.got))
        async with asyncio.timeout(HANG):
            while not (waiting := (await webhooks.deliveries(ANNA, made.id))[0]).attempts:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert waiting.next - START == timedelta(seconds=3000)


async def test_what_is_removed_is_not_told(engine: Engine) -> None:
    line = Line(500)
    async with engine.webhooks(outbound=line) as webhooks:
        made = (await webhooks.register(ANNA, URL)).webhook
        await webhooks.deliver(a_job())
        await turn(engine, webhooks, made.id, 1)
        with pytest.raises(RecordNotFound):
            await webhooks.remove(BEN, made.id)
        await webhooks.remove(ANNA, made.id)
        assert not await webhooks.list(ANNA)
        before = len(line.ids)
        engine.clock.pass_by(hours=5)
        webhooks._wake.set()
        await asyncio.sleep(0.05)
        assert len(line.ids) == before
        assert not await engine.store.cabinet.cards(OPEN)


async def test_the_log_is_bounded(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliveries, "KEPT", 5)
    monkeypatch.setattr(deliveries, "SLACK", 3)
    async with engine.webhooks(outbound=Line(200)) as webhooks:
        made = (await webhooks.register(ANNA, URL)).webhook

        async def bounded() -> bool:
            # those that end while it is cut are cut with the next ones
            return len(await engine.store.cabinet.cards(f"delivery/{made.id}")) <= 5 + 3

        for n in range(12):
            await webhooks.deliver(a_job())
            await settled(webhooks, made.id, min(n + 1, 5))
            await until(bounded)
    monkeypatch.setattr(deliveries, "MOST_OPEN", 2)
    webhooks = engine.webhooks(outbound=Line(200))  # nobody sends
    await engine.webhooks(outbound=Line(200)).remove(ANNA, made.id)
    made = (await webhooks.register(ANNA, URL)).webhook
    for _ in range(4):
        await webhooks.deliver(a_job())
    states = [d.state for d in await webhooks.deliveries(ANNA, made.id)]
    assert sorted(s.value for s in states) == ["dead", "dead", "pending", "pending"]


async def test_registering(engine: Engine, receiver: Receiver) -> None:
    webhooks = engine.webhooks()
    for url in ("https://127.0.0.1/", "http://localhost:1/", "https://10.0.0.1.example.com/", "x"):
        with pytest.raises(UrlNotAllowed) as caught:
            await webhooks.register(ANNA, url)
        assert caught.value.why is None
    for events in ([], ["job.started"], ["job.done", "x"]):
        with pytest.raises(InvalidRequest):
            await webhooks.register(ANNA, receiver.url, events)
    secrets = [(await webhooks.register(ANNA, receiver.url)).secret for _ in range(MOST)]
    assert len(set(secrets)) == MOST
    with pytest.raises(InvalidRequest):
        await webhooks.register(ANNA, receiver.url)
    await webhooks.register(BEN, receiver.url)
    cards = await engine.store.cabinet.cards(f"webhook/{ANNA}")
    assert not any(secret in json.dumps(dict(card.body)) for card in cards for secret in secrets)
    off = SimpleNamespace(**vars(engine) | {"settings": SimpleNamespace(server_webhook_hosts="")})
    with pytest.raises(WebhooksOff):
        await Webhooks(off).register(ANNA, receiver.url)
    weak: Any = SimpleNamespace(**vars(engine) | {"secrets": SimpleNamespace(webhooks=b"")})
    with pytest.raises(ConfigurationError):
        await Webhooks(weak).register(BEN, receiver.url)
    assert len(await webhooks.list(BEN)) == 1


@given(st.integers(1, 10**6), st.floats(0, 1))
def test_pauses_grow_and_are_never_in_step(tries: int, draw: float) -> None:
    pause = pause_after(tries, draw)
    assert 3 < pause <= 1.25 * LONGEST
    assert pause_after(tries + 1, draw) >= pause
    assert pause_after(tries, 0) < pause_after(tries, 1)
