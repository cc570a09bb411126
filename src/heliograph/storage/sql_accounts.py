"""Users and keys in SQLite or Postgres, beside the books: the same statements for both.

Invariant: who has a name first, and whose change of a user counts, is decided by the statement
that writes; the revision grows in the transaction of the change that it stands for.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, Update, bindparam, select, update
from sqlalchemy.exc import IntegrityError

from heliograph.accounts import ApiKey, User
from heliograph.storage.account import (
    canonical_change,
    canonical_key,
    canonical_user,
    key_taken,
    minute_of,
    name_key,
    nobody,
    user_changed,
    user_taken,
)
from heliograph.storage.database import Database
from heliograph.storage.lookup import check_moment
from heliograph.storage.row import key_from_row, key_row, user_from_row, user_row
from heliograph.storage.statements import statements
from heliograph.storage.tables import UtcTime, api_keys, revisions, users

SUBJECT = "accounts"
FAILED = "The change could not be written."

_user_of = select(users).where(users.c.id == bindparam("the_id"))
_user_named = select(users).where(users.c.name_key == bindparam("the_name"))
_version_of = select(users.c.version).where(users.c.id == bindparam("the_id"))
_change_user = (
    update(users)
    .where(users.c.id == bindparam("the_id"), users.c.version == bindparam("the_version"))
    .values({c.name: bindparam(c.name) for c in users.c if not c.primary_key})
)
_key_of = select(api_keys).where(api_keys.c.id == bindparam("the_id"))
_id_of_key = select(api_keys.c.id).where(api_keys.c.id == bindparam("the_id"))
_moment = bindparam("moment", type_=UtcTime)
_revoke = (
    update(api_keys)
    .where(api_keys.c.id == bindparam("the_id"), api_keys.c.revoked.is_(None))
    .values(revoked=_moment)
)
_expire = (
    update(api_keys)
    .where(api_keys.c.id == bindparam("the_id"))
    .where(api_keys.c.expires.is_(None) | (api_keys.c.expires > _moment))
    .values(expires=_moment)
)
_touch = (
    update(api_keys)
    .where(api_keys.c.id == bindparam("the_id"))
    .where(api_keys.c.last_used.is_(None) | (api_keys.c.last_used < _moment))
    .values(last_used=_moment)
)
_revision = select(revisions.c.number).where(revisions.c.subject == SUBJECT)


class SqlAccounts:
    """The `Accounts` port over the database of a `SqlBooks`, which closes it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._say = statements(database.dialect)

    async def add_user(self, user: User) -> None:
        user = canonical_user(user)

        def write(connection: Connection) -> None:
            if connection.execute(self._say.add_user, user_row(user)).rowcount != 1:
                raise user_taken(user)
            self._changed(connection)

        await self._database.write(write, "The user could not be written.")

    async def user(self, user_id: str) -> User | None:
        def read(connection: Connection) -> User | None:
            row = connection.execute(_user_of, {"the_id": user_id}).mappings().one_or_none()
            return None if row is None else user_from_row(row)

        return await self._database.read(read)

    async def user_named(self, name: str) -> User | None:
        wanted = {"the_name": name_key(name)}

        def read(connection: Connection) -> User | None:
            row = connection.execute(_user_named, wanted).mappings().one_or_none()
            return None if row is None else user_from_row(row)

        return await self._database.read(read)

    async def users(self) -> Sequence[User]:
        def read(connection: Connection) -> Sequence[User]:
            found = [user_from_row(row) for row in connection.execute(select(users)).mappings()]
            return tuple(sorted(found, key=lambda user: (user.created, user.id)))

        return await self._database.read(read)

    async def change_user(self, before: User, after: User) -> None:
        after = canonical_change(before, after)
        row = user_row(after) | {"the_id": before.id, "the_version": before.version}
        del row["id"]

        def write(connection: Connection) -> None:
            try:
                written = connection.execute(_change_user, row).rowcount
            except IntegrityError as error:  # the name is all that can be in the way
                raise user_taken(after) from error
            if written != 1:
                stored = connection.scalar(_version_of, {"the_id": before.id})
                raise user_changed(before, stored)
            self._changed(connection)

        await self._database.write(write, FAILED)

    async def add_key(self, key: ApiKey) -> None:
        key = canonical_key(key)

        def write(connection: Connection) -> None:
            # users are never deleted, so whoever is here stays here
            if connection.execute(_version_of, {"the_id": key.user}).one_or_none() is None:
                raise nobody("user", key.user)
            if connection.execute(self._say.add_key, key_row(key)).rowcount != 1:
                raise key_taken(key)
            self._changed(connection)

        await self._database.write(write, "The key could not be written.")

    async def key(self, key_id: str) -> ApiKey | None:
        def read(connection: Connection) -> ApiKey | None:
            row = connection.execute(_key_of, {"the_id": key_id}).mappings().one_or_none()
            return None if row is None else key_from_row(row)

        return await self._database.read(read)

    async def keys(self, user_id: str | None = None) -> Sequence[ApiKey]:
        wanted = select(api_keys)
        if user_id is not None:
            wanted = wanted.where(api_keys.c.user_id == user_id)

        def read(connection: Connection) -> Sequence[ApiKey]:
            found = [key_from_row(row) for row in connection.execute(wanted).mappings()]
            return tuple(sorted(found, key=lambda key: (key.created, key.id)))

        return await self._database.read(read)

    async def revoke_key(self, key_id: str, at: datetime) -> None:
        await self._end(_revoke, key_id, at)

    async def expire_key(self, key_id: str, at: datetime) -> None:
        await self._end(_expire, key_id, at)

    async def _end(self, statement: Update, key_id: str, at: datetime) -> None:
        check_moment(at)
        row = {"the_id": key_id, "moment": at}

        def write(connection: Connection) -> None:
            if connection.execute(statement, row).rowcount == 1:
                self._changed(connection)
            elif connection.execute(_id_of_key, {"the_id": key_id}).one_or_none() is None:
                raise nobody("key", key_id)

        await self._database.write(write, FAILED)

    async def touch_key(self, key_id: str, at: datetime) -> None:
        row = {"the_id": key_id, "moment": minute_of(at)}

        def write(connection: Connection) -> None:
            connection.execute(_touch, row)

        await self._database.write(write, FAILED)

    async def revision(self) -> int:
        found = await self._database.read(lambda connection: connection.scalar(_revision))
        return found or 0

    def _changed(self, connection: Connection) -> None:
        connection.execute(self._say.next_revision, {"subject": SUBJECT, "number": 1})
