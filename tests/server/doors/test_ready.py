"""A refusal that was written once reads as if it had been written for each request."""

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route, Router
from starlette.types import Message, Scope

from heliograph.accounts import new_id
from heliograph.errors import HeliographError, RecordNotFound
from heliograph.server import gemini, native, openai
from heliograph.server.faults import ModelNotFound, TooMany, Unauthenticated
from heliograph.server.openai import failures
from heliograph.server.ready import Write, ready
from heliograph.server.routes import Sorted

ERRORS = (
    Unauthenticated("No valid key came with the request.", remedy="Send one."),
    TooMany("Too many.", retry_after=42.0),
    TooMany("Too many.", retry_after=43.0),
    TooMany("Too many.", retry_after=42.5),
    ModelNotFound("The model 'x' is not served here.", facts={"field": "model"}),
    ModelNotFound("The model 'x' is not served here.", facts={"field": "size"}),
    RecordNotFound("There is no such job.", facts={"id": "1"}),
    RecordNotFound("There is no such job.", record_id="1", facts={"job": "2"}),
)


@pytest.mark.parametrize("write", [gemini.error_response, native.error_response, failures._written])
@pytest.mark.parametrize("error", ERRORS)
def test_it_is_what_the_face_writes(error: HeliographError, write: Write) -> None:
    for _ in range(3):
        request_id = new_id()
        found, wanted = ready(error, request_id, write), write(error, request_id)
        assert (found.status_code, found.body) == (wanted.status_code, wanted.body)
        assert found.raw_headers == wanted.raw_headers


def test_what_is_changed_in_one_answer_is_in_no_other() -> None:
    error = Unauthenticated("Nobody.")
    ready(error, new_id(), openai.error_response).headers["www-authenticate"] = "Bearer"
    assert "www-authenticate" not in ready(error, new_id(), openai.error_response).headers


# ------------------------------------------------------------ routes by their first part


def _says(word: str) -> Route:
    async def endpoint(_: Request) -> Response:
        return PlainTextResponse(word)

    return Route(f"/{word}", endpoint)


async def _any(request: Request) -> Response:
    return PlainTextResponse(f"any {request.path_params['name']}")


ROUTES = [
    _says("one"),
    _says("one/two"),
    Mount("/three", routes=[_says("one")]),
    Route("/{name}", _any),
    _says("late"),
]


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/one", "/one/", "/one/two", "/one/three", "/three/one", "/three", "/late"),
        *("/{name}", "/x", "/x/y", "/oneone", "/ONE"),
    ],
)
async def test_the_same_route_is_found_as_by_trying_all(path: str) -> None:
    wanted = await _answer(Starlette(routes=[]), Router(ROUTES, redirect_slashes=False), path)
    assert await _answer(Starlette(routes=[]), Sorted(ROUTES), path) == wanted


async def _answer(app: Starlette, router: Router, path: str) -> tuple[int, bytes]:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    app.router = router
    scope: Scope = {"type": "http", "method": "GET", "path": path, "headers": [], "root_path": ""}
    await app(scope, receive, send)
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent)
