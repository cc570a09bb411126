"""The OpenAPI document is what the readers do, and what is answered fits it."""

import asyncio
import itertools
import os
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import hypothesis
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from schemathesis import GenerationMode
from starlette.types import ASGIApp, Receive, Scope, Send
from tests.server.openai.conftest import Place, serving
from tests.server.openai.generating import agree

from heliograph import accounts
from heliograph.accounts import SCOPES, ApiKey, Role, User
from heliograph.errors import InvalidRequest
from heliograph.server.app import build
from heliograph.server.openai.chat import read_chat
from heliograph.server.openai.description import description
from heliograph.server.openai.fields import Fields
from heliograph.server.openai.images import read_edit, read_generation

PRO = "gemini-3-pro-image"
EXAMPLES = int(os.environ.get("SCHEMATHESIS_EXAMPLES", "3"))
SEED = int(os.environ.get("SCHEMATHESIS_SEED", "1"))


def properties(path: str, kind: str = "application/json") -> dict[str, Any]:
    """Those of all models together."""
    document = description()
    content = document["paths"][path]["post"]["requestBody"]["content"]
    found: dict[str, Any] = {}
    for each in content[kind]["schema"]["anyOf"]:
        found |= document["components"]["schemas"][each["$ref"].rpartition("/")[2]]["properties"]
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


@pytest.fixture
def settings() -> dict[str, object]:
    return {"server_user_per_minute": 1_000_000}


def from_everywhere(app: ASGIApp) -> ASGIApp:
    """The app as if each request came from an address of its own: bad keys are tried, too, and
    an address that sends many is not listened to."""
    count = itertools.count()

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        scope["client"] = (f"2001:db8:{next(count):x}::1", 1)
        await app(scope, receive, send)

    return inner


@asynccontextmanager
async def whole_server(place: Place) -> AsyncIterator[tuple[str, str]]:
    """The server with all that is around the face: where it is, and a key of a member."""
    now, text = datetime.now(UTC), accounts.new_key()
    member = User(id=accounts.new_id(), name="probing", role=Role.MEMBER, created=now, changed=now)
    named = accounts.key_id(text)
    assert named is not None
    key = ApiKey(
        id=named,
        user=member.id,
        name="test",
        digest=accounts.digest(text, place.gateway.secrets.pepper),
        scopes=tuple(SCOPES[Role.MEMBER]),
        created=now,
    )
    await place.gateway.accounts.add_user(member)
    await place.gateway.accounts.add_key(key)
    async with serving(from_everywhere(build(place.gateway))) as url:
        yield f"{url}/openai/v1", text


async def test_schemathesis_finds_nothing(place: Place) -> None:
    """All checks of its own, as they are."""
    seen: list[int] = []

    def probe(operation: Any, mode: GenerationMode, base: str, key: str) -> None:
        @seed(SEED)
        @given(case=operation.as_strategy(generation_mode=mode))
        @hypothesis.settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=[HealthCheck.too_slow],
        )
        def check(case: Any) -> None:
            if "Idempotency-Key" in (case.headers or {}):
                # a key stands for one request, for ever
                case.headers["Idempotency-Key"] = str(uuid.uuid4())
            if mode is GenerationMode.POSITIVE and isinstance(case.body, dict):
                agree(case.body)
            headers = {"Authorization": f"Bearer {key}"}
            answer = case.call(base_url=base, headers=headers, timeout=30)
            seen.append(answer.status_code)
            case.validate_response(answer)

        check()

    def probe_all(base: str, key: str) -> None:
        schema: Any = schemathesis.openapi.from_dict(description())
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            for operation in schema.get_all_operations():
                probe(operation.ok(), mode, base, key)

    async with whole_server(place) as (base, key):
        await asyncio.to_thread(probe_all, base, key)
    assert {200, 400, 401} <= set(seen)
    assert 429 not in seen
