"""Parameters of images/generations and images/edits: done, or refused by name."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.errors import HeliographError, InvalidRequest
from heliograph.planning import plan
from heliograph.planning.load import catalogue
from heliograph.server.faults import verdict
from heliograph.server.openai.failures import ModelNotFound
from heliograph.server.openai.fields import Fields
from heliograph.server.openai.images import link_variant, read_edit, read_generation
from heliograph.server.openai.wanted import Wanted
from heliograph.server.pictures.variant import parse

PRO = "gemini-3-pro-image"
LITE = "gemini-3.1-flash-lite-image"


def read(**given_: Any) -> Wanted:
    return read_generation(Fields({"prompt": "a boat", **given_}), default_model=PRO)


def refused(**given_: Any) -> list[str]:
    """The parameters that are named when it is refused."""
    with pytest.raises(InvalidRequest) as caught:
        read(**given_)
    return [problem.field for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("asked", "pixels", "size"),
    [
        ("4096x4096", "4096x4096", None),
        ("3840x2160", "3840x2160", None),
        ("3840 × 2160", "3840x2160", None),
        ("4k", None, "4K"),
        ("2K", None, "2K"),
        ("512", None, "512"),
        ("auto", None, None),
        (None, None, None),
    ],
)
def test_size(asked: str | None, pixels: str | None, size: str | None) -> None:
    wanted = read(size=asked)
    assert (wanted.request.pixels, wanted.request.size) == (pixels, size)


@pytest.mark.parametrize("asked", ["large", "1024", "8K", "0x0", "-1x5", "1e308", "4096x", ""])
def test_what_is_no_size_is_refused(asked: str) -> None:
    if asked == "1024":  # the edge of a square, as everywhere in Heliograph
        assert read(size=asked).request.size == "1K"
        return
    assert refused(size=asked) == ["size"]


@pytest.mark.parametrize("bad", [True, 1, 1.5, [], {}, float("inf"), 2**63])
@pytest.mark.parametrize("name", ["size", "model", "prompt", "quality", "user", "aspect_ratio"])
def test_text_is_text(name: str, bad: object) -> None:
    assert name in refused(**{name: bad})


@pytest.mark.parametrize("bad", [-1, 0, 11, 1e308, float("nan"), float("inf"), True, "1", 2**63])
def test_n_is_a_number_from_1_to_10(bad: object) -> None:
    assert refused(n=bad) == ["n"]


@pytest.mark.parametrize(
    ("quality", "size"),
    [("low", "1K"), ("standard", "1K"), ("medium", "2K"), ("high", "4K"), ("hd", "4K"),
     ("xhigh", "4K"), ("max", "4K"), ("auto", None)],
)  # fmt: skip
def test_quality_names_a_tier(quality: str, size: str | None) -> None:
    assert read(quality=quality).request.size == size


def test_quality_chooses_nothing_where_size_says_it_and_that_is_told() -> None:
    wanted = read(quality="low", size="4K")
    assert wanted.request.size == "4K"
    assert "quality low" in wanted.notes[0]


def test_a_quality_that_the_model_lacks_names_those_it_has() -> None:
    with pytest.raises(InvalidRequest) as caught:
        read(quality="high", model=LITE)
    (problem,) = caught.value.problems
    assert problem.field == "quality"
    assert problem.nearest == ("auto", "low", "standard")


@pytest.mark.parametrize(
    "given_",
    [
        {"aspect_ratio": "16:9"},
        {"image_config": {"aspect_ratio": "16:9", "image_size": "2k"}, "size": "2K"},
        {"generation_config": {"imageConfig": {"aspectRatio": "16:9"}}},
        {"generationConfig": {"image_config": {"aspect_ratio": "16:9"}}},
        {"extra_body": {"google": {"aspect_ratio": "16:9"}}},
        {"extra_body": {"google": {"generation_config": {"imageConfig": {"aspectRatio": "16:9"}}}}},
        {"aspect_ratio": "16:9", "size": "3840x2160"},
    ],
)
def test_every_way_to_say_the_ratio(given_: dict[str, Any]) -> None:
    assert plan(read(**given_).request).aspect == "16:9"


def test_a_ratio_that_contradicts_the_size_is_refused() -> None:
    assert refused(size="1024x1024", aspect_ratio="16:9") == ["size"]
    assert refused(size="4K", image_config={"image_size": "2K"}) == ["size"]
    assert refused(
        aspect_ratio="1:1", extra_body={"google": {"aspect_ratio": "16:9"}}
    ) == ["extra_body.google.aspect_ratio"]  # fmt: skip


def test_google_s_own_objects() -> None:
    request = read(
        extra_body={
            "google": {
                "generation_config": {
                    "temperature": 0.5,
                    "topP": 0.9,
                    "seed": 7,
                    "thinkingConfig": {"thinkingLevel": "HIGH"},
                    "responseModalities": ["TEXT", "IMAGE"],
                },
                "safety_settings": [
                    {"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}
                ],
                "tools": [{"google_search": {}}],
            }
        }
    ).request
    assert (request.temperature, request.top_p, request.seed) == (0.5, 0.9, 7)
    assert (request.thinking, request.ground) == ("high", "web")
    assert request.safety == {"HARM_CATEGORY_HARASSMENT": "BLOCK_NONE"}


def test_image_search_is_told_from_web_search() -> None:
    tools: list[dict[str, Any]] = [
        {"googleSearch": {"searchTypes": {"webSearch": {}, "imageSearch": {}}}}
    ]
    assert read(tools=tools).request.ground == "images"
    assert refused(tools=[{"function": {"name": "f"}}]) == ["tools[0]"]


def test_our_own_object() -> None:
    wanted = read(
        heliograph={
            "strict": True,
            "ground": "web",
            "thinking": "high",
            "seed": 3,
            "tags": ["team-a"],
            "max_cost": "0.30",
            "tier": "flex",
            "fallback": [LITE],
            "allow_downgrade": True,
        }
    )
    request = wanted.request
    assert (request.strict, request.ground, request.thinking, request.seed) == (
        True,
        "web",
        "high",
        3,
    )
    assert (request.tags, request.max_cost, request.tier) == (("team-a",), 300_000, "flex")
    assert (request.fallback, request.allow_downgrade) == ((LITE,), True)


@pytest.mark.parametrize(
    ("given_", "named"),
    [
        ({"background": "transparent"}, "background"),
        ({"output_format": "gif"}, "output_format"),
        ({"output_format": "svg"}, "output_format"),
        ({"output_format": "png", "output_compression": 50}, "output_compression"),
        ({"style": "vivid"}, "style"),
        ({"frame_count": 4}, "frame_count"),
        ({"svg": {}}, "svg"),
        ({"complexity": "high"}, "complexity"),
        ({"partial_images": 2}, "partial_images"),
        ({"partial_images": 4, "stream": True}, "partial_images"),
        ({"stream": True, "response_format": "url"}, "response_format"),
        ({"response_format": "url", "size": "1001x999"}, "size"),
        ({"response_format": "url", "output_compression": 50}, "output_compression"),
        ({"modalities": ["text"]}, "modalities"),
        ({"api_base": "http://127.0.0.1"}, "api_base"),
        ({"base_url": "http://127.0.0.1"}, "base_url"),
        ({"extra_headers": {}}, "extra_headers"),
        ({"negative_prompt": "rain"}, "negative_prompt"),
        ({"heliograph": {"stric": True}}, "heliograph.stric"),
        ({"heliograph": {"strict": "true"}}, "heliograph.strict"),
        ({"heliograph": {"images": "markdown"}}, "heliograph.images"),
        ({"heliograph": {"max_cost": "free"}}, "heliograph.max_cost"),
        ({"heliograph": 1}, "heliograph"),
        ({"extra_body": {"other": {}}}, "extra_body.other"),
        ({"generation_config": {"maxOutputTokens": 1}}, "generation_config.maxOutputTokens"),
        ({"input_fidelity": "high"}, "input_fidelity"),
    ],
)
def test_what_cannot_be_is_refused_by_name(given_: dict[str, Any], named: str) -> None:
    assert refused(**given_) == [named]


def test_an_unknown_name_is_answered_with_the_nearest_known_ones() -> None:
    with pytest.raises(InvalidRequest) as caught:
        read(output_fromat="png")
    assert caught.value.problems[0].nearest[0] == "output_format"


def test_all_problems_come_together() -> None:
    assert set(refused(n=99, size="huge", background="transparent", zzz=1)) == {
        "n",
        "size",
        "background",
        "zzz",
    }


def test_null_is_left_out() -> None:
    assert read(size=None, n=None, quality=None, style=None, heliograph=None).count == 1


def test_the_model_s_own_format_is_not_encoded_again() -> None:
    assert read(output_format="jpeg").request.finish.format is None
    assert read(output_format="png").request.finish.format == "png"
    assert read(output_format="jpeg", output_compression=80).request.finish.quality == 80
    assert read(output_format="webp", output_compression=0).request.finish.quality == 1


def test_moderation_low_blocks_only_what_is_surely_harmful() -> None:
    relaxed = read(moderation="low").request.safety
    assert set(relaxed.values()) == {"BLOCK_ONLY_HIGH"}
    plan(read(moderation="low").request)
    settings = [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "OFF"}]
    given_ = read(moderation="low", safety_settings=settings).request.safety
    assert given_ == {"HARM_CATEGORY_HARASSMENT": "OFF"}
    assert not read(moderation="auto").request.safety


@pytest.mark.parametrize(
    "name",
    [PRO, f"models/{PRO}", f"google/{PRO}", f"gemini/{PRO}", "Nano Banana Pro", PRO.upper()],
)
def test_names_of_a_model(name: str) -> None:
    assert read(model=name).model == PRO


@pytest.mark.parametrize(
    "name", ["gpt-image-2", "dall-e-3", "../x:generateContent?key=", "", "a\r\nb"]
)
def test_other_models_are_not_found_and_ours_are_named(name: str) -> None:
    with pytest.raises(ModelNotFound) as caught:
        read(model=name)
    assert verdict(caught.value).status == 404
    assert verdict(caught.value).code == "model_not_found"
    assert PRO in str(caught.value)


def test_a_retired_model_names_its_successor() -> None:
    with pytest.raises(ModelNotFound) as caught:
        read(model="gemini-2.5-flash-image")
    replacement = catalogue().models["gemini-2.5-flash-image"].replacement
    assert replacement is not None
    assert replacement in str(caught.value)


def test_n_pictures_are_n_calls_even_with_a_seed() -> None:
    assert read(n=2, heliograph={"seed": 1}).request.fresh
    assert not read(n=1, heliograph={"seed": 1}).request.fresh


def test_the_client_s_own_user_is_part_of_what_is_asked() -> None:
    assert read(user="u1").shape["user"] == "u1"
    assert read(user="u1", safety_identifier="s1").user == "s1"


@pytest.mark.parametrize(
    "given_",
    [
        {},
        {"size": "1024x1024"},
        {"output_format": "png"},
        {"size": "1024x1024", "output_format": "webp"},
    ],
)
def test_links_lead_to_variants_that_there_are(given_: dict[str, Any]) -> None:
    wanted = read(response_format="url", **given_)
    variant = link_variant(wanted.request, "1024x1024", given_.get("output_format", "jpeg"))
    parse(variant)
    assert ("1024x1024" in variant) == ("size" in given_)


@pytest.mark.parametrize(
    ("given_", "variant"),
    [
        ({"size": "3840x2160"}, "original"),
        ({"size": "3840x2160", "output_format": "png"}, "picture.png"),
        ({"heliograph": {"protect": True}, "size": "3840x2160"}, "picture"),
    ],
)
def test_a_link_to_other_pixels_than_were_asked_leads_to_those(
    given_: dict[str, Any], variant: str
) -> None:
    request = read(response_format="url", **given_).request
    assert link_variant(request, "1376x768", given_.get("output_format", "jpeg")) == variant


# ---------------------------------------------------------------- edits


def edit(pictures: int = 1, *, mask: bool = False, form: bool = True, **given_: Any) -> Wanted:
    return read_edit(
        Fields({"prompt": "make it night", **given_}, is_form=form),
        default_model=PRO,
        pictures=[Path(f"part-{n}") for n in range(pictures)],
        mask=Path("mask") if mask else None,
    )


def test_one_picture_is_what_is_changed() -> None:
    assert edit().request.base == Path("part-0")
    assert edit().request.references == ()


def test_several_pictures_are_put_together_unless_a_mask_says_where() -> None:
    assert edit(3).request.base is None
    assert len(edit(3).request.references) == 3
    masked = edit(3, mask=True).request
    assert (masked.base, masked.mask) == (Path("part-0"), Path("mask"))
    assert len(masked.references) == 2


def test_forms_hold_numbers_as_text() -> None:
    wanted = edit(n="2", stream="true", partial_images="1", heliograph={"seed": "5"})
    assert (wanted.count, wanted.stream, wanted.partials) == (2, True, 1)
    assert wanted.request.seed == 5
    assert edit(heliograph='{"strict": true}').request.strict


def test_an_edit_needs_a_picture() -> None:
    with pytest.raises(InvalidRequest):
        edit(0)


def test_fidelity_is_always_high() -> None:
    assert edit(input_fidelity="high").count == 1
    with pytest.raises(InvalidRequest):
        edit(input_fidelity="low")


# ---------------------------------------------------------------- anything at all

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
_NAMES = st.sampled_from(
    ["prompt", "model", "n", "size", "quality", "background", "output_format", "stream",
     "output_compression", "partial_images", "user", "heliograph", "extra_body", "image_config",
     "generation_config", "safety_settings", "tools", "modalities", "aspect_ratio", "moderation"]
)  # fmt: skip


@given(st.dictionaries(_NAMES | st.text(max_size=12), _JSON, max_size=6))
def test_any_body_is_read_or_refused_with_a_status_for_the_caller(body: dict[str, Any]) -> None:
    try:
        read_generation(Fields(body), default_model=PRO)
    except HeliographError as error:
        status = verdict(error).status
        str(error).encode()
    else:
        status = 200
        assert body["prompt"].strip()
    assert status in (200, 400, 404)


@given(st.integers(1, 9999), st.integers(1, 9999))
def test_exact_sizes_are_asked_for_exactly(width: int, height: int) -> None:
    assert read(size=f"{width}x{height}").request.pixels == f"{width}x{height}"
