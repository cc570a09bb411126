"""Sections, and what is not wanted said as what is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.errors import InvalidRequest
from heliograph.prompts import Structured, read_structured
from heliograph.prompts.negative import POSITIVE, constraints, positive


def test_sections_are_rendered_in_order() -> None:
    prompt = Structured(
        technical="85 mm lens",
        composition="close-up!",
        style="oil on canvas",
        subject="A fox",
        negative=("text, blurry", "no people"),
    )
    assert prompt.render() == (
        "A fox. Style: oil on canvas. Composition: close-up! Technical: 85 mm lens. "
        "Constraints: clean surfaces, free of lettering; sharp focus on the subject; "
        "an empty scene, free of people."
    )


@pytest.mark.parametrize(
    ("subject", "rendered"),
    [
        ("A sign reads “OPEN.”", "A sign reads “OPEN.”"),
        ("一只狐狸。", "一只狐狸。"),
        ("Who is it?", "Who is it?"),
        ("{a fox|an owl}", "{a fox|an owl}."),
        ("  A fox \n", "A fox."),
    ],
)
def test_a_full_stop_is_added_once(subject: str, rendered: str) -> None:
    assert Structured(subject=subject).render() == rendered


@pytest.mark.parametrize(
    ("unwanted", "wanted"),
    [
        ("blurry", "sharp focus on the subject"),
        ("No text.", "clean surfaces, free of lettering"),
        ("without any people", "an empty scene, free of people"),
        ("a watermark", "a clean image, free of watermarks"),
        ("purple elephants", "free of purple elephants"),
        ("a man with no hat", "free of a man with no hat"),
        ("{people|cars}", "free of {people|cars}"),
    ],
)
def test_positive(unwanted: str, wanted: str) -> None:
    assert positive(unwanted) == wanted


@given(st.lists(st.text(alphabet="abc ,;", max_size=8)))
def test_nothing_unwanted_is_lost(unwanted: list[str]) -> None:
    said = " ".join(constraints(tuple(unwanted)))
    for word in " ".join(unwanted).replace(",", " ").replace(";", " ").split():
        assert word in said or positive(word) in said or word == "a"


def test_no_constraint_forbids() -> None:
    """A model draws what a prompt names: constraints say what is there."""
    for wanted, words in POSITIVE.items():
        assert not wanted.startswith(("no ", "not ", "without "))
        assert words


def test_a_document_with_every_kind_of_section() -> None:
    found = read_structured(
        {
            "subject": "A fox",
            "style": ["oil", "muted"],
            "technical": {"lens": "85 mm", "light": "soft"},
            "negative": "text",
        }
    )
    assert found.style == "oil, muted"
    assert found.technical == "lens: 85 mm; light: soft"
    assert found.negative == ("text",)


def test_all_problems_of_a_document_come_together() -> None:
    with pytest.raises(InvalidRequest) as refused:
        read_structured({"stile": "oil", "technical": {"lens": 85}, "negative": [1]})
    told = {p.field: p.message for p in refused.value.problems}
    assert set(told) == {"subject", "stile", "technical.lens", "negative"}
    nearest = next(p.nearest for p in refused.value.problems if p.field == "stile")
    assert nearest[0] == "style"
