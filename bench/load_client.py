"""Clients of a load run, in a process of their own, and a probe of `/healthz` in another one.

    python -m bench.load_client ask      reads a plan from its input, asks, prints what came
    python -m bench.load_client probe URL   asks /healthz until its input ends, prints seconds

A plan is a list of lanes; what is in one lane is asked one after another, lanes beside each other.
Invariant: nothing is asked twice, and every answer is told, whatever its status.
"""

import asyncio
import itertools
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import urlsplit

from bench.replaying import MODEL

PIECE = 1 << 18
LONGEST = 600.0  # seconds of one answer
BETWEEN = 0.05  # seconds between two probes
LOST = 0  # status of an answer that never came
_numbers = itertools.count()


@dataclass(frozen=True, kw_only=True)
class Lane:
    """Requests one after another."""

    key: str
    words: str = ""  # in the prompt; `[[wait:60]]` and the like
    size: str = "1K"
    face: str = "url"  # url, gemini or job
    start: float = 0.0  # seconds after the beginning
    count: int = 1
    pause: float = 0.0  # seconds between an answer and the next request
    until: float = LONGEST  # seconds after the beginning, when no more is asked


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came of one request."""

    lane: int
    began: float  # seconds after the beginning
    seconds: float
    status: int
    retry_after: float | None
    size: int  # bytes


def question(lane: Lane) -> tuple[str, dict[str, Any]]:
    """Path and body of one request; no two have the same prompt."""
    prompt = f"A lighthouse {time.time_ns()}-{next(_numbers)} {lane.words}"
    if lane.face == "gemini":
        body: dict[str, Any] = {
            "contents": [{"role": "user", "parts": [{"text": prompt}]}],
            "generationConfig": {"imageConfig": {"imageSize": lane.size, "aspectRatio": "1:1"}},
        }
        return f"/v1/models/{MODEL}:generateContent", body
    if lane.face == "job":
        return "/api/v1/jobs", {"prompt": prompt, "model": MODEL, "size": lane.size}
    by_address = {"model": MODEL, "prompt": prompt, "size": lane.size, "response_format": "url"}
    return "/openai/v1/images/generations", {**by_address}


async def ask(url: str, lane: Lane) -> tuple[int, float | None, int]:
    """One request: status, Retry-After and bytes of the answer; they are read and dropped."""
    parts = urlsplit(url)
    path, body = question(lane)
    data = json.dumps(body).encode()
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=PIECE)
    try:
        head = (
            f"POST {path} HTTP/1.1\r\nhost: {parts.netloc}\r\ncontent-type: application/json\r\n"
            f"authorization: Bearer {lane.key}\r\nconnection: close\r\n"
            f"content-length: {len(data)}\r\n\r\n"
        )
        writer.write(head.encode() + data)
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower().split("\r\n")
        headers = dict(line.partition(": ")[::2] for line in lines[1:])
        size = 0
        while piece := await reader.read(PIECE):
            size += len(piece)
    finally:
        writer.close()
    wait = headers.get("retry-after")
    return int(lines[0].split()[1]), None if wait is None else float(wait), size


async def run(url: str, lanes: Sequence[Lane]) -> list[Answer]:
    """All lanes beside each other."""
    found: list[Answer] = []
    begin = time.perf_counter()

    async def drive(number: int, lane: Lane) -> None:
        await asyncio.sleep(lane.start)
        for _ in range(lane.count):
            began = time.perf_counter() - begin
            if began > lane.until:
                return
            try:
                async with asyncio.timeout(LONGEST):
                    status, wait, size = await ask(url, lane)
            except (OSError, TimeoutError, asyncio.IncompleteReadError):
                status, wait, size = LOST, None, 0
            seconds = time.perf_counter() - begin - began
            found.append(
                Answer(
                    lane=number,
                    began=began,
                    seconds=seconds,
                    status=status,
                    retry_after=wait,
                    size=size,
                )
            )
            await asyncio.sleep(lane.pause)

    await asyncio.gather(*(drive(number, lane) for number, lane in enumerate(lanes)))
    return found


async def probe(url: str) -> list[float]:
    """Seconds of each `/healthz`, on a new connection each, until the input ends."""
    parts, found = urlsplit(url), list[float]()
    over = asyncio.ensure_future(asyncio.to_thread(sys.stdin.read))
    while not over.done():
        began = time.perf_counter()
        try:
            async with asyncio.timeout(10):
                reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
                writer.write(
                    f"GET /healthz HTTP/1.1\r\nhost: {parts.netloc}\r\n"
                    "connection: close\r\n\r\n".encode()
                )
                await reader.read()
                writer.close()
        except (OSError, TimeoutError):
            pass  # it counts with the time that it took
        found.append(time.perf_counter() - began)
        await asyncio.sleep(BETWEEN)
    return found


# ---------------------------------------------------------------- from outside


class Asking:
    """Clients under way, in a process of their own."""

    def __init__(self, url: str, lanes: Sequence[Lane]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.load_client", "ask"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdin is not None
        json.dump({"url": url, "lanes": [asdict(lane) for lane in lanes]}, self._process.stdin)
        self._process.stdin.close()
        self._process.stdin = None

    def answers(self) -> list[Answer]:
        """What came; waits until all is asked.

        Raises:
            RuntimeError: the process of the clients broke.
        """
        told = self._process.communicate()[0]
        if self._process.returncode:
            raise RuntimeError("the clients broke")
        return [Answer(**each) for each in json.loads(told)]


@contextmanager
def probing(url: str) -> Iterator[list[float]]:
    """Ask `/healthz` all the time; the list is filled when the block is left."""
    found: list[float] = []
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.load_client", "probe", url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield found
        found.extend(json.loads(process.communicate(timeout=30)[0]))
    finally:
        process.kill()
        process.wait()


def main() -> None:
    """Command line."""
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        if sys.argv[1] == "probe":
            told: Any = runner.run(probe(sys.argv[2]))
        else:
            plan = json.load(sys.stdin)
            lanes = [Lane(**lane) for lane in plan["lanes"]]
            told = [asdict(answer) for answer in runner.run(run(plan["url"], lanes))]
    json.dump(told, sys.stdout)


if __name__ == "__main__":
    main()
