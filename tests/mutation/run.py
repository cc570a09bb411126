"""Changes the pure heart, one small wrong thing at a time, and counts what its tests notice.

    python -m tests.mutation.run [--module ledger] [--sample 50 --seed 7] [--report file.json]

Invariant: a module is judged only after its own tests passed unchanged and failed with the module
gone, so that a runner that loads the wrong source cannot report success.
"""

import argparse
import ast
import gc
import json
import random
import signal
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.mutation.mutants import Mutant, mutants
from tests.mutation.subjects import SUBJECTS, source_of
from tests.mutation.warm import Child, fork, warm

EQUIVALENT = Path(__file__).with_name("equivalent.toml")
THRESHOLD = 85.0  # percent that must be noticed
PATIENCE = 10.0  # seconds at least; else five times what the unchanged module needs
POLL = 0.01


@dataclass(kw_only=True)
class Score:
    """What became of the mutants of one module."""

    module: str
    outcomes: Counter[str] = field(default_factory=Counter)
    survivors: list[Mutant] = field(default_factory=list)
    wrongly_excused: list[Mutant] = field(default_factory=list)
    finders: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    @property
    def judged(self) -> int:
        return sum(self.outcomes[kind] for kind in ("killed", "survived", "timeout"))

    @property
    def percent(self) -> float:
        """Share of the mutants that were noticed; a test that never ends notices, too."""
        noticed = self.outcomes["killed"] + self.outcomes["timeout"]
        return 100.0 * noticed / self.judged if self.judged else 100.0

    def as_dict(self) -> dict[str, Any]:
        """For the report."""
        return {
            **{k: self.outcomes[k] for k in ("killed", "survived", "timeout", "equivalent")},
            "percent": round(self.percent, 2),
            "seconds": round(self.seconds, 1),
            "survivors": [
                {"line": m.line, "where": m.where, "code": m.code, "change": m.change}
                for m in self.survivors
            ],
        }


def excused(module: str, found: Sequence[Mutant]) -> set[tuple[str, str, str]]:
    """The mutants of a module that no test can notice, as the list of them says.

    Raises:
        SystemExit: an entry names a mutant that does not exist, or gives no reason.
    """
    listed = tomllib.loads(EQUIVALENT.read_text("utf-8"))["mutants"]
    names = {mutant.name for mutant in found}
    result = set()
    for entry in listed:
        if entry["module"] != module:
            continue
        for change in entry["changes"]:
            name = entry["where"], entry["code"], change
            if name not in names or not entry["reason"]:
                raise SystemExit(f"{EQUIVALENT.name}: {module}: no such mutant or reason: {name}")
            result.add(name)
    return result


def judge(module: str, chosen: random.Random | None, sample: int, workers: int) -> Score:
    """Try the mutants of one module.

    Args:
        chosen: picks `sample` of them; all are tried when it is None.
        workers: children at a time.
    """
    begun = time.monotonic()
    tree, found = mutants(source_of(module).read_text("utf-8"))
    excuses = excused(module, found)
    if chosen is not None and sample < len(found):
        found = sorted(chosen.sample(found, sample), key=lambda mutant: mutant.line)
    score = Score(module=module)
    with tempfile.TemporaryDirectory(prefix="heliograph-mutation-") as name:
        folder = Path(name)
        limit = max(PATIENCE, 5.0 * _healthy(module, tree, folder))
        waiting = list(enumerate(found))[::-1]
        running: list[tuple[Mutant, Child]] = []
        try:
            while waiting or running:
                while waiting and len(running) < workers:
                    number, mutant = waiting.pop()
                    child = fork(module, tree, mutant.apply, score.finders, folder / str(number))
                    running.append((mutant, child))
                time.sleep(POLL)
                for mutant, child in list(running):
                    outcome = child.outcome(limit)
                    if outcome is not None:
                        running.remove((mutant, child))
                        _count(score, mutant, outcome, is_excused=mutant.name in excuses)
        finally:
            for _, child in running:
                child.end()
    score.survivors.sort(key=lambda mutant: mutant.line)
    score.seconds = time.monotonic() - begun
    return score


def _count(score: Score, mutant: Mutant, outcome: tuple[str, str], *, is_excused: bool) -> None:
    kind, finder = outcome
    if is_excused:
        score.outcomes["equivalent"] += 1
        if kind != "survived":
            score.wrongly_excused.append(mutant)
        return
    score.outcomes[kind] += 1
    score.finders[finder] += 1
    if kind == "survived":
        score.survivors.append(mutant)


def _healthy(module: str, tree: ast.Module, folder: Path) -> float:
    """Seconds that the tests take with the module as it is, after both ends were tried.

    Raises:
        SystemExit: they fail without a change, or pass without the module.
    """

    def gone() -> None:
        tree.body = [ast.parse("raise ImportError('gone')").body[0]]

    begun = time.monotonic()
    if _alone(fork(module, tree, lambda: None, Counter(), folder / "as-it-is")) != "survived":
        raise SystemExit(f"{module}: its tests fail without any change")
    seconds = time.monotonic() - begun
    if _alone(fork(module, tree, gone, Counter(), folder / "gone")) != "killed":
        raise SystemExit(f"{module}: its tests pass without the module")
    return seconds


def _alone(child: Child) -> str:
    while True:
        outcome = child.outcome(300.0)
        if outcome is not None:
            return outcome[0]
        time.sleep(POLL)


def _print(score: Score) -> None:
    counts = ", ".join(f"{score.outcomes[k]} {k}" for k in ("killed", "survived", "timeout"))
    excuses = score.outcomes["equivalent"]
    more = f", {excuses} equivalent" if excuses else ""
    print(f"{score.module:24} {score.percent:6.2f} %  {counts}{more}  ({score.seconds:.0f} s)")
    for mutant in score.survivors:
        print(f"    survived  line {mutant.line} {mutant.where}: {mutant.change}")
        print(f"              {mutant.code}")
    for mutant in score.wrongly_excused:
        print(f"    listed as equivalent, but found: {mutant.name}")
    sys.stdout.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 1 when a module stays below the threshold."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation.run", description=__doc__)
    parser.add_argument("--module", action="append", choices=list(SUBJECTS), help="only this one")
    parser.add_argument("--sample", type=int, metavar="N", help="only N mutants of each module")
    parser.add_argument("--seed", type=int, default=0, help="which ones")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--threshold", type=float, default=THRESHOLD, help="percent")
    parser.add_argument("--report", type=Path, help="write the numbers as JSON")
    given = parser.parse_args(arguments)
    modules = given.module or list(SUBJECTS)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # no child is left behind
    warm(modules)
    gc.collect()
    gc.freeze()
    scores = []
    for module in modules:
        chosen = None if given.sample is None else random.Random(f"{given.seed}/{module}")
        scores.append(judge(module, chosen, given.sample or 0, given.workers))
        _print(scores[-1])
    if given.report:
        report = {"threshold": given.threshold, "sample": given.sample, "seed": given.seed}
        numbers = {score.module: score.as_dict() for score in scores}
        given.report.write_text(json.dumps({**report, "modules": numbers}, indent=2) + "\n")
    failed = [s for s in scores if s.percent < given.threshold or s.wrongly_excused]
    for score in failed:
        print(f"{score.module}: below {given.threshold:g} %, or wrongly excused")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
