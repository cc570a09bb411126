"""Turn a picture upright as EXIF says, so that crops and sizes mean what is seen."""

from typing import Any

from heliograph.imaging.steps.order import Order

UPRIGHT = 1


def orientation(picture: Any) -> int:
    """The EXIF orientation, 1 to 8; 1 is upright."""
    found = picture.get("orientation") if picture.get_typeof("orientation") else UPRIGHT
    return found if found in range(1, 9) else UPRIGHT


def orient(picture: Any, order: Order) -> Any:  # noqa: ARG001  all steps are called alike
    return upright(picture)


def upright(picture: Any) -> Any:
    """The picture as it is meant to be seen."""
    if orientation(picture) == UPRIGHT:
        return picture
    # turning reads rows out of order, which a picture that is read only once cannot give
    return picture.copy_memory().autorot()
