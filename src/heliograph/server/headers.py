"""The headers that all faces read and write in the same way."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from heliograph.server.caller import Done
from heliograph.server.faults import Fault

KEY = re.compile(r"[\x21-\x7e]{1,255}")
WAIT = re.compile(r"(?:^|[,;\s])wait=(\d{1,4})(?:$|[,;\s])")
LONGEST_WAIT = 600.0  # seconds
MICRO = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Manner:
    """How a request wants to be treated; the fields of `Errand` of the same names."""

    key: str | None
    retries: int
    wait: float | None


def manner(headers: Mapping[str, str]) -> Manner:
    """Idempotency key, count of retries and patience.

    Args:
        headers: with names that are found whatever their case.

    Raises:
        Fault: the key has no valid form.
    """
    key = headers.get("idempotency-key")
    if key is not None and not KEY.fullmatch(key):
        raise Fault(
            "The idempotency key has no valid form.",
            why="It must be 1 to 255 visible ASCII characters.",
            remedy="Use a UUID.",
            facts={"field": "Idempotency-Key"},
        )
    count = headers.get("x-stainless-retry-count", "")
    wait = WAIT.search(headers.get("prefer", ""))
    return Manner(
        key=key,
        retries=int(count) if count.isascii() and count.isdigit() and len(count) < 4 else 0,
        wait=min(float(wait[1]), LONGEST_WAIT) if wait else None,
    )


def spend_headers(done: Done, balance: int | None) -> dict[str, str]:
    """What a paid answer says of itself.

    Args:
        balance: micro-dollars left in the tightest budget; None when there is none.
    """
    first = done.results[0]
    finished = next((e.pixels for e in first.exports if e.name == "export"), first.pixels)
    found = {
        "x-heliograph-job": done.job.id,
        "x-heliograph-cost-usd": usd(done.cost),
        "x-heliograph-pixels": str(finished),
        "x-heliograph-verified": first.verdict.value,
        "x-heliograph-simulated": "true" if first.simulated else "false",
    }
    if balance is not None:
        found["x-heliograph-balance"] = usd(balance)
    if done.replayed:
        found["idempotency-replayed"] = "true"
    return found


def usd(micro: int) -> str:
    """Dollars with all six digits, so that nothing is lost."""
    sign = "-" if micro < 0 else ""
    return f"{sign}{abs(micro) // MICRO}.{abs(micro) % MICRO:06d}"
