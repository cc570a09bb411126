"""What every implementation of the `Jobs` port must do, and both engines of `SqlJobs`."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.engines import NewUrl

from heliograph.errors import CallTaken, HeliographError, StorageError
from heliograph.jobs import Job, JobState, WrongJobMove, adopted, moved
from heliograph.ports import Jobs
from heliograph.storage import MemoryJobs
from heliograph.storage.database import Database
from heliograph.storage.sql_jobs import SqlJobs

NOON = datetime(2026, 11, 30, 12, 0, 0, 123456, tzinfo=UTC)
TOKYO = timezone(timedelta(hours=9))
SECOND = timedelta(seconds=1)
LIFE = timedelta(hours=72)
ODD = ["", "你好 🗼 <script>'\";--", "a\0b", "\x1a\x1a0000", "half \ud800 pair", "%_\\/"]


def a_job(job_id: str = "job-1", **changes: Any) -> Job:
    job = Job(
        id=job_id,
        user="ada",
        access="abcd1234",
        face="openai",
        route="POST /images/generations",
        state=JobState.QUEUED,
        mark="m" * 64,
        pictures=(job_id, f"{job_id}-b"),
        prompt="A lighthouse",
        created=NOON,
        changed=NOON,
        owner="process-1",
        library="library-1",
    )
    return replace(job, **changes)


def keyed(job_id: str, key: str = "k", **changes: Any) -> Job:
    return a_job(job_id, **{"key": key, "key_expires": NOON + LIFE, **changes})


@dataclass
class Clock:
    """The wall clock that keys expire by."""

    now: datetime = NOON

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["memory", "sqlite", "postgres"])
async def jobs(request: pytest.FixtureRequest, clock: Clock) -> AsyncIterator[Jobs]:
    if request.param == "memory":
        yield MemoryJobs(clock=clock)
        return
    database = Database(request.getfixturevalue(f"new_{request.param}")())
    yield SqlJobs(database, clock=clock)
    await database.close()


async def test_a_job_comes_back_as_it_was_submitted(jobs: Jobs) -> None:
    full = keyed(
        "job-2",
        durable=True,
        request={"prompt": "x", "n": [1, None]},
        records=("job-2",),
        sources=("call",),
        cost=10**12,
        error={"code": "error"},
        webhook="hook-1",
        created=(NOON + SECOND).astimezone(TOKYO),
    )
    for job in (a_job(access=None), full):
        assert await jobs.submit(job) is None
    assert await jobs.job("job-1") == a_job(access=None)
    assert await jobs.job("job-2") == full
    found = await jobs.jobs(limit=9)
    assert found == (full, a_job(access=None))
    assert found[0].created.utcoffset() == timedelta(0)
    for nobody in ("job-3", "job-", "JOB-1", ""):
        assert await jobs.job(nobody) is None


@pytest.mark.parametrize("text", ODD)
async def test_any_text_comes_back_equal(jobs: Jobs, text: str) -> None:
    job = keyed(
        text,
        key=text,
        user=text,
        prompt=text,
        mark=text,
        library=text,
        owner=text,
        request={text: text},
        webhook=text,
    )
    assert await jobs.submit(job) is None
    assert await jobs.job(text) == job
    again = replace(job, id="again")
    assert await jobs.submit(again) == job
    assert await jobs.joinable(text, text, NOON) == await jobs.holder(text, text) == job
    assert await jobs.submit(replace(again, key=None), joins_since=NOON) == job
    assert await jobs.jobs(user=text, limit=9) == await jobs.open_jobs(text) == (job,)
    done = moved(job, JobState.DONE, NOON + SECOND)
    await jobs.change(job, done)
    assert await jobs.job(text) == done


async def test_a_key_stands_for_the_first_job_of_its_user(jobs: Jobs) -> None:
    first = keyed("job-1")
    assert await jobs.submit(first) is None
    assert await jobs.submit(keyed("job-2", mark="other", route="other")) == first
    assert await jobs.submit(keyed("job-3", key="K")) is None
    assert await jobs.submit(keyed("job-4", user="bob")) is None
    assert await jobs.submit(a_job("job-5")) is None
    assert await jobs.submit(a_job("job-6")) is None
    assert await jobs.job("job-2") is None
    failed = moved(first, JobState.FAILED, NOON, error={"code": "policy"})
    await jobs.change(first, failed)
    assert await jobs.submit(keyed("job-7")) == failed


async def test_a_key_that_was_let_go_is_free(jobs: Jobs) -> None:
    first = keyed("job-1")
    await jobs.submit(first)
    failed = moved(first, JobState.FAILED, NOON, error={"code": "rate"}, keeps_key=False)
    await jobs.change(first, failed)
    assert await jobs.job("job-1") == failed
    second = keyed("job-2")
    assert await jobs.submit(second) is None
    assert await jobs.submit(keyed("job-3")) == second


async def test_an_expired_key_goes_over(jobs: Jobs, clock: Clock) -> None:
    first = keyed("job-1", key_expires=NOON + SECOND)
    await jobs.submit(first)
    assert await jobs.submit(keyed("job-2")) == first
    clock.now = NOON + SECOND
    second = keyed("job-2", key_expires=None)  # this one stays for ever
    assert await jobs.submit(second) is None
    assert await jobs.job("job-1") == replace(first, key=None, key_expires=None)
    clock.now = NOON + 1000 * LIFE
    assert await jobs.submit(keyed("job-3")) == second
    # who did not hear of it goes on without the key
    done = moved(first, JobState.DONE, NOON + SECOND, records=("job-1",), sources=("call",), cost=5)
    await jobs.change(first, done)
    assert await jobs.job("job-1") == replace(done, key=None, key_expires=None)
    assert await jobs.submit(keyed("job-3")) == second


async def test_who_holds_a_key(jobs: Jobs, clock: Clock) -> None:
    await jobs.submit(keyed("job-1"))
    await jobs.submit(keyed("job-2", user="bob", key_expires=None))
    assert await jobs.holder("ada", "k") == keyed("job-1")
    assert await jobs.holder("bob", "k") == keyed("job-2", user="bob", key_expires=None)
    assert await jobs.holder("ada", "other") is None
    clock.now = NOON + LIFE
    assert await jobs.holder("ada", "k") is None
    assert await jobs.holder("bob", "k") is not None


async def test_nothing_is_written_when_a_job_is_there(jobs: Jobs, clock: Clock) -> None:
    old = keyed("job-1", key_expires=NOON, mark="other")
    await jobs.submit(old)
    equal = a_job("job-2")
    await jobs.submit(equal)
    assert await jobs.submit(keyed("job-3"), joins_since=NOON) == equal
    assert await jobs.job("job-1") == old  # the expired key, too, is where it was
    with pytest.raises(StorageError):
        await jobs.submit(keyed("job-2", mark="third"))
    assert await jobs.job("job-1") == old
    clock.now = NOON
    assert await jobs.submit(keyed("job-3")) is None
    assert await jobs.jobs(limit=9) == (
        keyed("job-3"),
        equal,
        replace(old, key=None, key_expires=None),
    )


async def test_joins_the_newest_equal_job(jobs: Jobs) -> None:
    states = {
        "a-old": (-10, JobState.DONE),
        "b-done": (1, JobState.DONE),
        "c-running": (2, JobState.RUNNING),
        "d-failed": (3, JobState.FAILED),
        "e-cancelled": (4, JobState.CANCELLED),
    }
    kept = {
        job_id: a_job(job_id, created=NOON + second * SECOND, state=state, error={"charged": "no"})
        for job_id, (second, state) in states.items()
    }
    others = [a_job("other", mark="x", created=NOON + 9 * SECOND), a_job("bob", user="bob")]
    for job in (*kept.values(), *others):
        assert await jobs.submit(job) is None
    new = a_job("new", created=NOON + 9 * SECOND)
    joins = (NOON + 2 * SECOND).astimezone(TOKYO)
    assert await jobs.joinable("ada", new.mark, joins) == kept["c-running"]
    assert await jobs.submit(new, joins_since=joins) == kept["c-running"]
    assert await jobs.joinable("eve", new.mark, joins) is None
    assert await jobs.joinable("ada", "y", joins) is None
    done = moved(kept["c-running"], JobState.FAILED, NOON)  # its error says that it was free
    await jobs.change(kept["c-running"], done)
    assert await jobs.joinable("ada", new.mark, NOON) == kept["b-done"]
    assert await jobs.joinable("ada", new.mark, joins) is None
    assert await jobs.submit(new, joins_since=NOON) == kept["b-done"]
    assert await jobs.submit(new, joins_since=joins) is None
    with pytest.raises(ValueError, match="no time zone"):
        await jobs.submit(new, joins_since=NOON.replace(tzinfo=None))
    with pytest.raises(ValueError, match="no time zone"):
        await jobs.joinable("ada", new.mark, NOON.replace(tzinfo=None))


@pytest.mark.parametrize(
    ("error", "cost", "joined"),
    [
        ({"charged": "no"}, 0, False),
        ({"charged": "yes"}, 0, True),
        ({"charged": "unknown"}, 0, True),
        ({"charged": "no"}, 5, True),  # another picture of it was charged
        ({"code": "of another version"}, 0, True),
        (None, 0, True),
    ],
)
async def test_a_failure_is_joined_unless_it_was_free(
    jobs: Jobs, error: dict[str, str] | None, cost: int, *, joined: bool
) -> None:
    kept = a_job(state=JobState.FAILED, error=error, cost=cost)
    await jobs.submit(kept)
    assert kept.may_be_called_again is not joined
    assert await jobs.joinable("ada", kept.mark, NOON) == (kept if joined else None)
    assert await jobs.submit(a_job("new"), joins_since=NOON) == (kept if joined else None)


async def test_of_equal_times_the_last_id_is_joined_and_a_key_comes_first(jobs: Jobs) -> None:
    for job in (a_job("job-2"), a_job("job-3"), a_job("job-1"), keyed("job-0", mark="x")):
        await jobs.submit(job)
    assert await jobs.joinable("ada", a_job("new").mark, NOON) == a_job("job-3")
    assert await jobs.submit(a_job("new"), joins_since=NOON) == a_job("job-3")
    assert await jobs.submit(keyed("new"), joins_since=NOON) == keyed("job-0", mark="x")


async def test_an_id_is_given_once(jobs: Jobs) -> None:
    await jobs.submit(a_job())
    for again in (a_job(), a_job(user="bob"), keyed("job-1")):
        with pytest.raises(StorageError, match="kept already"):
            await jobs.submit(again)
    assert await jobs.jobs(limit=9) == (a_job(),)


async def test_a_job_goes_step_by_step(jobs: Jobs) -> None:
    queued = a_job(durable=True, request={"a": 1})
    await jobs.submit(queued)
    running = moved(queued, JobState.RUNNING, NOON + SECOND, owner="process-2")
    await jobs.change(queued, running)
    assert await jobs.job("job-1") == running
    taken = adopted(running, "process-3", NOON + 2 * SECOND)
    await jobs.change(running, taken)
    back = moved(taken, JobState.QUEUED, NOON + 3 * SECOND)
    await jobs.change(taken, back)
    done = moved(back, JobState.DONE, NOON, records=("job-1",), sources=("call",), cost=240_000)
    await jobs.change(back, done)
    assert await jobs.job("job-1") == done
    for late in (queued, running, taken):
        with pytest.raises(CallTaken) as caught:
            await jobs.change(late, moved(late, JobState.CANCELLED, NOON))
        assert caught.value.facts["job"] == "job-1"
    never = a_job("never")
    with pytest.raises(CallTaken):
        await jobs.change(never, moved(never, JobState.RUNNING, NOON))
    assert await jobs.job("job-1") == done


async def test_there_is_no_other_step(jobs: Jobs) -> None:
    queued = a_job()
    await jobs.submit(queued)
    for wrong in (a_job("job-2"), a_job(user="bob")):
        with pytest.raises(WrongJobMove):
            await jobs.change(queued, wrong)
    ended = [state for state in JobState if not state.is_open]
    for before in ended:
        for after in JobState:
            job = a_job(state=before)
            with pytest.raises(WrongJobMove):
                await jobs.change(job, replace(job, state=after))
    assert await jobs.job("job-1") == queued


@pytest.mark.parametrize(
    "changes",
    [
        {"cost": -1},
        {"cost": 10**12 + 1},
        {"key": "x" * 401},
        {"user": "x" * 101},
        {"created": NOON.replace(tzinfo=None)},
        {"request": {"share": float("nan")}},
    ],
    ids=lambda changes: next(iter(changes)),
)
async def test_what_cannot_be_kept_is_refused(jobs: Jobs, changes: dict[str, Any]) -> None:
    with pytest.raises(StorageError):
        await jobs.submit(a_job(**changes))
    assert await jobs.jobs(limit=9) == ()


@pytest.mark.parametrize("letter", ["a", "灯", "🗼", "\0", "\ud800"])
async def test_the_longest_keys_fit_every_engine(jobs: Jobs, letter: str) -> None:
    job = keyed("job-1", key=letter * 400, user=letter * 100)
    assert await jobs.submit(job) is None
    assert await jobs.submit(replace(job, id="job-2")) == job


async def test_open_jobs_are_those_of_a_library_oldest_first(jobs: Jobs) -> None:
    for number, state in enumerate((*JobState, *JobState)):
        job = a_job(
            f"{9 - number:04x}",
            created=NOON + (number // 2) * SECOND,
            state=state,
            user="ada" if number % 3 else "bob",
            library="library-1" if number < 8 else "library-2",
        )
        await jobs.submit(job)
    assert [job.id for job in await jobs.open_jobs("library-1")] == ["0008", "0009", "0004", "0003"]
    assert await jobs.open_jobs("library-2") == await jobs.open_jobs("") == ()
    assert [await jobs.count_open(user) for user in ("ada", "bob", "eve")] == [2, 2, 0]
    await jobs.submit(a_job("000a", owner="process-2"))
    assert await jobs.open_owners("library-1") == {"process-1", "process-2"}
    assert await jobs.open_owners("library-2") == frozenset()
    found = await jobs.jobs(user="bob", states=(JobState.QUEUED, JobState.CANCELLED), limit=9)
    assert [job.id for job in found] == ["0000", "0009"]
    assert len(await jobs.jobs(limit=3)) == 3
    assert await jobs.jobs(limit=0) == ()
    with pytest.raises(ValueError, match="negative"):
        await jobs.jobs(limit=-1)
    with pytest.raises(ValueError, match="no time zone"):
        await jobs.jobs(before=(NOON.replace(tzinfo=None), ""), limit=1)


@given(seconds=st.lists(st.integers(0, 2), max_size=12), size=st.integers(1, 4))
@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_the_pages_together_are_everything_once(
    new_sqlite: NewUrl, seconds: list[int], size: int
) -> None:
    async def pages(jobs: Jobs) -> list[Job]:
        found: list[Job] = []
        last: tuple[datetime, str] | None = None
        while True:
            page = await jobs.jobs(user="ada", before=last, limit=size)
            found += page
            if len(page) < size:
                return found
            last = (page[-1].created.astimezone(TOKYO), page[-1].id)

    async def compare() -> None:
        database = Database(new_sqlite())
        made = [
            a_job(f"{number * 7919 % 97:04x}", created=NOON + second * SECOND)
            for number, second in enumerate(seconds)
        ]
        wanted = sorted(made, key=lambda job: (job.created, job.id), reverse=True)
        for jobs in (MemoryJobs(), SqlJobs(database)):
            for job in made:
                await jobs.submit(job)
            assert await pages(jobs) == wanted
        await database.close()

    asyncio.run(compare())


# ---------------------------------------------------------------- who is first


async def test_of_two_tasks_with_one_key_exactly_one_wins(jobs: Jobs) -> None:
    await one_wins([jobs, jobs])


async def one_wins(servers: list[Jobs]) -> None:
    """20 rounds; the loser is given what the winner wrote, by its key or by its mark."""
    for number in range(20):
        key = None if number % 2 else f"k{number}"
        rivals = [
            a_job(f"{number}-{n}", mark=f"m{number}", key=key, key_expires=NOON + LIFE)
            for n in range(len(servers))
        ]
        joins = None if key else NOON
        said = await asyncio.gather(
            *(
                jobs.submit(job, joins_since=joins)
                for jobs, job in zip(servers, rivals, strict=True)
            )
        )
        assert said.count(None) == 1, said
        winner = rivals[said.index(None)]
        assert [answer for answer in said if answer is not None] == [winner] * (len(servers) - 1)
        steps = await asyncio.gather(
            *(
                jobs.change(winner, moved(winner, JobState.RUNNING, NOON, owner=f"process-{n}"))
                for n, jobs in enumerate(servers, start=2)
            ),
            return_exceptions=True,
        )
        assert [type(step) for step in steps].count(CallTaken) == len(servers) - 1, steps


async def test_of_two_servers_exactly_one_wins(new_url: NewUrl) -> None:
    url = new_url()
    databases = [Database(url) for _ in range(2)]
    clock = Clock()
    servers = [SqlJobs(databases[n % 2], clock=clock) for n in range(4)]
    await one_wins(list(servers))
    # an expired key goes over to one of them alone, and one that is let go is never in between
    for number in range(20):
        holder = keyed(f"old-{number}", key=f"x{number}", key_expires=NOON + (number % 2) * LIFE)
        assert await servers[0].submit(holder) is None
        rivals = [keyed(f"new-{number}-{n}", key=f"x{number}") for n in range(3)]
        free = moved(holder, JobState.FAILED, NOON, keeps_key=False)
        work: list[Any] = [server.submit(job) for server, job in zip(servers, rivals, strict=False)]
        said = await asyncio.gather(servers[3].change(holder, free), *work, return_exceptions=True)
        assert not [answer for answer in said if isinstance(answer, HeliographError)], said
        assert said[1:].count(None) <= 1, said
        if number % 2 == 0:
            assert said[1:].count(None) == 1, said
    for database in databases:
        await database.close()
