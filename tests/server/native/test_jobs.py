"""Jobs over HTTP: plan, submit, wait, watch, cancel, and who may see them."""

import asyncio
import hashlib
import json
import re
from typing import Any

import pytest
from tests.server.native.conftest import Native

GONE = "0" * 32


async def test_a_plan_costs_nothing_and_says_what_a_picture_would(anna: Native) -> None:
    answer = await anna.post("/plans", {"prompt": "a lake", "size": "4K", "aspect": "16:9"})
    assert answer.status == 200
    assert answer.json["size"] == "4K"
    assert answer.json["expected"] == {"width": 5504, "height": 3072}
    assert answer.json["estimate"]["expected"]["micro"] >= 240_000
    assert answer.json["simulated"] is True
    assert (await anna.get("/jobs")).json["items"] == []


async def test_what_no_model_can_do_is_refused_with_the_nearest(anna: Native) -> None:
    answer = await anna.post("/plans", {"prompt": "a lake", "aspect": "7:3"})
    assert answer.status == 400
    assert answer.code == "invalid_request"
    assert answer.json["problems"][0]["field"] == "aspect"
    assert answer.json["problems"][0]["nearest"]
    assert answer.json["charged"] == "no"


@pytest.mark.parametrize(
    ("field", "value", "nearest"),
    [
        ("size", "8K", "4K"),
        ("aspect", "wide", "16:9"),
        ("pixels", "4k", "4096x2304"),
        ("prompt", " ", None),
        ("tags", ["a b"], "campaign-7"),
    ],
)
async def test_a_wrong_text_is_told_in_words(
    anna: Native, field: str, value: object, nearest: str | None
) -> None:
    answer = await anna.post("/jobs", {"prompt": "a lake", field: value})
    assert (answer.status, answer.code) == (400, "invalid_request")
    (problem,) = answer.json["problems"]
    assert problem["field"].startswith(field)
    assert "pattern" not in problem["message"]
    assert problem["nearest"][:1] == ([nearest] if nearest else [])


async def test_an_unknown_field_is_told_with_the_known_ones(anna: Native) -> None:
    answer = await anna.post("/jobs", {"prompt": "a lake", "n": 2})
    (problem,) = answer.json["problems"]
    assert problem["field"] == "n"
    assert {"count", "prompt", "size"} <= set(re.findall(r"\w+", problem["message"]))


async def test_a_job_is_waited_for_and_found_again(anna: Native) -> None:
    job = await anna.draw(count=2)
    assert [each["source"] for each in job["results"]] == ["call", "call"]
    assert job["cost"]["micro"] == sum(r["image"]["cost"]["micro"] for r in job["results"]) > 0
    again = (await anna.get(f"/jobs/{job['id']}")).json
    assert again["records"] == job["records"]
    assert [each["id"] for each in (await anna.get("/jobs")).json["items"]] == [job["id"]]


async def test_a_job_is_taken_on_at_once(anna: Native) -> None:
    answer = await anna.post("/jobs", {"prompt": "a slow lake", "size": "1K"})
    assert answer.status == 202
    assert answer.headers["location"] == f"/api/v1/jobs/{answer.json['id']}"
    assert answer.json["state"] in ("queued", "running")


async def test_the_same_key_is_one_job(anna: Native, ben: Native) -> None:
    body = {"prompt": "a keyed lake", "size": "1K"}
    headers = {"Idempotency_Key": "k-1", "Prefer": "wait=60"}
    first = await anna.post("/jobs", body, **headers)
    again = await anna.post("/jobs", body, **headers)
    assert (first.status, again.status) == (200, 200)
    assert again.json["id"] == first.json["id"]
    assert again.headers["idempotency-replayed"] == "true"
    assert again.headers["x-heliograph-cost-usd"] == "0.000000"
    assert float(first.headers["x-heliograph-cost-usd"]) == first.json["cost"]["micro"] / 1e6
    assert first.headers["x-heliograph-verified"] == "verified"
    other = await anna.post("/jobs", {**body, "size": "2K"}, **headers)
    assert other.status == 422
    assert other.code == "idempotency_key_reused"
    # S21: the same text of another user is another key
    theirs = await ben.post("/jobs", body, **headers)
    assert theirs.status == 200
    assert theirs.json["id"] != first.json["id"]
    # S29: nobody gets another user's picture
    assert theirs.json["results"][0]["source"] == "call"


async def _events(client: Native, path: str, **headers: str) -> list[tuple[str, Any, str]]:
    answer = await client.get(path, **headers)
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    found = []
    for block in answer.body.decode().split("\n\n"):
        fields = dict(line.partition(": ")[::2] for line in block.splitlines())
        if "event" in fields:
            found.append((fields["event"], json.loads(fields["data"]), fields.get("id", "")))
    return found


async def test_events_tell_the_whole_way_and_end_with_the_job(anna: Native) -> None:
    job = (await anna.post("/jobs", {"prompt": "a watched lake", "size": "1K"})).json
    told = await _events(anna, f"/jobs/{job['id']}/events")
    names = [name for name, _, _ in told]
    assert names[0] == "job"
    assert names[-1] == "finished"
    assert {"reserved", "sent", "kept"} <= set(names)
    assert told[-1][1]["state"] == "done"
    assert all("/" not in str(data["facts"]) for _, data, _ in told[1:-1])
    # a reader that has everything gets the end again, and nothing else
    assert [n for n, _, _ in await _events(anna, f"/jobs/{job['id']}/events")] == ["finished"]
    end = await _events(anna, f"/jobs/{job['id']}/events", Last_Event_ID="end")
    assert [number for _, _, number in end] == ["end"]


async def test_a_job_that_was_sent_cannot_be_cancelled(anna: Native) -> None:
    job = await anna.draw()
    answer = await anna.post(f"/jobs/{job['id']}/cancel")
    assert answer.status == 409
    assert answer.code == "too_late"


async def test_somebody_elses_job_is_not_there(anna: Native, ben: Native, admin: Native) -> None:
    """S18, S19."""
    job = await anna.draw()
    for verb, path in (
        ("GET", f"/jobs/{job['id']}"),
        ("GET", f"/jobs/{job['id']}/events"),
        ("POST", f"/jobs/{job['id']}/cancel"),
    ):
        theirs, nobodys = await asyncio.gather(
            ben.send(verb, path), ben.send(verb, path.replace(job["id"], GONE))
        )
        assert theirs.status == nobodys.status == 404
        assert theirs.json["detail"] == nobodys.json["detail"]
    assert (await ben.get("/jobs")).json["items"] == []
    assert (await admin.get(f"/jobs/{job['id']}")).status == 200


async def test_several_pictures_are_begun_only_with_money_for_all(
    admin: Native, anna: Native
) -> None:
    """S70."""
    micro = (await anna.post("/plans", {"prompt": "a lake", "size": "1K"})).json
    high = micro["estimate"]["high"]["micro"]
    set_ = await admin.send("PUT", f"/budgets/user/{anna.user.id}", {"limit_micro": 5 * high})
    assert set_.status == 200
    answer = await anna.post("/jobs", {"prompt": "a lake", "size": "1K", "count": 8})
    assert answer.status == 429
    assert answer.code == "insufficient_quota"
    assert answer.headers["x-should-retry"] == "false"
    assert (await anna.get("/balance")).json["left"]["micro"] == 5 * high
    mine = (await anna.get("/budgets")).json["items"]
    assert [each["name"] for each in mine] == [f"user/{anna.user.id}"]


async def test_a_model_without_a_price_is_refused(anna: Native) -> None:
    """S71."""
    answer = await anna.post("/jobs", {"prompt": "a lake", "model": "nano-banana-pro-preview"})
    assert answer.status == 400
    assert answer.code == "price_unknown"
    assert (await anna.get("/jobs")).json["items"] == []


async def test_one_key_begins_one_session_however_many_ask_at_once(anna: Native) -> None:
    of = {"image": (await anna.image())["id"]}
    keyed = {"Prefer": "wait=60", "Idempotency_Key": "begin-1"}

    async def ask() -> Any:
        return await anna.post("/sessions", {"prompt": "make it blue", "of": of}, **keyed)

    answers = [*await asyncio.gather(*(ask() for _ in range(4))), await ask()]
    assert [answer.status for answer in answers] == [200] * 5
    assert len({answer.json["id"] for answer in answers}) == 1
    assert len((await anna.get("/sessions")).json["items"]) == 1


@pytest.mark.parametrize("kind", ["png", "tiff", "webp", "avif"])
async def test_every_finished_file_can_be_fetched(anna: Native, kind: str) -> None:
    path = f"/images/{(await anna.image())['id']}/exports"
    made = await anna.post(path, {"pixels": "64x64", "finish": {"format": kind}})
    (told,) = made.json["items"]
    fetched = await anna.get(told["link"].removeprefix("/api/v1"))
    assert (fetched.status, fetched.headers["content-type"]) == (200, f"image/{kind}")
    assert (len(fetched.body), hashlib.sha256(fetched.body).hexdigest()) == (
        told["bytes"],
        told["sha256"],
    )
