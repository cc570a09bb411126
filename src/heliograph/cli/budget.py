"""`heliograph budget`: what may be spent, and what is left of it.

Invariant: real and simulated money are shown apart, because each is held against the same limit by
itself.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from cyclopts import App, Parameter

from heliograph.cli import examples
from heliograph.cli.ask import Flag
from heliograph.cli.screen import SIMULATED, print_json, print_lines
from heliograph.cli.session import open_library, run_with
from heliograph.client import AsyncHeliograph
from heliograph.errors import InvalidRequest, Problem
from heliograph.ledger import KEY, TOTAL, USER, WINDOWS, Balance, budget_of, scopes_of
from heliograph.money import dollars

app = App(
    name="budget",
    help="Set, remove and show what may be spent: in all, a day, a month, for a tag.",
    help_format="plaintext",
    help_epilogue=examples("heliograph budget set day 5", "heliograph budget show"),
    result_action="return_value",
)

BAR = 20  # characters
Json = Annotated[Flag, Parameter()]


@dataclass(frozen=True, kw_only=True)
class Account:
    """A budget, or one of the three that everything counts in, and what is taken of it."""

    name: str  # "total", "day", "month", "tag/NAME", "user/ID/day" …
    limit: int | None  # micro-dollars
    balance: Balance
    called: str  # its name for people, where a user has a name and no id

    @property
    def left(self) -> int | None:
        """Micro-dollars that may still be spent."""
        return None if self.limit is None else max(0, self.limit - self.balance.taken)


@app.command(
    name="set",
    help_epilogue=examples("heliograph budget set month 50", "heliograph budget set tag/ads 2.50"),
)
def set_(name: str, amount: str, /, *, json: Json = False, home: Path | None = None) -> int:
    """Set what may be spent; money that was spent before counts.

    Args:
        name: total, day, month, tag/NAME for calls made with --tag NAME, or user/NAME and key/ID
            of a gateway, also with /day or /month.
        amount: Dollars, such as 5 or 2.50; 0 stops all calls.
        json: Print as JSON.
        home: Folder of the library of originals.
    """

    async def work(client: AsyncHeliograph) -> tuple[Account, ...]:
        kept = await client.set_budget(name, amount)
        return tuple(a for a in await accounts(client) if a.name == kept)

    found = run_with(open_library(home), work)
    if json:
        print_json([account_facts(account) for account in found])
    else:
        _print(found)
    return 0


@app.command(help_epilogue=examples("heliograph budget remove tag/ads"))
def remove(name: str, /, *, json: Json = False, home: Path | None = None) -> int:
    """Remove a budget; what was spent stays in the ledger.

    Args:
        name: total, day, month, tag/NAME, user/NAME or key/ID.
        json: Print as JSON.
        home: Folder of the library of originals.
    """

    async def work(client: AsyncHeliograph) -> str:
        known = tuple(await client.budgets())
        removed = await client.set_budget(name, None)
        if removed not in known:
            message = "is no budget that is set"
            problem = Problem(field="budget", value=name, message=message, nearest=known)
            raise InvalidRequest([problem])
        return removed

    removed = run_with(open_library(home), work)
    if json:
        print_json({"removed": removed})
    else:
        print_lines([f"The budget {name} is removed."])
    return 0


@app.command(help_epilogue=examples("heliograph budget show", "heliograph budget show --json"))
def show(*, json: Json = False, home: Path | None = None) -> int:
    """Show each budget: settled, set aside for calls under way, held for unknown outcomes, left.

    Args:
        json: Print as JSON.
        home: Folder of the library of originals.
    """
    client = open_library(home)
    found = run_with(client, accounts)
    zone = client.settings.budget_zone
    if json:
        print_json({"zone": zone, "budgets": [account_facts(account) for account in found]})
        return 0
    _print(found)
    print_lines([f"Days and months begin in {zone}."])
    if any(account.balance.simulated for account in found):
        print_lines([f"{SIMULATED}money is held against the same limits, by itself."])
    return 0


async def accounts(client: AsyncHeliograph) -> tuple[Account, ...]:
    """Total, day, month and every budget of a tag, a user or a key; real money first.

    Simulated money is left out where there is none.
    """
    limits = await client.budgets()
    balances = await client.balances()
    named = {"/".join(n.split("/")[:2]) for n in limits if n.startswith((f"{USER}/", f"{KEY}/"))}
    now = scopes_of(datetime.now(UTC), ZoneInfo(client.settings.budget_zone), (), tuple(named))
    scopes = {budget_of(scope): scope for scope in now}
    scopes |= {name: name for name in limits if name not in scopes}
    names = [TOTAL, *WINDOWS, *sorted(name for name in limits if name not in (TOTAL, *WINDOWS))]
    users = {user.id: user.name for user in await (await client.store()).accounts.users()}
    found = []
    for simulated in (False, True):
        taken = {b.scope: b for b in balances if b.simulated is simulated}
        if simulated and not taken:
            break
        for name in names:
            none = Balance(scope=scopes[name], simulated=simulated)
            balance = taken.get(scopes[name], none)
            called = _called(name, users)
            found.append(Account(name=name, limit=limits.get(name), balance=balance, called=called))
    return tuple(found)


def _called(name: str, users: Mapping[str, str]) -> str:
    kind, _, rest = name.partition("/")
    account, slash, window = rest.partition("/")
    if kind != USER or account not in users:
        return name
    return f"{USER}/{users[account]}{slash}{window}"


def account_facts(account: Account) -> Mapping[str, Any]:
    """A budget for a program."""
    balance = account.balance
    return {
        "name": account.name,
        "called": account.called,
        "scope": balance.scope,
        "simulated": balance.simulated,
        "limit_micro": account.limit,
        "settled_micro": balance.settled,
        "reserved_micro": balance.reserved,
        "held_micro": balance.held,
        "left_micro": account.left,
    }


def _print(found: Sequence[Account]) -> None:
    width = max(len(account.called) for account in found)
    for account in found:
        print_lines(_lines(account, width), simulated=account.balance.simulated)


def _lines(account: Account, width: int) -> Iterator[str]:
    balance, limit = account.balance, account.limit
    if limit is None:
        first = "no limit"
    elif limit == 0:
        first = f"{'#' * BAR}  nothing may be spent"
    else:
        share = min(100, 100 * balance.taken // limit)
        bar = "#" * (BAR * share // 100)
        first = f"{bar.ljust(BAR, '.')}  {share} % of {dollars(limit)}"
    yield f"{account.called.ljust(width)}  {first}"
    parts = [f"{dollars(balance.settled)} settled"]
    if balance.reserved:
        parts.append(f"{dollars(balance.reserved)} under way")
    if balance.held:
        parts.append(f"{dollars(balance.held)} held")
    if account.left is not None:
        parts.append(f"{dollars(account.left)} left")
    yield f"{' ' * width}  {', '.join(parts)}"
