"""Costs, budgets and balances.

Invariant: a member sees its own money only; limits are set by admins.
"""

import csv
import io
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Header, Path, Query
from fastapi.responses import Response
from pydantic import Field

from heliograph.accounts import Scope
from heliograph.ledger import KEY, USER, accounts_of, budget_of, scopes_of
from heliograph.money import dollars
from heliograph.ports import CostRow
from heliograph.server.native.desk import At, Desk, absent, needs
from heliograph.server.native.documents import fails
from heliograph.server.native.reading import StrictRoute
from heliograph.server.native.shapes import account as shape
from heliograph.server.native.shapes.plain import Looked, Moment, money
from heliograph.types import Request

router = APIRouter(route_class=StrictRoute, tags=["money"])
READ, ADMIN = [needs(Scope.READ)], [needs(Scope.ADMIN)]
CSV = "text/csv"
FORMULA = tuple("=+-@\t\r")  # what a spreadsheet would take a cell for
BudgetName = Annotated[
    str,
    Path(
        pattern=r"^(total|day|month|tag/[A-Za-z0-9._-]{1,64}"
        r"|user/[0-9a-f]{32}(/day|/month)?|key/[0-9A-Za-z]{8}(/day|/month)?)$",
        description="`total`, `day`, `month`, `tag/NAME`, `user/ID`, `user/ID/day`, "
        "`user/ID/month`, and the same for `key/ID`.",
        examples=["month"],
    ),
]


class CostQuery(Looked):
    """Which costs."""

    by: Literal["day", "month", "model", "size", "tier"] = "day"
    since: Moment | None = Field(default=None, description="Settled then or later.")
    until: Moment | None = Field(default=None, description="Settled before.")


@router.get(
    "/costs",
    response_model=shape.Costs,
    dependencies=READ,
    responses={200: {"content": {CSV: {"schema": {"type": "string"}}}}},
)
async def list_costs(
    query: Annotated[CostQuery, Query()],
    desk: At,
    accept: Annotated[
        str | None, Header(max_length=500, description="`text/csv` for a table.")
    ] = None,
) -> shape.Costs | Response:
    """What was settled, in groups; an admin's report counts everybody."""
    rows = await desk.gateway.store.books.costs(
        query.by, since=query.since, until=query.until, owner=desk.caller.sees
    )
    if _wants_csv(accept):
        return Response(as_csv(query.by, rows), media_type=f"{CSV}; charset=utf-8")
    return shape.Costs(
        by=query.by,
        items=[
            shape.CostRow(
                group=row.group,
                calls=row.calls,
                images=row.images,
                cost=money(row.micro),
                simulated=row.simulated,
            )
            for row in rows
        ],
    )


def _wants_csv(accept: str | None) -> bool:
    named = [part.partition(";")[0].strip().lower() for part in (accept or "").split(",")]
    return CSV in named and "application/json" not in named


def as_csv(by: str, rows: Sequence[CostRow]) -> str:
    """A cost report as a table; no cell of it is a formula."""
    text = io.StringIO(newline="")
    table = csv.writer(text)
    table.writerow([by, "calls", "images", "micro_dollars", "dollars", "simulated"])
    for row in rows:
        spent = dollars(row.micro).replace("$", "")
        said = "yes" if row.simulated else "no"
        table.writerow([cell(row.group), row.calls, row.images, row.micro, spent, said])
    return text.getvalue()


def cell(text: str) -> str:
    """A text as a spreadsheet shows it, whatever it begins with."""
    return f"'{text}" if text.lstrip(" ").startswith(FORMULA) or text.startswith("\n") else text


# ---------------------------------------------------------------- budgets


@router.get("/budgets", dependencies=READ)
async def list_budgets(desk: At) -> shape.Budgets:
    """Budgets with what is taken of them: yours and those of your keys; an admin sees all."""
    limits = await desk.gateway.store.journal.budgets()
    names = [name for name in sorted(limits) if await _sees(desk, name)]
    return shape.Budgets(items=[await _told(desk, name, limits[name]) for name in names])


@router.get("/budgets/{name:path}", dependencies=READ, responses=fails(404))
async def get_budget(name: BudgetName, desk: At) -> shape.Budget:
    """One budget."""
    limits = await desk.gateway.store.journal.budgets()
    if name not in limits or not await _sees(desk, name):
        raise absent("budget")
    return await _told(desk, name, limits[name])


@router.put("/budgets/{name:path}", dependencies=ADMIN, responses=fails(404))
async def put_budget(name: BudgetName, wanted: shape.BudgetWanted, desk: At) -> shape.Budget:
    """Set what may be spent; for admins."""
    await _must_be(desk, name)
    await desk.gateway.store.journal.set_budget(name, wanted.limit_micro)
    return await _told(desk, name, wanted.limit_micro)


@router.delete("/budgets/{name:path}", status_code=204, dependencies=ADMIN, responses=fails(404))
async def delete_budget(name: BudgetName, desk: At) -> Response:
    """Remove a limit; for admins. What was spent stays counted."""
    if name not in await desk.gateway.store.journal.budgets():
        raise absent("budget")
    await desk.gateway.store.journal.set_budget(name, None)
    return Response(status_code=204)


async def _must_be(desk: Desk, name: str) -> None:
    """A budget of somebody who is not there would hold nobody back."""
    kind, _, rest = name.partition("/")
    account = rest.partition("/")[0]
    if kind == USER and await desk.gateway.accounts.user(account) is None:
        raise absent("user")
    if kind == KEY and await desk.gateway.accounts.key(account) is None:
        raise absent("key")


async def _sees(desk: Desk, name: str) -> bool:
    if desk.caller.sees is None:
        return True
    kind, _, rest = name.partition("/")
    account = rest.partition("/")[0]
    if kind == USER:
        return account == desk.caller.user.id
    if kind == KEY:
        key = await desk.gateway.accounts.key(account)
        return key is not None and key.user == desk.caller.user.id
    return False


async def _told(desk: Desk, name: str, limit: int) -> shape.Budget:
    scope = _scope(desk, name)
    found = await desk.gateway.store.journal.balances([scope])
    real = sum(each.taken for each in found if not each.simulated)
    simulated = sum(each.taken for each in found if each.simulated)
    counts = simulated if desk.gateway.simulated else real
    return shape.Budget(
        name=name,
        limit=money(limit),
        taken=money(real),
        taken_simulated=money(simulated),
        left=money(limit - counts),
    )


def _scope(desk: Desk, name: str) -> str:
    """What a budget counts now: "day" → "day/2026-11-30"."""
    kind, _, rest = name.partition("/")
    tags = (rest,) if kind == "tag" else ()
    accounts = (f"{kind}/{rest.partition('/')[0]}",) if kind in (USER, KEY) else ()
    scopes = scopes_of(datetime.now(UTC), desk.gateway.store.rules.zone, tags, accounts)
    return next(scope for scope in scopes if budget_of(scope) == name)


@router.get("/balance", dependencies=READ)
async def get_balance(desk: At) -> shape.Balances:
    """What you and this key have taken, today, this month and in all."""
    asked = Request(prompt="", owner=desk.caller.user.id, access=desk.caller.key.id)
    accounts = accounts_of(asked)
    scopes = scopes_of(datetime.now(UTC), desk.gateway.store.rules.zone, (), accounts)
    own = [scope for scope in scopes if scope.partition("/")[0] in (USER, KEY)]
    left = await desk.gateway.purse.left(desk.caller)
    return shape.Balances(
        left=None if left is None else money(left),
        items=[
            shape.Balance(
                scope=each.scope,
                simulated=each.simulated,
                settled=money(each.settled),
                reserved=money(each.reserved),
                held=money(each.held),
            )
            for each in await desk.gateway.store.journal.balances(own)
        ],
    )
