"""Cut a picture to the ratio of its target, keeping the part that the anchor names."""

from typing import Any

from heliograph.imaging.steps.order import Order
from heliograph.types import Anchor

# how much of what is cut off lies left of and above the kept part
_SHARES = {
    Anchor.TOP_LEFT: (0.0, 0.0),
    Anchor.TOP: (0.5, 0.0),
    Anchor.TOP_RIGHT: (1.0, 0.0),
    Anchor.LEFT: (0.0, 0.5),
    Anchor.CENTRE: (0.5, 0.5),
    Anchor.RIGHT: (1.0, 0.5),
    Anchor.BOTTOM_LEFT: (0.0, 1.0),
    Anchor.BOTTOM: (0.5, 1.0),
    Anchor.BOTTOM_RIGHT: (1.0, 1.0),
}


def crop(picture: Any, order: Order) -> Any:
    if order.spec.pixels is None:
        return picture
    target = order.target
    width = min(picture.width, max(1, round(picture.height * target.width / target.height)))
    height = min(picture.height, max(1, round(picture.width * target.height / target.width)))
    if (width, height) == (picture.width, picture.height):
        return picture
    share_left, share_top = _SHARES[order.spec.anchor]
    left = round((picture.width - width) * share_left)
    top = round((picture.height - height) * share_top)
    return picture.crop(left, top, width, height)
