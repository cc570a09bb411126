"""Interactions that can be asked for again; invariant: an id belongs to one project, in memory.

Google keeps them for 55 days (one day without billing); here until reset, exit, or until newer
answers need the room.
"""

import base64
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from heliograph.emulator.encoding import TextEdit
from heliograph.emulator.envelope import invalid, not_found
from heliograph.emulator.reply import Tree

ROOM = 512 * 1024 * 1024

_ID = re.compile(r"v1_[A-Za-z0-9_-]{40,}")


@dataclass(kw_only=True)
class Kept:
    """One interaction: the sheet grows while it runs."""

    id: str
    project: str
    call_id: str
    sheet: Tree
    """The resource without its input steps, as it stands."""
    input: Any
    """As it came with the create call."""
    turns: list[Tree]
    """The whole conversation up to and with the input; the answer is added when there is one."""
    edit: TextEdit | None = None
    """What a fault does to the JSON."""
    bytes: int = 0
    stop: Callable[[], None] | None = field(default=None, repr=False)
    """Ends the work of a background interaction at once; none when nothing runs."""

    @property
    def status(self) -> str:
        """Where it stands."""
        return str(self.sheet["status"])


class InteractionStore:
    """All interactions, oldest first."""

    def __init__(self, room: int = ROOM) -> None:
        self._room = room
        self._kept: dict[str, Kept] = {}

    def keep(self, kept: Kept) -> None:
        """Remember one, or what became of it; the oldest finished ones make room."""
        self._kept[kept.id] = kept
        full = sum(each.bytes for each in self._kept.values())
        for each in list(self._kept.values()):
            if full <= self._room:
                break
            if each is not kept and each.stop is None:
                full -= each.bytes
                del self._kept[each.id]

    def get(self, name: str, project: str) -> Kept:
        """One of this project; 400 for what cannot be an id, 404 for the rest (both seen)."""
        if not well_formed(name):
            raise invalid(f"Invalid interaction name: interactions/{name[:100]}")
        kept = self._kept.get(name)
        if kept is None or kept.project != project:
            raise not_found()
        return kept

    def delete(self, name: str, project: str) -> None:
        """Forget one, and end its work if it still runs."""
        kept = self.get(name, project)
        del self._kept[kept.id]
        if kept.stop is not None:
            kept.stop()

    def clear(self) -> None:
        """Forget all."""
        kept, self._kept = self._kept, {}
        for each in kept.values():
            if each.stop is not None:
                each.stop()


def new_id(call_id: str) -> str:
    """An id of Google's shape: two tokens of 23 characters in a base64 wrapping (seen)."""
    tokens = [_token(f"{call_id}:{number}") for number in range(2)]
    wrapped = b"\n\x17" + tokens[0] + b"\x12\x17" + tokens[1]
    return "v1_" + base64.urlsafe_b64encode(wrapped).rstrip(b"=").decode()


def well_formed(name: str) -> bool:
    """Whether a text can be an id at all."""
    return _ID.fullmatch(name) is not None


def _token(seed: str) -> bytes:
    return base64.urlsafe_b64encode(hashlib.blake2b(seed.encode(), digest_size=18).digest())[:23]
