"""From an errand to its job and its results: what every face goes through. Read this first.

    check and price → find the job of the same key → a place → calls → write the end down → answer

Invariant: a job is written down before its first call, and its end before anybody is answered.
Work that may be paid for goes on when nobody waits for it any more; a second request of the same
key never makes a second call.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from heliograph.accounts import ApiKey, User
from heliograph.calls import unbroken
from heliograph.client import AsyncHeliograph
from heliograph.errors import (
    CallTaken,
    HeliographError,
    OutcomeUnknown,
    RecordNotFound,
    StorageError,
    revived,
)
from heliograph.jobs import Job, JobState, moved
from heliograph.library import Store
from heliograph.pipeline import Order
from heliograph.ports import Accounts, Event, Jobs, Observer
from heliograph.server.admission import Admission, Share, Turn
from heliograph.server.caller import Caller, Done, Errand
from heliograph.server.events import FINISHED, Hub, ignore
from heliograph.server.faults import Busy, is_final
from heliograph.server.health import expected_bytes, refuse_low_disk
from heliograph.server.parking import park
from heliograph.server.purse import Purse
from heliograph.server.rates import Rates
from heliograph.server.refusals import (
    key_in_use,
    no_image,
    no_job,
    other_request,
    replayed,
    too_late,
    unwritten,
)
from heliograph.server.requests import joins_since, mark_of, new_job, standing
from heliograph.server.resuming import doubt, look_for_orphans
from heliograph.server.secrets import Secrets
from heliograph.server.under_way import Answer, Run, end_of, own
from heliograph.server.webhooks.sender import Webhooks
from heliograph.settings import Settings
from heliograph.types import Record, Request, Result

LOG = logging.getLogger("heliograph.server")
# what could not be kept at the end of its job may have been taken in since
TAKEN_IN_LATER = (StorageError.code, OutcomeUnknown.code)
LOOK_AGAIN = 0.25  # seconds between looks at a job of another process
LAST_WORDS = 5.0  # seconds in which jobs that are given up are written down


class Gateway:
    """The engine behind all faces. Make it with `server.opening.open_gateway`."""

    def __init__(
        self,
        client: AsyncHeliograph,
        store: Store,
        *,
        hub: Hub,
        admission: Admission,
        rates: Rates,
        secrets: Secrets,
        simulated: bool,
        observer: Observer = ignore,
    ) -> None:
        self.client = client
        self.store = store
        self.settings: Settings = client.settings
        self.accounts: Accounts = store.accounts
        self.jobs: Jobs = store.jobs
        self.hub = hub
        self.admission = admission
        self.rates = rates
        self.secrets = secrets
        self.simulated = simulated
        self.purse = Purse(store, simulated=simulated)
        self.webhooks = Webhooks(self)
        self.is_draining = False
        self.ruling = asyncio.Lock()  # held while it is made sure that an admin can still come in
        self.free_work = asyncio.Semaphore(1)  # what costs our own time alone is done one by one
        self.at_close: list[Callable[[], Awaitable[None]]] = [rates.close]
        self._observer = observer
        self._runs: dict[str, Run] = {}
        self._resuming: asyncio.Task[None] | None = None
        self.taking: set[str] = set()  # jobs that are being taken up

    # ------------------------------------------------------------ asking

    async def perform(self, errand: Errand) -> Done:
        """Do it, and wait for the results.

        Raises:
            InvalidRequest: nothing was sent.
            KeyReused, KeyInUse: the idempotency key belongs to another request, or to one that
                is being worked on.
            BudgetExceeded, Busy: there is no money or no place for it.
            HeliographError: as `AsyncHeliograph.generate`; `facts["job"]` names the job.
        """
        job, run, order = await self._begin(errand)
        fresh = run is not None and run.order is order
        # when it is late, whoever was first was told so, and who asks again waits for the end
        is_late = run is not None and not fresh and run.answer.done()
        is_bounded = not fresh and errand.wait is not None and not errand.retries
        if is_late or (is_bounded and job.state.is_open):
            job, run = await self.wait(job.id, errand.wait), None
            if is_bounded and job.state.is_open:
                raise key_in_use(job)
        answer = await self._answer_of(job, run, order)
        if answer.error is not None:
            error = answer.error if fresh else revived(answer.error.as_dict())
            error.facts["job"] = answer.job.id
            raise error
        return Done(job=answer.job, results=answer.results, replayed=not fresh)

    async def submit(self, errand: Errand) -> Job:
        """Take it on; returns once its money is set aside, or while it waits for a place.

        Raises:
            As `perform`, for what is known before the first call.
        """
        job, run, _ = await self._begin(errand)
        if run is None:
            return job
        await run.begun.wait()
        if run.answer.done():
            answer = run.answer.result()
            is_kept = answer.job.state.is_open
            if answer.error is not None and not is_final(answer.error) and not is_kept:
                answer.error.facts["job"] = job.id
                raise answer.error
            return answer.job
        return run.job

    async def wait(self, job_id: str, seconds: float | None = None) -> Job:
        """The job once it is at its end, or as it is after so many seconds; or when this process
        stops, and it goes on elsewhere or later.

        Raises:
            RecordNotFound: there is no such job.
        """
        loop = asyncio.get_running_loop()
        end = None if seconds is None else loop.time() + seconds
        while True:
            run = self._runs.get(job_id)  # before its row: it is there until that says the end
            job = await self.jobs.job(job_id)
            if job is None:
                raise no_job(job_id)
            left = None if end is None else end - loop.time()
            is_left = run is None and self.is_draining
            if not job.state.is_open or is_left or (left is not None and left <= 0):
                return job
            if run is None or run.task is None:
                await asyncio.sleep(LOOK_AGAIN if left is None else min(LOOK_AGAIN, left))
            else:
                await asyncio.wait([run.task], timeout=left)

    async def cancel(self, job: Job) -> Job:
        """End a job of which nothing was sent.

        Raises:
            TooLate: it was sent, or is at its end.
        """
        run = self._runs.get(job.id)
        if run is None and job.state.is_open:
            raise Busy("Another process works on this job.", retry_after=LOOK_AGAIN)
        if run is None or run.sent or run.task is None:
            raise too_late(job)
        run.cancel()
        await asyncio.wait([run.task])
        after = await self.jobs.job(job.id)
        if after is None or after.state is not JobState.CANCELLED:
            raise too_late(job)
        return after

    async def record(self, caller: Caller, record_id: str) -> Record:
        """A record that the caller may see, by its whole id.

        Raises:
            RecordNotFound: there is none, it is somebody else's, or it lies in the trash.
        """
        try:
            record = await self.store.books.find(record_id)
        except RecordNotFound:
            raise no_image(record_id) from None
        is_seen = caller.sees is None or record.owner == caller.sees
        if record.id != record_id or not is_seen or await self.store.books.trashed([record_id]):
            raise no_image(record_id)
        return record

    def watch(self, job_id: str) -> AsyncIterator[Event]:
        """What happens to a job that is under way here; ends with "finished"."""
        return self.hub.watch(job_id)

    async def job(self, caller: Caller, job_id: str) -> Job:
        """A job that the caller may see.

        Raises:
            RecordNotFound: there is none, or it is somebody else's.
        """
        job = await self.jobs.job(job_id)
        if job is None or (caller.sees is not None and job.user != caller.sees):
            raise no_job(job_id)
        return job

    # ------------------------------------------------------------ beginning

    async def _begin(self, errand: Errand) -> tuple[Job, Run | None, Order]:
        if self.is_draining:
            raise Busy("The gateway is stopping.", retry_after=10.0)
        caller = errand.caller
        share = self._share(caller.user, caller.key)
        if errand.key is None and not errand.retries:
            # a refusal that is certain need not be planned first; nothing that is there is joined
            self.admission.has_place(share)
        asked = replace(errand.request, owner=caller.user.id, access=caller.key.id)
        order = await self.client.order(asked)
        mark = mark_of(errand, order, simulated=self.simulated)
        there = await standing(errand, mark, self.jobs)
        if there is not None:
            return there, self._join(there, mark, errand), order
        try:
            order = self.purse.shared(order, errand.count)
            turn = await self._turn(errand, order, share)
        except HeliographError:
            # another request of the same key may have been here first, and have taken what is short
            there = await standing(errand, mark, self.jobs)
            if there is None:
                raise
            return there, self._join(there, mark, errand), order
        state = JobState.RUNNING if turn.has_come else JobState.QUEUED
        try:
            job = await new_job(errand, order, state, self.store, mark=mark)
            there = await self.jobs.submit(job, joins_since=joins_since(errand, job.created))
        except BaseException:
            turn.give_up()
            raise
        if there is None:
            return job, self._start(job, order, share, turn), order
        turn.give_up()
        return there, self._join(there, mark, errand), order

    async def _turn(self, errand: Errand, order: Order, share: Share) -> Turn:
        """A turn, once there is money and room for all pictures; before the job is written down,
        so that what is refused leaves none behind."""
        await self.purse.refuse_too_dear(order.plan, errand.count)
        weight = errand.count * expected_bytes(order.plan.size)
        under_way = sum(run.weight for run in self._runs.values())
        await refuse_low_disk(self.store.home, under_way + weight)
        return self.admission.line_up(share)

    def _join(self, there: Job, mark: str, errand: Errand) -> Run | None:
        if there.mark != mark:
            raise other_request(errand.key or "")
        if there.state.is_open and errand.retries == 0 and errand.wait is None:
            raise key_in_use(there)
        return self._runs.get(there.id)

    def _share(self, user: User | None, key: ApiKey | None) -> Share:
        """What one may have at once; of a key that is gone, as much as its user."""
        own = None if user is None else user.limits.at_once
        return Share(
            user="" if user is None else user.id,
            most=self.settings.server_user_at_once if own is None else own,
            key="" if key is None else key.id,
            most_of_key=None if key is None else key.limits.at_once,
        )

    # ------------------------------------------------------------ working

    def _start(self, job: Job, order: Order, share: Share, turn: Turn | None = None) -> Run:
        run = Run(
            job=job,
            order=order,
            answer=asyncio.get_running_loop().create_future(),
            weight=len(job.pictures) * expected_bytes(order.plan.size),
            resumes=turn is None,
        )
        self._runs[job.id] = run
        self.hub.begin(job.id, job.pictures, run.heard)
        run.task = asyncio.ensure_future(self._work(run, order, share, turn))

        def over(task: "asyncio.Task[None]") -> None:
            if turn is not None:
                turn.give_up()  # nobody took it if it was cancelled before its first picture began
            del self._runs[job.id]
            facts = {"state": run.job.state.value, "face": job.face}
            last = Event(name=FINISHED, job=job.id, at=0.0, facts=facts)
            self.hub.end(job.id, job.pictures, last)
            self._observer(last)
            failure = None if task.cancelled() else task.exception()
            if failure is not None:
                LOG.error("job %s broke", job.id, exc_info=failure)
            if not run.answer.done():
                # only when the end could not be written down
                run.answer.set_result(Answer(job=run.job, error=unwritten()))
            run.begun.set()

        run.task.add_done_callback(over)
        return run

    async def _work(self, run: Run, order: Order, share: Share, turn: Turn | None) -> None:
        outcomes: list[Result | HeliographError]
        try:
            outcomes = list(
                await asyncio.gather(
                    *(
                        self._picture(run, order, picture, share, turn if n == 0 else None)
                        for n, picture in enumerate(run.job.pictures)
                    )
                )
            )
        except asyncio.CancelledError:
            if not run.cancelling:
                raise
            outcomes = await self._after_all(run.job)
        if not park(run, outcomes):
            await unbroken(self._end(run, outcomes))

    async def _picture(
        self, run: Run, order: Order, picture: str, share: Share, turn: Turn | None
    ) -> Result | HeliographError:
        """One picture of a job, with a place of its own."""
        try:
            begun = time.monotonic()
            turn = turn or self.admission.line_up(share)
            if not turn.has_come:
                run.begun.set()  # it waits
            place = await turn.place()
            waited = {"waited": time.monotonic() - begun}
            self._observer(Event(name="admitted", job=picture, at=0.0, facts=waited))
            try:
                async with run.beginning:
                    if run.job.state is JobState.QUEUED:
                        running = moved(run.job, JobState.RUNNING, datetime.now(UTC))
                        await self._change(run, running)
                return await self.client.fulfil(order, job=picture, resumes=run.resumes)
            finally:
                place.leave()
        except HeliographError as error:
            return await self._late(run, order, picture, own(error, picture))

    async def _late(
        self, run: Run, order: Order, picture: str, error: HeliographError
    ) -> Result | HeliographError:
        """What comes of a picture after its error, which is told at once."""
        if not isinstance(error, OutcomeUnknown) or not error.facts.get("late"):
            return error
        if len(run.job.pictures) == 1 and not run.answer.done():
            run.answer.set_result(Answer(job=run.job, error=error))
        maker = error.record_id or picture
        source = "call" if maker == picture else "joined"
        try:
            await self.client.landed(maker)
            found = await self.made(maker)
            return error if found is None else await self.client.deliver(found, order.plan, source)
        except HeliographError as failure:
            return own(failure, picture)

    async def made(self, picture: str) -> Record | None:
        """The record of a picture, when it holds one."""
        try:
            record = await self.store.books.find(picture)
        except RecordNotFound:
            return None
        return record if record.result is not None else None

    async def _after_all(self, job: Job) -> list[Result | HeliographError]:
        """What had been sent of a job before it was cancelled; nothing, when nothing was."""
        await asyncio.gather(*(self.client.landed(picture) for picture in job.pictures))
        found: list[Result | HeliographError] = []
        for picture in job.pictures:
            record = await self.made(picture)
            run = self._runs[job.id]
            if record is not None and run.order is not None:
                try:
                    found.append(await self.client.deliver(record, run.order.plan, "call"))
                except HeliographError as error:
                    found.append(error)
        unclear = None if found else await doubt(job, self.store)
        return found if unclear is None else [unclear]

    async def _end(self, run: Run, outcomes: Sequence[Result | HeliographError]) -> None:
        end = end_of(run.job, outcomes)
        results, error = end.results, end.error
        try:
            await self._change(run, end.job)
        except CallTaken as trouble:
            error, results = trouble, ()
        else:
            await self.tell(run.job)
        if not run.answer.done():
            failure = None if results else error or Busy("The job was cancelled.")
            run.answer.set_result(Answer(job=run.job, results=results, error=failure))
        run.begun.set()

    async def tell(self, job: Job) -> None:
        """Let its user's webhooks know how a job has ended."""
        try:
            await self.webhooks.deliver(job)
        except StorageError as error:
            # the sender looks for jobs that nobody was told of
            LOG.warning("the end of job %s could not be told yet: %s", job.id, error)

    async def _change(self, run: Run, after: Job) -> None:
        async def write() -> None:
            await self.jobs.change(run.job, after)
            run.job = after

        # cancelled half-way, we would not know our own job, and could not end it
        await unbroken(write())

    # ------------------------------------------------------------ answering

    async def _answer_of(self, job: Job, run: Run | None, order: Order) -> Answer:
        while run is None and job.state.is_open:
            # another process works on it, it is late, or it has only just begun here
            await asyncio.sleep(LOOK_AGAIN)
            found = await self.jobs.job(job.id)
            if found is None:
                raise no_job(job.id)
            late = self._runs.get(job.id)
            job, run = found, None if late is None or late.answer.done() else late
        if run is not None:
            return await asyncio.shield(run.answer)
        records = [await self.store.books.find(record_id) for record_id in job.records]
        if job.error is not None and not records:
            if job.error.get("code") in TAKEN_IN_LATER:
                records = [r for picture in job.pictures if (r := await self.made(picture))]
            if not records:
                return Answer(job=job, error=replayed(revived(job.error)))
        if job.state is JobState.CANCELLED:
            return Answer(job=job, error=Busy("The job was cancelled.", retry_after=1.0))
        results = [await self.client.deliver(record, order.plan) for record in records]
        return Answer(job=job, results=tuple(results))

    # ------------------------------------------------------------ starting and stopping

    def works_on(self, job_id: str) -> bool:
        """Whether this process has the job in its hands."""
        return job_id in self._runs

    async def restart(self, job: Job, request: Request) -> None:
        """Work on a job that another process had begun."""
        order = await self.client.order(request)
        user = await self.accounts.user(job.user)
        key = None if job.access is None else await self.accounts.key(job.access)
        self._start(job, order, self._share(user, key))

    def begin(self) -> None:
        """Take up what processes that are gone had left, in the background."""
        self._resuming = asyncio.ensure_future(look_for_orphans(self))
        self._resuming.add_done_callback(_log_failure)

    async def drain(self, seconds: float) -> tuple[str, ...]:
        """Take nothing new, and wait for calls under way; durable jobs that wait stay for later.

        Returns:
            Jobs that are still under way.
        """
        self.is_draining = True
        if self._resuming is not None:
            self._resuming.cancel()
        self.admission.close()
        tasks = [run.task for run in self._runs.values() if run.task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)
        return tuple(self._runs)

    async def close(self) -> None:
        """Close everything; what is still under way is written down as unknown."""
        if self._resuming is not None:
            self._resuming.cancel()
        # what is given up is written down in journal and job before the books are closed
        await self.client.abandon()
        tasks = [run.task for run in self._runs.values() if run.task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=LAST_WORDS)
        closing, self.at_close = self.at_close, []
        for close in closing:
            await close()
        await self.client.close()


def _log_failure(task: "asyncio.Task[None]") -> None:
    if not task.cancelled() and task.exception() is not None:
        LOG.error("jobs of an earlier run could not be taken up", exc_info=task.exception())
