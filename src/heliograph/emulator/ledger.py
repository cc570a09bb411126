"""What every paid method call cost; invariant: a line is written once and never changed.

The file is JSONL, one line per finished call, and is the emulator's own: no client writes or
reads it through shared code. Calls still open are in memory only, and visible over HTTP.
"""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from heliograph.emulator.prices import Bill, Tier

_BILLING_ZONE = ZoneInfo("America/Los_Angeles")

Line = dict[str, Any]


@dataclass(kw_only=True)
class Call:
    """One call in progress: the only record of the emulator that changes while it lives."""

    id: str
    method: str
    model: str
    path: str
    arrived: float = field(default_factory=time.time)
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

    def line(self, state: str) -> Line:
        """The record as JSON."""
        bill = self.bill or Bill()
        return {
            "call": self.id,
            "state": state,
            "time": datetime.fromtimestamp(self.arrived, _BILLING_ZONE).isoformat(),
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


class Ledger:
    """All calls, oldest first; reads back the file it continues."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._closed: list[Line] = []
        self._open: dict[str, Call] = {}
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
                self._closed.clear()
            elif "call" in line:
                self._closed.append(line)
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
            self._closed.append(line)
            self._append(line)

    def reset(self) -> None:
        """Forget the finished calls; the file keeps them, behind a mark."""
        self._closed.clear()
        self._append({"event": "reset", "time": time.time()})

    def lines(self, call_id: str | None = None) -> list[Line]:
        """The lines now, those of open calls last."""
        return [line for line in self._all() if call_id in (None, line["call"])]

    def searches_this_month(self, project: str) -> int:
        """Search queries of a project in the current billing month (Pacific time)."""
        month = datetime.now(_BILLING_ZONE).strftime("%Y-%m")
        return sum(
            line["search_queries"]
            for line in self._all()
            if line["project"] == project and line["time"].startswith(month)
        )

    def total(self) -> Line:
        """Sums over all lines."""
        lines = list(self._all())
        by_project: dict[str, int] = {}
        for line in lines:
            micro = by_project.get(line["project"], 0) + line["billed_micro"]
            by_project[line["project"]] = micro
        return {
            "calls": len(lines),
            "billed_calls": sum(line["billed"] for line in lines),
            "billed_micro": sum(by_project.values()),
            "by_project": by_project,
        }

    def _all(self) -> Iterator[Line]:
        yield from self._closed
        yield from (call.line("open") for call in self._open.values())

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
