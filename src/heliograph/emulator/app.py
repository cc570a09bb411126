"""Routes and the outer layer; invariant: every failure leaves in Google's envelope."""

import sys
import time
import traceback
from collections.abc import Awaitable, Callable

from aiohttp import web

from heliograph.emulator import catalogue, control, interactions, uploads
from heliograph.emulator.desk import DESK, Desk, log_request
from heliograph.emulator.envelope import ApiError, invalid, not_found, unimplemented
from heliograph.emulator.generating import INLINE_LIMIT, api_key, generate, see
from heliograph.emulator.keys import admit
from heliograph.emulator.sending import (
    Outgoing,
    json_response,
    outgoing_canned,
    outgoing_error,
    reset,
)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_VERSION = "{version:v1|v1beta}"
# Headers of real replies (section 1.8).
_HEADERS = {
    "server": "scaffolding on HTTPServer2",
    "vary": "Origin, X-Origin, Referer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "SAMEORIGIN",
    "x-xss-protection": "0",
}
_STARTED = web.RequestKey("started", float)


def build_app(desk: Desk) -> web.Application:
    """The whole HTTP surface."""
    # Room for the largest file chunk and for refusing an oversized inline request politely.
    app = web.Application(client_max_size=INLINE_LIMIT + 64 * 1024 * 1024, middlewares=[_edge])
    app[DESK] = desk
    app.on_response_prepare.append(_dress)
    app.router.add_post(f"/{_VERSION}/models/{{model:[^/:]+}}:{{method:[A-Za-z]+}}", _model_method)
    app.router.add_get(f"/{_VERSION}/models", _list_models)
    app.router.add_get(f"/{_VERSION}/models/{{model:[^/:]+}}", _get_model)
    app.router.add_route("*", f"/{_VERSION}/batches", _later)
    app.router.add_route("*", f"/{_VERSION}/batches/{{rest:.*}}", _later)
    interactions.add_routes(app, _VERSION)
    uploads.add_routes(app, _VERSION)
    control.add_routes(app)
    return app


@web.middleware
async def _edge(request: web.Request, handler: Handler) -> web.StreamResponse:
    request[_STARTED] = time.monotonic()
    desk = request.app[DESK]
    if not request.path.startswith("/_emulator/"):
        log_request(desk, request)
    try:
        if not _judges_itself(request):
            struck = _strike(desk, request)
            if struck is not None:
                return struck
        return await handler(request)
    except ApiError as error:
        return _error_response(error)
    except web.HTTPException as error:
        return _error_response(_as_api_error(error))
    except web.RequestPayloadError:
        return _error_response(invalid("Request body cannot be decoded."))
    except ConnectionError:
        # The peer left in the middle of its own request: nobody is there to answer.
        return web.Response()
    except Exception:  # noqa: BLE001 - the process edge: a bug must look like Google's 500
        traceback.print_exc(file=sys.stderr)
        return _error_response(
            ApiError(code=500, status="INTERNAL", message="Internal error encountered.")
        )


def _judges_itself(request: web.Request) -> bool:
    """Model calls pick their fault later, when prompt and project are known."""
    method = request.match_info.get("method", "")
    own = request.path.startswith("/_emulator/") or interactions.is_interaction(request)
    return own or method in _GENERATE


def _strike(desk: Desk, request: web.Request) -> web.StreamResponse | None:
    """Faults on the small calls: errors, resets and fixed answers."""
    sight = see(request, small=True)
    strike = desk.rules.before_body(sight) or desk.rules.pick(sight)
    if strike is None:
        return None
    case = strike.case(sight.model)
    if strike.fault.error is not None:
        raise strike.fault.error(case)
    delivery = strike.fault.delivery(case) if strike.fault.delivery is not None else None
    if delivery is not None and delivery.reset:
        desk.doors.strike(delivery.shut)
        return reset(request)
    if delivery is not None and delivery.canned is not None:
        return _response(outgoing_canned(delivery.canned))
    return None


def _response(outgoing: Outgoing) -> web.Response:
    body = b"".join(outgoing.body.pieces)
    return web.Response(status=outgoing.status, headers=dict(outgoing.headers), body=body)


def _error_response(error: ApiError) -> web.Response:
    return _response(outgoing_error(error))


def _as_api_error(error: web.HTTPException) -> ApiError:
    if error.status == 413:
        return ApiError(code=413, status="INVALID_ARGUMENT", message="Request Entity Too Large")
    if error.status in (404, 405):
        return not_found()
    return ApiError(code=error.status, status="UNKNOWN", message=error.reason)


async def _dress(request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(_HEADERS)
    spent = int(1000 * (time.monotonic() - request[_STARTED]))
    response.headers["server-timing"] = f"gfet4t7; dur={spent}"


async def _model_method(request: web.Request) -> web.StreamResponse:
    method = request.match_info["method"]
    desk = request.app[DESK]
    if method in _GENERATE:
        return await generate(desk, request)
    _admit(request)
    if method == "countTokens":
        return json_response(await catalogue.count_tokens(request))
    if method == "batchGenerateContent":
        raise unimplemented("batchGenerateContent")
    raise not_found()


_GENERATE = ("generateContent", "streamGenerateContent")


def _admit(request: web.Request) -> None:
    admit(api_key(request), request.app[DESK].settings.api_keys)


async def _list_models(request: web.Request) -> web.Response:
    _admit(request)
    return json_response(catalogue.list_models(request.query))


async def _get_model(request: web.Request) -> web.Response:
    _admit(request)
    info = request.match_info
    return json_response(catalogue.get_model(info["model"], info["version"]))


async def _later(request: web.Request) -> web.Response:
    _admit(request)
    raise unimplemented(request.path.split("/")[2])
