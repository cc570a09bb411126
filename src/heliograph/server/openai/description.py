"""The OpenAPI document of this face.

Invariant: it names no parameter that the readers do not know (a test holds them together), with
the values that are taken.
"""

from typing import Any

from heliograph.planning import DEFAULT_MODEL
from heliograph.planning.load import catalogue
from heliograph.server.openai import bodies
from heliograph.server.openai.bodies import Schema, words
from heliograph.server.openai.images import FORMATS

_TEXT: Schema = {"type": "string"}
_ID = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"
_OBJECT: Schema = {"type": "object"}


def _object(properties: dict[str, Schema], *required: str, closed: bool = True) -> Schema:
    found: Schema = {"type": "object", "properties": properties}
    if required:
        found["required"] = list(required)
    return {**found, "additionalProperties": False} if closed else found


_ERROR = _object(
    {
        "error": _object(
            {
                "message": _TEXT,
                "type": _TEXT,
                "param": {"type": ["string", "null"]},
                "code": _TEXT,
                "heliograph": _OBJECT,
            },
            *("message", "type", "param", "code"),
        )
    },
    "error",
)
_USAGE: Schema = _OBJECT
_EVENT = _object({"event": _TEXT, "data": _TEXT}, "data", closed=False)
_MADE = _object(
    {
        "created": {"type": "integer"},
        "data": {"type": "array", "items": _OBJECT},
        "background": _TEXT,
        "output_format": words(*FORMATS),
        "quality": _TEXT,
        "size": _TEXT,
        "usage": _USAGE,
        "heliograph": _OBJECT,
    },
    *("created", "data", "output_format", "size", "usage"),
    closed=False,
)
_ANSWERED = _object(
    {
        "id": _TEXT,
        "object": words("chat.completion"),
        "created": {"type": "integer"},
        "model": _TEXT,
        "choices": {"type": "array", "items": _OBJECT},
        "usage": _USAGE,
        "heliograph": _OBJECT,
    },
    *("id", "object", "created", "model", "choices", "usage"),
    closed=False,
)
_MODEL_ROW = _object(
    {
        "id": _TEXT,
        "object": words("model"),
        "created": {"type": "integer"},
        "owned_by": _TEXT,
        "shutdown_date": {"type": ["string", "null"]},
        "heliograph": _OBJECT,
    },
    *("id", "object", "created", "owned_by"),
)
_REFUSALS = (
    "400",
    "401",
    "403",
    "404",
    "405",
    "409",
    "413",
    "415",
    "422",
    "429",
    "502",
    "503",
    "504",
)


def description(model: str | None = None) -> dict[str, Any]:
    """The document, OpenAPI 3.1; its paths are below `/openai/v1`.

    Args:
        model: what a request without a model gets; None is the usual one.
    """
    default = model if model in {row.id for row in catalogue().live} else DEFAULT_MODEL
    schemas: dict[str, Schema] = {"Error": _ERROR}
    kinds = {
        "Generation": bodies.generation,
        "Edit": bodies.edit,
        "EditForm": bodies.form,
        "Chat": bodies.chat,
    }
    asked = {}
    for kind, one in kinds.items():
        named = {f"{kind}.{row}": body for row, body in bodies.for_each(one, default).items()}
        schemas |= named
        asked[kind] = {"anyOf": [{"$ref": f"#/components/schemas/{name}"} for name in named]}
    generation = {"application/json": {"schema": asked["Generation"]}}
    edit = {
        "multipart/form-data": {"schema": asked["EditForm"]},
        "application/json": {"schema": asked["Edit"]},
    }
    chat = {"application/json": {"schema": asked["Chat"]}}
    some: Schema = {"type": "string", "pattern": _ID, "example": default}
    models = _object({"object": words("list"), "data": {"type": "array", "items": _MODEL_ROW}})
    name = {"name": "model", "in": "path", "required": True, "schema": some}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Heliograph, OpenAI face",
            "version": "1",
            "description": "What OpenAI's SDKs send to make pictures, with Gemini's image models.",
        },
        "servers": [{"url": "/openai/v1"}],
        "security": [{"key": []}],
        "components": {
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
            "schemas": schemas,
        },
        "paths": {
            "/images/generations": {"post": _post("Make pictures", generation, _MADE)},
            "/images/edits": {"post": _post("Change pictures", edit, _MADE)},
            "/chat/completions": {"post": _post("Make a picture in a talk", chat, _ANSWERED)},
            "/models": {"get": {"summary": "List models", "responses": _answers(models)}},
            "/models/{model}": {
                "get": {
                    "summary": "One model",
                    "parameters": [name],
                    "responses": _answers(_MODEL_ROW),
                }
            },
        },
    }


def _post(summary: str, content: dict[str, Any], made: Schema) -> dict[str, Any]:
    key = {
        "name": "Idempotency-Key",
        "in": "header",
        "required": False,
        "schema": {"type": "string", "pattern": "^[\\x21-\\x7e]{1,255}$"},
        "description": "The same key gives the same picture and one charge.",
    }
    answers = _answers(made)
    answers["200"]["content"]["text/event-stream"] = {"schema": _EVENT}
    return {
        "summary": summary,
        "parameters": [key],
        "requestBody": {"required": True, "content": content},
        "responses": answers,
    }


def _answers(schema: Schema) -> dict[str, Any]:
    refused = {
        "description": "An error; code and param say which.",
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
    }
    good = {"description": "Done.", "content": {"application/json": {"schema": schema}}}
    return {"200": good, **dict.fromkeys(_REFUSALS, refused)}
