"""Quotas that count, projects with habits, and the clock that both follow."""

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.emulator.test_transport import exchange, last_line

from heliograph.emulator.desk import Desk
from heliograph.emulator.envelope import ApiError
from heliograph.emulator.prices import Bill
from heliograph.emulator.quotas import Quotas
from heliograph.emulator.settings import EmulatorSettings, StartError

LITE = "gemini-3.1-flash-lite-image"
PACIFIC = ZoneInfo("America/Los_Angeles")


def details(error: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["@type"].rpartition(".")[2]: row for row in error.get("details", [])}


async def advance(emu: Any, seconds: float) -> dict[str, Any]:
    reply = await emu.post("/_emulator/clock", {"advance_seconds": seconds})
    assert reply.status == 200
    shown: dict[str, Any] = reply.json
    return shown


async def statuses(emu: Any, count: int, **how: Any) -> list[int]:
    return [(await emu.generate(**how)).status for _ in range(count)]


async def test_a_minute_is_spent_and_comes_back(emu: Any) -> None:
    await emu.post("/_emulator/quotas", {"per_minute": 2})
    began = time.monotonic()
    assert await statuses(emu, 3) == [200, 200, 429]
    await advance(emu, 50)
    error = (await emu.generate()).error
    rows = details(error)
    told = float(rows["RetryInfo"]["retryDelay"].removesuffix("s"))
    assert 9.9 - (time.monotonic() - began) < told <= 10
    assert f"Please retry in {rows['RetryInfo']['retryDelay']}." in error["message"]
    (violation,) = rows["QuotaFailure"]["violations"]
    assert violation["quotaId"] == "GenerateRequestsPerMinutePerProjectPerModel"
    assert (violation["quotaValue"], "limit: 2," in error["message"]) == ("2", True)
    await advance(emu, told)
    assert (await emu.generate()).status == 200
    # What the quota refused was not counted: the second of the two makes room as well.
    await advance(emu, 30)
    assert await statuses(emu, 2) == [200, 429]
    billed = [line["billed"] for line in await emu.ledger()]
    assert billed == [True, True, False, False, True, True, False]


async def test_a_failed_call_counts(emu: Any) -> None:
    await emu.post("/_emulator/quotas", {"per_minute": 3})
    assert await statuses(emu, 2, prompt="[[fault:high-demand]]") == [503, 503]
    await exchange(emu, "[[fault:reset-after-request]]")
    assert (await emu.generate()).status == 429
    assert (await emu.generate(key="emu-project-other")).status == 200


async def test_calls_that_draw_nothing_do_not_count(emu: Any) -> None:
    await emu.post("/_emulator/quotas", {"per_minute": 1})
    for _ in range(2):
        assert (await emu.get("/v1/models")).status == 200
    assert await statuses(emu, 2) == [200, 429]


async def test_a_day_ends_at_pacific_midnight_and_says_37_seconds(emu: Any) -> None:
    await emu.post("/_emulator/quotas", {"project": "acme", "per_day": 1})
    acme = {"key": "emu-project-acme"}
    assert await statuses(emu, 2, **acme) == [200, 429]
    rows = details((await emu.generate(**acme)).error)
    assert rows["RetryInfo"]["retryDelay"] == "37s"
    violation = rows["QuotaFailure"]["violations"][0]
    assert violation["quotaId"] == "GenerateRequestsPerDayPerProjectPerModel"
    assert (await emu.generate()).status == 200
    now = datetime.fromtimestamp((await emu.get("/_emulator/clock")).json["now"], PACIFIC)
    midnight = now.replace(hour=23, minute=59, second=50)
    if now < midnight:
        await advance(emu, (midnight - now).total_seconds())
        assert (await emu.generate(**acme)).status == 429
    shown = await advance(emu, 11)
    assert datetime.fromisoformat(shown["pacific"]).date() > now.date()
    assert await statuses(emu, 2, **acme) == [200, 429]


async def test_each_project_and_each_model_has_its_own_count(emu: Any) -> None:
    await emu.post("/_emulator/quotas", {"project": "*", "model": "*", "per_day": 1})
    for key in ("a", "emu-project-b"):
        for model in ("gemini-3-pro-image", LITE):
            assert await statuses(emu, 2, key=key, model=model) == [200, 429]


async def test_the_closest_row_counts_for_each_limit(emu: Any) -> None:
    rows = [
        {"per_minute": 1, "per_day": 2},
        {"project": "acme", "per_minute": 3},
        {"project": "acme", "model": LITE, "per_minute": 0},
    ]
    await emu.post("/_emulator/quotas", rows)
    assert await statuses(emu, 2) == [200, 429]
    acme = {"key": "emu-project-acme"}
    # Three a minute by its own row, two a day by everybody's.
    assert await statuses(emu, 3, **acme) == [200, 200, 429]
    refused = await emu.generate(model=LITE, **acme)
    assert (refused.status, "limit: 0" in refused.error["message"]) == (429, True)
    await emu.post("/_emulator/quotas", {"project": "acme", "model": LITE})
    assert (await emu.generate(model=LITE, **acme)).status == 200


async def test_spending_is_counted_in_money_over_ten_minutes(emu: Any) -> None:
    await emu.post("/_emulator/quotas", {"project": "acme", "spend_per_10_minutes": 200_000})
    acme = {"key": "emu-project-acme"}
    # 0.134 dollars each: the second passes the limit, the third is refused.
    assert await statuses(emu, 2, **acme) == [200, 200]
    reply = await emu.generate(model=LITE, **acme)
    assert details(reply.error)["ErrorInfo"]["reason"] == "spend_limit_exceeded"
    assert (await emu.generate()).status == 200
    (row,) = (await emu.get("/_emulator/quotas")).json
    billed = (await emu.get("/_emulator/ledger/total?project=acme")).json["billed_micro"]
    assert sum(used["spent_10_minutes"] for used in row["used"]) == billed > 200_000
    await advance(emu, 601)
    assert (await emu.generate(**acme)).status == 200


async def test_what_costs_nothing_spends_nothing(emu: Any) -> None:
    await emu.post("/_emulator/quotas", {"spend_per_10_minutes": 1})
    assert await statuses(emu, 3, prompt="[[fault:image-safety]]") == [200, 200, 200]
    assert await statuses(emu, 2) == [200, 429]


async def test_a_bill_on_acceptance_is_spent_before_the_answer_exists() -> None:
    desk = Desk(EmulatorSettings(seed=1))
    try:
        desk.quotas.take({"spend_per_10_minutes": 1})
        desk.quotas.admit("p", "m")
        call = desk.open_call(method="generateContent", model="m", path="/p")
        call.project = "p"
        desk.quotas.admit("p", "m")
        call.bill = Bill(image=2_000_000)
        with pytest.raises(ApiError, match="spend limit"):
            desk.quotas.admit("p", "m")
        desk.ledger.close(call)
        with pytest.raises(ApiError, match="spend limit"):
            desk.quotas.admit("p", "m")
        desk.clock.advance(601)
        desk.quotas.admit("p", "m")
    finally:
        desk.close()


@given(
    limit=st.integers(1, 5),
    gaps=st.lists(st.floats(0, 40), min_size=1, max_size=40),
)
def test_no_sixty_seconds_hold_more_than_the_limit(limit: int, gaps: list[float]) -> None:
    now = datetime(2026, 11, 22, tzinfo=UTC).timestamp()
    admitted: list[float] = []
    quotas = Quotas(lambda: now, list)
    quotas.take({"per_minute": limit})
    for gap in gaps:
        now += gap
        try:
            quotas.admit("p", "m")
        except ApiError as error:
            lately = [time for time in admitted if time > now - 60]
            assert len(lately) == limit
            told = float(str(details(error.body()["error"])["RetryInfo"]["retryDelay"])[:-1])
            # Whoever comes when told finds room.
            now += told
            quotas.admit("p", "m")
        admitted.append(now)
        assert sum(time > now - 60 for time in admitted) <= limit


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"per_hour": 1}, "per_hour"),
        ({"per_minute": -1}, "per_minute"),
        ({"per_day": 1.5}, "per_day"),
        ({"per_day": True}, "per_day"),
        ({"project": ""}, "project"),
        ({"model": 3}, "model"),
        ("all", "object"),
    ],
)
async def test_a_wrong_quota_is_refused(emu: Any, row: object, why: str) -> None:
    reply = await emu.post("/_emulator/quotas", row)
    assert (reply.status, why in reply.error["message"]) == (400, True)
    assert (await emu.get("/_emulator/quotas")).json == []


async def test_quotas_from_a_file_and_their_end(start: Any, tmp_path: Path) -> None:
    path = tmp_path / "quotas.json"
    path.write_text(json.dumps([{"project": "acme", "per_day": 1}]))
    async with start(quotas=path) as emu:
        acme = {"key": "emu-project-acme"}
        assert await statuses(emu, 2, **acme) == [200, 429]
        await emu.send("DELETE", "/_emulator/quotas")
        assert await statuses(emu, 2, **acme) == [200, 200]
    path.write_text('[{"per_day": "many"}]')
    with pytest.raises(StartError, match="per_day"):
        Desk(EmulatorSettings(quotas=path))


async def test_the_clock_moves_everything_that_counts(emu: Any) -> None:
    before = (await emu.get("/_emulator/clock")).json
    assert before["ahead_seconds"] == 0
    await emu.generate()
    day = 86_400
    assert (await advance(emu, day))["ahead_seconds"] == day
    assert (await advance(emu, day))["ahead_seconds"] == 2 * day
    await emu.generate()
    first, second = await emu.ledger()
    assert 0 <= second["arrived"] - first["arrived"] - 2 * day < 60
    assert second["arrived"] <= second["request_read"] <= second["last_byte"]
    await emu.post("/_emulator/reset", None)
    assert (await emu.get("/_emulator/clock")).json["ahead_seconds"] == 0


async def test_a_file_expires_by_the_clock(emu: Any) -> None:
    headers = {
        "X_Goog_Upload_Protocol": "resumable",
        "X_Goog_Upload_Command": "start",
        "X_Goog_Upload_Header_Content_Type": "image/png",
    }
    begun = await emu.post("/upload/v1beta/files", {}, **headers)
    path = begun.headers["x-goog-upload-url"].removeprefix(emu.url)
    commands = {"X_Goog_Upload_Command": "upload, finalize", "X_Goog_Upload_Offset": "0"}
    name = (await emu.post(path, b"abc", **commands)).json["file"]["name"]
    await advance(emu, 48 * 3600 - 60)
    assert (await emu.get(f"/v1beta/{name}")).status == 200
    await advance(emu, 61)
    assert (await emu.get(f"/v1beta/{name}")).status == 403


@pytest.mark.parametrize(
    "body", [{"advance_seconds": -1}, {"advance_seconds": "1"}, {"seconds": 1}, {}, 5]
)
async def test_the_clock_takes_nothing_else(emu: Any, body: object) -> None:
    assert (await emu.post("/_emulator/clock", body)).status == 400
    assert (await emu.get("/_emulator/clock")).json["ahead_seconds"] == 0


async def test_one_project_is_billed_its_own_way(emu: Any) -> None:
    await emu.post("/_emulator/projects", {"project": "eager", "billing": "on_accept"})
    for key in ("emu-project-eager", "k"):
        with pytest.raises(aiohttp.ClientError):
            await emu.generate("[[fault:reset-after-request]]", key=key)
    billed = {line["project"]: line["billed"] for line in await emu.ledger()}
    assert billed == {"eager": True, "default": False}


async def test_one_project_is_slower(emu: Any) -> None:
    habits = [
        {"project": "late", "latency": 0.3},
        {"project": "slow", "slow": 0.2, "latency": 0.1},
    ]
    assert (await emu.post("/_emulator/projects", habits)).json[0]["latency"] == 0.3
    deadline = {"headers": {"X_Server_Timeout": "0.15"}}
    for project, status in (("late", 504), ("slow", 504), ("other", 200)):
        reply = await emu.generate(key=f"emu-project-{project}", **deadline)
        assert (project, reply.status) == (project, status)
    await emu.post("/_emulator/projects", {"project": "slow", "slow": None})
    assert (await emu.generate(key="emu-project-slow", **deadline)).status == 200
    assert (await last_line(emu))["project"] == "slow"


@pytest.mark.parametrize(
    ("habits", "why"),
    [
        ({}, "project"),
        ({"project": "a", "billing": "never"}, "billing"),
        ({"project": "a", "latency": "long"}, "latency"),
        ({"project": "a", "slow": -1}, "slow"),
        ({"project": "a", "colour": 1}, "colour"),
    ],
)
async def test_wrong_habits_are_refused(emu: Any, habits: object, why: str) -> None:
    reply = await emu.post("/_emulator/projects", habits)
    assert (reply.status, why in reply.error["message"]) == (400, True)
    assert (await emu.get("/_emulator/projects")).json == []
