"""A plan carries everything it will be held against."""

from importlib.resources import files

import pytest
from tests.effort import within

from heliograph.errors import InvalidRequest
from heliograph.planning import Catalogue, plan
from heliograph.planning.load import load
from heliograph.types import Anchor, ExportSpec, Finish, Pixels, Plan, Reference, Request

NB21, LITE = "gemini-nano-banana-2.1", "gemini-3.1-flash-lite-image"
CAT = Reference(
    source=b"", media_type="image/jpeg", pixels=Pixels(800, 600), size=9, sha256="", name="cat"
)


def planned(**wishes: object) -> Plan:
    return plan(Request(**{"prompt": "a lighthouse", **wishes}))  # type: ignore[arg-type]


def test_a_plain_request_is_a_4k_square() -> None:
    found = planned()
    assert (found.model, found.size, found.aspect, found.tier) == (
        "gemini-3-pro-image", "4K", "1:1", "standard",
    )  # fmt: skip
    assert found.expected == Pixels(4096, 4096)
    assert found.tolerance == 0.03
    assert found.sizes == {
        "1K": Pixels(1024, 1024),
        "2K": Pixels(2048, 2048),
        "4K": Pixels(4096, 4096),
    }
    assert found.exports == ()
    assert found.notes == ()
    assert (found.ground, found.thinking) == (None, None)
    assert found.prices.version == found.estimate.price_version
    assert found.request == Request(prompt="a lighthouse")


def test_default_models_and_sizes() -> None:
    found = plan(Request(prompt="x"), default_model=LITE)
    assert (found.model, found.size) == (LITE, "1K")
    assert "makes 1K at most" in found.notes[0]
    assert plan(Request(prompt="x", model=NB21), default_model=LITE).size == "4K"


def test_with_input_images_the_ratio_is_left_open() -> None:
    found = plan(Request(prompt="x"), (CAT,))
    assert (found.aspect, found.expected, found.size) == (None, None, "4K")
    assert found.sizes["4K"] == Pixels(4096, 4096)  # tiers are areas
    assert "follows the input image's ratio" in found.notes[0]
    assert found.estimate.low == 240_000 + 2 + 1_120  # 1 token of prompt at least, 560 × 2
    assert plan(Request(prompt="x", aspect="3:2"), (CAT,)).expected == Pixels(5056, 3392)
    assert plan(Request(prompt="x", pixels="100x200"), (CAT,)).aspect == "9:16"


def test_unread_references_are_counted() -> None:
    found = plan(Request(prompt="x", references=(b"..", b"..")))
    assert found.aspect is None
    assert found.estimate.low == 240_000 + 2 + 2_240


def test_panorama_is_expected_as_measured() -> None:
    assert planned(model=NB21, aspect="8:1").expected == Pixels(11712, 1408)


def test_exports() -> None:
    both = planned(finish=Finish(preview=True, thumbnail=True))
    assert both.exports == (
        ExportSpec(name="preview", fit_within=2048, format="webp"),
        ExportSpec(name="thumbnail", fit_within=512, format="webp"),
    )
    one = planned(
        pixels="1000x500",
        finish=Finish(format="jpg", quality=80, dpi=72, anchor=Anchor.TOP, srgb=True),
    )
    assert one.exports == (
        ExportSpec(
            name="export", pixels=Pixels(1000, 500), format="jpeg", quality=80, dpi=72,
            anchor=Anchor.TOP, srgb=True,
        ),
    )  # fmt: skip
    assert planned(finish=Finish(anchor=Anchor.TOP)).exports == ()
    assert planned(finish=Finish(srgb=True)).exports[0].srgb


@pytest.mark.parametrize(
    ("wishes", "note"),
    [
        ({"thinking": "high"}, "accepts a thinking level, but it has no effect"),
        ({"temperature": 0.5}, "temperature is deprecated"),
        ({"top_p": 0.5}, "top_p is deprecated"),
        ({"prompt": "a\x00b"}, "The prompt has control characters"),
        ({"safety": {"civic_integrity": "OFF"}}, "HARM_CATEGORY_CIVIC_INTEGRITY is deprecated"),
        ({"tier": "flex"}, "The flex tier answers within 1 to 15 minutes"),
        ({"tier": "batch"}, "The batch tier is for batch jobs"),
        ({"tier": "priority"}, "The priority tier is served first"),
        ({"finish": Finish(format="png", max_bytes=5000)}, "png is lossless"),
    ],
)
def test_notes(wishes: dict[str, object], note: str) -> None:
    assert note in " ".join(planned(**wishes).notes)


def test_newlines_are_no_control_characters() -> None:
    assert planned(prompt="a\nb\tc\r\n").notes == ()


def test_cheaper_ways_are_named_with_what_they_lose() -> None:
    found = planned()
    ways = [(a.model, a.size, a.tier) for a in found.alternatives]
    assert ways == [
        (NB21, "4K", "batch"),
        (NB21, "4K", "standard"),
        ("gemini-3-pro-image", "4K", "batch"),
        ("gemini-3-pro-image", "4K", "flex"),
        ("gemini-3-pro-image", "2K", "standard"),
    ]
    for way in found.alternatives:
        assert way.saves == found.estimate.expected - way.expected > 0
    assert found.alternatives[-1].loses == ("It is 2048x2048 instead of 4096x4096 pixels in 1:1.",)
    assert "may be refused" in found.alternatives[-2].loses[0]


def test_cheaper_ways_still_make_the_pixels() -> None:
    ways = planned(pixels="1200x630").alternatives
    assert (LITE, "1K") in {(a.model, a.size) for a in ways}
    ways = planned(pixels="4096x2304").alternatives
    assert {a.size for a in ways} == {"4K"}
    ways = planned(model=NB21, aspect="8:1").alternatives
    assert {a.model for a in ways} == {NB21}  # nobody else makes 8:1
    assert planned(model=LITE, tier="batch").alternatives == ()


def test_asked_things_that_another_model_lacks_are_losses() -> None:
    found = planned(size="1K", ground="web", thinking="low")
    lite = next(a for a in found.alternatives if a.model == LITE)
    text = " ".join(lite.loses)
    for loss in (
        "cannot ground with web, which is asked",
        "no thinking level low, which is asked",
        "no sizes 2K, 4K",
        "no grounding web",
    ):
        assert loss in text
    nb21 = planned(model=NB21, size="1K").alternatives
    lite = next(a for a in nb21 if (a.model, a.tier) == (LITE, "standard"))
    assert "It has no ratios 1:4, 4:1, 1:8, 8:1." in lite.loses


def with_a_lesser_lite(old: str, new: str) -> Catalogue:
    """The packaged facts, with the row of Lite changed."""
    folder = files("heliograph.planning")
    models = folder.joinpath("models.toml").read_text(encoding="utf-8")
    head, mark, rest = models.partition('[models."gemini-3.1-flash-lite-image"')
    assert old in rest
    prices = folder.joinpath("prices.toml").read_text(encoding="utf-8")
    return load(head + mark + rest.replace(old, new, 1), prices)


def test_a_model_without_system_instruction() -> None:
    facts = with_a_lesser_lite("system = true", "system = false")
    found = plan(Request(prompt="x", system="be kind", size="1K"), facts=facts)
    lite = next(a for a in found.alternatives if a.model == LITE)
    assert "It takes no system instruction, which is asked." in lite.loses
    with pytest.raises(InvalidRequest) as caught:
        plan(Request(prompt="x", system="be kind", model=LITE), facts=facts)
    assert caught.value.problems[0].field == "system"


def test_a_model_with_fewer_references() -> None:
    facts = with_a_lesser_lite("references = 14", "references = 1")
    found = plan(Request(prompt="x", size="1K"), (CAT, CAT), facts=facts)
    lite = next(a for a in found.alternatives if a.model == LITE)
    assert "It takes at most 1 input images." in lite.loses


def test_a_model_that_does_not_think() -> None:
    facts = with_a_lesser_lite(
        'thinking = "levels"\nthinking_levels = ["minimal", "high"]', 'thinking = "none"'
    )
    found = plan(Request(prompt="x", model=LITE, include_thoughts=True), facts=facts)
    assert f"{LITE} does not think, so there are no thoughts to include." in found.notes
    with pytest.raises(InvalidRequest, match="has no levels"):
        plan(Request(prompt="x", model=LITE, thinking="high"), facts=facts)


def test_a_shutdown_to_come_is_noted() -> None:
    facts = with_a_lesser_lite('status = "live"', 'status = "live"\nshut_down = 2027-01-31')
    found = plan(Request(prompt="x", model=LITE), facts=facts)
    assert f"{LITE} will be shut down on 2027-01-31." in found.notes


def test_planning_is_little_work() -> None:
    planned(use="a4 print at 300 dpi")  # reads the facts
    found = within(100_000, lambda: planned(use="a4 print at 300 dpi"))  # 18,000 when written
    assert found.alternatives
