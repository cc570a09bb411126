"""Calls of which nobody knows whether they were charged; for admins.

Invariant: a call is closed by what the provider's billing says, once.
"""

from typing import Annotated

from fastapi import APIRouter, Query

from heliograph.accounts import Scope
from heliograph.errors import RecordNotFound
from heliograph.journal import CallEntry, Stage
from heliograph.server.faults import Fault
from heliograph.server.native.desk import At, absent, needs
from heliograph.server.native.documents import fails
from heliograph.server.native.reading import StrictRoute
from heliograph.server.native.shapes import account as shape
from heliograph.server.native.shapes.plain import CallId, Limit, Looked, money

router = APIRouter(route_class=StrictRoute, tags=["calls"])
ADMIN = [needs(Scope.ADMIN)]


class Settled(Fault):
    """There is nothing to find out about this call."""

    status = 409
    code = "settled"


class CallQuery(Looked):
    """Which calls."""

    limit: Limit = 50


@router.get("/calls", dependencies=ADMIN)
async def list_calls(query: Annotated[CallQuery, Query()], desk: At) -> shape.Calls:
    """Calls that were sent and never answered whole, those begun last first."""
    found = await desk.gateway.client.calls(stages=(Stage.UNKNOWN, Stage.HELD), limit=query.limit)
    return shape.Calls(items=[_told(each) for each in found])


@router.post("/calls/{call_id}/resolve", dependencies=ADMIN, responses=fails(409))
async def resolve_call(call_id: CallId, resolution: shape.Resolution, desk: At) -> shape.Call:
    """Close a call with what the provider's billing says."""
    try:
        call = await desk.gateway.client.call(call_id)
    except RecordNotFound:
        raise absent("call") from None
    if call.id != call_id:
        raise absent("call")
    if not call.stage.is_doubtful:
        raise Settled("The outcome of this call is known.", why=f"It is {call.stage.value}.")
    return _told(await desk.gateway.client.resolve(call.id, resolution.micro))


def _told(call: CallEntry) -> shape.Call:
    return shape.Call(
        id=call.id,
        job=call.job,
        stage=call.stage.value,
        model=call.model,
        upstream=call.upstream,
        project=call.project,
        simulated=call.simulated,
        reserved=money(call.reserved),
        begun=call.begun,
        changed=call.changed,
        note=call.note,
    )
