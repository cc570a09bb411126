"""What a call cost, exactly: from the reported usage where it can be believed, else by the table;
and the ledger lines that set money aside, settle it, hold it and give it back.

Pure. Invariant: integers only; every line names the price row it was settled with and the
quantities it was computed from, so that it can be checked by hand. Lines are signed, so a balance
is a sum: reserve + release + settle + adjust + hold + hold_release.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from heliograph.errors import BudgetExceeded, CostLimitExceeded
from heliograph.journal import CallEntry
from heliograph.money import MAX_MICRO, Cost, MoneyRangeError, Quantities, Rates, cost, dollars
from heliograph.types import Grounding, LedgerLine, Plan, Request, Usage

RESERVE, RELEASE = "reserve", "release"
SETTLE, ADJUST = "settle", "adjust"
HOLD, HOLD_RELEASE = "hold", "hold_release"
# which part of a balance a line of each kind changes
ACCOUNTS: Mapping[str, str] = {
    RESERVE: "reserved",
    RELEASE: "reserved",
    SETTLE: "settled",
    ADJUST: "settled",
    HOLD: "held",
    HOLD_RELEASE: "held",
}
TOTAL = "total"
WINDOWS = ("day", "month")
TAG = "tag"
USER, KEY = "user", "key"  # accounts of a gateway: "user/ID" and "key/ID", each with windows

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
    # batches can be priced, but not sent yet
    able = (a for a in plan.alternatives if a.tier != "batch")
    cheaper = next((a for a in able if a.expected <= limit), None)
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
    call: CallEntry,
    plan: Plan,
    settlement: Settlement,
    size: str | None,
    *,
    at: datetime,
    note: str | None = None,
) -> LedgerLine:
    """The ledger line of a settlement.

    Args:
        size: the size tier that came back.
        at: when it was settled, UTC.
        note: what is special about it, such as "resolved by hand".
    """
    detail: dict[str, object] = {
        "tier": settlement.tier,
        "queries": settlement.queries,
        "quantities": asdict(settlement.quantities),
        "pico": asdict(settlement.cost),
        "anomaly": settlement.anomaly,
    }
    over = settlement.micro - call.reserved
    if over > 0:
        # more was billed than the worst listed price: it is settled all the same, and shown
        detail["over_reserve"] = over
    if note:
        detail["note"] = note
    line = _line(call, plan, SETTLE, settlement.micro, at)
    return replace(line, size=size, detail=detail)


def reserve_line(call: CallEntry, plan: Plan, at: datetime) -> LedgerLine:
    """Sets the worst listed price aside before anything is sent."""
    return _line(call, plan, RESERVE, call.reserved, at)


def release_line(call: CallEntry, plan: Plan, at: datetime) -> LedgerLine:
    """Gives back what was set aside; every call has one once it is no longer open."""
    return _line(call, plan, RELEASE, -call.reserved, at)


def hold_line(call: CallEntry, plan: Plan, at: datetime) -> LedgerLine:
    """Keeps counting what a call of unknown outcome may have cost."""
    return _line(call, plan, HOLD, call.reserved, at)


def hold_release_line(call: CallEntry, plan: Plan, at: datetime) -> LedgerLine:
    """Ends a hold: the outcome is known now."""
    return _line(call, plan, HOLD_RELEASE, -call.reserved, at)


def resolved_line(call: CallEntry, plan: Plan, micro: int, at: datetime) -> LedgerLine:
    """Settles a call of unknown outcome with what the provider's billing says.

    Raises:
        MoneyRangeError: the amount is outside 0…1e12 micro-dollars.
    """
    if not 0 <= micro <= MAX_MICRO:
        raise MoneyRangeError(f"{micro} micro-dollars are outside 0…1e12")
    return replace(_line(call, plan, SETTLE, micro, at), detail={"note": "resolved by hand"})


def _line(call: CallEntry, plan: Plan, kind: str, micro: int, at: datetime) -> LedgerLine:
    return LedgerLine(
        entry_id=f"{call.id}-{kind}",
        record_id=call.job,
        call_id=call.id,
        kind=kind,
        micro=micro,
        at=at,
        model=plan.model,
        size=plan.size,
        price_version=plan.prices.version,
        simulated=call.simulated,
        scopes=call.scopes,
    )


# ---------------------------------------------------------------- budgets


@dataclass(frozen=True, kw_only=True)
class Balance:
    """What one scope has taken so far, in micro-dollars."""

    scope: str
    simulated: bool
    settled: int = 0
    reserved: int = 0  # of calls under way
    held: int = 0  # of calls whose outcome is unknown

    @property
    def taken(self) -> int:
        """What counts against a budget."""
        return self.settled + self.reserved + self.held


def accounts_of(request: Request) -> tuple[str, ...]:
    """Which accounts of a gateway a request counts against."""
    user = () if request.owner is None else (f"{USER}/{request.owner}",)
    key = () if request.access is None else (f"{KEY}/{request.access}",)
    return user + key


def scopes_of(
    now: datetime, zone: ZoneInfo, tags: Sequence[str] = (), accounts: Sequence[str] = ()
) -> tuple[str, ...]:
    """What a call that begins now counts against, sorted.

    A call counts in the day and month in which it began, whatever the clock says later.

    Args:
        zone: in which days and months begin.
        accounts: such as "user/ID"; each counts as a whole, by day and by month.
    """
    local = now.astimezone(zone)
    windows = (f"day/{local:%Y-%m-%d}", f"month/{local:%Y-%m}")
    own = {f"{account}/{window}" for account in accounts for window in windows}
    return tuple(sorted({TOTAL, *windows, *(f"{TAG}/{tag}" for tag in tags), *accounts, *own}))


def default_scopes(at: datetime) -> tuple[str, ...]:
    """The scopes of a line that names none: days and months in UTC."""
    return scopes_of(at, ZoneInfo("UTC"))


def budget_of(scope: str) -> str:
    """The budget that a scope is held against: "day/2026-11-30" → "day",
    "user/ID/month/2026-11" → "user/ID/month"."""
    kind, _, rest = scope.partition("/")
    if kind in WINDOWS:
        return kind
    if kind in (USER, KEY):
        account, _, window = rest.partition("/")
        return f"{kind}/{account}/{window.partition('/')[0]}" if window else scope
    return scope


def is_budget(name: str) -> bool:
    """Whether there can be a budget of this name: "total", "day", "month", "tag/NAME", "user/ID",
    "user/ID/day", "user/ID/month", and the same for "key/ID"."""
    kind, slash, rest = name.partition("/")
    if kind == TAG:
        return bool(slash and rest)
    if kind in (USER, KEY):
        account, _, window = rest.partition("/")
        return bool(account) and (window in WINDOWS or name == f"{kind}/{account}")
    return name in (TOTAL, *WINDOWS)


def apply(balance: Balance, line: LedgerLine) -> Balance:
    """The balance after one more line.

    Raises:
        KeyError: a kind of line that no account knows.
    """
    account = ACCOUNTS[line.kind]
    return replace(balance, **{account: getattr(balance, account) + line.micro})


def budget_exceeded(balance: Balance, limit: int, ask: int) -> BudgetExceeded:
    """The error for a reservation that does not fit into a budget any more."""
    name = budget_of(balance.scope)
    left = max(0, limit - balance.taken)
    parts = [f"{dollars(balance.settled)} are spent"]
    if balance.reserved:
        parts.append(f"{dollars(balance.reserved)} set aside for calls under way")
    if balance.held:
        parts.append(f"{dollars(balance.held)} held for calls of unknown outcome")
    return BudgetExceeded(
        f"The {_spoken(name)} has {dollars(left)} left; this may cost up to {dollars(ask)}.",
        why=f"Of {dollars(limit)}, {', '.join(parts)}.",
        remedy="Raise it with `heliograph budget set`, wait for calls under way, or choose a "
        "smaller size; nothing was sent.",
        facts={
            "budget": name,
            "scope": balance.scope,
            "limit": limit,
            "settled": balance.settled,
            "reserved": balance.reserved,
            "held": balance.held,
            "ask": ask,
        },
    )


def _spoken(name: str) -> str:
    kind, _, rest = name.partition("/")
    spoken = {TOTAL: "budget", "day": "budget of the day", "month": "budget of the month"}
    if kind in (USER, KEY):
        window = rest.partition("/")[2]
        return f"budget of this {kind}" + (f" for the {window}" if window else "")
    return spoken.get(kind, f"budget of tag {rest}")


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
