"""A session as a tree of versions. Pure.

A node is the record of one turn; it never changes. What people say about it (names, stars, what is
out of sight) and where the session stands lie on a card beside it. Invariant: the tree follows from
the records alone, so a turn that a killed process had paid for is in it as soon as its answer is
recovered, and a lost card loses no version.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from heliograph.errors import RecordNotFound
from heliograph.types import NOTHING, Outcome, Record

SHOWN = 60  # characters of a prompt that stand for a name
SHORTEST = 4  # characters of an id that are enough to ask by


@dataclass(frozen=True, kw_only=True)
class Node:
    """One version."""

    number: int  # by time, from 1; 0 is the picture from outside that the session began with
    record: Record
    parent: str | None  # record id within the tree
    children: tuple[str, ...] = ()
    name: str | None = None
    starred: bool = False
    deleted: bool = False

    @property
    def id(self) -> str:
        return self.record.id

    @property
    def has_picture(self) -> bool:
        return self.record.result is not None


@dataclass(frozen=True, kw_only=True)
class Session:
    """All versions of one talk, and where it stands."""

    id: str
    name: str
    nodes: Mapping[str, Node] = field(default_factory=lambda: NOTHING)  # by record id, by number
    head: str | None = None  # the version that the next turn changes
    ahead: tuple[str, ...] = ()  # versions that redo goes to, nearest first
    starred: bool = False
    deleted: bool = False

    @property
    def begun(self) -> datetime:
        return min(node.record.created for node in self.nodes.values())

    @property
    def cost(self) -> int:
        """Micro-dollars of all turns; the picture it began with was paid for elsewhere."""
        return sum(node.record.cost for node in self.nodes.values() if node.number)

    @property
    def simulated(self) -> bool:
        return any(node.record.simulated for node in self.nodes.values())

    def path(self, record_id: str) -> tuple[Node, ...]:
        """From the first version to this one."""
        found = [self.nodes[record_id]]
        while found[-1].parent is not None:
            found.append(self.nodes[found[-1].parent])
        return tuple(reversed(found))

    def find(self, label: str) -> Node:
        """A version by its number, its name, or its id or an unambiguous beginning of that.

        Raises:
            RecordNotFound: none or several match.
        """
        wanted = label.strip().removeprefix("#")
        named = [n for n in self.nodes.values() if n.name is not None and n.name == label.strip()]
        numbered = [n for n in self.nodes.values() if str(n.number) == wanted]
        begun = [n for n in self.nodes.values() if n.id.startswith(wanted.lower())]
        found = named or numbered or (begun if len(wanted) >= SHORTEST else [])
        if len(found) == 1:
            return found[0]
        what = "Several versions are" if found else "No version is"
        raise RecordNotFound(
            f"{what} called {label[:SHOWN]!r} in session {self.id[:8]}.",
            remedy=f"`heliograph sessions tree {self.id[:8]}` shows numbers, names and ids.",
        )


def tree_of(
    session_id: str,
    records: Sequence[Record],
    origin: Record | None,
    card: Mapping[str, Any],
) -> Session:
    """The tree of a session.

    Args:
        records: those of the session, in any order.
        origin: the picture from outside that its first turn changed.
        card: what people said about it; see `marks.py`.
    """
    unique = {record.id: record for record in records if origin is None or record.id != origin.id}
    turns = sorted(unique.values(), key=lambda record: (record.created, record.id))
    parents = _parents(turns, origin)
    children: dict[str, list[str]] = {each: [] for each in parents}
    for record in turns:
        parent = parents[record.id]
        if parent is not None:
            children[parent].append(record.id)
    nodes: dict[str, Node] = {}
    for number, record in _numbered(turns, origin, _mapping(card.get("numbers"))):
        said = _mapping(_mapping(card.get("nodes")).get(record.id))
        nodes[record.id] = Node(
            number=number,
            record=record,
            parent=parents[record.id],
            children=tuple(children[record.id]),
            name=_word(said.get("name")),
            starred=bool(said.get("starred")),
            deleted=bool(said.get("deleted")),
        )
    head, ahead = _place(nodes, card)
    return Session(
        id=session_id,
        name=_word(card.get("name")) or default_name([*([origin] if origin else []), *turns]),
        nodes=nodes,
        head=head,
        ahead=ahead,
        starred=bool(card.get("starred")),
        deleted=card.get("deleted") is not None,
    )


def _numbered(
    turns: Sequence[Record], origin: Record | None, written: Mapping[str, Any]
) -> list[tuple[int, Record]]:
    """Versions with their numbers, in that order: those that are written down, then by time."""
    taken: dict[str, int] = {}
    for record in turns:
        number = written.get(record.id)
        if type(number) is int and number > 0 and number not in taken.values():
            taken[record.id] = number
    following = max(taken.values(), default=0)
    for record in turns:
        if record.id not in taken:
            following += 1
            taken[record.id] = following
    numbered = sorted(((taken[r.id], r) for r in turns), key=lambda pair: pair[0])
    return [(0, origin), *numbered] if origin is not None else numbered


def _parents(turns: Sequence[Record], origin: Record | None) -> Mapping[str, str | None]:
    """What each version goes on from; a circle, which only damage can make, is cut open."""
    ids = {record.id for record in turns} | ({origin.id} if origin else set())
    parents = {record.id: record.follows if record.follows in ids else None for record in turns}
    if origin is not None:
        parents[origin.id] = None
    safe: set[str] = set()
    for record in turns:
        trail: dict[str, None] = {}
        step: str | None = record.id
        while step is not None and step not in safe:
            if step in trail:
                parents[step] = None
                break
            trail[step] = None
            step = parents[step]
        safe |= trail.keys()
    return parents


def _place(
    nodes: Mapping[str, Node], card: Mapping[str, Any]
) -> tuple[str | None, tuple[str, ...]]:
    """Where the session stands: at its newest picture, unless somebody has moved it since.

    It never stands at a version without a picture, nor at one that is out of sight.
    """
    seen = [node for node in nodes.values() if stands(node)]
    newest = seen[-1] if seen else None
    moved = moment(card.get("moved"))
    head = nodes.get(_word(card.get("head")) or "")
    # a version that came after the move is where the session went on
    last = nodes.get(_word(card.get("last")) or "")
    if newest is not None and last is not None and newest.number > last.number:
        head = None
    while moved is not None and head is not None and not stands(head):
        head = nodes.get(head.parent or "")
    if moved is None or head is None:
        return (newest.id if newest else None), ()
    ahead: list[str] = []
    step = nodes.get(_word(card.get("tip")) or "", head)
    while step.id != head.id and step.parent is not None:
        if stands(step):
            ahead.append(step.id)
        step = nodes[step.parent]
    return head.id, tuple(reversed(ahead)) if step.id == head.id else ()


def stands(node: Node) -> bool:
    """Whether a session can stand at a version: it has a picture and is in sight."""
    return node.record.outcome is Outcome.KEPT and node.has_picture and not node.deleted


def moment(text: object) -> datetime | None:
    """A time of a card; None when it is none, or says not in which zone."""
    if not isinstance(text, str):
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo is not None else None


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else NOTHING


def _word(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def default_name(records: Sequence[Record]) -> str:
    """What a session is called before somebody names it: how its first prompt begins."""
    words = " ".join(records[0].prompt.split()) if records else ""
    return words if len(words) <= SHOWN else words[: SHOWN - 1] + "…"
