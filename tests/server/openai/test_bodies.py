"""What the OpenAI face reads strictly, so that its document can say it."""

from pathlib import Path
from typing import Any

import aiohttp
import pytest
from tests.server.openai.conftest import Place

from heliograph.errors import InvalidRequest
from heliograph.server.openai.chat import read_chat
from heliograph.server.openai.fields import Fields
from heliograph.server.openai.images import read_generation
from heliograph.server.openai.wanted import Wanted

PRO = "gemini-3-pro-image"


def read(*messages: Any, **given: Any) -> Wanted:
    body = Fields({"messages": [*messages], **given})
    return read_chat(body, default_model=PRO, keep=lambda _: Path("x"))


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ({"content": "a lake"}, "messages[0].role"),
        ({"role": "user", "content": [{"text": "a"}]}, "messages[0].content[0].type"),
        ({"role": "user", "content": [{"type": "text"}]}, "messages[0].content[0].text"),
    ],
)
def test_no_part_of_a_message_is_dropped(message: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read(message, {"role": "user", "content": "a lake"})
    assert field in [problem.field for problem in caught.value.problems]


def test_both_names_of_a_user_may_stand() -> None:
    wanted = read({"role": "user", "content": "a lake"}, user="old", safety_identifier="new")
    assert wanted.user == "new"


def test_a_system_message_may_say_nothing() -> None:
    wanted = read({"role": "system", "content": " "}, {"role": "user", "content": "a lake"})
    assert wanted.request.system is None


def test_a_whole_number_may_have_a_point() -> None:
    body = Fields({"prompt": "a lake", "n": 2.0})
    assert read_generation(body, default_model=PRO).count == 2


async def test_a_cast_that_is_not_there_is_not_found(place: Place, key: str) -> None:
    body = {"prompt": "a lake", "heliograph": {"casts": ["nobody"]}}
    headers = {"Authorization": f"Bearer {key}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(f"{place.base}/images/generations", json=body) as answer,
    ):
        assert answer.status == 404
        assert (await answer.json())["error"]["code"] == "not_found"
