"""Sessions: pictures made by conversation, as trees of versions.

    Sessions   edit, find, undo, redo, branch, mark, export, import
    Session    one tree, and where it stands
    Node       one version: the record of a turn with its number and marks

Invariant: the tree follows from records; what people say about it lies on a card beside it.
"""

from heliograph.sessions.said import Listed, Turn
from heliograph.sessions.sessions import Sessions
from heliograph.sessions.tree import Node, Session

__all__ = ["Listed", "Node", "Session", "Sessions", "Turn"]
