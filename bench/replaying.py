"""Real answers of the emulator, recorded once and replayed as fast as a socket takes them, so that
a measurement is not about drawing pictures.

    python -m bench.replaying FOLDER     replays FOLDER/answer-*; prints its port
"""

import asyncio
import subprocess
import sys
from pathlib import Path

import aiohttp

MODEL = "gemini-3-pro-image"
PROMPT = "A lighthouse on a cliff at golden hour, number"


async def record(folder: Path, count: int, *options: str) -> None:
    """Save whole answers of the emulator, as they came over the wire.

    Args:
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
                    "generationConfig": {"imageConfig": {"imageSize": "4K"}},
                }
                async with session.post(url, json=body) as response:
                    (folder / f"answer-{number}").write_bytes(await response.read())
    finally:
        await emulator.close()


def replay(folder: Path) -> None:
    """Answer every POST with the next recorded answer; a process of its own."""
    answers = sorted(folder.glob("answer-*"))
    turn = iter(range(10**9))

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"POST"):
            writer.write(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")
            await writer.drain()
            writer.close()
            return
        length = next(
            int(line.split(b":")[1])
            for line in head.lower().split(b"\r\n")
            if line.startswith(b"content-length")
        )
        await reader.readexactly(length)
        body = answers[next(turn) % len(answers)].read_bytes()
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json; charset=UTF-8\r\n"
            b"connection: close\r\ncontent-length: %d\r\n\r\n" % len(body)
        )
        view = memoryview(body)
        for start in range(0, len(body), 1 << 18):
            writer.write(view[start : start + (1 << 18)])
            await writer.drain()
        writer.close()

    async def serve() -> None:
        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        print(server.sockets[0].getsockname()[1], flush=True)
        async with server:
            await asyncio.to_thread(sys.stdin.read)

    asyncio.run(serve())


def start_replay(folder: Path) -> tuple["subprocess.Popen[str]", int]:
    """A replaying server as a process, and its port; it leaves when its input is closed."""
    server = subprocess.Popen(
        [sys.executable, "-m", "bench.replaying", str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    return server, int(server.stdout.readline())


if __name__ == "__main__":
    replay(Path(sys.argv[1]))
