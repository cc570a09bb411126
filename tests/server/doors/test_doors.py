"""Who gets in: rows S01–S07, S10 and S68 of the abuse cases, over real connections."""

import asyncio
import time
import zlib
from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.server.counting import calls_of
from tests.server.doors.house import PEPPER, a_house, ask

from heliograph.accounts import ALPHABET, Limits, Role, key_id, new_key
from heliograph.ports import Accounts
from heliograph.server.addresses import Addresses
from heliograph.server.doors import REMEMBERED, Doorkeeper, credential
from heliograph.server.faults import AmbiguousCredentials, Unauthenticated
from heliograph.storage.memory_accounts import MemoryAccounts

DOORS = ["authorization", "x-goog-api-key", "x-api-key", "api-key"]


def told(door: str, key: str) -> dict[str, str]:
    return {door: f"Bearer {key}" if door == "authorization" else key}


def with_check(body: str) -> str:
    """A key text with a right checksum."""
    number, letters = zlib.crc32(body.encode()), ""
    for _ in range(6):
        number, rest = divmod(number, 62)
        letters = ALPHABET[rest] + letters
    return body + letters


@pytest.mark.parametrize(
    "path", ["/who", "/body", "/admin", "/nowhere", "/", "/healthz/", "/Healthz"]
)
async def test_without_a_key_nothing_is_there(path: str) -> None:
    async with a_house() as house:
        for method in ("GET", "POST", "DELETE", "OPTIONS"):
            status, answer, headers = await ask(house, path, method=method)
            assert (status, answer["error"]["code"]) == (401, "unauthenticated")
            assert headers["www-authenticate"] == "Bearer"


async def test_probes_and_signed_pictures_are_open() -> None:
    async with a_house() as house:
        assert (await ask(house, "/healthz"))[0] == 200
        assert (await ask(house, "/pictures/x?sig=1"))[1]["user"] is None
        for path in ("/pictures/x", "/pictures/x?sig=", "/pictures/x?Sig=1", "/who?sig=1"):
            assert (await ask(house, path))[0] == 401


async def test_every_door_leads_to_the_same_caller() -> None:
    async with a_house(query_keys=True) as house:
        key = await house.key(await house.user("anna"))
        for door in DOORS:
            status, answer, headers = await ask(house, "/who", headers=told(door, key))
            assert (status, answer["user"], answer["key"]) == (200, "anna", key_id(key))
            assert headers["x-request-id"] == answer["request"]
            assert len(bytes.fromhex(answer["request"])) == 16
        assert (await ask(house, f"/v1/models/x?key={key}"))[0] == 200
        loose = {"authorization": f"bEARER   {key}  "}
        assert (await ask(house, "/who", headers=loose))[0] == 200
        # the same key twice, as a proxy doubles it, is one
        both = told("authorization", key) | told("x-goog-api-key", key)
        assert (await ask(house, "/who", headers=both))[0] == 200


async def test_two_different_keys_are_refused_even_if_both_are_good() -> None:
    async with a_house(query_keys=True) as house:
        user = await house.user("anna")
        one, two = await house.key(user), await house.key(user)
        for door in DOORS[1:]:
            headers = told("authorization", one) | told(door, two)
            status, answer, _ = await ask(house, "/who", headers=headers)
            assert (status, answer["error"]["code"]) == (400, "ambiguous_credentials")
        status, answer, _ = await ask(house, f"/v1/models/x?key={two}", one)
        assert (status, answer["error"]["code"]) == (400, "ambiguous_credentials")


async def test_a_key_in_the_address_counts_on_the_gemini_face_alone_and_if_allowed() -> None:
    async with a_house(query_keys=True) as house:
        key = await house.key(await house.user("anna"))
        assert (await ask(house, f"/v1/models/x?key={key}"))[0] == 200
        assert (await ask(house, f"/openai/v1/models?key={key}"))[0] == 401
        assert (await ask(house, f"/who?key={key}"))[0] == 401
    async with a_house() as house:
        key = await house.key(await house.user("anna"))
        assert (await ask(house, f"/v1/models/x?key={key}"))[0] == 401
        assert (await ask(house, f"/v1/models/x?key={key}", key))[0] == 200


async def test_all_bad_keys_get_one_answer() -> None:
    async with a_house() as house:
        anna = await house.user("anna")
        ben = await house.user("ben", disabled=True)
        revoked, good = await house.key(anna), await house.key(anna)
        await house.accounts.revoke_key(key_id(revoked) or "", house.now)
        expired = await house.key(anna, expires=house.now)
        bad = [
            *(new_key(), revoked, expired, await house.key(ben), "", "x", good[:-1], good + "0"),
            # of the same id, with a right checksum and another tail
            with_check(good[:30] + "0" * (len(good) - 36)),
        ]
        answers = []
        for key in bad:
            status, answer, _ = await ask(house, "/who", key)
            answers.append((status, {**answer["error"], "request": ""}))
        assert answers[0][0] == 401
        assert all(answer == answers[0] for answer in answers)
        assert (await ask(house, "/who", good))[0] == 200


@pytest.mark.parametrize(
    "value",
    [
        b"\xff\xfe",
        "ключ".encode(),
        b"a\tb",
        b"helio_live_" + b"\x80" * 49,
        b"x" * 10_000,
        b"Bearer",
    ],
)
async def test_odd_bytes_in_a_key_are_no_error_of_ours(value: bytes) -> None:
    async with a_house() as house:
        for door in (b"Authorization: Bearer ", b"x-api-key: ", b"Authorization: "):
            lines = b"GET /who HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            found = await house.raw(lines + door + value + b"\r\n\r\n")
            assert found.startswith(b"HTTP/1.1 401 "), found
        for cut in (b"\x00", b"\r", b"\n x"):
            found = await house.raw(lines + b"x-api-key: a" + cut + b"b\r\n\r\n")
            assert found.startswith((b"HTTP/1.1 401 ", b"HTTP/1.1 400 ")), found


@given(
    headers=st.lists(
        st.tuples(
            st.sampled_from([b"authorization", b"x-api-key", b"x-goog-api-key", b"cookie"]),
            st.binary(max_size=80)
            | st.sampled_from([b"Bearer k", b"bearer  k ", b"Basic k", b"k"]),
        ),
        max_size=4,
    ),
    query=st.binary(max_size=60),
)
def test_reading_a_credential_never_breaks(
    headers: list[tuple[bytes, bytes]], query: bytes
) -> None:
    scope = {"headers": headers, "path": "/v1/models", "query_string": query}
    try:
        found = credential(scope, query_keys=True)
    except AmbiguousCredentials:
        assert len(headers) + query.count(b"key=") > 1
    else:
        assert found is None or found


async def test_two_keys_with_the_same_beginning_are_two_identities() -> None:
    async with a_house() as house:
        anna, ben = await house.user("anna"), await house.user("ben")
        one = await house.key(anna)
        other = with_check(one[:40] + ("0" if one[40] != "0" else "1") + one[41:54])
        # the ids are equal, so only one of them can be kept
        assert key_id(one) == key_id(other)
        assert (await ask(house, "/who", one))[1]["user"] == "anna"
        assert (await ask(house, "/who", other))[0] == 401
        assert (await ask(house, "/who", await house.key(ben)))[1]["user"] == "ben"


@pytest.mark.parametrize("change", ["revoke", "disable", "expire", "scopes"])
async def test_a_change_holds_within_a_second(change: str) -> None:
    async with a_house() as house:
        user = await house.user("anna", role=Role.ADMIN)
        key = await house.key(user, expires=house.now + timedelta(hours=1))
        assert (await ask(house, "/who", key))[0] == 200
        if change == "revoke":
            await house.accounts.revoke_key(key_id(key) or "", house.now)
        elif change == "expire":
            house.now += timedelta(hours=1)
        else:
            changed = replace(user, version=2, disabled=change == "disable")
            if change == "scopes":
                changed = replace(changed, role=Role.VIEWER)
            await house.accounts.change_user(user, changed)
        end = time.monotonic() + 1.0
        path, refused = ("/admin", 403) if change == "scopes" else ("/who", 401)
        is_late = False
        while (status := (await ask(house, path, key))[0]) != refused:
            assert not is_late, "it was asked more than a second after the change"
            await asyncio.sleep(0.05)
            is_late = time.monotonic() > end
        assert status == refused


async def test_a_change_is_heard_of_before_the_memory_ends() -> None:
    accounts = MemoryAccounts()
    async with a_house(accounts=accounts) as house:
        key = await house.key(await house.user("anna"))
    keeper = _keeper(accounts)
    await keeper.caller_of(_scope(key))
    await accounts.revoke_key(key_id(key) or "", house.now)
    await asyncio.sleep(0.3)
    with pytest.raises(Unauthenticated):
        await keeper.caller_of(_scope(key))
    await keeper.close()


async def test_a_change_that_nobody_tells_holds_within_a_second_all_the_same() -> None:
    class Silent(MemoryAccounts):
        async def revision(self) -> int:
            return 1

    accounts = Silent()
    async with a_house(accounts=accounts) as house:
        key = await house.key(await house.user("anna"))
    keeper = _keeper(accounts)
    await keeper.caller_of(_scope(key))
    await accounts.revoke_key(key_id(key) or "", house.now)
    await asyncio.sleep(0.95)
    with pytest.raises(Unauthenticated):
        await keeper.caller_of(_scope(key))
    await keeper.close()


async def test_a_good_key_is_looked_up_about_once_a_second() -> None:
    class Counting(MemoryAccounts):
        looked = touched = 0

        async def key(self, key_id: str):  # type: ignore[no-untyped-def]
            self.looked += 1
            return await super().key(key_id)

        async def touch_key(self, key_id: str, at):  # type: ignore[no-untyped-def]
            self.touched += 1
            await super().touch_key(key_id, at)

    accounts = Counting()
    async with a_house(accounts=accounts) as house:
        key = await house.key(await house.user("anna"))
        begun = time.monotonic()
        for _ in range(50):
            assert (await ask(house, "/who", key))[0] == 200
        # each look but the first comes when the one before is too old
        assert accounts.looked <= 1 + (time.monotonic() - begun) / REMEMBERED
        assert accounts.touched == 1
        kept = await accounts.keys()
        assert kept[0].last_used is not None


async def test_a_hundred_bad_keys_shut_the_door_for_that_address_alone() -> None:
    proxy = Addresses(hosts=frozenset(), proxies=(ip_network("127.0.0.0/8"),))
    async with a_house(addresses=proxy) as house:
        key = await house.key(await house.user("anna"))

        async def come(address: str, key: str) -> int:
            headers = {"x-forwarded-for": address}
            return (await ask(house, "/who", key, headers=headers))[0]

        bad = new_key()
        assert [await come("2001:db8::1", bad) for _ in range(100)] == [401] * 100
        assert await come("2001:db8::1", bad) == 429
        assert await come("2001:db8::ffff:1", key) == 429  # the same customer's network
        assert await come("2001:db8:0:1::1", key) == 200
        assert await come("192.0.2.1", key) == 200
        _, answer, headers = await ask(
            house, "/who", key, headers={"x-forwarded-for": "2001:db8::2"}
        )
        assert answer["error"]["code"] == "too_many_requests"
        assert 1 <= int(headers["retry-after"]) <= 61


async def test_requests_a_minute_count_by_user_whatever_the_key_and_door() -> None:
    async with a_house(per_minute=10) as house:
        anna, ben = await house.user("anna"), await house.user("ben")
        keys = [await house.key(anna) for _ in range(3)]
        seen = [
            (await ask(house, "/who", headers=told(DOORS[n % 4], keys[n % 3])))[0]
            for n in range(12)
        ]
        assert seen == [200] * 10 + [429] * 2
        assert (await ask(house, "/who", await house.key(ben)))[0] == 200
        carl = await house.user("carl", limits=Limits(per_minute=20))
        key = await house.key(carl, limits=Limits(per_minute=3))
        assert [(await ask(house, "/who", key))[0] for _ in range(4)] == [200] * 3 + [429]
        assert (await ask(house, "/who", await house.key(carl)))[0] == 200


async def test_a_wrong_tail_takes_the_same_steps_as_an_unknown_key() -> None:
    """S02: every call between the door and the answer is the same, and in the same order.

    What compares the secret part is the standard library's comparison, whose time tells nothing
    of the place where two texts differ."""
    accounts = MemoryAccounts()
    async with a_house(accounts=accounts) as house:
        good = await house.key(await house.user("anna"))
    near = with_check(good[:30] + "0" * (len(good) - 36))
    closest = with_check(good[:-7] + ("0" if good[-7] != "0" else "1"))
    strange = new_key()
    for other in (near, closest):
        assert key_id(other) == key_id(good)
        assert other != good
    steps = {key: _steps(_keeper(accounts), key) for key in (near, closest, strange)}
    assert steps[near] == steps[closest] == steps[strange]
    # the checksum of the text, and the digest of the whole; both are made of every letter
    assert steps[near].count("compare_digest") == 2
    assert steps[near].count("digest") == 2
    assert steps[near].count("MemoryAccounts.key") == 1


def _steps(keeper: Doorkeeper, key: str) -> list[str]:
    """Every call that refusing a key makes."""

    def refuse() -> None:
        asked = keeper.caller_of(_scope(key))
        with pytest.raises(Unauthenticated):
            asked.send(None)  # nothing in it waits

    return calls_of(refuse)


class NoRates:
    """No limits: 10,000 bad keys are looked at."""

    async def take(self, name: str, per_minute: int) -> float:
        return 0.0 * len(name) * per_minute

    look = take

    async def close(self) -> None: ...


def _keeper(accounts: Accounts) -> Doorkeeper:
    return Doorkeeper(
        accounts, NoRates(), Addresses(hosts=frozenset()), pepper=PEPPER, per_minute=10
    )


def _scope(key: str) -> dict[str, object]:
    return {
        "type": "http",
        "path": "/who",
        "query_string": b"",
        "client": ("127.0.0.1", 1),
        "headers": [(b"authorization", f"Bearer {key}".encode())],
        "state": {},
    }


async def test_the_key_is_checked_before_any_byte_of_the_body_is_read() -> None:
    async with a_house() as house:
        lines = b"POST /body HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        # not one byte of the body was sent, and the answer is there
        found = await house.raw(lines)
        assert found.startswith(b"HTTP/1.1 401 ")
        assert b"connection: close" in found
        assert house.reads == []
