"""`heliograph users`: who may use the gateway, and how much.

Invariant: it works on the library itself, so it needs no key and no running gateway; one that runs
takes a change up within a second. Users are never deleted, because costs and pictures name them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

from heliograph.accounts import ApiKey, Limits, Role, User, new_id
from heliograph.cli import examples
from heliograph.cli.ask import Flag
from heliograph.cli.screen import facts_lines, note, print_json, print_lines, print_table
from heliograph.cli.session import open_library, run_with
from heliograph.client import AsyncHeliograph
from heliograph.errors import InvalidRequest, Problem, RecordNotFound
from heliograph.ledger import USER, WINDOWS
from heliograph.money import dollars, parse_dollars
from heliograph.ports import Accounts

app = App(
    name="users",
    help="Add, list and limit the users of the gateway.",
    help_format="plaintext",
    help_epilogue=examples("heliograph users add anna", "heliograph users list"),
    result_action="return_value",
)

Json = Annotated[Flag, Parameter()]
RoleName = Literal["admin", "member", "viewer"]
MOST = 1_000_000  # of any limit
LONGEST_NAME = 100  # characters


@app.command(
    help_epilogue=examples(
        "heliograph users add anna",
        "heliograph users add shop --role member --month 200 --per-minute 60",
        "heliograph users add lee --role viewer --json",
    )
)
def add(
    name: str,
    /,
    *,
    role: RoleName = "member",
    per_minute: int | None = None,
    at_once: int | None = None,
    day: str | None = None,
    month: str | None = None,
    json: Json = False,
    home: Path | None = None,
) -> int:
    """Add a user. It needs a key next: `heliograph keys create NAME`.

    Args:
        name: A unique name; upper and lower case are the same.
        role: admin (everything), member (makes and manages own pictures) or viewer (sees them).
        per_minute: Requests in any 60 seconds. Default: `server_user_per_minute`.
        at_once: Calls under way. Default: `server_user_at_once`.
        day: Dollars a day, such as 5.
        month: Dollars a month.
        json: Print as JSON.
        home: Folder of the library of originals.
    """
    now = datetime.now(UTC)
    limits = Limits(per_minute=_count("per_minute", per_minute), at_once=_count("at_once", at_once))
    user = User(
        id=new_id(), name=checked_name(name), role=Role(role), created=now, changed=now,
        limits=limits,
    )  # fmt: skip
    budgets = _budgets(day, month)

    async def work(client: AsyncHeliograph) -> Mapping[str, Any]:
        await (await client.store()).accounts.add_user(user)
        await _set_budgets(client, user, budgets)
        return await facts(client, user)

    found = run_with(open_library(home), work)
    _show(found, as_json=json)
    if not json:
        note(f"A key for it: heliograph keys create {user.name}")
    return 0


@app.command(
    name="list", help_epilogue=examples("heliograph users list", "heliograph users list --json")
)
def list_(*, json: Json = False, home: Path | None = None) -> int:
    """List all users, the oldest first.

    Args:
        json: Print as JSON.
        home: Folder of the library of originals.
    """

    async def work(client: AsyncHeliograph) -> list[Mapping[str, Any]]:
        accounts = (await client.store()).accounts
        keys = await accounts.keys()
        return [await facts(client, user, keys) for user in await accounts.users()]

    found = run_with(open_library(home), work)
    if json:
        print_json({"users": found})
    elif not found:
        print_lines(["There are no users. `heliograph serve` makes the first one."])
    else:
        columns = ["name", "role", "keys", "a minute", "at once", "budgets", "state"]
        print_table(columns, [_row(user) for user in found], right=["keys", "a minute", "at once"])
    return 0


@app.command(help_epilogue=examples("heliograph users show anna"))
def show(name: str, /, *, json: Json = False, home: Path | None = None) -> int:
    """Show one user, with its limits and budgets.

    Args:
        name: Its name or whole id.
        json: Print as JSON.
        home: Folder of the library of originals.
    """

    async def work(client: AsyncHeliograph) -> Mapping[str, Any]:
        accounts = (await client.store()).accounts
        return await facts(client, await find_user(accounts, name))

    _show(run_with(open_library(home), work), as_json=json)
    return 0


@app.command(
    name="set",
    help_epilogue=examples(
        "heliograph users set anna --role admin",
        "heliograph users set anna --per-minute 30 --month 50",
        "heliograph users set anna --per-minute 0 --month none",
    ),
)
def set_(
    name: str,
    /,
    *,
    new_name: Annotated[str | None, Parameter(name="--name")] = None,
    role: RoleName | None = None,
    per_minute: int | None = None,
    at_once: int | None = None,
    day: str | None = None,
    month: str | None = None,
    json: Json = False,
    home: Path | None = None,
) -> int:
    """Change a user; what is not given stays as it is.

    Args:
        name: Its name or whole id.
        new_name: Another name.
        role: admin, member or viewer.
        per_minute: Requests in any 60 seconds; 0 goes back to the default.
        at_once: Calls under way; 0 goes back to the default.
        day: Dollars a day; none removes the limit.
        month: Dollars a month; none removes the limit.
        json: Print as JSON.
        home: Folder of the library of originals.
    """
    budgets = _budgets(day, month)

    def changed(user: User) -> User:
        limits = user.limits
        if per_minute is not None:
            limits = replace(limits, per_minute=_count("per_minute", per_minute))
        if at_once is not None:
            limits = replace(limits, at_once=_count("at_once", at_once))
        return replace(
            user,
            name=checked_name(new_name) if new_name is not None else user.name,
            role=Role(role) if role else user.role,
            limits=limits,
        )

    async def work(client: AsyncHeliograph) -> Mapping[str, Any]:
        user = await _change(client, name, changed)
        await _set_budgets(client, user, budgets)
        return await facts(client, user)

    _show(run_with(open_library(home), work), as_json=json)
    return 0


@app.command(help_epilogue=examples("heliograph users disable anna"))
def disable(name: str, /, *, home: Path | None = None) -> int:
    """Lock a user out: its keys get 401 within a second. Its pictures and costs stay.

    Args:
        name: Its name or whole id.
        home: Folder of the library of originals.
    """

    async def work(client: AsyncHeliograph) -> tuple[User, bool]:
        user = await _change(client, name, lambda user: replace(user, disabled=True))
        others = await (await client.store()).accounts.users()
        return user, any(u.role is Role.ADMIN and not u.disabled for u in others)

    user, has_admin = run_with(open_library(home), work)
    print_lines([f"{user.name} is disabled."])
    if not has_admin:
        note("No admin is left that may log in; `heliograph users enable` brings one back.")
    return 0


@app.command(help_epilogue=examples("heliograph users enable anna"))
def enable(name: str, /, *, home: Path | None = None) -> int:
    """Let a disabled user in again; keys that were revoked stay revoked.

    Args:
        name: Its name or whole id.
        home: Folder of the library of originals.
    """

    async def work(client: AsyncHeliograph) -> User:
        return await _change(client, name, lambda user: replace(user, disabled=False))

    print_lines([f"{run_with(open_library(home), work).name} is enabled."])
    return 0


async def find_user(accounts: Accounts, name: str) -> User:
    """A user by name or whole id.

    Raises:
        RecordNotFound: there is none.
    """
    user = await accounts.user_named(name) or await accounts.user(name)
    if user is None:
        raise RecordNotFound(
            f"There is no user {name!r}.", remedy="See who there is: heliograph users list"
        )
    return user


async def facts(
    client: AsyncHeliograph, user: User, keys: Sequence[ApiKey] | None = None
) -> Mapping[str, Any]:
    """A user for a program."""
    if keys is None:
        keys = await (await client.store()).accounts.keys(user.id)
    limits, now = await client.budgets(), datetime.now(UTC)
    budgets = {window: limits.get(f"{USER}/{user.id}/{window}") for window in WINDOWS}
    return {
        "id": user.id,
        "name": user.name,
        "role": user.role.value,
        "disabled": user.disabled,
        "created": user.created.isoformat(timespec="seconds"),
        "keys": sum(key.user == user.id and key.is_good(now) for key in keys),
        "per_minute": user.limits.per_minute,
        "at_once": user.limits.at_once,
        "budgets_micro": {window: micro for window, micro in budgets.items() if micro is not None},
    }


def checked_name(name: str) -> str:
    """A name that can be shown anywhere.

    Raises:
        InvalidRequest: it is empty, too long or not printable.
    """
    if not name.strip() or len(name) > LONGEST_NAME or not name.isprintable():
        message = f"must be 1 to {LONGEST_NAME} printable characters"
        raise InvalidRequest([Problem(field="name", value=name, message=message)])
    return name.strip()


async def _change(client: AsyncHeliograph, name: str, change: Any) -> User:
    accounts = (await client.store()).accounts
    before = await find_user(accounts, name)
    after: User = replace(
        change(before),
        version=before.version + 1,
        changed=max(datetime.now(UTC), before.changed),
    )
    await accounts.change_user(before, after)
    return after


Budgets = Mapping[str, int | None]  # micro-dollars by window; None removes one


def _budgets(day: str | None, month: str | None) -> Budgets:
    found: dict[str, int | None] = {}
    for window, text in (("day", day), ("month", month)):
        if text is None:
            continue
        try:
            found[window] = None if text == "none" else parse_dollars(text)
        except ValueError as error:
            problem = Problem(field=window, value=text, message=str(error))
            raise InvalidRequest([problem]) from error
    return found


async def _set_budgets(client: AsyncHeliograph, user: User, budgets: Budgets) -> None:
    for window, micro in budgets.items():
        await client.set_budget(f"{USER}/{user.id}/{window}", micro)


def _count(field: str, number: int | None) -> int | None:
    """A limit; 0 means that there is none of its own."""
    if number is not None and not 0 <= number <= MOST:
        problem = Problem(field=field, value=str(number), message=f"must be from 0 to {MOST}")
        raise InvalidRequest([problem])
    return number or None


def _row(user: Mapping[str, Any]) -> list[str]:
    state = "disabled" if user["disabled"] else "enabled"
    limits = [str(user[name] or "default") for name in ("per_minute", "at_once")]
    return [user["name"], user["role"], str(user["keys"]), *limits, _budget_text(user), state]


def _budget_text(user: Mapping[str, Any]) -> str:
    budgets = user["budgets_micro"].items()
    return ", ".join(f"{dollars(micro)} a {window}" for window, micro in budgets) or "none"


def _show(user: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(user)
        return
    lines = {
        "name": user["name"],
        "id": user["id"],
        "role": user["role"],
        "state": "disabled" if user["disabled"] else "enabled",
        "since": user["created"],
        "keys": str(user["keys"]),
        "a minute": str(user["per_minute"] or "default"),
        "at once": str(user["at_once"] or "default"),
        "budgets": _budget_text(user),
    }
    print_lines(facts_lines(lines))
