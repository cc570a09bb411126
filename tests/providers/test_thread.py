"""Going on from an interaction that the upstream keeps; where it does not, the history is told."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from tests.providers.bodies import image, interaction, output
from tests.providers.plans import plan_for
from tests.providers.test_files import drawn
from tests.providers.test_interactions_asked import NO_BACKGROUND, denied, serving
from tests.providers.turns import turn_of

from heliograph.emulator import EmulatorSettings, serve
from heliograph.errors import CredentialRejected, RequestRejected
from heliograph.observe import MemoryLog
from heliograph.ports import Event
from heliograph.providers.calling import Caller
from heliograph.providers.files import Files
from heliograph.providers.http import Channel, Deadlines
from heliograph.providers.interactions import Interactions, Polling
from heliograph.providers.pool import Place
from heliograph.storage import MemoryCabinet
from heliograph.types import Part, Plan, Reference, Reply, Turn

LIMITS = Deadlines(connect=5, write=10, first_byte=10, between=10, call=20, late=5, patience=9)
POLLING = Polling(first=0.01, longest=0.05, lag=0.2)
DONE = interaction(output(image(b"\xff\xd8picture" * 500)))


@dataclass
class Bench:
    """One upstream and a provider with two projects."""

    url: str
    folder: Path
    projects: tuple[str, ...] = ("one", "two")
    events: list[Event] = field(default_factory=list)
    log: MemoryLog = field(default_factory=MemoryLog)
    calls: int = 0

    async def __aenter__(self) -> "Bench":
        channels = {
            Place(project=name): Channel(self.url, "v1", f"emu-project-{name}", LIMITS)
            for name in self.projects
        }
        self.provider = Interactions(
            Caller(channels, LIMITS),
            simulated=True,
            deadlines=LIMITS,
            polling=POLLING,
            files=Files(channels, MemoryCabinet()),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.provider.close()

    async def generate(self, plan: Plan) -> Reply:
        self.calls += 1
        self.events.clear()
        self.log = MemoryLog()
        spool = self.folder / f"{'-'.join(self.projects)}-{self.calls}"
        return await self.provider.generate(plan, spool, self.log, self.events.append)

    async def turn(self, plan: Plan, project: str = "one") -> Turn:
        reply = await self.generate(plan)
        return turn_of(plan, reply, remote=self.log.remote, project=project)

    async def control(self, verb: str, path: str, body: Any = None) -> Any:
        key = {"x-goog-api-key": "emu-project-one"}
        async with (
            aiohttp.ClientSession(headers=key) as session,
            session.request(verb, f"{self.url}{path}", json=body) as response,
        ):
            assert response.status == 200, await response.text()
            return await response.json()

    async def bodies(self) -> list[dict[str, Any]]:
        """What was submitted."""
        requests = await self.control("GET", "/_emulator/requests")
        return [r["json"] for r in requests if r["method"] == "POST" and r["json"]]

    async def bills(self) -> list[tuple[str, bool]]:
        ledger = await self.control("GET", "/_emulator/ledger")
        return [(call["project"], bool(call["billed_micro"])) for call in ledger]

    @property
    def sent(self) -> int:
        return sum(event.facts["bytes"] for event in self.events if event.name == "sent")


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with (
        serve(EmulatorSettings(small=True, seed=1)) as emulator,
        Bench(url=emulator.url, folder=tmp_path) as bench,
    ):
        yield bench


def plan_of(words: str, *history: Turn, references: tuple[Reference, ...] = ()) -> Plan:
    made = plan_for(words, size="1K", aspect="3:2", checked_references=references)
    asked = replace(made.request, session="s", context="all")
    return replace(made, history=history, request=asked)


async def test_only_what_is_new_is_sent(bench: Bench, tmp_path: Path) -> None:
    first = await bench.turn(plan_of("A lamp", references=(drawn(tmp_path, 90),)))
    second = await bench.turn(plan_of("Now red", first))
    await bench.generate(plan_of("And larger", first, second))
    assert bench.sent < 1000
    body = (await bench.bodies())[-1]
    assert body["previous_interaction_id"] == second.remote
    assert body["input"] == [{"type": "text", "text": "And larger"}]
    assert body["response_format"]["image_size"] == "1K"
    assert await bench.bills() == [("one", True)] * 3


async def test_the_project_that_keeps_it_is_asked_first(bench: Bench) -> None:
    async with replace(bench, projects=("two",)) as alone:
        first = await alone.turn(plan_of("A lamp"), "two")
    await bench.generate(plan_of("Now red", first))
    assert (await bench.bodies())[-1]["previous_interaction_id"] == first.remote
    assert await bench.bills() == [("two", True)] * 2
    await bench.generate(plan_of("Another"))
    assert (await bench.bills())[-1] == ("one", True)


@pytest.mark.parametrize(
    "change",
    [
        {"remote": None},
        {"project": None},
        {"project": "gone"},
        {"signed": False},
        {"model": "gemini-nano-banana-2.1"},
    ],
)
async def test_elsewhere_the_history_is_told(bench: Bench, change: dict[str, Any]) -> None:
    first = await bench.turn(plan_of("A lamp"))
    await bench.generate(plan_of("Now red", replace(first, **change)))
    body = (await bench.bodies())[-1]
    assert "previous_interaction_id" not in body
    assert body["input"][0]["type"] == "user_input"
    assert bench.log.steps == ["intent", "sent", "submitted"]


@pytest.mark.parametrize("context", [None, "lineage", "last-1", "last-2"])
async def test_only_a_whole_talk_is_gone_on_from(bench: Bench, context: str | None) -> None:
    """What the upstream keeps is billed whole, and the estimate is of what goes back."""
    first = await bench.turn(plan_of("A lamp"))
    second = await bench.turn(plan_of("Now red", first))
    plan = plan_of("And larger", replace(first, answer=()), second)
    asked = replace(plan.request, context=context)
    await bench.generate(replace(plan, request=asked))
    await bench.generate(plan)  # the whole talk was asked for, but an answer gave way
    told = (await bench.bodies())[-2:]
    assert not any("previous_interaction_id" in body for body in told)
    kinds = [step["type"] for step in told[0]["input"]]
    assert kinds == ["user_input", "thought", "model_output", "user_input"]
    assert told[0] == told[1]


@pytest.mark.parametrize("gone", [True, False])
async def test_an_id_that_is_gone_is_replaced_by_the_history(bench: Bench, gone: bool) -> None:
    first = await bench.turn(plan_of("A lamp"))
    if gone:
        await bench.control("DELETE", f"/v1/interactions/{first.remote}")
    else:
        first = replace(first, remote="no-such-id")
    reply = await bench.generate(plan_of("Now red", first))
    assert bench.log.steps == ["intent", "sent", "failed", "intent", "sent", "submitted"]
    assert reply.attempts == 2
    body = (await bench.bodies())[-1]
    kinds = [step["type"] for step in body["input"]]
    assert kinds == ["user_input", "thought", "model_output", "user_input"]
    assert [charged for _, charged in await bench.bills()] == [True, False, True]


async def test_another_project_is_told_the_history(bench: Bench) -> None:
    first = await bench.turn(plan_of("A lamp"))
    rule = {"match": {"project": "one", "method": "interactions"}, "action": "overloaded"}
    await bench.control("POST", "/_emulator/rules", rule)
    await bench.generate(plan_of("Now red", first))
    before, after = (await bench.bodies())[-2:]
    assert before["previous_interaction_id"] == first.remote
    assert "previous_interaction_id" not in after
    assert (await bench.bills())[-1] == ("two", True)


async def test_pictures_by_address(bench: Bench, tmp_path: Path) -> None:
    large = drawn(tmp_path)
    first = await bench.turn(plan_of("A lamp", references=(large,)))
    content = (await bench.bodies())[-1]["input"][1]
    assert set(content) == {"type", "mime_type", "uri"}
    await bench.generate(plan_of("Now red", replace(first, remote=None)))
    step = (await bench.bodies())[-1]["input"][0]
    assert step["content"][1] == content
    await bench.control("POST", "/_emulator/clock", {"advance_seconds": 49 * 3600})
    await bench.generate(plan_of("And larger", replace(first, remote=None)))
    assert "data" in (await bench.bodies())[-1]["input"][0]["content"][1]
    assert bench.log.steps == ["intent", "sent", "failed", "intent", "sent", "submitted"]


async def test_what_is_wrong_with_the_key_is_not_the_ids_fault(tmp_path: Path) -> None:
    error = {"code": 403, "status": "PERMISSION_DENIED", "message": "leaked"}
    plan = plan_of("Now red", _turn())
    async with serving([(403, [{"error": error}])], []) as server:
        async with Bench(url=server.url, folder=tmp_path, projects=("one",)) as bench:
            with pytest.raises(CredentialRejected):
                await bench.generate(plan)
        assert len(server.of("POST")) == 1


async def test_what_is_wrong_with_the_request_is_told_once_more(tmp_path: Path) -> None:
    async with serving([(400, denied("invalid_request"))], []) as server:
        async with Bench(url=server.url, folder=tmp_path, projects=("one",)) as bench:
            with pytest.raises(RequestRejected):
                await bench.generate(plan_of("Now red", _turn()))
        told = [json.loads(body) for _, _, _, body in server.of("POST")]
    assert ["previous_interaction_id" in body for body in told] == [True, False]


async def test_no_background_does_not_cost_the_id(tmp_path: Path) -> None:
    async with serving([(400, NO_BACKGROUND), (200, DONE)], []) as server:
        async with Bench(url=server.url, folder=tmp_path, projects=("one",)) as bench:
            await bench.generate(plan_of("Now red", _turn()))
        told = [json.loads(body) for _, _, _, body in server.of("POST")]
    assert [body.get("previous_interaction_id") for body in told] == ["v1_x", "v1_x"]
    assert [body.get("background") for body in told] == [True, None]


def _turn() -> Turn:
    made = Turn(record="r", words="w", model=plan_for("x").model)
    answer = (Part(text="Here it is."),)
    return replace(made, answer=answer, signed=True, remote="v1_x", project="one")
