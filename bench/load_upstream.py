"""An upstream that waits as long as a prompt says, and then answers a recorded picture.

    python -m bench.load_upstream FOLDER     replays FOLDER/answer-*; prints its port

What a prompt may say: `[[wait:60]]` seconds until the first byte of the answer, or `[[wait:1-3]]`
for any between them; `[[slow:5]]` seconds from its first byte to its last. `GET /` tells how many
calls there were and are.
Invariant: nothing of an answer is computed, so that a measurement is not about this process.
"""

import asyncio
import json
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from bench.replaying import MODEL, PROMPT

WAIT = re.compile(rb"\[\[wait:([0-9.]+)(?:-([0-9.]+))?\]\]")
SLOW = re.compile(rb"\[\[slow:([0-9.]+)()\]\]")
PIECE = 1 << 18
STEPS = 50  # pieces of a slow answer
BACKLOG = 4096


async def record_pictures(folder: Path, count: int, size: str, *options: str) -> None:
    """Save whole answers of the emulator, as they came over the wire.

    Args:
        folder: an empty one.
        size: "1K", "2K" or "4K".
        options: further command line options of the emulator.
    """
    from heliograph.providers.emulated import start_emulator

    emulator = await start_emulator(folder / "ledger.jsonl", *options)
    url = f"{emulator.url}/v1/models/{MODEL}:generateContent"
    try:
        async with aiohttp.ClientSession(headers={"x-goog-api-key": "bench"}) as session:
            for number in range(count):
                body = {
                    "contents": [{"parts": [{"text": f"{PROMPT} {number}"}]}],
                    "generationConfig": {"imageConfig": {"imageSize": size}},
                }
                async with session.post(url, json=body) as response:
                    (folder / f"answer-{number}").write_bytes(await response.read())
    finally:
        await emulator.close()


@dataclass
class Seen:
    """What came to this upstream."""

    calls: int = 0
    open: int = 0
    most_open: int = 0
    answered: int = 0


class Upstream:
    """Answers every POST with the next recorded answer."""

    def __init__(self, folder: Path) -> None:
        self._answers = [path.read_bytes() for path in sorted(folder.glob("answer-*"))]
        self.seen = Seen()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, one request."""
        try:
            await self._answer(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            return  # whoever asked has left
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        lines = head.split(b"\r\n")
        told = (int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length"))
        asked = await reader.readexactly(next(told, 0))
        if not head.startswith(b"post"):
            await _write(writer, json.dumps(vars(self.seen)).encode(), 0.0)
            return
        number, seen = self.seen.calls, self.seen
        seen.calls += 1
        seen.open += 1
        seen.most_open = max(seen.open, seen.most_open)
        try:
            await asyncio.sleep(_seconds(WAIT, asked))
            await _write(writer, self._answers[number % len(self._answers)], _seconds(SLOW, asked))
            seen.answered += 1
        finally:
            seen.open -= 1


async def _write(writer: asyncio.StreamWriter, body: bytes, seconds: float) -> None:
    writer.write(
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json; charset=UTF-8\r\n"
        b"connection: close\r\ncontent-length: %d\r\n\r\n" % len(body)
    )
    view, step = memoryview(body), len(body) // STEPS + 1 if seconds else PIECE
    for start in range(0, len(body), step):
        writer.write(view[start : start + step])
        await writer.drain()
        if seconds:
            await asyncio.sleep(seconds / STEPS)


def _seconds(pattern: re.Pattern[bytes], asked: bytes) -> float:
    found = pattern.search(asked)
    if found is None:
        return 0.0
    least = float(found[1])
    return random.uniform(least, float(found[2] or least))


async def serve(folder: Path) -> None:
    """Until the input ends."""
    upstream = Upstream(folder)
    server = await asyncio.start_server(upstream.handle, "127.0.0.1", 0, backlog=BACKLOG)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    async with server:
        await asyncio.to_thread(sys.stdin.read)


@contextmanager
def waiting_upstream(folder: Path) -> Iterator[str]:
    """The upstream as a process; its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.load_upstream", str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.kill()
        process.wait()


if __name__ == "__main__":
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(Path(sys.argv[1])))
