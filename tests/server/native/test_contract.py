"""The document says what the face does: schemathesis, with its default checks, finds no failure.

No check is configured. `generating.py` teaches it the formats, and what no schema can say. The
quick run is the fuzzing phase with few examples. `SCHEMATHESIS_EXAMPLES=1000` takes all phases;
`SCHEMATHESIS_SEED` is another beginning.
"""

import asyncio
import os
import sys
from pathlib import Path

import pytest
from tests.server.native.conftest import Native, Place

COMMAND = str(Path(sys.executable).with_name("schemathesis"))
WANTED = os.environ.get("SCHEMATHESIS_EXAMPLES")
PHASES = "examples,coverage,fuzzing,stateful" if WANTED else "fuzzing"
# these end the very key that is used
ENDS_KEYS = "^(revoke|rotate)_key"
HOOKS = str(Path(__file__).with_name("generating.py"))
SEED = os.environ.get("SCHEMATHESIS_SEED", "1")


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("chosen", ["--exclude-operation-id-regex", "--include-operation-id-regex"])
async def test_schemathesis_finds_nothing(
    place: Place, admin: Native, tmp_path: Path, chosen: str
) -> None:
    process = await asyncio.create_subprocess_exec(
        *(COMMAND, "run", f"{place.url}/openapi.json"),
        *("--header", f"Authorization: Bearer {admin.text}", "--max-examples", WANTED or "8"),
        *("--phases", PHASES, "--seed", SEED, "--no-color", "--continue-on-failure"),
        *("--url", place.url, "--request-retries", "3", chosen, ENDS_KEYS),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=tmp_path,
        env={**os.environ, "SCHEMATHESIS_HOOKS": HOOKS},
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()[-30_000:]
