"""Plans of sessions, casts and areas as documents: names in the place of files and bytes."""

import json
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph.errors import StorageError
from heliograph.planning import plan
from heliograph.storage import plan_from_document, plan_to_document
from heliograph.storage.plan_document import without_bytes
from heliograph.types import (
    ROLES,
    Area,
    Cast,
    Given,
    Part,
    Pixels,
    Plan,
    Reference,
    Request,
    Signature,
    Turn,
)

BASE = plan(Request(prompt="p"))
text = st.text(max_size=9)
maybe = st.none() | text
paths = st.builds(Path, st.text("abc/.é", max_size=9))
sources = paths | st.binary(max_size=4)
regions = st.none() | st.tuples(*[st.integers(0, 9999)] * 4)
references = st.builds(
    Reference,
    source=sources,
    pixels=st.builds(Pixels, st.integers(1, 9999), st.integers(1, 9999)),
    name=st.text("abc/.é\0\ud800", max_size=9),
    role=st.sampled_from([None, "base", "mark", *ROLES]),
    label=maybe,
    key=maybe,
)
several = st.lists(references, max_size=2).map(tuple)
signatures = st.builds(Signature, path=paths)
parts = st.builds(Part, text=maybe, image=st.none() | references, signature=st.none() | signatures)
turns = st.builds(
    Turn,
    references=several,
    answer=st.lists(parts, max_size=3).map(tuple),
    remote=maybe,
    project=maybe,
)
areas = st.builds(Area, picture=references, region=regions, mask=st.none() | references)
casts = st.builds(Cast)
requests = st.builds(
    Request,
    prompt=text,
    references=st.lists(sources | st.builds(Given, source=sources), max_size=3).map(tuple),
    base=st.none() | sources,
    mask=st.none() | sources,
    region=regions,
    casts=st.lists(text, max_size=2).map(tuple),
    session=maybe,
    follows=maybe,
    context=maybe,
    feather=st.none() | st.integers(0, 99),
    protect=st.booleans(),
    finish=st.just(BASE.request.finish),
    safety=st.dictionaries(text, text, max_size=2),
)
plans = st.builds(
    lambda **parts: replace(BASE, **parts),
    request=requests,
    references=several,
    words=text,
    history=st.lists(turns, max_size=2).map(tuple),
    casts=st.lists(casts, max_size=2).map(tuple),
    area=st.none() | areas,
)


@given(made=plans)
@settings(max_examples=80)
def test_any_plan_comes_back_equal(made: Plan) -> None:
    named = without_bytes(made)
    document = plan_to_document(made)
    back = plan_from_document(json.loads(json.dumps(document)))
    assert back == named
    assert plan_to_document(back) == document
    assert without_bytes(back) == back
    assert unnamed(back) == unnamed(made)  # everything else is as it was
    assert len(back.inputs) == len(made.inputs)
    for kept, was in zip(back.inputs, made.inputs, strict=True):
        assert kept.source == Path(was.name)


def unnamed(value: Any) -> Any:
    """The value with nothing in the place of every path and of all bytes."""
    if isinstance(value, PurePath | bytes):
        return None
    if isinstance(value, tuple):
        return tuple(map(unnamed, value))
    if hasattr(value, "__dataclass_fields__"):
        fields = value.__dataclass_fields__
        return type(value), {name: unnamed(getattr(value, name)) for name in fields}
    return value


def a_reference(source: Path | bytes, name: str) -> Reference:
    return Reference(
        source=source,
        media_type="image/png",
        pixels=Pixels(64, 32),
        size=99,
        sha256="a" * 64,
        name=name,
    )


def test_sources_are_called_as_planning_called_them() -> None:
    """The references of a plan are not in the order of the request: the base comes first."""
    home = Path("/home/me/secret")
    asked = Request(
        prompt="p",
        references=(
            Given(source=home / "hat.png", role="object", name="hat"),
            b"\x89PNG secret one",
            Given(source=b"\x89PNG secret two"),
            home / "cat.png",
            b"\x89PNG secret three",
        ),
        base=b"\x89PNG secret base",
        mask=home / "mask.png",
    )
    made = replace(
        BASE,
        request=asked,
        references=(
            a_reference(b"\x89PNG secret base", "the picture"),
            a_reference(home / "cast.png", "cast.png"),
            a_reference(home / "hat.png", "hat.png"),
            a_reference(b"\x89PNG secret one", "image 2"),
        ),
        history=(
            Turn(
                record="rec-1",
                words="w",
                model="m",
                references=(a_reference(home / "old.png", "old.png"),),
                answer=(
                    Part(
                        text="Here.",
                        image=a_reference(home / "was.png", "was.png"),
                        signature=Signature(path=home / "ab.sig", size=4, sha256="b" * 64),
                    ),
                ),
            ),
        ),
        casts=(Cast(name="c", description="d"),),
        area=Area(
            picture=a_reference(b"\x89PNG secret base", "the picture"),
            mask=a_reference(home / "mask.png", "mask.png"),
            region=(1, 2, 3, 4),
        ),
    )
    back = plan_from_document(plan_to_document(made))
    assert back.request.references == (
        Given(source=Path("hat.png"), role="object", name="hat"),
        Path("image 2"),
        Given(source=Path("3")),
        Path("cat.png"),
        Path("5"),
    )
    assert (back.request.base, back.request.mask) == (Path("the picture"), Path("mask.png"))
    (part,) = back.history[0].answer
    assert part.signature == Signature(path=Path("ab.sig"), size=4, sha256="b" * 64)
    assert "secret" not in json.dumps(plan_to_document(made))


def test_what_nobody_has_named_yet_has_a_name_of_its_own() -> None:
    asked = Request(prompt="p", base=b"base", mask=b"mask")
    back = without_bytes(replace(BASE, request=asked)).request
    assert (back.base, back.mask) == (Path("base"), Path("mask"))


def test_a_document_of_version_0_2_has_the_defaults() -> None:
    document = plan_to_document(BASE)
    for name in ("words", "history", "casts", "area"):
        del document[name]
    later = ("casts", "session", "follows", "base", "context", "region", "mask", "protect")
    for name in (*later, "feather"):
        del document["request"][name]
    back = plan_from_document(document)
    assert back == replace(BASE, words="")
    assert back.text == "p"
    assert (back.history, back.casts, back.area) == ((), (), None)
    named = plan_to_document(replace(BASE, references=(a_reference(b"", "cat.png"),)))
    (old,) = named["references"]
    for name in ("role", "label", "key"):
        del old[name]
    (reference,) = plan_from_document({**document, "references": [old]}).references
    assert (reference.role, reference.label, reference.key) == (None, None, None)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"references": [{}]}, "Plan.request.references[0]: expected fields named ['source']"),
        ({"references": [{"source": {}}]}, "Plan.request.references[0].source: expected a path"),
        ({"references": [None]}, "Plan.request.references[0]: expected a path"),
        ({"base": {}}, "Plan.request.base: expected a path"),
        ({"region": [1, 2, 3]}, "Plan.request.region: expected a list of 4"),
        ({"region": [1, 2, 3, 4, 5]}, "Plan.request.region: expected a list of 4"),
        ({"region": [1, 2, 3, 0.5]}, "Plan.request.region[3]: expected int"),
        ({"region": 4}, "Plan.request.region: expected a list"),
        ({"region": []}, "Plan.request.region: expected a list of 4"),
    ],
    ids=str,
)
def test_damage_is_refused_with_its_place(change: dict[str, Any], why: str) -> None:
    document = plan_to_document(BASE)
    document["request"] |= change
    with pytest.raises(StorageError) as caught:
        plan_from_document(document)
    assert caught.value.why == f"{why}."
