"""Plans as documents: whatever planning makes comes back equal, but for the bytes of its inputs."""

import json
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from heliograph.errors import InvalidRequest, StorageError
from heliograph.planning import plan, uses
from heliograph.storage import plan_from_document, plan_to_document
from heliograph.storage.plan_document import without_bytes
from heliograph.types import Anchor, Finish, Given, Pixels, Plan, Reference, Request

MODELS = ("gemini-3-pro-image", "gemini-nano-banana-2.1")
SOME = st.text(min_size=1, max_size=20).filter(str.strip)
finishes = st.builds(
    Finish,
    format=st.sampled_from([None, "jpeg", "png", "webp", "avif"]),
    quality=st.none() | st.integers(1, 100),
    dpi=st.none() | st.integers(72, 300),
    anchor=st.sampled_from(Anchor),
    srgb=st.booleans(),
    preview=st.booleans(),
    thumbnail=st.booleans(),
)
requests = st.builds(
    Request,
    prompt=SOME,
    model=st.sampled_from([None, *MODELS]),
    size=st.sampled_from([None, "1K", "2K", "4K"]),
    aspect=st.sampled_from([None, "1:1", "16:9", "9:16", "21:9"]),
    pixels=st.sampled_from([None, None, None, "1920x1080"]),
    use=st.sampled_from([None, None, None, None, "A4 print"]),
    references=st.lists(
        st.builds(Path, st.text("abc/.é", min_size=1, max_size=9)) | st.binary(max_size=4),
        max_size=3,
    ).map(tuple),
    system=st.none() | SOME,
    temperature=st.none() | st.floats(0, 1) | st.integers(0, 1),
    top_p=st.none() | st.floats(0, 1),
    seed=st.none() | st.integers(0, 2**31 - 1),
    thinking=st.sampled_from([None, None, None, "high"]),
    tier=st.sampled_from([None, "standard", None, "flex"]),
    ground=st.sampled_from([None, None, "web"]),
    strict=st.booleans(),
    max_cost=st.none() | st.integers(0, 10**9),
    idempotency_key=st.none() | st.text("abc-123", min_size=1, max_size=9),
    finish=finishes,
)


def references_of(request: Request) -> tuple[Reference, ...]:
    sources = [asked.source if isinstance(asked, Given) else asked for asked in request.references]
    return tuple(
        Reference(
            source=source,
            media_type="image/png",
            pixels=Pixels(64, 32 + place),
            size=99,
            sha256=f"{place}" * 64,
            name=source.name or "x" if isinstance(source, Path) else f"bytes {place}",
        )
        for place, source in enumerate(sources)
    )


@given(request=requests, checked=st.booleans())
@settings(max_examples=60)
def test_any_plan_comes_back_equal(request: Request, checked: bool) -> None:
    made: Plan | None = None
    with suppress(InvalidRequest):
        made = plan(request, references_of(request) if checked else ())
    assume(made is not None)
    assert made is not None
    document = plan_to_document(made)
    back = plan_from_document(json.loads(json.dumps(document)))
    assert back == without_bytes(made)
    assert plan_to_document(back) == document
    # everything but where the input images came from
    assert replace(back, references=(), request=replace(back.request, references=())) == replace(
        made, references=(), request=replace(made.request, references=())
    )
    for kept, given_ in zip(back.references, made.references, strict=True):
        assert replace(kept, source=given_.source) == given_
        assert kept.source == Path(given_.name)
    assert len(back.request.references) == len(made.request.references)


@pytest.mark.parametrize("use", [use.name for use in uses().use])
def test_every_use_comes_back_equal(use: str) -> None:
    with suppress(InvalidRequest):  # a few are larger than any model makes
        made = plan(Request(prompt="p", use=use))
        assert plan_from_document(plan_to_document(made)) == made


def test_no_bytes_and_no_folders_are_written() -> None:
    request = Request(prompt="p", references=(Path("/home/me/secret/cat.png"), b"\x89PNG secret"))
    text = json.dumps(plan_to_document(plan(request, references_of(request))))
    assert "secret" not in text
    assert "cat.png" in text
    assert "secret" not in json.dumps(plan_to_document(plan(request)))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"colour": 1}, "Plan: expected no fields named ['colour']"),
        ({"request.colour": 1}, "Plan.request: expected no fields named ['colour']"),
        ({"model": None}, "Plan.model: expected str"),
        ({"sizes": []}, "Plan.sizes: expected an object"),
        ({"sizes.4K": 5}, "Plan.sizes.4K: expected an object"),
        ({"prices.image_tokens.4K": 0.5}, "Plan.prices.image_tokens.4K: expected int"),
        ({"tolerance": "3 %"}, "Plan.tolerance: expected float"),
        ({"tolerance": True}, "Plan.tolerance: expected float"),
        ({"request.references": [5]}, "Plan.request.references[0]: expected a path"),
        ({"request.safety": {"harm": 5}}, "Plan.request.safety.harm: expected str"),
    ],
    ids=str,
)
def test_damage_is_refused_with_its_place(change: dict[str, Any], why: str) -> None:
    document = plan_to_document(plan(Request(prompt="p", size="4K", aspect="16:9")))
    for path, value in change.items():
        *parents, name = path.split(".")
        part = document
        for parent in parents:
            part = part[parent]
        part[name] = value
    with pytest.raises(StorageError) as caught:
        plan_from_document(document)
    assert caught.value.why == f"{why}."


def test_a_later_field_takes_its_default() -> None:
    made = plan(Request(prompt="p"))
    document = plan_to_document(made)
    for name in ("tags", "fallback", "idempotency_key"):
        del document["request"][name]
    assert plan_from_document(document) == made
