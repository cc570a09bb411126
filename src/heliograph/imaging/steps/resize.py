"""Scale a picture to exactly its target with Lanczos3 (libvips enlarges with bicubic)."""

from typing import Any

from heliograph.imaging.steps.order import Order


def resize(picture: Any, order: Order) -> Any:
    target = order.target
    if (picture.width, picture.height) == (target.width, target.height):
        return picture
    across, down = target.width / picture.width, target.height / picture.height
    if not picture.hasalpha():
        return picture.resize(across, vscale=down, kernel="lanczos3")
    # colours under transparency must not bleed into the edges
    stored = picture.format
    scaled = picture.premultiply().resize(across, vscale=down, kernel="lanczos3")
    return scaled.unpremultiply().cast(stored)
