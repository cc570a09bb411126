"""generateContent and streamGenerateContent: one call from bytes to bytes, the order on one screen.

Invariant: what is billed is priced from the usage numbers of the same answer, at the moment the
billing mode names.
"""

import asyncio
import dataclasses
import hashlib
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any

from aiohttp import web

from heliograph.emulator.asking import Ask, last_prompt, read_ask
from heliograph.emulator.desk import Desk, log_body
from heliograph.emulator.encoding import Body, Framing, encode
from heliograph.emulator.envelope import ApiError, invalid
from heliograph.emulator.faults.contract import Case, Delivery, Fault
from heliograph.emulator.faults.errors import deadline_exceeded, model_not_found
from heliograph.emulator.keys import Caller, admit, check_quota, identify
from heliograph.emulator.ledger import Call
from heliograph.emulator.models import MODELS
from heliograph.emulator.prices import billable_searches, price
from heliograph.emulator.protojson import load, read
from heliograph.emulator.rendering import paint_scene
from heliograph.emulator.reply import Painted, Picture, assemble, split
from heliograph.emulator.rules import HEADER, Sight, without_tags
from heliograph.emulator.scene import Scene, compose
from heliograph.emulator.sending import (
    Outgoing,
    outgoing_canned,
    outgoing_error,
    peer_gone,
    reset,
    send,
)
from heliograph.emulator.signature import check_history
from heliograph.emulator.usage import tally

INLINE_LIMIT = 100 * 1024 * 1024

_NO_FAULT = Fault(name="", explain="")
_CONTENT_TYPES: dict[Framing, str] = {
    "single": "application/json; charset=UTF-8",
    "array": "application/json; charset=UTF-8",
    "sse": "text/event-stream",
}


@dataclass(frozen=True, kw_only=True)
class Turn:
    """One call on its way: where it came in and how its answer is framed."""

    request: web.Request
    call: Call
    version: str
    framing: Framing


@dataclass(frozen=True, kw_only=True)
class Job:
    """An accepted call: the answer in outline, its price tags and its fault."""

    scene: Scene
    usage: dict[str, Any]
    fault: Fault
    case: Case
    delivery: Delivery


async def generate(desk: Desk, request: web.Request) -> web.StreamResponse:
    """Answer a call and write its ledger line, whatever happens to it."""
    info = request.match_info
    call = desk.open_call(method=info["method"], model=info["model"], path=request.path)
    turn = Turn(request=request, call=call, version=info["version"], framing=_framing(request))
    try:
        return await _answer(desk, turn)
    except asyncio.CancelledError:
        # The emulator stops: it is not the peer that left.
        call.cut_by_fault = True
        raise
    except ApiError as error:
        outgoing = outgoing_error(error, as_list=turn.framing == "array")
        return await send(request, call, outgoing, Delivery())
    finally:
        unfinished = call.last_byte is None and not call.cut_by_fault
        call.peer_closed_early = unfinished and peer_gone(request)
        desk.ledger.close(call)


async def _answer(desk: Desk, turn: Turn) -> web.StreamResponse:
    early = _before_body(desk, turn)
    if early is not None:
        desk.doors.strike(early.shut)
        return reset(turn.request, turn.call)
    document, caller = await _receive(desk, turn)
    job = await _accept(desk, turn, document, caller)
    if job.delivery.reset == "before":
        desk.doors.strike(job.delivery.shut)
        return reset(turn.request, turn.call)
    billing = desk.projects.billing(caller.project)
    if billing == "on_accept":
        bill(desk, turn.call, job)
    await _think(desk, turn, job)
    if job.delivery.reset:
        return reset(turn.request, turn.call)
    if job.delivery.canned is not None:
        return await send(
            turn.request, turn.call, outgoing_canned(job.delivery.canned), job.delivery
        )
    outgoing = await _produce(desk, turn, job)
    if billing == "on_complete" and job.delivery.answers:
        bill(desk, turn.call, job)
    begun = partial(bill, desk, turn.call, job) if billing == "on_first_byte" else _nothing
    return await send(turn.request, turn.call, outgoing, job.delivery, begun)


def _before_body(desk: Desk, turn: Turn) -> Delivery | None:
    """How a fault ends the call that needs no body to be chosen."""
    sight = see(turn.request)
    strike = desk.rules.before_body(sight)
    if strike is None or strike.fault.delivery is None:
        return None
    turn.call.fault = str(strike)
    turn.call.project, turn.call.key_hash = sight.project, sight.key_hash
    return strike.fault.delivery(strike.case(turn.call.model))


async def _receive(desk: Desk, turn: Turn) -> tuple[Any, Caller]:
    """Read the body, then check the key, then the JSON: the order of Google's front end."""
    body = await turn.request.read()
    turn.call.request_read = turn.call.now()
    log_body(turn.request, body)
    key = api_key(turn.request)
    caller = admit(key, desk.settings.api_keys)
    turn.call.project, turn.call.key_hash = caller.project, caller.key_hash
    check_quota(key, turn.call.model)
    desk.quotas.admit(caller.project, turn.call.model)
    if len(body) > INLINE_LIMIT:
        raise invalid(f"Request payload size exceeds the limit: {INLINE_LIMIT} bytes.")
    document = await desk.read_aside(lambda: load(body))
    await desk.read_aside(lambda: log_body(turn.request, body, document))
    return document, caller


async def _accept(desk: Desk, turn: Turn, document: Any, caller: Caller) -> Job:
    """Choose the fault, check the request and outline the answer."""
    call = turn.call
    message = await desk.read_aside(
        lambda: read(document, "GenerateContentRequest", version=turn.version)
    )
    contents = message.get("contents", [])
    strike = desk.rules.pick(see(turn.request, last_prompt(contents)))
    fault, case = _NO_FAULT, Case(name="", model=call.model)
    if strike is not None:
        call.fault = str(strike)
        fault, case = strike.fault, strike.case(call.model)
        if fault.error is not None:
            raise fault.error(case)
    ask = await desk.read_aside(lambda: _read_ask(desk, turn, message, caller))
    scene = compose(ask, desk.dice(call))
    if fault.scene is not None:
        scene = fault.scene(scene, case)
    delivery = fault.delivery(case) if fault.delivery is not None else Delivery()
    call.tier = ask.tier
    return Job(scene=scene, usage=tally(scene), fault=fault, case=case, delivery=delivery)


def _read_ask(desk: Desk, turn: Turn, message: dict[str, Any], caller: Caller) -> Ask:
    model = MODELS.get(turn.call.model)
    if model is None:
        raise model_not_found(turn.call.model, turn.version, turn.call.method)
    if desk.settings.enforce_signatures:
        check_history(message.get("contents", []))
    ask = read_ask(
        message,
        model,
        read_file=lambda uri: desk.files.read_uri(uri, caller.project),
        size_policy=desk.settings.size_policy,
    )
    return dataclasses.replace(ask, prompt=without_tags(ask.prompt))


async def _think(desk: Desk, turn: Turn, job: Job) -> None:
    """Take the model's time; a shorter deadline of the caller ends in 504."""
    seconds = job.delivery.think + latency(
        desk, job.scene.ask, desk.dice(turn.call), turn.call.project
    )
    deadline = turn.request.headers.get("X-Server-Timeout", "")
    limit = float(deadline) if deadline.replace(".", "", 1).isdecimal() else seconds
    await asyncio.sleep(min(seconds, limit))
    if limit < seconds:
        raise deadline_exceeded()


def latency(desk: Desk, ask: Ask, dice: Random, project: str = "") -> float:
    """Seconds the model takes for this request of a project."""
    chosen = desk.projects.latency(project)
    seconds = dice.uniform(*ask.model.seconds[ask.size]) if chosen == "realistic" else chosen
    return seconds + desk.projects.slow(project)


async def _produce(desk: Desk, turn: Turn, job: Job) -> Outgoing:
    """Paint, assemble and encode."""
    call = turn.call
    painted = await desk.paint_aside(
        lambda: paint_scene(desk, call, job.scene, job.fault, job.case)
    )
    if job.delivery.answers:
        call.images = tuple(image_line(picture) for picture, _ in painted.images)
        call.usage = job.usage
        call.finish_reason = finish_word(job.scene)
    body = await desk.read_aside(lambda: _encode(turn, job, painted))
    tier = job.scene.ask.tier
    headers = {"content-type": _CONTENT_TYPES[turn.framing], "x-gemini-service-tier": tier}
    return Outgoing(body=body, headers=headers)


def _encode(turn: Turn, job: Job, painted: Painted) -> Body:
    response_id = hashlib.sha256(turn.call.id.encode()).hexdigest()[:22]
    tree = assemble(job.scene, painted, job.usage, response_id)
    if job.fault.tree is not None:
        tree = job.fault.tree(tree, job.case)
    events = [tree] if turn.framing == "single" else split(tree)
    if job.delivery.stream_error is not None:
        return _broken_stream(turn, events[:1], job.delivery.stream_error)
    edit = job.fault.text(job.case) if job.fault.text is not None else None
    return encode(events, turn.framing, mark=f"blob-{turn.call.id}", edit=edit)


def _broken_stream(turn: Turn, events: list[dict[str, Any]], error: ApiError) -> Body:
    if turn.framing == "single":
        raise error
    return encode([*events, error.body()], turn.framing, mark=f"blob-{turn.call.id}")


def bill(desk: Desk, call: Call, job: Job) -> None:
    """Price the usage once; a refused answer stays free (see README.md)."""
    if not job.scene.charged or call.bill is not None:
        return
    queries = len(job.scene.web_queries) + len(job.scene.image_queries)
    earlier = desk.ledger.searches_this_month(call.project) if queries else 0
    call.bill = price(
        call.model, job.usage, tier=call.tier, searches=billable_searches(queries, earlier)
    )
    call.search_queries = queries


def _nothing() -> None:
    """What the first byte of an answer means to the other billing modes."""


def image_line(picture: Picture) -> dict[str, Any]:
    """What the ledger keeps of a picture."""
    return {
        "sha256": hashlib.sha256(picture.data).hexdigest(),
        "bytes": len(picture.data),
        "width": picture.width,
        "height": picture.height,
        "mime": picture.mime,
        "role": picture.role,
    }


def finish_word(scene: Scene) -> str | None:
    """Why an answer ended, as the ledger keeps it; none when it has no candidate."""
    if scene.block_reason:
        return scene.block_reason
    return scene.finish_reason if scene.has_candidate else None


def _framing(request: web.Request) -> Framing:
    if request.match_info["method"] == "generateContent":
        return "single"
    return "sse" if request.query.get("alt") == "sse" else "array"


def see(request: web.Request, prompt: str = "", *, small: bool = False) -> Sight:
    """What a fault rule can match of a request."""
    key = api_key(request)
    caller = identify(key)
    return Sight(
        verb=request.method,
        method=request.match_info.get("method", ""),
        path=request.path,
        model=request.match_info.get("model", ""),
        project=caller.project if key else "",
        key_hash=caller.key_hash if key else "",
        prompt=prompt,
        header=request.headers.get(HEADER, ""),
        small=small,
    )


def api_key(request: web.Request) -> str:
    """The key, from the header or the query."""
    return request.headers.get("x-goog-api-key", "") or request.query.get("key", "")
