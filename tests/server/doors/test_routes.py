"""S11: every route says what it needs, and holds to it; one that says nothing is found."""

from datetime import UTC, datetime
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends, FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route

from heliograph.accounts import ApiKey, Role, Scope, User
from heliograph.errors import ConfigurationError, HeliographError
from heliograph.server.caller import Caller
from heliograph.server.faults import Forbidden, Unauthenticated
from heliograph.server.routes import guard, guarded, matrix, refuse_unlisted, requires, unlisted

NOW = datetime(2026, 11, 30, tzinfo=UTC)


async def hello(request: Request) -> Response:
    return PlainTextResponse("hello")


def a_caller(role: Role, *scopes: Scope) -> Caller:
    user = User(id="0" * 32, name="anna", role=role, created=NOW, changed=NOW)
    key = ApiKey(id="k" * 8, user=user.id, name="k", digest="", scopes=scopes, created=NOW)
    return Caller(user=user, key=key, address="127.0.0.1", request_id="r")


async def status(app: Any, method: str, path: str, caller: Caller | None) -> int:
    """What an application answers, faults as they are raised."""
    answers: list[int] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            answers.append(message["status"])

    state = {} if caller is None else {"caller": caller}
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [],
        "root_path": "",
        "http_version": "1.1",
        "scheme": "http",
        "server": ("127.0.0.1", 80),
        "client": ("127.0.0.1", 1),
        "state": state,
    }
    try:
        await app(scope, receive, send)
    except (Unauthenticated, Forbidden) as error:
        return error.status
    return answers[0]


def an_app() -> Starlette:
    api = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    inner = APIRouter()

    @inner.get("/things/{name}")
    async def things(
        name: str, caller: Annotated[Caller, Depends(requires(Scope.READ))]
    ) -> dict[str, str]:
        return {"user": caller.user.name, "name": name}

    @api.post("/users", dependencies=[Depends(requires(Scope.ADMIN))])
    async def users() -> dict[str, str]:
        return {}

    api.include_router(inner, prefix="/inner")
    shut = Mount("/shut", routes=[Route("/one", hello), Route("/two", hello, methods=["POST"])])
    guard(shut, Scope.MANAGE)
    return Starlette(
        routes=[
            guarded("/pictures", hello, methods=["POST"], scope=Scope.GENERATE),
            guarded("/healthz", hello, methods=["GET"], scope=None),
            Mount("/api", app=api),
            shut,
        ]
    )


def test_the_matrix_lists_every_route_of_every_kind() -> None:
    app = an_app()
    assert matrix(app) == {
        "POST /pictures": "generate",
        "GET /healthz": "open",
        "GET /api/inner/things/{name}": "read",
        "POST /api/users": "admin",
        "GET /shut/one": "manage",
        "POST /shut/two": "manage",
    }
    assert unlisted(app) == []
    refuse_unlisted(app)


def test_a_route_without_policy_is_found_wherever_it_hides() -> None:
    app = an_app()
    inner = APIRouter()
    inner.add_api_route("/deep", hello, methods=["PUT"])
    api = FastAPI()  # its reference pages have no policy either
    api.include_router(inner, prefix="/x")
    app.router.routes += [
        Route("/new", hello),
        Mount("/more", app=api),
        Mount("/raw", app=Starlette()),
    ]
    found = unlisted(app)
    assert {"GET /new", "PUT /more/x/deep", "GET /more/docs", "* /raw"} <= set(found)
    with pytest.raises(ConfigurationError, match="PUT /more/x/deep"):
        refuse_unlisted(app)


@pytest.mark.parametrize(
    ("method", "path", "needs"),
    [
        ("POST", "/pictures", Scope.GENERATE),
        ("GET", "/api/inner/things/a", Scope.READ),
        ("POST", "/api/users", Scope.ADMIN),
        ("GET", "/shut/one", Scope.MANAGE),
        ("HEAD", "/shut/one", Scope.MANAGE),
    ],
)
async def test_only_who_may_gets_in(method: str, path: str, needs: Scope) -> None:
    app = an_app()
    others = [scope for scope in Scope if scope is not needs]
    assert await status(app, method, path, None) == 401
    assert await status(app, method, path, a_caller(Role.ADMIN, needs)) == 200
    # the key lacks it, and then the role does: a key never lends what its user has not
    assert await status(app, method, path, a_caller(Role.ADMIN, *others)) == 403
    expected = 200 if needs is Scope.READ else 403
    assert await status(app, method, path, a_caller(Role.VIEWER, *Scope)) == expected


async def test_an_open_route_asks_nobody() -> None:
    assert await status(an_app(), "GET", "/healthz", None) == 200


async def test_a_refusal_names_the_scope_and_is_an_error_of_ours() -> None:
    with pytest.raises(HeliographError) as caught:
        requires(Scope.ADMIN)(Request({"type": "http", "state": {"caller": a_caller(Role.MEMBER)}}))
    assert caught.value.facts == {"scope": "admin"}
