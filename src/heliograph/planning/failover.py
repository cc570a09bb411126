"""Plan → the plans of its fallback models, checked before anything is sent.

Invariant: a fallback never makes a smaller picture unless the caller allows it, and one that
could not be sent is refused now, not when it is needed.
"""

from collections.abc import Sequence
from dataclasses import replace

from heliograph.errors import InvalidRequest, Problem
from heliograph.planning.load import catalogue
from heliograph.planning.normalise import model as normalised
from heliograph.planning.plan import plan as make_plan
from heliograph.types import Material, Pixels, Plan, Request


def fallback_plans(plan: Plan) -> tuple[Plan, ...]:
    """A plan for each model of `Request.fallback`, in the caller's order.

    Raises:
        InvalidRequest: a model is unknown, twice there, cannot take the request, or would make
            a smaller picture without `allow_downgrade`. Lists all problems.
    """
    problems: list[Problem] = []
    plans: list[Plan] = []
    seen = {plan.model}
    for name in plan.request.fallback:
        try:
            candidate = _plan_for(name, plan)
        except InvalidRequest as error:
            problems += [
                Problem(
                    field="fallback",
                    value=name,
                    message=f"cannot make this picture: {problem.field} {problem.value}: "
                    f"{problem.message}",
                    nearest=problem.nearest,
                )
                for problem in error.problems
            ]
            continue
        if candidate.model in seen:
            problems.append(Problem(field="fallback", value=name, message="is named twice."))
        elif not plan.request.allow_downgrade and _is_smaller(candidate, plan):
            problems.append(_would_downgrade(name, candidate, plan))
        seen.add(candidate.model)
        plans.append(candidate)
    if problems:
        raise InvalidRequest(problems)
    return tuple(plans)


def _plan_for(name: str, plan: Plan) -> Plan:
    request = replace(plan.request, model=name, fallback=())
    row = catalogue().models.get(normalised(name))
    sizes: Sequence[str] = row.can.sizes if row is not None else ()
    if plan.size is not None and not _is_exact(request):
        # the size that was settled on for the first model, stated now
        size = plan.size if plan.size in sizes or not sizes else sizes[-1]
        request = replace(request, size=size, aspect=plan.aspect)
    material = Material(history=plan.history, casts=plan.casts, area=plan.area)
    return make_plan(request, plan.references, material=material)


def _is_exact(request: Request) -> bool:
    return request.pixels is not None or request.use is not None


def _is_smaller(candidate: Plan, plan: Plan) -> bool:
    """Compared by area; where a ratio is open, by the size tier in the square."""
    if _is_exact(plan.request):
        return False  # planned to cover those pixels, or refused: the original's size is its own
    theirs, ours = _area(candidate), _area(plan)
    return theirs < ours * (1 - 2 * plan.tolerance)


def _area(plan: Plan) -> int:
    largest: Pixels | None = plan.expected or plan.sizes.get(plan.size or "")
    if largest is None:
        return max((pixels.area for pixels in plan.sizes.values()), default=0)
    return largest.area


def _would_downgrade(name: str, candidate: Plan, plan: Plan) -> Problem:
    return Problem(
        field="fallback",
        value=name,
        message=f"fallback_would_downgrade: it makes {candidate.size or 'its own size'} at most, "
        f"and {plan.size} is asked for; allow_downgrade accepts that.",
    )
