"""What every painter of one picture shares: the plate, the palette, the sun, the dice.

Invariant: a stage never changes, and each painter draws its own dice from it by name, so
one painter's choices never shift another's.
"""

import hashlib
import math
import random
from dataclasses import dataclass

from heliograph.emulator.painting.brief import Brief
from heliograph.emulator.painting.drawing import Drawing
from heliograph.emulator.painting.order import PaintOrder
from heliograph.emulator.painting.palette import EVERYDAY, PALETTES, Palette

# Above this many pixels the plate is painted at half size and doubled: a 4K scene costs a 2K one.
_LARGEST_PLATE = 5_000_000
_FALLBACK_SCENES = ("mountains", "sea", "mountains", "forest", "dunes")


@dataclass(frozen=True, kw_only=True)
class Stage:
    """The plate being painted, in plate pixels."""

    width: int
    height: int
    seed: str
    brief: Brief
    palette: Palette
    scene: str
    horizon: float
    """The row where the sky ends."""
    sun: tuple[float, float]
    """Where the light is."""

    @property
    def unit(self) -> float:
        """The yardstick for the size of things: the short side, or less on a long strip."""
        return min(self.width, self.height, math.sqrt(self.width * self.height) * 0.8)

    @property
    def tall(self) -> float:
        """Height over width."""
        return self.height / self.width

    def dice(self, name: str) -> random.Random:
        """The dice of one painter."""
        return dice(f"{self.seed}/{name}")

    def number(self, name: str) -> int:
        """A seed for one painter's fields."""
        return self.dice(name).randrange(2**30)

    def drawing(self, *, top: float = 0, bottom: float | None = None) -> Drawing:
        """An empty sheet over the plate, painted only between two rows."""
        return Drawing(self.width, self.height, top=top, bottom=bottom)


def dice(name: str) -> random.Random:
    """Dice that fall the same way for the same name, on every machine."""
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()
    return random.Random(int.from_bytes(digest[:8], "big"))  # noqa: S311  # art, not secrets


def plate_size(order: PaintOrder) -> tuple[int, int]:
    """The size to paint at: the order's own, or half of it when it is large."""
    if order.width * order.height <= _LARGEST_PLATE:
        return order.width, order.height
    return (order.width + 1) // 2, (order.height + 1) // 2


def stage_for(order: PaintOrder, brief: Brief) -> Stage:
    """The stage of an order."""
    width, height = plate_size(order)
    seed = f"{order.seed}/{order.prompt}"
    roll = dice(f"{seed}/stage")
    scene = brief.scenes[0] if brief.scenes else roll.choice(_FALLBACK_SCENES)
    mood = brief.moods[0] if brief.moods else roll.choice(EVERYDAY)
    palette = PALETTES[mood]
    horizon = height * _horizon(scene, height / width) * roll.uniform(0.97, 1.03)
    side = roll.choice((roll.uniform(0.2, 0.38), roll.uniform(0.62, 0.8)))
    lift = roll.uniform(0.45, 0.7) if palette.moon else roll.uniform(0.14, 0.3)
    reach = min(horizon, width * 1.1)
    return Stage(
        width=width,
        height=height,
        seed=seed,
        brief=brief,
        palette=palette,
        scene=scene,
        horizon=horizon,
        sun=(side * width, horizon - lift * reach),
    )


def _horizon(scene: str, tall: float) -> float:
    base = {"sea": 0.6, "city": 0.72, "dunes": 0.55, "still_life": 0.66, "forest": 0.66}
    height = base.get(scene, 0.62)
    return min(0.8, height + 0.06 * max(0.0, min(2.0, tall - 1.0)))
