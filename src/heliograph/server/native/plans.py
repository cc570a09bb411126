"""What a request would cost, and which models there are; free."""

from dataclasses import replace

from fastapi import APIRouter

from heliograph.accounts import Scope
from heliograph.planning.catalogue import Model
from heliograph.planning.load import catalogue
from heliograph.server.native import telling
from heliograph.server.native.asking import request_of
from heliograph.server.native.conflicts import decided, with_what_is_kept
from heliograph.server.native.desk import At, absent, needs
from heliograph.server.native.documents import fails
from heliograph.server.native.reading import StrictRoute
from heliograph.server.native.shapes import image as shape
from heliograph.server.native.shapes import model as models
from heliograph.server.native.shapes.plain import money
from heliograph.server.native.shapes.wanted import ModelId, Wanted

router = APIRouter(route_class=StrictRoute)
READ = [needs(Scope.READ)]


@router.post("/plans", tags=["plans"], dependencies=READ, responses=fails(404, 409))
async def make_plan(wanted: Wanted, desk: At) -> shape.Plan:
    """Check and price a request. Free; nothing is sent or written."""
    request = await request_of(wanted, desk)
    request = replace(request, owner=desk.caller.user.id, access=desk.caller.key.id)
    with with_what_is_kept(decided(wanted)):
        plan = await desk.gateway.client.plan_request(request)
    return telling.plan(plan, simulated=desk.gateway.simulated)


@router.get("/models", tags=["models"], dependencies=READ)
async def list_models() -> models.Models:
    """Every model that is known, with what it can do and what it costs."""
    return models.Models(items=[_model(each) for each in catalogue().models.values()])


@router.get("/models/{model}", tags=["models"], dependencies=READ)
async def get_model(model: ModelId) -> models.Model:
    """One model by its id; a retired one names its replacement."""
    found = catalogue().models.get(model)
    if found is None:
        raise absent("model")
    return _model(found)


def _model(row: Model) -> models.Model:
    facts = catalogue()
    price = facts.price(row.id)
    can = row.can
    return models.Model(
        id=row.id,
        name=row.name,
        status=row.status,
        released=row.released,
        shut_down=row.shut_down.isoformat() if row.shut_down else None,
        replacement=row.replacement,
        sizes=list(can.sizes),
        ratios=list(can.ratios),
        references=can.references,
        thinking=list(can.thinking_levels),
        grounding=list(can.grounding),
        output=can.output,
        seconds=row.seconds.typical if row.seconds else None,
        price=None
        if price is None
        else models.Price(
            version=price.version,
            checked=price.checked.isoformat(),
            tiers={
                name: models.Rates(
                    input=money(tier.input), text=money(tier.text), image=money(tier.image)
                )
                for name, tier in price.tiers.items()
            },
        ),
    )
