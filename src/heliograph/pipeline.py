"""From a request to a kept, checked, settled image: the steps in order. Read this first.

    check references → plan and price → refuse what is too dear → find a twin → set money aside →
    send → look at what came → keep image, record and ledger lines in one step → export → answer

Invariant: from the moment a request has left, every way out leaves a record behind that says what
happened and what it cost or may have cost; the same holds for a process that is killed, because
the next one finishes what the journal says (`recovery.py`).
"""

import asyncio
import hashlib
import secrets
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from heliograph.aftermath import begun_before
from heliograph.cache import Flight, canonical_key, fingerprint
from heliograph.calls import OpenCall, Shelf, Tools, open_call, unbroken
from heliograph.errors import (
    Charged,
    HeliographError,
    InvalidRequest,
    OutcomeUnknown,
    Problem,
    SizeMismatch,
    StorageError,
    revived,
)
from heliograph.journal import Claim
from heliograph.keeping import (
    is_still_to_be_had,
    keep_doubts,
    let_go,
    refuse_unmarked,
    spool_of,
    take_in,
    write_down_unknown,
)
from heliograph.killpoints import reach
from heliograph.ledger import hold_line, refuse_above_limit
from heliograph.material import checked, gather, kept_inputs
from heliograph.money import dollars
from heliograph.planning import plan as make_plan
from heliograph.planning.cover import enlarges
from heliograph.planning.failover import fallback_plans
from heliograph.ports import Event, Imager, Observer
from heliograph.providers.kinds import POLICY, kind_of, model_is_gone
from heliograph.recovery import end_given_up
from heliograph.repaint import protected
from heliograph.types import (
    Export,
    ExportSpec,
    LedgerLine,
    Plan,
    Record,
    Reference,
    Request,
    Result,
    Verdict,
)

WRONG = (Verdict.DOWNGRADED, Verdict.RATIO_MISMATCH)
LEAST_FREE = 256 << 20  # bytes


@dataclass(frozen=True, kw_only=True)
class Order:
    """What one request may lead to."""

    plans: tuple[Plan, ...]  # the one asked for, then its fallbacks in order
    job: str | None = None  # the id that its record shall have, where somebody has given it one
    resumes: bool = False  # a process that is gone may have made calls for that job already

    @property
    def plan(self) -> Plan:
        return self.plans[0]


@dataclass(frozen=True, kw_only=True)
class Obtained:
    """A kept image and where it came from: see `Result.source`."""

    record: Record
    plan: Plan
    source: str = "call"


async def admit(
    request: Request, model: str | None, shelf: Shelf | None = None, *, simulated: bool = False
) -> Order:
    """Everything that can be refused before a key, a connection or a cent is needed.

    Args:
        model: the default one.
        shelf: the library, where the request needs it (`material.needs_library`).
        simulated: whether the upstream that will be asked is an emulator.

    Raises:
        InvalidRequest: lists every problem.
        CostLimitExceeded: the worst case is above the caller's limit.
    """
    plan = await prepare(request, model, shelf, simulated=simulated)
    if plan.tier == "batch":
        raise InvalidRequest(
            [
                Problem(
                    field="tier",
                    value="batch",
                    message="batches can be priced, but not sent yet",
                    nearest=("flex", "standard"),
                )
            ]
        )
    order = Order(plans=(plan, *fallback_plans(plan)))
    for each in order.plans:
        refuse_above_limit(each)
    reach("parsed")
    return order


async def prepare(
    request: Request, model: str | None, shelf: Shelf | None = None, *, simulated: bool = False
) -> Plan:
    """Check the references and plan; free, and nothing leaves the machine."""
    if shelf is None:
        references: tuple[Reference, ...] = ()
        if request.references or request.base is not None:
            references = await asyncio.to_thread(checked, request)
        return make_plan(request, references, default_model=model)
    gathered = await gather(request, shelf, simulated=simulated)
    return make_plan(request, gathered.references, material=gathered.material, default_model=model)


async def keep_inputs(order: Order, shelf: Shelf) -> Order:
    """The order with the input images that its session needs later kept in the library."""
    return replace(order, plans=tuple([await kept_inputs(plan, shelf) for plan in order.plans]))


async def find_twin(plan: Plan, tools: Tools) -> Obtained | None:
    """A kept picture that answers the request without a call, when the rules allow it."""
    if not may_share(plan, tools):
        return None
    job = await tools.journal.twin(
        canonical_key(plan),
        since=datetime.now(UTC) - tools.rules.twin_life,
        simulated=tools.provider.simulated,
    )
    if job is None:
        return None
    record = await tools.books.find(job)
    if record.result is None or record.finish_reason is None:
        return None  # an answer that broke off is no twin of a whole one
    if plan.request.strict and record.verdict in WRONG:
        return None
    stored = await tools.blobs.keys(record.result.key)
    if record.result.key not in stored:
        return None  # its file was taken away: a picture that is gone answers nothing
    return Obtained(record=record, plan=plan, source="twin")


def may_share(plan: Plan, tools: Tools) -> bool:
    """Whether an identical request may share this one's picture, kept or in the making.

    People expect variety from asking twice; only a seed says that they do not.
    """
    request, rule = plan.request, tools.rules.twins
    if request.fresh or request.idempotency_key is not None or plan.ground:
        return False
    if request.session is not None:
        return False  # a turn is a picture of its own in its session's tree
    return rule == "all" or (rule == "seeded" and request.seed is not None)


async def obtain(
    order: Order, tools: Tools, observer: Observer, flight: Flight[Any]
) -> Obtained | Claim:
    """Make one image, with the repeats and fallbacks that are allowed.

    Returns:
        The kept image; or what the idempotency key of the request stands for already.

    Raises:
        HeliographError: see the tree in errors.py; `record_id` names what was kept.
    """
    doubted: list[OpenCall] = []
    job = flight.job = order.job or secrets.token_hex(16)
    try:
        return await _obtain(job, order, tools, observer, flight=flight, doubted=doubted)
    except HeliographError as error:
        if doubted and error.charged is Charged.NO:
            # this failure cost nothing, but an earlier call of the job may have
            error.charged = Charged.UNKNOWN
            error.record_id = job
            error.facts["may_have_cost_micro"] = sum(c.entry.reserved for c in doubted)
            error.facts["calls_in_doubt"] = [call.entry.id for call in doubted]
            first = doubted[0].entry
            hold = hold_line(first, doubted[0].plan, first.changed)
            try:
                await unbroken(keep_doubts(first, hold, tools))
            except (StorageError, OSError) as trouble:
                error.facts["not_written_down"] = str(trouble)
        raise


async def _obtain(
    job: str,
    order: Order,
    tools: Tools,
    observer: Observer,
    *,
    flight: Flight[Any],
    doubted: list[OpenCall],
) -> Obtained | Claim:
    mark = fingerprint(order.plan, simulated=tools.provider.simulated)
    doubts: list[LedgerLine] = []
    notes: list[str] = []
    plans = list(order.plans)
    before = await begun_before(job, tools) if order.resumes else 0
    if isinstance(before, Record):
        return Obtained(record=before, plan=order.plan, source="replay")
    number = before
    while True:
        plan, number = plans[0], number + 1
        flight.left = bool(doubts)  # all else that was tried before was free
        say = _teller(observer, job)
        say("planned", model=plan.model, size=plan.size, expected_micro=plan.estimate.expected)
        _refuse_full_disk(tools.home)
        call = await open_call(job, number, plan, tools, mark=mark, doubts=doubts)
        if isinstance(call, Claim):
            return call
        say("reserved", call=call.entry.id, micro=call.entry.reserved)
        try:
            record = await _one_call(call, tools, observer, flight, notes)
        except HeliographError as error:
            error.facts["simulated"] = call.entry.simulated
            if isinstance(error, OutcomeUnknown) and "held" in error.facts:
                doubts.append(error.facts.pop("held"))
                doubted.append(call)
                say("retrying", error=error.code, what=error.what, wait=0.0, may_pay_twice=True)
                continue
            if len(plans) == 1 or not _may_fall_back(error):
                raise
            plans.pop(0)
            notes.append(f"{plan.model} could not answer, so {plans[0].model} did: {error.what}")
            say("falling back", error=error.code, what=error.what, model=plans[0].model)
            continue
        say("kept", cost_micro=record.cost, verdict=record.verdict and record.verdict.value)
        return Obtained(record=record, plan=plan)


async def _one_call(
    call: OpenCall,
    tools: Tools,
    observer: Observer,
    flight: Flight[Any],
    notes: Sequence[str],
) -> Record:
    """Send one call and keep its answer; whatever happens, it ends in the journal."""

    def watch(event: Event) -> None:
        if event.name in ("sent", "retrying"):
            # an attempt that is tried again was not charged; an earlier call may have been
            flight.left = event.name == "sent" or bool(call.doubts)
        if event.name == "late":
            flight.late.set()
        observer(event)

    spool = spool_of(call, tools.home)
    limit, high = call.plan.request.max_cost, call.plan.estimate.high
    may_repeat = tools.rules.retry_unknown and not call.doubts
    if limit is not None and limit < 2 * high:
        may_repeat = False  # both might be charged
    try:
        spool.mkdir(parents=True, mode=0o700)  # quicker than handing it to a thread
        reply = await tools.provider.generate(call.plan, spool, call, watch)
        flight.late.clear()  # it is here: who gets on now waits for what is left to do
        refuse_unmarked(reply, call.plan)
    except HeliographError as error:
        await unbroken(_end_failed(call, error, tools, goes_on=may_repeat))
        raise
    except OSError as error:
        refused = StorageError("The spool cannot be written.", why=str(error))
        await unbroken(_end_failed(call, refused, tools, goes_on=False))
        raise refused from error
    except BaseException:
        # cancelled, or a fault of ours: money that was set aside for nothing goes back
        await unbroken(_end_given_up(call, tools, observer))
        raise
    # from here on it is paid for: nobody's impatience may stop it half-way
    record, failure = await unbroken(take_in(call, reply, tools, notes=notes))
    if failure is not None:
        raise failure
    return record


async def _end_failed(
    call: OpenCall, error: HeliographError, tools: Tools, *, goes_on: bool
) -> None:
    if isinstance(error, StorageError) and await call.stop():
        # our own trouble proves nothing: the journal says that it was sent, the spool has what came
        error.charged = Charged.UNKNOWN
        error.record_id = call.entry.job
        error.remedy = "Mend the library; the next command finishes the call from its spool."
        error.facts["may_have_cost_micro"] = call.at_risk
        error.facts["spool"] = str(spool_of(call, tools.home))
        return
    if error.charged is Charged.NO:
        try:
            await let_go(call, error, error.what, tools.home)
        except StorageError as trouble:
            # the next process gives the reservation back
            error.facts["not_written_down"] = str(trouble)
        return
    if is_still_to_be_had(error):
        # it stays open: whoever opens the library next asks for the answer again
        error.record_id = call.entry.job
        return
    retry = goes_on and isinstance(error, OutcomeUnknown)
    hold = await write_down_unknown(call, error, tools, goes_on=retry)
    if retry and hold is not None:
        error.facts["held"] = hold


async def _end_given_up(call: OpenCall, tools: Tools, observer: Observer) -> None:
    """Nobody waits any more; of what has left, what is not here is written down as unknown."""
    if not await call.stop():
        # also when the journal says "sent" by now: whoever wrote that was stopped before the byte
        for hold in call.doubts[:1]:
            await keep_doubts(await tools.journal.find_call(str(hold.call_id)), hold, tools)
        await let_go(call, None, "Given up before it was sent.", tools.home)
        return
    await end_given_up(call, tools, observer)


def _may_fall_back(error: HeliographError) -> bool:
    """Whether another model may do better, and nothing was paid for this one."""
    if error.charged is not Charged.NO:
        return False
    return model_is_gone(error) or POLICY[kind_of(error)].may_fail_over


async def replay(claim: Claim, plan: Plan, tools: Tools) -> Obtained:
    """What an idempotency key stands for, again: no call, no charge.

    Raises:
        HeliographError: the same failure as the first time.
    """
    if claim.error is not None:
        error = revived(claim.error)
        error.facts["replayed"] = True
        raise error
    record = await tools.books.find(claim.job)
    return Obtained(record=record, plan=plan, source="replay")


async def deliver(obtained: Obtained, tools: Tools, observer: Observer) -> Result:
    """Hold the image against `strict`, and make the finished files.

    Raises:
        SizeMismatch: with `strict`, other pixels than asked; the image is kept.
        FinishError: a finished file cannot be made as asked; the image is kept.
    """
    record, plan = obtained.record, obtained.plan
    say = _teller(observer, record.id)
    try:
        _refuse_mismatch(obtained)
        scratch = tools.home / "exports" / record.id
        original = await tools.blobs.local(_result_key(record), scratch)
        reach("exporting")
        exports = await _finished(obtained, original, tools)
    except HeliographError as error:
        error.facts["simulated"] = record.simulated
        if obtained.source != "call":
            error.charged = _charged(obtained)
            error.facts["cost_micro"] = 0  # of this request
        raise
    say("exported", files=len(exports))
    return Result(record=record, plan=plan, path=original, exports=exports, source=obtained.source)


async def _finished(obtained: Obtained, original: Path, tools: Tools) -> tuple[Export, ...]:
    record, plan = obtained.record, obtained.plan
    wanted = tuple(_within(record, plan.exports))
    if plan.area is None or not plan.area.protect:
        return await export(record, original, wanted, tools.imager, tools.home)
    # what stays as it was is put back first: the files are made of that
    with kept_whatever(record, original):
        whole = await protected(record, tools)
    made = await export(record, whole.path, wanted, tools.imager, tools.home)
    return made if any(e.name == "export" for e in made) else (whole, *made)


def _within(record: Record, specs: Sequence[ExportSpec]) -> Iterator[ExportSpec]:
    """The exports that a picture of fewer pixels than asked can be made into.

    Blown up it would look like what was ordered, and not be it: then it keeps its own pixels, in
    the format that was ordered, with the verdict and the warning of its record.
    """
    have = None if record.result is None else record.result.pixels
    for spec in specs:
        if have is None or spec.pixels is None or not enlarges(have, spec.pixels):
            yield spec
        elif not (smaller := replace(spec, pixels=None)).is_copy:
            yield smaller


def _refuse_mismatch(obtained: Obtained) -> None:
    record, plan = obtained.record, obtained.plan
    wrong = record.verdict in WRONG
    if not plan.request.strict or not wrong or record.result is None or record.verdict is None:
        return
    raise SizeMismatch(
        f"Asked for {plan.expected or plan.size}, got {record.result.pixels}.",
        why=" ".join(record.warnings) or None,
        remedy=f"The image is kept as {record.id[:8]} and was charged at "
        f"{dollars(record.cost)}; leave out strict to accept such answers.",
        charged=_charged(obtained),
        record_id=record.id,
        facts={
            "verdict": record.verdict.value,
            "pixels": str(record.result.pixels),
            "expected": str(plan.expected) if plan.expected else None,
            "cost_micro": record.cost,
        },
    )


def _charged(obtained: Obtained) -> Charged:
    """Whether this request was charged; what another call paid for is not charged again."""
    return Charged.YES if obtained.source == "call" and obtained.record.cost else Charged.NO


async def export(
    record: Record, original: Path, specs: Sequence[ExportSpec], imager: Imager, home: Path
) -> tuple[Export, ...]:
    """Make the finished files; the original stays untouched and safe whatever happens here."""
    with kept_whatever(record, original):
        return tuple([await _export(record, original, spec, imager, home) for spec in specs])


@contextmanager
def kept_whatever(record: Record, original: Path) -> Iterator[None]:
    """What fails in here fails after the picture was kept, and its error says so."""
    try:
        yield
    except HeliographError as error:
        error.record_id = record.id
        error.charged = Charged.YES if record.cost else Charged.NO
        error.facts |= {"original": str(original), "cost_micro": record.cost}
        raise


async def _export(
    record: Record, original: Path, spec: ExportSpec, imager: Imager, home: Path
) -> Export:
    # a folder for each way of finishing: an earlier export of this record keeps its file
    digest = hashlib.sha256(repr(spec).encode()).hexdigest()[:12]
    folder = home / "exports" / record.id / digest
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise StorageError(
            "The folder for finished files cannot be made.",
            why=str(error),
            remedy=f"Check {home}; the original is safe.",
        ) from error
    return await imager.finish(original, spec, folder)


def _refuse_full_disk(home: Path) -> None:
    """A paid answer that finds no room is the worst place to notice a full disk."""
    free = shutil.disk_usage(home).free
    if free < LEAST_FREE:
        raise StorageError(
            f"Only {free >> 20} MiB are free where the library lies; nothing was sent.",
            why=f"A 4K answer takes about 100 MiB; below {LEAST_FREE >> 20} MiB nothing is sent.",
            remedy=f"Make room on the disk of {home}, or choose another home folder.",
        )


def _result_key(record: Record) -> str:
    if record.result is None:
        raise AssertionError("only an answered call has a result")
    return record.result.key


def _teller(observer: Observer, job: str) -> Callable[..., None]:
    loop = asyncio.get_running_loop()
    begun = loop.time()

    def say(name: str, **facts: object) -> None:
        observer(Event(name=name, job=job, at=loop.time() - begun, facts=facts))

    return say
