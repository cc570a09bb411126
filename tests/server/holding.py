"""A way to an upstream on which answers wait for a word: tests decide when a call ends.

Invariant: requests go through at once; of an answer not one byte does between `hold` and
`release`.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True, kw_only=True)
class Held:
    """An upstream whose answers can be made to wait."""

    url: str
    may: asyncio.Event

    def hold(self) -> None:
        """Let no answer through."""
        self.may.clear()

    def release(self) -> None:
        """Let answers through."""
        self.may.set()


@asynccontextmanager
async def holding(upstream: str) -> AsyncIterator[Held]:
    """Stand before an upstream; answers go through until `hold`.

    Args:
        upstream: its address, such as "http://127.0.0.1:1234".
    """
    parts = urlsplit(upstream)
    may = asyncio.Event()
    may.set()
    serving: set[asyncio.Task[None]] = set()

    async def carry(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, waits: bool
    ) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(1 << 16):
                if waits:
                    await may.wait()
                writer.write(data)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        there, back = await asyncio.open_connection(parts.hostname, parts.port)
        try:
            await asyncio.gather(carry(reader, back, waits=False), carry(there, writer, waits=True))
        finally:
            for each in (writer, back):
                each.close()
                with contextlib.suppress(OSError):
                    await each.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield Held(url=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", may=may)
    finally:
        server.close()
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)
