"""The Interactions API over bare HTTP: requests, answers, conversations, what is refused."""

import base64
import hashlib
import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.emulator.interacting import (
    IMAGE_ONLY,
    PATH,
    PRO,
    behind,
    contents,
    create,
    pictures,
    size,
    wish,
)

from heliograph.emulator.envelope import ApiError
from heliograph.emulator.interactions.reading import read_wish
from heliograph.emulator.interactions.store import InteractionStore, Kept, new_id, well_formed


async def test_a_foreground_answer(emu: Any) -> None:
    reply = await create(emu)
    answer = reply.json
    assert (reply.status, answer["status"], answer["object"]) == (200, "completed", "interaction")
    assert (answer["model"], answer["service_tier"]) == (PRO, "standard")
    assert [step["type"] for step in answer["steps"]] == ["thought", "model_output"]
    assert answer["steps"][0]["signature"]
    assert [each["type"] for each in contents(reply)] == ["image"]
    assert contents(reply)[0]["mime_type"] == "image/jpeg"
    assert size(pictures(reply)[0]) == (2752, 1536)
    usage = answer["usage"]
    assert usage["output_tokens_by_modality"] == [{"modality": "image", "tokens": 1120}]
    parts = ("total_input_tokens", "total_output_tokens", "total_thought_tokens")
    assert usage["total_tokens"] == sum(usage[name] for name in parts)


async def test_one_ledger_line_for_an_interaction(emu: Any) -> None:
    reply = await create(emu, key="emu-project-acme")
    await emu.get(f"{PATH}/{reply.json['id']}", key="emu-project-acme")
    (line,) = await emu.ledger()
    assert (line["method"], line["model"], line["path"]) == ("interactions", PRO, PATH)
    assert (line["project"], line["http_status"], line["finish_reason"]) == ("acme", 200, "STOP")
    assert [image["sha256"] for image in line["images"]] == [
        hashlib.sha256(data).hexdigest() for data in pictures(reply)
    ]
    assert line["split_pico"]["image"] == 1120 * 120_000_000
    assert line["billed_micro"] > 134_400


async def test_the_price_is_that_of_generate_content(emu: Any) -> None:
    fields = {"aspect_ratio": "1:1", "image_size": "4K"}
    await create(emu, response_format={"type": "image", **fields})
    await emu.generate("a lake", size="4K", config={"responseModalities": ["IMAGE"]})
    ours, theirs = await emu.ledger()
    for name in ("input", "image"):
        assert ours["split_pico"][name] == theirs["split_pico"][name]
    assert ours["split_pico"]["image"] == 2000 * 120_000_000


@pytest.mark.parametrize(
    ("format_", "kinds"),
    [
        ({"type": "image"}, ["image"]),
        ([{"type": "text"}, {"type": "image"}], ["text", "image"]),
        (None, ["text", "image"]),
        ({"type": "text"}, ["text"]),
    ],
)
async def test_what_the_format_lets_out(emu: Any, format_: Any, kinds: list[str]) -> None:
    reply = await create(emu, response_format=format_)
    assert [each["type"] for each in contents(reply)] == kinds


@pytest.mark.parametrize("version", ["v1", "v1beta"])
async def test_a_get_shows_the_same_answer_behind_its_input(emu: Any, version: str) -> None:
    made = (await emu.post(f"/{version}/interactions", wish())).json
    kept = (await emu.get(f"/{version}/interactions/{made['id']}")).json
    first = {"type": "user_input", "content": [{"type": "text", "text": "a lake"}]}
    assert kept.pop("steps") == [first, *made.pop("steps")]
    assert kept == made
    asked = (await emu.get(f"/{version}/interactions/{made['id']}?include_input=true")).json
    assert asked["input"] == "a lake"


@pytest.mark.parametrize("verb", ["GET", "DELETE"])
async def test_unknown_foreign_and_impossible_ids(emu: Any, verb: str) -> None:
    made = (await create(emu, key="emu-project-one")).json["id"]
    missing = {"message": "Requested entity was not found.", "code": "not_found"}
    for name in (made, new_id("nobody")):
        reply = await emu.send(verb, f"{PATH}/{name}", key="emu-project-two")
        assert (reply.status, reply.error) == (404, missing)
    reply = await emu.send(verb, f"{PATH}/v1_bogus")
    text = "Invalid interaction name: interactions/v1_bogus"
    assert (reply.status, reply.error) == (400, {"message": text, "code": "invalid_request"})
    assert (await emu.get(f"{PATH}/{made}", key="emu-project-one")).status == 200


async def test_what_is_not_stored_or_deleted_is_gone(emu: Any) -> None:
    unstored = (await create(emu, store=False)).json
    stored = (await create(emu)).json
    assert (await emu.send("DELETE", f"{PATH}/{stored['id']}")).json == {}
    for name in (unstored["id"], stored["id"]):
        assert (await emu.get(f"{PATH}/{name}")).status == 404
        assert (await create(emu, previous_interaction_id=name)).status == 404


async def test_a_reset_forgets_interactions_and_what_runs(emu: Any) -> None:
    name = (await create(emu)).json["id"]
    await behind(emu, "a [[fault:slow:30]]")
    await emu.post("/_emulator/reset", {})
    assert (await emu.get(f"{PATH}/{name}")).status == 404
    assert await emu.ledger() == []


async def test_the_previous_picture_is_what_is_edited(start: Any) -> None:
    async with start(small=False, signatures="short") as emu:
        small = {"type": "image", "aspect_ratio": "3:2", "image_size": "1K"}
        first = await create(emu, "a red planet", response_format=small)
        name = first.json["id"]
        again = await create(
            emu, "the same", response_format={"type": "image"}, previous_interaction_id=name
        )
        assert again.json["previous_interaction_id"] == name
        # Without a ratio the source's one is kept, and its 560 tokens are input.
        assert size(pictures(again)[0]) == size(pictures(first)[0]) == (1264, 848)
        assert again.json["usage"]["input_tokens_by_modality"][1] == {
            "modality": "image",
            "tokens": 560,
        }
        third = await create(emu, "more", previous_interaction_id=again.json["id"])
        assert third.json["usage"]["input_tokens_by_modality"][1]["tokens"] == 2 * 560


async def test_a_previous_interaction_that_cannot_be(emu: Any) -> None:
    reply = await create(emu, previous_interaction_id="interactions/does-not-exist")
    text = "Request contains an invalid argument."
    assert (reply.status, reply.error) == (400, {"message": text, "code": "invalid_request"})
    running = await behind(emu, "a [[fault:slow:30]]")
    reply = await create(emu, previous_interaction_id=running)
    assert (reply.status, "in_progress" in reply.headers["x-emu-note"]) == (400, True)


async def test_every_shape_of_input(emu: Any) -> None:
    first = await create(emu)
    data = contents(first)[0]["data"]
    text, image = {"type": "text", "text": "x"}, {"type": "image", "data": data}
    untyped = await create(emu, [text, image], response_format={"type": "image"})
    # The ratio of the source was taken, so its bytes were found and read.
    assert size(pictures(untyped)[0]) == (1376, 768)
    assert (await create(emu, [text, {**image, "mime_type": "image/jpeg"}])).status == 200
    assert (await create(emu, text)).status == 200
    steps = [
        {"type": "user_input", "content": [text]},
        *first.json["steps"],
        {"type": "user_input", "content": [{"type": "text", "text": "again"}]},
    ]
    reply = await create(emu, steps, store=False, response_format={"type": "image"})
    assert size(pictures(reply)[0]) == (1376, 768)


async def test_an_altered_thought_is_refused(emu: Any, start: Any) -> None:
    thought = (await create(emu)).json["steps"][0]
    other = "B" if thought["signature"][0] == "A" else "A"
    spoilt = {**thought, "signature": other + thought["signature"][1:]}
    question = {"type": "user_input", "content": [{"type": "text", "text": "x"}]}
    reply = await create(emu, [question, spoilt, question])
    assert (reply.status, reply.error["message"]) == (400, "Corrupted thought signature.")
    assert (await create(emu, [question, {"type": "thought"}, question])).status == 200
    async with start(enforce_signatures=False) as lax:
        assert (await create(lax, [question, spoilt, question])).status == 200


async def test_a_picture_by_uri(emu: Any) -> None:
    reply = await create(emu, response_format={**IMAGE_ONLY, "delivery": "uri"})
    (content,) = contents(reply)
    assert set(content) == {"type", "mime_type", "uri"}
    assert content["uri"].startswith(emu.url)
    path = content["uri"].removeprefix(emu.url)
    fetched = await emu.get(path)
    assert (fetched.status, fetched.headers["content-type"]) == (200, "image/jpeg")
    (line,) = await emu.ledger()
    assert hashlib.sha256(fetched.body).hexdigest() == line["images"][0]["sha256"]
    sheet = (await emu.get(path.partition(":download")[0])).json
    assert (sheet["source"], sheet["sizeBytes"]) == ("GENERATED", str(len(fetched.body)))
    assert (await emu.get(path, key="")).status == 403
    assert (await emu.get(path, key="emu-project-other")).status == 403
    again = {"type": "image", "uri": content["uri"]}
    used = await create(emu, [{"type": "text", "text": "x"}, again], response_format=None)
    assert size(pictures(used)[0]) == (1376, 768)


async def test_a_file_by_its_bare_name_is_no_uri(emu: Any) -> None:
    reply = await create(emu, [{"type": "image", "uri": "files/9a8xaiwsdv7v"}])
    assert reply.status == 400
    assert reply.error["message"].startswith("Unsupported file URI type: files/9a8xaiwsdv7v.")


async def test_search_and_thoughts(emu: Any) -> None:
    reply = await create(
        emu,
        tools=[{"type": "google_search", "search_types": ["web_search"]}],
        generation_config={"thinking_summaries": "auto", "thinking_level": "high"},
        system_instruction="Paint.",
    )
    kinds = ["thought", "google_search_call", "google_search_result", "model_output"]
    thought, call, result, _ = steps = reply.json["steps"]
    assert [step["type"] for step in steps] == kinds
    assert [part["type"] for part in thought["summary"]] == ["text", "image"]
    assert call["arguments"]["queries"]
    assert (result["call_id"], result["is_error"]) == (call["id"], False)
    count = len(call["arguments"]["queries"])
    tools = reply.json["usage"]["grounding_tool_count"]
    assert tools == [{"type": "google_search", "count": count}]
    assert (await emu.ledger())[0]["search_queries"] == count
    assert size(pictures(reply)[0]) == (2752, 1536)


async def test_a_stream(emu: Any) -> None:
    whole = await create(emu)
    reply = await emu.post(PATH, wish(stream=True))
    assert reply.headers["content-type"] == "text/event-stream"
    blocks = reply.body.decode().split("\n\n")
    assert blocks[-2:] == ["event: done\ndata: [DONE]", ""]
    events = []
    for block in blocks[:-2]:
        name, data = block.split("\n")
        event = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['event_type']}"
        events.append(event)
    step = ["step.start", "step.delta", "step.stop"]
    names = ["interaction.created", *step, *step, "interaction.completed"]
    assert [event["event_type"] for event in events] == names
    assert size(base64.b64decode(events[5]["delta"]["data"])) == size(pictures(whole)[0])
    last = events[-1]["interaction"]
    assert (last["status"], "steps" in last) == ("completed", False)
    assert last["usage"]["total_output_tokens"] == 1120
    kept = await emu.get(f"{PATH}/{last['id']}")
    assert contents(kept)[0]["data"] == events[5]["delta"]["data"]


GENERIC = "Request contains an invalid argument."
SIZES = "Supported values: '512', '1K', '2K', '4K'."
KINDS = "Supported values: 'text', 'image', 'audio', 'video', 'document'."
BAD = [
    ({"model": None}, GENERIC),
    ({"input": ""}, GENERIC),
    ({"nonsense": 1}, GENERIC),
    ({"agent": "deep-research"}, GENERIC),
    ({"stream": "yes"}, "Invalid input at 'stream'."),
    ({"input": [7]}, "Invalid input at 'input[0]'."),
    ({"input": [{"type": "image", "data": "*"}]}, "Invalid input at 'input[0].data'."),
    ({"model": "gemini-2.5-flash-image"}, "Requested entity was not found."),
    ({"tools": [{"type": "function"}]}, f"Function calling is not enabled for models/{PRO}"),
]
VALUES = [
    ("response_format.mime_type", "image/png", "Supported values: 'image/jpeg'."),
    ("response_format.image_size", "4k", SIZES),
    ("response_format.delivery", "bogus", "Supported values: 'inline', 'uri'."),
    ("response_modalities[0]", "AUDIO", KINDS),
]


@pytest.mark.parametrize(("path", "value", "supported"), VALUES)
async def test_values_outside_an_enum(emu: Any, path: str, value: str, supported: str) -> None:
    field, _, name = path.partition(".")
    inner = {"type": "image", name: value} if name else [value]
    reply = await emu.post(PATH, {"model": PRO, "input": "x", field.partition("[")[0]: inner})
    text = f"The value '{value}' is not supported for '{path}'. {supported}"
    assert (reply.status, reply.error) == (400, {"message": text, "code": "invalid_request"})


async def test_a_thinking_level_of_another_model(emu: Any) -> None:
    fields = {"model": "gemini-nano-banana-2.1", "generation_config": {"thinking_level": "low"}}
    reply = await emu.post(PATH, {**wish(), **fields})
    text = "'low' is not a supported thinking level for this model. Allowed values are: "
    assert (reply.status, reply.error["message"]) == (400, f"{text}minimal, medium, high.")


@pytest.mark.parametrize(("fields", "text"), BAD)
async def test_what_is_refused(emu: Any, fields: dict[str, Any], text: str) -> None:
    reply = await emu.post(PATH, {**wish(), **fields})
    assert reply.status == (404 if "Requested" in text else 400)
    assert reply.error["message"] == text
    (line,) = await emu.ledger()
    assert (line["billed"], line["state"]) == (False, "closed")


async def test_an_image_size_of_another_model(emu: Any) -> None:
    reply = await create(emu, response_format={"type": "image", "image_size": "512"})
    assert (reply.status, reply.error["code"]) == (400, "invalid_request")
    assert "512" in reply.headers["x-emu-note"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
FIELDS = (
    "background", "generation_config", "input", "response_format", "response_modalities",
    "service_tier", "store", "stream", "system_instruction", "tools",
)  # fmt: skip


@given(st.dictionaries(st.sampled_from(FIELDS), JSON))
def test_any_json_is_understood_or_refused(fields: dict[str, Any]) -> None:
    # Anything but an ApiError fails the test by itself.
    with suppress(ApiError):
        assert read_wish({"model": PRO, "input": "x", **fields}).model == PRO


@given(st.text())
def test_ids_have_googles_shape(seed: str) -> None:
    name = new_id(seed.encode(errors="replace").hex())
    assert well_formed(name)
    assert len(name) == 70
    assert name.startswith("v1_Ch")


def test_the_store_makes_room_but_never_drops_what_runs() -> None:
    store = InteractionStore(room=100)

    def kept(name: str, weight: int, *, runs: bool = False) -> Kept:
        one = Kept(
            id=new_id(name), project="p", call_id=name, sheet={"status": "x"}, input="", turns=[]
        )
        one.bytes = weight
        one.stop = (lambda: None) if runs else None
        store.keep(one)
        return one

    runner, old, new = kept("a", 50, runs=True), kept("b", 50), kept("c", 60)
    assert [store.get(each.id, "p") for each in (runner, new)] == [runner, new]
    with pytest.raises(ApiError) as caught:
        store.get(old.id, "p")
    assert caught.value.code == 404
