"""What our own side cannot write down, finish or wait for is never called free, and never lost."""

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.e2e.conftest import Bill, Emulated
from tests.e2e.dying import die_at, holder, queueing
from tests.e2e.holding import Held, holding
from tests.e2e.test_cli import GUARD, HELIOGRAPH, read_until, wait_for_call
from tests.e2e.test_promises import told

from heliograph import AsyncHeliograph
from heliograph.errors import Charged, StorageError
from heliograph.journal import OPEN, Stage
from heliograph.killpoints import armed
from heliograph.leases import Lease
from heliograph.ports import Event
from heliograph.types import Outcome

BRIEF = 0.3  # seconds that a write waits for a locked database here; 30 in the product
FORKING = """
import os, sys, time
from pathlib import Path
from heliograph.leases import Lease
lease = Lease(Path(sys.argv[1]))
ready, told = os.pipe()
child = os.fork()
if child == 0:
    os.write(told, b".")
    time.sleep(3600)
    os._exit(0)
os.read(ready, 1)
print(lease.owner, child, flush=True)
time.sleep(3600)
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "library"


@pytest.fixture
def client(emulated: Emulated, project: str) -> dict[str, object]:
    return {"base_url": emulated.url, "api_key": f"emu-project-{project}"}


def once(point: str, act: Callable[[], None]) -> Callable[[str], None]:
    """Acts the first time that execution comes to a point."""
    left = [act]

    def at(name: str) -> None:
        if name == point and left:
            left.pop()()

    return at


async def ticks() -> None:
    """Long enough for a cancellation to get to the bottom of everything that does not wait."""
    for _ in range(50):
        await asyncio.sleep(0)


# ---------------------------------------------------------------- a database that refuses


@pytest.mark.parametrize(
    ("transport", "point", "charged"),
    [
        ("generate_content", "spooled", Charged.YES),
        ("generate_content", "sidecar", Charged.YES),
        ("interactions", "created", Charged.UNKNOWN),
    ],
)
async def test_what_cannot_be_written_down_stays_open_and_is_paid_once(
    client: dict[str, object],
    home: Path,
    bill: Bill,
    monkeypatch: pytest.MonkeyPatch,
    transport: str,
    point: str,
    charged: Charged,
) -> None:
    monkeypatch.setattr("heliograph.storage.engine.LOCK_SECONDS", BRIEF)
    client["settings"] = {"transport": transport}
    with holder(home) as holds, armed(once(point, holds.take)):
        async with AsyncHeliograph(**client) as helio:  # type: ignore[arg-type]
            with pytest.raises(StorageError, match="locked") as caught:
                await helio.generate("A fox", size="1K", idempotency_key="k")
            (call,) = await helio.calls()
    assert caught.value.charged is charged
    assert caught.value.facts["may_have_cost_micro"] == call.reserved
    assert list((home / "spool" / call.id).rglob("body.raw"))
    assert call.stage.is_open
    assert call.stage is not Stage.RESERVED
    async with AsyncHeliograph(**client) as again:  # type: ignore[arg-type]
        made = await again.generate("A fox", size="1K", idempotency_key="k")
        assert await again.audit() == ()
    assert (made.source, made.record.cost) == ("replay", bill.micro)
    assert len(bill.lines) == 1


async def test_recovery_that_cannot_write_leaves_the_call_for_the_next(
    client: dict[str, object], home: Path, bill: Bill, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("heliograph.storage.engine.LOCK_SECONDS", BRIEF)
    await die_at("spooled", "A fox", client=client, options={"size": "1K"})
    with holder(home) as holds, armed(once("spooled", holds.take)):
        async with AsyncHeliograph(**client) as helio:  # type: ignore[arg-type]
            assert list(await helio.images()) == []
            (call,) = await helio.calls()
    assert call.stage is Stage.SENT
    async with AsyncHeliograph(**client) as again:  # type: ignore[arg-type]
        (record,) = await again.images()
    assert (record.outcome, record.cost) == (Outcome.KEPT, bill.micro)


# ---------------------------------------------------------------- nobody waits any more


async def test_a_reservation_in_the_making_is_given_back_when_cancelled(
    helio: AsyncHeliograph, home: Path
) -> None:
    await helio.images()
    with holder(home) as holds, queueing(holds) as until_queueing:
        holds.take()
        task = asyncio.ensure_future(helio.generate("A fox", size="1K"))
        await until_queueing()
        task.cancel()
        await asyncio.sleep(0.05)
    with pytest.raises(asyncio.CancelledError):
        await task
    (call,) = await helio.calls()
    assert call.stage is Stage.RELEASED
    assert [b.reserved for b in await helio.balances() if b.scope == "total"] == [0]


async def test_what_is_cancelled_while_its_step_is_written_has_not_left(
    helio: AsyncHeliograph, home: Path, bill: Bill
) -> None:
    await helio.images()
    with (
        holder(home) as holds,
        queueing(holds) as until_queueing,
        armed(once("before-sent", holds.take)),
    ):
        task = asyncio.ensure_future(helio.generate("A fox", size="1K", idempotency_key="k"))
        await until_queueing()
        task.cancel()
        await ticks()
        holds.let_go()
        with pytest.raises(asyncio.CancelledError):
            await task
    (call,) = await helio.calls()
    # the journal said "sent" before it was given up, but its last byte was held back
    assert [step.stage for step in call.trail][-2:] == [Stage.SENT, Stage.RELEASED]
    assert [b.reserved + b.held for b in await helio.balances() if b.scope == "total"] == [0]
    assert await helio.audit() == ()
    assert await helio.images() == ()
    assert bill.lines == []
    made = await helio.generate("A fox", size="1K", idempotency_key="k")
    assert made.source == "call"


async def test_what_is_given_up_twice_ends_all_the_same(
    helio: AsyncHeliograph, home: Path, bill: Bill
) -> None:
    await helio.images()
    with (
        holder(home) as holds,
        queueing(holds) as until_queueing,
        armed(once("before-sent", holds.take)),
    ):
        task = asyncio.ensure_future(helio.generate("A fox", size="1K"))
        await until_queueing()
        task.cancel()
        await ticks()
        leaving = asyncio.ensure_future(helio.abandon())  # while the end is being written
        await ticks()
        holds.let_go()
        await leaving
        with pytest.raises(asyncio.CancelledError):
            await task
    assert await helio.calls(stages=OPEN) == ()
    (call,) = await helio.calls()
    assert call.stage is Stage.RELEASED
    assert bill.lines == []


# ---------------------------------------------------------------- who is alive


async def test_a_process_that_cannot_be_asked_is_not_dead(
    client: dict[str, object],
    home: Path,
    events: list[Event],
    emulated: Emulated,
    bill: Bill,
) -> None:
    with holding(emulated.url) as held:
        slow = {**client, "base_url": held.url, "observer": events.append}
        async with AsyncHeliograph(**slow) as helio:  # type: ignore[arg-type]
            task = asyncio.ensure_future(helio.generate("A fox", size="1K"))
            await told(events, "sent")
            (lease,) = (home / "running").glob("[!.]*")
            lease.rename(home / "elsewhere")
            lease.symlink_to(lease)  # opening it fails: too many levels of symbolic links
            async with AsyncHeliograph(**client) as other:  # type: ignore[arg-type]
                (call,) = await other.calls()
                assert call.stage is Stage.SENT
                assert await other.is_alive(call)
            held.let_go()
            assert (await task).cost == bill.micro


def test_a_forked_child_does_not_keep_a_dead_process_alive(home: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", FORKING, str(home)], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    owner, child = parent.stdout.readline().split()
    mine = Lease(home)
    try:
        assert owner in mine.living()
        parent.kill()
        parent.wait()
        assert owner not in mine.living()
    finally:
        mine.close()
        os.kill(int(child), signal.SIGKILL)
        parent.stdout.close()


# ---------------------------------------------------------------- finishing what was left


async def test_one_client_finishes_a_call_once_however_many_of_its_tasks_try(
    helio: AsyncHeliograph,
    client: dict[str, object],
    home: Path,
    events: list[Event],
    bill: Bill,
) -> None:
    await helio.images()
    await die_at("received", "A fox", client=client, options={"size": "1K"})
    points: list[str] = []
    second: list[asyncio.Task[object]] = []

    def act(point: str) -> None:
        points.append(point)
        if point == "received" and not second:
            # while the first is looking at the picture
            second.append(asyncio.ensure_future(helio.recover()))

    with armed(act):
        await helio.recover()
        await asyncio.gather(*second)
    assert points.count("looked") == 1
    assert [e.name for e in events].count("recovered") == 1
    assert not (home / "quarantine").exists()
    (record,) = await helio.images()
    assert (record.outcome, record.cost) == (Outcome.KEPT, bill.micro)


async def test_a_spool_that_vanishes_while_it_is_looked_at_is_none_of_ours(
    helio: AsyncHeliograph, home: Path
) -> None:
    """Another process is done with its call. Here a link stands for the moment in between."""
    await helio.images()
    (home / "spool" / "gone").symlink_to(home / "nowhere")
    assert await helio.recover() == ()
    async with AsyncHeliograph() as second:
        assert not await second.images()


async def test_a_call_that_cannot_be_read_does_not_close_the_library(
    helio: AsyncHeliograph, home: Path
) -> None:
    made = await helio.generate("A fox", size="1K")
    with sqlite3.connect(home / "heliograph.db") as database:
        (text,) = database.execute("select plan from calls").fetchone()
        strange = json.dumps({**json.loads(text), "from_a_newer_version": 1})
        database.execute("update calls set stage = 'sent', owner = 'gone', plan = ?", (strange,))
    database.close()
    events: list[Event] = []
    async with AsyncHeliograph(observer=events.append) as again:
        assert [record.id for record in await again.images()] == [made.record.id]
        (call,) = await again.calls(stages=OPEN)
    (event,) = [e for e in events if e.name == "not recovered"]
    assert event.facts["call"] == call.id
    assert "from_a_newer_version" in event.facts["why"]


# ---------------------------------------------------------------- SIGTERM


@pytest.fixture
def env(emulated: Emulated, project: str) -> dict[str, str]:
    key = f"emu-project-{project}"
    return {**os.environ, "GOOGLE_GEMINI_BASE_URL": emulated.url, "GEMINI_API_KEY": key}


def terminated(
    command: list[str], prompt: str, env: dict[str, str], held: Held, *words: str
) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a command that gets SIGTERM when its
    request has arrived; its answers come once it has said that it stops.
    """
    process = subprocess.Popen(
        [*command, "generate", prompt, "--size", "1K", *words],
        env={**env, "GOOGLE_GEMINI_BASE_URL": held.url},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for_call(held, prompt)
    process.send_signal(signal.SIGTERM)
    said = read_until(process, "stopping after")
    held.let_go()
    out, err = process.communicate(timeout=GUARD)
    return process.returncode, out, said + err


def journal(env: dict[str, str]) -> list[dict[str, str]]:
    words = [HELIOGRAPH, "calls", "list", "--json"]
    done = subprocess.run(words, env=env, check=True, capture_output=True, text=True)
    found: list[dict[str, str]] = json.loads(done.stdout)
    return found


def test_sigterm_names_the_calls_under_way_and_keeps_them(
    env: dict[str, str], emulated: Emulated, project: str, bill: Bill
) -> None:
    with holding(emulated.url) as held:
        code, out, err = terminated([HELIOGRAPH], project, env, held, "-o", "fox.jpg")
    (call,) = journal(env)
    assert code == 143, err
    assert f"stopping after the calls under way: {call['id']}\n" in err
    assert (out, call["stage"]) == ("fox.jpg\n", "settled")
    assert Path("fox.jpg").exists()
    assert len(bill.lines) == 1


def test_sigterm_begins_nothing_new(
    env: dict[str, str], emulated: Emulated, project: str, bill: Bill
) -> None:
    with holding(emulated.url) as held:
        code, out, err = terminated([HELIOGRAPH], project, env, held, "-n", "12", "-o", "out/")
    assert code == 143, err
    made = len(out.splitlines())
    assert 1 <= made <= 8
    assert len(bill.lines) == made


def test_sigterm_gives_up_at_its_limit_and_says_what_stays_open(
    env: dict[str, str], emulated: Emulated, project: str
) -> None:
    short = (
        "import sys; from heliograph.cli import main, session; session.DRAIN = 0.3; "
        "sys.exit(main())"
    )
    prompt = f"{project} [[fault:slow:150]]"  # longer than `terminated` waits
    with holding(emulated.url) as held:
        code, out, err = terminated([sys.executable, "-c", short], prompt, env, held)
    (call,) = journal(env)
    assert (code, out) == (143, ""), err
    assert f"stopping after the calls under way: {call['id']}\n" in err
    assert f"heliograph calls show {call['id'][:8]}" in err
    assert call["stage"] == "unknown"
