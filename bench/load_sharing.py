"""Load rows of many users and too many requests: L8 and L9.

Invariant: what was accepted is counted to its end, in the answers and in the library.
"""

import shutil
from typing import Any

from bench.load_client import Answer, Asking, Lane
from bench.load_stage import (
    Bars,
    Gateway,
    Ground,
    Row,
    done,
    gateway,
    median,
    share,
    statuses,
    until,
)
from bench.load_upstream import waiting_upstream

PLACES = 16
# seconds of the upstream, 2 on average: 8 pictures a second at most; calls that all took equally
# long would begin and end in step, and whoever comes between two steps would wait for the next
WORDS = "[[wait:1-3]]"
SECONDS = 20.0  # of one step
LIGHT = 9  # users
REFUSED = ("too_many_requests", "busy")


def overload(ground: Ground) -> Row:
    """L8: twice as much as it can do."""
    home = ground.folder / "L8"
    # few may wait, so that most of what is too much is refused
    limits: dict[str, Any] = {
        "server_calls_at_once": PLACES,
        "server_waiting": PLACES,
        "server_user_waiting": PLACES,
    }
    with waiting_upstream(ground.small) as upstream:
        with gateway(upstream, home, **limits) as served:
            Asking(served.url, [Lane(key=served.key) for _ in range(8)]).answers()
            one_step = [
                Lane(key=served.key, words=WORDS, count=1000, until=SECONDS) for _ in range(PLACES)
            ]
            peak = _per_second(Asking(served.url, one_step).answers())
            asked = int(2 * peak * SECONDS)
            twice = [Lane(key=served.key, words=WORDS, start=n / (2 * peak)) for n in range(asked)]
            answers = Asking(served.url, twice).answers()
            goodput = _per_second(answers)
            lost = _lost(served)
        shutil.rmtree(home)
    refused = [answer for answer in answers if answer.status in (429, 503)]
    times = [answer.seconds for answer in refused]
    bars = Bars()
    bars.least("goodput/peak", goodput / peak, 0.9)
    bars.most("p99 of refusals in ms", 1000 * share(times, 0.99), 100)
    bars.none("refusals without Retry-After", sum(r.retry_after is None for r in refused))
    bars.none(f"accepted jobs lost: {lost}", len(lost))
    bars.none("answers of another kind", len(answers) - len(refused) - len(done(answers)))
    return Row(
        number="L8",
        bar="overload 2×: goodput ≥ 0.9 × peak; refusals ≤ 100 ms p99 with Retry-After; 0 lost",
        found={
            "peak_per_second": peak,
            "goodput_per_second": goodput,
            "statuses": statuses(answers),
            "refusal_p50_ms": 1000 * share(times, 0.5),
            "refusal_p99_ms": 1000 * share(times, 0.99),
            "lost": lost,
        },
        ratios={"goodput/peak": goodput / peak},
        broken=tuple(bars.broken),
    )


def _per_second(answers: list[Answer]) -> float:
    """Pictures a second between the first and the last of them."""
    ends = sorted(answer.began + answer.seconds for answer in done(answers))
    # the first and the last tenth are how it begins and ends
    edge = len(ends) // 10
    inner = ends[edge : len(ends) - edge]
    return (len(inner) - 1) / (inner[-1] - inner[0])


def _lost(served: Gateway) -> list[str]:
    """What became of jobs that were taken on and brought nothing: a word each."""
    until(30, lambda: not _jobs(served, "queued") and not _jobs(served, "running"), every=0.5)
    codes = [str((job.get("error") or {}).get("code")) for job in _jobs(served, "failed")]
    # whoever came in the moment in which the last turn was given away was told so
    return [code for code in codes if code not in REFUSED]


def _jobs(served: Gateway, state: str) -> list[dict[str, Any]]:
    status, jobs = served.call("GET", f"/api/v1/jobs?state={state}&limit=100")
    if status != 200:
        raise RuntimeError(f"jobs: {status} {jobs}")
    found: list[dict[str, Any]] = jobs["items"]
    return found


def fairness(ground: Ground) -> Row:
    """L9: nine who ask now and then, alone and beside one who asks for everything."""
    home = ground.folder / "L9"
    with waiting_upstream(ground.small) as upstream:
        with gateway(upstream, home, server_calls_at_once=PLACES) as served:
            Asking(served.url, [Lane(key=served.key) for _ in range(8)]).answers()
            heavy, *light = [served.user(f"user-{n}") for n in range(LIGHT + 1)]
            lanes = [
                # they come one after another, not all at once
                Lane(key=key, words=WORDS, count=100, pause=3.0, start=0.5 * n, until=SECONDS)
                for n, key in enumerate(light)
            ]
            alone = Asking(served.url, lanes).answers()
            crowd = [
                Lane(key=heavy, words=WORDS, count=1000, until=SECONDS) for _ in range(8 * PLACES)
            ]
            both = Asking(served.url, lanes + crowd).answers()
        shutil.rmtree(home)
    beside = [answer for answer in both if answer.lane < LIGHT]
    p95 = {
        name: share([answer.seconds for answer in done(answers)], 0.95)
        for name, answers in (("alone", alone), ("beside", beside))
    }
    heavies = [answer.seconds for answer in done(both) if answer.lane >= LIGHT]
    bars = Bars()
    bars.most("p95 of light users, beside/alone", p95["beside"] / p95["alone"], 1.5)
    bars.none("light users' requests without a picture", len(beside) - len(done(beside)))
    return Row(
        number="L9",
        bar="1 heavy and 9 light users: light users' p95 ≤ 1.5 × alone",
        found={
            "alone_p95_s": p95["alone"],
            "beside_p95_s": p95["beside"],
            "heavy_p50_s": median(heavies),
            "light_answers": statuses(beside),
            "all_answers": statuses(both),
        },
        ratios={"beside/alone": p95["beside"] / p95["alone"]},
        broken=tuple(bars.broken),
    )
