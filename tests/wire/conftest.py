"""One small emulator for each test, signatures enforced."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.wire.bench import Bench

from heliograph.emulator import EmulatorSettings, serve


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with serve(EmulatorSettings(small=True, seed=1)) as emulator:
        yield Bench(url=emulator.url, folder=tmp_path)
