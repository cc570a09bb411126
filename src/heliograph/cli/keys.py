"""`heliograph keys`: keys for the gateway's users.

Invariant: the text of a key is shown once, when it is made, on standard output; it is never taken
from the arguments, which every user of a machine can read, and never kept.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

from heliograph.accounts import (
    PREFIX,
    SCOPES,
    ApiKey,
    Limits,
    Scope,
    User,
    digest,
    key_budgets,
    key_id,
    new_key,
)
from heliograph.cli import examples
from heliograph.cli.ask import Flag
from heliograph.cli.screen import note, print_json, print_lines, print_table
from heliograph.cli.session import open_library, run_with
from heliograph.cli.users import checked_name, find_user
from heliograph.client import AsyncHeliograph
from heliograph.errors import InvalidRequest, NameTaken, Problem, RecordNotFound
from heliograph.ports import Accounts
from heliograph.server.revocations import end_key
from heliograph.server.secrets import open_beside_keys, secrets_folder

app = App(
    name="keys",
    help="Create, list, revoke and rotate keys of the gateway's users.",
    help_format="plaintext",
    help_epilogue=examples("heliograph keys create anna", "heliograph keys list"),
    result_action="return_value",
)

Json = Annotated[Flag, Parameter()]
ScopeName = Literal["generate", "read", "manage", "admin"]
LIFE = re.compile(r"(\d{1,4})([hdw])")
UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
TRIES = 5  # of finding an id that is free; two collide once in 10^14


@app.command(
    help_epilogue=examples(
        "heliograph keys create anna",
        "heliograph keys create shop --name website --scope generate --expires 90d",
        "heliograph keys create anna --json",
    )
)
def create(
    user: str,
    /,
    *,
    name: str = "key",
    scope: Annotated[tuple[ScopeName, ...], Parameter(negative="")] = (),
    expires: str | None = None,
    per_minute: int | None = None,
    at_once: int | None = None,
    json: Json = False,
    home: Path | None = None,
) -> int:
    """Make a key for a user and print it, once. It cannot be shown again.

    Args:
        user: Name or whole id of the user.
        name: What you call the key, such as "laptop".
        scope: What it may be used for; repeatable. Default: all that the user's role allows.
        expires: When it ends by itself: 12h, 90d or 8w from now. Default: never.
        per_minute: Requests in any 60 seconds, beside the user's own limit.
        at_once: Calls under way, beside the user's own limit.
        json: Print as JSON.
        home: Folder of the library of originals.
    """
    ends = _expires(expires)
    limits = Limits(per_minute=_limit("per_minute", per_minute), at_once=_limit("at_once", at_once))

    async def work(client: AsyncHeliograph) -> tuple[str, ApiKey, User]:
        owner = await find_user((await client.store()).accounts, user)
        scopes = _scopes(owner, scope)
        text, key = await make_key(
            client, owner, checked_name(name), scopes=scopes, expires=ends, limits=limits
        )
        return text, key, owner

    _tell(*run_with(open_library(home), work), as_json=json)
    return 0


@app.command(
    name="list",
    help_epilogue=examples("heliograph keys list", "heliograph keys list anna --json"),
)
def list_(user: str | None = None, /, *, json: Json = False, home: Path | None = None) -> int:
    """List keys by their public ids, revoked ones, too.

    Args:
        user: Only those of this user.
        json: Print as JSON.
        home: Folder of the library of originals.
    """

    async def work(client: AsyncHeliograph) -> list[Mapping[str, Any]]:
        accounts = (await client.store()).accounts
        owner = await find_user(accounts, user) if user is not None else None
        names = {found.id: found.name for found in await accounts.users()}
        keys = await accounts.keys(owner.id if owner else None)
        return [facts(key, names.get(key.user, key.user)) for key in keys]

    found = run_with(open_library(home), work)
    if json:
        print_json({"keys": found})
    elif not found:
        print_lines(["There are no keys."])
    else:
        columns = ["id", "user", "name", "scopes", "state", "last used"]
        print_table(columns, [_row(key) for key in found])
    return 0


@app.command(help_epilogue=examples("heliograph keys revoke 3fA81bQz"))
def revoke(key: str, /, *, home: Path | None = None) -> int:
    """End a key for good: it gets 401 within a second, and no backup brings it back.

    Args:
        key: Its public id, the 8 characters that `keys list` shows; never the key itself.
        home: Folder of the library of originals.
    """
    name = _public_id(key)

    async def work(client: AsyncHeliograph) -> None:
        accounts = (await client.store()).accounts
        found = await _find_key(accounts, name)
        await _end(client, found.id)

    run_with(open_library(home), work)
    print_lines([f"The key {name} is revoked."])
    return 0


@app.command(
    help_epilogue=examples(
        "heliograph keys rotate 3fA81bQz", "heliograph keys rotate 3fA81bQz --now"
    )
)
def rotate(key: str, /, *, now: Flag = False, json: Json = False, home: Path | None = None) -> int:
    """Make a key like an old one and print it, once; the old one goes on until it is revoked.

    Args:
        key: Public id of the old key.
        now: Revoke the old one at once.
        json: Print as JSON.
        home: Folder of the library of originals.
    """
    name = _public_id(key)

    async def work(client: AsyncHeliograph) -> tuple[str, ApiKey, User]:
        accounts = (await client.store()).accounts
        old = await _find_key(accounts, name)
        owner = await find_user(accounts, old.user)
        if not old.is_good(datetime.now(UTC)):
            message = "is revoked or expired; make a new one: heliograph keys create"
            raise InvalidRequest([Problem(field="key", value=name, message=message)])
        text, new = await make_key(
            client,
            owner,
            old.name,
            scopes=old.scopes,
            expires=old.expires,
            limits=old.limits,
            budgets=key_budgets(await client.budgets(), old.id),
        )
        if now:
            await _end(client, old.id)
        return text, new, owner

    _tell(*run_with(open_library(home), work), as_json=json)
    if not json:
        note(
            f"The key {name} is revoked."
            if now
            else f"Once everybody uses the new one: heliograph keys revoke {name}"
        )
    return 0


async def make_key(
    client: AsyncHeliograph,
    user: User,
    name: str,
    *,
    scopes: Sequence[Scope],
    expires: datetime | None = None,
    limits: Limits | None = None,
    budgets: Mapping[str, int] | None = None,
) -> tuple[str, ApiKey]:
    """Make and keep a key.

    Args:
        budgets: in micro-dollars, by the ending of their names; see `accounts.key_budgets`.

    Returns:
        Its text, which nobody can ever show again, and what is kept of it.

    Raises:
        NameTaken: chance is against us.
    """
    store = await client.store()
    accounts, journal = store.accounts, store.journal
    folder = secrets_folder(client.settings)
    pepper = (await open_beside_keys(accounts, folder, warn=note)).pepper
    tries = TRIES
    while True:
        text = new_key()
        key = ApiKey(
            id=key_id(text) or "",
            user=user.id,
            name=name,
            digest=digest(text, pepper),
            scopes=tuple(scopes),
            created=datetime.now(UTC),
            expires=expires,
            limits=limits or Limits(),
        )
        # first, so that a key is never there without them
        for ending, limit in (budgets or {}).items():
            await journal.set_budget(f"key/{key.id}{ending}", limit)
        try:
            await accounts.add_key(key)
        except NameTaken:
            tries -= 1
            if not tries:
                raise
        else:
            return text, key


async def _end(client: AsyncHeliograph, key: str) -> None:
    accounts = (await client.store()).accounts
    await end_key(accounts, secrets_folder(client.settings), key, datetime.now(UTC))


def facts(key: ApiKey, user: str) -> Mapping[str, Any]:
    """A key for a program, without its text."""
    return {
        "id": key.id,
        "user": user,
        "name": key.name,
        "scopes": [scope.value for scope in key.scopes],
        "state": _state(key),
        "created": _moment(key.created),
        "expires": _moment(key.expires),
        "revoked": _moment(key.revoked),
        "last_used": _moment(key.last_used),
        "per_minute": key.limits.per_minute,
        "at_once": key.limits.at_once,
    }


def _tell(text: str, key: ApiKey, user: User, *, as_json: bool) -> None:
    if as_json:
        print_json({**facts(key, user.name), "key": text})
        return
    note(f"Key {key.id} of {user.name}, for {', '.join(scope.value for scope in key.scopes)}.")
    note("It is shown this once; it is kept nowhere:")
    print_lines([text])


def _scopes(user: User, wanted: Sequence[str]) -> tuple[Scope, ...]:
    allowed = SCOPES[user.role]
    scopes = {Scope(name) for name in wanted} or allowed
    too_much = sorted(scope.value for scope in scopes - allowed)
    if too_much:
        named = tuple(sorted(scope.value for scope in allowed))
        message = f"is more than a {user.role.value} may do"
        raise InvalidRequest(
            [Problem(field="scope", value=", ".join(too_much), message=message, nearest=named)]
        )
    return tuple(sorted(scopes, key=list(Scope).index))


def _expires(text: str | None) -> datetime | None:
    if text is None:
        return None
    match = LIFE.fullmatch(text.strip())
    if match is None or int(match[1]) == 0:
        message = "must be hours, days or weeks"
        problem = Problem(field="expires", value=text, message=message, nearest=("12h", "90d"))
        raise InvalidRequest([problem])
    return datetime.now(UTC) + int(match[1]) * UNITS[match[2]]


def _limit(field: str, number: int | None) -> int | None:
    if number is not None and number < 1:
        raise InvalidRequest([Problem(field=field, value=str(number), message="must be 1 or more")])
    return number


def _public_id(text: str) -> str:
    """The id as it was given; a whole key on the command line is refused, and so not repeated."""
    if text.startswith(PREFIX):
        known = key_id(text)
        raise InvalidRequest(
            [Problem(field="key", value="a whole key", message="does not belong here")],
            remedy="Other users of this machine can read arguments, and the shell keeps them. "
            + (f"Revoke it by its id: heliograph keys revoke {known}" if known else ""),
        )
    return text


async def _find_key(accounts: Accounts, name: str) -> ApiKey:
    key = await accounts.key(name)
    if key is None:
        raise RecordNotFound(
            f"There is no key {name!r}.", remedy="See which there are: heliograph keys list"
        )
    return key


def _state(key: ApiKey) -> str:
    if key.revoked is not None:
        return "revoked"
    return "good" if key.is_good(datetime.now(UTC)) else "expired"


def _moment(at: datetime | None) -> str | None:
    return at.isoformat(timespec="seconds") if at else None


def _row(key: Mapping[str, Any]) -> list[str]:
    state = key["state"]
    if state == "good" and key["expires"]:
        state = f"good until {key['expires'][:10]}"
    used = key["last_used"][:16] if key["last_used"] else "never"
    return [key["id"], key["user"], key["name"], ", ".join(key["scopes"]), state, used]
