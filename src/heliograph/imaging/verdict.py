"""How the pixels that came compare with those that were asked. Pure.

Order of judgement: within tolerance on both sides is verified; a clearly smaller area is a
downgrade, whatever its ratio; then another ratio is a mismatch; more pixels than asked are fine.
Invariant: every verdict but a plain VERIFIED comes with a sentence that says why.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from heliograph.types import Pixels, Plan, Verdict

# areas that name a tier when the ratio is open, so that the plan has no table for it
NOMINAL = {
    "512": Pixels(512, 512),
    "1K": Pixels(1024, 1024),
    "2K": Pixels(2048, 2048),
    "4K": Pixels(4096, 4096),
}


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """A verdict with its grounds."""

    verdict: Verdict
    returned_size: str | None  # the size tier that the pixels amount to
    warnings: tuple[str, ...] = ()


def judge(pixels: Pixels, plan: Plan) -> Judgement:
    """Hold the pixels of a picture against its plan."""
    tiers: Mapping[str, Pixels] = plan.sizes or (NOMINAL if plan.size else {})
    returned = _nearest(pixels, tiers)
    if plan.expected is None:
        return _judge_by_area(pixels, plan.size, tiers, returned)
    verdict, warning = _compare(pixels, plan.expected, plan.tolerance)
    if verdict is Verdict.DOWNGRADED and returned and returned != plan.size:
        warning += f" That is the {returned} tier."
    return Judgement(
        verdict=verdict, returned_size=returned, warnings=(warning,) if warning else ()
    )


def _compare(pixels: Pixels, asked: Pixels, tolerance: float) -> tuple[Verdict, str]:
    sides = ((pixels.width, asked.width), (pixels.height, asked.height))
    if all(abs(got - want) <= tolerance * want for got, want in sides):
        return Verdict.VERIFIED, ""
    quotient = (pixels.width * asked.height) / (pixels.height * asked.width)
    skewed = max(quotient, 1 / quotient) > 1 + tolerance
    facts = f"Asked for {asked} px, got {pixels} px"
    if pixels.area < asked.area * (1 - tolerance) ** 2:
        also = ", and in another ratio" if skewed else ""
        return Verdict.DOWNGRADED, f"{facts}: smaller than asked{also}."
    if skewed:
        return Verdict.RATIO_MISMATCH, f"{facts}: another ratio than asked."
    if pixels.area < asked.area:
        return Verdict.DOWNGRADED, f"{facts}: smaller than asked."
    return Verdict.VERIFIED, f"{facts}: larger than asked."


def _judge_by_area(
    pixels: Pixels, asked: str | None, tiers: Mapping[str, Pixels], returned: str | None
) -> Judgement:
    if asked is None or asked not in tiers or returned is None:
        return Judgement(verdict=Verdict.UNASKED, returned_size=returned)
    got, want = tiers[returned].area, tiers[asked].area
    facts = f"Asked for {asked}, got {pixels} px, which is {returned}"
    if got < want:
        return Judgement(
            verdict=Verdict.DOWNGRADED,
            returned_size=returned,
            warnings=(f"{facts}: smaller than asked.",),
        )
    larger = (f"{facts}: larger than asked.",) if got > want else ()
    return Judgement(verdict=Verdict.VERIFIED, returned_size=returned, warnings=larger)


def _nearest(pixels: Pixels, tiers: Mapping[str, Pixels]) -> str | None:
    """The tier whose area is nearest, by factor rather than by difference."""
    if not tiers:
        return None
    return min(tiers, key=lambda tier: abs(math.log(pixels.area / tiers[tier].area)))
