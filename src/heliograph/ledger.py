"""What a call cost, exactly: from the reported usage where it can be believed, else by the table.

Pure. Invariant: integers only; every line names the price row it was settled with and the
quantities it was computed from, so that it can be checked by hand.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from heliograph.errors import CostLimitExceeded
from heliograph.money import Cost, Quantities, Rates, cost, dollars
from heliograph.types import Grounding, LedgerLine, Plan, Usage

PACIFIC = ZoneInfo("America/Los_Angeles")  # Google's quota and billing calendar


@dataclass(frozen=True, kw_only=True)
class Settlement:
    """The exact cost of one call and what it rests on."""

    cost: Cost
    quantities: Quantities
    tier: str  # the service tier it was served and priced in
    queries: int  # search queries run, free ones included
    anomaly: str | None  # why the price table was used instead of the reported usage

    @property
    def micro(self) -> int:
        return self.cost.micro


def refuse_above_limit(plan: Plan) -> None:
    """Compare the worst case with the caller's limit, before anything is sent.

    Raises:
        CostLimitExceeded: the estimate's high end is above `max_cost`.
    """
    limit = plan.request.max_cost
    if limit is None or plan.estimate.high <= limit:
        return
    cheaper = next((a for a in plan.alternatives if a.expected <= limit), None)
    hint = (
        f" {cheaper.model} {cheaper.size or ''} in tier {cheaper.tier} would cost about "
        f"{dollars(cheaper.expected)}."
        if cheaper
        else ""
    )
    raise CostLimitExceeded(
        f"This may cost up to {dollars(plan.estimate.high)}, above the limit of {dollars(limit)}.",
        why=f"Expected are {dollars(plan.estimate.expected)}.",
        remedy=f"Raise the limit or choose a smaller size.{hint}",
        facts={
            "high": plan.estimate.high,
            "expected": plan.estimate.expected,
            "limit": limit,
        },
    )


def settle(
    plan: Plan,
    usage: Usage | None,
    returned_sizes: Sequence[str | None],
    *,
    grounding: Grounding | None = None,
    queries_before: int = 0,
) -> Settlement:
    """The exact cost of an answer.

    Args:
        returned_sizes: the size tier of each image that is not a thought, as measured.
        grounding: what the answer was grounded on; its queries cost beyond the free allowance.
        queries_before: search queries already settled this month.
    """
    tier, rates = _served(plan, usage)
    queries = len(grounding.queries) + len(grounding.image_queries) if grounding else 0
    free_left = max(0, plan.prices.free_queries - queries_before)
    by_table = sum(_table_tokens(plan, size) for size in returned_sizes)
    anomaly = _anomaly(usage, by_table)
    image_tokens = by_table if anomaly or usage is None else usage.image_tokens
    quantities = Quantities(
        input_tokens=usage.prompt_tokens if usage else 0,
        image_tokens=image_tokens,
        text_tokens=_text_tokens(usage, image_tokens),
        paid_queries=max(0, queries - free_left),
    )
    return Settlement(
        cost=cost(rates, quantities),
        quantities=quantities,
        tier=tier,
        queries=queries,
        anomaly=anomaly,
    )


def settle_line(
    record_id: str, plan: Plan, settlement: Settlement, size: str | None, *, simulated: bool
) -> LedgerLine:
    """The ledger line of a settlement."""
    detail: Mapping[str, object] = {
        "tier": settlement.tier,
        "queries": settlement.queries,
        "quantities": asdict(settlement.quantities),
        "pico": asdict(settlement.cost),
        "anomaly": settlement.anomaly,
    }
    return LedgerLine(
        entry_id=f"{record_id}-settle",
        record_id=record_id,
        kind="settle",
        micro=settlement.micro,
        at=datetime.now(UTC),
        model=plan.model,
        size=size,
        price_version=plan.prices.version,
        simulated=simulated,
        detail=detail,
    )


def month_start(now: datetime) -> datetime:
    """Midnight of the first of the month in Pacific time, as UTC: when free queries renew."""
    local = now.astimezone(PACIFIC)
    return local.replace(day=1, hour=0, minute=0, second=0, microsecond=0).astimezone(UTC)


def _served(plan: Plan, usage: Usage | None) -> tuple[str, Rates]:
    """Overflow of a dearer tier is served, and billed, as standard (gemini-api.md 1.6)."""
    served = usage.tier if usage else None
    tier = served if served is not None and served in plan.prices.rates else plan.tier
    return tier, plan.prices.rates[tier]


def _table_tokens(plan: Plan, size: str | None) -> int:
    tokens = plan.prices.image_tokens
    asked = plan.size if plan.size in tokens else None
    return tokens.get(size or "", tokens[asked] if asked else max(tokens.values(), default=0))


def _anomaly(usage: Usage | None, by_table: int) -> str | None:
    if usage is None:
        return "usage missing" if by_table else None
    if usage.anomaly:
        return usage.anomaly
    if by_table and not usage.image_tokens:
        return "usage counts no image tokens for an answer with images"
    return None


def _text_tokens(usage: Usage | None, image_tokens: int) -> int:
    if usage is None:
        return 0
    return max(0, usage.candidate_tokens - image_tokens) + usage.thought_tokens
