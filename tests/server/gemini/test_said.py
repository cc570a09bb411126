"""What the user says to interactions goes upstream, and is told again, in the order it was said."""

import base64
import json
from collections.abc import Sequence
from typing import Any

import pytest
from tests.server.gemini.conftest import PRO, Answer, Gateway, Plain, in_base64, picture
from tests.server.waiting import wait_until

from heliograph.server.gemini.asking import WORDLESS

RED, BLUE, GREEN = picture((200, 0, 0)), picture((0, 0, 200)), picture((0, 200, 0))
Said = str | bytes


def content(said: Said) -> dict[str, Any]:
    if isinstance(said, str):
        return {"type": "text", "text": said}
    return {"type": "image", "data": in_base64(said), "mime_type": "image/png"}


def part(said: Said) -> dict[str, Any]:
    if isinstance(said, str):
        return {"text": said}
    return {"inlineData": {"mimeType": "image/png", "data": in_base64(said)}}


def as_said(content: dict[str, Any]) -> Said:
    return content["text"] if content["type"] == "text" else base64.b64decode(content["data"])


def make(plain: Plain, said: Sequence[Said], **fields: Any) -> Answer:
    made = plain.post(
        "/v1/interactions", {"model": PRO, "input": [content(each) for each in said], **fields}
    )
    assert made.status == 200, made.body
    return made


def told(plain: Plain, made: Answer) -> list[Said]:
    """What a get of an interaction says of its input."""
    (step,) = [s for s in ended(plain, made)["steps"] if s["type"] == "user_input"]
    return [as_said(each) for each in step["content"]]


def ended(plain: Plain, made: Answer) -> dict[str, Any]:
    path = f"/v1/interactions/{made.json['id']}?include_input=true"

    def found() -> Any:
        there = plain.get(path).json
        return there if there["status"] != "in_progress" else None

    interaction: dict[str, Any] = wait_until(found)
    assert interaction["status"] == "completed", interaction
    return interaction


def sent(gateway: Gateway, plain: Plain, made: Answer) -> list[dict[str, Any]]:
    """The last body that went upstream."""
    ended(plain, made)
    rows = Plain(url=gateway.upstream, keys={}).get("/_emulator/requests").json
    contents: list[dict[str, Any]] = [
        row["json"]["contents"] for row in rows if row["path"].endswith(":generateContent")
    ][-1]
    return contents


ORDERS = {
    "between": ("Dress of this person:", RED, "Face of this person:", BLUE, "Put them together"),
    "before": (RED, "as a drawing"),
    "several-texts": ("one\n", "\ntwo", BLUE),
    "no-words": (GREEN,),
    "blank-words": (" ", GREEN, "\n"),
    "twice-the-same": (RED, "this, and once more", RED),
    "usual": ("as a painting", RED, BLUE),
}


@pytest.mark.parametrize("is_background", [False, True])
@pytest.mark.parametrize("order", ORDERS)
def test_what_is_said_keeps_its_order(
    plain: Plain, gateway: Gateway, order: str, is_background: bool
) -> None:
    said = ORDERS[order]
    made = make(plain, said, background=is_background)
    (turn,) = sent(gateway, plain, made)
    assert turn["parts"] == [part(each) for each in said]
    assert told(plain, made) == list(said)


def test_going_on_tells_what_was_said_in_its_order(plain: Plain, gateway: Gateway) -> None:
    said = [ORDERS["between"], ORDERS["no-words"], (BLUE, "and this in the sky")]
    made: Answer | None = None
    for each in said:
        follows = {} if made is None else {"previous_interaction_id": made.json["id"]}
        made = make(plain, each, **follows)
    assert made is not None
    contents = sent(gateway, plain, made)
    assert [c["parts"] for c in contents if c["role"] == "user"] == [
        [part(one) for one in each] for each in said
    ]
    assert WORDLESS not in json.dumps(contents)


def test_a_key_is_of_one_order(plain: Plain, gateway: Gateway) -> None:
    before = len(gateway.bill())
    said = ORDERS["between"]
    behind = sorted(said, key=lambda each: isinstance(each, bytes))
    asked = {"model": PRO, "input": [content(each) for each in said]}
    turned = {"model": PRO, "input": [content(each) for each in behind]}
    first, again, other = (
        plain.post("/v1/interactions", body, idempotency_key="said-in-order")
        for body in (asked, asked, turned)
    )
    assert first.status == 200
    assert again.json["id"] == first.json["id"]
    assert other.status == 422
    assert len(gateway.bill()) == before + 1


@pytest.mark.parametrize("said", [(" ",), ("",), ("\n", " ")])
def test_an_input_that_says_nothing_is_refused(
    plain: Plain, gateway: Gateway, said: Sequence[Said]
) -> None:
    before = len(gateway.bill())
    body = {"model": PRO, "input": [content(each) for each in said]}
    answer = plain.post("/v1/interactions", body)
    assert (answer.status, answer.json["error"]["code"]) == (400, "invalid_request")
    assert "'input'" in answer.json["error"]["message"]
    assert len(gateway.bill()) == before


def test_the_input_is_told_to_those_who_ask_for_it(plain: Plain) -> None:
    made = make(plain, ("a lake",))
    path = f"/v1/interactions/{made.json['id']}"
    for query, is_told in [
        ("", False),
        ("?include_input=false", False),
        ("?include_input=true", True),
    ]:
        steps = plain.get(path + query).json["steps"]
        assert ([s["type"] for s in steps][:1] == ["user_input"]) is is_told


def test_words_nobody_said_are_not_told_of_what_failed(plain: Plain) -> None:
    asked = {"model": PRO, "input": [content(GREEN)], "previous_interaction_id": None}
    begun = plain.post("/v1/interactions", asked | {"background": True})
    path = f"/v1/interactions/{begun.json['id']}?include_input=true"
    said = [c for s in plain.get(path).json["steps"] for c in s.get("content", ())]
    assert WORDLESS not in [c.get("text") for c in said]
    wait_until(lambda: plain.get(path).json["status"] == "completed")


@pytest.mark.parametrize("blank", ["", " ", "\n"])
def test_blanks_beside_a_picture_go_as_they_came(
    plain: Plain, gateway: Gateway, blank: str
) -> None:
    parts = [part(RED), {"text": blank}]
    body = {
        "contents": [{"role": "user", "parts": parts}],
        "systemInstruction": {"parts": [{"text": blank}]},
    }
    drawn = plain.draw(body)
    assert drawn.status == 200, drawn.body
    rows = Plain(url=gateway.upstream, keys={}).get("/_emulator/requests").json
    assert rows[-1]["json"]["contents"][0]["parts"] == parts


def test_a_blank_instruction_is_none(plain: Plain) -> None:
    assert make(plain, ("a lake",), system_instruction=" ").json["status"] == "completed"
