"""The only file that retries and sleeps: attempts, deadlines, waits.

Rules of reliability.md section 3, for the simple cases. Invariant: a wait is never shorter than
the upstream asked for, and nothing is ever repeated once its outcome is unknown or a policy,
credential or quota said no.
"""

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from heliograph.errors import (
    Charged,
    DeadlineExceeded,
    HeliographError,
    NotSent,
    OutcomeUnknown,
    Overloaded,
    RateLimited,
)
from heliograph.ports import Event, Observer
from heliograph.providers.classify import classify
from heliograph.providers.http import Channel, Deadlines
from heliograph.providers.wire import WireReply, WireRequest, documents
from heliograph.types import Reply

LONGEST_TOLD_WAIT = 300.0  # seconds; a longer RetryInfo goes back to the caller at once
LONGEST_BACKOFF = 60.0  # seconds

Decode = Callable[[WireReply], Reply]


@dataclass(frozen=True, kw_only=True)
class Rule:
    """How often a class of error is tried again, and how long to wait before."""

    retries: int
    base: float  # seconds; full jitter below base · 2ⁿ
    floor: float = 0.0  # share of the base that is always waited


RULES: Mapping[type[HeliographError], Rule] = {
    NotSent: Rule(retries=3, base=0.5),
    RateLimited: Rule(retries=3, base=5.0, floor=0.5),
    Overloaded: Rule(retries=2, base=1.0),
    DeadlineExceeded: Rule(retries=1, base=1.0),
}


def wait_before(error: HeliographError, failures: int, chance: random.Random) -> float | None:
    """Seconds to wait before trying again, or None when trying again is wrong.

    Args:
        error: what went wrong last.
        failures: how many attempts have failed so far, this one included.
    """
    if error.charged is not Charged.NO:
        return None  # something may have been paid for: asking again could pay twice
    rule = RULES.get(type(error))
    if rule is None or failures > rule.retries:
        return None
    if error.retry_after is not None:
        if error.retry_after > LONGEST_TOLD_WAIT:
            return None
        return error.retry_after * chance.uniform(1.0, 1.1)
    ceiling = min(LONGEST_BACKOFF, rule.base * 2 ** (failures - 1))
    return chance.uniform(rule.base * rule.floor, ceiling) if ceiling else 0.0


class Caller:
    """Makes one call through a channel, with the repeats that are allowed."""

    def __init__(
        self,
        channel: Channel,
        deadlines: Deadlines,
        *,
        chance: random.Random | None = None,
    ) -> None:
        self._channel = channel
        self._deadlines = deadlines
        self._chance = chance or random.Random()  # noqa: S311 - jitter, not a secret

    @property
    def upstream(self) -> str:
        return self._channel.upstream

    async def call(
        self, request: WireRequest, decode: Decode, spool: Path, observer: Observer
    ) -> Reply:
        """The decoded answer of the first attempt that succeeds.

        Each attempt spools into its own folder below `spool`.

        Raises:
            HeliographError: the last attempt's error, when none is left or allowed.
        """
        begun = time.monotonic()
        for attempt in range(1, 100):
            folder = spool / f"attempt-{attempt}"
            folder.mkdir(parents=True)

            def tell(name: str, facts: Mapping[str, Any], attempt: int = attempt) -> None:
                observer(
                    Event(
                        name=name,
                        job=spool.name,
                        at=time.monotonic() - begun,
                        facts={**facts, "attempt": attempt},
                    )
                )

            try:
                wire = await self._channel.post(request, folder, tell)
                return replace(_understand(wire, decode), attempts=attempt)
            except HeliographError as error:
                self._hide_key(error)
                error.facts["attempts"] = attempt
                wait = wait_before(error, attempt, self._chance)
                left = self._deadlines.patience - (time.monotonic() - begun)
                if wait is None or wait > left:
                    raise
                tell("retrying", {"error": error.code, "what": error.what, "wait": wait})
                await asyncio.sleep(wait)
        raise AssertionError("every rule ends its retries")

    def _hide_key(self, error: HeliographError) -> None:
        """An upstream may echo the key in its message; ours never carry it further."""
        error.what = self._channel.without_key(error.what)
        error.why = error.why and self._channel.without_key(error.why)
        error.args = (error.what,)
        for name, value in error.facts.items():
            if isinstance(value, str):
                error.facts[name] = self._channel.without_key(value)

    async def close(self) -> None:
        """Close the connections."""
        await self._channel.close()


def _understand(wire: WireReply, decode: Decode) -> Reply:
    if wire.status != 200:
        raise classify(wire.status, _error_of(wire), wire.headers)
    if wire.incomplete or wire.tapped.cut:
        where = wire.incomplete or f"it ended {wire.tapped.cut}"
        raise OutcomeUnknown(
            "The answer did not arrive whole.",
            why=f"After {wire.timing.done or 0:.1f} s {where}.",
            remedy="It may have been charged; what arrived is kept in quarantine.",
            charged=Charged.UNKNOWN,
        )
    return decode(wire)


def _error_of(wire: WireReply) -> Mapping[str, Any] | None:
    """The `error` object of a failed answer; None for HTML pages and other foreign bodies."""
    try:
        values = documents(wire.tapped)
    except HeliographError:
        return None
    error = values[0].get("error")
    return error if isinstance(error, Mapping) else None
