"""Fallback models are planned before anything is sent, and never make less without leave."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.errors import InvalidRequest, Problem
from heliograph.planning import plan
from heliograph.planning.failover import fallback_plans
from heliograph.planning.load import catalogue
from heliograph.types import Plan, Request

PRO = "gemini-3-pro-image"
FLASH = "gemini-nano-banana-2.1"
LITE = "gemini-3.1-flash-lite-image"  # 1K only


def plans(**fields: Any) -> tuple[Plan, ...]:
    return fallback_plans(plan(Request(**{"prompt": "A snow leopard", "model": PRO, **fields})))


def problems(**fields: Any) -> tuple[Problem, ...]:
    with pytest.raises(InvalidRequest) as caught:
        plans(**fields)
    assert {problem.field for problem in caught.value.problems} == {"fallback"}
    return caught.value.problems


def test_without_fallbacks_there_is_nothing_to_plan() -> None:
    assert plans() == ()


def test_a_fallback_makes_the_same_picture_with_another_model() -> None:
    asked = plan(
        Request(prompt="A", model=PRO, size="2K", aspect="16:9", fallback=(FLASH,), seed=7)
    )
    (other,) = fallback_plans(asked)
    assert other.model == FLASH
    assert (other.size, other.aspect, other.tier) == ("2K", "16:9", asked.tier)
    assert other.expected == asked.expected
    assert (other.request.prompt, other.request.seed) == ("A", 7)
    assert other.request.fallback == (), "a fallback has no fallbacks of its own"
    assert other.prices.version.startswith(FLASH), "it is paid for at its own price"
    assert other == plan(Request(prompt="A", model=FLASH, size="2K", aspect="16:9", seed=7))


def test_the_size_that_was_settled_on_is_asked_of_the_fallback_too() -> None:
    """Nothing was said about size and ratio, and the first model's defaults count."""
    asked = plan(Request(prompt="A", model=PRO, fallback=(FLASH,)))
    (other,) = fallback_plans(asked)
    assert asked.size is not None
    assert other.size == asked.size
    assert other.aspect == asked.aspect


@pytest.mark.parametrize("spelled", [FLASH, FLASH.upper(), f" models/{FLASH} "])
def test_a_name_is_read_as_people_write_it(spelled: str) -> None:
    assert [other.model for other in plans(fallback=(spelled,))] == [FLASH]


def test_the_callers_order_is_kept() -> None:
    for order in ((FLASH, LITE), (LITE, FLASH)):
        assert tuple(o.model for o in plans(size="1K", fallback=order)) == order


def test_references_go_to_the_fallback_as_they_were_checked() -> None:
    from tests.providers.plans import reference

    asked = plan(Request(prompt="A", model=PRO, fallback=(FLASH,)), (reference(b"x"),))
    assert fallback_plans(asked)[0].references == asked.references


# ---------------------------------------------------------------- what is refused


def test_a_smaller_picture_needs_leave() -> None:
    (problem,) = problems(size="4K", fallback=(LITE,))
    assert problem.value == LITE
    assert problem.message.startswith("fallback_would_downgrade: it makes 1K at most, and 4K is")
    (other,) = plans(size="4K", fallback=(LITE,), allow_downgrade=True)
    assert (other.model, other.size) == (LITE, "1K")
    assert [o.size for o in plans(size="1K", fallback=(LITE,))] == ["1K"]


def test_a_larger_picture_needs_none() -> None:
    (other,) = plans(model=LITE, fallback=(PRO,))
    assert (other.model, other.size) == (PRO, "1K")


def test_exact_pixels_are_planned_by_the_fallback_itself() -> None:
    (other,) = plans(pixels="1024x1024", fallback=(LITE,))
    assert other.exports == plan(Request(prompt="x", model=LITE, pixels="1024x1024")).exports
    assert other.size == "1K"
    assert plan(Request(prompt="x", model=PRO, pixels="1024x1024")).size == "2K", "same price"
    (problem,) = problems(pixels="4096x2304", fallback=(LITE,))
    assert problem.message.startswith("cannot make this picture: pixels 4096x2304: ")
    (named,) = plans(use="A6 print at 72 dpi", fallback=(FLASH,))
    assert named.request.use == "A6 print at 72 dpi"
    assert named.request.size is None


@pytest.mark.parametrize("name", [PRO, PRO.upper()])
def test_the_first_model_is_no_fallback_of_its_own(name: str) -> None:
    (problem,) = problems(fallback=(name,))
    assert (problem.value, problem.message) == (name, "is named twice.")


def test_a_model_is_named_once() -> None:
    (problem,) = problems(fallback=(FLASH, FLASH.upper()))
    assert (problem.value, problem.message) == (FLASH.upper(), "is named twice.")


def test_what_the_fallback_cannot_do_is_told_now_with_what_it_can() -> None:
    (problem,) = problems(thinking="low", fallback=(FLASH,))
    assert problem.value == FLASH
    assert problem.message.startswith("cannot make this picture: thinking low: ")
    assert set(problem.nearest) <= {"minimal", "medium", "high"}
    assert problem.nearest


def test_an_unknown_model_is_told_with_the_nearest() -> None:
    (problem,) = problems(fallback=("gemini-3-pro-imag",))
    assert problem.message.startswith("cannot make this picture: model gemini-3-pro-imag: ")
    assert PRO in problem.nearest


def test_all_problems_are_told_together() -> None:
    found = problems(
        size="4K", ground="web", thinking="low", fallback=("nothing", LITE, FLASH, PRO)
    )
    assert [problem.value for problem in found] == ["nothing", LITE, LITE, FLASH, PRO]


@given(
    first=st.sampled_from([PRO, FLASH, LITE]),
    others=st.lists(st.sampled_from([PRO, FLASH, LITE]), max_size=3),
    size=st.sampled_from([None, "1K", "2K", "4K"]),
    aspect=st.sampled_from([None, "1:1", "16:9", "21:9"]),
    may_shrink=st.booleans(),
)
def test_no_fallback_makes_less_unless_it_may(
    first: str, others: list[str], size: str | None, aspect: str | None, may_shrink: bool
) -> None:
    fields: dict[str, Any] = {"model": first, "size": size, "aspect": aspect}
    try:
        asked = plan(
            Request(prompt="A", fallback=tuple(others), allow_downgrade=may_shrink, **fields)
        )
    except InvalidRequest:
        return
    can = catalogue().models
    fits = may_shrink or all(asked.size in can[name].can.sizes for name in others)
    once = len({first, *others}) == len(others) + 1
    try:
        made = fallback_plans(asked)
    except InvalidRequest:
        assert not (fits and once)
        return
    assert fits
    assert once
    assert [other.model for other in made] == others
    for other in made:
        assert other.aspect == asked.aspect
        assert may_shrink or other.size == asked.size
