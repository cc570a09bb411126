"""What is another's is not there, on every face: S16 to S21, S27, S29."""

import hashlib
from typing import Any

from tests.imaging.pictures import encoded, natural
from tests.server.abuse.conftest import PRO, Answer, Target

GONE = "0" * 32
VARIANTS = ("original", "picture", "thumbnail", "w640", "256x256.png", "tiles.dzi", "extra-1")


def same(one: Answer, other: Answer) -> None:
    """Two refusals that tell the same."""

    def plain(answer: Answer) -> Any:
        found = answer.json
        for name in ("request_id", "instance", "request"):
            found.pop(name, None)
        return found

    if one.headers["content-type"].startswith("application/problem"):
        assert plain(one) == plain(other)
    assert one.status == other.status


async def test_s16_s17_every_way_to_a_picture_of_another(house: Target) -> None:
    """S16, S17: read, HEAD, range, copies, tiles, `If-None-Match`, metadata, export, links."""
    image = await house.draw("anna")
    original = await house.send("anna", "GET", f"/pictures/{image['id']}/original")
    etag = f'"{hashlib.sha256(original.body).hexdigest()}"'
    assert original.headers["etag"] == etag
    for variant in VARIANTS:
        for method in ("GET", "HEAD"):
            for headers in ({}, {"if-none-match": etag}, {"range": "bytes=0-0"}):
                found = await house.send(
                    "ben", method, f"/pictures/{image['id']}/{variant}", headers=headers
                )
                assert found.status == 404, (variant, method, headers)
                assert method == "HEAD" or b'"not_found"' in found.body
    for method, path, body in (
        ("GET", "/api/v1/images/ID", None),
        ("POST", "/api/v1/images/ID/exports", {"finish": {"format": "png"}}),
        ("GET", "/api/v1/images/ID/exports/0123456789ab", None),
        ("DELETE", "/api/v1/images/ID", None),
        ("POST", "/api/v1/images/ID/restore", None),
        ("POST", "/api/v1/jobs", {"prompt": "a", "follows": "ID"}),
        ("POST", "/api/v1/jobs", {"prompt": "a", "base": {"image": "ID"}}),
        ("POST", "/api/v1/plans", {"prompt": "a", "references": [{"image": "ID"}]}),
        ("POST", "/api/v1/sessions", {"prompt": "a", "of": {"image": "ID"}}),
        ("PUT", "/api/v1/casts/mine", {"references": [{"image": "ID"}]}),
    ):
        answers = []
        for name in (image["id"], GONE):
            sent = None if body is None else _named(body, name)
            answers.append(await house.send("ben", method, path.replace("ID", name), json=sent))
        assert answers[0].status == 404, (path, answers[0].body)
        same(*answers)
    assert (await house.send("ben", "GET", "/api/v1/images?trashed=true")).json["items"] == []
    assert (await house.send("ben", "GET", "/api/v1/images?q=lake")).json["items"] == []
    assert (await house.send("anna", "GET", f"/api/v1/images/{image['id']}")).status == 200
    assert len(await house.bill()) == 1


def _named(body: Any, name: str) -> Any:
    if isinstance(body, dict):
        return {key: _named(value, name) for key, value in body.items()}
    if isinstance(body, list):
        return [_named(value, name) for value in body]
    return name if body == "ID" else body


async def test_s18_s19_jobs_sessions_money_and_webhooks_of_another(house: Target) -> None:
    """S18, S19: reading, watching, cancelling, renaming, taking back; nothing changes."""
    image = await house.draw("anna")
    begun = await house.send(
        "anna",
        "POST",
        "/api/v1/sessions",
        json={"prompt": "make it blue", "of": {"image": image["id"]}},
        headers={"prefer": "wait=60"},
    )
    session = begun.json["results"][0]["image"]["session"]
    key = house.keys["anna"][len("helio_live_") :][:8]
    user = house.users["anna"].id
    hook = GONE
    for method, path, body in (
        ("GET", f"/api/v1/jobs/{image['job']}", None),
        ("GET", f"/api/v1/jobs/{image['job']}/events", None),
        ("POST", f"/api/v1/jobs/{image['job']}/cancel", None),
        ("GET", f"/api/v1/sessions/{session}", None),
        ("PATCH", f"/api/v1/sessions/{session}", {"name": "mine"}),
        ("PATCH", f"/api/v1/sessions/{session}/versions/{image['id']}", {"starred": True}),
        ("POST", f"/api/v1/sessions/{session}/turns", {"prompt": "green"}),
        ("POST", f"/api/v1/sessions/{session}/undo", None),
        ("POST", f"/api/v1/sessions/{session}/redo", None),
        ("GET", f"/api/v1/keys/{key}", None),
        ("DELETE", f"/api/v1/keys/{key}", None),
        ("POST", f"/api/v1/keys/{key}/rotate", {}),
        ("GET", f"/api/v1/budgets/user/{user}", None),
        ("GET", f"/api/v1/webhooks/{hook}/deliveries", None),
        ("DELETE", f"/api/v1/webhooks/{hook}", None),
    ):
        answer = await house.send("ben", method, path, json=body)
        assert answer.status == 404, (method, path, answer.body)
    for path in ("jobs", "sessions", "costs", "budgets", "webhooks"):
        assert (await house.send("ben", "GET", f"/api/v1/{path}")).json["items"] == [], path
    keys = (await house.send("ben", "GET", "/api/v1/keys")).json["items"]
    assert {each["user"] for each in keys} == {house.users["ben"].id}
    (listed,) = (await house.send("anna", "GET", "/api/v1/sessions")).json["items"]
    assert listed["id"] == session
    assert len(await house.bill()) == 2


async def test_s16_files_of_another_on_the_gemini_face(house: Target) -> None:
    """S16, S19: as Google answers: 403, for what is another's and for what never was."""
    data = encoded(natural(32, 32), "png")
    start = {
        "x-goog-upload-protocol": "resumable",
        "x-goog-upload-command": "start",
        "x-goog-upload-header-content-length": str(len(data)),
        "x-goog-upload-header-content-type": "image/png",
    }
    begun = await house.send(
        "anna", "POST", "/upload/v1beta/files", json={"file": {}}, headers=start
    )
    assert begun.status == 200, begun.body
    address = begun.headers["x-goog-upload-url"]
    rest = {"x-goog-upload-command": "upload, finalize", "x-goog-upload-offset": "0"}
    done = await house.send(
        "anna", "POST", address.removeprefix(house.url), data=data, headers=rest
    )
    assert done.status == 200, done.body
    file = done.json["file"]
    body = {
        "contents": [
            {
                "parts": [
                    {"fileData": {"fileUri": file["uri"], "mimeType": "image/png"}},
                    {"text": "a"},
                ]
            }
        ]
    }
    never = "files/" + "0" * 12
    for name in (file["name"], never):
        for method in ("GET", "DELETE"):
            assert (await house.send("ben", method, f"/v1beta/{name}")).status == 403
    for uri in (file["uri"], file["uri"].replace(file["name"], never)):
        body["contents"][0]["parts"][0]["fileData"]["fileUri"] = uri  # type: ignore[index]
        path = f"/v1beta/models/{PRO}:generateContent"
        assert (await house.send("ben", "POST", path, json=body)).status == 403
    assert (await house.send("ben", "GET", "/v1beta/files")).json.get("files", []) == []
    assert (await house.send("anna", "GET", f"/v1beta/{file['name']}")).status == 200
    assert await house.bill() == []


async def test_s18_s19_interactions_of_another(house: Target) -> None:
    """S16, S18, S19: 404 to read, cancel, remove or go on from one, and it stays."""
    path = "/v1beta/interactions"
    body = {"model": PRO, "input": "a lake"}
    made = await house.send("anna", "POST", path, json=body)
    assert made.status == 200, made.body
    name, never = made.json["id"], "v1_" + "0" * 32
    for each in (name, never):
        follow = {**body, "previous_interaction_id": each}
        for method, at, sent in (
            ("GET", f"{path}/{each}", None),
            ("POST", f"{path}/{each}/cancel", None),
            ("DELETE", f"{path}/{each}", None),
            ("POST", path, follow),
        ):
            answer = await house.send("ben", method, at, json=sent)
            assert (answer.status, answer.code) == (404, "not_found"), (method, at, answer.body)
    assert (await house.send("anna", "GET", f"{path}/{name}")).status == 200
    assert len(await house.bill()) == 1


async def test_s21_s29_the_same_words_of_two_users_are_two_pictures(house: Target) -> None:
    """S21, S29: neither key nor prompt leads to another's picture, on any face."""
    asked: tuple[tuple[str, Any], ...] = (
        ("/openai/v1/images/generations", {"prompt": "a lake 1", "size": "1K"}),
        (
            f"/v1beta/models/{PRO}:generateContent",
            {"contents": [{"parts": [{"text": "a lake 2"}]}]},
        ),
        ("/api/v1/jobs", {"prompt": "a lake 3", "size": "1K"}),
        ("/v1beta/interactions", {"model": PRO, "input": "a lake 4"}),
    )
    for path, body in asked:
        jobs = set()
        for who in ("anna", "ben", "root"):
            headers = {"idempotency-key": "one", "prefer": "wait=60"}
            if path != asked[0][0]:
                headers["idempotency-key"] = path.replace("/", "-")
            answer = await house.send(who, "POST", path, json=body, headers=headers)
            assert answer.status == 200, answer.body
            assert "idempotency-replayed" not in answer.headers
            jobs.add(answer.headers["x-heliograph-job"])
        assert len(jobs) == 3
    assert len(await house.bill()) == 12


async def test_s20_s27_what_was_given_out_opens_nothing_else(house: Target) -> None:
    """S20, S26, S27: a link of a picture in the trash, a changed link, a cursor of another."""
    image = await house.draw("anna")
    for n in range(2):
        await house.draw("anna", f"a lake {n}")
    link = image["links"]["original"]
    path = "/" + link.partition("://")[2].partition("/")[2]
    assert (await house.send(None, "GET", path)).status == 200
    for wrong in (path[:-1] + ("A" if path[-1] != "A" else "B"), path.replace(image["id"], GONE)):
        assert (await house.send(None, "GET", wrong)).status == 403
    moved = path.replace("original", "thumbnail")
    assert (await house.send(None, "GET", moved)).status == 403
    assert (await house.send(None, "DELETE", path)).status in (403, 405)
    cursor = (await house.send("anna", "GET", "/api/v1/images?limit=1")).json["next"]
    assert (await house.send("ben", "GET", f"/api/v1/images?limit=1&cursor={cursor}")).status == 400
    assert (await house.send("anna", "DELETE", f"/api/v1/images/{image['id']}")).status == 204
    assert (await house.send(None, "GET", path)).status == 404
