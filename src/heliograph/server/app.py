"""The whole HTTP surface: faces, pictures, operations, and the layers around them.

    hardening    hosts, paths, methods and sizes; nothing that escapes tells of our insides
    doors        who is calling, before a byte of the body is read
    routes       each with the scope that it needs

`run.py` puts the log and the counters of requests around all of it. Invariant: a request passes
the layers in this order; an error of any layer comes in the envelope
of the face that its path belongs to.
"""

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from heliograph.accounts import Scope as Needed
from heliograph.errors import HeliographError, RecordNotFound
from heliograph.server import gemini, native, openai, pictures
from heliograph.server.addresses import open_addresses
from heliograph.server.doors import Doorkeeper, Doors, needs_no_key, request_id_of
from heliograph.server.faults import Fault, MethodNotAllowed, TooLarge, UnsupportedMedia, verdict
from heliograph.server.gateway import Gateway
from heliograph.server.hardening import Hardening
from heliograph.server.health import Health
from heliograph.server.metrics import Metrics
from heliograph.server.ready import ready
from heliograph.server.routes import Sorted, guard, refuse_unlisted

NATIVE, OPENAI, METRICS = "/api/v1", "/openai/v1", "/metrics"
GEMINI = ("/v1/", "/v1beta/", "/upload/", "/gemini/")


def build(gateway: Gateway, metrics: Metrics | None = None) -> ASGIApp:
    """The application of an open gateway.

    Args:
        metrics: where requests are counted; they are served at `/metrics`.

    Raises:
        ConfigurationError: a route has no policy, or a setting about addresses is wrong.
    """
    settings = gateway.settings
    app = _Surface(_routes(gateway, metrics))
    refuse_unlisted(app)
    addresses = open_addresses(settings)
    keeper = Doorkeeper(
        gateway.accounts,
        gateway.rates,
        addresses,
        pepper=gateway.secrets.pepper,
        per_minute=settings.server_user_per_minute,
        query_keys=settings.server_query_keys,
    )
    gateway.at_close.append(keeper.close)
    checks_itself = {METRICS} if settings.server_metrics != "key" else set()

    def is_open(scope: Scope) -> bool:
        return scope["path"] in checks_itself or needs_no_key(scope)

    inner: ASGIApp = Doors(app, keeper=keeper, render=render, is_open=is_open)
    return Hardening(inner, limit=settings.server_body_limit, addresses=addresses, render=render)


class _Surface(Sorted):
    """All routes. What they raise of ours is answered by `Hardening`, and what Starlette refuses
    here: no such path, or another method than it takes."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["app"] = self  # routes that see an application raise, and those that do not answer
        try:
            await self.app(scope, receive, send)
        except HTTPException as error:
            response = render(_fault(error), scope)
            for name, value in (error.headers or {}).items():
                response.headers.setdefault(name, value)
            await response(scope, receive, send)


def _routes(gateway: Gateway, metrics: Metrics | None) -> list[BaseRoute]:
    face = gemini.routes(gateway)
    api = Mount(NATIVE, app=native.build(gateway))
    guard(api, Needed.READ)
    return [
        *Health(gateway).routes(),
        *([metrics.route(gateway)] if metrics is not None else []),
        *face,
        Mount("/gemini", routes=face),
        *openai.routes(gateway),
        api,
        *pictures.routes(gateway),
    ]


def render(error: HeliographError, scope: Scope) -> Response:
    """An error as an answer of the face that a path belongs to."""
    path: str = scope["path"]
    request_id = request_id_of(scope)
    if path.startswith(GEMINI):
        return ready(error, request_id, gemini.error_response)
    if path.startswith(OPENAI):
        return openai.error_response(error, request_id)
    if path.startswith(NATIVE):
        return native.error_response(error, request_id)
    return ready(error, request_id, _plain)


def _plain(error: HeliographError, request_id: str) -> Response:
    found = verdict(error)
    body = {"error": {"code": found.code, "message": error.what, "request_id": request_id}}
    return JSONResponse(body, found.status, headers=dict(found.headers))


def _fault(error: HTTPException) -> HeliographError:
    if error.status_code == MethodNotAllowed.status:
        return MethodNotAllowed("This path takes other methods.")
    if error.status_code == TooLarge.status:
        return TooLarge("The request is too large.")
    if error.status_code == UnsupportedMedia.status:
        return UnsupportedMedia("The request has a type that is not taken.")
    if error.status_code == 404:
        return RecordNotFound("There is no such path.")
    return Fault("The request cannot be understood.")
