"""What people type is understood or refused with the nearest valid value; all at once."""

import math
from pathlib import Path

import pytest

from heliograph.errors import InvalidRequest, PriceUnknown, Problem
from heliograph.planning import plan
from heliograph.planning.catalogue import Catalogue
from heliograph.planning.load import catalogue
from heliograph.types import Finish, Given, Pixels, Plan, Reference, Request

NB21, LITE = "gemini-nano-banana-2.1", "gemini-3.1-flash-lite-image"


def planned(**wishes: object) -> Plan:
    return plan(Request(**{"prompt": "a lighthouse", **wishes}))  # type: ignore[arg-type]


def problem(**wishes: object) -> Problem:
    with pytest.raises(InvalidRequest) as caught:
        planned(**wishes)
    (only,) = caught.value.problems
    return only


def reference(**facts: object) -> Reference:
    known = {
        "source": b"", "media_type": "image/png", "pixels": Pixels(64, 64), "size": 1000,
        "sha256": "0" * 64, "name": "cat.png",
    }  # fmt: skip
    return Reference(**{**known, **facts})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "size"),
    [
        ("4k", "4K"), ("4K", "4K"), (" 4 K ", "4K"), ("4096", "4K"), ("4096px", "4K"),
        ("2k", "2K"), ("2048", "2K"), ("1K", "1K"), ("1024 PX", "1K"), ("４Ｋ", "4K"),
    ],
)  # fmt: skip
def test_sizes_are_understood(given: str, size: str) -> None:
    assert planned(size=given).size == size


@pytest.mark.parametrize(
    ("given", "ratio"),
    [
        ("16:9", "16:9"), ("16x9", "16:9"), ("16×9", "16:9"), ("16/9", "16:9"),
        ("16 : 9", "16:9"), ("16：9", "16:9"), ("1.778", "16:9"), ("1.78", "16:9"),
        ("1", "1:1"), ("1.0", "1:1"), ("0.5625", "9:16"), ("1.5", "3:2"), ("0.667", "2:3"),
        ("2.333", "21:9"), ("1.25", "5:4"), ("0.75", "3:4"), ("16X9", "16:9"), ("016:09", "16:9"),
    ],
)  # fmt: skip
def test_ratios_are_understood(given: str, ratio: str) -> None:
    found = planned(aspect=given)
    assert found.aspect == ratio
    assert found.request.aspect == ratio


@pytest.mark.parametrize(
    "given", ["4096x2304", "4096×2304", "4096 x 2304", "4096X2304", "4096*2304", "4096px x 2304px"]
)
def test_pixels_are_understood(given: str) -> None:
    assert planned(pixels=given).exports[0].pixels == Pixels(4096, 2304)


@pytest.mark.parametrize(
    ("given", "format_"), [("jpg", "jpeg"), ("JPEG", "jpeg"), (".png", "png"), ("tif", "tiff")]
)
def test_formats_are_understood(given: str, format_: str) -> None:
    assert planned(finish=Finish(format=given)).exports[0].format == format_


def test_words_are_understood() -> None:
    found = planned(
        model=" models/Gemini-Nano-Banana-2.1 ", thinking="HIGH", tier="Batch", ground="Image",
        safety={"harassment": "none", "HARM_CATEGORY_HATE_SPEECH": "only high",
                "dangerous-content": "off"},
    )  # fmt: skip
    assert (found.model, found.thinking, found.tier, found.ground) == (
        NB21, "high", "batch", "images",
    )  # fmt: skip
    assert found.request.safety == {
        "HARM_CATEGORY_HARASSMENT": "BLOCK_NONE",
        "HARM_CATEGORY_HATE_SPEECH": "BLOCK_ONLY_HIGH",
        "HARM_CATEGORY_DANGEROUS_CONTENT": "OFF",
    }


@pytest.mark.parametrize(
    ("wishes", "field", "value", "nearest"),
    [
        ({"size": "0.5K"}, "size", "0.5K", "1K"),
        ({"size": "512"}, "size", "512", "1K"),
        ({"size": "8k"}, "size", "8k", "4K"),
        ({"size": "3K"}, "size", "3K", "4K"),
        ({"size": "huge"}, "size", "huge", "4K"),
        ({"size": "4k", "model": LITE}, "size", "4k", "1K"),
        ({"aspect": "7:3"}, "aspect", "7:3", "21:9"),
        ({"aspect": "32:18"}, "aspect", "32:18", "16:9"),
        ({"aspect": "2:1"}, "aspect", "2:1", "16:9"),
        ({"aspect": "9:21"}, "aspect", "9:21", "9:16"),
        ({"aspect": "8:1"}, "aspect", "8:1", "21:9"),
        ({"aspect": "0.25"}, "aspect", "0.25", "9:16"),
        ({"aspect": "0:1"}, "aspect", "0:1", "1:1"),
        ({"aspect": "widescreen"}, "aspect", "widescreen", "1:1"),
        ({"model": "gemini-3-pro-imge"}, "model", "gemini-3-pro-imge", "gemini-3-pro-image"),
        ({"model": "nano banana pro"}, "model", "nano banana pro", "gemini-3-pro-image"),
        ({"model": "nano banana 2.1"}, "model", "nano banana 2.1", NB21),
        ({"model": "dall-e-3"}, "model", "dall-e-3", "gemini-3-pro-image"),
        ({"thinking": "hgih"}, "thinking", "hgih", "high"),
        ({"thinking": "low", "model": NB21}, "thinking", "low", "minimal"),
        ({"thinking": "xhigh", "model": LITE}, "thinking", "xhigh", "high"),
        ({"thinking": "off", "model": LITE}, "thinking", "off", "minimal"),
        ({"tier": "standrad"}, "tier", "standrad", "standard"),
        ({"tier": "flex", "model": NB21}, "tier", "flex", "standard"),
        ({"ground": "images"}, "ground", "images", "web"),
        ({"ground": "wbe"}, "ground", "wbe", "web"),
        ({"safety": {"harrassment": "OFF"}}, "safety", "harrassment", "HARM_CATEGORY_HARASSMENT"),
        ({"safety": {"hate_speech": "BLOCK_NON"}}, "safety", "hate_speech=BLOCK_NON", "BLOCK_NONE"),
        ({"temperature": 1.5}, "temperature", "1.5", "1"),
        ({"temperature": -1}, "temperature", "-1", "0"),
        ({"top_p": 2}, "top_p", "2", "1"),
        ({"top_p": math.inf}, "top_p", "inf", "1"),
        ({"seed": 2**31}, "seed", "2147483648", "2147483647"),
        ({"max_cost": -1}, "max_cost", "-1", "0"),
        ({"finish": Finish(format="jpge")}, "format", "jpge", "jpeg"),
        ({"finish": Finish(quality=101)}, "quality", "101", "100"),
        ({"finish": Finish(dpi=5000)}, "dpi", "5000", "2400"),
        ({"finish": Finish(max_bytes=10)}, "max_bytes", "10", "1024"),
    ],
)  # fmt: skip
def test_problem_with_its_nearest(
    wishes: dict[str, object], field: str, value: str, nearest: str
) -> None:
    found = problem(**wishes)
    assert (found.field, found.value, found.nearest[0]) == (field, value, nearest)
    assert found.message.endswith(".")


@pytest.mark.parametrize(
    ("wishes", "field"),
    [
        ({"prompt": ""}, "prompt"),
        ({"prompt": " \n\t"}, "prompt"),
        ({"prompt": "x" * 600_000}, "prompt"),  # 150,000 tokens of 131,072
        ({"prompt": "half \ud83c of a sunrise"}, "prompt"),
        ({"system": "\udfff"}, "system"),
        ({"system": "x" * 600_000}, "prompt"),
        ({"model": ""}, "model"),
        ({"model": "models/"}, "model"),
        ({"size": " "}, "size"),
        ({"temperature": math.nan}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"seed": False}, "seed"),
        ({"seed": 10**5000}, "seed"),
        ({"max_cost": True}, "max_cost"),
        ({"finish": Finish(quality=90, format="png")}, "quality"),
        ({"finish": Finish(quality=True)}, "quality"),
        ({"references": (b"",) * 15}, "references"),
        ({"safety": {"harassment": "OFF", "HARM_CATEGORY_HARASSMENT": "BLOCK_NONE"}}, "safety"),
        # what a caller without a type checker does
        ({"size": 4096}, "size"),
        ({"prompt": None}, "prompt"),
        ({"finish": Finish(format=3)}, "format"),  # type: ignore[arg-type]
        ({"temperature": "warm"}, "temperature"),
    ],
)
def test_what_is_refused(wishes: dict[str, object], field: str) -> None:
    assert problem(**wishes).field == field


def test_all_problems_at_once() -> None:
    with pytest.raises(InvalidRequest) as caught:
        planned(
            prompt=" ", model="gemini-3-pro-image-preview", size="9K", aspect="7:3", thinking="?",
            tier="cheap", ground="maps", seed=True, temperature=math.nan, top_p=7.0, max_cost=-5,
            safety={"rudeness": "OFF"}, use="for my cat", pixels="big",
            finish=Finish(format="gif", quality=0, dpi=0, max_bytes=0),
        )  # fmt: skip
    assert sorted(p.field for p in caught.value.problems) == sorted([
        "prompt", "model", "size", "aspect", "thinking", "tier", "ground", "seed", "temperature",
        "top_p", "max_cost", "safety", "use", "pixels", "format", "quality", "dpi", "max_bytes",
    ])  # fmt: skip
    assert type(caught.value) is InvalidRequest


@pytest.mark.parametrize(
    ("model", "date", "replacement"),
    [
        ("gemini-3-pro-image-preview", "2026-06-25", "gemini-3-pro-image"),
        ("models/gemini-2.5-flash-image", "2026-10-02", LITE),
        ("gemini-3.1-flash-image", "2026-10-29", NB21),
        ("imagen-4.0-ultra-generate-001", "2026-08-17", "gemini-3-pro-image"),
    ],
)
def test_retired_models(model: str, date: str, replacement: str) -> None:
    found = problem(model=model)
    assert date in found.message
    assert found.nearest == (replacement,)


def test_other_fields_are_held_against_the_replacement() -> None:
    with pytest.raises(InvalidRequest) as caught:
        planned(model="gemini-2.5-flash-image", size="4K")
    assert [(p.field, p.nearest) for p in caught.value.problems] == [
        ("model", (LITE,)),
        ("size", ("1K",)),
    ]


def test_without_a_price_it_is_refused_not_free() -> None:
    with pytest.raises(PriceUnknown) as caught:
        planned(model="nano-banana-pro-preview")
    assert caught.value.problems[0].nearest == ("gemini-3-pro-image",)
    full = catalogue()
    bare = Catalogue(
        models=full.models, pixels=full.pixels, tiers=full.tiers, safety=full.safety,
        limits=full.limits, prices=tuple(r for r in full.prices if r.model != NB21),
    )  # fmt: skip
    with pytest.raises(PriceUnknown):
        plan(Request(prompt="x", model=NB21), facts=bare)


def test_default_model_is_checked_too() -> None:
    with pytest.raises(InvalidRequest) as caught:
        plan(Request(prompt="x"), default_model="gemini-2.5-flash-image")
    assert caught.value.problems[0].value == "gemini-2.5-flash-image"


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ([reference(media_type="image/gif")], "is no image type"),
        ([reference()] * 15, "takes at most 14"),
    ],
)
def test_references_are_refused(given: list[Reference], complaint: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        plan(Request(prompt="x"), tuple(given))
    (found,) = caught.value.problems
    assert found.field == "references"
    assert complaint in found.message


def test_what_is_too_heavy_for_one_request_goes_through_the_files_api() -> None:
    made = plan(Request(prompt="p"), (reference(size=40_000_000),) * 2)
    assert any("106666672 bytes as sent (base64)" in note for note in made.notes)
    assert not plan(Request(prompt="p"), (reference(size=40_000_000),)).notes[1:]


def test_references_that_are_fine() -> None:
    given = tuple(reference(name=f"{i}.png", source=Path(f"{i}.png")) for i in range(14))
    assert plan(Request(prompt="x"), given).references == given


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("session", 5), ("follows", b"ab"), ("context", ["all"]), ("base", 5), ("mask", 5),
        ("references", (5,)), ("references", (Given(source=b"", role=3),)), ("casts", (5,)),  # type: ignore[arg-type]
        ("region", "1,2,3,4"), ("region", (1, 2)), ("region", (0.5, 0, 5, 5)),
        ("feather", "8"), ("feather", 1.5), ("feather", True),
        ("safety", "x"), ("safety", {"harassment": 1}), ("safety", ["harassment"]),
        ("finish", 3), ("finish", {"format": "png"}), ("finish", Finish(anchor="top")),  # type: ignore[arg-type]
    ],
)  # fmt: skip
def test_a_wrong_kind_of_thing_is_a_problem_of_its_field(field: str, value: object) -> None:
    found = problem(**{field: value})
    assert (found.field, found.message[:7]) == (field, "must be")
