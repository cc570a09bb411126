"""`heliograph estimate`: the cost before the call, and what would be cheaper."""

from typing import Annotated

from cyclopts import Group, Parameter

from heliograph.cli.ask import Asking, Finishing, Flag
from heliograph.cli.budget import Account, account_facts, accounts
from heliograph.cli.report import estimate_facts, plan_facts
from heliograph.cli.screen import facts_lines, note, print_json, print_lines, print_table
from heliograph.cli.session import open_library, run_with
from heliograph.client import AsyncHeliograph, Options
from heliograph.errors import StorageError
from heliograph.ledger import TOTAL, WINDOWS
from heliograph.money import dollars
from heliograph.planning import offers
from heliograph.types import Plan

OUTPUT = Group("Output", sort_key=0)
# a sentence of ordinary length stands in when only the price of a size is wanted
TYPICAL_PROMPT = "A snow leopard on a cliff at golden hour, photographed from a low angle."
ASKING = Asking()
FINISHING = Finishing()


def estimate(
    prompt: Annotated[str, Parameter(show_default=False)] = TYPICAL_PROMPT,
    /,
    *,
    all: Annotated[Flag, Parameter(group=OUTPUT)] = False,  # noqa: A002 - the option's name
    json: Annotated[Flag, Parameter(group=OUTPUT)] = False,
    asking: Asking = ASKING,
    finishing: Finishing = FINISHING,
) -> int:
    """Say what a request would cost. Nothing is sent; no key is needed.

    Args:
        prompt: What to draw. Default: a sentence of ordinary length.
        all: List every live model, size and tier instead.
        json: Print as JSON.
    """
    if all:
        return _print_offers(as_json=json)
    options: Options = {**asking.options(), **finishing.options()}

    async def work(client: AsyncHeliograph) -> tuple[Plan, list[Account]]:
        plan = await client.plan(prompt, **options)
        return plan, await _budgets(client)

    plan, budgets = run_with(open_library(None), work)
    if json:
        print_json({**plan_facts(plan), "budgets": [account_facts(a) for a in budgets]})
    else:
        print_lines([*_plan_lines(plan), *(_budget_line(a, plan) for a in budgets)])
    return 0


async def _budgets(client: AsyncHeliograph) -> list[Account]:
    """What is left of the budgets that every call counts in; an estimate makes no library."""
    settings = client.settings
    if settings.database_url is None and not (settings.home / "heliograph.db").exists():
        return []
    try:
        found = await accounts(client)
    except StorageError as error:
        note(f"The budgets cannot be read: {error.what}")
        return []
    limited = [a for a in found if a.limit is not None and a.name in (TOTAL, *WINDOWS)]
    return [a for a in limited if a.balance.simulated is settings.simulate]


def _budget_line(account: Account, plan: Plan) -> str:
    left = account.left or 0
    fits = "" if plan.estimate.high <= left else ", which is not enough"
    return f"Budget: {account.name} has {dollars(left)} left{fits}"


def _print_offers(*, as_json: bool) -> int:
    rows = offers()
    if as_json:
        print_json(
            [
                {"model": o.model, "size": o.size, "tier": o.tier, **estimate_facts(o.estimate)}
                for o in rows
            ]
        )
        return 0
    print_table(
        ["model", "size", "tier", "low", "expected", "high", "checked"],
        [
            [
                *(o.model, o.size, o.tier),
                *(dollars(m) for m in (o.estimate.low, o.estimate.expected, o.estimate.high)),
                o.estimate.priced_on,
            ]
            for o in rows
        ],
        right=("low", "expected", "high"),
    )
    return 0


def _plan_lines(plan: Plan) -> list[str]:
    estimate = plan.estimate
    span = f"{dollars(estimate.low)} to {dollars(estimate.high)}"
    lines = facts_lines(
        {
            "Cost": f"{dollars(estimate.expected)} expected, {span}",
            "Model": f"{plan.model}, tier {plan.tier}",
            "Image": _image(plan),
            "File": _file(plan),
            "Prices": f"checked on {estimate.priced_on} ({estimate.price_version})",
        }
    )
    lines += [f"Note: {note}" for note in (*plan.notes, *estimate.notes)]
    if plan.alternatives:
        lines.append("Cheaper:")
    for other in plan.alternatives:
        size = f" {other.size}" if other.size else ""
        tier = f", tier {other.tier}" if other.tier != "standard" else ""
        lines.append(
            f"  {dollars(other.expected)}  {other.model}{size}{tier}  saves {dollars(other.saves)}"
        )
        lines += [f"      loses: {loss}" for loss in other.loses]
    return lines


def _image(plan: Plan) -> str:
    tier = f"{plan.size} " if plan.size else ""
    if plan.expected is None:
        return f"{tier}with the ratio left to the model"
    return f"{tier}{plan.aspect}, {plan.expected} px"


def _file(plan: Plan) -> str:
    made = [
        " ".join(
            part
            for part in (
                str(e.pixels or (f"at most {e.fit_within} px" if e.fit_within else "same pixels")),
                e.format or "same format",
                f"{e.dpi} dpi" if e.dpi else "",
                f"at most {e.max_bytes} bytes" if e.max_bytes else "",
            )
            if part
        )
        for e in plan.exports
    ]
    return "; ".join(made) or "the untouched original"
