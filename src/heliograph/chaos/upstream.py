"""The emulator that everything is tried against: started here, told how to misbehave, asked for
its bill.

It is asked over a bare socket and not with the client's code, which is what is being tried.
Invariant: it ends with us, however we end, because it reads our end of its standard input.
"""

import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from heliograph.chaos.bill import BillLine, read_bill
from heliograph.errors import ConfigurationError
from heliograph.types import NOTHING

START_SECONDS = 30.0
STOP_SECONDS = 5.0
ASK_SECONDS = 60.0
CLOSING_SECONDS = 40.0  # the longest any row lets an abandoned call go on upstream
POLL_SECONDS = 0.05


@dataclass(frozen=True, kw_only=True)
class Desk:
    """Where the emulator listens, and its own routes; may be handed to another process."""

    url: str
    tls: Mapping[str, str] = field(default_factory=dict)  # addresses by kind of certificate
    authority: str | None = None  # file with the certificate behind the good one

    async def ask(self, method: str, path: str, document: Any = None) -> Any:
        """The JSON answer of one of the routes under /_emulator.

        Raises:
            ConfigurationError: it does not answer, or calls the question wrong.
        """
        try:
            async with asyncio.timeout(ASK_SECONDS):
                status, body = await self._exchange(method, f"/_emulator/{path}", document)
        except (OSError, TimeoutError, ValueError, asyncio.IncompleteReadError) as error:
            raise _silent(f"{type(error).__name__}: {error}") from error
        if status != 200:
            raise _silent(f"{method} {path} got {status}: {body[:300].decode(errors='replace')}")
        return json.loads(body)

    async def generate(self, model: str, document: Any, key: str) -> int:
        """The status of one generateContent request, sent as it is.

        Raises:
            ConfigurationError: no answer came.
        """
        path = f"/v1/models/{model}:generateContent"
        try:
            async with asyncio.timeout(ASK_SECONDS):
                status, _ = await self._exchange("POST", path, document, key)
        except (OSError, TimeoutError, ValueError, asyncio.IncompleteReadError) as error:
            raise _silent(f"{type(error).__name__}: {error}") from error
        return status

    async def _exchange(
        self, method: str, path: str, document: Any, key: str = ""
    ) -> tuple[int, bytes]:
        parts = urlsplit(self.url)
        content = b"" if document is None else json.dumps(document).encode()
        head = (
            f"{method} {path} HTTP/1.0\r\nhost: {parts.netloc}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(content)}\r\n"
            f"x-goog-api-key: {key}\r\n\r\n"
        )
        # HTTP/1.0: the answer ends with the connection, so there is no framing to get wrong
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        try:
            writer.write(head.encode() + content)
            await writer.drain()
            answer = await reader.read()
        finally:
            writer.close()
        header, _, body = answer.partition(b"\r\n\r\n")
        return int(header.split(b" ", 2)[1]), body

    async def bill(self, projects: Sequence[str]) -> tuple[BillLine, ...]:
        """All calls of some projects so far."""
        lines: list[Mapping[str, Any]] = []
        for project in projects:
            lines += await self.ask("GET", f"ledger?project={quote(project)}")
        return read_bill(lines, projects)

    async def closed_bill(
        self, projects: Sequence[str], seconds: float = CLOSING_SECONDS
    ) -> tuple[BillLine, ...]:
        """The same, once no call goes on any more, or after `seconds`."""
        end = asyncio.get_running_loop().time() + seconds
        while True:
            lines = await self.bill(projects)
            late = asyncio.get_running_loop().time() > end
            if late or all(line.closed for line in lines):
                return lines
            await asyncio.sleep(POLL_SECONDS)

    async def arrange(
        self,
        project: str,
        *,
        rules: Sequence[Mapping[str, Any]] = (),
        habits: Mapping[str, Any] = NOTHING,
        quota: Mapping[str, Any] = NOTHING,
    ) -> None:
        """How the calls of one project are treated from now on."""
        if rules:
            mine = [
                {**rule, "match": {**rule.get("match", {}), "project": project}} for rule in rules
            ]
            await self.ask("POST", "rules", mine)
        if habits:
            await self.ask("POST", "projects", {"project": project, **habits})
        if quota:
            await self.ask("POST", "quotas", {"project": project, **quota})


class Upstream:
    """A running emulator process."""

    def __init__(self, process: asyncio.subprocess.Process, desk: Desk, ledger: Path) -> None:
        self._process = process
        self.desk = desk
        self.ledger = ledger

    async def close(self) -> None:
        """Ask it to leave, and make it leave when it does not."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()


async def start_upstream(ledger: Path, *options: str) -> Upstream:
    """Start an emulator on a free port of this machine.

    Args:
        ledger: file for its bill.
        options: further options of `python -m heliograph.emulator`.

    Raises:
        ConfigurationError: it does not come up.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "heliograph.emulator", "--port", "0"),
        *("--exit-with-stdin", "--ledger", str(ledger), *options),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is ours to handle
    )
    if process.stdout is None:
        raise AssertionError("stdout was asked for")
    try:
        async with asyncio.timeout(START_SECONDS):
            said = json.loads(await process.stdout.readline())
        desk = Desk(url=said["url"], tls=said.get("tls", {}), authority=said.get("tls_ca"))
    except (TimeoutError, ValueError, KeyError) as error:
        if process.returncode is None:
            process.kill()
        await process.wait()
        raise _silent(f"It did not start ({type(error).__name__}).") from error
    return Upstream(process, desk, ledger)


def _silent(why: str) -> ConfigurationError:
    return ConfigurationError(
        "The emulator does not answer as it should.",
        why=why,
        remedy="Run `heliograph emulate` by hand to see why.",
    )
