"""What people say about sessions and versions: one card for each session.

    name      what it is called                      head    the version it was moved to
    starred   whether it is starred                  tip     where redo ends
    deleted   when it was put out of sight, or null  moved   when it was moved
    title     how the picture it began with was asked for; shown while there is no name
    numbers   by record id: what versions are numbered, so that they keep their numbers
    last      the newest version when it was moved; latest: the newest picture of all then
    nodes     by record id: name, starred, deleted

Invariant: every change reads the card, changes one thing and writes it back; when somebody else was
quicker, it is done again on what they wrote.
"""

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Any

from heliograph.calls import Shelf
from heliograph.errors import CardChanged
from heliograph.ports import Card
from heliograph.sessions.tree import SHOWN, moment

KIND = "session"
MOST = 1_000_000  # no session has as many versions
TRIES = 20  # of a change that others keep overtaking

Change = Callable[[dict[str, Any]], None]


async def read_marks(session_id: str, shelf: Shelf) -> Mapping[str, Any]:
    """The card's text; empty when nobody has said anything."""
    card = await shelf.cabinet.card(KIND, session_id)
    return card.body if card is not None else {}


async def change_marks(session_id: str, shelf: Shelf, change: Change) -> Card:
    """Change the card of a session.

    Raises:
        CardChanged: others were quicker too often.
    """
    for attempt in range(1, TRIES + 1):
        card = await shelf.cabinet.card(KIND, session_id)
        body: dict[str, Any] = _copy(card.body) if card is not None else {}
        change(body)
        try:
            return await shelf.cabinet.put(
                KIND, session_id, body, version=card.version if card is not None else 0
            )
        except CardChanged:
            if attempt == TRIES:
                raise
    raise AssertionError("the last attempt raises")


def of_node(body: dict[str, Any], record_id: str) -> dict[str, Any]:
    """The marks of one version, to be changed in place."""
    nodes: dict[str, dict[str, Any]] = body.setdefault("nodes", {})
    return nodes.setdefault(record_id, {})


def cleaned(marks: Mapping[str, Any], ids: Collection[str], now: datetime) -> dict[str, Any]:
    """Of marks that came from elsewhere, those that can be meant: the rest is left out.

    Args:
        ids: the versions there are.
        now: a move of later than this would hold the session's place for ever.
    """
    found = _plain_marks(marks)
    moved = moment(marks.get("moved"))
    if moved is not None and moved <= now:
        # without the last one a session would never go on from what comes after the move
        places = {name: marks.get(name) for name in ("head", "tip", "last")}
        if all(isinstance(place, str) and place in ids for place in places.values()):
            found |= {**places, "moved": moved.isoformat()}
    nodes = marks.get("nodes")
    if isinstance(nodes, Mapping):
        said = {i: _plain_marks(n) for i, n in nodes.items() if i in ids and isinstance(n, Mapping)}
        found["nodes"] = {record_id: marks for record_id, marks in said.items() if marks}
    numbers = marks.get("numbers")
    if isinstance(numbers, Mapping):
        found["numbers"] = {i: n for i, n in numbers.items() if i in ids and _is_number(n)}
    return {name: value for name, value in found.items() if value}


def _is_number(value: object) -> bool:
    return type(value) is int and 0 < value <= MOST


def _plain_marks(marks: Mapping[str, Any]) -> dict[str, Any]:
    name, deleted = marks.get("name"), moment(marks.get("deleted"))
    found: dict[str, Any] = {"starred": True} if marks.get("starred") is True else {}
    if isinstance(name, str) and not wrong_name(name):
        found["name"] = name
    if deleted is not None:
        found["deleted"] = deleted.isoformat()
    return {key: value for key, value in found.items() if value}


def wrong_name(name: str) -> str | None:
    """Why nothing can be called so, in words; None when it can."""
    if len(name) > SHOWN or any(not c.isprintable() for c in name):
        return f"must be at most {SHOWN} printable characters."
    if name.removeprefix("#").isdecimal():
        return "is a number, and versions go by their numbers."
    return None


def _copy(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _copy(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_copy(item) for item in value]
    return value
