"""Keys: made, recognised and compared without ever keeping their text."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.accounts import (
    ALPHABET,
    ID_LENGTH,
    PREFIX,
    SCOPES,
    ApiKey,
    Role,
    Scope,
    digest,
    is_same,
    key_id,
    new_key,
)

NOW = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
KEY = ApiKey(id="abcdefgh", user="u", name="n", digest="d", scopes=(Scope.READ,), created=NOW)


def test_a_new_key_has_a_form_that_scanners_and_the_server_know() -> None:
    keys = {new_key() for _ in range(50)}
    assert len(keys) == 50
    for text in keys:
        assert text.startswith(PREFIX)
        assert len(text) == 60
        assert set(text.removeprefix(PREFIX)) <= set(ALPHABET)
        assert key_id(text) == text[len(PREFIX) :][:ID_LENGTH]


@given(place=st.integers(0, 59), letter=st.characters(codec="utf-8"))
def test_one_wrong_letter_is_found_without_looking_anything_up(place: int, letter: str) -> None:
    text = new_key()
    wrong = text[:place] + letter + text[place + 1 :]
    assert (key_id(wrong) is None) == (wrong != text)


@given(st.text(max_size=80))
def test_any_text_is_a_key_or_none_but_no_error(text: str) -> None:
    assert key_id(text) is None


def test_a_digest_is_good_for_its_key_and_pepper_only() -> None:
    text, pepper = new_key(), b"p" * 32
    kept = digest(text, pepper)
    assert is_same(text, kept, pepper)
    assert not is_same(new_key(), kept, pepper)
    assert not is_same(text, kept, b"q" * 32)
    assert text not in kept
    assert not is_same("ключ", kept, pepper)  # no TypeError for what is not ASCII


def test_a_key_is_good_until_it_is_revoked_or_expires() -> None:
    from dataclasses import replace

    assert KEY.is_good(NOW)
    assert not replace(KEY, revoked=NOW).is_good(NOW)
    later = replace(KEY, expires=NOW + timedelta(hours=1))
    assert later.is_good(NOW)
    assert not later.is_good(NOW + timedelta(hours=1))


@pytest.mark.parametrize("role", Role)
def test_each_role_may_do_what_the_lower_ones_may(role: Role) -> None:
    ordered = [Role.VIEWER, Role.MEMBER, Role.ADMIN]
    for lower in ordered[: ordered.index(role)]:
        assert SCOPES[lower] < SCOPES[role]
    assert (Scope.ADMIN in SCOPES[role]) == (role is Role.ADMIN)
