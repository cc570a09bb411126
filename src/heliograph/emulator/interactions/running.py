"""Creating an interaction, in the foreground or behind it; invariant: one ledger line for each.

The line is opened by the create call and closed when the interaction ends, however it ends.
"""

import asyncio
import dataclasses
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from heliograph.emulator.asking import Ask, last_prompt, read_ask
from heliograph.emulator.desk import Desk, log_body
from heliograph.emulator.encoding import Body
from heliograph.emulator.envelope import ApiError, invalid, not_found
from heliograph.emulator.faults.contract import Case, Delivery, Fault
from heliograph.emulator.faults.errors import deadline_exceeded
from heliograph.emulator.generating import (
    INLINE_LIMIT,
    Job,
    api_key,
    bill,
    finish_word,
    image_line,
    latency,
    see,
)
from heliograph.emulator.interactions import answering
from heliograph.emulator.interactions.reading import Wish, read_wish
from heliograph.emulator.interactions.refusing import (
    InteractionError,
    blocked,
    refusal,
    translated,
)
from heliograph.emulator.interactions.store import InteractionStore, Kept, new_id, well_formed
from heliograph.emulator.interactions.turning import turns
from heliograph.emulator.keys import Caller, admit, check_quota
from heliograph.emulator.ledger import Call
from heliograph.emulator.models import MODELS, Model
from heliograph.emulator.protojson import load
from heliograph.emulator.rendering import paint_scene
from heliograph.emulator.reply import Painted
from heliograph.emulator.rules import Sight, without_tags
from heliograph.emulator.scene import compose
from heliograph.emulator.sending import Outgoing, outgoing_canned, peer_gone, reset, send
from heliograph.emulator.usage import tally

METHOD = "interactions"

_JSON = "application/json; charset=UTF-8"
_NO_FAULT = Fault(name="", explain="")


@dataclass(frozen=True, kw_only=True)
class Run:
    """An accepted interaction on its way."""

    request: web.Request
    call: Call
    wish: Wish
    job: Job
    kept: Kept
    base: str
    """Scheme, host and version, for the URIs of pictures."""
    request_bytes: int


async def create(desk: Desk, store: InteractionStore, request: web.Request) -> web.StreamResponse:
    """Answer a create call; its ledger line is closed here, or by the work left behind."""
    call = desk.open_call(method=METHOD, model="", path=request.path)
    behind = False
    try:
        if (early := _before_body(desk, request, call)) is not None:
            return _hang_up(desk, request, call, early)
        run = await _accept(desk, store, request, call)
        if run.job.delivery.reset:
            return _hang_up(desk, request, call, run.job.delivery)
        if run.wish.background and run.job.delivery.canned is None:
            behind = True
            return await _answer_at_once(desk, store, run)
        return await _answer(desk, store, run)
    except asyncio.CancelledError:
        # The emulator stops: it is not the peer that left.
        call.cut_by_fault = True
        raise
    except ApiError as error:
        return await send(request, call, refusal(error), Delivery())
    finally:
        unfinished = call.last_byte is None and not call.cut_by_fault
        call.peer_closed_early = unfinished and peer_gone(request)
        if not behind:
            desk.ledger.close(call)


async def _accept(desk: Desk, store: InteractionStore, request: web.Request, call: Call) -> Run:
    """Read, check the key, understand, choose the fault, outline: the order of generateContent."""
    document, caller = await _receive(desk, request, call)
    wish = read_wish(document)
    call.model = wish.model
    check_quota(api_key(request), call.model)
    desk.quotas.admit(caller.project, call.model)
    earlier = _earlier(store, wish, caller)
    added = await desk.read_aside(lambda: _turns(desk, wish, caller))
    fault, case = _pick(desk, request, call, last_prompt(added))
    if fault.error is not None:
        raise fault.error(case)
    conversation = [*earlier, *added]
    ask = await desk.read_aside(lambda: _read_ask(desk, wish, conversation))
    scene = compose(ask, desk.dice(call))
    if fault.scene is not None:
        scene = fault.scene(scene, case)
    delivery = fault.delivery(case) if fault.delivery is not None else Delivery()
    call.tier = ask.tier
    job = Job(scene=scene, usage=tally(scene), fault=fault, case=case, delivery=delivery)
    run = Run(
        request=request,
        call=call,
        wish=wish,
        job=job,
        kept=_opened(call, wish, job, conversation),
        base=f"{request.scheme}://{request.host}/{request.match_info['version']}",
        request_bytes=len(await request.read()),
    )
    if desk.projects.billing(call.project) == "on_accept" and delivery.reset != "before":
        bill(desk, call, job)
    return run


def _before_body(desk: Desk, request: web.Request, call: Call) -> Delivery | None:
    """How a fault ends the call that needs no body, and so no model, to be chosen."""
    sight = _see(request, "")
    strike = desk.rules.before_body(sight)
    if strike is None or strike.fault.delivery is None:
        return None
    call.fault = str(strike)
    call.project, call.key_hash = sight.project, sight.key_hash
    return strike.fault.delivery(strike.case(""))


def _hang_up(
    desk: Desk, request: web.Request, call: Call, delivery: Delivery
) -> web.StreamResponse:
    desk.doors.strike(delivery.shut)
    return reset(request, call)


async def _receive(desk: Desk, request: web.Request, call: Call) -> tuple[Any, Caller]:
    body = await request.read()
    call.request_read = call.now()
    log_body(request, body)
    caller = admit(api_key(request), desk.settings.api_keys)
    call.project, call.key_hash = caller.project, caller.key_hash
    if len(body) > INLINE_LIMIT:
        raise invalid(f"Request payload size exceeds the limit: {INLINE_LIMIT} bytes.")
    document = await desk.read_aside(lambda: load(body))
    await desk.read_aside(lambda: log_body(request, body, document))
    return document, caller


def _earlier(store: InteractionStore, wish: Wish, caller: Caller) -> list[dict[str, Any]]:
    """The conversation so far; 400 for what cannot be an id (seen), 404 for one that is gone."""
    if not wish.previous:
        return []
    if not well_formed(wish.previous):
        raise invalid(note="previous_interaction_id is not an interaction's id")
    previous = store.get(wish.previous, caller.project)
    if previous.status not in ("completed", "incomplete"):
        raise invalid(note=f"the previous interaction is {previous.status}")
    return previous.turns


def _turns(desk: Desk, wish: Wish, caller: Caller) -> list[dict[str, Any]]:
    return turns(
        wish.input,
        read_file=lambda uri: desk.files.read_uri(uri, caller.project),
        signed=desk.settings.enforce_signatures,
    )


def _pick(desk: Desk, request: web.Request, call: Call, prompt: str) -> tuple[Fault, Case]:
    strike = desk.rules.pick(dataclasses.replace(_see(request, prompt), model=call.model))
    if strike is None:
        return _NO_FAULT, Case(name="", model=call.model)
    call.fault = str(strike)
    return strike.fault, strike.case(call.model)


def _see(request: web.Request, prompt: str) -> Sight:
    return dataclasses.replace(see(request, prompt), method=METHOD)


def _read_ask(desk: Desk, wish: Wish, conversation: list[dict[str, Any]]) -> Ask:
    model = MODELS.get(wish.model)
    if model is None:
        # The 404 of a retired model names nothing (seen).
        raise not_found()
    _check_level(wish, model)
    ask = read_ask(
        {**wish.message, "contents": conversation},
        model,
        # The turns hold no URI: each was read when it came.
        read_file=lambda _: (b"", ""),
        size_policy=desk.settings.size_policy,
    )
    return dataclasses.replace(ask, prompt=without_tags(ask.prompt))


def _check_level(wish: Wish, model: Model) -> None:
    thinking = wish.message["generation_config"]["thinking_config"]
    level = thinking.get("thinking_level", "")
    if level and level not in model.thinking_levels:
        allowed = ", ".join(each.lower() for each in model.thinking_levels)
        raise InteractionError(
            code=400,
            status="INVALID_ARGUMENT",
            message=f"'{level.lower()}' is not a supported thinking level for this model. "
            f"Allowed values are: {allowed}.",
        )


def _opened(call: Call, wish: Wish, job: Job, conversation: list[dict[str, Any]]) -> Kept:
    now = answering.stamp(call.arrived)
    sheet: dict[str, Any] = {
        "id": new_id(call.id),
        "status": "in_progress",
        "object": "interaction",
        "model": wish.model,
        "created": now,
        "updated": now,
        "service_tier": job.scene.ask.tier,
    }
    if wish.previous:
        sheet["previous_interaction_id"] = wish.previous
    return Kept(
        id=sheet["id"],
        project=call.project,
        call_id=call.id,
        sheet=sheet,
        input=wish.input,
        turns=conversation,
    )


async def _answer(desk: Desk, store: InteractionStore, run: Run) -> web.StreamResponse:
    """In the foreground: the answer is the reply."""
    job, call = run.job, run.call
    await _think(desk, run)
    if job.delivery.canned is not None:
        return await send(run.request, call, outgoing_canned(job.delivery.canned), job.delivery)
    await _finish(desk, run)
    billing = desk.projects.billing(call.project)
    if billing == "on_complete" and job.delivery.answers:
        bill(desk, call, job)
    if (error := blocked(job.scene)) is not None:
        raise error
    if run.wish.store and job.delivery.answers:
        store.keep(run.kept)
    body = await desk.read_aside(lambda: _encoded(run))
    kind = "text/event-stream" if run.wish.stream else _JSON
    headers = {"content-type": kind, "x-gemini-service-tier": job.scene.ask.tier}
    outgoing = Outgoing(body=body, headers=headers)

    def begun() -> None:
        if billing == "on_first_byte":
            bill(desk, call, job)

    return await send(run.request, call, outgoing, job.delivery, begun)


def _encoded(run: Run) -> Body:
    mark = f"blob-{run.call.id}"
    error = run.job.delivery.stream_error
    if not run.wish.stream:
        if error is not None:
            raise error
        return answering.encode_whole(run.kept.sheet, mark, run.kept.edit)
    events = answering.stream_events(run.kept.sheet)
    if error is not None:
        spoken = translated(error).body()
        return answering.encode_stream([events[0], {**spoken, "event_type": "error"}], mark)
    return answering.encode_stream(events, mark, run.kept.edit)


async def _answer_at_once(desk: Desk, store: InteractionStore, run: Run) -> web.StreamResponse:
    """Behind the reply: keep it, start the work, and say that it runs."""
    kept = run.kept
    body = answering.encode_whole(kept.sheet, f"blob-{run.call.id}")
    # The work may end before the reply has left.
    run.call.http_status = 200
    work = asyncio.create_task(_work(desk, store, run))

    def stop() -> None:
        work.cancel()
        kept.stop = None
        # At once, not when the task is next run: a reset clears the ledger right after.
        kept.sheet = {**kept.sheet, "status": "cancelled", "updated": _now(run.call)}
        run.call.finish_reason = "CANCELLED"
        desk.ledger.close(run.call)

    kept.stop = stop
    store.keep(kept)
    outgoing = Outgoing(body=body, headers={"content-type": _JSON})
    delivery = dataclasses.replace(run.job.delivery, think=0.0, stream_error=None)
    return await send(run.request, run.call, outgoing, delivery)


async def _work(desk: Desk, store: InteractionStore, run: Run) -> None:
    """Paint what a create call left behind."""
    kept, call, job = run.kept, run.call, run.job
    try:
        await asyncio.sleep(_seconds(desk, run))
        if job.delivery.stream_error is not None:
            _fail(kept, call, translated(job.delivery.stream_error))
            return
        await _finish(desk, run)
        # Billed once, so this is the first byte too: what is fetched later is no new answer.
        bill(desk, call, job)
        if (error := blocked(job.scene)) is not None:
            _fail(kept, call, error)
    except ApiError as error:
        _fail(kept, call, translated(error))
    finally:
        kept.stop = None
        if kept.status == "in_progress":
            # A bug, or the loop ends: nobody must wait for it for ever.
            _fail(
                kept,
                call,
                InteractionError(
                    code=500, status="INTERNAL", message="Internal error encountered."
                ),
            )
        desk.ledger.close(call)
        if "steps" in kept.sheet:
            store.keep(kept)


def _fail(kept: Kept, call: Call, error: InteractionError) -> None:
    kept.sheet = {
        **kept.sheet,
        "status": "failed",
        "updated": _now(call),
        "errors": [{"code": error.spoken, "message": error.message}],
    }


async def _think(desk: Desk, run: Run) -> None:
    seconds = _seconds(desk, run)
    deadline = run.request.headers.get("X-Server-Timeout", "")
    limit = float(deadline) if deadline.replace(".", "", 1).isdecimal() else seconds
    await asyncio.sleep(min(seconds, limit))
    if limit < seconds:
        raise deadline_exceeded()


def _seconds(desk: Desk, run: Run) -> float:
    call, job = run.call, run.job
    return job.delivery.think + latency(desk, job.scene.ask, desk.dice(call), call.project)


async def _finish(desk: Desk, run: Run) -> None:
    """Paint, and complete the sheet, the conversation and the ledger line."""
    job, call, kept = run.job, run.call, run.kept
    painted = await desk.paint_aside(
        lambda: answering.lighter(paint_scene(desk, call, job.scene, job.fault, job.case))
    )
    if job.delivery.answers:
        call.images = tuple(image_line(picture) for picture, _ in painted.images)
        call.usage = job.usage
        call.finish_reason = finish_word(job.scene)
    uris = _laid_down(desk, run, painted)
    tree = answering.outline(job.scene, job.usage)
    if job.fault.tree is not None:
        tree = job.fault.tree(tree, job.case)
    searches = len(job.scene.web_queries) + len(job.scene.image_queries)
    kept.sheet = {
        **kept.sheet,
        "status": answering.status_of(job.scene),
        "updated": _now(call),
        "steps": answering.steps(job.scene, painted, uris),
        **answering.usage(tree, searches),
        **answering.relabelled(tree),
    }
    kept.edit = job.fault.text(job.case) if job.fault.text is not None else None
    kept.bytes = run.request_bytes + answering.weight(painted)
    parts = answering.without_thoughts(job.scene, painted)
    if parts:
        kept.turns = [*kept.turns, {"role": "model", "parts": parts}]


def _laid_down(desk: Desk, run: Run, painted: Painted) -> tuple[str, ...]:
    """Where the pictures can be fetched, when they were asked for by URI."""
    if not run.wish.by_uri:
        return ()
    files = [
        desk.files.generated(picture.data, mime=picture.mime, project=run.call.project)
        for picture in answering.delivered(painted)
    ]
    return tuple(f"{run.base}/files/{file.id}:download?alt=media" for file in files)


def _now(call: Call) -> str:
    return answering.stamp(call.now())
