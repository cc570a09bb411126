"""The OpenAPI document is what the readers do, and what is answered fits it."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import schemathesis
from hypothesis import Phase, given, settings
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance
from tests.server.openai.conftest import Place

from heliograph.errors import InvalidRequest
from heliograph.server.openai.chat import read_chat
from heliograph.server.openai.description import description
from heliograph.server.openai.fields import Fields
from heliograph.server.openai.images import read_edit, read_generation

PRO = "gemini-3-pro-image"


def properties(path: str, kind: str = "application/json") -> dict[str, Any]:
    content = description()["paths"][path]["post"]["requestBody"]["content"]
    found: dict[str, Any] = content[kind]["schema"]["properties"]
    return found


def unknown(path: str, names: list[str]) -> list[str]:
    """Names that the reader of a path calls unknown."""
    body = Fields(dict.fromkeys(names, object()))
    here: dict[str, Any] = {"default_model": PRO}
    readers: dict[str, Callable[[], object]] = {
        "/images/generations": lambda: read_generation(body, **here),
        "/images/edits": lambda: read_edit(body, pictures=[Path("x")], mask=None, **here),
        "/chat/completions": lambda: read_chat(body, keep=lambda _: Path("x"), **here),
    }
    with pytest.raises(InvalidRequest) as caught:
        readers[path]()
    return [p.field for p in caught.value.problems if "is no parameter" in p.message]


@pytest.mark.parametrize("path", ["/images/generations", "/images/edits", "/chat/completions"])
def test_what_is_described_is_read(path: str) -> None:
    names = [name for name in properties(path) if name != "model"]
    assert unknown(path, [*names, "frobnicate"]) == ["frobnicate"]


async def test_answers_fit_the_document(place: Place, key: str) -> None:
    document = description()
    asked = (
        ("/images/generations", {"prompt": "a lake", "size": "1K"}),
        ("/images/generations", {"prompt": "a lake", "size": "huge"}),
        ("/chat/completions", {"messages": [{"role": "user", "content": "a lake"}], "size": "1K"}),
    )
    headers = {"Authorization": f"Bearer {key}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        for path, body in asked:
            async with session.post(place.base + path, json=body) as answer:
                answers = document["paths"][path]["post"]["responses"][str(answer.status)]
                schema = answers["content"]["application/json"]["schema"]
                whole = {**schema, "components": document["components"]}
                Draft202012Validator(whole).validate(await answer.json())
        async with session.get(place.base + "/openapi.json") as answer:
            assert await answer.json() == document


def test_the_document_can_be_read_by_others() -> None:
    schema: Any = schemathesis.openapi.from_dict(description())
    assert {operation.ok().label for operation in schema.get_all_operations()} == {
        "POST /images/generations",
        "POST /images/edits",
        "POST /chat/completions",
        "GET /models",
        "GET /models/{model}",
    }


async def test_schemathesis_finds_nothing(place: Place, key: str) -> None:
    """All checks of its own but one: fields can be right by themselves and contradict each other
    (a size and a ratio), which no schema can say, so a valid body may still be refused."""
    seen: list[int] = []

    def probe(operation: Any, mode: GenerationMode) -> None:
        @given(case=operation.as_strategy(generation_mode=mode))
        @settings(max_examples=6, deadline=None, database=None, phases=[Phase.generate])
        def check(case: Any) -> None:
            headers = {"Authorization": f"Bearer {key}"}
            answer = case.call(base_url=place.base, headers=headers, timeout=30)
            seen.append(answer.status_code)
            case.validate_response(answer, excluded_checks=[positive_data_acceptance])

        check()

    def probe_all() -> None:
        schema: Any = schemathesis.openapi.from_dict(description())
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            for operation in schema.get_all_operations():
                probe(operation.ok(), mode)

    await asyncio.to_thread(probe_all)
    assert {200, 400, 401} <= set(seen)
