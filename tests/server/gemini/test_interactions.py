"""Interactions: unmodified google-genai, sync and async, and plain HTTP."""

import base64
import json
import re
import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from google import genai
from google.genai._gaos.lib import compat_errors
from hypothesis import given
from hypothesis import strategies as st
from tests.server.gemini.conftest import (
    PRO,
    Answer,
    Clients,
    Gateway,
    Plain,
    in_base64,
    opened,
    picture,
    pixels,
)
from tests.server.waiting import until, wait_until

from heliograph.server.faults import Busy, Fault
from heliograph.server.gemini.interactions.left import MOST, Left
from heliograph.server.gemini.interactions.reading import read_wish

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*DEPRECATED:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Async interactions client:UserWarning"),
]
WIDE_4K = {"type": "image", "aspect_ratio": "16:9", "image_size": "4K"}


@pytest.fixture
def talks(client: genai.Client) -> Any:
    """Of the usual client, everything at its default."""
    return client.interactions


def shown(interaction: Any) -> bytes:
    assert interaction.output_image is not None
    return base64.b64decode(interaction.output_image.data)


def until_ended(ask: Callable[[], Any]) -> Any:
    def ended() -> Any:
        found = ask()
        return found if found.status != "in_progress" else None

    return wait_until(ended)


def has_ended(plain: Plain, path: str) -> bool:
    return bool(plain.get(path).json["status"] != "in_progress")


def make(plain: Plain, body: Any, **headers: str) -> Answer:
    asked = {"model": PRO, "input": "a lake"} | body
    return plain.post("/v1beta/interactions", asked, **headers)


def id_of(answer: Answer) -> str:
    assert answer.status == 200, answer.body
    found: str = answer.json["id"]
    return found


# ---------------------------------------------------------------- the SDK


def test_a_4k_picture(talks: Any, gateway: Gateway) -> None:
    before = len(gateway.bill())
    made = talks.create(model=PRO, input="a lake", response_format=WIDE_4K)
    (line,) = gateway.bill()[before:]
    assert made.status == "completed"
    assert made.model == PRO
    assert made.output_image.mime_type == "image/jpeg"
    assert line["images"][0]["bytes"] == len(shown(made))
    assert pixels(shown(made))[0] > pixels(shown(made))[1]
    assert made.usage.total_output_tokens > 1000
    assert made.usage.output_tokens_by_modality[0].modality == "image"
    # words and picture have a signature each, and here a thought carries it
    assert [step.type for step in made.steps] == ["thought", "model_output"] * 2
    assert made.output_text
    again = talks.get(made.id, include_input=True)
    assert [step.type for step in again.steps[:2]] == ["user_input", "thought"]
    assert again.steps[0].content[0].text == "a lake"
    assert shown(again) == shown(made)
    assert len(gateway.bill()) == before + 1


def test_in_the_background(talks: Any, gateway: Gateway) -> None:
    before = len(gateway.bill())
    begun = talks.create(model=PRO, input="a hill [[fault:slow:4]]", background=True)
    assert begun.status == "in_progress"
    assert begun.output_image is None
    ended = until_ended(lambda: talks.get(begun.id))
    assert (ended.id, ended.status) == (begun.id, "completed")
    assert len(shown(ended)) == gateway.bill()[before]["images"][0]["bytes"]
    assert len(gateway.bill()) == before + 1


def test_in_the_background_with_a_picture_of_the_clients(talks: Any) -> None:
    image = {"type": "image", "data": in_base64(picture()), "mime_type": "image/png"}
    words = {"type": "text", "text": "make it night [[fault:slow:0.5]]"}
    begun = talks.create(model=PRO, input=[image, words], background=True)
    ended = until_ended(lambda: talks.get(begun.id, include_input=True))
    assert ended.status == "completed", ended.errors
    said = ended.steps[0].content
    assert [content.type for content in said] == ["image", "text"]
    assert base64.b64decode(said[0].data) == picture()


async def test_async(clients: Clients) -> None:
    client = clients()
    talks: Any = client.aio.interactions
    made = await talks.create(model=PRO, input="a lake at dawn")
    begun = await talks.create(
        model=PRO, input="with a boat", previous_interaction_id=made.id, background=True
    )

    async def found() -> Any:
        there = await talks.get(begun.id)
        return there if there.status != "in_progress" else None

    ended = await until(found)
    assert ended.status == "completed"
    assert ended.previous_interaction_id == made.id
    await talks.delete(made.id)
    with pytest.raises(compat_errors.NotFoundError):
        await talks.get(made.id)
    await client.aio.aclose()


def test_a_second_turn_and_a_third(talks: Any, gateway: Gateway) -> None:
    first = talks.create(model=PRO, input="a lake")
    second = talks.create(model=PRO, input="at night", previous_interaction_id=first.id)
    third = talks.create(
        model=PRO, input="now with a small boat", previous_interaction_id=second.id
    )
    assert len({shown(each) for each in (first, second, third)}) == 3
    assert third.previous_interaction_id == second.id
    rows = Plain(url=gateway.upstream, keys={}).get("/_emulator/requests").json
    (sent,) = [row for row in rows if "now with a small boat" in json.dumps(row)]
    contents = sent["json"]["contents"]
    assert [content["role"] for content in contents] == ["user", "model"] * 2 + ["user"]
    for answered in contents[1::2]:
        assert any("thoughtSignature" in part for part in answered["parts"])
        assert any("inlineData" in part for part in answered["parts"])
    assert contents[0]["parts"][-1]["text"] == "a lake"


def test_turns_that_the_client_tells_itself(talks: Any) -> None:
    first = talks.create(model=PRO, input="a lake", store=False)
    assert not first.id
    history = [step.model_dump(exclude_none=True) for step in first.steps]
    lake = {"type": "user_input", "content": [{"type": "text", "text": "a lake"}]}
    night = {"type": "user_input", "content": [{"type": "text", "text": "at night"}]}
    second = talks.create(model=PRO, input=[lake, *history, night])
    assert second.status == "completed"
    with pytest.raises(compat_errors.BadRequestError) as caught:
        talks.create(model=PRO, input="with a boat", previous_interaction_id=second.id)
    assert "tell them again" in str(caught.value)
    history[0]["signature"] = history[0]["signature"][:-8] + "AAAAAAA="
    with pytest.raises(compat_errors.BadRequestError) as caught:
        talks.create(model=PRO, input=[lake, *history, night])
    assert "Corrupted thought signature" in str(caught.value)


def test_cancel(clients: Clients, emulator: str, tmp_path: Path) -> None:
    with opened(tmp_path, emulator, server_user_at_once=1) as gateway:
        talks: Any = clients(of=gateway).interactions
        before = len(gateway.bill())
        slow = talks.create(model=PRO, input="first [[fault:slow:6]]", background=True)
        waits = talks.create(model=PRO, input="second", background=True)
        assert talks.cancel(waits.id).status == "cancelled"
        assert talks.cancel(waits.id).status == "cancelled"
        assert talks.get(waits.id).status == "cancelled"
        wait_until(lambda: gateway.sent("first [[fault:slow:6]]"))
        caught: Any
        with pytest.raises(compat_errors.BadRequestError) as caught:
            talks.cancel(slow.id)
        assert caught.value.body["error"]["code"] == "failed_precondition"
        with pytest.raises(compat_errors.BadRequestError):
            talks.delete(slow.id)
        assert talks.get(slow.id).status == "in_progress", "its end was not waited for"
        assert until_ended(lambda: talks.get(slow.id)).status == "completed"
        assert len(gateway.bill()) == before + 1


# ---------------------------------------------------------------- money


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("reset-after-request", "outcome_unknown"),
        ("cut-json", "outcome_unknown"),
        ("cut-base64", "upstream_corrupt"),
    ],
)
def test_what_may_be_paid_for_is_not_asked_for_again(
    talks: Any, gateway: Gateway, fault: str, code: str
) -> None:
    # attempts are 5 when nothing is said, and 409 is among what is repeated here
    prompt = f"interaction paid once [[fault:{fault}]]"
    caught: Any
    with pytest.raises(compat_errors.APIStatusError) as caught:
        talks.create(model=PRO, input=prompt)
    assert caught.value.status_code == 424
    assert caught.value.response.headers["x-heliograph-error"] == code
    assert caught.value.body["error"]["code"] == code
    assert re.search(r"v1_[0-9a-f]{32}", caught.value.body["error"]["message"])
    assert gateway.sent(prompt) == 1


def test_what_cost_nothing_is_asked_for_again(
    clients: Clients, emulator: str, tmp_path: Path
) -> None:
    # so little patience that the gateway does not wait itself
    with opened(tmp_path, emulator, patience=0.5) as gateway:
        prompt = "interaction asked again [[fault:rate-minute:1*1]]"
        talks: Any = clients(of=gateway).interactions
        assert talks.create(model=PRO, input=prompt).status == "completed"
        assert gateway.sent(prompt) == 2


def test_an_idempotency_key(plain: Plain, gateway: Gateway) -> None:
    before = len(gateway.bill())
    for body in ({}, {"background": True, "input": "a hill"}):
        key = f"talk-{len(body)}"
        first = make(plain, body, idempotency_key=key)
        again = make(plain, body, idempotency_key=key)
        assert id_of(first) == id_of(again)
        assert again.headers["idempotency-replayed"] == "true"
        path = f"/v1/interactions/{id_of(first)}"
        wait_until(partial(has_ended, plain, path))
        last = make(plain, body, idempotency_key=key)
        assert (id_of(last), last.json["status"]) == (id_of(first), "completed")
        other = make(plain, body | {"input": "another"}, idempotency_key=key)
        assert (other.status, other.json["error"]["code"]) == (422, "failed_precondition")
    assert len(gateway.bill()) == before + 2
    turn = {"previous_interaction_id": id_of(last), "input": "at night"}
    turns = {id_of(make(plain, turn, idempotency_key="talk-turn")) for _ in range(2)}
    assert len(turns) == 1
    assert len(gateway.bill()) == before + 3


def leave(gateway: Gateway, asked: dict[str, Any], *headers: str) -> None:
    """Ask for an interaction, and be gone before it is answered."""
    parts, body = urlsplit(gateway.url), json.dumps(asked).encode()
    head = [
        "POST /v1beta/interactions HTTP/1.1",
        f"host: {parts.netloc}",
        f"x-goog-api-key: {gateway.keys['anna']}",
        "content-type: application/json",
        f"content-length: {len(body)}",
        *headers,
    ]
    before = gateway.sent(asked["input"])
    with socket.create_connection((parts.hostname or "", parts.port or 0)) as connection:
        connection.sendall("\r\n".join([*head, "", ""]).encode() + body)
        wait_until(lambda: gateway.sent(asked["input"]) > before)


def test_a_client_that_left_and_asks_again(plain: Plain, gateway: Gateway) -> None:
    before = len(gateway.bill())
    asked = {"model": PRO, "input": "left alone [[fault:slow:4]]"}
    leave(gateway, asked)
    # by the time that this one is answered, it was seen that the other left
    assert make(plain, asked, key="ben").headers.get("idempotency-replayed") is None
    again = make(plain, asked)
    assert again.status == 200
    assert again.headers["idempotency-replayed"] == "true"
    assert len(gateway.bill()) == before + 2
    # whoever was answered and asks again wants another picture
    assert id_of(make(plain, asked)) != id_of(again)


def test_a_key_is_good_whoever_left_before(plain: Plain, gateway: Gateway) -> None:
    before = len(gateway.bill())
    asked = {"model": PRO, "input": "left without a key [[fault:slow:1]]"}
    leave(gateway, asked)
    wait_until(lambda: len(gateway.bill()) == before + 1)
    first, again = (make(plain, asked, idempotency_key="left-before") for _ in range(2))
    assert (first.status, again.status) == (200, 200), again.body
    assert id_of(again) == id_of(first)
    assert again.headers["idempotency-replayed"] == "true"
    assert len(gateway.bill()) == before + 2
    # what was left is still there for the one who left it
    joined = make(plain, asked)
    assert joined.headers["idempotency-replayed"] == "true"
    assert id_of(joined) != id_of(first)
    assert len(gateway.bill()) == before + 2


def test_who_left_with_a_key_comes_back_by_it(plain: Plain, gateway: Gateway) -> None:
    before = len(gateway.bill())
    asked = {"model": PRO, "input": "left with a key [[fault:slow:1]]"}
    leave(gateway, asked, "idempotency-key: left-with-one")
    wait_until(lambda: len(gateway.bill()) == before + 1)
    again = make(plain, asked, idempotency_key="left-with-one", prefer="wait=30")
    assert again.headers["idempotency-replayed"] == "true"
    # one without it is another request
    assert id_of(make(plain, asked)) != id_of(again)
    assert len(gateway.bill()) == before + 2


async def test_those_who_left_are_remembered_for_some_time_only() -> None:
    left = Left()
    for number in range(MOST + 1):
        left.note(("anna", str(number)), f"s{number}")
    assert left.taken(("anna", "0")) is None
    assert left.taken(("ben", "1")) is None
    assert left.taken(("anna", "1")) == "s1"
    assert left.taken(("anna", "1")) is None


async def test_who_left_is_forgotten_only_by_a_repeat_that_joined_something() -> None:
    left, key = Left(), ("anna", "1")
    left.note(key, None)
    refused, ended = Busy("Not now."), Busy("It came to nothing.", facts={"job": "j"})
    for error, after in ((refused, ""), (ended, None), (refused, None)):
        again = left.taken(key)
        with pytest.raises(Busy), left.joining(key, again):
            raise error
        assert left.taken(key) == after
        if after is not None:
            left.note(key, after)
    left.note(key, "s")
    with left.joining(key, left.taken(key)):
        pass
    assert left.taken(key) is None


# ---------------------------------------------------------------- plain HTTP


@pytest.mark.parametrize("version", ["v1", "v1beta", "gemini/v1beta"])
def test_pictures_by_address(plain: Plain, version: str) -> None:
    asked = {
        "model": PRO,
        "input": {"type": "text", "text": "a lake"},
        "response_format": [{"type": "text"}, {"type": "image", "delivery": "uri"}],
    }
    made = plain.post(f"/{version}/interactions", asked)
    later = plain.get(f"/{version}/interactions/{id_of(made)}")
    for answer in (made, later):
        (image,) = [c for c in answer.json["steps"][-1]["content"] if c["type"] == "image"]
        assert set(image) == {"type", "mime_type", "uri"}
        fetched = plain.get(image["uri"].removeprefix(plain.url), key="")
        assert fetched.status == 200
        assert fetched.headers["content-type"] == "image/jpeg"
        assert f"{pixels(fetched.body)[0]}x" in made.headers["x-heliograph-pixels"]


def test_what_is_somebody_elses_is_not_there(plain: Plain, gateway: Gateway) -> None:
    before = len(gateway.bill())
    mine = id_of(make(plain, {}))
    path = f"/v1/interactions/{mine}"
    nobody = f"/v1/interactions/v1_{'0' * 32}"
    for other in (path, nobody):
        for answer in (
            plain.get(other, key="ben"),
            plain.send("DELETE", other, key="ben"),
            plain.post(f"{other}/cancel", b"", key="ben"),
        ):
            assert answer.status == 404
            assert answer.json["error"]["code"] == "not_found"
    turn = {"input": "at night", "previous_interaction_id": mine}
    assert make(plain, turn, key="ben").status == 404
    assert plain.get(path, key="root").status == 200
    assert plain.get("/v1/interactions/abc").json["error"] == {
        "code": "invalid_request",
        "message": "Invalid interaction name: interactions/abc",
    }
    # no other job of the face is one
    drawn = plain.draw({"contents": [{"parts": [{"text": "a"}]}]})
    assert plain.get(f"/v1/interactions/v1_{drawn.headers['x-heliograph-job']}").status == 404
    assert len(gateway.bill()) == before + 2


def test_delete(plain: Plain) -> None:
    made = id_of(make(plain, {}))
    path, image = f"/v1/interactions/{made}", f"/api/v1/images/{made.removeprefix('v1_')}"
    assert plain.get(image).status == 200
    assert plain.send("DELETE", path, key="vera").status == 403
    assert plain.send("DELETE", path).json == {}
    for answer in (plain.get(path), plain.send("DELETE", path), plain.get(image)):
        assert answer.status == 404
    assert make(plain, {"previous_interaction_id": made}).status == 404


def test_what_is_not_stored_has_no_id(plain: Plain, gateway: Gateway) -> None:
    before = len(gateway.bill())
    made = make(plain, {"store": False}, idempotency_key="unstored")
    assert made.status == 200
    assert "id" not in made.json
    again = make(plain, {"store": False}, idempotency_key="unstored")
    assert again.json["steps"] == made.json["steps"]
    job = made.headers["x-heliograph-job"]
    assert plain.get(f"/v1/interactions/v1_{job}").status == 404
    assert plain.get(f"/api/v1/images/{job}").status == 404
    assert len(gateway.bill()) == before + 1
    both = make(plain, {"store": False, "background": True})
    assert (both.status, both.json["error"]["code"]) == (400, "invalid_request")


def test_a_model_that_only_talks(plain: Plain) -> None:
    made = make(plain, {"input": "a [[fault:text-refusal]]"})
    assert (made.status, made.json["status"]) == (200, "completed")
    (content,) = made.json["steps"][-1]["content"]
    assert content["type"] == "text"
    assert float(made.headers["x-heliograph-cost-usd"]) > 0
    assert plain.get(f"/v1/interactions/{id_of(made)}").json["status"] == "completed"
    turn = make(plain, {"input": "at night", "previous_interaction_id": id_of(made)})
    assert (turn.status, turn.json["error"]["code"]) == (400, "invalid_request")


def test_a_picture_that_is_held_back(plain: Plain) -> None:
    made = make(plain, {"input": "a [[fault:image-safety]]"})
    assert (made.status, made.json["error"]["code"]) == (400, "content_blocked")
    begun = make(plain, {"input": "a [[fault:image-safety]]", "background": True})
    path = f"/v1/interactions/{id_of(begun)}"
    wait_until(lambda: plain.get(path).json["status"] == "failed")
    found = plain.get(f"{path}?include_input=true")
    assert found.json["errors"][0]["code"] == "content_blocked"
    assert [step["type"] for step in found.json["steps"]] == ["user_input"]


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        ({"stream": True}, "parameter_unknown", "'stream'"),
        ({"agent": "deep-research"}, "parameter_unknown", "'agent'"),
        ({"webhook_config": {"uris": []}}, "parameter_unknown", "/api/v1/webhooks"),
        ({"labels": {"a": "b"}}, "parameter_unknown", "'labels'"),
        ({"colour": "red"}, "parameter_unknown", "'colour'"),
        (
            {"generation_config": {"max_output_tokens": 5}},
            "parameter_unknown",
            "'generation_config.max_output_tokens'",
        ),
        (
            {"generation_config": {"image_config": {"delivery": "uri"}}},
            "parameter_unknown",
            "'generation_config.image_config.delivery'",
        ),
        ({"tools": [{"type": "code_execution"}]}, "parameter_unknown", "google_search"),
        ({"response_format": {"type": "text"}}, "parameter_unknown", "ask for one"),
        (
            {"response_format": {"type": "image", "image_size": "8K"}},
            "invalid_request",
            "Supported values: '1K', '2K', '4K'.",
        ),
        (
            {"response_format": {"type": "image", "mime_type": "image/png"}},
            "invalid_request",
            "'image/png' is not supported for 'response_format.mime_type'",
        ),
        ({"input": ""}, "invalid_request", "'input' is required"),
        ({"input": [{"type": "video", "data": "AA=="}]}, "invalid_request", "'input[0]'"),
        (
            {"input": [{"type": "image", "uri": "https://example.com/a.png"}]},
            "invalid_request",
            "not fetched",
        ),
        ({"background": "yes"}, "invalid_request", "'background'"),
        ({"generation_config": {"seed": True}}, "invalid_request", "generation_config.seed"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(
    plain: Plain, gateway: Gateway, body: Any, code: str, words: str
) -> None:
    before = len(gateway.bill())
    answer = make(plain, body)
    assert answer.status == 400, answer.body
    assert set(answer.json["error"]) == {"code", "message"}
    assert answer.json["error"]["code"] == code
    assert words in answer.json["error"]["message"]
    assert len(gateway.bill()) == before


def test_other_errors(plain: Plain) -> None:
    model = make(plain, {"model": "gemini-3-pro-image-preview"})
    assert (model.status, model.json["error"]["code"]) == (404, "model_not_found")
    assert "Use gemini-3-pro-image instead." in model.json["error"]["message"]
    assert plain.post("/v1/interactions", b"{").json["error"]["code"] == "invalid_request"
    assert plain.post("/v1/interactions", {}, key="vera").status == 403
    assert plain.post("/v1/interactions", {}, key="nobody").status == 401


def test_nothing_of_a_body_stays_behind(plain: Plain, gateway: Gateway) -> None:
    image = {"type": "image", "data": in_base64(picture()), "mime_type": "image/png"}
    assert make(plain, {"input": [image]}).status == 200
    assert make(plain, {"input": [image], "stream": True}).status == 400
    wait_until(lambda: not list((gateway.home / "server" / "inbox").iterdir()))


def test_settings_arrive(plain: Plain, gateway: Gateway) -> None:
    made = make(
        plain,
        {
            "input": "a very particular lake",
            "system_instruction": "be brief",
            "service_tier": "flex",
            "tools": [{"type": "google_search", "search_types": ["web_search"]}],
            "safety_settings": [{"type": "harassment", "threshold": "block_none"}],
            "generation_config": {"seed": 7, "top_p": 0.5, "thinking_level": "high"},
            "response_format": {"type": "image", "image_size": "2K", "aspect_ratio": "21:9"},
        },
    )
    assert made.status == 200, made.body
    rows = Plain(url=gateway.upstream, keys={}).get("/_emulator/requests").json
    (sent,) = [row for row in rows if "a very particular lake" in json.dumps(row)]
    config = sent["json"]["generationConfig"]
    assert config["imageConfig"] == {"aspectRatio": "21:9", "imageSize": "2K"}
    assert (config["seed"], config["topP"]) == (7, 0.5)
    assert sent["json"]["safetySettings"][0]["category"] == "HARM_CATEGORY_HARASSMENT"
    assert "be brief" in json.dumps(sent["json"]["systemInstruction"])
    assert any("googleSearch" in tool for tool in sent["json"]["tools"])


# ---------------------------------------------------------------- reading alone

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "text", "data", "content", "signature", "image_size"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)
FIELDS = st.sampled_from(
    [
        *("input", "background", "store", "stream", "previous_interaction_id", "tools"),
        *("generation_config", "response_format", "response_modalities", "safety_settings"),
    ]
)


@given(body=st.dictionaries(FIELDS, VALUES, max_size=4))
def test_any_body_is_understood_or_refused(body: dict[str, Any]) -> None:
    try:
        wish = read_wish({"model": PRO, "input": "a lake"} | body)
    except Fault:
        return
    assert wish.message["contents"][-1]["role"] == "user"
    assert all(content["parts"] for content in wish.message["contents"])
