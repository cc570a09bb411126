"""What happens in cases where asking once is not all of it.

Each is a coroutine function of a `Stage`. Invariant: it changes what surrounds the client, or what
the caller does, and never the client itself.
"""

import asyncio
import socket
import statistics
import time
from contextlib import closing

from heliograph.chaos.evidence import Ended
from heliograph.chaos.row import KEPT, Ask
from heliograph.chaos.stage import Stage
from heliograph.errors import HeliographError

GATED = 100  # requests after a quota is used up
GATED_SECONDS = 0.02  # of processor time for each; how long that takes depends on who else works
OUTAGE = 60.0  # seconds
OUTAGE_REQUESTS = 1000
RECOVERED_WITHIN = 35.0  # seconds after the outage


async def gated_for_the_day(stage: Stage) -> None:
    """One request learns that the quota is used up; a hundred more are told without a call."""
    await stage.ask("A fox learns of the quota")
    waits: list[float] = []
    before = time.process_time()
    for number in range(GATED):
        ended = await stage.ask(f"A fox behind the gate, number {number}")
        waits.append(ended.seconds)
        if ended.charged != "no":
            stage.complaints.append(f"the gate says charged: {ended.charged}")
    each = (time.process_time() - before) / GATED
    stage.facts |= {
        "processor_seconds_each": round(each, 4),
        "median_seconds": round(statistics.median(waits), 4),
        "p99_seconds": round(sorted(waits)[98], 4),
    }
    # other cases of this row run in the same process meanwhile
    if each > 2 * GATED_SECONDS:
        stage.complaints.append(f"the gate takes {each:.3f} s of processor time")


async def bad_from_the_start(stage: Stage) -> None:
    """One request learns that a project is bad; those after it come all at once."""
    await stage.ask("A fox at the bad door")
    await stage.ask_all(stage.case.asks)


async def next_one_is_served(stage: Stage) -> None:
    """A request that fails, and one after it that must not be kept out."""
    failed = (await stage.ask_all(stage.case.asks))[0]
    served = await stage.ask("A fox that comes after")
    if (failed.code, served.code) != ("overloaded", KEPT):
        stage.complaints.append(f"ended {failed.code}, then {served.code}")


async def two_in_turn(stage: Stage) -> None:
    """Two requests, one after the other: the second one knows what the first one learned."""
    await stage.ask("A fox at the first door")
    await stage.ask("A fox at the second door")


async def closed_port(stage: Stage) -> None:
    """A port of this machine at which nobody listens, held so that nobody else takes it."""
    with closing(socket.socket()) as held:
        held.bind(("127.0.0.1", 0))
        stage.send_to(f"http://127.0.0.1:{held.getsockname()[1]}")
        await stage.ask("A fox in front of a closed door")
        await stage.close()


async def redirected(stage: Stage) -> None:
    """A redirect to a listener of ours, which must never hear from anybody."""
    heard: list[int] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(len(await reader.read(65536)))
        writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        await stage.ask(f"A fox sent elsewhere [[fault:redirect:http://127.0.0.1:{port}/x]]")
        await asyncio.sleep(0.1)
    finally:
        server.close()
        await server.wait_closed()
    if heard:
        stage.complaints.append(f"the other host saw {len(heard)} connections")


async def late_image(stage: Stage) -> None:
    """The caller is told after the deadline; the image that comes later is there for it."""
    told = (await stage.ask_all(stage.case.asks))[0]
    if told.code == KEPT:
        stage.complaints.append("the caller waited for the late image")
    if not 0.9 <= told.seconds <= 3.0 + stage.lag:
        stage.complaints.append(f"the caller was told after {told.seconds:.1f} s, not 1 to 2 s")
    if told.record is None:
        stage.complaints.append("the error names no record")
        return
    await stage.close()  # waits for calls under way
    try:
        record = await stage.client.image(told.record)
    except HeliographError as error:
        stage.complaints.append(f"the late image is not there: {error.what}")
        return
    if record.result is None or not record.cost:
        stage.complaints.append(f"the late image ended as {record.outcome.value}")


async def hung_up(stage: Stage) -> None:
    """Callers leave once their request has left; the same key finds the image later."""
    (ask,) = stage.case.asks
    prompts = stage.prompts(ask)
    tasks = [
        asyncio.ensure_future(stage.ask(prompt, key=f"caller-{number}"))
        for number, prompt in enumerate(prompts)
    ]
    await stage.until("sent", count=len(prompts))
    for task in tasks:
        task.cancel()
    left = await asyncio.gather(*tasks, return_exceptions=True)
    if not all(isinstance(each, asyncio.CancelledError) for each in left):
        stage.complaints.append("a caller that left got an answer")
    again = await asyncio.gather(
        *(stage.ask(prompt, key=f"caller-{number}") for number, prompt in enumerate(prompts))
    )
    retrieved = sum(ended.code == KEPT for ended in again)
    stage.facts["retrieved"] = f"{retrieved}/{len(prompts)}"
    if retrieved != len(prompts):
        stage.complaints.append(f"{retrieved} of {len(prompts)} were to be had later")


async def outage_of_a_minute(stage: Stage) -> None:
    """1,000 requests while everything is 503, then one a second until one succeeds."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    asked = asyncio.ensure_future(
        stage.ask_all([Ask(words="A fox in an outage", times=OUTAGE_REQUESTS, over=OUTAGE)])
    )
    await asyncio.sleep(OUTAGE)
    first: float | None = None
    number = 0
    while first is None and loop.time() - began < OUTAGE + RECOVERED_WITHIN + 30:
        number += 1
        ended = await stage.ask(f"A fox after the outage, number {number}")
        if ended.code == KEPT:
            first = loop.time() - began - OUTAGE
        else:
            await asyncio.sleep(1.0)
    during: list[Ended] = await asked
    stage.facts["first_success_seconds_after_recovery"] = first and round(first, 1)
    if first is None or first > RECOVERED_WITHIN:
        stage.complaints.append(f"the first success came {first} s after recovery")
    opened = next((e for e in sorted(during, key=_began) if e.code == "upstream_closed"), None)
    if opened is None or opened.began - during[0].began > 10.0:
        stage.complaints.append("nothing failed fast within 10 s")
    for ended in during:
        if ended.code == "upstream_closed" and ended.retry_after is None:
            stage.complaints.append("failing fast without saying when to come back")
            break


def _began(ended: Ended) -> float:
    return ended.began
