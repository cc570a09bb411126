"""Vector shapes, drawn over a plate.

Invariant: a drawing is ours alone: no word of a prompt ever enters its markup.
"""

from collections.abc import Iterable, Sequence

from pyvips import Image

from heliograph.emulator.painting.colour import Colour, css

Point = tuple[float, float]
Stop = tuple[float, Colour, float]
"""Position 0 to 1, colour, opacity 0 to 1."""


def polygon(points: Iterable[Point]) -> str:
    """Path data of a closed polygon."""
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points) + "Z"


def rectangle(left: float, top: float, width: float, height: float) -> str:
    """Path data of a rectangle."""
    return f"M{left:.1f} {top:.1f}h{width:.1f}v{height:.1f}h{-width:.1f}z"


def disc(x: float, y: float, across: float, down: float | None = None) -> str:
    """Path data of a circle, or of an ellipse when `down` is given; both are radii.

    It turns clockwise as all our shapes do: joined in one path, they add up without holes.
    """
    down = across if down is None else down
    arc = f"a{across:.2f} {down:.2f} 0 1 1"
    return f"M{x - across:.2f} {y:.2f}{arc} {2 * across:.2f} 0{arc} {-2 * across:.2f} 0z"


class Drawing:
    """A vector sheet of the plate's size, painted only between its top and bottom rows."""

    def __init__(self, width: int, height: int, *, top: float = 0, bottom: float | None = None):
        self.width = width
        self.top = max(0, min(height - 1, int(top)))
        self.bottom = height if bottom is None else max(self.top + 1, min(height, int(bottom) + 1))
        self._shapes: list[str] = []
        self._gradients: list[str] = []

    def shape(self, data: str, fill: Colour | str, opacity: float = 1.0) -> None:
        """Fill path data with a colour or a gradient."""
        paint = fill if isinstance(fill, str) else css(fill)
        self._shapes.append(f'<path d="{data}" fill="{paint}" fill-opacity="{opacity:.3f}"/>')

    def line(self, data: str, colour: Colour, width: float, opacity: float = 1.0) -> None:
        """Stroke path data."""
        self._shapes.append(
            f'<path d="{data}" fill="none" stroke="{css(colour)}" stroke-width="{width:.2f}"'
            f' stroke-opacity="{opacity:.3f}" stroke-linecap="round" stroke-linejoin="round"/>'
        )

    def placed(
        self, data: str, fill: Colour | str, place: tuple[float, float, float, float]
    ) -> None:
        """Fill path data drawn in its own units, moved to x, y and scaled across and down."""
        x, y, across, down = place
        paint = fill if isinstance(fill, str) else css(fill)
        self._shapes.append(
            f'<path transform="translate({x:.2f} {y:.2f}) scale({across:.4f} {down:.4f})"'
            f' d="{data}" fill="{paint}"/>'
        )

    def vertical(self, top: float, bottom: float, stops: Sequence[Stop]) -> str:
        """A gradient from one row to another, as a fill."""
        return self._gradient(
            f'linearGradient x1="0" x2="0" y1="{top:.1f}" y2="{bottom:.1f}"', stops
        )

    def sideways(self, left: float, right: float, stops: Sequence[Stop]) -> str:
        """A gradient from one column to another, as a fill."""
        return self._gradient(
            f'linearGradient y1="0" y2="0" x1="{left:.1f}" x2="{right:.1f}"', stops
        )

    def radial(self, x: float, y: float, radius: float, stops: Sequence[Stop]) -> str:
        """A gradient from a centre outwards, as a fill."""
        return self._gradient(f'radialGradient cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}"', stops)

    def over(self, plate: Image) -> Image:
        """The plate with the drawing laid over it."""
        sheet = self.sheet()
        below = plate.crop(0, self.top, self.width, sheet.height)
        inked = sheet[3].ifthenelse(sheet.extract_band(0, n=3), below, blend=True)
        return plate.insert(inked, 0, self.top).copy_memory()

    def sheet(self) -> Image:
        """The drawing alone, with its transparency, rows top to bottom."""
        rows = self.bottom - self.top
        markup = (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{self.width}" height="{rows}"'
            f' viewBox="0 {self.top} {self.width} {rows}">'
            f"<defs>{''.join(self._gradients)}</defs>{''.join(self._shapes)}</svg>"
        )
        return Image.svgload_buffer(markup.encode(), unlimited=True).copy_memory()

    def _gradient(self, opening: str, stops: Sequence[Stop]) -> str:
        name = f"g{len(self._gradients)}"
        kind = opening.split(" ", 1)[0]
        inner = "".join(
            f'<stop offset="{place:.3f}" stop-color="{css(colour)}" stop-opacity="{alpha:.3f}"/>'
            for place, colour, alpha in stops
        )
        self._gradients.append(
            f'<{opening} id="{name}" gradientUnits="userSpaceOnUse">{inner}</{kind}>'
        )
        return f"url(#{name})"
