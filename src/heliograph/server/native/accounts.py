"""Users and keys.

Invariant: nobody makes a key that may do more, spend more or live longer than the key that makes
it; the text of a key is answered once, when it is made; one admin at least can always come in.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from heliograph import accounts as nouns
from heliograph.accounts import SCOPES, ApiKey, Limits, Role, Scope, User
from heliograph.ledger import KEY, WINDOWS
from heliograph.server.faults import Fault, Forbidden
from heliograph.server.native.desk import At, Desk, absent, needs
from heliograph.server.native.documents import fails
from heliograph.server.native.reading import StrictRoute
from heliograph.server.native.shapes import account as shape
from heliograph.server.native.shapes.plain import Id, KeyId
from heliograph.server.revocations import end_key
from heliograph.server.secrets import secrets_folder

router = APIRouter(route_class=StrictRoute)
READ, MANAGE, ADMIN = [needs(Scope.READ)], [needs(Scope.MANAGE)], [needs(Scope.ADMIN)]
SOME = ("", *(f"/{window}" for window in WINDOWS))  # endings of an account's budgets


class LastAdmin(Fault):
    """Without this one nobody could manage the gateway."""

    status = 409
    code = "last_admin"


class KeyEnded(Fault):
    """A key that is no good any more is not replaced."""

    status = 409
    code = "key_ended"


@router.get("/me", tags=["keys"], dependencies=READ)
async def get_me(desk: At) -> shape.Me:
    """Who you are here, and what this key may do."""
    return shape.Me(user=_user(desk.caller.user), key=shape.Key(**_key(desk.caller.key)))


# ---------------------------------------------------------------- users


@router.get("/users", tags=["users"], dependencies=ADMIN)
async def list_users(desk: At) -> shape.Users:
    """All users; for admins."""
    return shape.Users(items=[_user(each) for each in await desk.gateway.accounts.users()])


@router.post("/users", tags=["users"], status_code=201, dependencies=ADMIN, responses=fails(409))
async def add_user(wanted: shape.UserWanted, desk: At) -> shape.User:
    """A new user, without a key; for admins."""
    now = datetime.now(UTC)
    user = User(
        id=nouns.new_id(),
        name=wanted.name,
        role=Role(wanted.role),
        created=now,
        changed=now,
        limits=_limits(wanted.limits),
    )
    await desk.gateway.accounts.add_user(user)
    return _user(user)


@router.get("/users/{user_id}", tags=["users"], dependencies=ADMIN)
async def get_user(user_id: Id, desk: At) -> shape.User:
    """One user; for admins."""
    return _user(await _find_user(desk, user_id))


@router.patch("/users/{user_id}", tags=["users"], dependencies=ADMIN, responses=fails(409))
async def change_user(user_id: Id, change: shape.UserChange, desk: At) -> shape.User:
    """Rename, disable, or change role and limits; for admins."""
    before = await _find_user(desk, user_id)
    after = replace(
        before,
        name=before.name if change.name is None else change.name,
        role=before.role if change.role is None else Role(change.role),
        disabled=before.disabled if change.disabled is None else change.disabled,
        limits=before.limits if change.limits is None else _limits(change.limits),
        changed=max(datetime.now(UTC), before.changed),
        version=before.version + 1,
    )
    async with desk.gateway.ruling:
        if _rules(before) and not _rules(after) and not await _others_rule(desk, before.id):
            raise LastAdmin(
                "This is the last admin with a key.",
                remedy="Make another one first; nothing was changed.",
            )
        await desk.gateway.accounts.change_user(before, after)
    return _user(after)


def _rules(user: User) -> bool:
    return user.role is Role.ADMIN and not user.disabled


async def _others_rule(desk: Desk, user_id: str) -> bool:
    """Whether another admin than this user can come in."""
    accounts, now = desk.gateway.accounts, datetime.now(UTC)
    others = {u.id for u in await accounts.users() if u.id != user_id and _rules(u)}
    return any(
        key.user in others and key.is_good(now) and Scope.ADMIN in key.scopes
        for key in await accounts.keys()
    )


async def _refuse_last_key(desk: Desk, key: ApiKey, now: datetime) -> None:
    """Somebody must be able to come in and make keys.

    Raises:
        LastAdmin: without this key nobody could.
    """
    owner = await desk.gateway.accounts.user(key.user)
    if Scope.ADMIN not in key.scopes or owner is None or not _rules(owner):
        return
    own = await desk.gateway.accounts.keys(key.user)
    if any(k.id != key.id and k.is_good(now) and Scope.ADMIN in k.scopes for k in own):
        return
    if not await _others_rule(desk, key.user):
        raise LastAdmin(
            "This is the last key of the last admin.",
            remedy="Make another one first, or rotate it; nothing was changed.",
        )


async def _find_user(desk: Desk, user_id: str) -> User:
    user = await desk.gateway.accounts.user(user_id)
    if user is None:
        raise absent("user")
    return user


# ---------------------------------------------------------------- keys


@router.get("/keys", tags=["keys"], dependencies=READ)
async def list_keys(desk: At) -> shape.Keys:
    """Your keys without their texts; an admin's list has everybody's."""
    found = await desk.gateway.accounts.keys(desk.caller.sees)
    return shape.Keys(items=[shape.Key(**_key(each)) for each in found])


@router.get("/keys/{key_id}", tags=["keys"], dependencies=READ)
async def get_key(key_id: KeyId, desk: At) -> shape.Key:
    """One key without its text."""
    return shape.Key(**_key(await _find_key(desk, key_id)))


@router.post("/keys", tags=["keys"], status_code=201, dependencies=MANAGE, responses=fails(404))
async def add_key(wanted: shape.KeyWanted, desk: At) -> shape.NewKey:
    """A new key; its text is shown this once."""
    by, now = desk.caller, datetime.now(UTC)
    user = by.user
    if wanted.user is not None and wanted.user != by.user.id:
        if not by.is_admin:
            raise absent("user")
        user = await _find_user(desk, wanted.user)
    await _refuse_with_budget(desk)
    scopes = _scopes(desk, user, wanted.scopes)
    expires = by.key.expires
    if wanted.hours is not None:
        expires = now + timedelta(hours=wanted.hours)
        if by.key.expires is not None and expires > by.key.expires:
            raise _more("life")
    limits = _inherited(wanted.limits, by.key.limits)
    budgets = await _budgets(desk, wanted.budgets)
    text = nouns.new_key()
    key = _made(desk, text, user, wanted.name, now)
    key = replace(key, scopes=scopes, expires=expires, limits=limits)
    await _add(desk, key, budgets)
    return shape.NewKey(**_key(key), text=text)


@router.delete(
    "/keys/{key_id}",
    tags=["keys"],
    status_code=204,
    dependencies=MANAGE,
    responses=fails(409),
)
async def revoke_key(key_id: KeyId, desk: At) -> Response:
    """End a key for good; it stays in the list."""
    key, now = await _find_key(desk, key_id), datetime.now(UTC)
    async with desk.gateway.ruling:
        await _refuse_last_key(desk, key, now)
        await _end_key(desk, key.id, now)
    return Response(status_code=204)


@router.post(
    "/keys/{key_id}/rotate",
    tags=["keys"],
    status_code=201,
    dependencies=MANAGE,
    responses=fails(409),
)
async def rotate_key(key_id: KeyId, rotation: shape.Rotation, desk: At) -> shape.NewKey:
    """A new key instead of this one, which stays good for a while."""
    old, now = await _find_key(desk, key_id), datetime.now(UTC)
    if not old.is_good(now):
        raise KeyEnded("This key has expired.", remedy="Make a new one.")
    if not set(old.scopes) <= _may(desk):
        raise _more("scope")
    by = desk.caller.key
    if by.id != old.id and by.expires is not None and (old.expires or by.expires) > by.expires:
        raise _more("life")
    await _refuse_with_budget(desk)
    if not desk.caller.is_admin and not _is_within(old.limits, by.limits):
        raise _more("speed")
    user = await _find_user(desk, old.user)
    budgets = nouns.key_budgets(await desk.gateway.store.journal.budgets(), old.id)
    text = nouns.new_key()
    key = replace(
        _made(desk, text, user, old.name, now),
        scopes=old.scopes,
        expires=old.expires,
        limits=old.limits,
    )
    await _add(desk, key, budgets)
    ends = now + timedelta(hours=rotation.overlap_hours)
    if rotation.overlap_hours == 0:
        await _end_key(desk, old.id, now)
    elif old.expires is None or ends < old.expires:
        await desk.gateway.accounts.expire_key(old.id, ends)
    return shape.NewKey(**_key(key), text=text)


def _made(desk: Desk, text: str, user: User, name: str, now: datetime) -> ApiKey:
    named = nouns.key_id(text)
    if named is None:
        raise AssertionError("a new key is a key")
    pepper = desk.gateway.secrets.pepper
    return ApiKey(
        id=named,
        user=user.id,
        name=name,
        digest=nouns.digest(text, pepper),
        scopes=(),
        created=now,
    )


async def _refuse_with_budget(desk: Desk) -> None:
    """Whoever may spend so much and no more would begin anew with every new key."""
    budgets = await desk.gateway.store.journal.budgets()
    if not desk.caller.is_admin and nouns.key_budgets(budgets, desk.caller.key.id):
        raise Forbidden(
            "A key with a budget of its own makes no keys.",
            why="Each new one could spend as much again.",
            remedy="Make it with a key without one, or let an admin make it.",
        )


def _is_within(limits: Limits, most: Limits) -> bool:
    return all(
        bound is None or (asked is not None and asked <= bound)
        for asked, bound in (
            (limits.per_minute, most.per_minute),
            (limits.at_once, most.at_once),
        )
    )


async def _add(desk: Desk, key: ApiKey, budgets: Mapping[str, int]) -> None:
    # limits first: a key without its limits must never be there
    for ending, limit in budgets.items():
        await desk.gateway.store.journal.set_budget(f"{KEY}/{key.id}{ending}", limit)
    await desk.gateway.accounts.add_key(key)


async def _end_key(desk: Desk, key: str, at: datetime) -> None:
    gateway = desk.gateway
    await end_key(gateway.accounts, secrets_folder(gateway.settings), key, at)


async def _find_key(desk: Desk, key_id: str) -> ApiKey:
    """A key that is not revoked; those that are stand in the list only."""
    key = await desk.gateway.accounts.key(key_id)
    if key is None or not desk.sees(key.user) or key.revoked is not None:
        raise absent("key")
    return key


def _may(desk: Desk) -> frozenset[Scope]:
    return SCOPES[desk.caller.user.role] & frozenset(desk.caller.key.scopes)


def _scopes(desk: Desk, user: User, wanted: Iterable[str] | None) -> tuple[Scope, ...]:
    most = _may(desk) & SCOPES[user.role]
    scopes = most if wanted is None else frozenset(Scope(word) for word in wanted)
    if not scopes <= most:
        raise _more("scope")
    return tuple(sorted(scopes, key=lambda scope: scope.value))


def _inherited(wanted: shape.LimitsWanted | None, own: Limits) -> Limits:
    asked = _limits(wanted)
    found = {}
    for name in ("per_minute", "at_once"):
        limit, most = getattr(asked, name), getattr(own, name)
        if limit is not None and most is not None and limit > most:
            raise _more("speed")
        found[name] = most if limit is None else limit
    return Limits(**found)


async def _budgets(desk: Desk, wanted: shape.BudgetsWanted | None) -> dict[str, int]:
    """By the ending of their names."""
    asked = wanted or shape.BudgetsWanted()
    limits = await desk.gateway.store.journal.budgets()
    found: dict[str, int] = {}
    for ending in SOME:
        limit: int | None = getattr(asked, ending.removeprefix("/") or "total")
        most = limits.get(f"{KEY}/{desk.caller.key.id}{ending}")
        if limit is not None and most is not None and limit > most:
            raise _more("budget")
        bound = most if limit is None else limit
        if bound is not None:
            found[ending] = bound
    return found


def _more(what: str) -> Forbidden:
    return Forbidden(
        f"The key would have more {what} than the one that makes it.",
        remedy="Ask for less, or let an admin make it.",
    )


def _limits(wanted: shape.LimitsWanted | None) -> Limits:
    if wanted is None:
        return Limits()
    return Limits(per_minute=wanted.per_minute, at_once=wanted.at_once)


def _told_limits(limits: Limits) -> shape.Limits:
    return shape.Limits(per_minute=limits.per_minute, at_once=limits.at_once)


def _user(user: User) -> shape.User:
    return shape.User(
        id=user.id,
        name=user.name,
        role=user.role.value,
        disabled=user.disabled,
        limits=_told_limits(user.limits),
        created=user.created,
        changed=user.changed,
    )


def _key(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "user": key.user,
        "name": key.name,
        "scopes": [scope.value for scope in key.scopes],
        "created": key.created,
        "expires": key.expires,
        "revoked": key.revoked,
        "last_used": key.last_used,
        "limits": _told_limits(key.limits),
    }
