"""A client that asks and throws the answers away, in a process of its own.

python -m bench.loading URL FACE COUNT PARALLEL [KEY]     prints a line of JSON
"""

import asyncio
import json
import statistics
import sys
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from bench.replaying import MODEL, PROMPT

PIECE = 1 << 18


@dataclass
class Load:
    """What was asked and what came."""

    seconds: list[float] = field(default_factory=list)
    received: int = 0
    failed: dict[str, int] = field(default_factory=dict)


def question(face: str, number: int) -> tuple[str, dict[str, object]]:
    """Path and body of one request."""
    words = f"{PROMPT} {number} {time.time_ns()}"
    if face == "gemini":
        body: dict[str, object] = {
            "contents": [{"role": "user", "parts": [{"text": words}]}],
            "generationConfig": {"imageConfig": {"imageSize": "4K", "aspectRatio": "1:1"}},
        }
        return f"/v1/models/{MODEL}:generateContent", body
    if face == "openai":
        return "/openai/v1/images/generations", {"model": MODEL, "prompt": words, "size": "4K"}
    if face == "url":
        by_address = {"model": MODEL, "prompt": words, "size": "4K", "response_format": "url"}
        return "/openai/v1/images/generations", {**by_address}
    asked: dict[str, object] = {
        "model": MODEL,
        "messages": [{"role": "user", "content": words}],
        "modalities": ["image", "text"],
    }
    return "/chat/completions", asked


async def ask(url: str, face: str, number: int, key: str, load: Load) -> None:
    """One request; its body is read and dropped."""
    parts = urlsplit(url)
    path, body = question(face, number)
    data = json.dumps(body).encode()
    began = time.perf_counter()
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=PIECE)
    head = (
        f"POST {path} HTTP/1.1\r\nhost: {parts.netloc}\r\ncontent-type: application/json\r\n"
        f"authorization: Bearer {key}\r\nconnection: close\r\ncontent-length: {len(data)}\r\n\r\n"
    )
    writer.write(head.encode() + data)
    status = (await reader.readline()).split()[1].decode()
    size = 0
    while piece := await reader.read(PIECE):
        size += len(piece)
    writer.close()
    if status not in ("200", "201", "202"):
        load.failed[status] = load.failed.get(status, 0) + 1
        return
    load.seconds.append(time.perf_counter() - began)
    load.received += size


async def run(url: str, face: str, count: int, parallel: int, key: str) -> dict[str, object]:
    """So many requests, so many at once."""
    load, numbers = Load(), iter(range(count))

    async def worker() -> None:
        for number in numbers:
            await ask(url, face, number, key, load)

    began = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(parallel)))
    took = time.perf_counter() - began
    return {
        "took": took,
        "per_second": len(load.seconds) / took,
        "median_ms": statistics.median(load.seconds) * 1000 if load.seconds else None,
        "megabytes": load.received / 1e6,
        "failed": load.failed,
    }


def main() -> None:
    """Command line."""
    url, face, count, parallel, *key = sys.argv[1:]
    found = asyncio.run(run(url, face, int(count), int(parallel), key[0] if key else "bench"))
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
