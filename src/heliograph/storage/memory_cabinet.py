"""The cabinet in memory, for tests and for what nobody wants to keep.

Invariant: it accepts, refuses and returns exactly what `SqlCabinet` does. Nothing waits inside a
method, so that each is done whole or not at all.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from heliograph.ports import Card
from heliograph.storage.card import canonical_body, card_changed, next_card
from heliograph.storage.lookup import utc_now


class MemoryCabinet:
    """The `Cabinet` port over a dictionary.

    Args:
        clock: the wall clock that changes are dated by.
    """

    def __init__(self, *, clock: Callable[[], datetime] = utc_now) -> None:
        self._cards: dict[tuple[str, str], Card] = {}
        self._clock = clock

    async def card(self, kind: str, name: str) -> Card | None:
        found = self._cards.get((kind, name))
        return None if found is None else _own(found)

    async def cards(self, kind: str) -> Sequence[Card]:
        found = [_own(card) for card in self._cards.values() if card.kind == kind]
        return tuple(sorted(found, key=lambda card: card.name))

    async def put(self, kind: str, name: str, body: Mapping[str, Any], *, version: int) -> Card:
        body = canonical_body(kind, name, body)
        before = self._cards.get((kind, name))
        stored = 0 if before is None else before.version
        if version != stored:
            raise card_changed(kind, name, version=version, stored=stored)
        card = next_card(kind, name, body, version=version, now=self._clock())
        self._cards[kind, name] = card
        return _own(card)

    async def drop(self, kind: str, name: str) -> None:
        self._cards.pop((kind, name), None)


def _own(card: Card) -> Card:
    """A card of the reader's own: what is done to its body changes nothing here."""
    return replace(card, body=copy.deepcopy(card.body))
