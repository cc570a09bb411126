"""Reply → Record: settles an answer and keeps it; writes down what nobody can know.

Invariant: whatever a call that has left comes to, it ends in the journal with its money moved,
and no byte that may be paid for is deleted before it lies safe elsewhere.
"""

import asyncio
import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from heliograph.calls import OpenCall, Shelf
from heliograph.durable import flush_file, flush_folder
from heliograph.errors import (
    Charged,
    CorruptImage,
    HeliographError,
    OutcomeUnknown,
    RecordNotFound,
    Refused,
    StorageError,
)
from heliograph.journal import CallEntry, Stage, moved
from heliograph.killpoints import reach
from heliograph.ledger import (
    HOLD_RELEASE,
    SETTLE,
    Settlement,
    hold_release_line,
    month_start,
    resolved_line,
    settle,
    settle_line,
)
from heliograph.looking import Looked, look
from heliograph.money import dollars
from heliograph.planning import CONTEXT_LOST
from heliograph.ports import Books
from heliograph.provenance import answer_document, answer_key, files_of, record_of
from heliograph.providers.spool import discard, places_of
from heliograph.quarantine import put_aside, quarantine
from heliograph.storage import (
    plan_from_document,
    record_from_json,
    sidecar_key,
    store,
    store_lines,
)
from heliograph.types import LedgerLine, Outcome, Plan, Record, Reply, Role

LOG = logging.getLogger("heliograph")


async def take_in(
    call: OpenCall, reply: Reply, shelf: Shelf, *, notes: Sequence[str] = ()
) -> tuple[Record, HeliographError | None]:
    """Look at an answer, keep it and settle it; when that fails, say where the paid bytes lie.

    Args:
        notes: warnings for the record that do not come from the answer.

    Returns:
        The record, and the error that the answer is when it holds no usable image.

    Raises:
        StorageError: it could not be kept; the spool is left as it is, and the next start of
            any process with this library tries again.
    """
    try:
        # looking takes longest and changes nothing, so the disk works meanwhile
        written = asyncio.ensure_future(_write_received(call, shelf.home))
        try:
            looked = await look(reply, call.plan, shelf.imager)
        finally:
            await asyncio.wait([written])
            written.exception()  # a picture that cannot be looked at is the first to tell
        await written
        reach("looked")
        return await _keep(call, reply, looked, shelf, notes)
    except (StorageError, OSError) as error:
        free = reply.refusal is not None and reply.refusal.charged is Charged.NO
        trouble = error if isinstance(error, StorageError) else None
        spool = places_of(spool_of(call, shelf.home))[0]
        raise StorageError(
            trouble.what if trouble else "The answer could not be kept.",
            why=trouble.why if trouble else str(error),
            remedy=f"What arrived waits in {spool}; make room or mend the library, and the next "
            "command, or a gateway that runs on, takes it in.",
            charged=Charged.NO if free else Charged.YES,
            record_id=call.entry.job,
            facts={"spool": str(spool), "may_have_cost_micro": call.plan.estimate.high},
        ) from error


def refuse_unmarked(reply: Reply, plan: Plan) -> None:
    """Refuse a picture of an answer that broke off before it could be called a draft, when drafts
    were asked for.

    Raises:
        OutcomeUnknown: it may be a draft, and whether the picture was made nobody knows.
    """
    if reply.unmarked and plan.request.include_thoughts:
        raise OutcomeUnknown(
            "The answer broke off before it could say whether its picture is only a draft.",
            why="Drafts were asked for, and the mark of a draft stands behind its picture.",
            remedy="It may have been charged; what arrived is kept in quarantine.",
            charged=Charged.UNKNOWN,
        )


_clearing: set["asyncio.Task[None]"] = set()


def _clear_away(spool: Path) -> None:
    """Delete a spool whose answer is kept; what a crash leaves of it, the next recovery deletes."""
    task = asyncio.ensure_future(asyncio.to_thread(discard, spool))
    _clearing.add(task)
    task.add_done_callback(_clearing.discard)


async def all_cleared() -> None:
    """Until every spool that may go has gone."""
    loop = asyncio.get_running_loop()
    mine = [task for task in _clearing if task.get_loop() is loop]
    if mine:
        await asyncio.wait(mine)


async def _write_received(call: OpenCall, home: Path) -> None:
    """Journal that the answer is here, once it would survive a power loss."""
    await asyncio.to_thread(_flush_spool, spool_of(call, home))
    await call.received()


def _flush_spool(spool: Path) -> None:
    """Make the answer as it came survive a power loss, before the journal says that it is here.

    A disk that refuses is no reason to stop: the picture is about to be stored durably anyway.
    """
    try:
        heads = (*spool.glob("*/head.json"), *(p / "head.json" for p in places_of(spool)[:-1]))
        for head in heads:
            for path in (head, head.with_name("body.raw")):
                if path.exists():
                    flush_file(path)
            flush_folder(head.parent)
        flush_folder(spool)
        flush_folder(spool.parent)
    except OSError as error:
        LOG.warning("the spool %s cannot be flushed: %s", spool, error)


async def finish_stored(call: OpenCall, shelf: Shelf) -> bool:
    """End a call whose files and sidecar are durable already, from what the sidecar says.

    Returns:
        Whether the sidecar could be read; if not, the spool has to do.
    """
    facts = call.entry.trail[-1].facts if call.entry.stage is Stage.STORED else {}
    try:
        record, lines = record_from_json(await shelf.blobs.read(str(facts.get("sidecar"))))
    except StorageError:
        return False
    stages = {Outcome.KEPT: Stage.SETTLED, Outcome.REFUSED: Stage.REFUSED}
    stage = stages.get(record.outcome, Stage.QUARANTINED)
    own = [line for line in lines if line.call_id == call.entry.id]
    error = None if record.outcome is Outcome.KEPT else failure_in(record)
    await call.answered(stage, record, own, error=error, note=_note(record))
    await asyncio.to_thread(discard, spool_of(call, shelf.home))
    return True


def failure_in(record: Record) -> HeliographError:
    """The failure that a record without an image stands for, as far as the record tells."""
    kind = CorruptImage if record.outcome is Outcome.QUARANTINED else Refused
    return kind(
        "The answer held no usable image.",
        why=" ".join((*record.texts, *record.warnings)) or record.finish_reason,
        charged=Charged.YES if record.cost else Charged.NO,
        record_id=record.id,
        facts={"cost_micro": record.cost, "finish_reason": record.finish_reason},
    )


async def _keep(
    call: OpenCall, reply: Reply, looked: Looked, shelf: Shelf, notes: Sequence[str]
) -> tuple[Record, HeliographError | None]:
    plan, entry = call.plan, call.entry
    settlement = await _settle(call, reply, looked, shelf.books)
    stage, outcome = Stage.SETTLED, Outcome.KEPT
    if looked.result is None:
        stage, outcome = Stage.QUARANTINED, Outcome.QUARANTINED
    if reply.refusal is not None:
        stage, outcome = Stage.REFUSED, Outcome.REFUSED
    record = record_of(
        entry,
        plan,
        reply,
        looked.images,
        outcome=outcome,
        cost=settlement.micro if settlement else 0,
        warnings=[*_warnings(call, reply, looked, settlement), *notes],
    )
    size = looked.result.returned_size if looked.result else plan.size
    now = datetime.now(UTC)
    settled = [settle_line(entry, plan, settlement, size, at=now)] if settlement else []
    paths = [part.path for part in (*(b.part for b in looked.broken), *looked.tailed)]
    if paths:
        await asyncio.to_thread(quarantine, entry.job, paths, shelf.home)
    files: dict[str, Path | bytes] = {**files_of(looked.images, reply)}
    answer = answer_document(looked.images, reply) if plan.request.verbatim is not None else None
    if answer is not None:
        files[answer_key(entry.job)] = json.dumps(answer).encode()
    lines: Sequence[LedgerLine] = [*settled, *call.doubts]
    # an earlier run that was killed may have kept it already: then its word stands
    record, lines = await store(record, lines, blobs=shelf.blobs, files=files)
    await call.stored(sidecar_key(record))
    own = [line for line in lines if line.call_id == entry.id]
    failure = _failure_of(record, reply, looked)
    await call.answered(stage, record, own, error=failure, note=_note(record))
    # only now, and only here: everything paid for lies safe elsewhere; nobody waits for it
    _clear_away(spool_of(call, shelf.home))
    return record, failure


def _failure_of(record: Record, reply: Reply, looked: Looked) -> HeliographError | None:
    """The error that an answer without a usable image is; everything is kept already."""
    if reply.refusal is not None:
        reply.refusal.record_id = record.id
        reply.refusal.facts["cost_micro"] = record.cost
        return reply.refusal
    if looked.result is not None:
        return None
    defect = looked.broken[-1].defect if looked.broken else "there was none"
    return CorruptImage(
        "The image arrived damaged.",
        why=f"Its bytes are no intact image: {defect}.",
        remedy=f"It is charged ({dollars(record.cost)}) and kept in quarantine; ask again.",
        charged=Charged.YES,
        record_id=record.id,
        facts={"cost_micro": record.cost},
    )


def is_still_to_be_had(error: HeliographError) -> bool:
    """Whether the upstream keeps the answer of a failed call, to be asked for again at no cost."""
    return error.facts.get("may_be_asked_for") is True


async def write_down_unknown(
    call: OpenCall, error: HeliographError, shelf: Shelf, *, goes_on: bool = False
) -> LedgerLine | None:
    """End a call whose outcome nobody knows, and say in `error` what it may have cost.

    When even that fails, the spool is left where it is, the journal still says that the call was
    sent, and the facts say why: no trouble with a disk may turn it into "not charged".

    Args:
        goes_on: the job is tried again, so it has no record yet.

    Returns:
        The hold line, or None when it could not be written.
    """
    error.charged = Charged.UNKNOWN
    error.facts["may_have_cost_micro"] = call.at_risk
    error.record_id = call.entry.job
    hold = call.hold()
    try:
        await _note_unknown(call, hold, error, shelf, goes_on=goes_on)
    except (StorageError, OSError) as trouble:
        spool = places_of(spool_of(call, shelf.home))[0]
        error.facts |= {"not_written_down": str(trouble), "spool": str(spool)}
        return None
    error.facts["record"] = call.entry.job
    await asyncio.to_thread(discard, spool_of(call, shelf.home))
    return hold


async def _note_unknown(
    call: OpenCall, hold: LedgerLine, error: HeliographError, shelf: Shelf, *, goes_on: bool
) -> None:
    await asyncio.to_thread(put_aside, spool_of(call, shelf.home), call.entry.job, shelf.home)
    record: Record | None = None
    if not goes_on:
        warning = f"{error.what} It may have cost up to {dollars(call.entry.reserved)}."
        record = record_of(
            call.entry, call.plan, None, (), outcome=Outcome.UNKNOWN, cost=0, warnings=[warning]
        )
        lines = [hold, *call.doubts]
        record, lines_kept = await store(record, lines, blobs=shelf.blobs, files={})
        hold = next(line for line in lines_kept if line.call_id == call.entry.id)
    await call.doubted(hold, record, error, error.what)


async def let_go(call: OpenCall, error: HeliographError | None, note: str, home: Path) -> None:
    """End a call that provably cost nothing."""
    await call.released(error, note)
    await asyncio.to_thread(discard, spool_of(call, home))


async def resolve(entry: CallEntry, micro: int | None, shelf: Shelf) -> CallEntry:
    """Close a call of unknown outcome with what the provider's billing says.

    Args:
        micro: what was billed in micro-dollars; None when nothing was.

    Raises:
        StorageError: the call is not one of unknown outcome, or it cannot be written.
    """
    if not entry.stage.is_doubtful:
        raise StorageError(
            f"Call {entry.id} is {entry.stage.value}; there is nothing to resolve.",
            why="Only calls that are unknown or held wait for an answer.",
            remedy="`heliograph calls list --doubtful` shows them.",
        )
    plan = plan_from_document(entry.plan)
    now = max(datetime.now(UTC), entry.changed)
    lines: Sequence[LedgerLine] = [hold_release_line(entry, plan, now)]
    if micro is not None:
        lines = [*lines, resolved_line(entry, plan, micro, now)]
    try:
        record = await shelf.books.find(entry.job)
    except RecordNotFound:
        record = None  # a job that went on after this call may have none
    if record is not None:
        name = f"resolved-{entry.id.rpartition('-')[2]}"
        # a run that was killed between file and database has decided already
        try:
            lines = await store_lines(record, lines, name=name, blobs=shelf.blobs)
        except StorageError as error:
            if "key" not in error.facts:
                raise
            # it had decided the other way: whether anything was billed at all
            settled = [resolved_line(entry, plan, 0, now)] if micro is None else []
            lines = [lines[0], *settled]
            lines = await store_lines(record, lines, name=name, blobs=shelf.blobs)
    billed = next((line.micro for line in lines if line.kind == SETTLE), None)
    stage = Stage.RELEASED if billed is None else Stage.SETTLED
    said = "nothing was billed" if billed is None else f"{dollars(billed)} were billed"
    after = moved(entry, stage, now, note=f"Resolved by hand: {said}.")
    await shelf.journal.change(entry, after, lines=lines)
    return after


async def resolve_without_call(hold: LedgerLine, micro: int | None, shelf: Shelf) -> None:
    """Close a hold whose call is not in the journal any more, as after a rebuild.

    Raises:
        StorageError: it cannot be written.
    """
    now = datetime.now(UTC)
    call_id = hold.call_id or hold.record_id
    release = replace(
        hold, entry_id=f"{call_id}-{HOLD_RELEASE}", kind=HOLD_RELEASE, micro=-hold.micro, at=now
    )
    lines: Sequence[LedgerLine] = [release]
    if micro is not None:
        note = {"note": "resolved by hand"}
        settled = replace(
            hold, entry_id=f"{call_id}-{SETTLE}", kind=SETTLE, micro=micro, at=now, detail=note
        )
        lines = [release, settled]
    record = await shelf.books.find(hold.record_id)
    number = call_id.rpartition("-")[2]
    lines = await store_lines(record, lines, name=f"resolved-{number}", blobs=shelf.blobs)
    await shelf.books.keep(record, lines)


async def keep_doubts(entry: CallEntry, hold: LedgerLine, shelf: Shelf) -> None:
    """Give a job a record that ends without one, though an earlier call of it may be charged.

    Args:
        entry: the earlier call, in doubt.
        hold: its hold line.

    Raises:
        StorageError, OSError: it cannot be written.
    """
    record = record_of(
        entry,
        plan_from_document(entry.plan),
        None,
        (),
        outcome=Outcome.UNKNOWN,
        cost=0,
        warnings=[f"{entry.note} It may have cost up to {dollars(entry.reserved)}."],
    )
    record, kept = await store(record, [hold], blobs=shelf.blobs, files={})
    await shelf.books.keep(record, kept)


async def _settle(call: OpenCall, reply: Reply, looked: Looked, books: Books) -> Settlement | None:
    """None when the upstream says that this answer is not charged."""
    if reply.refusal is not None and reply.refusal.charged is Charged.NO:
        return None
    paid = [i for i in looked.images if i.role is not Role.DRAFT]
    lost = [b for b in looked.broken if not b.part.thought]
    before = 0
    if reply.grounding:
        start = month_start(datetime.now(UTC))
        before = await books.queries_since(start, simulated=call.entry.simulated)
    return settle(
        call.plan,
        reply.usage,
        [*(i.returned_size for i in paid), *(call.plan.size for _ in lost)],
        grounding=reply.grounding,
        queries_before=before,
    )


def _warnings(
    call: OpenCall, reply: Reply, looked: Looked, settlement: Settlement | None
) -> list[str]:
    warnings = list(looked.result.warnings) if looked.result else []
    extras = sum(1 for i in looked.images if i.role is Role.EXTRA)
    if extras:
        warnings.append(
            f"The answer held {extras + 1} finished images; each is billed, the last is the "
            "result, the others are kept as extras."
        )
    for broken in looked.broken:
        kind = "draft" if broken.part.thought else "image"
        warnings.append(f"A damaged {kind} lies in quarantine: {broken.defect}.")
    if reply.salvaged:
        warnings.append(
            "The answer broke off after the picture; the picture is whole, and is settled by "
            "the price table because the usage never came."
            if reply.usage is None
            else "The answer broke off after the picture, which is whole."
        )
        if reply.unmarked:
            warnings.append("It broke off before it could say whether this is only a draft.")
    elif settlement and settlement.anomaly:
        warnings.append(
            f"The reported usage cannot be right ({settlement.anomaly}); settled by the price "
            "table instead."
        )
    if settlement and settlement.micro > call.entry.reserved:
        warnings.append(
            f"It cost {dollars(settlement.micro)}, more than the {dollars(call.entry.reserved)} "
            "that the price list allows for; all of it is settled."
        )
    if not call.plan.carries_context:
        warnings.append(CONTEXT_LOST)
    if reply.attempts > 1:
        warnings.append(f"It took {reply.attempts} attempts; the failed ones are not charged.")
    if call.doubts:
        held = sum(line.micro for line in call.doubts)
        warnings.append(
            f"An earlier call of this job has an unknown outcome and may have cost up to "
            f"{dollars(held)} besides; see `heliograph calls list`."
        )
    return warnings


def _note(record: Record) -> str | None:
    return record.warnings[0] if record.warnings else None


def spool_of(call: OpenCall, home: Path) -> Path:
    """The folder that takes the call's answer."""
    return home / "spool" / call.entry.spool
