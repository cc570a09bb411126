"""`import heliograph` is light, and `heliograph --help` answers within 0.3 s of CPU."""

import json
import os
import resource
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

MAX_MODULES = 250
MAX_CPU = 0.3  # seconds, user and system together
RUNS = 10  # at most; a neighbour on the same cores makes single runs dearer

HEAVY = (
    *("aiohttp", "alembic", "asyncio", "keyring", "obstore", "pybase64", "pydantic"),
    *("pydantic_settings", "pyvips", "sqlalchemy", "manimgx_fonts_cjk", "heliograph.client"),
)
LOADED = "import json, sys; print(json.dumps(sorted(sys.modules)), file=sys.stderr)"
HELP = "from heliograph.cli import main; main(['--help'])"


def run(code: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )


@cache
def modules_after(code: str) -> frozenset[str]:
    answer = run(f"try:\n    {code}\nexcept SystemExit: pass\n{LOADED}")
    return frozenset(json.loads(answer.stderr.splitlines()[-1]))


def test_import_loads_few_modules() -> None:
    count = len(modules_after("import heliograph"))
    print(f"import heliograph: {count} modules")
    assert count <= MAX_MODULES


@pytest.mark.parametrize("name", HEAVY)
def test_import_loads_nothing_heavy(name: str) -> None:
    assert name not in modules_after("import heliograph")


@pytest.mark.parametrize("name", HEAVY)
def test_help_loads_nothing_heavy(name: str) -> None:
    assert name not in modules_after(HELP)


def test_help_is_instant(tmp_path: Path) -> None:
    # compiled once, like any installed program, even where writing bytecode is switched off
    compiled = {"PYTHONPYCACHEPREFIX": str(tmp_path), "PYTHONDONTWRITEBYTECODE": ""}
    run(HELP, **compiled)
    spent: list[float] = []
    while len(spent) < RUNS and min(spent, default=MAX_CPU + 1) > MAX_CPU:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert "generate" in run(HELP, **compiled).stdout
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent.append(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
    print(f"heliograph --help: {min(spent):.3f} s CPU, the least of {len(spent)} runs")
    assert min(spent) <= MAX_CPU
