"""Reads request bodies: JSON only, strictly.

Invariant: a body reaches a route only as a document that `server.documents` lets through.
"""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

from heliograph.server.documents import JSON_TYPE, parse_json
from heliograph.server.faults import UnsupportedMedia


class ReadRequest(Request):
    """A request whose body is read already."""

    def __init__(self, request: Request, data: bytes, document: Any) -> None:
        super().__init__(request.scope, request.receive)
        self._data = data
        self._document = document

    async def body(self) -> bytes:
        return self._data

    async def json(self) -> Any:
        return self._document


class StrictRoute(APIRoute):
    """A route whose body is read strictly."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()
        if self.body_field is None:
            return handler

        async def strict(request: Request) -> Response:
            data = await request.body()
            document = read_json(data, request.headers.get("content-type")) if data else None
            return await handler(ReadRequest(request, data, document))

        return strict


def read_json(data: bytes, content_type: str | None) -> Any:
    """The document of a body that is in memory.

    Raises:
        UnsupportedMedia: its content type says something else, or nothing.
        Fault: it is no JSON, or none that is taken.
    """
    kind = (content_type or "").partition(";")[0].strip().lower()
    if not JSON_TYPE.fullmatch(kind):
        raise UnsupportedMedia(
            "The body is not taken in this form.",
            why="It must be JSON, and say so.",
            remedy="Send it with the header Content-Type: application/json.",
        )
    return parse_json(data)
