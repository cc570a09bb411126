"""Users and keys in memory, for tests and for what nobody wants to keep.

Invariant: it accepts, refuses and returns exactly what `SqlAccounts` does. Nothing waits inside a
method, so that each is done whole or not at all.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

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
from heliograph.storage.lookup import check_moment


class MemoryAccounts:
    """The `Accounts` port over dictionaries."""

    def __init__(self) -> None:
        self._users: dict[str, User] = {}
        self._keys: dict[str, ApiKey] = {}
        self._revision = 0

    async def add_user(self, user: User) -> None:
        user = canonical_user(user)
        if user.id in self._users or await self.user_named(user.name) is not None:
            raise user_taken(user)
        self._users[user.id] = user
        self._revision += 1

    async def user(self, user_id: str) -> User | None:
        return self._users.get(user_id)

    async def user_named(self, name: str) -> User | None:
        wanted = name_key(name)
        return next((u for u in self._users.values() if name_key(u.name) == wanted), None)

    async def users(self) -> Sequence[User]:
        return tuple(sorted(self._users.values(), key=lambda user: (user.created, user.id)))

    async def change_user(self, before: User, after: User) -> None:
        after = canonical_change(before, after)
        kept = self._users.get(before.id)
        if kept is None or kept.version != before.version:
            raise user_changed(before, None if kept is None else kept.version)
        named = await self.user_named(after.name)
        if named is not None and named.id != after.id:
            raise user_taken(after)
        self._users[after.id] = after
        self._revision += 1

    async def add_key(self, key: ApiKey) -> None:
        key = canonical_key(key)
        if key.user not in self._users:
            raise nobody("user", key.user)
        if key.id in self._keys:
            raise key_taken(key)
        self._keys[key.id] = key
        self._revision += 1

    async def key(self, key_id: str) -> ApiKey | None:
        return self._keys.get(key_id)

    async def keys(self, user_id: str | None = None) -> Sequence[ApiKey]:
        found = [key for key in self._keys.values() if user_id in (None, key.user)]
        return tuple(sorted(found, key=lambda key: (key.created, key.id)))

    async def revoke_key(self, key_id: str, at: datetime) -> None:
        check_moment(at)
        kept = self._keys.get(key_id)
        if kept is None:
            raise nobody("key", key_id)
        if kept.revoked is None:
            self._keys[key_id] = replace(kept, revoked=at.astimezone(UTC))
            self._revision += 1

    async def expire_key(self, key_id: str, at: datetime) -> None:
        check_moment(at)
        kept = self._keys.get(key_id)
        if kept is None:
            raise nobody("key", key_id)
        if kept.expires is None or kept.expires > at:
            self._keys[key_id] = replace(kept, expires=at.astimezone(UTC))
            self._revision += 1

    async def touch_key(self, key_id: str, at: datetime) -> None:
        minute = minute_of(at)
        kept = self._keys.get(key_id)
        if kept is not None and (kept.last_used is None or kept.last_used < minute):
            self._keys[key_id] = replace(kept, last_used=minute)

    async def revision(self) -> int:
        return self._revision
