"""Images, earlier turns and areas: what is refused, and what gives way to what."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.errors import InvalidRequest
from heliograph.planning import plan
from heliograph.types import (
    Area,
    Cast,
    Finish,
    Given,
    Material,
    Part,
    Pixels,
    Plan,
    Reference,
    Request,
    Signature,
    Turn,
)

PRO, NB21, LITE = "gemini-3-pro-image", "gemini-nano-banana-2.1", "gemini-3.1-flash-lite-image"
IMAGE = Reference(
    source=b"", media_type="image/jpeg", pixels=Pixels(8, 8), size=9, sha256="0" * 64, name="a"
)


def image(number: int = 0, **changes: Any) -> Reference:
    return replace(IMAGE, sha256=f"{number:064x}", **changes)


def turn(number: int, references: int = 0, pictures: int = 1, **changes: Any) -> Turn:
    """A turn whose images tell its number."""
    signed = Signature(path=Path("s.sig"), size=5, sha256="5" * 64)
    inputs = tuple(image(number * 100 + n) for n in range(references))
    answer = [Part(image=image(number * 100 + 50 + n), signature=signed) for n in range(pictures)]
    said: dict[str, Any] = {
        "record": f"r{number}",
        "words": f"turn {number}",
        "references": inputs,
        "answer": tuple(answer),
        "model": PRO,
        "signed": True,
    }
    return Turn(**{**said, **changes})


def made(count: int = 0, *history: Turn, **wishes: Any) -> Plan:
    own = tuple(image(9_000 + n) for n in range(count))
    request = Request(**{"prompt": "A fox", "model": PRO, **wishes})
    return plan(request, own, material=Material(history=history))


def problem(**wishes: Any) -> tuple[str, str]:
    with pytest.raises(InvalidRequest) as caught:
        plan(Request(**{"prompt": "A fox", **wishes}))
    (found,) = caught.value.problems
    return found.field, found.message


# ---------------------------------------------------------------- how many


@pytest.mark.parametrize("model", [PRO, NB21])
def test_fourteen_images_go_and_fifteen_do_not(model: str) -> None:
    assert len(made(14, model=model).references) == 14
    with pytest.raises(InvalidRequest, match="takes at most 14") as caught:
        made(15, model=model)
    (found,) = caught.value.problems
    assert (found.field, found.value, found.nearest) == ("references", "15 images", ("14",))


def test_images_that_are_not_read_yet_are_counted() -> None:
    with pytest.raises(InvalidRequest, match="15 images"):
        plan(Request(prompt="A fox", references=(b"..",) * 15))


@given(
    own=st.integers(0, 16),
    shape=st.lists(st.tuples(st.integers(0, 6), st.integers(0, 3)), max_size=8),
)
def test_earlier_turns_give_way_oldest_first(own: int, shape: list[tuple[int, int]]) -> None:
    history = tuple(turn(n, *counts) for n, counts in enumerate(shape, start=1))
    last = sum(p.image is not None for p in history[-1].answer) if history else 0
    if own > 14 or own + last > 14:
        with pytest.raises(InvalidRequest) as caught:
            made(own, *history)
        (found,) = caught.value.problems
        assert (found.field, found.value) == ("references", f"{own} images")
        return
    found_plan = made(own, *history)
    before = [r for t in history for r in (*t.references, *(p.image for p in t.answer))]
    sent = list(found_plan.inputs)
    assert len(sent) <= 14
    assert sent[len(sent) - own :] == list(found_plan.references)
    # words are never left out, nor is the picture that is changed
    assert [t.words for t in found_plan.history] == [t.words for t in history]
    if history:
        assert found_plan.history[-1].answer == history[-1].answer
    left_out = len(before) + own - len(sent)
    notes = [n for n in found_plan.notes if "do not go back" in n]
    assert bool(notes) == bool(left_out)
    if left_out:
        assert f"{left_out} of earlier turns" in notes[0]
        # input images go before any answer does, and the oldest before younger ones
        kept_inputs = [len(t.references) for t in found_plan.history]
        whole = [len(t.references) for t in history]
        first = next((n for n, kept in enumerate(kept_inputs) if kept), len(whole))
        assert kept_inputs[first + 1 :] == whole[first + 1 :]
        if any(
            len(t.answer) < len(h.answer) for t, h in zip(found_plan.history, history, strict=True)
        ):
            assert not any(kept_inputs)
    if len(before) + own <= 14:
        assert found_plan.history == history


def test_no_room_for_the_picture_that_is_changed_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="leave no room for the picture") as caught:
        made(14, turn(1, 3), turn(2))
    assert caught.value.problems[0].nearest == ("13",)
    assert len(made(13, turn(1, 3), turn(2)).inputs) == 14


# ---------------------------------------------------------------- names, kinds, weight


def test_an_image_type_that_the_model_does_not_read_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="is no image type"):
        plan(Request(prompt="A fox"), (image(media_type="image/gif"),))


def test_two_images_of_one_name_are_refused_whatever_the_case() -> None:
    with pytest.raises(InvalidRequest, match="is the name of two images"):
        plan(Request(prompt="A fox"), (image(label="hero"), image(label="Hero")))


def test_a_name_that_no_image_has_is_told() -> None:
    hero = image(label="hero")
    assert "No image is called @horse" in " ".join(
        plan(Request(prompt="@hero on @horse"), (hero,)).notes
    )
    for prompt, images in (("@hero", (hero,)), ("@horse", (image(),)), ("a@horse.de", (hero,))):
        assert "No image is called" not in " ".join(plan(Request(prompt=prompt), images).notes)


@pytest.mark.parametrize("name", ["", "2a", "a b", "ä", "a" * 41, "a.b"])
def test_names_that_no_prompt_could_call_are_refused(name: str) -> None:
    field, message = problem(references=(Given(source=b"", name=name),))
    assert (field, "no name for an image" in message) == ("references", True)


def test_roles_are_those_there_are() -> None:
    with pytest.raises(InvalidRequest, match="is no role") as caught:
        plan(Request(prompt="A fox", references=(Given(source=b"", role="charcter"),)))
    assert caught.value.problems[0].nearest == ("character",)


def test_heavy_images_go_through_the_files_api() -> None:
    heavy = image(size=19_000_000)
    assert "Files API" in " ".join(plan(Request(prompt="A fox"), (heavy,) * 6).notes)
    assert "Files API" not in " ".join(plan(Request(prompt="A fox"), (heavy,)).notes)


# ---------------------------------------------------------------- turns


@pytest.mark.parametrize("context", ["all", "lineage", "last-1", "last-999"])
def test_what_goes_back_is_said_so(context: str) -> None:
    assert made(context=context).request.context == context


@pytest.mark.parametrize("context", ["last", "last-0", "last-x", "last-1000", "ALL ", "", "none"])
def test_other_policies_are_refused(context: str) -> None:
    assert problem(context=context)[0] == "context"


def test_another_model_does_not_carry_the_context_and_says_so() -> None:
    kept = made(0, turn(1))
    assert (kept.carries_context, kept.notes) == (True, kept.notes)
    assert not [n for n in kept.notes if "reasoning context" in n]
    for lost in (
        made(0, turn(1), model=NB21),
        made(0, turn(1, signed=False)),
        made(0, turn(1, model=NB21), turn(2)),
    ):
        assert not lost.carries_context
        assert [n for n in lost.notes if "reasoning context of earlier turns is not carried" in n]
    # a turn of which nothing but the words goes back has no context to lose
    assert made(0, turn(1, model=NB21, pictures=0), turn(2)).carries_context


def test_earlier_turns_are_priced() -> None:
    alone, after = made(), made(0, turn(1, 2), turn(2))
    assert after.estimate.expected > alone.estimate.expected
    assert "3 earlier turns" not in " ".join(after.estimate.notes)
    assert "2 earlier turns among them" in " ".join(after.estimate.notes)
    assert "the turn before among them" in " ".join(made(0, turn(1)).estimate.notes)


def test_words_of_casts_and_turns_are_priced() -> None:
    cast = Material(casts=(Cast(name="hero", description="word " * 500),))
    request = Request(prompt="A fox")
    assert plan(request, material=cast).estimate.low > plan(request).estimate.low


# ---------------------------------------------------------------- areas


@pytest.mark.parametrize(
    ("wishes", "field", "message"),
    [
        ({"region": (0, 0, 1, 1)}, "region", "needs a picture"),
        ({"mask": b"m"}, "mask", "needs a picture"),
        ({"follows": "r"}, "follows", "must be an id"),
        ({"session": "../.."}, "session", "must be an id"),
        ({"region": (0, 0, 1, 1), "mask": b"m", "base": b"b"}, "mask", "beside a region"),
        ({"base": b"b", "follows": "e" * 32}, "base", "beside a kept picture"),
        ({"base": b"b", "protect": True}, "protect", "needs a region or a mask"),
        ({"base": b"b", "feather": 3}, "feather", "needs a region or a mask"),
        ({"base": b"b", "region": (0, 0, 1, 1), "feather": 257}, "feather", "from 0 to 256"),
        ({"base": b"b", "region": (0, 0, 1, 1), "feather": -1}, "feather", "from 0 to 256"),
    ],
)
def test_areas_that_make_no_sense(wishes: dict[str, Any], field: str, message: str) -> None:
    found = problem(**wishes)
    assert found[0] == field
    assert message in found[1]


@pytest.mark.parametrize("kind", ["jpeg", "webp", "avif"])
def test_what_is_protected_is_not_written_with_loss(kind: str) -> None:
    area: dict[str, Any] = {"base": b"b", "region": (0, 0, 1, 1), "protect": True}
    field, message = problem(**area, finish=Finish(format=kind))
    assert (field, "loses detail" in message) == ("format", True)
    for fine in ("png", "tiff", None):
        assert plan(Request(prompt="A fox", **area, finish=Finish(format=fine))).request.protect


def test_the_mark_counts_as_an_image() -> None:
    area = Area(picture=IMAGE, region=(0, 0, 1, 1))
    request = Request(prompt="A fox", follows="e" * 32, region=(0, 0, 1, 1))
    marked = (*(image(n) for n in range(13)), image(99, role="mark"))
    with pytest.raises(InvalidRequest, match="leave no room"):
        plan(request, marked, material=Material(history=(turn(1),), area=area))
    assert plan(request, marked[1:], material=Material(history=(turn(1),), area=area)).area
