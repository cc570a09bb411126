"""Interactions in the background, their money, and the faults of both kinds."""

import json
import threading
import time
from typing import Any

import aiohttp
import pytest
from tests.emulator.interacting import (
    PATH,
    behind,
    closed,
    contents,
    create,
    ended,
    pictures,
    size,
    wish,
)

from heliograph.emulator.interactions import running
from heliograph.emulator.rendering import paint_scene


async def test_background(start: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    may_be_painted = threading.Event()

    def wait_and_paint(*words: Any) -> Any:
        assert may_be_painted.wait(60)
        return paint_scene(*words)

    monkeypatch.setattr(running, "paint_scene", wait_and_paint)
    async with start() as emu:
        name = await behind(emu)
        (line,) = await emu.ledger()
        assert (line["state"], line["billed"]) == ("open", False)
        reply = await emu.get(f"{PATH}/{name}")
        assert reply.json["status"] == "in_progress"
        assert not {"steps", "usage"} & set(reply.json)
        may_be_painted.set()
        done = await ended(emu, name)
        assert done.json["status"] == "completed"
        assert size(pictures(done)[0]) == (2752, 1536)
        (line,) = await emu.ledger()
        assert (line["state"], line["billed"], line["http_status"]) == ("closed", True, 200)
        assert (await emu.get(f"{PATH}/{name}")).body == done.body


async def test_background_needs_store(emu: Any) -> None:
    reply = await create(emu, background=True, store=False)
    assert (reply.status, reply.error["code"]) == (400, "invalid_request")
    assert "store" in reply.headers["x-emu-note"]


@pytest.mark.parametrize(
    ("billing", "billed"), [("on_complete", False), ("on_first_byte", False), ("on_accept", True)]
)
async def test_a_cancelled_one_makes_no_picture(start: Any, billing: str, billed: bool) -> None:
    async with start(latency=30.0, billing=billing) as emu:
        name = await behind(emu)
        for _ in range(2):
            reply = await emu.post(f"{PATH}/{name}/cancel", {})
            assert (reply.status, reply.json["status"]) == (200, "cancelled")
        assert (await emu.get(f"{PATH}/{name}")).json["status"] == "cancelled"
        (line,) = await emu.ledger()
        assert (line["state"], line["images"], line["billed"]) == ("closed", [], billed)
        assert (line["billed_micro"] > 0) is billed


@pytest.mark.parametrize("billing", ["on_complete", "on_first_byte", "on_accept"])
async def test_a_finished_one_is_billed_once_and_cannot_be_cancelled(
    start: Any, billing: str
) -> None:
    async with start(billing=billing) as emu:
        name = await behind(emu)
        await ended(emu, name)
        reply = await emu.post(f"{PATH}/{name}/cancel", {})
        assert (reply.status, reply.error["code"]) == (400, "invalid_request")
        (line,) = await closed(emu)
        assert line["split_pico"]["image"] == 1120 * 120_000_000
        assert (await emu.get(f"{PATH}/{name}")).json["status"] == "completed"


async def test_a_deleted_one_stops(start: Any) -> None:
    async with start(latency=30.0) as emu:
        name = await behind(emu)
        assert (await emu.send("DELETE", f"{PATH}/{name}")).status == 200
        (line,) = await emu.ledger()
        assert (line["state"], line["billed"]) == ("closed", False)


async def test_a_stopping_emulator_closes_what_runs(start: Any, tmp_path: Any) -> None:
    path = tmp_path / "ledger.jsonl"
    async with start(latency=30.0, ledger=path) as emu:
        await behind(emu)
    (line,) = [json.loads(text) for text in path.read_text().splitlines()]
    assert (line["state"], line["method"], line["billed"]) == ("closed", "interactions", False)


@pytest.mark.parametrize(
    ("fault", "status", "code", "header"),
    [
        ("rate-minute:7", 429, "too_many_requests", "7"),
        ("overloaded:3", 503, "service_unavailable", "3"),
        ("internal", 500, "api_error", None),
        ("deadline", 504, "deadline_exceeded", None),
        ("bad-argument", 400, "invalid_request", None),
        ("location", 400, "failed_precondition", None),
        ("not-found", 404, "not_found", None),
    ],
)
async def test_error_faults_speak_in_words(
    emu: Any, fault: str, status: int, code: str, header: str | None
) -> None:
    reply = await create(emu, f"a [[fault:{fault}]]")
    assert (reply.status, reply.error["code"]) == (status, code)
    assert set(reply.error) == {"code", "message"}
    assert reply.headers.get("retry-after") == header
    (line,) = await emu.ledger()
    assert (line["billed"], line["fault"], line["http_status"]) == (False, fault, status)
    stored = (await create(emu)).json["id"]
    reply = await emu.get(f"{PATH}/{stored}", x_emu_fault=fault)
    assert (reply.status, reply.error["code"]) == (status, code)


async def test_errors_about_the_key_are_a_list_of_the_other_envelope(emu: Any, start: Any) -> None:
    made = (await create(emu)).json["id"]
    expected = {"": (403, "PERMISSION_DENIED"), "emu-expired": (400, "INVALID_ARGUMENT")}
    for key, (status, word) in expected.items():
        for reply in (await create(emu, key=key), await emu.get(f"{PATH}/{made}", key=key)):
            (envelope,) = reply.json
            assert (reply.status, envelope["error"]["code"]) == (status, status)
            assert envelope["error"]["status"] == word
    reply = await create(emu, key="emu-depleted")
    assert (reply.status, reply.error["code"]) == (429, "too_many_requests")
    async with start(api_keys=("good",)) as closed_:
        assert (await create(closed_, key="bad")).status == 400
        assert (await create(closed_, key="good")).status == 200


async def test_quotas_count_interactions(start: Any, tmp_path: Any) -> None:
    path = tmp_path / "quotas.json"
    path.write_text(json.dumps({"project": "acme", "per_minute": 1}))
    async with start(quotas=path) as emu:
        assert (await create(emu, key="emu-project-acme")).status == 200
        reply = await create(emu, key="emu-project-acme")
        assert (reply.status, reply.error["code"]) == (429, "too_many_requests")
        assert 0 < int(reply.headers["retry-after"]) <= 60


REFUSALS = [
    ("image-safety", "Image generation blocked due to safety violations."),
    ("image-recitation", "Image generation blocked due to copyright/recitation."),
    ("prompt-blocked", "Request blocked due to prohibited content guidelines."),
    ("finish:ANYTHING", "Request blocked for an unspecified policy reason."),
]


@pytest.mark.parametrize(("fault", "text"), REFUSALS, ids=[row[0] for row in REFUSALS])
async def test_refusals(emu: Any, fault: str, text: str) -> None:
    reply = await create(emu, f"a [[fault:{fault}]]")
    error = {"message": f"{text} Please modify your input and retry.", "code": "content_blocked"}
    assert (reply.status, reply.error) == (400, error)
    done = await ended(emu, await behind(emu, f"a [[fault:{fault}]]"))
    assert (done.json["status"], done.json["errors"]) == ("failed", [error])
    lines = await closed(emu, 2)
    assert [line["billed"] for line in lines] == [False, False]


@pytest.mark.parametrize(
    ("fault", "status", "kinds"),
    [
        ("no-image", "completed", []),
        ("text-refusal", "completed", ["text"]),
        ("thoughts-only", "completed", []),
        ("max-tokens", "incomplete", ["text"]),
        ("empty-candidates", "completed", []),
        ("empty-content", "completed", []),
        ("extra-images:2", "completed", ["image", "image", "image"]),
        ("thought-first", "completed", ["image"]),
        ("unknown-finish", "something_new", ["image"]),
        ("unknown-field", "completed", ["image"]),
    ],
)
async def test_answers_that_are_not_as_asked(
    emu: Any, fault: str, status: str, kinds: list[str]
) -> None:
    reply = await create(emu, f"a [[fault:{fault}]]")
    assert (reply.status, reply.json["status"]) == (200, status)
    assert [each["type"] for each in contents(reply)] == kinds
    kept = await emu.get(f"{PATH}/{reply.json['id']}")
    assert [each["type"] for each in contents(kept)] == kinds
    assert ("somethingNew" in reply.json) is (fault == "unknown-field")


async def test_spoilt_pictures_and_usage(emu: Any) -> None:
    small = await create(emu, "a [[fault:silent-1k]]")
    assert size(pictures(small)[0]) == (1376, 768)
    png = await create(emu, "a [[fault:image:png]]")
    assert contents(png)[0]["mime_type"] == "image/png"
    bad = await create(emu, "a [[fault:bad-base64]]")
    assert "!*~" in contents(bad)[0]["data"]
    assert "usage" not in (await create(emu, "a [[fault:usage-missing]]")).json
    huge = (await create(emu, "a [[fault:usage-huge]]")).json["usage"]
    assert huge["total_output_tokens"] == 10**18
    assert all(line["billed"] for line in await emu.ledger())


async def test_canned_bodies_make_nothing(emu: Any) -> None:
    for background in (False, True):
        reply = await create(emu, "a [[fault:body-html]]", background=background)
        assert reply.body.startswith(b"<!doctype html>")
    assert [line["billed"] for line in await closed(emu, 2)] == [False, False]


async def test_bad_connections(emu: Any) -> None:
    for fault in ("reset-before", "reset-after-request", "cut-json", "length-lie"):
        with pytest.raises(aiohttp.ClientError):
            await create(emu, f"a [[fault:{fault}]]")
    lines = await closed(emu, 4)
    assert [line["billed"] for line in lines] == [False, False, True, True]
    made = (await create(emu)).json["id"]
    for fault in ("reset-before", "cut-json", "reset-after-bytes:10"):
        with pytest.raises(aiohttp.ClientError):
            await emu.get(f"{PATH}/{made}", x_emu_fault=fault)
    assert (await emu.get(f"{PATH}/{made}")).status == 200
    assert len(await emu.ledger()) == 5


async def test_a_lost_reply_does_not_stop_the_work_behind_it(emu: Any) -> None:
    with pytest.raises(aiohttp.ClientError):
        await create(emu, "a [[fault:reset-after-bytes:10]]", background=True)
    (line,) = await closed(emu)
    assert (line["billed"], len(line["images"])) == (True, 1)


async def test_slow_and_broken_work(emu: Any) -> None:
    begun = time.monotonic()
    name = await behind(emu, "a [[fault:slow:0.5]]")
    assert (await ended(emu, name)).json["status"] == "completed"
    assert time.monotonic() - begun >= 0.5
    done = await ended(emu, await behind(emu, "a [[fault:stream-error]]"))
    assert done.json["status"] == "failed"
    assert done.json["errors"][0]["code"] == "service_unavailable"
    done = await ended(emu, await behind(emu, "a [[fault:duplicate-keys:nonsense]]"))
    assert (done.json["status"], done.json["errors"][0]["code"]) == ("failed", "invalid_request")
    late = await emu.post(PATH, wish("a [[fault:slow:5]]"), X_Server_Timeout="0.1")
    assert (late.status, late.error["code"]) == (504, "deadline_exceeded")


async def test_an_error_in_mid_stream(emu: Any) -> None:
    reply = await emu.post(PATH, wish("a [[fault:stream-error:429]]", stream=True))
    data = [line[6:] for line in reply.body.decode().splitlines() if line.startswith("data: ")]
    created, error = (json.loads(each) for each in data[:2])
    assert created["event_type"] == "interaction.created"
    assert (error["event_type"], error["error"]["code"]) == ("error", "too_many_requests")
    assert data[2:] == ["[DONE]"]


async def test_rules_match_by_method(emu: Any) -> None:
    await emu.post(
        "/_emulator/rules", {"match": {"method": "interactions"}, "action": "overloaded"}
    )
    await emu.post(
        "/_emulator/rules",
        {"match": {"method": "interactions.get"}, "action": "rate-minute", "count": 1},
    )
    assert (await emu.generate()).status == 200
    assert (await create(emu)).status == 503
    await emu.send("DELETE", "/_emulator/rules")
    name = (await create(emu)).json["id"]
    await emu.post(
        "/_emulator/rules",
        {"match": {"method": "interactions.get"}, "action": "cut-json", "args": 5, "count": 1},
    )
    with pytest.raises(Exception, match=r"payload|closed|Not enough data"):
        await emu.get(f"{PATH}/{name}")
    assert (await emu.get(f"{PATH}/{name}")).status == 200
