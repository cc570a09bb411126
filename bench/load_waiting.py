"""Load rows of calls that wait: L3, L4, L5, and S5, where all answers come at once.

Invariant: a call that is not answered with a picture breaks its row, whatever else holds.
"""

import shutil
import time
from itertools import pairwise

from bench.load_client import Asking, Lane
from bench.load_stage import (
    Bars,
    Ground,
    Row,
    Watch,
    done,
    gateway,
    memory,
    must_lift,
    share,
    statuses,
    until,
    upstream_seen,
    watching,
)
from bench.load_upstream import waiting_upstream

AT_ONCE = 500
LATENCY = 60.0  # seconds of the upstream
MANY = 2000
STEPS = (100, 300, 500)  # calls that wait, for the slope


def open_model(ground: Ground) -> Row:
    """L3: calls come evenly until 500 wait, and go on for ten minutes in a long run."""
    minutes = 10 if ground.long else 1
    calls = AT_ONCE * minutes
    gap = LATENCY / AT_ONCE
    with waiting_upstream(ground.large) as upstream:
        home = ground.folder / "L3"
        with gateway(upstream, home) as served, watching(served) as watch:
            words = f"[[wait:{LATENCY:g}]]"
            lanes = [
                Lane(key=served.key, words=words, size="4K", start=n * gap) for n in range(calls)
            ]
            answers = Asking(served.url, lanes).answers()
        shutil.rmtree(home)
    added = [answer.seconds - LATENCY for answer in done(answers)]
    bars = _bars_of(watch, len(lanes) - len(done(answers)), 512)
    bars.most("added latency p50 in ms", 1000 * share(added, 0.5), 250)
    bars.most("added latency p99 in ms", 1000 * share(added, 0.99), 1500)
    return Row(
        number="L3",
        bar="500 waiting 60 s, 8.3 images/s: all complete, added p50 ≤ 250 ms, p99 ≤ 1.5 s, "
        "≤ 512 MB, no swap",
        found={
            "calls": calls,
            "statuses": statuses(answers),
            "added_p50_ms": 1000 * share(added, 0.5),
            "added_p99_ms": 1000 * share(added, 0.99),
            **_told(watch),
        },
        broken=tuple(bars.broken),
        notes=("0.8 Gbit/s come in on a real network",),
    )


def burst(ground: Ground) -> Row:
    """S5: 500 calls begin together, wait 60 s, and are answered together."""
    with waiting_upstream(ground.large) as upstream:
        home = ground.folder / "S5"
        with gateway(upstream, home) as served, watching(served) as watch:
            words = f"[[wait:{LATENCY:g}]]"
            lanes = [Lane(key=served.key, words=words, size="4K") for _ in range(AT_ONCE)]
            answers = Asking(served.url, lanes).answers()
        shutil.rmtree(home)
        seen = upstream_seen(upstream)
    bars = _bars_of(watch, len(lanes) - len(done(answers)), 512)
    bars.most("health p99 in ms", watch.health_p99, 250)
    taken = [answer.seconds for answer in done(answers)]
    return Row(
        number="S5",
        bar="500 calls waiting 60 s each at once: all complete, ≤ 512 MB, health p99 ≤ 250 ms",
        found={
            "statuses": statuses(answers),
            "most_open_upstream": seen["most_open"],
            "first_s": min(taken, default=0.0),
            "last_s": max(taken, default=0.0),
            **_told(watch),
        },
        broken=tuple(bars.broken),
    )


def many(ground: Ground) -> Row:
    """L4: 2,000 calls of 1K wait."""
    lenient, notes = must_lift(ground.folder, MANY)
    wait, spread = 60.0, 20.0
    with waiting_upstream(ground.small) as upstream:
        limits = {"server_user_at_once": MANY, "server_calls_at_once": MANY}
        home = ground.folder / "L4"
        with (
            gateway(upstream, home, lenient=lenient, **limits) as served,
            watching(served) as watch,
        ):
            lanes = [
                Lane(key=served.key, words=f"[[wait:{wait:g}]]", start=n * spread / MANY)
                for n in range(MANY)
            ]
            answers = Asking(served.url, lanes).answers()
        shutil.rmtree(home)
        seen = upstream_seen(upstream)
    bars = _bars_of(watch, len(lanes) - len(done(answers)), 768)
    bars.most("health p99 in ms", watch.health_p99, 250)
    bars.least("calls that waited upstream at once", seen["most_open"], MANY)
    return Row(
        number="L4",
        bar="2,000 waiting calls: ≤ 768 MB, health p99 ≤ 250 ms",
        found={
            "statuses": statuses(answers),
            "most_open_upstream": seen["most_open"],
            **_told(watch),
        },
        broken=tuple(bars.broken),
        notes=notes,
    )


def slope(ground: Ground) -> Row:
    """L5: memory of a call that waits, and of a body that comes in."""
    per_call, all_done = _waiting_slope(ground)
    per_body, most_bodies, bodies_done = _body_slope(ground)
    bars = Bars()
    bars.none("calls without a picture", all_done + bodies_done)
    bars.most("KB a waiting call", per_call, 150)
    bars.most("MB a body in transit", per_body, 2)
    bars.most("bodies at once", most_bodies, 16)
    return Row(
        number="L5",
        bar="≤ 150 KB a waiting call, ≤ 2 MB a body in transit, 16 bodies at once",
        found={"kb_a_call": per_call, "mb_a_body": per_body, "most_bodies": most_bodies},
        broken=tuple(bars.broken),
    )


def _waiting_slope(ground: Ground) -> tuple[float, int]:
    """KB a call, and how many failed."""
    levels = [0, *STEPS]
    points: list[tuple[int, float]] = []
    with waiting_upstream(ground.small) as upstream:
        with gateway(upstream, ground.folder / "L5a") as served:
            Asking(served.url, [Lane(key=served.key) for _ in range(20)]).answers()  # all loaded
            asked = []
            for before, level in pairwise(levels):
                fresh = [
                    Lane(key=served.key, words="[[wait:45]]", start=0.01 * n)
                    for n in range(level - before)
                ]
                asked.append((len(fresh), Asking(served.url, fresh)))
                until(30, lambda level=level: upstream_seen(upstream)["open"] >= level)
                time.sleep(1)
                points.append((level, memory(served.process)[0]))
            failed = sum(count - len(done(each.answers())) for count, each in asked)
        shutil.rmtree(ground.folder / "L5a")
    (fewest, least), (most, largest) = points[0], points[-1]
    return 1000 * (largest - least) / (most - fewest), failed


def _body_slope(ground: Ground) -> tuple[float, float, int]:
    """MB a body, bodies at once, and how many failed."""
    count, bodies = 48, 0.0
    with waiting_upstream(ground.large) as upstream:
        with gateway(upstream, ground.folder / "L5b") as served:
            words = "[[wait:4]] [[slow:4]]"
            lanes = [Lane(key=served.key, words=words, size="4K") for _ in range(count)]
            Asking(served.url, lanes[:2]).answers()
            asked = Asking(served.url, lanes)
            until(30, lambda: upstream_seen(upstream)["open"] >= count)
            time.sleep(1)
            resting, peak, end = memory(served.process)[0], 0.0, time.monotonic() + 6
            while time.monotonic() < end:
                bodies = max(bodies, served.metrics()["heliograph_bodies_in_receipt"])
                peak = max(peak, memory(served.process)[0])
                time.sleep(0.1)
            failed = count - len(done(asked.answers()))
        shutil.rmtree(ground.folder / "L5b")
    return (peak - resting) / max(bodies, 1), bodies, failed


def _bars_of(watch: Watch, missing: int, megabytes: float) -> Bars:
    bars = Bars()
    bars.none("calls without a picture", missing)
    bars.most("MB of the process", watch.peak, megabytes)
    bars.most("MB swapped", watch.swapped, 0)
    return bars


def _told(watch: Watch) -> dict[str, float]:
    return {
        "peak_mb": watch.peak,
        "peak_mb_with_workers": watch.peak_all,
        "swapped_mb": watch.swapped,
        "health_p50_ms": 1000 * share(watch.health, 0.5),
        "health_p99_ms": watch.health_p99,
    }
