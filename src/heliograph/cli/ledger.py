"""`heliograph ledger`: the lines that move money, and whether they add up.

Invariant: only reads.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from heliograph.cli import examples
from heliograph.cli.ask import Flag, refuse_limit
from heliograph.cli.screen import folded, print_json, print_lines, print_table
from heliograph.cli.session import open_library, run_with
from heliograph.cli.stages import short
from heliograph.client import AsyncHeliograph
from heliograph.journal import OPEN, Stage
from heliograph.ledger import TOTAL, Balance
from heliograph.money import dollars
from heliograph.ports import Finding
from heliograph.types import LedgerLine

app = App(
    name="ledger",
    help="Check that the books add up, and show the lines that move money.",
    help_format="plaintext",
    help_epilogue=examples("heliograph ledger verify", "heliograph ledger show --record 3f2a91c0"),
    result_action="return_value",
)

WRONG_CODE = 1
ALL = 10**9
Json = Annotated[Flag, Parameter()]


@dataclass(frozen=True, kw_only=True)
class Sums:
    """What the books say, as far as it adds up."""

    findings: tuple[Finding, ...]
    settled: int  # calls
    doubtful: int  # calls
    simulated: int  # those of them that are
    open: int  # calls
    balances: tuple[Balance, ...]  # of the total, real and simulated, where there is any


@app.command(help_epilogue=examples("heliograph ledger verify", "heliograph ledger verify --json"))
def verify(*, json: Json = False, home: Path | None = None) -> int:
    """Check every call against its ledger lines and every balance against the sum of its lines.

    Exits with 0 when everything adds up, else with 1.

    Args:
        json: Print as JSON.
        home: Folder of the library of originals.
    """
    sums = run_with(open_library(home), audit)
    if json:
        print_json(
            {
                "ok": not sums.findings,
                "findings": [{"subject": f.subject, "what": f.what} for f in sums.findings],
                "calls": {"settled": sums.settled, "doubtful": sums.doubtful, "open": sums.open},
                "money": [
                    {
                        "simulated": b.simulated,
                        "settled_micro": b.settled,
                        "reserved_micro": b.reserved,
                        "held_micro": b.held,
                    }
                    for b in sums.balances
                ],
            }
        )
    elif sums.findings:
        count = len(sums.findings)
        print_lines(
            [
                f"The books do not add up: {count} finding{'s' if count > 1 else ''}.",
                *(f"  {f.subject}: {f.what}" for f in sums.findings),
            ]
        )
    else:
        print_lines(folded(f"The books add up: {summary(sums)}.", ""))
    return WRONG_CODE if sums.findings else 0


@app.command(
    help_epilogue=examples("heliograph ledger show", "heliograph ledger show --record 3f2a91c0")
)
def show(
    *,
    record: str | None = None,
    limit: int = 20,
    json: Json = False,
    home: Path | None = None,
) -> int:
    """Show the ledger lines of the calls begun last; a balance is the sum of its lines.

    Args:
        record: Only the lines of this record: its id, or the beginning of one.
        limit: Of how many calls.
        json: Print as JSON.
        home: Folder of the library of originals.
    """
    refuse_limit(limit)

    async def work(client: AsyncHeliograph) -> list[LedgerLine]:
        if record is not None:
            return list(await client.lines((await client.image(record)).id))
        jobs = dict.fromkeys(call.job for call in await client.calls(limit=limit))
        return [line for job in jobs for line in await client.lines(job)]

    lines = run_with(open_library(home), work)
    if json:
        print_json([_facts(line) for line in lines])
    elif lines:
        print_table(
            ["when (UTC)", "call", "kind", "amount", ""],
            [_row(line) for line in lines],
            right=("amount",),
        )
    else:
        print_lines(["There are no lines yet."])
    return 0


async def audit(client: AsyncHeliograph) -> Sums:
    """Check the books and sum them up."""
    rows = await client.costs("tier")
    doubtful = await client.calls(stages=(Stage.UNKNOWN, Stage.HELD), limit=ALL)
    return Sums(
        findings=tuple(await client.audit()),
        settled=sum(row.calls for row in rows),
        doubtful=len(doubtful),
        simulated=sum(call.simulated for call in doubtful),
        open=len(await client.calls(stages=OPEN, limit=ALL)),
        balances=tuple(b for b in await client.balances() if b.scope == TOTAL),
    )


def summary(sums: Sums) -> str:
    """Calls and money in one sentence."""
    parts = [f"{_calls(sums.settled)} settled"]
    for balance in sums.balances:
        kind = " (simulated)" if balance.simulated else ""
        parts.append(f"{dollars(balance.settled)} spent{kind}")
        if balance.reserved:
            parts.append(f"{dollars(balance.reserved)} under way{kind}")
        if balance.held:
            parts.append(f"{dollars(balance.held)} held{kind}")
    if sums.open:
        parts.append(f"{_calls(sums.open)} unfinished")
    if sums.doubtful:
        parts.append(f"{_calls(sums.doubtful)} of unknown outcome")
    return ", ".join(parts)


def _calls(count: int) -> str:
    return f"{count} call{'' if count == 1 else 's'}"


def _row(line: LedgerLine) -> Sequence[str]:
    return [
        f"{line.at:%Y-%m-%d %H:%M:%S}",
        short(line.call_id) if line.call_id else line.record_id[:8],
        line.kind,
        dollars(line.micro),
        "simulated" if line.simulated else "",
    ]


def _facts(line: LedgerLine) -> dict[str, object]:
    return {
        "entry": line.entry_id,
        "record": line.record_id,
        "call": line.call_id,
        "kind": line.kind,
        "micro": line.micro,
        "at": line.at.isoformat(),
        "model": line.model,
        "size": line.size,
        "price_version": line.price_version,
        "simulated": line.simulated,
        "scopes": list(line.scopes),
        "detail": dict(line.detail),
    }
