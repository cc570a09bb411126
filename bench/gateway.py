"""What the gateway costs beside the upstream itself, a proxy of an afternoon, and LiteLLM's proxy.

    python -m bench.gateway [--images 40] [--json]

All get the same recorded answers of a picture of about 10 MB from a replaying upstream, in one
run, one after another; clients are processes of their own that throw the answers away. CPU is that
of the server's process; the decoding of each picture at warning level goes on in worker processes
and is told apart. Peak memory is that of the server's process with 32 requests at once.

    direct        the upstream itself
    passed        our Gemini face: the answer as Google gave it, stored and verified besides
    stored        our OpenAI face, the picture answered by address
    inline        our OpenAI face, the picture in the answer
    naive         bench/naive.py
    litellm       its proxy with a chat request, when `make bench-peers` has installed it
"""

import argparse
import asyncio
import http.client
import json
import os
import secrets
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
from bench.replaying import record, start_replay

PEERS = Path(__file__).parents[1] / ".venv-peers"
BARS = {"passed": 25.0, "stored": 40.0}  # ms of CPU for a picture
MEMORY_BAR = 250.0  # MB at 32 at once
SMALL_BAR = 5.0  # ms that a small answer may take longer
LITELLM = {  # it fetches nothing and tells nobody, and keeps its own time as in production
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_TELEMETRY": "False",
    "LITELLM_MODE": "PRODUCTION",
    "LITELLM_LOG": "ERROR",
}


@dataclass(frozen=True, kw_only=True)
class Server:
    """A running server and how to ask it."""

    url: str
    key: str
    process: psutil.Process


class Peak(threading.Thread):
    """The largest memory of a process while something is done."""

    def __init__(self, process: psutil.Process) -> None:
        super().__init__(daemon=True)
        self._process, self._over, self.megabytes = process, threading.Event(), 0.0

    def run(self) -> None:
        """Look every 20 ms."""
        while not self._over.wait(0.02):
            self.megabytes = max(self.megabytes, self._process.memory_info().rss / 1e6)

    def stop(self) -> float:
        """The peak in megabytes."""
        self._over.set()
        self.join()
        return self.megabytes


def cpu(process: psutil.Process) -> tuple[float, float]:
    """Seconds of CPU of a process, and of its workers."""
    own = process.cpu_times()
    below = [child.cpu_times() for child in process.children(recursive=True)]
    return own.user + own.system, sum(each.user + each.system for each in below)


def load(server: Server, face: str, count: int, parallel: int) -> dict[str, Any]:
    """Let a client process ask."""
    words = [server.url, face, str(count), str(parallel), server.key]
    done = subprocess.run(
        [sys.executable, "-m", "bench.loading", *words], stdout=subprocess.PIPE, check=True
    )
    found: dict[str, Any] = json.loads(done.stdout)
    if found["failed"]:
        raise SystemExit(f"{face} at {server.url}: {found['failed']}")
    return found


def measure(server: Server, face: str, images: int) -> dict[str, Any]:
    """Speed, CPU and memory of one server with one kind of request."""
    load(server, face, 4, 2)  # everything loaded, connections made
    before = cpu(server.process)
    rounds = [load(server, face, images, parallel) for parallel in (1, 8)]
    after = cpu(server.process)
    peak = Peak(server.process)
    peak.start()
    load(server, face, 64, 32)
    return {
        "alone_ms": rounds[0]["median_ms"],
        "images_per_second_at_8": rounds[1]["per_second"],
        "cpu_ms": 1000 * (after[0] - before[0]) / (2 * images),
        "workers_cpu_ms": 1000 * (after[1] - before[1]) / (2 * images),
        "peak_mb_at_32": peak.stop(),
        "megabytes_an_answer": rounds[1]["megabytes"] / images,
    }


# ---------------------------------------------------------------- servers


@contextmanager
def replaying(folder: Path) -> Iterator[Server]:
    """The upstream that replays recorded answers."""
    process, port = start_replay(folder)
    try:
        yield Server(
            url=f"http://127.0.0.1:{port}", key="bench", process=psutil.Process(process.pid)
        )
    finally:
        process.kill()
        process.wait()


@contextmanager
def heliograph(upstream: str, home: Path) -> Iterator[Server]:
    """Our gateway as a user starts it."""
    environment = {
        **{name: value for name, value in os.environ.items() if "HELIOGRAPH" not in name},
        "GEMINI_API_KEY": "bench",
        "HELIOGRAPH_BASE_URL": upstream,
    }
    words = ["serve", "--port", "0", "--json", "--home", str(home)]
    process = subprocess.Popen(
        [sys.executable, "-m", "heliograph", *words], stdout=subprocess.PIPE, env=environment
    )
    assert process.stdout is not None
    said = json.loads(process.stdout.readline())
    try:
        yield Server(url=said["url"], key=said["admin_key"], process=psutil.Process(process.pid))
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


@contextmanager
def naive(upstream: str, folder: Path) -> Iterator[Server]:
    """The proxy of an afternoon."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.naive", upstream, str(folder)], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    url = f"http://127.0.0.1:{int(process.stdout.readline())}"
    _until_it_answers(url)
    try:
        yield Server(url=url, key="bench", process=psutil.Process(process.pid))
    finally:
        process.kill()
        process.wait()


@contextmanager
def litellm(upstream: str, folder: Path) -> Iterator[Server]:
    """LiteLLM's proxy, from an environment of its own."""
    config, key = folder / "litellm.yaml", f"sk-{secrets.token_hex(32)}"
    config.write_text(
        "model_list:\n"
        "  - model_name: gemini-3-pro-image\n"
        "    litellm_params:\n"
        "      model: gemini/gemini-3-pro-image\n"
        "      api_key: bench\n"
        f"      api_base: {upstream}/v1\n"
        "general_settings:\n"
        f"  master_key: {key}\n"
    )
    port = _free_port()
    words = ["--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
    with (folder / "litellm.log").open("wb") as log:
        process = subprocess.Popen(
            [str(PEERS / "bin" / "litellm"), *words],
            stdout=log,
            stderr=log,
            env={**os.environ, **LITELLM},
        )
    url = f"http://127.0.0.1:{port}"
    try:
        _until_it_answers(f"{url}/health/liveliness", 120)
        yield Server(url=url, key=key, process=psutil.Process(process.pid))
    finally:
        for child in psutil.Process(process.pid).children(recursive=True):
            child.kill()
        process.kill()
        process.wait()


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port


def _until_it_answers(url: str, seconds: float = 20) -> None:
    parts = urlsplit(url)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=1)
        try:
            connection.request("GET", parts.path or "/")
            connection.getresponse()
        except OSError:
            time.sleep(0.2)
        else:
            return
        finally:
            connection.close()
    raise SystemExit(f"{url} does not answer")


# ---------------------------------------------------------------- the run


def compare(images: int) -> dict[str, Any]:
    """All of them, in one run."""
    with tempfile.TemporaryDirectory(prefix="heliograph-gateway-bench-") as name:
        folder = Path(name)
        answers, small = folder / "answers", folder / "small"
        answers.mkdir()
        small.mkdir()
        # a folder on the disk that a library would be on, and pictures that differ, so that
        # nothing is stored only once
        asyncio.run(record(answers, 24, "--seed", "7", "--signatures", "short"))
        asyncio.run(record(small, 8, "--seed", "7", "--tiny"))
        found: dict[str, Any] = {}
        with replaying(answers) as upstream:
            found["direct"] = measure(upstream, "gemini", images)
            with heliograph(upstream.url, folder / "home") as ours:
                found["passed"] = measure(ours, "gemini", images)
                found["stored"] = measure(ours, "url", images)
                found["inline"] = measure(ours, "openai", images)
            shutil.rmtree(folder / "home")
            with naive(upstream.url, folder) as other:
                found["naive"] = measure(other, "gemini", images)
            if (PEERS / "bin" / "litellm").exists():
                with litellm(upstream.url, folder) as peer:
                    found["litellm"] = measure(peer, "chat", images)
        with replaying(small) as upstream, heliograph(upstream.url, folder / "home-small") as ours:
            pairs = [
                (load(upstream, "gemini", 40, 1)["median_ms"], load(ours, "gemini", 40, 1))
                for _ in range(3)
            ]
            found["small_overhead_ms"] = statistics.median(
                through["median_ms"] - direct for direct, through in pairs
            )
        return found


def show(found: dict[str, Any]) -> None:
    """A table, and whether the bars hold."""
    row = "{:<10}{:>12}{:>14}{:>12}{:>14}{:>14}{:>12}"
    titles = ("", "alone, ms", "images/s at 8", "CPU, ms", "workers, ms", "MB at 32", "MB each")
    print(row.format(*titles))
    for name, figures in found.items():
        if isinstance(figures, dict):
            print(row.format(name, *(f"{value:.1f}" for value in figures.values())))
    print(f"a small answer takes {found['small_overhead_ms']:.1f} ms longer (bar {SMALL_BAR})")
    for name, bar in BARS.items():
        print(f"{name}: {found[name]['cpu_ms']:.1f} ms of CPU (bar {bar})")
    most = max(found[name]["peak_mb_at_32"] for name in ("passed", "stored", "inline"))
    print(f"peak at 32 at once: {most:.0f} MB (bar {MEMORY_BAR:.0f})")
    if "litellm" in found:
        speeds = [found[name]["images_per_second_at_8"] for name in ("passed", "litellm")]
        print(f"images a second at 8: {speeds[0] / speeds[1]:.1f} times LiteLLM's (bar 5)")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.gateway", description=__doc__)
    parser.add_argument("--images", type=int, default=40)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    found = compare(given.images)
    print(json.dumps(found, indent=2)) if given.json else show(found)


if __name__ == "__main__":
    main()
