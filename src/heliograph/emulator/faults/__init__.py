"""What can go wrong on demand, one family per file; invariant: a name means one thing."""

from collections.abc import Mapping

from heliograph.emulator.faults import (
    bodies,
    errors,
    layouts,
    pictures,
    refusals,
    transport,
    usage,
)
from heliograph.emulator.faults.contract import Fault, table

_FAMILIES = (errors, refusals, layouts, pictures, bodies, transport, usage)

FAULTS: Mapping[str, Fault] = table(
    *(fault for family in _FAMILIES for fault in family.FAULTS.values())
)
