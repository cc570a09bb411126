"""`heliograph estimate`: the cost before the call, and what would be cheaper."""

from typing import Annotated

from cyclopts import Group, Parameter

from heliograph.cli.ask import Asking, Finishing, Flag
from heliograph.cli.report import estimate_facts, plan_facts
from heliograph.cli.screen import facts_lines, print_json, print_lines, print_table
from heliograph.cli.session import run_with
from heliograph.client import AsyncHeliograph, Options
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

    async def work(client: AsyncHeliograph) -> Plan:
        return await client.plan(prompt, **options)

    plan = run_with(AsyncHeliograph(), work)
    if json:
        print_json(plan_facts(plan))
    else:
        print_lines(_plan_lines(plan))
    return 0


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
