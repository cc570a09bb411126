"""The API of webhooks: everybody's own, and the secret once."""

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from fastapi import FastAPI
from starlette.types import Receive, Scope, Send
from tests.server.pictures.conftest import a_caller, render, serving
from tests.server.waiting import until
from tests.server.webhooks.conftest import START, Engine, Receiver, a_job

from heliograph.accounts import Scope as Right
from heliograph.errors import HeliographError
from heliograph.server.webhooks import Webhooks, routes

CALLERS = {
    "anna": a_caller("anna", Right.READ, Right.MANAGE),
    "ben": a_caller("ben", Right.READ, Right.MANAGE),
    "reader": a_caller("anna", Right.READ),
}


class Api:
    """The routes on a socket."""

    def __init__(self, base: str, session: aiohttp.ClientSession, webhooks: Webhooks) -> None:
        self.base, self.session, self.webhooks = base, session, webhooks

    async def ask(
        self, method: str, path: str = "", *, who: str = "anna", body: Any = None
    ) -> tuple[int, Any]:
        """One request: status and JSON."""
        async with self.session.request(
            method, f"{self.base}/webhooks{path}", json=body, headers={"x-test-caller": who}
        ) as answer:
            return answer.status, (await answer.json() if answer.status != 204 else None)


@pytest.fixture
async def api(engine: Engine) -> AsyncIterator[Api]:
    async with engine.webhooks() as webhooks:
        app = FastAPI()
        app.add_exception_handler(HeliographError, render)
        app.include_router(routes(SimpleNamespace(webhooks=webhooks)))

        async def doors(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http":
                name = dict(scope["headers"]).get(b"x-test-caller", b"").decode()
                if name in CALLERS:
                    scope.setdefault("state", {})["caller"] = CALLERS[name]
            await app(scope, receive, send)

        async with serving(doors) as base, aiohttp.ClientSession() as session:
            yield Api(base, session, webhooks)


async def test_from_making_to_replaying(api: Api, receiver: Receiver) -> None:
    status, made = await api.ask("POST", body={"url": receiver.url})
    assert (status, made["secret"][:6], made["enabled"]) == (201, "whsec_", True)
    status, found = await api.ask("GET")
    assert (status, [w["id"] for w in found["items"]]) == (200, [made["id"]])
    assert "secret" not in found["items"][0]
    await api.webhooks.deliver(a_job(user=CALLERS["anna"].user.id))
    log = f"/{made['id']}/deliveries"

    async def settled(state: str) -> Any:
        while True:
            _, found = await api.ask("GET", log)
            if found["items"] and found["items"][0]["state"] == state:
                return found["items"][0]

    told = await settled("delivered")
    assert told["attempts"] == [{"at": START.isoformat(), "status": 200}]
    status, again = await api.ask("POST", f"{log}/{told['id']}/replay")
    assert (status, again["id"]) == (202, told["id"])
    await until(lambda: len(receiver.got) == 2)
    await settled("delivered")
    assert (await api.ask("POST", f"/{made['id']}/enable"))[0] == 200
    assert (await api.ask("DELETE", f"/{made['id']}"))[0] == 204
    assert (await api.ask("GET"))[1] == {"items": []}


async def test_what_is_anothers_is_not_there(api: Api, receiver: Receiver) -> None:
    """S18, S19."""
    _, made = await api.ask("POST", body={"url": receiver.url})
    event = "evt_" + "0" * 32
    for method, path in (
        ("GET", "/deliveries"),
        ("DELETE", ""),
        ("POST", "/enable"),
        ("POST", f"/deliveries/{event}/replay"),
    ):
        answers = [
            await api.ask(method, f"/{webhook}{path}", who="ben")
            for webhook in (made["id"], "0" * 32)
        ]
        assert answers[0] == answers[1]
        assert answers[0][0] == 404
    assert (await api.ask("GET", who="ben"))[1] == {"items": []}
    assert len((await api.ask("GET"))[1]["items"]) == 1


async def test_who_may_do_what(api: Api, receiver: Receiver) -> None:
    _, made = await api.ask("POST", body={"url": receiver.url})
    assert (await api.ask("GET", who="reader"))[0] == 200
    assert (await api.ask("GET", f"/{made['id']}/deliveries", who="reader"))[0] == 200
    for method, path, body in (
        ("POST", "", {"url": receiver.url}),
        ("DELETE", f"/{made['id']}", None),
        ("POST", f"/{made['id']}/enable", None),
    ):
        assert (await api.ask(method, path, who="reader", body=body))[0] == 403
        assert (await api.ask(method, path, who="nobody", body=body))[0] == 401


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"url": "https://127.0.0.1/"}, 400, "url_not_allowed"),
        ({"url": "https://hooks.example.com/"}, 400, "url_not_allowed"),
        ({"url": "file:///etc/passwd"}, 400, "url_not_allowed"),
        ({"url": "http://localhost:1/", "events": ["x"]}, 400, "invalid_request"),
        ({"url": 1}, 422, None),
        ({"url": "https://a.example.com/", "secret": "whsec_"}, 422, None),
        ({"url": ""}, 422, None),
        ({"url": "https://a.example.com/", "events": []}, 422, None),
    ],
)
async def test_what_is_refused(api: Api, body: Any, status: int, code: str | None) -> None:
    got, answer = await api.ask("POST", body=body)
    assert (got, answer.get("code")) == (status, code)
    assert (await api.ask("GET"))[1] == {"items": []}


async def test_ids_are_never_paths(api: Api) -> None:
    for bad in ("..", "x", "0" * 31, "0" * 33, "A" * 32):
        assert (await api.ask("GET", f"/{bad}/deliveries"))[0] in (404, 422)
