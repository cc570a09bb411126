"""Messages and parameters of chat/completions."""

import base64
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.errors import HeliographError, InvalidRequest
from heliograph.planning import plan
from heliograph.server.faults import verdict
from heliograph.server.openai.chat import read_chat
from heliograph.server.openai.failures import UrlInputsDisabled
from heliograph.server.openai.fields import Fields
from heliograph.server.openai.wanted import Wanted

PRO = "gemini-3-pro-image"
PICTURE = b"\x89PNG pretended"
DATA_URL = "data:image/png;base64," + base64.b64encode(PICTURE).decode()


class Kept:
    """Where pictures of messages are put down."""

    def __init__(self) -> None:
        self.pictures: list[bytes] = []

    def keep(self, data: bytes) -> Path:
        self.pictures.append(data)
        return Path(f"part-{len(self.pictures)}")


def shown(url: str = DATA_URL) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


def read(*messages: Any, kept: Kept | None = None, **given_: Any) -> Wanted:
    body = Fields({"model": PRO, "messages": list(messages), **given_})
    return read_chat(body, default_model=PRO, keep=(kept or Kept()).keep)


def user(*parts: Any) -> dict[str, Any]:
    return {"role": "user", "content": parts[0] if len(parts) == 1 else list(parts)}


def refused(*messages: Any, **given_: Any) -> list[str]:
    with pytest.raises(InvalidRequest) as caught:
        read(*messages, **given_)
    return [problem.field for problem in caught.value.problems]


def test_one_message_is_the_prompt_itself() -> None:
    assert read(user("a boat")).request.prompt == "a boat"
    assert (
        read(user({"type": "text", "text": "a"}, {"type": "text", "text": "b"})).request.prompt
        == "a\n\nb"
    )


def test_system_messages_become_the_system_instruction() -> None:
    system, developer = ({"role": r, "content": r} for r in ("system", "developer"))
    assert read(system, developer, user("x")).request.system == "system\n\ndeveloper"


def test_pictures_are_decoded() -> None:
    kept = Kept()
    wanted = read(user({"type": "text", "text": "like this"}, shown()), kept=kept)
    assert kept.pictures == [PICTURE]
    assert wanted.request.references == (Path("part-1"),)


def test_nothing_is_written_down_for_a_request_that_is_refused() -> None:
    kept = Kept()
    with pytest.raises(InvalidRequest):
        read(user({"type": "text", "text": "x"}, shown()), kept=kept, n=2)
    assert kept.pictures == []


@pytest.mark.parametrize(
    "answer",
    [
        {"role": "assistant", "content": "here", "images": [{**shown(), "index": 0}]},
        {"role": "assistant", "content": f"here\n\n![image]({DATA_URL})"},
        {"role": "assistant", "content": [{"type": "text", "text": "here"}, shown()]},
        {"role": "assistant", "content": "here", "images": [shown()], "refusal": None},
    ],
)
def test_answers_can_be_sent_back_in_every_shape(answer: dict[str, Any]) -> None:
    kept = Kept()
    prompt = read(user("a boat"), answer, user("now at night"), kept=kept).request.prompt
    assert kept.pictures == [PICTURE]
    assert prompt == (
        "Our talk so far:\nUser: a boat\nYou (image 1 below): here\n\nNow: now at night"
    )


def test_the_oldest_pictures_give_way_and_that_is_told() -> None:
    kept = Kept()
    old = "data:image/png;base64," + base64.b64encode(b"old").decode()
    turn = {"role": "assistant", "content": "", "images": [shown()] * 14}
    first = {"role": "assistant", "content": "", "images": [shown(old)]}
    wanted = read(user("a"), first, user("b"), turn, user("c"), kept=kept)
    assert kept.pictures == [PICTURE] * 14
    assert wanted.notes == ("Pictures of earlier messages that were left out: 1.",)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/x.png",
        "https://example.com/x",
        "file:///etc/passwd",
        "ftp://a/b",
        "gopher:x",
    ],
)
def test_addresses_are_refused(url: str) -> None:
    with pytest.raises(UrlInputsDisabled) as caught:
        read(user({"type": "text", "text": "x"}, shown(url)))
    assert verdict(caught.value).code == "url_inputs_disabled"


@pytest.mark.parametrize(
    "url", ["", "data:image/png,abc", "data:image/png;base64,", "data:image/png;base64,a\nb",
            "data:image/png;base64,????", "data:text/html;base64,aGk=", "nothing", 5, None]
)  # fmt: skip
def test_what_is_no_data_url_is_refused(url: Any) -> None:
    assert refused(user({"type": "text", "text": "x"}, shown(url))) == [
        "messages[0].content[1].image_url.url"
    ]


@pytest.mark.parametrize(
    ("given_", "named"),
    [
        ({"n": 2}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"max_tokens": 100}, "max_tokens"),
        ({"stop": ["x"]}, "stop"),
        ({"frequency_penalty": 1}, "frequency_penalty"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools[0]"),
        ({"functions": [{"name": "f"}]}, "functions"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"store": True}, "store"),
        ({"service_tier": "scale"}, "service_tier"),
        ({"reasoning_effort": "xhigh"}, "reasoning_effort"),
        ({"frobnicate": 1}, "frobnicate"),
        ({"stream_options": {"other": 1}}, "stream_options.other"),
        ({"seed": 1, "heliograph": {"seed": 2}}, "heliograph.seed"),
    ],
)
def test_what_cannot_be_is_refused_by_name(given_: dict[str, Any], named: str) -> None:
    assert refused(user("a boat"), **given_) == [named]


@pytest.mark.parametrize(
    "given_",
    [
        {"n": 1},
        {"logprobs": False},
        {"frequency_penalty": 0, "presence_penalty": 0.0},
        {"tools": [], "tool_choice": "auto", "parallel_tool_calls": True},
        {"response_format": {"type": "text"}},
        {"modalities": ["image", "text"]},
        {"store": False},
    ],
)
def test_what_asks_for_nothing_is_taken(given_: dict[str, Any]) -> None:
    assert read(user("a boat"), **given_).request == read(user("a boat")).request


def test_parameters_that_mean_something_here() -> None:
    wanted = read(
        user("a boat"),
        seed=4,
        temperature=1,
        reasoning_effort="high",
        service_tier="flex",
        web_search_options={},
        image_config={"aspect_ratio": "21:9", "image_size": "4K"},
        stream=True,
        stream_options={"include_usage": True},
        heliograph={"images": "markdown"},
    )
    request = wanted.request
    assert (request.seed, request.thinking, request.tier, request.ground) == (
        4,
        "high",
        "flex",
        "web",
    )
    assert (plan(request).size, plan(request).aspect) == ("4K", "21:9")
    assert (wanted.stream, wanted.counts_usage, wanted.as_markdown) == (True, True, True)


@pytest.mark.parametrize(
    "messages",
    [
        [],
        [{"role": "system", "content": "x"}],
        [{"role": "user", "content": ""}],
        [{"role": "user"}],
        [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}],
        [{"role": "tool", "content": "x"}],
        ["x"],
        [{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}],
        [{"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}],
    ],
)
def test_talks_that_ask_for_nothing_are_refused(messages: list[Any]) -> None:
    with pytest.raises(InvalidRequest):
        read(*messages)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=12),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["role", "content", "type", "text", "image_url", "url", "images", "name"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=10,
)


@given(_JSON)
def test_any_messages_are_read_or_refused(messages: Any) -> None:
    body = Fields({"model": PRO, "messages": messages})
    try:
        read_chat(body, default_model=PRO, keep=Kept().keep)
    except HeliographError as error:
        status = verdict(error).status
    else:
        status = 200
    assert status in (200, 400, 413)
