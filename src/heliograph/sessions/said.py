"""What `Sessions` answers with: a finished turn, and a line of the list.

Invariant: these say what was so when they were made; nothing in them follows the library.
"""

from dataclasses import dataclass
from datetime import datetime

from heliograph.sessions.tree import Node, Session
from heliograph.types import Result


@dataclass(frozen=True, kw_only=True)
class Turn:
    """One finished turn."""

    session: Session  # as it stands after the turn
    node: Node
    result: Result


@dataclass(frozen=True, kw_only=True)
class Listed:
    """One session in the list of sessions."""

    id: str
    name: str
    turns: int
    begun: datetime
    changed: datetime
    micro: int  # micro-dollars of all turns
    last: str  # id of the newest record
    starred: bool
    deleted: bool
