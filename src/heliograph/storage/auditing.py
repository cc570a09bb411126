"""Do the books add up? Calls against their ledger lines, balances against the sums of lines.

Invariant: only reads. The rules are the same for all implementations of the journal; lines of a
call that the journal does not know are no fault, because a rebuild brings back lines alone.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from heliograph.journal import Stage
from heliograph.ledger import ACCOUNTS, HOLD, HOLD_RELEASE, RELEASE, RESERVE, SETTLE, Balance
from heliograph.ports import Finding

Sums = dict[str, tuple[int, int]]  # kind → how many lines, and their sum


@dataclass(frozen=True, kw_only=True)
class Audited:
    """What is looked at of one call."""

    id: str
    stage: Stage
    reserved: int
    sums: Sums


def call_findings(audited: Iterable[Audited]) -> Iterator[Finding]:
    """Every call whose lines are not those of its stage."""
    for call in audited:
        for fault in _faults(call):
            yield Finding(subject=call.id, what=f"It is {call.stage.value}, but {fault}.")


def balance_findings(
    kept: Iterable[Balance], summed: Mapping[tuple[str, bool], Mapping[str, int]]
) -> Iterator[Finding]:
    """Every balance that is not the sum of the lines of its scope."""
    left = dict(summed)
    for balance in kept:
        right = left.pop((balance.scope, balance.simulated), {})
        for account in dict.fromkeys((*ACCOUNTS.values(), *right)):
            said, meant = getattr(balance, account, 0), right.get(account, 0)
            if said != meant:
                money = "simulated money" if balance.simulated else "money"
                what = (
                    f"Its {account} {money} is {said} micro-dollars; its lines sum up to {meant}."
                )
                yield Finding(subject=balance.scope, what=what)
    for scope, simulated in sorted(left):
        money = "simulated money" if simulated else "money"
        yield Finding(subject=scope, what=f"Its lines of {money} are in no balance.")


def _faults(call: Audited) -> Iterator[str]:
    counts = {kind: count for kind, (count, _) in call.sums.items()}
    sums = {kind: micro for kind, (_, micro) in call.sums.items()}
    if counts.get(RESERVE) != 1 or sums[RESERVE] != call.reserved:
        yield f"{sums.get(RESERVE, 0)} of {call.reserved} micro-dollars were set aside"
    if call.stage.is_open:
        if set(counts) - {RESERVE}:
            yield f"it has lines of {', '.join(sorted(set(counts) - {RESERVE}))}"
        return
    if counts.get(RELEASE) != 1 or sums[RELEASE] != -call.reserved:
        yield f"{-sums.get(RELEASE, 0)} of {call.reserved} micro-dollars were given back"
    held = sums.get(HOLD, 0) + sums.get(HOLD_RELEASE, 0)
    if call.stage.is_doubtful:
        if counts.get(HOLD) != 1 or counts.get(HOLD_RELEASE):
            yield f"{held} micro-dollars are held"
    elif held or counts.get(HOLD, 0) != counts.get(HOLD_RELEASE, 0):
        yield f"{held} micro-dollars are still held"
    most = 0 if call.stage.is_doubtful or call.stage is Stage.RELEASED else 1
    if counts.get(SETTLE, 0) > most:
        yield f"it is settled {counts[SETTLE]} times"
