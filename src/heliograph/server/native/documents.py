"""The OpenAPI document of this face.

Invariant: every answer that a route can give stands in it, errors with their own media type.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from heliograph.server.native import alternatives
from heliograph.server.native.problems import EXAMPLE, MEDIA_TYPE, ProblemDetails

ABOUT = """\
Makes, keeps and finds verified images.

Keys: send yours as `Authorization: Bearer helio_live_…` or in `x-api-key`. Money is whole
micro-dollars (1,000,000 are $1), beside it the same in dollars for people. Times are RFC 3339.
Errors are problem details (RFC 9457); each says whether anything was charged. Ids are whole; what
belongs to somebody else is not there. Lists are read page by page with `cursor`. Unknown fields
are refused.
"""
REFERENCE = "#/components/schemas/{model}"
# what any route may answer besides its own
ALWAYS = (400, 401, 403, 429, 503)
WITH_BODY = (413, 415)
# fields of which the alternatives say everything
_DECIDED = {"model", "size", "aspect", "pixels", "use", "thinking", "ground", "tier"}
_METHODS = ("get", "put", "post", "delete", "patch")
_WORDS = {
    400: "The request is wrong; `problems` says where.",
    401: "No good key.",
    403: "The key may not do this.",
    404: "There is no such thing, or it is somebody else's.",
    409: "It is not in a state for that.",
    413: "More bytes than are taken.",
    415: "A media type that is not taken.",
    422: "The idempotency key belongs to another request, or the upstream drew nothing.",
    429: "Too fast, or a budget has not enough left.",
    502: "The upstream answered with nothing usable.",
    503: "No place now; `Retry-After` says when to come back.",
    504: "The upstream gave no answer in time; it may have been charged.",
    507: "Too little space for what a call may bring.",
}
_RETRY = {
    "Retry-After": {
        "description": "Seconds after which the same request can succeed.",
        "schema": {"type": "string", "pattern": "^[0-9]+$"},
    }
}


def fails(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What a route answers when it refuses, for its `responses`."""
    return {status: _failure(status) for status in statuses}


def _failure(status: int) -> dict[str, Any]:
    schema = {"$ref": REFERENCE.format(model=ProblemDetails.__name__)}
    found: dict[str, Any] = {
        "description": _WORDS.get(status) or HTTPStatus(status).phrase,
        "content": {MEDIA_TYPE: {"schema": schema}},
    }
    if status == 400:
        found["content"][MEDIA_TYPE]["example"] = EXAMPLE
    if status in (429, 503):
        found["headers"] = _RETRY
    return found


def document(app: FastAPI, *, model: str | None = None) -> dict[str, Any]:
    """The whole document.

    Args:
        model: what a request without a model gets; None is the usual one.
    """
    made = get_openapi(
        title=app.title,
        version=app.version,
        openapi_version=app.openapi_version,
        description=ABOUT,
        routes=app.routes,
        tags=app.openapi_tags,
        servers=app.servers,
    )
    parts = made.setdefault("components", {})
    schemas = parts.setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    problem = ProblemDetails.model_json_schema(ref_template=REFERENCE)
    schemas |= problem.pop("$defs", {})
    schemas[ProblemDetails.__name__] = problem
    _say_alternatives(schemas, model)
    parts["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer", "description": "A key of this gateway."},
    }
    # `x-api-key` is taken, too; two different keys at once are refused, so one way is named
    made["security"] = [{"bearer": []}]
    for path in made["paths"].values():
        for method in _METHODS:
            if method in path:
                _complete(path[method])
    return made


def _say_alternatives(schemas: dict[str, Any], model: str | None) -> None:
    """What goes together, beside what each field may be by itself."""
    for name, ways in (
        ("Wanted", alternatives.wanted(default=model, batch=True)),
        ("JobWanted", alternatives.wanted(default=model, batch=False)),
        ("TurnWanted", alternatives.turn()),
        ("SessionWanted", alternatives.beginning(default=model)),
        ("ExportWanted", alternatives.export(default=model)),
    ):
        schema = schemas[name]
        for field in {each for way in ways for each in way["properties"]} & _DECIDED:
            # the alternatives say which; here is what it is for
            own = schema["properties"][field]
            said = own.get("anyOf", [{}])[0] | own
            kept = {key: said[key] for key in ("title", "description", "examples") if key in said}
            schema["properties"][field] = {"type": ["string", "null"], **kept}
        schema["anyOf"] = ways


def _complete(operation: dict[str, Any]) -> None:
    answers: dict[str, Any] = operation["responses"]
    # what FastAPI says of its own checks is not how we answer
    said: Mapping[str, Any] = answers.get("422", {})
    if MEDIA_TYPE not in said.get("content", {}):
        answers.pop("422", None)
    for status in (*ALWAYS, *(WITH_BODY if "requestBody" in operation else ())):
        answers.setdefault(str(status), _failure(status))
    in_path = any(each["in"] == "path" for each in operation.get("parameters", ()))
    if in_path:
        answers.setdefault("404", _failure(404))
    operation["responses"] = dict(sorted(answers.items()))
