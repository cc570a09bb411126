"""Request → Plan: read this first.

Invariant: pure. The same request gives the same plan; nothing is sent, read or stored; the plan
can be sent as it is, or all problems are raised together. `Plan.request` is the request in
catalogue spelling, with what the caller left open still open, so planning it again gives the
same plan.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from heliograph.planning import check, cover, export, normalise
from heliograph.planning.alternatives import Choice, alternatives
from heliograph.planning.catalogue import Catalogue, Model
from heliograph.planning.findings import Findings
from heliograph.planning.load import catalogue
from heliograph.planning.price import Inputs, price_of, price_row, text_tokens
from heliograph.planning.uses import Purpose, resolve
from heliograph.types import Pixels, Plan, Reference, Request

DEFAULT_MODEL = "gemini-3-pro-image"
DEFAULT_SIZE = "4K"  # the product is 4K images
DEFAULT_RATIO = "1:1"  # what upstream makes without input images, said aloud


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What to ask upstream for, and what is to be cut from it."""

    size: str
    ratio: str | None  # None leaves it to the model, which follows the input image
    target: Pixels | None = None
    least: Pixels | None = None  # the fewest pixels that will do for the target


def plan(
    request: Request,
    references: tuple[Reference, ...] = (),
    *,
    default_model: str | None = None,
    facts: Catalogue | None = None,
) -> Plan:
    """A plan that can be sent as it is.

    Left open, the model is `default_model` or gemini-3-pro-image, the size 4K where the model
    has it (else its largest), the ratio 1:1, or with input images the model's choice. Exact
    pixels or a use choose the cheapest size and the ratio that cover them; see `cover.py`.
    `max_cost` is only checked for sense; whoever sends the plan holds it against the estimate.

    When `references` is empty, those that `request` names are counted, so that a request can
    be priced before its files are read.

    Raises:
        InvalidRequest: with every problem of the request, each with the nearest valid values.
        PriceUnknown: the same, when the model has no dated price.
    """
    facts, found = facts or catalogue(), Findings(request)
    asked, model = _understood(request, default_model, facts, found)
    count = len(references) or len(asked.references)

    check.prompt(asked, model, count, found)
    check.references(references, count, model, facts.limits, found)
    check.sampling(asked, found)
    check.labels(asked, found)
    export.check(asked.finish, model, found)
    tier = check.tier(asked, facts.price(model.id), facts, found)
    thinking = check.thinking(asked, model, found)
    ground = check.ground(asked, model, facts, found)
    purpose = _purpose(asked, model, found)
    shape = _shape(
        asked,
        model,
        _target(asked, purpose, found),
        found,
        made=cover.originals(model, tier, facts),
        follows_input=count > 0,
    )
    found.raise_problems()

    inputs = _inputs(asked, count, ground)
    estimate = price_of(model, price_row(model, facts), shape.size, tier, inputs)
    chosen = Choice(
        asked=asked,
        model=model,
        size=shape.size,
        ratio=shape.ratio,
        tier=tier,
        expected=estimate.expected,
        pixels=shape.least,
        inputs=inputs,
    )
    return Plan(
        request=asked,
        model=model.id,
        size=shape.size if model.can.sends_size else None,
        aspect=shape.ratio,
        tier=tier,
        expected=facts.expected(model, shape.size, shape.ratio) if shape.ratio else None,
        tolerance=model.can.tolerance,
        # Tiers are areas, so where the ratio is open the square still tells them apart.
        sizes=facts.sizes(model, shape.ratio or DEFAULT_RATIO),
        references=references,
        ground=ground,
        thinking=thinking,
        exports=export.exports(asked.finish, shape.target, purpose),
        estimate=estimate,
        prices=facts.priced(model),
        alternatives=alternatives(chosen, facts),
        notes=tuple(found.notes),
    )


def _understood(
    request: Request, default_model: str | None, facts: Catalogue, found: Findings
) -> tuple[Request, Model]:
    """The request in catalogue spelling, and the model to hold it against."""
    asked = normalise.request(check.typed(request, found), facts.ratios)
    asked = replace(asked, safety=check.safety(request.safety, facts.safety, found))
    wanted = normalise.model(default_model or DEFAULT_MODEL)
    if asked.model is not None:
        wanted = asked.model
    return asked, check.model(wanted, facts, found, DEFAULT_MODEL)


def _inputs(asked: Request, references: int, ground: str | None) -> Inputs:
    words = text_tokens(asked.prompt) + text_tokens(asked.system or "")
    return Inputs(text_tokens=words, references=references, grounded=ground is not None)


def _purpose(asked: Request, model: Model, found: Findings) -> Purpose | None:
    if asked.use is None:
        return None
    ratio = asked.aspect if asked.aspect in model.can.ratios else None
    purpose = resolve(asked.use, ratio, found)
    if purpose:
        at = f" at {purpose.dpi} dpi" if purpose.dpi else ""
        found.note(f"{purpose.name}{at} is {purpose.pixels} pixels.")
    return purpose


def _target(asked: Request, purpose: Purpose | None, found: Findings) -> cover.Target | None:
    """The exact pixels that are asked, in numbers or by a use."""
    if asked.pixels:
        pixels = normalise.as_pixels(asked.pixels)
        if pixels is None:
            found.problem(
                "pixels", asked.pixels, "must be WIDTHxHEIGHT, as in 4096x2304, at least 1x1"
            )
            return None
        if purpose and purpose.pixels != pixels:
            found.problem(
                "pixels",
                asked.pixels,
                f"the use already means {purpose.pixels}; leave one out.",
                [str(purpose.pixels)],
            )
        return cover.Target(pixels=pixels, field="pixels", value=asked.pixels)
    if purpose is None or asked.use is None:
        return None
    return cover.Target(
        pixels=purpose.pixels,
        field="use",
        value=asked.use,
        inches=purpose.inches,
        name=purpose.name,
    )


def _shape(
    asked: Request,
    model: Model,
    target: cover.Target | None,
    found: Findings,
    *,
    made: Sequence[cover.Original],
    follows_input: bool,
) -> Shape:
    """Size and ratio to ask for; a stand-in when a problem was found."""
    size = check.size(asked, model, found)
    ratio = check.aspect(asked, model, found)
    if target:
        best = cover.choose(made, target, size, ratio, found) or made[0]
        return Shape(size=best.size, ratio=best.ratio, target=target.pixels, least=target.least)
    if size is None:
        size = DEFAULT_SIZE if DEFAULT_SIZE in model.can.sizes else model.largest
        if size != DEFAULT_SIZE:
            found.note(f"{model.id} makes {size} at most, not {DEFAULT_SIZE}.")
    if ratio is None and follows_input:
        found.note("The model follows the input image's ratio, so exact pixels are not promised.")
        return Shape(size=size, ratio=None)
    return Shape(size=size, ratio=ratio or DEFAULT_RATIO)
