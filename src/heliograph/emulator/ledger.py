"""What every paid method call cost; invariant: a line is written once and never changed.

The file is JSONL, one line per finished call, and is the emulator's own: no client writes or
reads it through shared code. Calls still open are in memory only, and visible over HTTP. Times
are those of the emulator's clock.
"""

import dataclasses
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from heliograph.emulator.clock import PACIFIC
from heliograph.emulator.prices import Bill, Tier

Line = dict[str, Any]


@dataclass(kw_only=True)
class Call:
    """One call in progress: the only record of the emulator that changes while it lives."""

    id: str
    method: str
    model: str
    path: str
    now: Callable[[], float] = field(default=time.time, repr=False)
    """The emulator's clock."""
    arrived: float = field(init=False)
    project: str = ""
    key_hash: str = ""
    request_read: float | None = None
    first_byte: float | None = None
    last_byte: float | None = None
    peer_closed_early: bool = False
    cut_by_fault: bool = False
    """Whether the emulator itself ended the connection early."""
    http_status: int | None = None
    finish_reason: str | None = None
    fault: str = ""
    tier: Tier = "standard"
    bill: Bill | None = None
    search_queries: int = 0
    usage: Line | None = None
    images: tuple[Line, ...] = ()

    def __post_init__(self) -> None:
        self.arrived = self.now()

    def line(self, state: str) -> Line:
        """The record as JSON."""
        bill = self.bill or Bill()
        return {
            "call": self.id,
            "state": state,
            "time": datetime.fromtimestamp(self.arrived, PACIFIC).isoformat(),
            "project": self.project,
            "key_hash": self.key_hash,
            "model": self.model,
            "method": self.method,
            "path": self.path,
            "arrived": self.arrived,
            "request_read": self.request_read,
            "first_byte": self.first_byte,
            "last_byte": self.last_byte,
            "peer_closed_early": self.peer_closed_early,
            "cut_by_fault": self.cut_by_fault,
            "http_status": self.http_status,
            "finish_reason": self.finish_reason,
            "fault": self.fault,
            "tier": self.tier,
            "billed": self.bill is not None,
            "billed_micro": bill.micro,
            "split_pico": {
                "input": bill.input,
                "image": bill.image,
                "text_thinking": bill.text_thinking,
                "search": bill.search,
            },
            "search_queries": self.search_queries,
            "usage": self.usage,
            "images": list(self.images),
        }


@dataclass(kw_only=True)
class Total:
    """Sums over lines."""

    calls: int = 0
    billed_calls: int = 0
    billed_micro: int = 0

    def add(self, line: Line) -> None:
        """Count one line in."""
        self.calls += 1
        self.billed_calls += line["billed"]
        self.billed_micro += line["billed_micro"]


class Ledger:
    """All calls, oldest first; reads back the file it continues."""

    def __init__(self, path: Path | None = None, now: Callable[[], float] = time.time) -> None:
        self._path = path
        self._now = now
        self._closed: list[Line] = []
        self._projects: dict[str, list[Line]] = {}
        self._totals: dict[str, Total] = {}
        self._open: dict[str, Call] = {}
        self._watchers: list[Callable[[Call], None]] = []
        self._ids: set[str] = set()
        self.calls_ever = 0
        if path is not None and path.exists():
            self._read(path)

    def _read(self, path: Path) -> None:
        text = path.read_text(encoding="utf-8")
        whole, _, torn = text.rpartition("\n")
        if torn:
            # A killed emulator can leave half a line; close it so that the next stands alone.
            self._append_text("\n")
        for raw in whole.splitlines():
            line = _parsed(raw)
            if line is None:
                continue
            if line.get("event") == "reset":
                self._forget()
            elif "call" in line:
                self._keep(line)
                self._ids.add(line["call"])
                self.calls_ever += 1

    def knows(self, call_id: str) -> bool:
        """Whether a call of this id was ever opened here or is in the file."""
        return call_id in self._ids

    def open(self, call: Call) -> None:
        """Start to show a call."""
        self.calls_ever += 1
        self._ids.add(call.id)
        self._open[call.id] = call

    def close(self, call: Call) -> None:
        """Write a call's line."""
        if self._open.pop(call.id, None) is not None:
            line = call.line("closed")
            self._keep(line)
            self._append(line)
            for watcher in self._watchers:
                watcher(call)

    def watch(self, watcher: Callable[[Call], None]) -> None:
        """Tell somebody of every call that is finished from now on."""
        self._watchers.append(watcher)

    def reset(self) -> None:
        """Forget the finished calls; the file keeps them, behind a mark."""
        self._forget()
        self._append({"event": "reset", "time": self._now()})

    def open_calls(self) -> list[Call]:
        """The calls in progress."""
        return list(self._open.values())

    def lines(self, call_id: str | None = None, project: str | None = None) -> list[Line]:
        """The lines now, of one call or one project when named, those of open calls last."""
        return [line for line in self._all(project) if call_id in (None, line["call"])]

    def searches_this_month(self, project: str) -> int:
        """Search queries of a project in the current billing month (Pacific time)."""
        month = datetime.fromtimestamp(self._now(), PACIFIC).strftime("%Y-%m")
        return sum(
            line["search_queries"] for line in self._all(project) if line["time"].startswith(month)
        )

    def total(self, project: str | None = None) -> Line:
        """Sums over all lines, or one project's, without walking through the finished ones."""
        named = self._totals if project is None else {project: self._totals.get(project, Total())}
        totals = {name: dataclasses.replace(kept) for name, kept in named.items()}
        for call in self._open.values():
            if project in (None, call.project):
                totals.setdefault(call.project, Total()).add(call.line("open"))
        return {
            "calls": sum(total.calls for total in totals.values()),
            "billed_calls": sum(total.billed_calls for total in totals.values()),
            "billed_micro": sum(total.billed_micro for total in totals.values()),
            "by_project": {name: total.billed_micro for name, total in totals.items()},
        }

    def _keep(self, line: Line) -> None:
        project = line["project"]
        self._closed.append(line)
        self._projects.setdefault(project, []).append(line)
        self._totals.setdefault(project, Total()).add(line)

    def _forget(self) -> None:
        self._closed.clear()
        self._projects.clear()
        self._totals.clear()

    def _all(self, project: str | None = None) -> Iterator[Line]:
        yield from self._closed if project is None else self._projects.get(project, ())
        for call in self._open.values():
            if project in (None, call.project):
                yield call.line("open")

    def _append(self, line: Line) -> None:
        self._append_text(json.dumps(line, ensure_ascii=False) + "\n")

    def _append_text(self, text: str) -> None:
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as file:
                file.write(text)


def _parsed(raw: str) -> Line | None:
    try:
        line = json.loads(raw)
    except ValueError:
        return None
    return line if isinstance(line, dict) else None
