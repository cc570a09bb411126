"""The routes of the Gemini face.

Invariant: a path means one thing: what is no name of a model, a method or a file is not there, and
no text of a client's becomes part of a path upstream.
"""

import re
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from heliograph.accounts import Scope
from heliograph.errors import HeliographError, RecordNotFound
from heliograph.server.gateway import Gateway
from heliograph.server.gemini import models
from heliograph.server.gemini.calling import Calling
from heliograph.server.gemini.envelope import (
    JSON,
    Unimplemented,
    dump,
    error_response,
    no_model,
)
from heliograph.server.gemini.files import FileStore
from heliograph.server.gemini.inbox import Inbox
from heliograph.server.gemini.interactions import Interactions
from heliograph.server.gemini.interactions.envelope import error_response as in_words
from heliograph.server.gemini.rendering import COPIES
from heliograph.server.gemini.uploads import Uploads
from heliograph.server.gemini.waiting import Errands
from heliograph.server.routes import guarded

Handler = Callable[[Request], Awaitable[Response]]
VERSIONS = ("v1", "v1beta")
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}", re.ASCII)
_TARGET = re.compile(r"([^:]+):([A-Za-z]{1,40})")


def routes(gateway: Gateway) -> list[BaseRoute]:
    """Everything of `/v1…` and `/v1beta…`, and uploads below `/upload`."""
    home = gateway.store.home / "server"
    inbox, errands = Inbox(home / "inbox"), Errands()
    files = FileStore(home / "uploaded")
    Inbox(gateway.store.home / COPIES).sweep()
    found: list[BaseRoute] = []
    for version in VERSIONS:
        uploads = Uploads(
            files, version, outside=gateway.settings.server_url, library=gateway.store.home
        )
        calling = Calling(gateway, version, inbox=inbox, uploads=uploads, errands=errands)
        talks = Interactions(gateway, version, inbox=inbox, uploads=uploads, errands=errands)
        found += _Face(version, calling, uploads, talks).routes()
    return found


class _Face:
    """One version of the API."""

    def __init__(
        self, version: str, calling: Calling, uploads: Uploads, talks: Interactions
    ) -> None:
        self._version = version
        self._calling = calling
        self._uploads = uploads
        self._talks = talks

    def routes(self) -> list[BaseRoute]:
        base, up, call = f"/{self._version}", self._uploads, self._calling
        model, file = f"{base}/models/{{model}}", f"{base}/files/{{file}}"
        make, look = Scope.GENERATE, Scope.READ
        table: list[tuple[str, str, Handler, Scope | None]] = [
            ("GET", f"{base}/models", self._list_models, look),
            ("GET", model, self._get_model, look),
            ("POST", f"{model}:generateContent", self._named(call.generate), make),
            ("POST", f"{model}:streamGenerateContent", self._named(call.stream), make),
            ("POST", f"{model}:countTokens", self._named(call.count), make),
            ("POST", f"{model}:batchGenerateContent", _no_batches, make),
            ("POST", model, self._no_method, make),
            ("GET", f"{base}/files", up.list, look),
            ("GET", file, up.get, look),
            ("DELETE", file, up.delete, make),
            # every step of an upload but its start comes without a key
            ("POST", f"{base}/files", up.take, None),
            ("POST", f"/upload{base}/files", up.take, None),
            ("PUT", f"/upload{base}/files", up.take, None),
            ("GET", f"{base}/batches", _no_batches, look),
            ("GET", f"{base}/batches/{{rest:path}}", _no_batches, look),
            ("POST", f"{base}/batches/{{rest:path}}", _no_batches, make),
            ("DELETE", f"{base}/batches/{{rest:path}}", _no_batches, make),
        ]
        talk = f"{base}/interactions/{{interaction}}"
        talks: list[tuple[str, str, Handler, Scope | None]] = [
            ("POST", f"{base}/interactions", self._talks.create, make),
            ("GET", talk, self._talks.get, look),
            ("POST", f"{talk}/cancel", self._talks.cancel, make),
            ("DELETE", talk, self._talks.delete, Scope.MANAGE),
        ]
        both = [(table, error_response), (talks, in_words)]
        return [
            guarded(path, _enveloped(handler, answer), methods=[method], scope=scope)
            for rows, answer in both
            for method, path, handler, scope in rows
        ]

    async def _list_models(self, request: Request) -> Response:
        return Response(dump(models.list_models(request.query_params)), media_type=JSON)

    async def _get_model(self, request: Request) -> Response:
        name = request.path_params["model"]
        if not _NAME.fullmatch(name):
            raise RecordNotFound("Requested entity was not found.")
        return Response(dump(models.get_model(name, self._version)), media_type=JSON)

    def _named(self, method: Callable[[Request, str], Awaitable[Response]]) -> Handler:
        """A handler that gets the model's name, if it can be one."""

        async def handler(request: Request) -> Response:
            model = request.path_params["model"]
            if not _NAME.fullmatch(model):
                raise no_model(_shown(model), self._version, request.url.path.rpartition(":")[2])
            return await method(request, model)

        return handler

    async def _no_method(self, request: Request) -> Response:
        parts = _TARGET.fullmatch(request.path_params["model"])
        if parts is None or not _NAME.fullmatch(parts[1]):
            raise RecordNotFound("Requested entity was not found.")
        raise no_model(parts[1], self._version, parts[2])


def _enveloped(handler: Handler, answer: Callable[[HeliographError, str], Response]) -> Handler:
    """The handler, its errors in one of Google's envelopes."""

    async def endpoint(request: Request) -> Response:
        try:
            return await handler(request)
        except HeliographError as error:
            return answer(error, request_id(request))

    return endpoint


def request_id(request: Request) -> str:
    """What names a request in the logs; chunks of an upload come without a caller."""
    caller = getattr(request.state, "caller", None)
    found = getattr(caller, "request_id", None) or getattr(request.state, "request_id", None)
    return found if isinstance(found, str) else ""


async def _no_batches(_request: Request) -> Response:
    raise Unimplemented(
        "Batches are not served by this gateway.",
        remedy="Send each request by itself, with serviceTier flex where it may wait: that costs "
        "the same.",
    )


def _shown(text: str) -> str:
    """A name that is none, safe to repeat."""
    return "".join(c if c.isprintable() else "?" for c in text)[:100]
