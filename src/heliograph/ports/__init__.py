"""The ways out, one method or few each. Every port has at least two implementations, and each
implementation passes the same contract suite (`tests/contract/`).

    calls     to upstreams              imaging   to pictures and their bytes
    books     what is written down      gateway   users, keys and jobs

Invariant: nothing above this floor opens a socket, a database or a worker by any other way.
"""

from heliograph.ports.books import (
    Books,
    Cabinet,
    Card,
    CostRow,
    Finding,
    Journal,
    Search,
    SessionRow,
)
from heliograph.ports.calls import CallLog, Event, Observer, Provider
from heliograph.ports.gateway import Accounts, Jobs
from heliograph.ports.imaging import AreaShape, Blobs, Cell, Imager, Inspection

__all__ = [
    "Accounts",
    "AreaShape",
    "Blobs",
    "Books",
    "Cabinet",
    "CallLog",
    "Card",
    "Cell",
    "CostRow",
    "Event",
    "Finding",
    "Imager",
    "Inspection",
    "Jobs",
    "Journal",
    "Observer",
    "Provider",
    "Search",
    "SessionRow",
]
