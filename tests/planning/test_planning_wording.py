"""What the model reads: the prompt whole, and its images by number."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.planning.wording import AREA_WORDS, NAME, ROLE_WORDS, mentions, words
from heliograph.types import ROLES, Area, Cast, Pixels, Reference

PLAIN = Reference(
    source=b"", media_type="image/png", pixels=Pixels(8, 8), size=9, sha256="a" * 64, name="a.png"
)
AREA = Area(picture=PLAIN, region=(0, 0, 4, 4))


def image(label: str | None = None, role: str | None = None) -> Reference:
    return Reference(**{**vars(PLAIN), "label": label, "role": role})


any_text = st.text(st.characters(exclude_categories=()), max_size=40)
names = st.from_regex(NAME, fullmatch=True)
images = st.lists(
    st.builds(image, st.none() | names, st.none() | st.sampled_from([*ROLES, "base", "mark"])),
    max_size=4,
)
casts = st.lists(st.builds(Cast, name=names, description=any_text), max_size=2)


@given(prompt=any_text)
def test_a_prompt_alone_is_sent_as_it_is(prompt: str) -> None:
    assert words(prompt, (), (), None) == prompt
    assert words(prompt, (PLAIN, PLAIN), (), None) == prompt


@given(
    pieces=st.lists(any_text | names.map("@{}".format), max_size=6),
    references=images,
    given_casts=casts,
    area=st.sampled_from([None, AREA]),
)
def test_nothing_of_a_prompt_is_lost(
    pieces: list[str], references: list[Reference], given_casts: list[Cast], area: Area | None
) -> None:
    prompt = " ".join(pieces)
    sent = words(prompt, references, given_casts, area)
    rest = iter(sent)
    # every character is there in order; only the @ of a name that an image has may be missing
    called = {r.label.lower() for r in references if r.label}
    left = "".join(prompt)
    for name in mentions(prompt):
        if name.lower() in called:
            left = left.replace(f"@{name}", name)
    assert all(character in rest for character in left)
    for cast in given_casts:
        assert cast.description in sent
    assert (AREA_WORDS in sent) >= (area is not None)


@given(label=names, before=st.sampled_from(["", "A ", "(", "让", "“", "，"]))
def test_a_name_becomes_its_images_number(label: str, before: str) -> None:
    sent = words(f"{before}@{label}", (PLAIN, image(label)), (), None)
    assert sent.startswith(f"{before}{label} (image 2 below)\n\n")


@pytest.mark.parametrize(
    "prompt",
    ["me@hero.com", "@@hero", "@heroes", "@hero_2", "@hero-2", "@", "@ hero", "@2hero", "@héro"],
)
def test_what_only_looks_like_a_name_stays(prompt: str) -> None:
    sent = words(prompt, (image("hero"), image("h")), (), None)
    assert sent.startswith(f"{prompt}\n\n")


@pytest.mark.parametrize(
    ("prompt", "sent"),
    [
        ("@hero, and @Hero.", "hero (image 1 below), and Hero (image 1 below)."),
        ("@hero's hat", "hero (image 1 below)'s hat"),
        ("让@hero在海边，", "让hero (image 1 below)在海边，"),
        ("@hat on @hero", "hat (image 2 below) on hero (image 1 below)"),
        ("@hero on @horse", "hero (image 1 below) on @horse"),
    ],
)
def test_names_in_prompts(prompt: str, sent: str) -> None:
    found = words(prompt, (image("hero", "character"), image("hat", "object")), (), None)
    assert found.partition("\n\n")[0] == sent


def test_a_long_name_is_not_cut() -> None:
    label = "a" * 40
    assert words(f"@{label}b", (image(label),), (), None).startswith(f"@{label}b\n\n")
    assert mentions(f"@{label}b") == ()


def test_images_are_listed_in_order_with_what_they_are_for() -> None:
    given_images = (image("hero", "character"), image(role="style"), PLAIN, image("sea"))
    lines = words("A fox", given_images, (), None).splitlines()
    assert lines[2] == "The images that follow this text, in order:"
    assert lines[3] == f"Image 1 hero: {ROLE_WORDS['character']}."
    assert lines[4] == f"Image 2: {ROLE_WORDS['style']}."
    assert lines[5:] == ["Image 3: a reference.", "Image 4 sea: a reference."]


def test_every_role_has_words() -> None:
    assert {*ROLES, "base", "mark"} == set(ROLE_WORDS)


def test_a_cast_says_what_it_is_and_an_area_what_stays() -> None:
    mute = Cast(name="mute", description="")
    sent = words("A fox", (), (Cast(name="hero", description="Red scarf."), mute), AREA)
    assert sent.split("\n\n") == ["A fox", "hero: Red scarf.", AREA_WORDS]


def test_mentions_are_told_once_as_spelled() -> None:
    assert mentions("@a b@c @a @A 让@b好") == ("a", "A", "b")
