"""The routes of interactions; invariant: every failure behind them is in their envelope."""

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from heliograph.emulator.desk import DESK
from heliograph.emulator.encoding import Body
from heliograph.emulator.envelope import ApiError, dump, invalid
from heliograph.emulator.faults.contract import Delivery
from heliograph.emulator.generating import api_key, see
from heliograph.emulator.interactions import answering, running
from heliograph.emulator.interactions.refusing import refusal
from heliograph.emulator.interactions.store import InteractionStore, Kept
from heliograph.emulator.interactions.turning import user_steps
from heliograph.emulator.keys import admit
from heliograph.emulator.ledger import Call
from heliograph.emulator.sending import Outgoing, outgoing_canned, plain, reset, send

STORE = web.AppKey("interactions", InteractionStore)

_JSON = "application/json; charset=UTF-8"


def add_routes(app: web.Application, version: str) -> None:
    """Create, get, cancel, delete."""
    store = InteractionStore()
    app[STORE] = store
    app[DESK].forgetters.append(store.clear)
    app.on_cleanup.append(_stop)
    app.router.add_post(f"/{version}/interactions", _create)
    one = f"/{version}/interactions/{{interaction:[^/]+}}"
    app.router.add_get(one, _get)
    app.router.add_delete(one, _delete)
    app.router.add_post(f"{one}/cancel", _cancel)


def is_interaction(request: web.Request) -> bool:
    """Whether a request is one of these, which pick their faults and word their errors alone."""
    return request.path.split("/")[2:3] == ["interactions"]


async def _stop(app: web.Application) -> None:
    app[STORE].clear()
    # One turn of the loop, so that the tasks just cancelled can end.
    await asyncio.sleep(0)


async def _create(request: web.Request) -> web.StreamResponse:
    return await running.create(request.app[DESK], request.app[STORE], request)


async def _get(request: web.Request) -> web.StreamResponse:
    return await _answer(request, "interactions.get", _show)


async def _cancel(request: web.Request) -> web.StreamResponse:
    return await _answer(request, "interactions.cancel", _end)


async def _delete(request: web.Request) -> web.StreamResponse:
    return await _answer(request, "interactions.delete", _forget)


async def _answer(
    request: web.Request, method: str, act: Callable[[web.Request, Kept], Awaitable[Body]]
) -> web.StreamResponse:
    """Meet a fault, find the interaction, act on it; these calls are free and in no ledger."""
    unlisted = Call(id="", method=method, model="", path=request.path)
    delivery = Delivery()
    try:
        delivery = _fault(request, method)
        if delivery.reset:
            request.app[DESK].doors.strike(delivery.shut)
            return reset(request)
        if delivery.canned is not None:
            return await send(request, unlisted, outgoing_canned(delivery.canned), delivery)
        body = await act(request, _mine(request))
        outgoing = Outgoing(body=body, headers={"content-type": _JSON})
    except ApiError as error:
        return await send(request, unlisted, refusal(error), Delivery())
    return await send(request, unlisted, outgoing, delivery)


async def _show(request: web.Request, kept: Kept) -> Body:
    if request.query.get("stream", "").lower() == "true":
        raise invalid(note="streams of stored interactions are not emulated")
    return await request.app[DESK].read_aside(lambda: _whole(request, kept))


async def _end(_: web.Request, kept: Kept) -> Body:
    if kept.stop is not None:
        kept.stop()
    elif kept.status != "cancelled":
        raise invalid(note=f"only a running background interaction ends; this is {kept.status}")
    return answering.encode_whole(kept.sheet, f"blob-{kept.call_id}")


async def _forget(request: web.Request, kept: Kept) -> Body:
    request.app[STORE].delete(kept.id, kept.project)
    return plain(dump({}))


def _whole(request: web.Request, kept: Kept) -> Body:
    """A get shows the input as its first steps (seen), and as it came when asked for."""
    steps = kept.sheet.get("steps")
    sheet = dict(kept.sheet)
    if steps is not None:
        sheet["steps"] = [*user_steps(kept.input), *steps]
    if request.query.get("include_input", "").lower() == "true":
        sheet["input"] = kept.input
    return answering.encode_whole(sheet, f"blob-{kept.call_id}", kept.edit)


def _mine(request: web.Request) -> Kept:
    caller = admit(api_key(request), request.app[DESK].settings.api_keys)
    return request.app[STORE].get(request.match_info["interaction"], caller.project)


def _fault(request: web.Request, method: str) -> Delivery:
    """What happens on the way: every transport fault to a get with an answer, else a few."""
    sheet = _sheet(request)
    small = method != "interactions.get" or "steps" not in sheet
    sight = dataclasses.replace(
        see(request, small=small), method=method, model=str(sheet.get("model", ""))
    )
    rules = request.app[DESK].rules
    strike = rules.before_body(sight) or rules.pick(sight)
    if strike is None:
        return Delivery()
    case = strike.case(sight.model)
    if strike.fault.error is not None:
        raise strike.fault.error(case)
    return Delivery() if strike.fault.delivery is None else strike.fault.delivery(case)


def _sheet(request: web.Request) -> dict[str, Any]:
    """The interaction in question, or nothing: a fault is chosen before anything is refused."""
    try:
        return _mine(request).sheet
    except ApiError:
        return {}
