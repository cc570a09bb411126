"""Keys that are none, too many, or come from the wrong place: S03 to S07, S09, S13, S15."""

import asyncio
from pathlib import Path
from urllib.parse import quote

import pytest
from tests.server.abuse.conftest import Answer, Target, attacked
from tests.server.doors.test_doors import with_check

from heliograph.accounts import key_id, new_key

PLACES = ("/v1/models", "/openai/v1/models", "/api/v1/me", "/pictures/" + "0" * 32 + "/original")
DOORS = ("authorization", "x-goog-api-key", "x-api-key", "api-key")


def told(door: str, key: str) -> dict[str, str]:
    return {door: f"Bearer {key}" if door == "authorization" else key}


@pytest.mark.parametrize(
    "value",
    [b"\xff\xfe", "ключ".encode(), b"helio_live_\x80", b"x" * 10_000, b"a\x00b", b"a\r b", b""],
)
async def test_s03_odd_bytes_are_no_key(house: Target, value: bytes) -> None:
    for path in PLACES:
        for door in (b"Authorization: Bearer ", b"x-goog-api-key: ", b"api-key: "):
            line = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n".encode()
            found = await house.raw(line + door + value + b"\r\n\r\n")
            assert found[9:12] in (b"401", b"400"), (path, found)


async def test_s04_a_key_in_the_address(tmp_path: Path, emulated: str) -> None:
    """S04: for the Gemini face alone, if the operator allows it; and in no log."""
    for is_allowed in (False, True):
        home = tmp_path / str(is_allowed)
        async with attacked(home, emulated, server_query_keys=is_allowed) as house:
            key = house.keys["anna"]
            for path in PLACES:
                answer = await house.send(None, "GET", f"{path}?key={key}")
                if is_allowed and path.startswith("/v1/"):
                    assert answer.status == 200
                else:
                    assert answer.status == 401, path
            log = house.log.getvalue()
            assert log.count("request") > 3
            assert key not in log
            assert key[len("helio_live_") + 8 : -6] not in log


async def test_s05_five_doors_one_caller(tmp_path: Path, emulated: str) -> None:
    """S05: the same limits whatever the door; two keys are refused."""
    async with attacked(
        tmp_path / "home", emulated, server_query_keys=True, server_user_per_minute=10
    ) as house:
        anna, ben = house.keys["anna"], house.keys["ben"]
        found = []
        for n in range(15):
            door = (*DOORS, "key")[n % 5]
            path = f"/v1/models?key={anna}" if door == "key" else "/v1/models"
            headers = {} if door == "key" else told(door, anna)
            found.append((await house.send(None, "GET", path, headers=headers)).status)
        assert found == [200] * 10 + [429] * 5
        for door in DOORS[1:]:
            both = told("authorization", anna) | told(door, ben)
            answer = await house.send(None, "GET", "/api/v1/me", headers=both)
            assert (answer.status, answer.code) == (400, "ambiguous_credentials")


async def test_s06_a_revoked_key_is_dead_within_a_second_everywhere(
    tmp_path: Path, emulated: str
) -> None:
    """S06: two processes of one library; an event stream that was open ends by itself."""
    home = tmp_path / "home"
    async with (
        attacked(home, emulated, project="shared") as one,
        attacked(home, emulated, project="shared", keys=one.keys) as two,
    ):
        key = one.keys["anna"]
        for house in (one, two):
            assert (await house.send("anna", "GET", "/api/v1/me")).status == 200
        gone = await one.send("root", "DELETE", f"/api/v1/keys/{key_id(key)}")
        assert gone.status == 204
        await asyncio.sleep(1.0)
        for house in (one, two):
            for path in PLACES:
                assert (await house.send("anna", "GET", path)).status == 401, path


async def test_s07_who_tries_keys_is_shut_out_alone(house: Target) -> None:
    """S07, S13: 429 for that address, whatever it says of where it comes from."""
    for n in range(100):
        lie = {"x-forwarded-for": f"10.0.0.{n}", "x-real-ip": f"10.1.0.{n}"}
        answer = await house.send(new_key(), "GET", "/v1/models", headers=lie, local="127.0.0.2")
        assert answer.status == 401
    shut = await house.send(new_key(), "GET", "/v1/models", local="127.0.0.2")
    assert shut.status == 429
    assert int(shut.headers["retry-after"]) > 0
    lie = {"x-forwarded-for": "127.0.0.1", "forwarded": "for=127.0.0.1"}
    again = await house.send(new_key(), "GET", "/v1/models", headers=lie, local="127.0.0.2")
    assert again.status == 429
    assert (await house.send("anna", "GET", "/v1/models")).status == 200
    assert (await house.send("anna", "GET", "/v1/models", local="127.0.0.3")).status == 200


INJECTIONS = (
    "' OR '1'='1",
    "1; DROP TABLE users--",
    '" UNION SELECT digest FROM api_keys--',
    "%' OR 1=1 --",
    "\\'; SELECT 1",
    "${jndi:ldap://x}",
    "{{7*7}}",
)


@pytest.mark.parametrize("text", INJECTIONS)
async def test_s09_statements_in_texts_are_texts(house: Target, text: str) -> None:
    """S09: in key, user, search, cursor and sort; no answer knows a statement."""
    odd = quote(text, safe="")
    answers = [
        (401, await house.send(f"helio_live_{odd}", "GET", "/api/v1/me")),
        (200, await house.send("anna", "GET", f"/api/v1/images?q={odd}")),
        (400, await house.send("anna", "GET", f"/api/v1/images?tag={odd}")),
        (400, await house.send("anna", "GET", f"/api/v1/images?cursor={odd}")),
        (400, await house.send("anna", "GET", f"/api/v1/images?sort={odd}")),
        (400, await house.send("anna", "GET", f"/api/v1/costs?by={odd}")),
        (400, await house.send("anna", "GET", f"/v1/models?pageToken={odd}")),
    ]
    made = await house.send("root", "POST", "/api/v1/users", json={"name": text})
    assert made.status in (201, 400), made.body
    for expected, answer in answers:
        # a semicolon or a backslash in a path is refused; in a query it is a letter
        assert answer.status == expected, (answer.status, answer.body)
        said = answer.body.lower()
        assert b"sqlite" not in said
        assert b"syntax" not in said
    users = (await house.send("root", "GET", "/api/v1/users")).json["items"]
    assert len(users) == len(house.users) + (made.status == 201)


async def test_s15_there_are_no_cookies(house: Target) -> None:
    """S15, S80: nothing sets one and nothing takes one; there is no session to fix or to ride."""
    key = house.keys["anna"]
    for path in PLACES:
        answer = await house.send(
            None, "GET", path, headers={"cookie": f"session={key}; key={key}"}
        )
        assert answer.status == 401
        assert "set-cookie" not in answer.headers
        assert "set-cookie" not in (await house.send("anna", "GET", path)).headers


async def test_s02_near_misses_of_a_key(house: Target) -> None:
    """S02: right prefix and id, wrong tail: refused as any other, to the last letter.

    That it takes the same steps is counted beside the wire, in tests/server/doors."""
    good = house.keys["anna"]

    def told(answer: Answer) -> tuple[int, list[str], bytes]:
        """What of an answer could tell two keys apart; each has an id of its own."""
        body = answer.body.replace(answer.headers["x-request-id"].encode(), b"ID")
        return answer.status, sorted(answer.headers), body

    for _ in range(5):
        other = new_key()
        body = good[:19] + other[19:-6]
        near = with_check(body)
        assert key_id(near) == key_id(good)
        answers = [await house.send(text, "GET", "/api/v1/me") for text in (near, other)]
        assert told(answers[0]) == told(answers[1])
        assert answers[0].status == 401
    assert (await house.send("anna", "GET", "/api/v1/me")).status == 200
