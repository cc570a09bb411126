"""`heliograph estimate`: the cost before the call, and what would be cheaper."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any

from cyclopts import Group, Parameter

from heliograph.cli.ask import Asking, Finishing, Flag
from heliograph.cli.budget import Account, account_facts, accounts
from heliograph.cli.given import Images
from heliograph.cli.report import estimate_facts, plan_facts
from heliograph.cli.screen import facts_lines, note, print_json, print_lines, print_table
from heliograph.cli.session import open_library, run_with
from heliograph.cli.wording import (
    Drawing,
    Worded,
    Wording,
    concern_facts,
    concerns,
    gather,
    total,
)
from heliograph.client import AsyncHeliograph
from heliograph.errors import StorageError
from heliograph.ledger import TOTAL, WINDOWS
from heliograph.money import dollars
from heliograph.options import Options
from heliograph.planning import offers
from heliograph.types import Plan

OUTPUT = Group("Output", sort_key=0)
# a sentence of ordinary length stands in when only the price of a size is wanted
TYPICAL_PROMPT = "A snow leopard on a cliff at golden hour, photographed from a low angle."
WORDING = Wording()
ASKING = Asking()
FINISHING = Finishing()


def estimate(
    prompt: str | None = None,
    /,
    *,
    all: Annotated[Flag, Parameter(group=OUTPUT)] = False,  # noqa: A002 - the option's name
    combinations: Annotated[Flag, Parameter(group=OUTPUT)] = False,
    json: Annotated[Flag, Parameter(group=OUTPUT)] = False,
    wording: Wording = WORDING,
    asking: Asking = ASKING,
    finishing: Finishing = FINISHING,
) -> int:
    """Say what a request would cost. Nothing is sent; no key is needed.

    Args:
        prompt: What to draw. Default: a sentence of ordinary length.
        all: List every live model, size and tier instead.
        combinations: Every combination of the wildcards, as `generate --all` makes them.
        json: Print as JSON.
    """
    if all:
        return _print_offers(as_json=json)
    options: Options = {**asking.options(), **finishing.options()}

    drawing = Drawing(every=combinations, seed=asking.seed)
    given = TYPICAL_PROMPT if prompt is None and not wording.is_given else prompt

    async def work(client: AsyncHeliograph) -> tuple[Worded, list[Plan], list[Account]]:
        worded = gather(given, wording, client.settings.home, drawing)
        options["references"] = await Images(client).references(asking.references)
        noted = replace(worded, notes=(*worded.notes, *worded.suggest(options)))
        plans = [await client.plan(text, **options) for text in worded.texts]
        return noted, plans, await _budgets(client)

    worded, plans, budgets = run_with(open_library(None), work)
    if json:
        print_json({**_facts(worded, plans), "budgets": [account_facts(a) for a in budgets]})
        return 0
    several = [total_line(plans), "Each about as the first:"] if len(plans) > 1 else []
    print_lines([*several, *_plan_lines(plans[0]), *(_budget_line(a, plans) for a in budgets)])
    found = (str(c) for t, p in zip(worded.texts, plans, strict=True) for c in concerns(t, p))
    print_lines(f"Note: {line}" for line in dict.fromkeys((*worded.notes, *found)))
    return 0


def _facts(worded: Worded, plans: Sequence[Plan]) -> dict[str, Any]:
    """One plan as before; several with their sum."""
    facts = [
        {**plan_facts(plan), "prompt": text, "prompt_warnings": concern_facts(concerns(text, plan))}
        for text, plan in zip(worded.texts, plans, strict=True)
    ]
    told = {**worded.facts(), "prompt_notes": list(worded.notes)}
    if len(facts) == 1:
        return {**facts[0], **told}
    return {"calls": len(plans), "estimate": dict(total(plans)), **told, "plans": facts}


def total_line(plans: Sequence[Plan]) -> str:
    """What several plans cost together."""
    sums = {name: dollars(micro) for name, micro in total(plans).items()}
    return (
        f"{len(plans)} pictures: {sums['expected_micro']} expected in all, "
        f"{sums['low_micro']} to {sums['high_micro']}"
    )


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


def _budget_line(account: Account, plans: Sequence[Plan]) -> str:
    left = account.left or 0
    fits = "" if total(plans)["high_micro"] <= left else ", which is not enough"
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
