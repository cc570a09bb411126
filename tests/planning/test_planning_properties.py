"""Whatever a caller passes gives a plan that keeps its promises, or an InvalidRequest."""

from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph.errors import InvalidRequest
from heliograph.planning import catalogue, plan, uses
from heliograph.planning.normalise import pixels, ratio, size, use
from heliograph.types import Finish, Pixels, Plan, Reference, Request

FACTS = catalogue()
LIVE = [m.id for m in FACTS.live]
SIZES = ["1K", "2K", "4K", "4k", "4096", "512", "8k"]


def or_text(*valid: str) -> st.SearchStrategy[str | None]:
    """Mostly valid values, sometimes none, sometimes anything."""
    return st.none() | st.sampled_from(valid) | st.sampled_from(valid) | st.text(max_size=12)


numbers = st.none() | st.integers() | st.floats() | st.booleans()
sides = st.integers(0, 13000)
finishes = st.builds(
    Finish,
    format=or_text("jpeg", "jpg", "png", "webp", "avif", "tiff", "TIF"),
    quality=st.none() | st.integers(-5, 120),
    max_bytes=st.none() | st.integers(0, 10**7),
    dpi=st.none() | st.integers(-1, 3000),
    srgb=st.booleans(),
    preview=st.booleans(),
    thumbnail=st.booleans(),
)
requests = st.builds(
    Request,
    prompt=st.text(max_size=40) | st.just("a lighthouse"),
    model=or_text(*LIVE, *FACTS.models),
    size=or_text(*SIZES),
    aspect=or_text(*FACTS.ratios, "16x9", "1.78", "7:3", "0:0"),
    pixels=or_text("4096x2304") | st.builds("{}x{}".format, sides, sides),
    use=or_text(*(row.name for row in uses().use), "a3 at 300 dpi", "web 1600px", "5x7 in"),
    references=st.lists(st.just(b"") | st.just(Path("x.png")), max_size=16).map(tuple),
    system=or_text("paint softly"),
    temperature=numbers,
    top_p=numbers,
    seed=st.none() | st.integers() | st.booleans(),
    safety=st.dictionaries(
        or_text("harassment", *FACTS.safety.categories).map(str),
        or_text(*FACTS.safety.thresholds).map(str),
        max_size=2,
    ),
    thinking=or_text("minimal", "low", "medium", "high"),
    include_thoughts=st.booleans(),
    tier=or_text(*FACTS.tiers),
    ground=or_text("web", "images"),
    max_cost=st.none() | st.integers(),
    finish=finishes,
)
given_references = st.lists(
    st.builds(
        Reference,
        source=st.just(b""),
        media_type=st.sampled_from(["image/png", "image/jpeg", "image/gif"]),
        pixels=st.builds(Pixels, sides, sides),
        size=st.integers(0, 10**8),
        sha256=st.text(max_size=4),
        name=st.text(max_size=8),
    ),
    max_size=3,
).map(tuple)

# Requests that are usually fine, so that plans are looked at often.
sound = st.builds(
    Request,
    prompt=st.text(st.characters(exclude_categories=["Cs"]), min_size=1).map("a {}".format),
    model=st.none() | st.sampled_from(LIVE),
    aspect=st.none() | st.sampled_from(["1:1", "16:9", "9:16", "3:2", "16/9", "0.75"]),
    pixels=st.none() | st.builds("{}×{}".format, st.integers(1, 4000), st.integers(1, 4000)),
    references=st.lists(st.just(b""), max_size=3).map(tuple),
    tier=st.none() | st.sampled_from(["standard", "Batch"]),
    safety=st.just({}) | st.just({"harassment": "off"}),
    finish=st.just(Finish()) | st.just(Finish(format="JPG", quality=80, preview=True)),
)


def outcome(
    request: Request, references: tuple[Reference, ...] = (), default: str | None = None
) -> Plan | InvalidRequest:
    try:
        return plan(request, references, default_model=default)
    except InvalidRequest as refusal:
        return refusal


def promises(found: Plan) -> None:
    model = FACTS.models[found.model]
    assert model.status == "live"
    assert found.size in model.can.sizes
    assert 0 < found.estimate.low <= found.estimate.expected <= found.estimate.high
    assert found.tier in found.prices.rates
    if found.aspect:
        assert found.expected == found.sizes[found.size]
    else:
        assert found.expected is None
    for spec in found.exports:
        assert not spec.is_copy
        if spec.pixels:
            assert found.expected is not None
            assert spec.pixels.width <= found.expected.width
            assert spec.pixels.height <= found.expected.height
    for way in found.alternatives:
        assert way.saves > 0
        assert way.loses


@settings(max_examples=200, deadline=None)
@given(requests, given_references, st.none() | st.sampled_from([*LIVE, "?"]))
def test_a_plan_or_an_invalid_request(
    request: Request, references: tuple[Reference, ...], default: str | None
) -> None:
    found = outcome(request, references, default)
    if isinstance(found, Plan):
        promises(found)
    else:
        assert found.problems
        str(found).encode()  # can be printed


@settings(max_examples=200, deadline=None)
@given(sound)
def test_plans_keep_their_promises_and_planning_is_idempotent(request: Request) -> None:
    found = outcome(request)
    if isinstance(found, Plan):
        promises(found)
        assert plan(found.request) == found
        assert plan(request) == found
    else:
        assert {p.field for p in found.problems} <= {"pixels", "aspect"}


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=12) | st.from_regex(r"[0-9]{1,4}[x:/.×]?[0-9]{0,4}[kK]?", fullmatch=True))
def test_spelling_twice_changes_nothing_more(text: str) -> None:
    known = FACTS.ratios
    for spell in (size, pixels, use, lambda t: ratio(t, known)):
        once = spell(text)
        assert spell(once) == once


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(LIVE),
    st.integers(1, 6500),
    st.integers(1, 6500),
    st.none() | st.sampled_from(["1:1", "16:9", "2:3"]),
)
def test_cover_is_the_cheapest_there_is(
    model_id: str, width: int, height: int, aspect: str | None
) -> None:
    """Against brute force, from the tables alone."""
    model = FACTS.models[model_id]
    image = FACTS.price(model_id).tiers["standard"].image  # type: ignore[union-attr]
    covering = []
    for rank, tier in enumerate(model.can.sizes):
        for shape in [aspect] if aspect else model.can.ratios:
            px = FACTS.expected(model, tier, shape)
            if px.width >= width and px.height >= height:
                off = Fraction(width * px.height, height * px.width)
                kept = min(off, 1 / off)
                covering.append((model.tokens.image[tier] * image, -rank, -kept, tier))
    wanted = Request(prompt="x", model=model_id, pixels=f"{width}x{height}", aspect=aspect)
    if not covering:
        with pytest.raises(InvalidRequest):
            plan(wanted)
        return
    cost, _, kept, tier = min(covering)
    found = plan(wanted)
    assert found.size == tier
    assert found.expected is not None
    off = Fraction(width * found.expected.height, height * found.expected.width)
    assert -min(off, 1 / off) == kept
    assert found.estimate.low >= cost // 10**6


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(LIVE), st.integers(1, 30000), st.integers(1, 30000))
def test_the_nearest_pixels_offered_can_be_had(model: str, width: int, height: int) -> None:
    found = outcome(Request(prompt="x", model=model, pixels=f"{width}x{height}"))
    if isinstance(found, InvalidRequest):
        (problem,) = found.problems
        assert plan(Request(prompt="x", model=model, pixels=problem.nearest[0])).exports


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 99999), st.integers(1, 2000), st.integers(1, 2400))
def test_the_dpi_offered_can_be_had(width: int, height: int, dpi: int) -> None:
    found = outcome(Request(prompt="x", use=f"{width}x{height} mm at {dpi} dpi"))
    if isinstance(found, InvalidRequest):
        (problem,) = found.problems
        for use_ in problem.nearest:
            assert plan(Request(prompt="x", use=use_)).exports[0].pixels
