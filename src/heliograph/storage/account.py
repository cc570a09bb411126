"""What may become a user or a key, the same for all implementations of `Accounts`.

Invariant: everything passes through here, so all implementations keep, refuse and return the
same; a number that no column holds and a name that no index holds never reach a database.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from heliograph.accounts import ApiKey, Limits, User
from heliograph.errors import CardChanged, NameTaken, RecordNotFound, StorageError
from heliograph.storage.document import from_document, to_document
from heliograph.storage.lookup import check_moment

# folded and as `tables.AnyText` writes it, it fits into a key of Postgres (2704 bytes)
MAX_NAME = 400  # characters
MAX_LIMIT = 10**9
MAX_VERSION = 2**62


def name_key(name: str) -> str:
    """The form of a name in which two that differ in case only are one."""
    return name.casefold()


def canonical_user(user: User) -> User:
    """The same user as it will be read back, every type checked.

    Raises:
        StorageError: something in it cannot be kept.
    """
    user = from_document(User, to_document(user))
    _check_names(id=user.id, name=user.name)
    _check_limits(user.limits)
    if not 1 <= user.version <= MAX_VERSION:
        raise _refusal(f"a version of {user.version} is outside 1…2^62")
    return user


def canonical_change(before: User, after: User) -> User:
    """The user that replaces `before`, as it will be read back.

    Raises:
        ValueError: it is another user, or not the next version.
        StorageError: something in it cannot be kept.
    """
    if (after.id, after.version) != (before.id, before.version + 1):
        raise ValueError(
            f"version {after.version} of {after.id} does not follow "
            f"version {before.version} of {before.id}"
        )
    return canonical_user(after)


def canonical_key(key: ApiKey) -> ApiKey:
    """The same key as it will be read back, every type checked.

    Raises:
        StorageError: something in it cannot be kept.
    """
    key = from_document(ApiKey, to_document(key))
    _check_names(id=key.id, user=key.user)
    _check_limits(key.limits)
    return key


def minute_of(at: datetime) -> datetime:
    """The minute in which something was used, in UTC.

    Raises:
        ValueError: the time has no zone.
    """
    check_moment(at)
    return at.astimezone(UTC).replace(second=0, microsecond=0)


def user_taken(user: User) -> NameTaken:
    """The error for a user whose name or id belongs to somebody."""
    return NameTaken(
        "There is a user of this name already.",
        why=f"{user.name!r} or the id {user.id} belongs to somebody; case does not count.",
        remedy="Choose another name; nothing was written.",
        facts={"name": user.name, "id": user.id},
    )


def key_taken(key: ApiKey) -> NameTaken:
    """The error for a key whose id belongs to another one."""
    return NameTaken(
        "There is a key with this id already.",
        why=f"{key.id} names another key.",
        remedy="Make a new key; nothing was written.",
        facts={"id": key.id},
    )


def user_changed(before: User, stored: int | None) -> CardChanged:
    """The error for a user who is of another version than was read; None is nobody."""
    found = "is not there" if stored is None else f"is of version {stored} now"
    facts: Mapping[str, Any] = {"id": before.id, "version": stored, "expected": before.version}
    return CardChanged(
        "This user was changed meanwhile.",
        why=f"{before.name!r} {found}, not {before.version}.",
        remedy="Read it again and change what is there now; nothing was written.",
        facts=facts,
    )


def nobody(what: str, its_id: str) -> RecordNotFound:
    """The error for an id of no "user" or no "key"."""
    return RecordNotFound(
        f"There is no such {what}.",
        why=f"No {what} has the id {its_id!r}.",
        remedy=f"List the {what}s and take an id from there.",
        facts={"id": its_id},
    )


def _check_names(**names: str) -> None:
    for what, name in names.items():
        if len(name) > MAX_NAME:
            raise _refusal(f"the {what} has {len(name)} characters, and at most {MAX_NAME} fit")


def _check_limits(limits: Limits) -> None:
    for limit in (limits.per_minute, limits.at_once):
        if limit is not None and not 0 <= limit <= MAX_LIMIT:
            raise _refusal(f"a limit of {limit} is outside 0…{MAX_LIMIT}")


def _refusal(why: str) -> StorageError:
    return StorageError("This cannot be kept.", why=f"{why[0].upper()}{why[1:]}.")
