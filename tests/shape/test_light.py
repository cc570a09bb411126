"""`import heliograph` and `heliograph --help` are light: in modules and in lines that run.

Seconds would judge the machine; as measured, half a million lines are about 0.2 s of CPU.
"""

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

MAX_MODULES = 250
MAX_LINES = 1_000_000  # of Python, importing included; 630,000 when written
ROOT = Path(__file__).parents[2]

HEAVY = (
    *("aiohttp", "alembic", "asyncio", "keyring", "obstore", "pybase64", "pydantic"),
    *("pydantic_settings", "pyvips", "sqlalchemy", "manimgx_fonts_cjk", "heliograph.client"),
)
LOADED = "import json, sys; print(json.dumps(sorted(sys.modules)), file=sys.stderr)"
HELP = "from heliograph.cli import main; main(['--help'])"
COUNTED = f"""
from tests.effort import within

def answer():
    {HELP}

within({MAX_LINES}, answer)
"""


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


def test_help_is_little_work() -> None:
    assert "generate" in run(COUNTED, PYTHONPATH=str(ROOT)).stdout


def test_more_work_than_that_would_be_noticed() -> None:
    with pytest.raises(subprocess.CalledProcessError) as caught:
        run(COUNTED.replace(str(MAX_LINES), "100000"), PYTHONPATH=str(ROOT))
    assert "more than 100000 lines" in caught.value.stderr
