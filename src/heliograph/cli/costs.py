"""`heliograph costs`: what was spent."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from heliograph.cli.ask import Flag
from heliograph.cli.screen import print_json, print_lines, print_table
from heliograph.cli.session import open_library, run_with
from heliograph.client import AsyncHeliograph
from heliograph.errors import InvalidRequest, Problem
from heliograph.money import dollars
from heliograph.ports import CostRow

By = Literal["day", "month", "model", "size", "tier"]


def costs(
    *,
    by: By = "day",
    month: str | None = None,
    json: Annotated[Flag, Parameter()] = False,
    home: Path | None = None,
) -> int:
    """Show what was spent, from the ledger. Real and simulated money never mix.

    Args:
        by: Group by day (UTC), month, model, size or tier.
        month: Only this month, such as 2026-11. Default: everything.
        json: Print as JSON.
        home: Folder of the library of originals.
    """
    since, until = _span(month)

    async def work(client: AsyncHeliograph) -> tuple[list[CostRow], list[CostRow]]:
        rows = await client.costs(by, since=since, until=until)
        start, end = _span(f"{datetime.now(UTC):%Y-%m}")
        return list(rows), list(await client.costs("month", since=start, until=end))

    rows, this_month = run_with(open_library(home), work)
    if json:
        print_json(
            {
                "by": by,
                "rows": [_facts(r) for r in rows],
                "total_micro": sum(r.micro for r in rows if not r.simulated),
                "this_month_micro": sum(r.micro for r in this_month if not r.simulated),
            }
        )
        return 0
    if not rows:
        print_lines(["Nothing was spent yet."])
        return 0
    print_table(
        [by, "calls", "images", "cost", ""],
        [[r.group, str(r.calls), str(r.images), dollars(r.micro), _kind(r)] for r in rows],
        right=("calls", "images", "cost"),
    )
    total = sum(r.micro for r in rows if not r.simulated)
    month_total = sum(r.micro for r in this_month if not r.simulated)
    print_lines([f"Total {dollars(total)}, this month {dollars(month_total)} (simulated: free)."])
    return 0


def _kind(row: CostRow) -> str:
    return "simulated" if row.simulated else ""


def _facts(row: CostRow) -> dict[str, object]:
    return {
        "group": row.group,
        "calls": row.calls,
        "images": row.images,
        "micro": row.micro,
        "simulated": row.simulated,
    }


def _span(month: str | None) -> tuple[datetime | None, datetime | None]:
    if month is None:
        return None, None
    try:
        start = datetime.strptime(month, "%Y-%m").replace(tzinfo=UTC)
        following = start.replace(year=start.year + start.month // 12, month=start.month % 12 + 1)
    except ValueError as error:
        problem = Problem(
            field="month",
            value=month,
            message="is no month",
            nearest=(f"{datetime.now(UTC):%Y-%m}",),
        )
        raise InvalidRequest([problem]) from error
    return start, following
