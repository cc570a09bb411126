"""Puts the native face together.

Invariant: who calls is known before a route of this face runs; the document says what it answers.
"""

from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from heliograph.accounts import Scope
from heliograph.errors import HeliographError
from heliograph.server import webhooks
from heliograph.server.gateway import Gateway
from heliograph.server.native import accounts, calls, casts, images, jobs, plans, prompts, sessions
from heliograph.server.native import money as money_routes
from heliograph.server.native.desk import needs
from heliograph.server.native.documents import document
from heliograph.server.native.problems import on_broken, on_error, on_http, on_invalid
from heliograph.server.native.reading import StrictRoute
from heliograph.server.native.telling import PREFIX

TAGS = [
    {"name": "plans", "description": "What a request would cost; free."},
    {"name": "models", "description": "What can be asked for."},
    {"name": "jobs", "description": "Pictures being made."},
    {"name": "images", "description": "Pictures that are kept."},
    {"name": "sessions", "description": "Editing by conversation."},
    {"name": "casts", "description": "Kept sets of references."},
    {"name": "prompts", "description": "Prompts by name."},
    {"name": "money", "description": "Costs, budgets and balances."},
    {"name": "users", "description": "Who may use the gateway."},
    {"name": "keys", "description": "With what they come in."},
    {"name": "calls", "description": "Calls of unknown outcome."},
    {"name": "webhooks", "description": "Who is told when a job ends."},
]
ROUTERS = (
    *(plans.router, jobs.router, images.router, sessions.router, casts.router, prompts.router),
    *(money_routes.router, accounts.router, calls.router),
)


def build(gateway: Gateway) -> FastAPI:
    """The native face, to be mounted at `/api/v1`.

    The document is at `openapi.json` below it. Each request needs a `Caller` in its state.
    """
    app = FastAPI(
        title="Heliograph",
        version="1",
        openapi_url=None,  # a route below serves it, to those who have a key
        docs_url=None,
        redoc_url=None,
        openapi_tags=TAGS,
        servers=[{"url": PREFIX}],
        redirect_slashes=False,
        root_path_in_servers=False,
    )
    app.state.gateway = gateway
    for router in (*ROUTERS, webhooks.routes(gateway, route_class=StrictRoute)):
        app.include_router(router)
    made: dict[str, Any] = {}

    def openapi() -> dict[str, Any]:
        if not made:
            made.update(document(app, model=gateway.settings.model))
        return made

    app.openapi = openapi  # type: ignore[method-assign]

    @app.get("/openapi.json", include_in_schema=False, dependencies=[needs(Scope.READ)])
    async def get_document() -> JSONResponse:
        return JSONResponse(openapi())

    app.add_exception_handler(HeliographError, on_error)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(Exception, on_broken)
    return app
