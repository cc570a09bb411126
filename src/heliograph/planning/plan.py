"""Request → Plan: read this first.

Invariant: pure. The same request gives the same plan; nothing is sent, read or stored; the plan
can be sent as it is, or all problems are raised together. `Plan.request` is the request in
catalogue spelling, with what the caller left open still open, so planning it again gives the
same plan.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace

from heliograph.planning import check, cover, export, inputs, normalise
from heliograph.planning.alternatives import Choice, alternatives
from heliograph.planning.catalogue import Catalogue, Model
from heliograph.planning.findings import Findings
from heliograph.planning.load import catalogue
from heliograph.planning.price import Inputs, price_of, price_row, text_tokens
from heliograph.planning.uses import Purpose, resolve
from heliograph.planning.wording import as_told, words
from heliograph.types import Area, Material, Pixels, Plan, Reference, Request, Turn, Verbatim

DEFAULT_MODEL = "gemini-3-pro-image"
DEFAULT_SIZE = "4K"  # the product is 4K images
NO_MATERIAL = Material()
CONTEXT_LOST = (
    "The reasoning context of earlier turns is not carried: another model or upstream made them, "
    "or their signatures are not whole. Their pictures and words go back instead."
)
DEFAULT_RATIO = "1:1"  # what upstream makes without input images, said aloud


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What to ask upstream for, and what is to be cut from it."""

    size: str
    ratio: str | None  # None leaves it to the model, which follows the input image
    target: Pixels | None = None
    least: Pixels | None = None  # the fewest pixels that will do for the target


@dataclass(frozen=True, kw_only=True)
class _Sent:
    words: str
    history: tuple[Turn, ...]
    images: int  # of this turn
    inputs: Inputs  # of all turns


def plan(
    request: Request,
    references: tuple[Reference, ...] = (),
    *,
    material: Material = NO_MATERIAL,
    default_model: str | None = None,
    facts: Catalogue | None = None,
) -> Plan:
    """A plan that can be sent as it is.

    Left open, the model is `default_model` or gemini-3-pro-image, the size 4K where the model
    has it (else its largest), the ratio 1:1, or with input images the model's choice. Exact
    pixels or a use choose the cheapest size and the ratio that cover them; see `cover.py`.
    `max_cost` is only checked for sense; whoever sends the plan holds it against the estimate.

    Without `references`, those that `request` names are counted, before their files are read.

    Args:
        references: the checked images of this turn, those of casts and the mark included.
        material: what the library adds: earlier turns, casts, the area to change.

    Raises:
        InvalidRequest: with every problem of the request, each with the nearest valid values.
        PriceUnknown: the same, when the model has no dated price.
    """
    facts, found = facts or catalogue(), Findings(request)
    asked, model = _understood(request, default_model, facts, found)
    ground = check.ground(asked, model, facts, found)
    sent = _sent(asked, model, references, material, found)
    check.prompt(asked, model, sent.inputs, found)
    inputs.images(references, sent.images, model, facts.limits, found)
    check.sampling(asked, found)
    check.labels(asked, found)
    export.check(asked.finish, model, found)
    tier = check.tier(asked, facts.price(model.id), facts, found)
    thinking = check.thinking(asked, model, found)
    purpose = _purpose(asked, model, found)
    shape = _shape(
        asked,
        model,
        _target(asked, purpose, found),
        found,
        made=cover.originals(model, tier, facts),
        area=material.area,
        follows_input=sent.inputs.references > 0 or asked.verbatim is not None,
    )
    found.raise_problems()
    estimate = price_of(model, price_row(model, facts), shape.size, tier, sent.inputs)
    whole = Plan(
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
        alternatives=alternatives(
            Choice(
                asked=asked,
                model=model,
                size=shape.size,
                ratio=shape.ratio,
                tier=tier,
                expected=estimate.expected,
                pixels=shape.least,
                inputs=sent.inputs,
            ),
            facts,
        ),
        notes=tuple(found.notes),
    )
    return _told(whole, sent, material)


def _told(plan: Plan, sent: _Sent, material: Material) -> Plan:
    """The plan with what goes upstream besides, what that weighs, and what of it gets lost."""
    plan = replace(
        plan,
        words=sent.words,
        history=sent.history,
        casts=material.casts,
        area=material.area,
    )
    if plan.upload:
        weight = f"{plan.upload / 1e6:.1f} MB of images and signatures are sent"
        earlier = sum(1 for turn in plan.history if turn.answer or turn.references)
        turns = f", {earlier} earlier turns among them" if earlier > 1 else ""
        turns = ", the turn before among them" if earlier == 1 else turns
        notes = (*plan.estimate.notes, f"{weight}{turns}; less, where the upstream has them.")
        plan = replace(plan, estimate=replace(plan.estimate, notes=notes))
    if not plan.carries_context:
        plan = replace(plan, notes=(*plan.notes, CONTEXT_LOST))
    return plan


def _understood(
    request: Request, default_model: str | None, facts: Catalogue, found: Findings
) -> tuple[Request, Model]:
    """The request in catalogue spelling, and the model to hold it against."""
    asked = normalise.request(check.typed(request, found), facts.ratios)
    asked = replace(asked, safety=check.safety(asked.safety, facts.safety, found))
    wanted = normalise.model(default_model or DEFAULT_MODEL)
    if asked.model is not None:
        wanted = asked.model
    return asked, check.model(wanted, facts, found, DEFAULT_MODEL)


def _sent(
    asked: Request,
    model: Model,
    references: Sequence[Reference],
    material: Material,
    found: Findings,
) -> _Sent:
    """What goes upstream besides the settings: words, earlier turns, and what they weigh."""
    inputs.given(asked, found)
    if asked.verbatim is not None:
        return _sent_verbatim(asked, asked.verbatim, model)
    inputs.unknown_names(asked.prompt, references, found)
    for note in material.notes:
        found.note(note)
    count = len(references) or len(asked.references) + (asked.base is not None)
    fitting = inputs.fitting(material.history, count, model, found)
    history = tuple(as_told(turn) for turn in fitting)
    text = words(asked.prompt, references, material.casts, material.area)
    if asked.layout and text != asked.prompt:
        found.problem("layout", "an order", "has no place for what is told of casts and images.")
    if any("Cs" in map(unicodedata.category, turn.words) for turn in history):
        found.problem("context", "earlier words", "have half a surrogate pair; begin anew.")
    said = [text, asked.system or "", *(turn.words for turn in history)]
    said += [part.text for turn in history for part in turn.answer if part.text]
    weight = Inputs(
        text_tokens=sum(text_tokens(each) for each in said),
        references=count + sum(inputs.images_of(turn) for turn in history),
        grounded=asked.ground is not None and asked.ground in model.can.grounding,
    )
    return _Sent(words=text, history=history, images=count, inputs=weight)


def _sent_verbatim(asked: Request, body: Verbatim, model: Model) -> _Sent:
    weight = Inputs(
        text_tokens=text_tokens(body.words),
        references=body.images,
        grounded=asked.ground is not None and asked.ground in model.can.grounding,
    )
    return _Sent(words="", history=(), images=len(asked.references), inputs=weight)


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
    area: Area | None,
    follows_input: bool,
) -> Shape:
    """Size and ratio to ask for; a stand-in when a problem was found."""
    size = check.size(asked, model, found)
    ratio = check.aspect(asked, model, found)
    if target:
        best = cover.choose(made, target, size, ratio, found) or made[0]
        inputs.same_ratio(area, best.ratio, made, found)
        return Shape(size=best.size, ratio=best.ratio, target=target.pixels, least=target.least)
    if area is not None and area.protect:
        # the rest is put back at its own size, so more pixels than that would be paid for in vain
        best = inputs.covering(area.picture.pixels, made, size, ratio)
        inputs.same_ratio(area, best.ratio, made, found)
        return Shape(size=best.size, ratio=best.ratio)
    if size is None:
        size = DEFAULT_SIZE if DEFAULT_SIZE in model.can.sizes else model.largest
        if size != DEFAULT_SIZE:
            found.note(f"{model.id} makes {size} at most, not {DEFAULT_SIZE}.")
    if ratio is None and follows_input:
        found.note("The model follows the input image's ratio, so exact pixels are not promised.")
        return Shape(size=size, ratio=None)
    return Shape(size=size, ratio=ratio or DEFAULT_RATIO)
