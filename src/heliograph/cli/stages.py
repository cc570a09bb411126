"""Calls of the journal in plain words.

Invariant: every stage has words, and none of them says "free" of a call that may be paid for.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from heliograph.journal import Stage
from heliograph.ledger import ACCOUNTS
from heliograph.types import LedgerLine

WORDS: Mapping[Stage, str] = {
    Stage.RESERVED: "money set aside",
    Stage.INTENT: "connecting",
    Stage.SENT: "sent, no whole answer",
    Stage.RECEIVED: "answer received",
    Stage.STORED: "files stored",
    Stage.SETTLED: "picture kept",
    Stage.REFUSED: "answer without picture",
    Stage.QUARANTINED: "damaged, in quarantine",
    Stage.UNKNOWN: "outcome unknown",
    Stage.HELD: "outcome never found out",
    Stage.RELEASED: "not charged",
}
RECOVERED: Mapping[Stage, str] = {
    Stage.SETTLED: "its picture is kept and settled",
    Stage.REFUSED: "its answer held no picture",
    Stage.QUARANTINED: "its picture is damaged and lies in quarantine",
    Stage.UNKNOWN: "its outcome is unknown, it may have cost money",
    Stage.RELEASED: "nothing was charged",
}
SHORT = 8  # characters of a job that people see


def short(call_id: str) -> str:
    """A call's id as people see it and may type it: 3f2a91c0-1."""
    job, _, number = call_id.partition("-")
    return f"{job[:SHORT]}-{number}"


def recovered_line(facts: Mapping[str, Any]) -> str:
    """What the event "recovered" says."""
    name, stage = short(str(facts["call"])), Stage(facts["stage"])
    words = RECOVERED.get(stage, WORDS[stage])
    return f"recovered call {name}: {words} (heliograph calls show {name})"


def shared_line(facts: Mapping[str, Any]) -> str:
    """What the event "shared" says."""
    numbers = [str(number) for number in facts["processes"]]
    one = len(numbers) == 1
    return (
        f"process{'' if one else 'es'} {', '.join(numbers)} use{'s' if one else ''} this library "
        f"too; {'its' if one else 'their'} calls are left alone"
    )


def sums_of(lines: Sequence[LedgerLine]) -> Mapping[str, int]:
    """Micro-dollars by account: "reserved", "settled" and "held"."""
    sums = dict.fromkeys(("reserved", "settled", "held"), 0)
    for line in lines:
        sums[ACCOUNTS[line.kind]] += line.micro
    return sums
