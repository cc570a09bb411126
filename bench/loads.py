"""The load bars of one machine: `python -m bench.loads L3 L5 … | all [--long] [--json FILE]`.

    L1 L2   pictures a second and CPU of each, beside the upstream itself and a naive proxy
    L3      500 calls that wait 60 s each, coming evenly; with --long for ten minutes
    S5      the same 500 at once
    L4      2,000 waiting calls
    L5      memory of a waiting call and of a body in transit
    L6      the event loop under load
    L7      cheap requests beside an empty Starlette route
    L8      twice as much as it can do
    L9      one heavy and nine light users
    L13     killed with 1,000 open jobs, and started again

Everything goes through `heliograph serve` as a user starts it, on this machine alone; the whole
takes about a quarter of an hour and some gigabytes of disk, which are given back. Exit code 1 says
that a bar does not hold.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.load_restart import restart
from bench.load_sharing import fairness, overload
from bench.load_speed import cheap, speed, ticker
from bench.load_stage import Ground, Row, machine
from bench.load_upstream import record_pictures
from bench.load_waiting import burst, many, open_model, slope

LARGE, SMALL = 24, 16  # recorded answers
ROWS: Mapping[str, Callable[[Ground], Row]] = {
    "L1": speed,
    "L2": speed,
    "L3": open_model,
    "S5": burst,
    "L4": many,
    "L5": slope,
    "L6": ticker,
    "L7": cheap,
    "L8": overload,
    "L9": fairness,
    "L13": restart,
}


def measure(names: list[str], folder: Path, *, long: bool) -> list[dict[str, Any]]:
    """One row after another; what each found, as JSON."""
    wanted = list(dict.fromkeys(ROWS[name] for name in names))
    ground = Ground(
        folder=folder, large=folder / "answers-4k", small=folder / "answers-1k", long=long
    )
    ground.large.mkdir()
    ground.small.mkdir()
    # pictures that differ, as those of a model do
    seeded = ("--seed", "7", "--signatures", "short")
    asyncio.run(record_pictures(ground.large, LARGE, "4K", *seeded))
    asyncio.run(record_pictures(ground.small, SMALL, "1K", *seeded))
    found = []
    for row in wanted:
        before = machine()
        outcome = row(ground)
        told = {**asdict(outcome), "holds": outcome.holds, "machine": before}
        found.append(told)
        show(told)
    return found


def show(row: Mapping[str, Any]) -> None:
    """A few lines for people."""
    _say(f"{row['number']}  {'holds' if row['holds'] else 'DOES NOT HOLD'}  {row['bar']}")
    for name, value in (*row["found"].items(), *row["ratios"].items()):
        _say(f"      {name}: {_rounded(value)}")
    for line in (*row["broken"], *row["notes"]):
        _say(f"      {line}")
    _say(f"      load average before: {row['machine']['load_average']}")


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, dict):
        return {name: _rounded(each) for name, each in value.items()}
    return [_rounded(each) for each in value] if isinstance(value, list) else value


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> int:
    """Command line; 1 when a bar does not hold."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.loads",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("rows", nargs="+", choices=[*ROWS, "all"], metavar="ROW")
    parser.add_argument("--long", action="store_true", help="L3 for ten minutes")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the report there")
    given = parser.parse_args()
    names = list(ROWS) if "all" in given.rows else given.rows
    with tempfile.TemporaryDirectory(prefix="heliograph-loads-") as folder:
        found = measure(names, Path(folder), long=given.long)
    if given.json:
        given.json.parent.mkdir(parents=True, exist_ok=True)
        given.json.write_text(json.dumps({"machine": machine(), "rows": found}, indent=2) + "\n")
    return 0 if all(row["holds"] for row in found) else 1


if __name__ == "__main__":
    sys.exit(main())
