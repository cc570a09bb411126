"""What a caller may still spend, over all budgets that count for it.

Invariant: it only reads; money moves in the journal alone, where a reservation is one step.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from heliograph.errors import CostLimitExceeded
from heliograph.ledger import Balance, accounts_of, budget_exceeded, budget_of, scopes_of
from heliograph.library import Store
from heliograph.money import dollars
from heliograph.pipeline import Order
from heliograph.server.caller import Caller
from heliograph.types import Plan, Request


class Purse:
    """Budgets and balances as a caller sees them."""

    def __init__(self, store: Store, *, simulated: bool) -> None:
        self._store = store
        self._simulated = simulated

    async def left(self, caller: Caller) -> int | None:
        """Micro-dollars left in the tightest budget; None when there is no budget."""
        limits = await self._store.journal.budgets()
        if not limits:
            return None
        request = Request(prompt="", owner=caller.user.id, access=caller.key.id)
        left = [
            limits[name] - balance.taken
            for balance in await self._balances(request)
            if (name := budget_of(balance.scope)) in limits
        ]
        return min(left, default=None)

    async def refuse_too_dear(self, plan: Plan, count: int) -> None:
        """Several pictures are begun only when there is money for all of them.

        Raises:
            BudgetExceeded: there is not; a single picture is left to its reservation.
        """
        if count == 1:
            return
        ask = count * plan.estimate.high
        limits = await self._store.journal.budgets()
        for balance in await self._balances(plan.request):
            limit = limits.get(budget_of(balance.scope))
            if limit is not None and balance.taken + ask > limit:
                raise budget_exceeded(balance, limit, ask)

    def shared(self, order: Order, count: int) -> Order:
        """The order of each of several pictures: the caller's limit is for all of them.

        Each has an equal part of it, also for its repeats and fallbacks.

        Raises:
            CostLimitExceeded: together they may cost more; one alone was looked at before.
        """
        limit = order.plan.request.max_cost
        if limit is None or count == 1:
            return order
        worst = max(plan.estimate.high for plan in order.plans)
        if count * worst > limit:
            raise CostLimitExceeded(
                f"{count} pictures may cost up to {dollars(count * worst)}, above the limit of "
                f"{dollars(limit)}.",
                why=f"Each may cost up to {dollars(worst)}.",
                remedy="Ask for fewer, raise the limit, or choose a smaller size.",
                facts={"high": count * worst, "limit": limit},
            )
        part = limit // count
        plans = (replace(p, request=replace(p.request, max_cost=part)) for p in order.plans)
        return replace(order, plans=tuple(plans))

    async def _balances(self, request: Request) -> Sequence[Balance]:
        now, zone = datetime.now(UTC), self._store.rules.zone
        scopes = scopes_of(now, zone, request.tags, accounts_of(request))
        found = await self._store.journal.balances(scopes)
        taken = {each.scope: each for each in found if each.simulated == self._simulated}
        # a scope that nothing was taken of has no balance yet, and its budget counts all the same
        nothing = Balance(scope="", simulated=self._simulated)
        return [taken.get(scope) or replace(nothing, scope=scope) for scope in scopes]
