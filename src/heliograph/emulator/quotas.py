"""Quotas and spend limits that count; invariant: a call that a quota refuses is not counted.

A call counts once its key is accepted, whatever becomes of it: a 503 is not billed but counts.
Limits are those of each project and each model by itself, as Google's are; `*` names every one.
Quota days are Pacific days, and a spent day answers with RetryInfo 37s all the same (shared facts
section 5.2; reliability, sections 3 and 4).
"""

from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from heliograph.emulator.clock import PACIFIC
from heliograph.emulator.envelope import misused
from heliograph.emulator.faults.errors import rate_day, rate_minute, spend_limit
from heliograph.emulator.ledger import Call
from heliograph.emulator.projects import entries

ANY = "*"

_MINUTE = 60.0
_SPEND_WINDOW = 600.0
_LIMITS = ("per_minute", "per_day", "spend_per_10_minutes")
_HIGHEST = 10**15

Key = tuple[str, str]
"""Project and model, each a name or `*`."""


class _Bills:
    """What was billed lately, oldest first, and its sum."""

    def __init__(self) -> None:
        self._rows: deque[tuple[float, int]] = deque()
        self._micro = 0

    def add(self, moment: float, micro: int) -> None:
        self._rows.append((moment, micro))
        self._micro += micro

    def since(self, moment: float) -> int:
        while self._rows and self._rows[0][0] <= moment:
            self._micro -= self._rows.popleft()[1]
        return self._micro


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one project may do with one model; None is no limit."""

    per_minute: int | None = None
    per_day: int | None = None
    spend_per_10_minutes: int | None = None
    """Micro-dollars billed in the last ten minutes, at which calls are refused."""


class Quotas:
    """The limits and what was used of them."""

    def __init__(self, now: Callable[[], float], open_calls: Callable[[], Iterable[Call]]) -> None:
        self._now = now
        self._open_calls = open_calls
        self._limits: dict[Key, Limits] = {}
        self._minutes: dict[Key, deque[float]] = {}
        self._days: Counter[tuple[str, Key]] = Counter()
        self._bills: dict[Key, _Bills] = {}

    def take(self, document: Any) -> None:
        """Take one row of limits, or a list; a row replaces the one of the same names."""
        self._limits.update([_read(entry) for entry in entries(document)])

    def show(self) -> list[dict[str, Any]]:
        """The rows, and what every project used of each model."""
        rows = [_row(key) | _limits_row(limits) for key, limits in sorted(self._limits.items())]
        today = self._today()
        for row in rows:
            key = (row["project"], row["model"])
            used = sorted(each for each in self._seen() if _covers(key, each))
            row["used"] = [
                _row(each)
                | {
                    "last_minute": len(self._minute(each)),
                    "today": self._days[today, each],
                    "spent_10_minutes": self._spent(*each),
                }
                for each in used
            ]
        return rows

    def clear(self) -> None:
        """Drop all limits and all counts."""
        for held in (self._limits, self._minutes, self._days, self._bills):
            held.clear()

    def admit(self, project: str, model: str) -> None:
        """Count a call, or raise the 429 of the limit that it would pass."""
        key = (project, model)
        minute, today = self._minute(key), self._today()
        found = self._find(key, "spend_per_10_minutes")
        if found is not None:
            _, of_model, limit = found
            if self._spent(project, of_model) >= limit:
                raise spend_limit()
        found = self._find(key, "per_day")
        if found is not None and self._days[today, key] >= found[2]:
            raise rate_day(model, found[2])
        found = self._find(key, "per_minute")
        if found is not None and len(minute) >= found[2]:
            # The call that has to be a minute old before there is room for one more.
            blocking = minute[-found[2]] if found[2] else self._now()
            raise rate_minute(model, blocking + _MINUTE - self._now(), found[2])
        minute.append(self._now())
        self._days[today, key] += 1

    def note(self, call: Call) -> None:
        """Remember what a finished call cost."""
        if call.bill is not None and call.bill.micro:
            bills = self._bills.setdefault((call.project, call.model), _Bills())
            bills.add(self._now(), call.bill.micro)

    def _find(self, key: Key, name: str) -> tuple[str, str, int] | None:
        """The limit of the row that names the call most closely, and the names in that row."""
        project, model = key
        for row in ((project, model), (project, ANY), (ANY, model), (ANY, ANY)):
            limit = getattr(self._limits.get(row), name, None)
            if limit is not None:
                return row[0], row[1], limit
        return None

    def _minute(self, key: Key) -> deque[float]:
        times = self._minutes.setdefault(key, deque())
        while times and times[0] <= self._now() - _MINUTE:
            times.popleft()
        return times

    def _spent(self, project: str, model: str) -> int:
        """Micro-dollars of the last ten minutes; `*` adds up the project's models."""
        since = self._now() - _SPEND_WINDOW
        micro = 0
        for key, bills in self._bills.items():
            if _covers((project, model), key):
                micro += bills.since(since)
        for call in self._open_calls():
            if call.bill is not None and _covers((project, model), (call.project, call.model)):
                micro += call.bill.micro
        return micro

    def _seen(self) -> set[Key]:
        return {key for key in (*self._minutes, *self._bills) if key[0]}

    def _today(self) -> str:
        return datetime.fromtimestamp(self._now(), PACIFIC).date().isoformat()


def _read(entry: dict[str, Any]) -> tuple[Key, Limits]:
    unknown = set(entry) - {"project", "model", *_LIMITS}
    if unknown:
        raise misused(f"Unknown in a quota: {', '.join(sorted(unknown))!a}.")
    project, model = entry.get("project", ANY), entry.get("model", ANY)
    if not all(isinstance(name, str) and name for name in (project, model)):
        raise misused("project and model in a quota are names, or * for each.")
    for name in _LIMITS:
        limit = entry.get(name)
        if limit is not None and (type(limit) is not int or not 0 <= limit <= _HIGHEST):
            raise misused(f"{name} in a quota is a whole number of 0 or more, or null.")
    return (project, model), Limits(**{name: entry.get(name) for name in _LIMITS})


def _row(key: Key) -> dict[str, Any]:
    return {"project": key[0], "model": key[1]}


def _limits_row(limits: Limits) -> dict[str, Any]:
    return {name: getattr(limits, name) for name in _LIMITS}


def _covers(row: Key, key: Key) -> bool:
    return all(wanted in (ANY, name) for wanted, name in zip(row, key, strict=True))
