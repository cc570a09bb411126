"""From a request to a kept, checked, settled image: the steps in order. Read this first.

    check references → plan and price → refuse what is too dear → send → look at what came →
    settle → keep image, record and ledger line in one step → answer, or say why not → export

Invariant: from the moment a request has left, every way out of `make` leaves a record behind that
says what happened and what it cost or may have cost.
"""

import asyncio
import contextlib
import hashlib
import logging
import secrets
import shutil
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol, TypeVar

from heliograph.errors import (
    Charged,
    CorruptImage,
    HeliographError,
    InvalidRequest,
    Problem,
    SizeMismatch,
    StorageError,
)
from heliograph.imaging import NotAnImage, check_references, ending, judge, read_header
from heliograph.ledger import (
    Settlement,
    month_start,
    refuse_above_limit,
    settle,
    settle_line,
)
from heliograph.money import dollars
from heliograph.planning import plan as make_plan
from heliograph.ports import Blobs, Books, Event, Imager, Inspection, Observer, Provider
from heliograph.provenance import Call, files_of, record_of
from heliograph.storage import keep
from heliograph.types import (
    Export,
    ExportSpec,
    Header,
    Image,
    Outcome,
    Plan,
    Record,
    Reply,
    ReplyImage,
    Request,
    Result,
    Role,
    Verdict,
)

LOG = logging.getLogger("heliograph")
LEAST_FREE = 256 << 20  # bytes
T = TypeVar("T")


class Tools(Protocol):
    """The ways out that a call needs; the client builds them."""

    @property
    def provider(self) -> Provider: ...
    @property
    def imager(self) -> Imager: ...
    @property
    def blobs(self) -> Blobs: ...
    @property
    def books(self) -> Books: ...
    @property
    def home(self) -> Path: ...


@dataclass(frozen=True, kw_only=True)
class Broken:
    """An image of an answer whose bytes are no intact image."""

    part: ReplyImage
    defect: str


@dataclass(frozen=True, kw_only=True)
class Looked:
    """What the images of an answer turned out to be."""

    images: tuple[Image, ...]
    broken: tuple[Broken, ...]

    @property
    def result(self) -> Image | None:
        return next((i for i in self.images if i.role is Role.RESULT), None)


async def make(plan: Plan, tools: Tools, observer: Observer) -> Result:
    """Make one image of a plan that `admit` has let through.

    Raises:
        HeliographError: see the tree in errors.py; `record_id` names what was kept.
    """
    call = Call(
        id=secrets.token_hex(16),
        upstream=tools.provider.upstream,
        simulated=tools.provider.simulated,
    )
    say = _teller(observer, call.id)
    say("planned", model=plan.model, size=plan.size, expected_micro=plan.estimate.expected)
    try:
        _refuse_full_disk(tools.home)
        reply = await send(plan, call, tools, observer)
        # from here on it is paid for: nobody's impatience may stop it half-way
        looked, record = await unbroken(take_in(call, plan, reply, tools))
        say("kept", cost_micro=record.cost, verdict=record.verdict and record.verdict.value)
        raise_unless_answered(record, plan, reply, looked)
        original = await tools.blobs.local(_result_key(record), tools.home / "exports" / record.id)
        exports = await export(record, original, plan.exports, tools.imager, tools.home)
    except HeliographError as error:
        error.facts["simulated"] = call.simulated
        raise
    say("exported", files=len(exports))
    return Result(record=record, plan=plan, path=original, exports=exports)


async def admit(request: Request, model: str | None) -> Plan:
    """Everything that can be refused before a key, a connection or a cent is needed.

    Raises:
        InvalidRequest: lists every problem.
        CostLimitExceeded: the worst case is above the caller's limit.
    """
    plan = await prepare(request, model)
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
    refuse_above_limit(plan)
    return plan


async def prepare(request: Request, model: str | None) -> Plan:
    """Check the references and plan; free, and nothing leaves the machine."""
    references = await asyncio.to_thread(check_references, request.references)
    return make_plan(request, references, default_model=model)


async def send(plan: Plan, call: Call, tools: Tools, observer: Observer) -> Reply:
    """Make the paid call; if it may have cost something without an answer, write that down."""
    left = False

    def watch(event: Event) -> None:
        nonlocal left
        if event.name in ("sent", "retrying"):
            # an attempt that is tried again was not charged
            left = event.name == "sent"
        observer(event)

    spool = _spool(call, tools)
    spool.mkdir(parents=True, mode=0o700)
    try:
        return await tools.provider.generate(plan, spool, watch)
    except HeliographError as error:
        if error.charged is not Charged.NO:
            error.facts |= await _write_down(call, plan, tools, error.what)
            error.record_id = error.facts.get("record")
        else:
            shutil.rmtree(spool, ignore_errors=True)
        raise
    except asyncio.CancelledError:
        if left:
            facts = await _write_down(call, plan, tools, "Given up while waiting.")
            observer(Event(name="given up", job=call.id, at=0.0, facts=facts))
        else:
            shutil.rmtree(spool, ignore_errors=True)
        raise


async def take_in(call: Call, plan: Plan, reply: Reply, tools: Tools) -> tuple[Looked, Record]:
    """Look at an answer and keep it; when that fails, say where the paid bytes lie.

    Raises:
        StorageError: it could not be kept; the spool is left as it is.
    """
    try:
        looked = await look(reply, plan, tools.imager)
        return looked, await keep_answer(call, plan, reply, looked, tools)
    except (StorageError, OSError) as error:
        free = reply.refusal is not None and reply.refusal.charged is Charged.NO
        trouble = error if isinstance(error, StorageError) else None
        raise StorageError(
            trouble.what if trouble else "The answer could not be kept.",
            why=trouble.why if trouble else str(error),
            remedy=f"What arrived waits in {_spool(call, tools)}; make room or mend the library.",
            charged=Charged.NO if free else Charged.YES,
            facts={"spool": str(_spool(call, tools)), "may_have_cost_micro": plan.estimate.high},
        ) from error


async def unbroken(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end even when cancelled, and only then pass the cancellation on."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            with contextlib.suppress(asyncio.CancelledError):  # impatience does not add up
                await asyncio.wait([task])
        if not task.cancelled() and task.exception() is not None:
            LOG.warning("an answer was kept only in part", exc_info=task.exception())
        raise


async def look(reply: Reply, plan: Plan, imager: Imager) -> Looked:
    """Check every image: type and size from its header, wholeness by decoding it."""
    finals = [part for part in reply.images if not part.thought]
    images: list[Image] = []
    broken: list[Broken] = []
    for part in reply.images:
        role = Role.DRAFT if part.thought else Role.EXTRA
        if finals and part is finals[-1]:
            role = Role.RESULT
        checked = await _look_at(part, role, plan, imager)
        if isinstance(checked, Image):
            images.append(checked)
        else:
            broken.append(checked)
    return Looked(images=tuple(images), broken=tuple(broken))


async def keep_answer(call: Call, plan: Plan, reply: Reply, looked: Looked, tools: Tools) -> Record:
    """Settle the cost and keep images, record and ledger line in one step."""
    settlement = await _settle(call, plan, reply, looked, tools.books)
    outcome = Outcome.KEPT if looked.result else Outcome.QUARANTINED
    if reply.refusal is not None:
        outcome = Outcome.REFUSED
    record = record_of(
        call,
        plan,
        reply,
        looked.images,
        outcome=outcome,
        cost=settlement.micro if settlement else 0,
        warnings=_warnings(reply, looked, settlement),
    )
    _quarantine(call, [b.part.path for b in looked.broken], tools.home)
    size = looked.result.returned_size if looked.result else plan.size
    lines = (
        [settle_line(call.id, plan, settlement, size, simulated=call.simulated)]
        if settlement
        else []
    )
    files = files_of(looked.images, reply)
    await keep(record, lines, blobs=tools.blobs, books=tools.books, files=files)
    # only now, and only here: everything paid for lies safe elsewhere
    shutil.rmtree(_spool(call, tools), ignore_errors=True)
    return record


def raise_unless_answered(record: Record, plan: Plan, reply: Reply, looked: Looked) -> None:
    """Turn an answer that is no answer into its error; everything is kept already."""
    if reply.refusal is not None:
        reply.refusal.record_id = record.id
        reply.refusal.facts["cost_micro"] = record.cost
        raise reply.refusal
    if looked.result is None:
        defect = looked.broken[-1].defect if looked.broken else "there was none"
        raise CorruptImage(
            "The image arrived damaged.",
            why=f"Its bytes are no intact image: {defect}.",
            remedy=f"It is charged ({dollars(record.cost)}) and kept in quarantine; ask again.",
            charged=Charged.YES,
            record_id=record.id,
            facts={"cost_micro": record.cost},
        )
    wrong = looked.result.verdict in (Verdict.DOWNGRADED, Verdict.RATIO_MISMATCH)
    if plan.request.strict and wrong:
        raise SizeMismatch(
            f"Asked for {plan.expected or plan.size}, got {looked.result.header.pixels}.",
            why=" ".join(looked.result.warnings) or None,
            remedy=f"The image is kept as {record.id[:8]} and charged at "
            f"{dollars(record.cost)}; leave out strict to accept such answers.",
            charged=Charged.YES,
            record_id=record.id,
            facts={
                "verdict": looked.result.verdict.value,
                "pixels": str(looked.result.header.pixels),
                "expected": str(plan.expected) if plan.expected else None,
                "cost_micro": record.cost,
            },
        )


async def export(
    record: Record, original: Path, specs: Sequence[ExportSpec], imager: Imager, home: Path
) -> tuple[Export, ...]:
    """Make the finished files; the original stays untouched and safe whatever happens here."""
    try:
        return tuple([await _export(record, original, spec, imager, home) for spec in specs])
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
            why=f"A 4K answer takes about 40 MiB; below {LEAST_FREE >> 20} MiB nothing is sent.",
            remedy=f"Make room on the disk of {home}, or choose another home folder.",
        )


async def _look_at(part: ReplyImage, role: Role, plan: Plan, imager: Imager) -> Image | Broken:
    if part.defect is not None:
        return Broken(part=part, defect=part.defect)
    try:
        header = await asyncio.to_thread(read_header, part.path)
    except NotAnImage as error:
        return Broken(part=part, defect=str(error))
    if role is Role.DRAFT:
        # drafts are kept for the curious; nobody pays for them or relies on them
        return _image(part, header, role, Verdict.UNASKED, [])
    try:
        found = await imager.inspect(part.path)
    except StorageError as error:
        # no word on the picture itself: fall back on what its structure tells
        found = await asyncio.to_thread(_walked, part.path)
        warnings = [f"It could not be decoded for checking: {error}"]
    else:
        warnings = []
    if not found.intact:
        return Broken(part=part, defect=found.defect or "it does not decode")
    if found.trailing:
        warnings.append(f"{found.trailing} bytes stand after the end of the image.")
    judgement = judge(header.pixels, plan)
    image = _image(part, header, role, judgement.verdict, [*judgement.warnings, *warnings])
    return replace(image, returned_size=judgement.returned_size)


def _walked(path: Path) -> Inspection:
    end = ending(path)
    return Inspection(intact=end.complete, defect=end.defect, pixels=None, trailing=end.trailing)


def _image(
    part: ReplyImage, header: Header, role: Role, verdict: Verdict, warnings: Sequence[str]
) -> Image:
    return Image(
        path=part.path,
        sha256=part.sha256,
        size=part.size,
        header=header,
        role=role,
        verdict=verdict,
        warnings=tuple(warnings),
        signature=part.signature,
    )


async def _settle(
    call: Call, plan: Plan, reply: Reply, looked: Looked, books: Books
) -> Settlement | None:
    """None when the upstream says that this answer is not charged."""
    if reply.refusal is not None and reply.refusal.charged is Charged.NO:
        return None
    paid = [i for i in looked.images if i.role is not Role.DRAFT]
    lost = [b for b in looked.broken if not b.part.thought]
    before = 0
    if reply.grounding:
        before = await books.queries_since(month_start(datetime.now(UTC)), simulated=call.simulated)
    return settle(
        plan,
        reply.usage,
        [*(i.returned_size for i in paid), *(plan.size for _ in lost)],
        grounding=reply.grounding,
        queries_before=before,
    )


def _warnings(reply: Reply, looked: Looked, settlement: Settlement | None) -> list[str]:
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
    if settlement and settlement.anomaly:
        warnings.append(
            f"The reported usage cannot be right ({settlement.anomaly}); settled by the price "
            "table instead."
        )
    if reply.attempts > 1:
        warnings.append(f"It took {reply.attempts} attempts; the failed ones are not charged.")
    return warnings


async def _write_down(call: Call, plan: Plan, tools: Tools, what: str) -> dict[str, Any]:
    """Record a call whose outcome nobody knows, and say what it may have cost.

    When even that fails, the spool is left where it is and the facts say why: the outcome stays
    unknown, and no trouble with a disk may turn it into "not charged".
    """
    facts: dict[str, Any] = {"may_have_cost_micro": plan.estimate.high}
    try:
        await unbroken(_note_unknown(call, plan, tools, what))
    except (StorageError, OSError) as trouble:
        return {**facts, "not_written_down": str(trouble), "spool": str(_spool(call, tools))}
    shutil.rmtree(_spool(call, tools), ignore_errors=True)
    return {**facts, "record": call.id}


async def _note_unknown(call: Call, plan: Plan, tools: Tools, what: str) -> None:
    arrived = [p for p in _spool(call, tools).rglob("*") if p.is_file()]
    _quarantine(call, arrived, tools.home)
    warning = f"{what} It may have cost up to {dollars(plan.estimate.high)}."
    record = record_of(call, plan, None, (), outcome=Outcome.UNKNOWN, cost=0, warnings=[warning])
    await keep(record, [], blobs=tools.blobs, books=tools.books, files={})


def _quarantine(call: Call, files: Sequence[Path], home: Path) -> None:
    """Put paid bytes aside that cannot be delivered; code never deletes them."""
    folder = home / "quarantine" / call.id
    for file in files:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        rest = file.with_name(file.name + ".rest")
        for path in (file, rest):
            if path.exists():
                # the spool may be on another file system
                shutil.move(path, folder / f"{path.parent.name}-{path.name}")


def _spool(call: Call, tools: Tools) -> Path:
    return tools.home / "spool" / call.id


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
