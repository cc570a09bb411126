"""An error that was written down comes back as it was."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.errors import (
    Charged,
    HeliographError,
    InvalidRequest,
    KeyReused,
    NoImage,
    Overloaded,
    PolicyBlocked,
    PriceUnknown,
    Problem,
    revived,
)
from heliograph.server.faults import Busy


def kinds(kind: type[HeliographError] = HeliographError) -> Iterator[type[HeliographError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from kinds(below)


KINDS = [kind for kind in kinds() if kind.__module__ == "heliograph.errors"]
words = st.none() | st.text(max_size=9)


def through_json(error: HeliographError) -> HeliographError:
    return revived(json.loads(json.dumps(error.as_dict())))


def test_every_kind_has_a_code_of_its_own() -> None:
    assert len({kind.code for kind in KINDS}) == len(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_comes_back_as_itself(kind: type[HeliographError]) -> None:
    if issubclass(kind, InvalidRequest):
        error: HeliographError = kind([Problem(field="size", value="8K", message="no")])
    else:
        error = kind("x")
    again = through_json(error)
    assert type(again) is kind
    assert (again.exit_code, again.retryable) == (kind.exit_code, kind.retryable)
    assert again.as_dict() == error.as_dict()
    assert str(again) == str(error)
    assert again.args == (error.what,)


def test_what_a_gateway_refused_comes_back_as_itself() -> None:
    again = through_json(Busy("The gateway is stopping.", retry_after=10.0))
    assert type(again) is Busy
    assert (again.code, again.retry_after) == ("busy", 10.0)


@given(
    what=st.text(max_size=9),
    why=words,
    remedy=words,
    charged=st.sampled_from(Charged),
    retry_after=st.none() | st.floats(0, 1e6),
    record_id=words,
    facts=st.dictionaries(st.text(max_size=5), st.none() | st.integers() | st.text(max_size=5)),
)
def test_everything_it_said_comes_back(charged: Charged, **said: Any) -> None:
    error = Overloaded(charged=charged, **said)
    again = through_json(error)
    assert type(again) is Overloaded
    assert again.charged is charged
    assert {name: getattr(again, name) for name in said} == said
    assert again.facts is not error.facts


@pytest.mark.parametrize("kind", [InvalidRequest, PriceUnknown, KeyReused])
def test_a_request_that_was_wrong_keeps_its_words(kind: type[InvalidRequest]) -> None:
    error = kind(
        [
            Problem(field="size", value="8K", message="no", nearest=("4K",)),
            Problem(field="aspect", value="7:3", message="no"),
        ]
    )
    again = through_json(error)
    assert isinstance(again, InvalidRequest)
    assert again.problems == (), "as facts only; the fields are gone"
    assert again.what == "The request has 2 problems."
    assert again.facts["problems"][0]["nearest"] == ["4K"]
    assert str(again) == str(error)


@pytest.mark.parametrize("code", ["no such code", None, 7])
def test_a_code_of_another_release_is_still_an_error(code: object) -> None:
    again = revived({"code": code, "what": "x", "charged": "yes"})
    assert type(again) is HeliographError
    assert again.charged is Charged.YES


def test_what_was_left_out_is_not_known() -> None:
    again = revived({"code": "no_image", "what": "x"})
    assert type(again) is NoImage
    assert again.charged is Charged.UNKNOWN, "silence does not mean free"
    assert (again.why, again.remedy, again.retry_after, again.record_id) == (None,) * 4
    assert again.facts == {}


def test_it_can_be_raised_and_caught_by_its_kind() -> None:
    with pytest.raises(PolicyBlocked, match="no picture of that"):
        raise revived(PolicyBlocked("no picture of that").as_dict())
