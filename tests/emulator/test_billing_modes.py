"""Each bad connection in each billing mode: what the ledger says of it."""

import asyncio
import contextlib
from typing import Any

import pytest
from tests.emulator.test_doors import comes_back
from tests.emulator.test_transport import GUARD, Wire, last_line, line_when

from heliograph.emulator.faults import transport

NEVER_BEGINS = "delay-headers:600"  # within the time of a test
# Fault, and whether it is billed on completion, on acceptance, on the first byte.
EXPECTED = {
    "refuse:0.05": (False, False, False),
    "reset-before": (False, False, False),
    "reset-after-request": (False, True, False),
    "reset-after-bytes:3000": (True, True, True),
    "delay-headers:0.05": (True, True, True),
    NEVER_BEGINS: (True, True, False),
    "stall-after:3000": (True, True, True),
    "drip:4000": (True, True, True),
    "cut-json": (True, True, True),
    "cut-after-image": (True, True, True),
    "length-lie:10": (True, True, True),
    "endless:1": (True, True, True),
    "informational": (True, True, True),
    "slow:0.05": (True, True, True),
    "slow-tier:default:0.05": (True, True, True),
    # An error in place of the answer: nothing was finished, but the call was accepted.
    "stream-error": (False, True, False),
}
MODES = ("on_complete", "on_accept", "on_first_byte")


def test_every_bad_connection_is_here() -> None:
    # `tls` needs ports of its own: test_doors.
    assert {fault.partition(":")[0] for fault in EXPECTED} == set(transport.FAULTS) - {"tls"}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("fault", EXPECTED)
async def test_the_bill(start: Any, fault: str, mode: str) -> None:
    async with start(billing=mode, tiny=True) as emu:
        wire = Wire(emu.url)
        await wire.send(f"a lake [[fault:{fault}]]")
        if fault == NEVER_BEGINS:
            await line_when(emu, lambda line: line["request_read"] is not None)
        else:
            # how long a machine takes to begin decides nothing
            with contextlib.suppress(ConnectionResetError):
                async with asyncio.timeout(GUARD):
                    await wire.reader.read(1)
        await wire.receive(limit=0.15)
        assert await comes_back(emu.url)
        line = await last_line(emu)
        assert line["fault"] == fault
        assert line["billed"] is EXPECTED[fault][MODES.index(mode)]
        assert (line["billed_micro"] > 0) is line["billed"]


@pytest.mark.parametrize("mode", MODES)
async def test_an_error_is_never_billed(start: Any, mode: str) -> None:
    async with start(billing=mode) as emu:
        for name in ("high-demand", "internal", "rate-day", "status:418", "not-found"):
            await emu.generate(f"[[fault:{name}]]")
        assert not any(line["billed"] for line in await emu.ledger())
