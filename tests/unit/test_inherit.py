"""One setting is changed, and all others stay what they were."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.contract.records import a_record

from heliograph.cache import canonical_key
from heliograph.errors import InvalidRequest
from heliograph.planning import plan
from heliograph.provenance import request_facts
from heliograph.sessions.inherit import INHERITED, LISTS, PLAIN, SHAPE, inherited, settings_of
from heliograph.types import Anchor, Finish, Record, Request

OF_ONE_TURN = {
    *("prompt", "references", "casts", "session", "follows", "base", "region", "mask", "protect"),
    *("feather", "max_cost", "fresh", "idempotency_key", "verbatim", "layout", "owner", "access"),
}


def made_by(request: Request) -> Record:
    """The record of a request, as far as settings go."""
    made = plan(request)
    return a_record(
        model=made.model,
        size=made.size,
        aspect=made.aspect,
        tier=made.tier,
        request=request_facts(made),
    )


safeties = st.dictionaries(
    st.sampled_from(["HARM_CATEGORY_HARASSMENT", "HARM_CATEGORY_HATE_SPEECH"]),
    st.sampled_from(["BLOCK_NONE", "BLOCK_ONLY_HIGH"]),
)
finishes = st.builds(
    Finish,
    format=st.sampled_from([None, "png"]),
    dpi=st.none() | st.integers(72, 300),
    anchor=st.sampled_from(Anchor),
    srgb=st.booleans(),
    preview=st.booleans(),
    thumbnail=st.booleans(),
)
# what can be asked of this model, valid in any combination
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "size": st.sampled_from(["1K", "2K", "4K"]),
    "aspect": st.sampled_from(["1:1", "16:9", "4:5"]),
    "system": st.sampled_from(["Be brief.", "Be kind."]),
    "temperature": st.sampled_from([0.0, 0.5, 1.0]),
    "top_p": st.sampled_from([0.5, 0.9]),
    "seed": st.integers(0, 9),
    "safety": safeties,
    "thinking": st.just("high"),
    "include_thoughts": st.booleans(),
    "tier": st.sampled_from(["standard", "flex", "priority"]),
    "ground": st.just("web"),
    "stream": st.booleans(),
    "strict": st.booleans(),
    "tags": st.lists(st.sampled_from("abc"), unique=True).map(tuple),
    "fallback": st.sampled_from([(), ("gemini-nano-banana-2.1",)]),
    "allow_downgrade": st.booleans(),
    "context": st.sampled_from(["all", "lineage", "last-2"]),
    "finish": finishes,
}
settings = st.fixed_dictionaries({}, optional=VALUES)


def test_every_field_of_a_request_is_taken_over_or_of_one_turn() -> None:
    names = set(Request.__dataclass_fields__)
    assert set(INHERITED) | OF_ONE_TURN == names
    assert not set(INHERITED) & OF_ONE_TURN
    assert set(VALUES) | {"model", "pixels", "use"} == set(INHERITED)
    assert set(SHAPE) | set(PLAIN) | set(LISTS) < set(INHERITED)


@given(options=settings)
def test_the_same_settings_come_to_the_same_picture(options: dict[str, Any]) -> None:
    request = Request(prompt="A fox", **options)
    again = Request(prompt="A fox", **inherited(made_by(request), {}))
    one, two = plan(request), plan(again)
    assert canonical_key(one) == canonical_key(two)
    assert (one.exports, one.tier, two.request.tags) == (two.exports, two.tier, request.tags)
    assert (two.request.fallback, two.request.strict) == (request.fallback, request.strict)
    assert (two.request.context, two.request.stream) == (request.context, request.stream)
    assert two.request.allow_downgrade == request.allow_downgrade


@given(options=settings, name=st.sampled_from(sorted(VALUES)), data=st.data())
def test_one_setting_changes_that_one_alone(
    options: dict[str, Any], name: str, data: st.DataObject
) -> None:
    record = made_by(Request(prompt="A fox", **options))
    value = data.draw(VALUES[name])
    before, after = settings_of(record), inherited(record, {name: value})
    assert after[name] == value
    assert after == {**before, name: value}
    assert plan(Request(prompt="Now", **after)).model == record.model


@given(options=settings, name=st.sampled_from(INHERITED))
def test_what_is_dropped_is_left_open_and_nothing_else(options: dict[str, Any], name: str) -> None:
    record = made_by(Request(prompt="A fox", **options))
    before, after = settings_of(record), inherited(record, {}, [name])
    assert after == {k: v for k, v in before.items() if k != name}
    assert inherited(record, {name: None}) == after


def test_nothing_but_settings_can_be_dropped() -> None:
    for name in ("prompt", "sise", "region", ""):
        with pytest.raises(InvalidRequest, match="is no setting") as caught:
            inherited(made_by(Request(prompt="A fox")), {}, [name])
        assert caught.value.problems[0].field == "drop"


def test_a_shape_in_pixels_is_one_thing() -> None:
    record = made_by(Request(prompt="A fox", pixels="1000x2000"))
    assert inherited(record, {})["pixels"] == "1000x2000"
    assert "size" not in inherited(record, {})
    # a ratio replaces what the pixels had meant, and the tier that they had come to stays
    given_ratio = inherited(record, {"aspect": "1:1"})
    assert (given_ratio["aspect"], given_ratio["size"]) == ("1:1", record.size)
    assert "pixels" not in given_ratio
    assert inherited(record, {"size": "2K"})["aspect"] == record.aspect
    assert "aspect" not in inherited(record, {"size": "2K"}, ["aspect"])
    by_use = inherited(record, {"use": "A4 print at 300 dpi"})
    assert not {"pixels", "size", "aspect"} & set(by_use)
    tiered = made_by(Request(prompt="A fox", size="2K", aspect="16:9"))
    assert not {"size", "aspect", "use"} & set(inherited(tiered, {"pixels": "10x10"}))


def test_what_belongs_to_one_turn_is_not_taken_over() -> None:
    request = Request(prompt="A fox", fresh=True, max_cost=900_000, idempotency_key="k")
    assert not OF_ONE_TURN & set(inherited(made_by(request), {}))
