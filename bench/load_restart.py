"""Load row L13, which is also S6: killed under load with 1,000 open jobs, and started again.

The upstream is the emulator, because it writes its own bill. Invariant: the gateway is killed by
SIGKILL in the midst of calls; what it had accepted is looked up in its library, not in answers.
"""

import json
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
from bench.load_client import Asking, Lane
from bench.load_stage import (
    GONE,
    Bars,
    Gateway,
    Ground,
    Row,
    done,
    must_lift,
    start,
    statuses,
    stop,
    until,
)

OPEN_JOBS = 1000
LANES = 16
AT_ONCE = 100  # calls; all of them are under way when the gateway is killed
LATENCY = 3.0  # seconds of the upstream
LONGEST = 400.0  # seconds until all jobs have ended
OPEN = "state in ('queued', 'running')"
OWNERS = "select distinct owner from jobs where state in ('queued', 'running')"


def restart(ground: Ground) -> Row:
    """L13."""
    home, bill = ground.folder / "L13", ground.folder / "L13-bill.jsonl"
    settings: dict[str, Any] = {"server_calls_at_once": AT_ONCE}
    lenient, notes = must_lift(ground.folder, OPEN_JOBS + 2 * AT_ONCE)
    with _emulator(bill) as upstream:
        process, served = start(upstream, home, lenient=lenient, **settings)
        try:
            accepted = _fill(served)
            _kill(process)
            asked_before = len(_calls(bill))
            open_before = _count(home, OPEN)
            ((owner,),) = _rows(home, OWNERS)
            began = time.monotonic()
            process, again = start(upstream, home, lenient=lenient, **settings)
            listening = time.monotonic() - began
            again = replace(again, key=served.key)
            until(60, lambda: again.call("GET", "/readyz")[0] == 200)
            ready = time.monotonic() - began
            theirs = f"{OPEN} and owner = '{owner}'"
            until(120, lambda: _count(home, theirs) == 0)
            resumed = time.monotonic() - began
            until(LONGEST, lambda: _count(home, OPEN) == 0, every=0.5)
            ended = time.monotonic() - began
        finally:
            stop(process)
    money = _money(home, bill)
    states = dict(_rows(home, "select state, count(*) from jobs group by state"))
    shutil.rmtree(home)
    bars = Bars()
    bars.least("open jobs at the kill", open_before, OPEN_JOBS)
    bars.none("accepted jobs that are not in the library", accepted - sum(states.values()))
    bars.most("seconds until ready", ready, 5)
    bars.most("seconds until all are resumed", resumed, 30)
    bars.none("jobs called more than once", money["called_again"])
    bars.none("micro-dollars of difference", money["difference"])
    return Row(
        number="L13",
        bar="SIGKILL with 1,000 open jobs: ready ≤ 5 s, all resumed ≤ 30 s, no call twice, "
        "ledgers equal",
        found={
            "open_at_kill": open_before,
            "calls_before": asked_before,
            "listening_s": listening,
            "ready_s": ready,
            "resumed_s": resumed,
            "all_ended_s": ended,
            "states": states,
            **money,
        },
        broken=tuple(bars.broken),
        notes=notes,
    )


def _fill(served: Gateway) -> int:
    """Submit jobs until so many are open; how many were accepted."""
    accepted = 0
    while (missing := OPEN_JOBS + AT_ONCE - _count(served.home, OPEN)) > 0:
        each = -(-missing // LANES)
        lanes = [Lane(key=served.key, face="job", count=each) for _ in range(LANES)]
        answers = Asking(served.url, lanes).answers()
        if len(done(answers)) < len(answers):
            raise RuntimeError(f"jobs were refused: {statuses(answers)}")
        accepted += len(answers)
    return accepted


def _kill(process: "subprocess.Popen[bytes]") -> None:
    below = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.wait()
    for child in below:
        try:
            child.kill()
        except GONE:
            continue


def _money(home: Path, bill: Path) -> dict[str, int]:
    """Ours and the upstream's, call by call in sum; what is in doubt may be either."""
    calls = _calls(bill)
    billed = sum(int(call["billed_micro"]) for call in calls)
    ((settled,),) = _rows(home, "select coalesce(sum(cost), 0) from records")
    held = _rows(home, "select reserved from calls where stage in ('unknown', 'held')")
    most = settled + sum(reserved for (reserved,) in held)
    sent = _rows(home, "select job, trail from calls")
    # a call counts once for each time that its request was sent
    times = [sum(step["stage"] == "sent" for step in _json(trail)) for _, trail in sent]
    return {
        "upstream_calls": len(calls),
        "our_calls_sent": sum(times),
        "called_again": sum(count > 1 for count in times)
        + max(0, len(calls) - sum(bool(count) for count in times)),
        "billed_micro": billed,
        "settled_micro": settled,
        "held_micro": most - settled,
        "difference": max(0, billed - most) + max(0, settled - billed),
    }


def _json(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value


def _calls(bill: Path) -> list[dict[str, Any]]:
    """The last line of each call."""
    lines = (json.loads(line) for line in bill.read_text().splitlines())
    return list({line["call"]: line for line in lines}.values())


def _count(home: Path, where: str) -> int:
    ((count,),) = _rows(home, f"select count(*) from jobs where {where}")  # noqa: S608  ours
    return int(count)


def _rows(home: Path, statement: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(f"file:{home / 'heliograph.db'}?mode=ro", uri=True, timeout=30)
    try:
        return connection.execute(statement).fetchall()
    finally:
        connection.close()


@contextmanager
def _emulator(bill: Path) -> Iterator[str]:
    words = ["--tiny", "--latency", str(LATENCY), "--exit-with-stdin", "--ledger", str(bill)]
    process = subprocess.Popen(
        [sys.executable, "-m", "heliograph.emulator", *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield str(json.loads(process.stdout.readline())["url"])
    finally:
        process.kill()
        process.wait()
