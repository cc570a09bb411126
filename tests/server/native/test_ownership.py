"""Whose things are whose: rows S16–S23, S25, S28 and S29 of reliability.md, section C."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.server.native.conftest import Native, Place

from heliograph.accounts import Role, Scope
from heliograph.server.revocations import read_revoked
from heliograph.server.secrets import secrets_folder

GONE = "0" * 32


async def _same(client: Native, verb: str, path: str, name: str, body: Any = None) -> None:
    """Somebody else's object and one that never was get the same answer."""
    theirs = await client.send(verb, path.replace("ID", name), body)
    nobodys = await client.send(verb, path.replace("ID", GONE[: len(name)]), body)
    assert theirs.status == nobodys.status == 404, (verb, path, theirs.body)
    assert theirs.code == nobodys.code == "not_found"
    hidden = {"request_id", "instance"}
    said = {k: v for k, v in theirs.json.items() if k not in hidden}
    assert said == {k: v for k, v in nobodys.json.items() if k not in hidden}


async def test_somebody_elses_image_is_not_there(anna: Native, ben: Native) -> None:
    """S16, S17, S19."""
    image = await anna.image()
    for verb, path, body in (
        ("GET", "/images/ID", None),
        ("DELETE", "/images/ID", None),
        ("POST", "/images/ID/restore", None),
        ("POST", "/images/ID/exports", {"finish": {"format": "png"}}),
        ("GET", "/images/ID/exports/0123456789ab", None),
        ("POST", "/jobs", {"prompt": "more", "follows": "ID"}),
        ("POST", "/jobs", {"prompt": "more", "base": {"image": "ID"}}),
        ("POST", "/plans", {"prompt": "more", "references": [{"image": "ID"}]}),
        ("POST", "/sessions", {"prompt": "more", "of": {"image": "ID"}}),
        ("PUT", "/casts/thief", {"references": [{"image": "ID"}]}),
    ):
        theirs, nobodys = _with(body, image["id"]), _with(body, GONE)
        a = await ben.send(verb, path.replace("ID", image["id"]), theirs)
        b = await ben.send(verb, path.replace("ID", GONE), nobodys)
        assert (a.status, a.code) == (b.status, b.code) == (404, "not_found"), (path, a.body)
        assert a.json["detail"] == b.json["detail"]
    assert (await ben.get("/images")).json["items"] == []
    assert (await anna.get(f"/images/{image['id']}")).status == 200


def _with(body: Any, name: str) -> Any:
    import json

    return None if body is None else json.loads(json.dumps(body).replace("ID", name))


async def test_a_beginning_of_an_id_is_no_id(anna: Native) -> None:
    """S28."""
    image = await anna.image()
    for short in (image["id"][:8], image["id"][:31], image["id"].upper() + "0"):
        assert (await anna.get(f"/images/{short}")).status == 404
    for wild in ("%25", "..%2f..", "%00", "a" * 4000):
        assert (await anna.get(f"/images/{wild}")).status in (400, 404)


async def test_a_cursor_is_good_for_its_user_and_list(anna: Native, ben: Native) -> None:
    """S20."""
    for prompt in ("a red lake", "a blue lake", "a green lake"):
        await anna.draw(prompt)
    await ben.draw("a lake of ben")
    first = (await anna.get("/images?limit=2")).json
    cursor = first["next"]
    second = (await anna.get(f"/images?limit=2&cursor={cursor}")).json
    assert second["next"] is None
    prompts = [each["prompt"] for each in (*first["items"], *second["items"])]
    assert prompts == ["a green lake", "a blue lake", "a red lake"]
    assert (await ben.get(f"/images?limit=2&cursor={cursor}")).status == 400
    # another list's, another filter's, a changed one
    assert (await anna.get(f"/jobs?limit=2&cursor={cursor}")).status == 400
    assert (await anna.get(f"/images?limit=2&cursor={cursor}&q=lake")).status == 400
    changed = cursor[:-3] + ("A" if cursor[-3] != "A" else "B") + cursor[-2:]
    assert (await anna.get(f"/images?limit=2&cursor={changed}")).status == 400
    jobs = (await anna.get("/jobs?limit=2")).json
    rest = (await anna.get(f"/jobs?limit=2&cursor={jobs['next']}")).json
    assert len(jobs["items"]) + len(rest["items"]) == 3


async def test_images_are_found_by_words_and_facets(anna: Native) -> None:
    await anna.draw("a red lake", tags=["x"])
    await anna.draw("a blue sea", size="2K")
    assert [i["prompt"] for i in (await anna.get("/images?q=BLUE")).json["items"]] == ["a blue sea"]
    assert [i["size"] for i in (await anna.get("/images?size=2K")).json["items"]] == ["2K"]
    assert [i["tags"] for i in (await anna.get("/images?tag=x")).json["items"]] == [["x"]]
    facets = (await anna.get("/images?facets=true&size=2K")).json["facets"]
    assert facets["size"] == {"1K": 1, "2K": 1}
    # S66: nothing in a search has a meaning of its own
    assert (await anna.get("/images?q=%25%25%25%25")).json["items"] == []
    assert (await anna.get("/images?limit=1000000000")).status == 400
    assert (await anna.get("/images?sort=digest")).status == 400


async def test_the_trash_takes_an_image_and_gives_it_back(anna: Native) -> None:
    image = await anna.image()
    path = f"/images/{image['id']}"
    assert (await anna.send("DELETE", path)).status == 204
    assert (await anna.get(path)).status == 404
    assert (await anna.get("/images")).json["items"] == []
    (trashed,) = (await anna.get("/images?trashed=true")).json["items"]
    assert trashed["id"] == image["id"]
    assert trashed["links"]["original"] is None
    assert (await anna.post(f"{path}/restore")).json["trashed"] is False
    assert (await anna.get(path)).json["parts"][0]["role"] == "result"


async def test_an_image_is_finished_again_for_nothing(anna: Native) -> None:
    image = await anna.image()
    before = (await anna.get("/costs?by=month")).json
    answer = await anna.post(
        f"/images/{image['id']}/exports", {"pixels": "64x64", "finish": {"format": "png"}}
    )
    assert answer.status == 200, answer.body
    (made,) = answer.json["items"]
    assert (made["pixels"], made["format"]) == ({"width": 64, "height": 64}, "png")
    file = await anna.get(made["link"].removeprefix("/api/v1"))
    assert file.status == 200
    assert file.body.startswith(b"\x89PNG")
    assert file.headers["x-content-type-options"] == "nosniff"
    assert len(file.body) == made["bytes"]
    # S88: the name of the file is ours
    assert "heliograph-" in file.headers["content-disposition"]
    assert (await anna.get("/costs?by=month")).json == before


async def test_links_to_the_bytes_are_signed(anna: Native) -> None:
    links = (await anna.image())["links"]
    assert "/pictures/" in links["original"]
    assert "sig=" in links["original"]
    assert anna.text not in str(links)


async def test_sessions_belong_to_their_user(anna: Native, ben: Native) -> None:
    image = await anna.image()
    begun = await anna.post(
        "/sessions", {"prompt": "make it blue", "of": {"image": image["id"]}}, Prefer="wait=60"
    )
    assert begun.status == 200, begun.body
    session = begun.json["results"][0]["image"]["session"]
    for verb, path, body in (
        ("GET", "/sessions/ID", None),
        ("PATCH", "/sessions/ID", {"name": "mine"}),
        ("POST", "/sessions/ID/turns", {"prompt": "green"}),
        ("POST", "/sessions/ID/undo", None),
        ("POST", "/sessions/ID/redo", None),
        ("POST", "/sessions/ID/branch", {"version": "1"}),
    ):
        theirs = await ben.send(verb, path.replace("ID", session), body)
        assert (theirs.status, theirs.code) == (404, "not_found"), (path, theirs.body)
    into = await ben.post("/jobs", {"prompt": "a lake", "session": session})
    assert into.status == 404
    assert (await ben.get("/sessions")).json["items"] == []
    (listed,) = (await anna.get("/sessions")).json["items"]
    assert listed["id"] == session


async def test_a_turn_goes_on_undoes_and_means_the_same_for_one_key(anna: Native) -> None:
    image = await anna.image()
    wait = {"Prefer": "wait=60"}
    of = {"image": image["id"]}
    begun = await anna.post("/sessions", {"prompt": "make it blue", "of": of}, **wait)
    session = begun.json["results"][0]["image"]["session"]
    keyed = {**wait, "Idempotency_Key": "turn-1"}
    turn = await anna.post(f"/sessions/{session}/turns", {"prompt": "add a boat"}, **keyed)
    assert turn.status == 200, turn.body
    again = await anna.post(f"/sessions/{session}/turns", {"prompt": "add a boat"}, **keyed)
    assert (again.status, again.json["id"]) == (200, turn.json["id"]), again.body
    tree = (await anna.get(f"/sessions/{session}")).json
    assert [each["number"] for each in tree["versions"]] == [0, 1, 2]
    assert tree["head"] == turn.json["records"][0]
    undone = (await anna.post(f"/sessions/{session}/undo")).json
    assert undone["head"] == begun.json["records"][0]
    assert (await anna.post(f"/sessions/{session}/redo")).json["head"] == tree["head"]
    named = await anna.send("PATCH", f"/sessions/{session}", {"name": "Boats", "starred": True})
    assert (named.json["name"], named.json["starred"]) == ("Boats", True)


async def test_names_of_casts_and_prompts_are_each_users_own(anna: Native, ben: Native) -> None:
    image = await anna.image()
    cast = {"description": "a red lake", "references": [{"image": image["id"], "role": "scene"}]}
    put = await anna.send("PUT", "/casts/lake", cast)
    assert put.status == 200, put.body
    assert (await ben.get("/casts/lake")).status == 404
    assert (await ben.post("/plans", {"prompt": "@lake", "casts": ["lake"]})).status == 404
    assert (await anna.post("/plans", {"prompt": "@lake", "casts": ["lake"]})).status == 200
    assert (await anna.send("DELETE", "/casts/lake")).status == 204
    prompt = {"prompt": "A ${colour} fox", "variables": {"colour": {"type": "colour"}}}
    assert (await anna.send("PUT", "/prompts/fox", prompt)).status == 200
    assert (await ben.get("/prompts/fox")).status == 404
    filled = await anna.post("/prompts/fox/render", {"values": {"colour": "deep teal"}})
    assert filled.json["texts"] == ["A deep teal fox"]
    assert (await anna.send("DELETE", "/prompts/fox")).status == 204
    assert (await anna.get("/prompts/fox")).status == 404
    # a name never leads to a file
    for path in ("..%2f..%2fetc%2fpasswd", "x.toml", "%2ftmp%2fx.toml"):
        assert (await anna.get(f"/prompts/{path}")).status in (400, 404)
    assert (await anna.get("/prompts/product-shot")).json["origin"] == "starter"


# ---------------------------------------------------------------- keys and users


@pytest.mark.parametrize(
    "field", ["budget", "spent", "user_id", "is_admin", "created_at", "price", "id", "version"]
)
async def test_nobody_changes_what_is_no_field(admin: Native, anna: Native, field: str) -> None:
    """S22."""
    change = await admin.send("PATCH", f"/users/{anna.user.id}", {field: 1})
    assert (change.status, change.code) == (400, "invalid_request")
    assert change.json["problems"][0]["field"] == field
    made = await anna.post("/keys", {"name": "k", field: 1})
    assert (made.status, made.code) == (400, "invalid_request")


async def test_a_member_changes_no_user(anna: Native, viewer: Native) -> None:
    """S11, S22."""
    for client in (anna, viewer):
        for verb, path, body in (
            ("GET", "/users", None),
            ("POST", "/users", {"name": "eve"}),
            ("PATCH", f"/users/{client.user.id}", {"role": "admin"}),
            ("PUT", f"/budgets/user/{client.user.id}", {"limit_micro": 5}),
            ("GET", "/calls", None),
        ):
            answer = await client.send(verb, path, body)
            assert (answer.status, answer.code) == (403, "forbidden"), path
    assert (await viewer.post("/jobs", {"prompt": "a lake"})).status == 403
    assert (await viewer.post("/keys", {"name": "k"})).status == 403


async def test_a_key_never_has_more_than_the_one_that_makes_it(place: Place) -> None:
    """S23."""
    soon = datetime.now(UTC) + timedelta(hours=10)
    scopes = (Scope.READ, Scope.MANAGE)
    small = await place.key("anna", Role.MEMBER, scopes=scopes, expires=soon)
    more: list[dict[str, Any]] = [
        {"scopes": ["generate"]},
        {"scopes": ["admin", "read"]},
        {"hours": 11},
    ]
    for field in more:
        answer = await small.post("/keys", {"name": "k", **field})
        assert (answer.status, answer.code) == (403, "forbidden"), field
    made = (await small.post("/keys", {"name": "k", "hours": 1})).json
    assert sorted(made["scopes"]) == ["manage", "read"]
    assert made["expires"] < soon.isoformat()
    unsaid = (await small.post("/keys", {"name": "k"})).json
    assert unsaid["expires"] is not None
    other = await place.key("ben", Role.MEMBER)
    assert (await small.post("/keys", {"name": "k", "user": other.user.id})).status == 404


async def test_a_budget_of_a_key_is_not_escaped_with_another_key(  # S23
    anna: Native, admin: Native, place: Place
) -> None:
    wanted = {"name": "small", "budgets": {"total": 1_000_000}, "limits": {"at_once": 1}}
    made = (await anna.post("/keys", wanted)).json
    small = anna.other(made["text"])
    sibling = (await anna.post("/keys", {"name": "large"})).json
    for path, body in (
        ("/keys", {"name": "child"}),
        (f"/keys/{made['id']}/rotate", {}),
        (f"/keys/{sibling['id']}/rotate", {"overlap_hours": 0}),
    ):
        answer = await small.post(path, body)
        assert (answer.status, answer.code) == (403, "forbidden"), path
    assert (await anna.other(sibling["text"]).get("/me")).status == 200
    # who may make keys hands the same budget on
    rotated = (await anna.post(f"/keys/{made['id']}/rotate", {})).json
    budgets = await place.gateway.store.journal.budgets()
    assert budgets[f"key/{rotated['id']}"] == 1_000_000
    # and a key that may do little at once does not turn one that may do more into its own
    slow = anna.other(
        (await anna.post("/keys", {"name": "s", "limits": {"at_once": 1}})).json["text"]
    )
    assert (await slow.post(f"/keys/{sibling['id']}/rotate", {})).status == 403
    assert (await admin.post(f"/keys/{sibling['id']}/rotate", {})).status == 201


async def test_a_key_is_shown_once_revoked_and_rotated(anna: Native, ben: Native) -> None:
    made = (await anna.post("/keys", {"name": "laptop"})).json
    laptop = anna.other(made["text"])
    assert (await laptop.get("/me")).json["key"]["name"] == "laptop"
    listed = await anna.get("/keys")
    assert made["text"] not in listed.body.decode()
    assert "digest" not in listed.body.decode()
    for verb, path in (
        ("GET", "/keys/ID"),
        ("DELETE", "/keys/ID"),
        ("POST", "/keys/ID/rotate"),
    ):
        body: dict[str, int] | None = {} if verb == "POST" else None
        await _same(ben, verb, path, made["id"], body)
    rotated = (await laptop.post(f"/keys/{made['id']}/rotate", {"overlap_hours": 2})).json
    assert rotated["id"] != made["id"]
    assert (await anna.other(rotated["text"]).get("/me")).status == 200
    old = (await anna.get(f"/keys/{made['id']}")).json
    left = datetime.fromisoformat(old["expires"]) - datetime.now(UTC)
    assert timedelta(hours=1.9) < left <= timedelta(hours=2)
    assert (await anna.send("DELETE", f"/keys/{made['id']}")).status == 204
    assert (await anna.get(f"/keys/{made['id']}")).status == 404
    assert (await anna.post(f"/keys/{made['id']}/rotate", {})).status == 404
    listed = await anna.get("/keys")
    (revoked,) = (each for each in listed.json["items"] if each["id"] == made["id"])
    assert revoked["revoked"] is not None


async def test_no_older_database_revives_what_was_revoked_here(  # S100
    anna: Native, place: Place
) -> None:
    ended, replaced = [(await anna.post("/keys", {"name": "k"})).json["id"] for _ in range(2)]
    assert (await anna.send("DELETE", f"/keys/{ended}")).status == 204
    assert (await anna.post(f"/keys/{replaced}/rotate", {"overlap_hours": 0})).status == 201
    beside = read_revoked(secrets_folder(place.gateway.settings))
    assert set(beside) == {ended, replaced}


async def test_the_last_admin_stays(admin: Native, place: Place) -> None:
    path = f"/users/{admin.user.id}"
    for change in ({"disabled": True}, {"role": "member"}):
        answer = await admin.send("PATCH", path, change)
        assert (answer.status, answer.code) == (409, "last_admin")
    await place.key("second", Role.ADMIN)
    assert (await admin.send("PATCH", path, {"role": "member"})).status == 200


async def test_two_admins_do_not_demote_each_other_at_once(admin: Native, place: Place) -> None:
    second = await place.key("second", Role.ADMIN)
    answers = await asyncio.gather(
        admin.send("PATCH", f"/users/{second.user.id}", {"role": "member"}),
        second.send("PATCH", f"/users/{admin.user.id}", {"role": "member"}),
    )
    assert 200 in [answer.status for answer in answers]
    left = [u for u in await place.gateway.accounts.users() if u.role is Role.ADMIN]
    assert len(left) == 1


async def test_the_last_key_of_the_last_admin_stays(admin: Native, place: Place) -> None:
    (key,) = await place.gateway.accounts.keys(admin.user.id)
    answer = await admin.send("DELETE", f"/keys/{key.id}")
    assert (answer.status, answer.code) == (409, "last_admin")
    await place.key("admin", Role.ADMIN, scopes=(Scope.READ,))  # which cannot manage
    assert (await admin.send("DELETE", f"/keys/{key.id}")).status == 409
    rotated = (await admin.post(f"/keys/{key.id}/rotate", {"overlap_hours": 0})).json
    assert (await admin.other(rotated["text"]).get("/users")).status == 200
    await place.key("second", Role.ADMIN)
    assert (
        await admin.other(rotated["text"]).send("DELETE", f"/keys/{rotated['id']}")
    ).status == 204


async def test_a_name_is_taken_once(admin: Native) -> None:
    assert (await admin.post("/users", {"name": "eve"})).status == 201
    again = await admin.post("/users", {"name": "EVE"})
    assert (again.status, again.code) == (409, "name_taken")
