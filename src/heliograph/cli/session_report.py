"""A session in words and as JSON."""

from typing import Any

from heliograph.money import dollars
from heliograph.sessions import Listed, Node, Session

SHORT = 8  # characters of an id that people see
DEFAULT_CONTEXT = "lineage"


def session_facts(tree: Session) -> dict[str, Any]:
    """A session for a program; money in micro-dollars, and as text for people."""
    head = tree.nodes[tree.head] if tree.head else None
    return {
        "id": tree.id,
        "name": tree.name,
        "begun": tree.begun.isoformat(),
        "starred": tree.starred,
        "removed": tree.deleted,
        "simulated": tree.simulated,
        "cost_micro": tree.cost,
        "cost": dollars(tree.cost),
        "context": _context(tree),
        "head": tree.head,
        "head_version": head.number if head else None,
        "ahead": [tree.nodes[each].number for each in tree.ahead],
        "versions": [_version_facts(node, tree) for node in tree.nodes.values()],
    }


def _version_facts(node: Node, tree: Session) -> dict[str, Any]:
    record, kept = node.record, node.record.result
    return {
        "number": node.number,
        "id": node.id,
        "name": node.name,
        "parent": node.parent,
        "parent_version": tree.nodes[node.parent].number if node.parent else None,
        "starred": node.starred,
        "removed": node.deleted,
        "outcome": record.outcome.value,
        "simulated": record.simulated,
        "created": record.created.isoformat(),
        "prompt": record.prompt,
        "model": record.model,
        "size": record.size,
        "aspect": record.aspect,
        "pixels": str(kept.pixels) if kept else None,
        "cost_micro": record.cost,
        "cost": dollars(record.cost),
    }


def listed_facts(row: Listed, *, simulated: bool) -> dict[str, Any]:
    """A line of the list of sessions for a program."""
    return {
        "id": row.id,
        "name": row.name,
        "turns": row.turns,
        "begun": row.begun.isoformat(),
        "changed": row.changed.isoformat(),
        "last": row.last,
        "starred": row.starred,
        "removed": row.deleted,
        "simulated": simulated,
        "cost_micro": row.micro,
        "cost": dollars(row.micro),
    }


def session_words(tree: Session) -> dict[str, str]:
    """What `show` says above the tree."""
    turns = [node for node in tree.nodes.values() if node.number]
    failed = sum(not node.has_picture for node in turns)
    words = {
        "Session": tree.id,
        "Name": f"{tree.name} *" if tree.starred else tree.name,
        "Begun": f"{tree.begun:%Y-%m-%d %H:%M:%S} UTC{_from_outside(tree)}",
        "Turns": f"{len(turns)}, {failed} of them without a picture" if failed else str(len(turns)),
        "Cost": dollars(tree.cost),
        "Context": _context(tree),
        "Stands at": place_of(tree),
    }
    if tree.ahead:
        words["Redo"] = f"goes to version {tree.nodes[tree.ahead[0]].number}"
    if tree.deleted:
        words["Removed"] = f"it comes back with: heliograph sessions restore {tree.id[:SHORT]}"
    return words


def _from_outside(tree: Session) -> str:
    """The picture of the user's that a session began with, where it began with one."""
    first = min(tree.nodes.values(), key=lambda node: node.number).record
    given = first.request.get("references", ())
    base = next((facts for facts in given if facts.get("role") == "base"), None)
    if base is None or first.follows is not None:
        return ""
    return f", with {base.get('name')} ({base.get('pixels')})"


def _context(tree: Session) -> str:
    """What of earlier turns goes back with the next one, unless it says otherwise."""
    if tree.head is None:
        return DEFAULT_CONTEXT
    return str(tree.nodes[tree.head].record.request.get("context") or DEFAULT_CONTEXT)


def place_of(tree: Session) -> str:
    """Which version the next change goes on from."""
    if tree.head is None:
        return "nowhere: it has no picture"
    node = tree.nodes[tree.head]
    return f"version {node.number}" + (f", {node.name}" if node.name else "")
