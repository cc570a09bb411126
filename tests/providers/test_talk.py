"""Talks on the wire: user and model take turns, and what is signed goes back as it came."""

import asyncio
import base64
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from google.genai._gaos.types.interactions.createmodelinteraction import CreateModelInteraction
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.providers.plans import plan_for
from tests.providers.turns import picture, signature

from heliograph.errors import StorageError
from heliograph.providers import interaction_request
from heliograph.providers.body import PIECE, _pieces
from heliograph.providers.gemini import encode
from heliograph.providers.talk import MADE, contents
from heliograph.providers.talk import given as given_pictures
from heliograph.providers.wire import WireRequest
from heliograph.types import Part, Plan, Said, Signature, Turn

PRO = "gemini-3-pro-image"
PLAN = plan_for("now")


async def sent(request: WireRequest) -> bytes:
    body = b"".join([piece async for piece in _pieces(request)])
    assert len(body) == request.length
    return body


def body_of(request: WireRequest) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(asyncio.run(sent(request)))
    return value


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("signatures")


def signed_by(data: bytes, folder: Path) -> Signature:
    text = base64.b64encode(data)
    return signature(folder / f"s-{data.hex()}", text)


pictures = st.binary(min_size=1, max_size=5).map(picture)


@st.composite
def parts(draw: st.DrawFn) -> tuple[str | None, Any, bytes | None]:
    kind = draw(st.sampled_from(["text", "image", "nothing"]))
    text = draw(st.text(max_size=5)) if kind == "text" else None
    image = draw(pictures) if kind == "image" else None
    return text, image, draw(st.none() | st.binary(min_size=1, max_size=5))


@st.composite
def histories(draw: st.DrawFn) -> list[dict[str, Any]]:
    return draw(
        st.lists(
            st.fixed_dictionaries(
                {
                    "words": st.text(max_size=5),
                    "references": st.lists(pictures, max_size=2).map(tuple),
                    "answer": st.lists(parts(), max_size=3),
                    "model": st.sampled_from([PRO, "gemini-nano-banana-2.1"]),
                    "signed": st.booleans(),
                }
            ),
            max_size=5,
        )
    )


def plan_of(history: list[dict[str, Any]], folder: Path) -> Plan:
    turns = []
    for number, fields in enumerate(history):
        answer = tuple(
            Part(text=text, image=image, signature=sig and signed_by(sig, folder))
            for text, image, sig in fields["answer"]
        )
        turns.append(Turn(record=f"r{number}", **{**fields, "answer": answer}))
    return replace(PLAN, references=(picture(b"now"),), history=tuple(turns))


def as_sent(part: Part) -> dict[str, Any]:
    found: dict[str, Any] = {"text": part.text or ""}
    if part.image is not None:
        data = base64.b64encode(bytes(part.image.source)).decode()
        found = {"inlineData": {"mimeType": part.image.media_type, "data": data}}
    if part.signature is not None:
        found["thoughtSignature"] = part.signature.path.read_text()
    return found


def test_words_and_pictures_in_an_order_of_their_own() -> None:
    one, two, gone = picture(b"one"), picture(b"two"), picture(b"gone")
    said = (
        Said(sha256=two.sha256),
        Said(text="a"),
        Said(sha256=gone.sha256),
        Said(sha256=two.sha256),
        Said(text="b"),
    )
    turn = Turn(record="r", words="a\nb", references=(two, one, two), layout=said, model=PRO)
    plan = replace(PLAN, request=replace(PLAN.request, layout=said), references=(one, two))
    earlier, now = (
        [Part(image=two), Part(text="a"), Part(image=two), Part(text="b"), Part(image=one)],
        # what is not there leaves no gap, and what has no place comes last
        [Part(image=two), Part(text="a"), Part(text="b"), Part(image=one)],
    )
    (talk,) = contents(replace(plan, history=(turn,)))
    assert list(talk.parts) == earlier + now
    wire = body_of(interaction_request.encode(plan))
    assert [part["type"] for part in wire["input"]] == ["image", "text", "text", "image"]


@settings(max_examples=150)
@given(history=histories())
def test_user_and_model_take_turns_and_nothing_is_lost(
    folder: Path, history: list[dict[str, Any]]
) -> None:
    plan = plan_of(history, folder)
    talk = body_of(encode(plan))["contents"]
    assert [c["role"] for c in talk] == [("user", "model")[n % 2] for n in range(len(talk))]
    assert talk[-1]["role"] == "user"
    assert all(content["parts"] for content in talk)
    said = [part for part in talk[-1]["parts"] if part]
    assert said[-2:] == [{"text": "now"}, as_sent(Part(image=picture(b"now")))]
    kept = [
        [as_sent(p) for p in turn.answer if p.text or p.image or p.signature]
        for turn in plan.history
        if turn.signed and turn.model == PRO
    ]
    assert [c["parts"] for c in talk if c["role"] == "model"] == [parts for parts in kept if parts]
    # what the user said or was shown, in order and once
    of_user = [p for c in talk if c["role"] == "user" for p in c["parts"]]
    assert not any("thoughtSignature" in part for part in of_user)
    words = [p["text"] for p in of_user if "text" in p and p["text"] not in (MADE, "Go on.")]
    assert words == [*(t.words for t in plan.history if t.words), "now"]
    assert len(given_pictures(plan)) == sum("inlineData" in p for p in of_user)


@settings(max_examples=100)
@given(history=histories())
def test_interactions_tell_the_same_talk(folder: Path, history: list[dict[str, Any]]) -> None:
    plan = plan_of(history, folder)
    body = body_of(interaction_request.encode(plan))
    CreateModelInteraction.model_validate(body)
    if not history:
        assert [c["type"] for c in body["input"]] == ["text", "image"]
        return
    found: list[Any] = []
    for step in body["input"]:
        if step["type"] == "thought":
            found.append(("model", step["signature"]))
        else:
            role = "user" if step["type"] == "user_input" else "model"
            assert step["content"]
            found += [(role, c.get("text") or c["data"]) for c in step["content"]]
    expected: list[Any] = []
    for content in contents(plan):
        for part in content.parts:
            told = as_sent(part)
            if "thoughtSignature" in told:
                expected.append((content.role, told["thoughtSignature"]))
            if "inlineData" in told:
                expected.append((content.role, told["inlineData"]["data"]))
            elif told["text"]:
                expected.append((content.role, told["text"]))
    assert found == expected


@given(history=histories(), data=st.data())
def test_links_stand_in_the_users_turns_alone(
    folder: Path, history: list[dict[str, Any]], data: st.DataObject
) -> None:
    plan = plan_of(history, folder)
    digests = sorted({image.sha256 for image in plan.inputs})
    linked = data.draw(st.sets(st.sampled_from(digests)))
    links = {digest: f"https://host/v1/files/{digest[:9]}" for digest in linked}
    inline, short = body_of(encode(plan)), body_of(encode(plan, links))
    for before, after in zip(inline["contents"], short["contents"], strict=True):
        if before["role"] == "model":
            assert before == after
            continue
        for was, part in zip(before["parts"], after["parts"], strict=True):
            if "inlineData" in was:
                raw = base64.b64decode(was["inlineData"]["data"])
                uri = links.get(picture(raw).sha256)
                if uri is not None:
                    media_type = was["inlineData"]["mimeType"]
                    was = {"fileData": {"mimeType": media_type, "fileUri": uri}}
            assert part == was
    linked_steps = body_of(interaction_request.encode(plan, links=links))
    CreateModelInteraction.model_validate(linked_steps)
    told = json.dumps(linked_steps)
    assert all(told.count(uri) == _times(plan, digest) for digest, uri in links.items())


def _times(plan: Plan, digest: str) -> int:
    return sum(image.sha256 == digest for image in given_pictures(plan))


def test_a_kept_interaction_is_not_told_again(folder: Path) -> None:
    turn = Turn(record="r", words="before", model=PRO, signed=True, remote="v1_x", project="p")
    plan = replace(plan_of([], folder), history=(turn,))
    body = body_of(interaction_request.encode(plan, follows="v1_x"))
    assert body["previous_interaction_id"] == "v1_x"
    assert [c["type"] for c in body["input"]] == ["text", "image"]
    assert "before" not in json.dumps(body)


def test_the_words_that_are_sent_are_the_plans(folder: Path) -> None:
    plan = replace(PLAN, words="Change @hero (image 1)")
    assert body_of(encode(plan))["contents"][0]["parts"] == [{"text": "Change @hero (image 1)"}]
    told = body_of(interaction_request.encode(plan))["input"]
    assert told == [{"type": "text", "text": "Change @hero (image 1)"}]


async def test_a_signature_is_sent_piece_by_piece(tmp_path: Path) -> None:
    text = base64.b64encode(bytes(range(256)) * 20_000)
    large = signature(tmp_path / "s", text)
    answer = (Part(image=picture(b"x"), signature=large),)
    turn = Turn(record="r", words="w", answer=answer, model=PRO, signed=True)
    request = encode(replace(PLAN, history=(turn,)))
    pieces = [piece async for piece in _pieces(request)]
    assert max(map(len, pieces)) <= PIECE * 4 // 3
    assert sum(map(len, pieces)) == request.length
    assert text in b"".join(pieces)


@pytest.mark.parametrize("text", [b'QUJD"},{"text":"x', b"QUJ", b"QUJDQUJD", b"QU\\u0041D"])
async def test_a_damaged_signature_never_leaves(text: bytes, tmp_path: Path) -> None:
    whole = signature(tmp_path / "s", b"QUJD" if len(text) < 9 else b"A" * len(text))
    whole.path.write_bytes(text)
    answer = (Part(text="x", signature=whole),)
    turn = Turn(record="r", words="w", answer=answer, model=PRO, signed=True)
    with pytest.raises(StorageError, match="signature"):
        await sent(encode(replace(PLAN, history=(turn,))))


async def test_another_signature_never_leaves(tmp_path: Path) -> None:
    whole = signature(tmp_path / "s", b"QUJD")
    whole.path.write_bytes(b"QUJE")
    turn = Turn(record="r", words="w", answer=(Part(text="x", signature=whole),), model=PRO)
    history = (replace(turn, signed=True),)
    for request in (encode, interaction_request.encode):
        with pytest.raises(StorageError, match="signature changed"):
            await sent(request(replace(PLAN, history=history)))
