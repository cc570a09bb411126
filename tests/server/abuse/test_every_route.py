"""What holds for each route there is, from the table of routes: S01, S11, S25, S81 and more."""

import json
import re
import secrets
from pathlib import Path
from typing import Any

from tests.server.abuse.conftest import PRO, Answer, Target, attacked

from heliograph.accounts import SCOPES, Role, Scope
from heliograph.server.routes import OPEN

# open by their policy: they check for themselves
PROBES = ("/healthz", "/readyz")
GONE = "0" * 32
PARAMETER = re.compile(r"\{(\w+)(?::path)?\}")


def filled(path: str, **known: str) -> str:
    """The path of a route with something for each of its parameters."""
    return PARAMETER.sub(lambda m: known.get(m[1], GONE), path)


def lines(house: Target) -> list[tuple[str, str, str]]:
    """Method, path and needed scope of each route."""
    return [(*line.split(" ", 1), scope) for line, scope in house.matrix.items()]  # type: ignore[misc]


def absent(path: str) -> int:
    """The status of what is not there; Google has its own for files and for interactions."""
    if path.endswith("/files/{file}"):
        return 403
    return 400 if "/interactions/" in path else 404


def faceless(answer: Answer) -> bool:
    """Whether an error tells nothing but our own words."""
    text = answer.body.decode("utf-8", "replace").lower()
    tell = ("traceback", "select ", "/src/", "sqlite", "site-packages", "starlette", "uvicorn")
    return not any(word in text for word in tell)


async def test_s01_without_a_key_every_route_is_closed(house: Target) -> None:
    """S01, and S85 for event streams: no key, no answer, whatever the origin."""
    told = lines(house)
    assert len(told) > 100
    for method, path, _ in told:
        answer = await house.send(
            None, method, filled(path), headers={"origin": "https://evil.test"}
        )
        if path in PROBES or path == "/metrics":
            assert answer.status in (200, 503), path  # `server_metrics` is local, as we are
            continue
        assert answer.status == 401, (method, path, answer.body)
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.code in ("unauthenticated", "invalid_api_key", "api_key_invalid"), path
        assert faceless(answer)


async def test_s11_a_users_key_opens_no_route_of_admins(house: Target) -> None:
    """S11: each role on each route that it lacks the scope for, proven from the table."""
    refused = 0
    for method, path, scope in lines(house):
        if scope == OPEN:
            continue
        for who, role in (("anna", Role.MEMBER), ("vera", Role.VIEWER)):
            if Scope(scope) in SCOPES[role]:
                continue
            answer = await house.send(who, method, filled(path))
            assert answer.status == 403, (who, method, path, answer.body)
            assert faceless(answer)
            refused += 1
    assert refused > 30


async def test_s81_no_get_changes_and_s25_no_get_tells(house: Target) -> None:
    """S25, S81, S97: each GET as admin: no secret in it, nothing different after it."""
    image = await house.draw("anna")
    known = {
        "image_id": image["id"],
        "record": image["id"],
        "job_id": image["job"],
        "model": PRO,
        "user_id": house.users["anna"].id,
        "key_id": house.keys["anna"][len("helio_live_") :][:8],
        "variant": "thumbnail",
        "name": "product-shot",
        "level": "0",
        "tile": "0_0.webp",
    }
    hidden = [*house.keys.values(), *house.gateway.secrets.texts(), f"emu-project-{house.project}"]
    hidden += [key.digest for key in await house.gateway.accounts.keys()]
    before, read = await state(house), 0
    for method, path, _ in lines(house):
        if method != "GET":
            continue
        answer = await house.send("root", method, filled(path, **known))
        read += answer.status == 200
        assert answer.status in (200, absent(path), 501), (path, answer.body)
        said = answer.body.decode("utf-8", "replace") + json.dumps(answer.headers)
        assert not [secret for secret in hidden if secret in said], path
        assert not {"server", "x-powered-by", "via", "set-cookie"} & set(answer.headers), path
        assert "location" not in answer.headers, path
    assert read > 30
    assert await state(house) == before


async def state(house: Target) -> Any:
    store = house.gateway.store
    return (
        await store.books.recent(limit=100),
        await store.jobs.jobs(limit=100),
        await store.accounts.revision(),
        await store.journal.budgets(),
        [await store.cabinet.cards(kind) for kind in ("session", "cast", "prompt", "webhook")],
        await house.bill(),
    )


ODD = (
    "..",
    "%2e%2e",
    "..%2f..%2f..%2fetc%2fpasswd",
    "%2fetc%2fpasswd",
    "a%00b",
    "%0d%0aset-cookie:%20a=1",
    "C%3a%5cwindows",
    "CON",
    "nul.txt",
    "x" * 4096,
    "%e2%80%ae%e2%81%a6",
    "%ef%bc%8e%ef%bc%8e%ef%bc%8f",
    "%ff%fe",
    "'%20OR%201=1--",
    "{id}",
    "*",
    "%25%25%25",
)


async def test_s51_ids_are_never_paths(house: Target) -> None:
    """S51, S98: every parameter of every route, with every spelling of another place."""
    outside = house.gateway.store.home.parent
    before = sorted(path.name for path in outside.iterdir())
    tried = 0
    for method, path, _ in lines(house):
        if "{" not in path or path.startswith(("/gemini/", "/v1/")):
            continue  # they are the routes of /v1beta
        for odd in ODD:
            whole = path
            for parameter in PARAMETER.finditer(path):
                whole = whole.replace(parameter[0], odd)
            body: Any = None if method in ("GET", "DELETE") else {}
            answer = await house.send("root", method, whole, json=body)
            tried += 1
            assert answer.status in (400, absent(path), 501) or (
                # what is named does not have to be there to be removed or to be named so
                answer.status in (200, 204) and method in ("PUT", "DELETE")
            ), (method, whole[:80], answer.status, answer.body[:300])
            assert faceless(answer), (method, whole[:80], answer.body)
            assert "set-cookie" not in answer.headers
    assert tried > 500
    assert sorted(path.name for path in outside.iterdir()) == before
    assert await house.bill() == []


async def test_s65_no_route_takes_another_method(house: Target) -> None:
    """S65: TRACE, methods of nobody, and a header that names another method."""
    told: dict[str, set[str]] = {}
    for method, path, _ in lines(house):
        told.setdefault(path, set()).add(method)
    for path, methods in told.items():
        for method in ("TRACE", "PROPFIND", "FOO", "CONNECT"):
            if method == "CONNECT":
                continue  # needs a host, not a path; see test_wire
            answer = await house.send("root", method, filled(path))
            assert answer.status == 405, (method, path)
        if "GET" not in methods and "DELETE" not in methods:
            override = {"x-http-method-override": "DELETE", "x-method-override": "DELETE"}
            answer = await house.send("root", "GET", filled(path), headers=override)
            assert answer.status in (404, 405), (path, answer.body)


async def test_s28_ids_cannot_be_guessed(tmp_path: Path, emulated: str) -> None:
    """S28: ids are 128 random bits; who guesses gets 404, and 429 before getting far."""
    async with attacked(tmp_path / "home", emulated, server_user_per_minute=40) as house:
        image = await house.draw("anna")
        for name in (image["id"], image["job"], house.users["anna"].id):
            assert re.fullmatch(r"[0-9a-f]{32}", name)
        guesses = [
            await house.send("ben", "GET", f"/api/v1/images/{secrets.token_hex(16)}")
            for _ in range(60)
        ]
        assert [guess.status for guess in guesses] == [404] * 40 + [429] * 20
        assert int(guesses[-1].headers["retry-after"]) > 0
        assert (await house.send("anna", "GET", f"/api/v1/images/{image['id']}")).status == 200
