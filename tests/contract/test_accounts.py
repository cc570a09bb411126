"""What every implementation of the `Accounts` port must do, and both engines of `SqlAccounts`."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from tests.engines import NewUrl

from heliograph.accounts import ApiKey, Limits, Role, Scope, User
from heliograph.errors import CardChanged, NameTaken, RecordNotFound, StorageError
from heliograph.ports import Accounts
from heliograph.storage import MemoryAccounts
from heliograph.storage.database import Database
from heliograph.storage.sql_accounts import SqlAccounts

NOON = datetime(2026, 11, 30, 12, 0, 30, 123456, tzinfo=UTC)
TOKYO = timezone(timedelta(hours=9))
SECOND = timedelta(seconds=1)
ODD = ["", "你好 🗼 <script>'\";--", "a\0b", "\x1a\x1a0000", "half \ud800 pair", "%_\\/"]


def a_user(user_id: str = "user-1", **changes: Any) -> User:
    user = User(id=user_id, name="Ada", role=Role.MEMBER, created=NOON, changed=NOON)
    return replace(user, **changes)


def a_key(key_id: str = "abcd1234", **changes: Any) -> ApiKey:
    key = ApiKey(
        id=key_id,
        user="user-1",
        name="laptop",
        digest="d" * 64,
        scopes=(Scope.GENERATE, Scope.READ),
        created=NOON,
    )
    return replace(key, **changes)


@pytest.fixture(params=["memory", "sqlite", "postgres"])
async def accounts(request: pytest.FixtureRequest) -> AsyncIterator[Accounts]:
    if request.param == "memory":
        yield MemoryAccounts()
        return
    database = Database(request.getfixturevalue(f"new_{request.param}")())
    yield SqlAccounts(database)
    await database.close()


async def test_a_user_comes_back_as_it_was_added(accounts: Accounts) -> None:
    ada = a_user(limits=Limits(per_minute=0, at_once=5), disabled=True, role=Role.ADMIN)
    bob = a_user("user-2", name="bob", created=NOON.astimezone(TOKYO) - SECOND, version=7)
    for user in (ada, bob):
        await accounts.add_user(user)
    assert await accounts.user("user-1") == ada
    assert await accounts.user_named("aDA") == ada
    assert await accounts.users() == (bob, ada)
    assert [user.created.utcoffset() for user in await accounts.users()] == [timedelta(0)] * 2
    for nobody in ("user-3", "user-", "USER-1", ""):
        assert await accounts.user(nobody) is None
        assert await accounts.user_named(nobody) is None


async def test_users_of_one_time_are_sorted_by_id(accounts: Accounts) -> None:
    for user_id in ("b", "B", "ä", "a", "_"):
        await accounts.add_user(a_user(user_id, name=user_id + "-" + user_id.encode().hex()))
    assert [user.id for user in await accounts.users()] == sorted(["b", "B", "ä", "a", "_"])


@pytest.mark.parametrize("text", ODD)
async def test_any_text_comes_back_equal(accounts: Accounts, text: str) -> None:
    user = a_user(text, name=text)
    key = a_key(text, user=text, name=text, digest=text)
    await accounts.add_user(user)
    await accounts.add_key(key)
    assert await accounts.user(text) == user
    assert await accounts.user_named(text.upper()) == user
    assert await accounts.key(text) == key
    assert await accounts.keys(text) == (key,)
    with pytest.raises(NameTaken):
        await accounts.add_user(a_user("other", name=text))
    await accounts.change_user(user, replace(user, name="plain", version=2))
    assert await accounts.user_named(text) is None


async def test_names_are_unique_ignoring_case(accounts: Accounts) -> None:
    await accounts.add_user(a_user(name="Straße"))
    for taken in (
        a_user("user-2", name="STRASSE"),
        a_user("user-2", name="straße"),
        a_user(name="x"),
    ):
        with pytest.raises(NameTaken) as caught:
            await accounts.add_user(taken)
        assert caught.value.facts == {"name": taken.name, "id": taken.id}
    assert len(await accounts.users()) == 1
    assert await accounts.revision() == 1


async def test_a_change_is_the_next_version(accounts: Accounts) -> None:
    first = a_user()
    await accounts.add_user(first)
    second = replace(
        first,
        name="ADA",
        role=Role.VIEWER,
        disabled=True,
        changed=NOON + SECOND,
        limits=Limits(at_once=2),
        version=2,
    )
    await accounts.change_user(first, second)
    assert await accounts.user("user-1") == second
    for stale in (first, replace(first, version=3)):
        with pytest.raises(CardChanged) as caught:
            await accounts.change_user(stale, replace(stale, version=stale.version + 1))
        assert caught.value.facts == {"id": "user-1", "version": 2, "expected": stale.version}
    ghost = a_user("ghost", name="ghost")
    with pytest.raises(CardChanged, match="is not there"):
        await accounts.change_user(ghost, replace(ghost, version=2))
    assert await accounts.users() == (second,)


async def test_no_change_takes_the_name_of_another(accounts: Accounts) -> None:
    ada, bob = a_user(), a_user("user-2", name="Bob")
    for user in (ada, bob):
        await accounts.add_user(user)
    with pytest.raises(NameTaken):
        await accounts.change_user(bob, replace(bob, name="aDA", version=2))
    stale = replace(bob, version=5)
    with pytest.raises(CardChanged):  # whether the name is taken is not even looked at
        await accounts.change_user(stale, replace(stale, name="ada", version=6))
    assert await accounts.users() == (ada, bob)
    assert await accounts.revision() == 2


async def test_a_change_of_something_else_is_no_change(accounts: Accounts) -> None:
    await accounts.add_user(a_user())
    for wrong in (a_user(), a_user(version=3), a_user("user-2", version=2)):
        with pytest.raises(ValueError, match="does not follow"):
            await accounts.change_user(a_user(), wrong)


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 0},
        {"version": 2**70},
        {"limits": Limits(per_minute=-1)},
        {"limits": Limits(at_once=10**30)},
        {"name": "灯" * 401},
        {"id": "x" * 401},
        {"created": NOON.replace(tzinfo=None)},
        {"disabled": 1},
    ],
    ids=str,
)
async def test_what_no_column_holds_is_refused(accounts: Accounts, changes: dict[str, Any]) -> None:
    with pytest.raises(StorageError):
        await accounts.add_user(a_user(**changes))
    assert await accounts.users() == ()


@pytest.mark.parametrize("letter", ["a", "灯", "🗼", "\0", "\ud800", "\u0390"])
async def test_the_longest_names_fit_every_engine(accounts: Accounts, letter: str) -> None:
    user = a_user(letter * 400, name=letter * 400)
    await accounts.add_user(user)
    assert await accounts.user_named(letter * 400) == user


async def test_a_key_comes_back_as_it_was_added(accounts: Accounts) -> None:
    await accounts.add_user(a_user())
    await accounts.add_user(a_user("user-2", name="Bob"))
    late = a_key(
        "late",
        created=(NOON + SECOND).astimezone(TOKYO),
        expires=NOON + 2 * SECOND,
        limits=Limits(per_minute=60),
        scopes=(),
    )
    used = a_key("used", user="user-2", revoked=NOON, last_used=NOON)
    for key in (late, a_key(), used):
        await accounts.add_key(key)
    assert await accounts.key("late") == late
    assert await accounts.keys() == (a_key(), used, late)
    assert await accounts.keys("user-1") == (a_key(), late)
    assert await accounts.keys("nobody") == ()
    assert await accounts.key("never") is None
    with pytest.raises(NameTaken):
        await accounts.add_key(a_key("late", user="user-2"))
    with pytest.raises(RecordNotFound):
        await accounts.add_key(a_key("new", user="nobody"))
    with pytest.raises(StorageError):
        await accounts.add_key(a_key("new", limits=Limits(at_once=-1)))
    assert len(await accounts.keys()) == 3


async def test_a_key_is_revoked_for_good(accounts: Accounts) -> None:
    await accounts.add_user(a_user())
    await accounts.add_key(a_key())
    for moment in (NOON.astimezone(TOKYO), NOON + SECOND, NOON - SECOND):
        await accounts.revoke_key("abcd1234", moment)
        assert await accounts.key("abcd1234") == a_key(revoked=NOON)
        assert await accounts.revision() == 3
    with pytest.raises(RecordNotFound):
        await accounts.revoke_key("never", NOON)
    with pytest.raises(ValueError, match="no time zone"):
        await accounts.revoke_key("abcd1234", NOON.replace(tzinfo=None))


async def test_a_key_is_good_until_then_at_most(accounts: Accounts) -> None:
    await accounts.add_user(a_user())
    await accounts.add_key(a_key())
    for moment, ends in ((NOON, NOON), (NOON + SECOND, NOON), (NOON - SECOND, NOON - SECOND)):
        await accounts.expire_key("abcd1234", moment.astimezone(TOKYO))
        assert await accounts.key("abcd1234") == a_key(expires=ends)
    assert await accounts.revision() == 4
    with pytest.raises(RecordNotFound):
        await accounts.expire_key("never", NOON)
    with pytest.raises(ValueError, match="no time zone"):
        await accounts.expire_key("abcd1234", NOON.replace(tzinfo=None))


async def test_the_last_use_is_noted_to_the_minute_and_never_goes_back(accounts: Accounts) -> None:
    await accounts.add_user(a_user())
    await accounts.add_key(a_key())
    minute = NOON.replace(second=0, microsecond=0)
    day = timedelta(days=1)
    for moment, noted in (
        (NOON.astimezone(TOKYO), minute),
        (NOON - day, minute),
        (NOON + day, minute + day),
    ):
        await accounts.touch_key("abcd1234", moment)
        assert await accounts.key("abcd1234") == a_key(last_used=noted)
    await accounts.touch_key("never", NOON)
    with pytest.raises(ValueError, match="no time zone"):
        await accounts.touch_key("abcd1234", NOON.replace(tzinfo=None))
    assert await accounts.revision() == 2


async def test_the_revision_grows_with_every_change(accounts: Accounts) -> None:
    seen = [await accounts.revision()]
    await accounts.add_user(a_user())
    seen.append(await accounts.revision())
    await accounts.change_user(a_user(), a_user(version=2))
    seen.append(await accounts.revision())
    await accounts.add_key(a_key())
    seen.append(await accounts.revision())
    await accounts.revoke_key("abcd1234", NOON)
    seen.append(await accounts.revision())
    assert seen == [0, 1, 2, 3, 4]


# ---------------------------------------------------------------- both engines


async def test_of_two_servers_exactly_one_changes_a_version(new_url: NewUrl) -> None:
    url = new_url()
    databases = [Database(url) for _ in range(2)]
    servers = [SqlAccounts(database) for database in databases]
    for number in range(10):
        user = a_user(f"user-{number}", name=f"name {number}")
        said = await asyncio.gather(
            *(
                server.add_user(replace(user, id=f"{user.id}-{n}"))
                for n, server in enumerate(servers)
            ),
            return_exceptions=True,
        )
        assert [type(answer) for answer in said].count(NameTaken) == 1, said
        kept = await servers[0].user_named(user.name)
        assert kept is not None
        said = await asyncio.gather(
            *(
                server.change_user(kept, replace(kept, limits=Limits(at_once=n), version=2))
                for n, server in enumerate(servers * 3)
            ),
            return_exceptions=True,
        )
        assert said.count(None) == 1, said
        assert [type(answer) for answer in said].count(CardChanged) == 5, said
    assert await servers[0].revision() == await servers[1].revision() == 20
    for database in databases:
        await database.close()
    database = Database(url)
    assert len(await SqlAccounts(database).users()) == 10
    await database.close()
