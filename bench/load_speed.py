"""Load rows of speed and of CPU: L1, L2, L6, L7.

Invariant: what is compared is measured in one run, turn by turn; a ratio is of medians.
"""

import http.client
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psutil
from bench.gateway import Server, load, naive, replaying
from bench.load_client import Asking, Lane
from bench.load_stage import (
    Bars,
    Gateway,
    Ground,
    Row,
    cpu,
    done,
    gateway,
    median,
    statuses,
    watching,
)
from bench.load_upstream import waiting_upstream

IMAGES = 24  # of one measurement
ROUNDS = 5
CHEAP = 4000  # requests of one measurement; the kernel tells CPU in steps of 10 ms
PICTURES = 64


def speed(ground: Ground) -> Row:
    """L1 and L2: pictures a second beside the upstream itself and a naive proxy; CPU of each."""
    home, rates, cost = ground.folder / "L1", dict[str, list[float]](), dict[str, list[float]]()
    workers: list[float] = []
    with ExitStack() as stack:
        upstream = stack.enter_context(replaying(ground.large))
        ours = stack.enter_context(gateway(upstream.url, home))
        other = stack.enter_context(naive(upstream.url, ground.folder))
        served = Server(url=ours.url, key=ours.key, process=ours.process)
        turns: dict[str, tuple[Server, str]] = {
            "raw": (upstream, "gemini"),
            "naive": (other, "gemini"),
            "stored": (served, "url"),
            "inline": (served, "openai"),
        }
        for server, face in turns.values():
            load(server, face, 4, 2)  # everything loaded, connections made
        for _ in range(ROUNDS):
            for name, (server, face) in turns.items():
                before, below = cpu(server.process), _below(server.process)
                found = load(server, face, IMAGES, 8)
                spent = 1000 * (cpu(server.process) - before) / IMAGES
                rates.setdefault(name, []).append(found["per_second"])
                cost.setdefault(name, []).append(spent)
                if name == "stored":
                    workers.append(1000 * (_below(server.process) - below) / IMAGES)
    shutil.rmtree(home)
    speeds = {name: statistics.median(values) for name, values in rates.items()}
    costs = {name: statistics.median(values) for name, values in cost.items()}
    ratios = {
        "stored/raw": speeds["stored"] / speeds["raw"],
        "stored/naive": speeds["stored"] / speeds["naive"],
        "cpu stored/naive": costs["stored"] / costs["naive"],
    }
    bars = Bars()
    bars.least("stored/raw images a second", ratios["stored/raw"], 0.55)
    bars.least("stored/naive images a second", ratios["stored/naive"], 2.2)
    bars.most("ms of CPU a picture, stored", costs["stored"], 70)
    bars.most("CPU stored/naive", ratios["cpu stored/naive"], 0.55)
    bars.most("ms of CPU a picture, inline", costs["inline"], 110)
    bars.most("ms of CPU a picture in workers", median(workers), 110)
    return Row(
        number="L1+L2",
        bar="stored at 8: ≥ 0.55 × raw, ≥ 2.2 × naive; CPU ≤ 70 ms and ≤ 0.55 × naive, "
        "inline ≤ 110 ms, checking in workers ≤ 110 ms",
        found={
            "images_per_second": speeds,
            "cpu_ms": costs,
            "workers_cpu_ms": median(workers),
            "all_rounds": rates,
        },
        ratios=ratios,
        broken=tuple(bars.broken),
        notes=("raw, naive and ours share the cores with the upstream and the clients",),
    )


def _below(process: psutil.Process) -> float:
    return sum(sum(child.cpu_times()[:2]) for child in process.children(recursive=True))


def ticker(ground: Ground) -> Row:
    """L6: the event loop, while 4K pictures come in, thumbnails are made and the log is written."""
    home = ground.folder / "L6"
    with waiting_upstream(ground.large) as upstream:
        with gateway(upstream, home) as served:
            Asking(served.url, [Lane(key=served.key, size="4K", count=4)]).answers()
            with watching(served) as watch:
                lanes = [
                    Lane(key=served.key, size="4K", count=PICTURES // 8, face=face)
                    for face in ("url", "url", "url", "url", "gemini", "gemini", "url", "url")
                ]
                asked = Asking(served.url, lanes)
                thumbnails = _thumbnails(served)
                answers = asked.answers()
        shutil.rmtree(home)
    late = watch.lagging(0.05)
    bars = Bars()
    bars.none("calls without a picture", len(answers) - len(done(answers)))
    bars.most("share of ticks later than 50 ms", late, 0.001)
    return Row(
        number="L6",
        bar="p99.9 of a 10 ms ticker ≤ 50 ms, with pictures, thumbnails and checkpoints",
        found={
            "statuses": statuses(answers),
            "ticks": watch.lag.get(float("inf"), 0),
            "later_than_50_ms": late,
            "later_than_20_ms": watch.lagging(0.02),
            "later_than_100_ms": watch.lagging(0.1),
            "thumbnails": thumbnails,
            "health_p99_ms": watch.health_p99,
        },
        broken=tuple(bars.broken),
        notes=("a tick is late, too, when another process has the core",),
    )


def _thumbnails(served: Gateway) -> int:
    """Ask for small variants of pictures that are there."""
    status, listed = served.call("GET", "/api/v1/images?limit=4")
    made = 0
    for item in listed["items"] if status == 200 else ():
        for variant in ("thumbnail.webp", "w640.webp", "w1024.jpg"):
            made += served.fetch(f"/pictures/{item['id']}/{variant}") == 200
    return made


def cheap(ground: Ground) -> Row:
    """L7: requests that cost nothing upstream, by the CPU that the server spends on each.

    Time on the clock would flatter us: a client costs as much as the server, and on two cores both
    would be measured. What a server spends on a request says how many it can answer.
    """
    home = ground.folder / "L7"
    with waiting_upstream(ground.small) as upstream, _empty() as (url, process):
        with gateway(upstream, home) as served:
            limited = _limited(served)
            kinds: dict[str, Callable[[], float]] = {
                "empty": lambda: _spent(process, url, "/", "x", 200),
                "404": lambda: _spent(
                    served.process, served.url, "/openai/v1/models/nothing", served.key, 404
                ),
                "429": lambda: _spent(served.process, served.url, "/api/v1/me", limited, 429),
                "401": lambda: _spent(served.process, served.url, "/api/v1/me", "", 401),
            }
            found: dict[str, list[float]] = {name: [] for name in kinds}
            for _ in range(ROUNDS + 1):
                for name, measure in kinds.items():
                    found[name].append(measure())
        shutil.rmtree(home)
    micro = {name: 1e6 * median(values[1:]) for name, values in found.items()}
    ratios = {f"empty/{name}": micro["empty"] / micro[name] for name in ("404", "429", "401")}
    bars = Bars()
    for name in ("404", "429"):
        bars.least(f"requests a second, {name}/empty", ratios[f"empty/{name}"], 0.5)
    return Row(
        number="L7",
        bar="cheap requests (key + limit + 404/429) ≥ 0.5 × an empty Starlette route",
        found={"cpu_micro_seconds": micro},
        ratios=ratios,
        broken=tuple(bars.broken),
    )


def _limited(served: Gateway) -> str:
    """A key that has sent all that it may."""
    _, user = served.call("POST", "/api/v1/users", {"name": "limited", "limits": {"per_minute": 1}})
    _, key = served.call("POST", "/api/v1/keys", {"name": "load", "user": user["id"]})
    return str(key["text"])


def _spent(process: psutil.Process, url: str, path: str, key: str, status: int) -> float:
    """Seconds of CPU of one request, of many on one connection."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=30)
    headers = {"authorization": f"Bearer {key}"} if key else {}
    before, wrong = cpu(process), 0
    for _ in range(CHEAP):
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        answer.read()
        wrong += answer.status != status
    spent = cpu(process) - before
    connection.close()
    if wrong > CHEAP // 50:
        raise RuntimeError(f"{path}: {wrong} answers were not {status}")
    return spent / CHEAP


@contextmanager
def _empty() -> Iterator[tuple[str, psutil.Process]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.load_empty"],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[1],
    )
    assert process.stdout is not None
    try:
        yield (
            f"http://127.0.0.1:{int(process.stdout.readline())}",
            psutil.Process(process.pid),
        )
    finally:
        process.kill()
        process.wait()
