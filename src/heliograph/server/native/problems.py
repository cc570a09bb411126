"""Errors as problem details (RFC 9457).

Invariant: every answer that is no success of this face has this form, names the request, and says
whether anything was charged and whether sending it again can help; texts are ours alone.
"""

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from pydantic import Field
from starlette.exceptions import HTTPException
from starlette.routing import Match

from heliograph.errors import FinishError, HeliographError, InvalidRequest, Problem, StorageError
from heliograph.server.faults import (
    Fault,
    MethodNotAllowed,
    StorageLow,
    UnsupportedMedia,
    Verdict,
    verdict,
)
from heliograph.server.hardening import Internal
from heliograph.server.native.shapes.forms import WORDS
from heliograph.server.native.shapes.plain import Id, Told
from heliograph.server.ready import ready

MEDIA_TYPE = "application/problem+json"
SCHEMA = "Problem"  # its name among the document's schemas
INSUFFICIENT_STORAGE = 507
SHOWN = 80  # characters of a value that are repeated
_TITLES = {
    **{each.value: each.phrase for each in HTTPStatus},
    429: "Too many requests",
    507: "Insufficient storage",
}
_encode = json.JSONEncoder(ensure_ascii=False).encode


class WrongField(Told):
    """One thing that is wrong with a request."""

    field: str = Field(description="Which field, as the request spells it.")
    value: str = Field(description="What was given, shortened.")
    message: str = Field(description="What is wrong with it.")
    nearest: list[str] = Field(description="Valid values, nearest first.")


class ProblemDetails(Told):
    """An error, as RFC 9457 has it."""

    type: str = Field(description="A URN that names the kind of problem.")
    title: str = Field(description="The kind in words, the same for each of it.")
    status: int = Field(ge=400, le=599, description="The HTTP status.")
    detail: str = Field(description="What happened, why, and what to do.")
    instance: str = Field(description="A URN that names this occurrence.")
    code: str = Field(description="The kind for programs, such as `invalid_request`.")
    request_id: str = Field(description="Names this request in the gateway's logs.")
    charged: str = Field(
        description="Whether money was spent.", json_schema_extra={"enum": ["yes", "no", "unknown"]}
    )
    retry_after: float | None = Field(
        description="Seconds after which the same request can succeed, where that is known."
    )
    job: str | None = Field(description="The job that it belongs to, where there is one.")
    record: str | None = Field(description="The record that was kept, where there is one.")
    problems: list[WrongField] = Field(description="What is wrong, field by field.")


EXAMPLE = {
    "type": "urn:heliograph:problem:invalid_request",
    "title": "Bad Request",
    "status": 400,
    "detail": "The request has 1 problem. size='8K': is no size of gemini-3-pro-image. "
    "Change what is listed and try again; nothing was sent.",
    "instance": "urn:heliograph:request:6f0d7c2b9a4e4f1f8f5c1d2e3a4b5c6d",
    "code": "invalid_request",
    "request_id": "6f0d7c2b9a4e4f1f8f5c1d2e3a4b5c6d",
    "charged": "no",
    "retry_after": None,
    "job": None,
    "record": None,
    "problems": [
        {"field": "size", "value": "8K", "message": "is no size.", "nearest": ["4K", "2K"]}
    ],
}


def status_of(error: HeliographError) -> int:
    """The HTTP status of an error on this face."""
    return _status(error, verdict(error))


def _status(error: HeliographError, found: Verdict) -> int:
    return INSUFFICIENT_STORAGE if isinstance(error, StorageLow) else found.status


def details(error: HeliographError, request_id: str) -> dict[str, Any]:
    """An error as the document that is sent."""
    return _details(error, request_id, verdict(error))


def _details(error: HeliographError, request_id: str, found: Verdict) -> dict[str, Any]:
    status = _status(error, found)
    job = error.facts.get("job")
    return {
        "type": f"urn:heliograph:problem:{found.code}",
        "title": _TITLES[status],
        "status": status,
        "detail": _detail(error, status),
        "instance": f"urn:heliograph:request:{request_id}",
        "code": found.code,
        "request_id": request_id,
        "charged": error.charged.value,
        "retry_after": found.retry_after,
        "job": job if isinstance(job, str) else None,
        "record": error.record_id,
        "problems": [
            {
                "field": each.get("field", ""),
                "value": str(each.get("value", ""))[:SHOWN],
                "message": each.get("message", ""),
                "nearest": list(each.get("nearest", ())),
            }
            for each in error.facts.get("problems", ())
        ],
    }


def _detail(error: HeliographError, status: int) -> str:
    # why a disk or a database refuses names places of this machine, and a decoder its parts
    is_ours = isinstance(error, FinishError) or (isinstance(error, StorageError) and status >= 500)
    return error.what if is_ours else str(error)


def error_response(
    error: HeliographError, request_id: str, headers: Mapping[str, str] | None = None
) -> Response:
    """An error as this face's answer."""
    return _written(error, request_id, headers) if headers else ready(error, request_id, _written)


def _written(
    error: HeliographError, request_id: str, headers: Mapping[str, str] | None = None
) -> Response:
    found = verdict(error)
    body = _details(error, request_id, found)
    # prompts and field values may be any text
    data = _encode(body).encode("utf-8", "replace")
    sent = {**found.headers, **(headers or {}), "cache-control": "no-store"}
    return Response(data, status_code=body["status"], media_type=MEDIA_TYPE, headers=sent)


# ---------------------------------------------------------------- handlers


def request_id_of(request: Request) -> str:
    """What names a request in logs; empty before anybody has named it."""
    caller = getattr(request.state, "caller", None)
    found = getattr(caller, "request_id", None) or getattr(request.state, "request_id", None)
    return found if isinstance(found, str) else ""


async def on_error(request: Request, error: Exception) -> Response:
    """Answer for one of our own errors."""
    if not isinstance(error, HeliographError):
        raise error
    return error_response(error, request_id_of(request))


async def on_invalid(request: Request, error: Exception) -> Response:
    """Answer for a request that does not have its route's form."""
    if not isinstance(error, RequestValidationError):
        raise error
    found = error.errors()
    if any(each["loc"][:1] == ("path",) for each in found):
        # an id that cannot be one names nothing
        return error_response(_nothing(), request_id_of(request))
    wrong = wrong_fields(found, _fields(request))
    return error_response(InvalidRequest(wrong), request_id_of(request))


async def on_http(request: Request, error: Exception) -> Response:
    """Answer for what routing refuses."""
    if not isinstance(error, HTTPException):
        raise error
    headers = dict(error.headers or {})
    refused: Fault
    match error.status_code:
        case 404:
            refused = _nothing()
        case 405:
            headers = {"allow": ", ".join(_allowed(request))}
            refused = MethodNotAllowed(
                f"{request.method} is not taken here.",
                remedy=f"This path takes {headers['allow']}.",
            )
        case 415:
            refused = UnsupportedMedia("The body is not taken in this form.")
        case _:
            refused = Fault("The request cannot be read.")
    return error_response(refused, request_id_of(request), headers)


def _allowed(request: Request) -> list[str]:
    """All methods of a path; each of its routes knows only its own."""
    found: set[str] = set()
    for route in iter_route_contexts(request.app.routes):
        matches = getattr(route.original_route, "matches", None)
        if matches is not None and matches(request.scope)[0] is not Match.NONE:
            found |= route.methods or set()
    return sorted(found)


async def on_broken(request: Request, error: Exception) -> Response:
    """Answer for what is our own mistake; the log has its reason."""
    del error
    what = Internal("Something broke here.", remedy="Tell the operator the id of this request.")
    return error_response(what, request_id_of(request))


class _Nothing(Fault):
    status = 404
    code = "not_found"


def _nothing() -> Fault:
    return _Nothing("There is nothing here.", remedy="Look at the path and the id in it.")


def _fields(request: Request) -> Sequence[str]:
    """What the body of a request may hold at its top."""
    body = getattr(request.scope.get("route"), "body_field", None)
    shape = getattr(getattr(body, "field_info", None), "annotation", None)
    return tuple(getattr(shape, "model_fields", ()))


def wrong_fields(found: Sequence[Mapping[str, Any]], known: Sequence[str] = ()) -> list[Problem]:
    """What a form's check has found, in our words.

    Args:
        known: names that the body may have.
    """
    problems = {}
    for each in found:
        place = [str(part) for part in each["loc"]]
        where = ".".join(place[1:]) or place[0]
        given = each.get("input")
        said = given if isinstance(given, str) else json.dumps(given, default=lambda _: "…")
        message = str(each["msg"]).removeprefix("Value error, ").rstrip(".")
        if each.get("type") == "extra_forbidden":
            message = "is no field that is known here"
            if known and len(place) == 2:
                message += f"; those are {', '.join(known)}"
        wrong, right = WORDS.get(each.get("ctx", {}).get("pattern"), (f"{message}.", ()))
        problems[where, wrong] = Problem(
            field=where[:SHOWN], value=said[:SHOWN], message=wrong, nearest=right
        )
    return list(problems.values())


__all__ = ["EXAMPLE", "MEDIA_TYPE", "SCHEMA", "Id", "ProblemDetails", "error_response"]
