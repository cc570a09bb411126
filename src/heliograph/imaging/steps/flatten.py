"""Put a picture with transparency on white, where the format knows no transparency."""

from typing import Any

from heliograph.imaging.steps.order import Order


def flatten(picture: Any, order: Order) -> Any:
    if order.format != "jpeg" or not picture.hasalpha():
        return picture
    white = 65535 if picture.format == "ushort" else 255
    return picture.flatten(background=white)
