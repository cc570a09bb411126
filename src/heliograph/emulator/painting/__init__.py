"""The emulator's painter: draws the picture a prompt asks for, and marks it as simulated.

Invariant: the same order gives the same bytes, exactly the size ordered, and the call id can
be read back from the pixels and from the metadata. Safe to call from any thread; about one CPU
second at 4K.
"""

import pyvips

from heliograph.emulator.painting.compose import paint
from heliograph.emulator.painting.mark import (
    read_mark,
    read_metadata_mark,
    write_metadata_mark,
)
from heliograph.emulator.painting.order import PaintOrder

# No picture is painted twice: libvips' cache of operations would only hold plates in memory.
pyvips.cache_set_max(0)

__all__ = ["PaintOrder", "paint", "read_mark", "read_metadata_mark", "write_metadata_mark"]
