"""Values that are none: rows S24, S55, S62–S66, S86; errors, methods and the document itself."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from tests.server.native.conftest import Native, Place

from heliograph.ports import CostRow
from heliograph.server.native.money import as_csv, cell

HUGE = 2**63


@pytest.mark.parametrize("value", [-1, 0, HUGE, 1e308, True, "1", 1.5, None, [1]])
async def test_numbers_are_numbers_in_range(admin: Native, anna: Native, value: Any) -> None:
    """S24."""
    for client, path, verb, body in (
        (anna, "/jobs", "POST", {"prompt": "a lake", "count": value}),
        (admin, "/budgets/day", "PUT", {"limit_micro": value}),
        (admin, f"/budgets/user/{anna.user.id}", "PUT", {"limit_micro": value}),
        (anna, "/keys", "POST", {"name": "k", "budgets": {"day": value or -1}}),
        (anna, "/plans", "POST", {"prompt": "a lake", "size": value or 0}),
        (anna, "/plans", "POST", {"prompt": "a lake", "max_cost": value or -1}),
    ):
        answer = await client.send(verb, path, body)
        assert (answer.status, answer.code) == (400, "invalid_request"), (path, body, answer.body)


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity", "1e999", "9" * 5000])
async def test_what_is_no_number_of_json_is_no_json(anna: Native, word: str) -> None:
    """S24, S55."""
    raw = f'{{"prompt": "a lake", "temperature": {word}}}'.encode()
    answer = await anna.send("POST", "/jobs", raw=raw)
    assert answer.status == 400
    assert answer.code


@pytest.mark.parametrize(
    "raw",
    [
        b"[" * 100_000,
        b'{"prompt": "a", "prompt": "b"}',
        b'{"prompt": "\\ud800"}',
        b"\xff\xfe",
        b"{",
        b"null",
        b"[]",
        b"",
    ],
)
async def test_what_could_be_read_in_two_ways_is_refused(anna: Native, raw: bytes) -> None:
    """S55."""
    answer = await anna.send("POST", "/plans", raw=raw)
    assert answer.status == 400
    assert answer.code


@pytest.mark.parametrize("kind", ["text/plain", "application/xml", "multipart/form-data", ""])
async def test_only_json_is_taken(anna: Native, kind: str) -> None:
    raw = json.dumps({"prompt": "a lake"}).encode()
    answer = await anna.send("POST", "/plans", raw=raw, Content_Type=kind)
    assert (answer.status, answer.code) == (415, "unsupported_media_type")


@pytest.mark.parametrize(
    "field",
    ["api_base", "base_url", "extra_headers", "x-goog-api-key", "owner", "access", "stream", "n"],
)
async def test_unknown_fields_are_refused(anna: Native, field: str) -> None:
    """S22, S62."""
    answer = await anna.post("/jobs", {"prompt": "a lake", field: "x"})
    assert (answer.status, answer.code) == (400, "invalid_request")
    assert answer.json["problems"][0]["field"] == field


@pytest.mark.parametrize("model", ["../x:generateContent?key=", "a%2fb", "x\r\ny", "x/y", ""])
async def test_a_model_is_an_id(anna: Native, model: str) -> None:
    """S63, S64."""
    answer = await anna.post("/jobs", {"prompt": "a lake", "model": model})
    assert (answer.status, answer.code) == (400, "invalid_request")


async def test_bytes_that_are_no_picture_are_not_taken(anna: Native) -> None:
    body = {"prompt": "a lake", "base": {"data": "PHN2Zz48L3N2Zz4="}}
    answer = await anna.post("/plans", body)
    assert (answer.status, answer.code) == (415, "unsupported_media_type")


async def test_other_methods_are_named(anna: Native) -> None:
    """S65."""
    for path, allowed in (("/jobs", "GET, POST"), ("/me", "GET"), ("/casts/x", "DELETE, GET, PUT")):
        answer = await anna.send("OPTIONS", path)
        assert (answer.status, answer.code) == (405, "method_not_allowed"), path
        assert answer.headers["allow"] == allowed
    assert (await anna.get("/nothing")).code == "not_found"


async def test_a_wrong_idempotency_key_is_refused(anna: Native) -> None:
    for key in ("a b", "k" * 256):
        answer = await anna.post("/jobs", {"prompt": "a lake"}, Idempotency_Key=key)
        assert answer.status == 400


async def test_errors_are_problem_details(anna: Native) -> None:
    answer = await anna.post("/plans", {"prompt": "a lake", "size": "8K", "count": 1})
    found = answer.json
    assert answer.code == "invalid_request"
    assert found["type"] == "urn:heliograph:problem:invalid_request"
    assert found["instance"].endswith(found["request_id"])
    assert {each["field"] for each in found["problems"]} == {"size", "count"}
    assert found["charged"] == "no"
    assert found["request_id"] == answer.headers["x-request-id"]


# ---------------------------------------------------------------- money


async def test_costs_are_told_as_a_table_too(anna: Native) -> None:
    await anna.draw()
    found = (await anna.get("/costs?by=model")).json["items"]
    assert found[0]["cost"]["micro"] > 0
    table = await anna.get("/costs?by=model", Accept="text/csv")
    assert table.headers["content-type"] == "text/csv; charset=utf-8"
    lines = table.body.decode().splitlines()
    assert lines[0] == "model,calls,images,micro_dollars,dollars,simulated"
    assert lines[1].split(",")[3] == str(found[0]["cost"]["micro"])


async def test_a_member_sees_its_own_costs(anna: Native, ben: Native, admin: Native) -> None:
    await anna.draw()
    assert (await ben.get("/costs")).json["items"] == []
    assert (await admin.get("/costs")).json["items"] != []


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\t=1", "\r=1", " =1"])
def test_no_cell_is_a_formula(text: str) -> None:
    """S86."""
    assert cell(text).startswith("'")
    rows: Sequence[CostRow] = [CostRow(group=text, calls=1, images=1, micro=1, simulated=False)]
    body = as_csv("model", rows).partition("\n")[2]
    assert body.lstrip('"').startswith("'")


async def test_budgets_are_set_told_and_removed(admin: Native, anna: Native) -> None:
    for name in ("total", "tag/x", f"user/{anna.user.id}/month"):
        put = await admin.send("PUT", f"/budgets/{name}", {"limit_micro": 10**12})
        assert (put.status, put.json["left"]["micro"]) == (200, 10**12)
    names = [each["name"] for each in (await admin.get("/budgets")).json["items"]]
    assert names == ["tag/x", "total", f"user/{anna.user.id}/month"]
    assert [b["name"] for b in (await anna.get("/budgets")).json["items"]] == [names[-1]]
    assert (await anna.get("/budgets/total")).status == 404
    assert (await admin.send("DELETE", "/budgets/total")).status == 204
    assert (await admin.get("/budgets/total")).status == 404
    nobody = "0" * 32
    assert (await admin.send("PUT", f"/budgets/user/{nobody}", {"limit_micro": 1})).status == 404


# ---------------------------------------------------------------- secrets and side effects


async def test_no_answer_holds_a_secret_and_no_get_changes_anything(
    admin: Native, anna: Native, place: Place
) -> None:
    """S25, S81."""
    image = await anna.image()
    document = (await admin.get("/openapi.json")).json
    ids = {"image_id": image["id"], "user_id": anna.user.id, "model": image["model"]}
    ids |= {"key_id": anna.text[len("helio_live_") :][:8], "name": "product-shot"}
    ids["job_id"] = (await anna.get("/jobs")).json["items"][0]["id"]
    ids |= {"session_id": "0" * 32, "export_id": "0" * 12, "call_id": f"{'0' * 32}-1"}
    secrets = [anna.text, admin.text, *place.gateway.secrets.texts()]
    key = await place.gateway.accounts.key(ids["key_id"])
    assert key is not None
    secrets.append(key.digest)
    before = await _state(place)
    read = 0
    for path, operations in document["paths"].items():
        if "get" not in operations:
            continue
        for name, value in ids.items():
            path = path.replace(f"{{{name}}}", value)
        answer = await admin.get(path)
        read += answer.status == 200
        said = answer.body.decode("utf-8", "replace") + str(answer.headers)
        assert not [secret for secret in secrets if secret in said], path
    assert read > 12
    assert await _state(place) == before


async def _state(place: Place) -> Any:
    store = place.gateway.store
    return (
        await store.books.recent(limit=100),
        await store.jobs.jobs(limit=100),
        await store.accounts.revision(),
        await store.journal.budgets(),
        [await store.cabinet.cards(kind) for kind in ("session", "cast", "prompt")],
    )
