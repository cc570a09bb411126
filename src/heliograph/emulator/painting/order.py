"""What one picture is asked to be.

Invariant: an order that exists can be painted, its sources aside; the same order
always gives the same bytes.
"""

import re
from dataclasses import dataclass

SMALLEST_SIDE = 64
LARGEST_SIDE = 16_384
_CALL_ID = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True, kw_only=True)
class PaintOrder:
    """One picture to paint; raises ValueError when it cannot be."""

    prompt: str
    """What the picture shows; quoted text is set in type."""
    width: int
    """Pixels across, exactly."""
    height: int
    """Pixels down, exactly."""
    seed: int
    """Varies the composition; the same order gives the same bytes."""
    call_id: str
    """The emulator's call id, written into the pixels and the metadata."""
    sources: tuple[bytes, ...] = ()
    """Encoded images; the last one that has no area painted in magenta is edited."""
    plain: bool = False
    """A flat picture made in milliseconds, for volume tests; still marked."""

    def __post_init__(self) -> None:
        if not _CALL_ID.fullmatch(self.call_id):
            raise ValueError(f"call_id must be 16 lower-case hex characters, not {self.call_id!r}")
        for side in (self.width, self.height):
            if not SMALLEST_SIDE <= side <= LARGEST_SIDE:
                raise ValueError(
                    f"a side must be {SMALLEST_SIDE} to {LARGEST_SIDE} pixels, not {side}"
                )
