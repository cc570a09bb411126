"""Whether the area of an edit goes with its picture.

Invariant: pure; no file is opened here, so what a mask holds is checked where it is decoded.
"""

from heliograph.errors import Problem
from heliograph.ports import AreaShape
from heliograph.types import Pixels

MAX_FEATHER = 256  # px; wider is slow, and no edge


def check_area(area: AreaShape, parent: Pixels) -> tuple[Problem, ...]:
    """Everything that is wrong with an area on a picture that measures `parent` upright.

    Nothing found means a region is good; a mask's content is checked by `Imager.mark` and
    `Imager.blend`.
    """
    problems = []
    if area.region is None and area.mask is None:
        problems.append(
            Problem(field="region", value="", message="Give a region or a mask to change.")
        )
    if area.region is not None and area.mask is not None:
        message = "Give a region or a mask, not both."
        problems.append(Problem(field="mask", value=area.mask.name[:100], message=message))
    if area.region is not None:
        problems += _check_region(area.region, parent)
    if not 0 <= area.feather <= MAX_FEATHER:
        problems.append(
            Problem(
                field="feather",
                value=str(area.feather),
                message=f"The soft edge has 0 to {MAX_FEATHER} px.",
                nearest=(str(min(max(area.feather, 0), MAX_FEATHER)),),
            )
        )
    return tuple(problems)


def _check_region(region: tuple[int, int, int, int], parent: Pixels) -> list[Problem]:
    left, top, width, height = region
    if width < 1 or height < 1:
        message = "It is empty: width and height are at least 1 px."
    elif left < 0 or top < 0 or left + width > parent.width or top + height > parent.height:
        message = f"It lies outside the picture, which has {parent} px."
    else:
        return []
    value = ",".join(map(str, region))
    return [Problem(field="region", value=value, message=message, nearest=_inside(region, parent))]


def _inside(region: tuple[int, int, int, int], parent: Pixels) -> tuple[str, ...]:
    """What of the region is in the picture, when that is anything."""
    left, top = max(region[0], 0), max(region[1], 0)
    right = min(region[0] + region[2], parent.width)
    bottom = min(region[1] + region[3], parent.height)
    if right <= left or bottom <= top:
        return ()
    return (f"{left},{top},{right - left},{bottom - top}",)
