"""The local emulator as a child process: started on a free port, gone when we are gone.

It is reached through real sockets by the same provider code as Google; nothing of it is imported
here. Invariant: the child reads our end of its standard input and leaves when that closes, so a
killed parent never leaves one behind.
"""

import asyncio
import json
import sys
from dataclasses import dataclass
from pathlib import Path

from heliograph.errors import ConfigurationError

START_TIMEOUT = 20.0  # seconds; a cold disk can make the first import slow
STOP_TIMEOUT = 5.0


@dataclass(frozen=True, kw_only=True)
class Emulator:
    """A running emulator process."""

    url: str
    ledger: Path
    process: asyncio.subprocess.Process

    @property
    def has_left(self) -> bool:
        """Whether the process is gone, for whatever reason."""
        return self.process.returncode is not None

    async def close(self) -> None:
        """Ask it to leave, and make it leave when it does not."""
        if self.process.returncode is not None:
            return
        if self.process.stdin is not None:
            self.process.stdin.close()
        try:
            async with asyncio.timeout(STOP_TIMEOUT):
                await self.process.wait()
        except TimeoutError:
            self.process.kill()
            await self.process.wait()


async def start_emulator(ledger: Path, *options: str) -> Emulator:
    """Start one on a free loopback port.

    Args:
        ledger: file for the emulator's own bill.
        options: further command line options of `python -m heliograph.emulator`.

    Raises:
        ConfigurationError: it did not come up.
    """
    ledger.parent.mkdir(parents=True, exist_ok=True)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        # -P: the current folder must not be able to put its own modules into it
        *("-P", "-m", "heliograph.emulator", "--port", "0", "--exit-with-stdin"),
        *("--ledger", str(ledger), *options),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        # Ctrl-C in the terminal must not take it down while an answer is on its way
        start_new_session=True,
    )
    if process.stdout is None:
        raise AssertionError("stdout was asked for")
    try:
        async with asyncio.timeout(START_TIMEOUT):
            line = await process.stdout.readline()
        url = json.loads(line)["url"]
    except (TimeoutError, ValueError, KeyError) as error:
        if process.returncode is None:
            process.kill()
        await process.wait()
        raise ConfigurationError(
            "The local emulator did not start.",
            why=f"It exited with {process.returncode} and said {line[:200]!r}."
            if not isinstance(error, TimeoutError)
            else f"It said nothing for {START_TIMEOUT:.0f} s.",
            remedy="Run `heliograph emulate` by hand to see why.",
        ) from error
    return Emulator(url=url, ledger=ledger, process=process)
