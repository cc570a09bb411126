"""The cabinet in SQLite or Postgres, beside the books: the same statements for both.

Invariant: the version is compared in the statement that writes, never read before it, so of all
who change one version of a card exactly one succeeds, whatever process they are in.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, delete, select, update

from heliograph.ports import Card
from heliograph.storage.card import canonical_body, card_changed, next_card
from heliograph.storage.database import Database
from heliograph.storage.lookup import utc_now
from heliograph.storage.statements import statements
from heliograph.storage.tables import cards

LAST = 2**63 - 2  # the version before the last that the column holds

_one = (cards.c.kind == bindparam("the_kind")) & (cards.c.name == bindparam("the_name"))
_card_of = select(cards).where(_one)
_version_of = select(cards.c.version).where(_one)
_cards_of = select(cards).where(cards.c.kind == bindparam("the_kind"))
_drop = delete(cards).where(_one)
_change = (
    update(cards)
    .where(_one, cards.c.version == bindparam("the_version"))
    .values({name: bindparam(name) for name in ("body", "version", "changed")})
)


class SqlCabinet:
    """The `Cabinet` port over the database of a `SqlBooks`, which closes it.

    Args:
        clock: the wall clock that changes are dated by.
    """

    def __init__(self, database: Database, *, clock: Callable[[], datetime] = utc_now) -> None:
        self._database = database
        self._clock = clock
        self._add = statements(database.dialect).add_card

    async def card(self, kind: str, name: str) -> Card | None:
        key = {"the_kind": kind, "the_name": name}

        def read(connection: Connection) -> Card | None:
            row = connection.execute(_card_of, key).mappings().one_or_none()
            return None if row is None else Card(**row)

        return await self._database.read(read)

    async def cards(self, kind: str) -> Sequence[Card]:
        def read(connection: Connection) -> Sequence[Card]:
            found = connection.execute(_cards_of, {"the_kind": kind}).mappings()
            # not in SQL: each engine, and each locale of Postgres, has an order of its own
            return tuple(sorted((Card(**row) for row in found), key=lambda card: card.name))

        return await self._database.read(read)

    async def put(self, kind: str, name: str, body: Mapping[str, Any], *, version: int) -> Card:
        body = canonical_body(kind, name, body)
        card = next_card(kind, name, body, version=version, now=self._clock())

        def write(connection: Connection) -> Card:
            if not self._written(connection, card):
                key = {"the_kind": kind, "the_name": name}
                stored = connection.execute(_version_of, key).scalar_one_or_none()
                raise card_changed(kind, name, version=version, stored=stored or 0)
            return card

        return await self._database.write(write, "The change could not be written.")

    def _written(self, connection: Connection, card: Card) -> bool:
        new = {"body": card.body, "version": card.version, "changed": card.changed}
        if card.version == 1:
            row = {"kind": card.kind, "name": card.name, **new}
            return connection.execute(self._add, row).rowcount == 1
        if not 1 < card.version <= LAST + 1:
            return False  # no version is below 0, and none beyond what the column holds
        key = {"the_kind": card.kind, "the_name": card.name, "the_version": card.version - 1}
        return connection.execute(_change, key | new).rowcount == 1

    async def drop(self, kind: str, name: str) -> None:
        key = {"the_kind": kind, "the_name": name}

        def write(connection: Connection) -> None:
            connection.execute(_drop, key)

        await self._database.write(write, "This could not be removed.")
