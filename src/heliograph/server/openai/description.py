"""The OpenAPI document of this face.

Invariant: it names every parameter that the readers know and no other (a test holds them
together), with the values that are taken.
"""

from typing import Any

from heliograph.server.openai.images import FORMATS, LONGEST_NAME, MOST
from heliograph.server.openai.shape import QUALITIES

Schema = dict[str, Any]
_PROMPT: Schema = {"type": "string", "minLength": 1, "example": "A lighthouse at dawn"}
_TEXT: Schema = {"type": "string"}
_FLAG: Schema = {"type": "boolean"}
_OBJECT: Schema = {"type": "object"}
_RATIO: Schema = {"type": "string", "example": "16:9"}


def _words(*known: str) -> Schema:
    return {"type": "string", "enum": list(known)}


def _whole(low: int, high: int) -> Schema:
    return {"type": "integer", "minimum": low, "maximum": high}


def _object(properties: dict[str, Schema], *required: str, closed: bool = True) -> Schema:
    found: Schema = {"type": "object", "properties": properties}
    if required:
        found["required"] = list(required)
    return {**found, "additionalProperties": False} if closed else found


_MODEL: Schema = {
    "type": "string",
    "description": "An id of GET models; also with models/ or google/ before it.",
    "example": "gemini-3-pro-image",
}
_SIZE: Schema = {
    "type": "string",
    "description": "WIDTHxHEIGHT, delivered exactly; 512, 1K, 2K or 4K; or auto.",
    "example": "3840x2160",
}
_IMAGE_CONFIG = _object({"aspect_ratio": _RATIO, "image_size": _words("512", "1K", "2K", "4K")})
_OURS = _object(
    {
        "strict": _FLAG,
        "fresh": _FLAG,
        "allow_downgrade": _FLAG,
        "include_thoughts": _FLAG,
        "protect": _FLAG,
        "feather": _whole(0, 256),
        "ground": _words("web", "images"),
        "thinking": _TEXT,
        "system": _TEXT,
        "tier": _words("standard", "flex", "priority"),
        "seed": _whole(-(2**31), 2**31 - 1),
        "temperature": {"type": "number", "minimum": 0, "maximum": 2},
        "top_p": {"type": "number", "minimum": 0, "maximum": 1},
        "tags": {"type": "array", "items": _TEXT},
        "fallback": {"type": "array", "items": _TEXT},
        "casts": {"type": "array", "items": _TEXT},
        "max_cost": {"type": "string", "description": "Dollars.", "example": "0.30"},
        "images": _words("parts", "markdown"),
    }
)
_COMMON: dict[str, Schema] = {
    "model": _MODEL,
    "size": _SIZE,
    "quality": _words(*QUALITIES),
    "moderation": _words("auto", "low"),
    "aspect_ratio": _RATIO,
    "image_config": _IMAGE_CONFIG,
    "modalities": {"type": "array", "items": _words("image", "text")},
    "generation_config": _OBJECT,
    "safety_settings": {"type": "array", "items": _OBJECT},
    "tools": {"type": "array", "items": _OBJECT},
    "extra_body": _object({"google": _OBJECT}),
    "heliograph": _OURS,
    "stream": _FLAG,
    "user": {"type": "string", "maxLength": LONGEST_NAME},
    "safety_identifier": {"type": "string", "maxLength": LONGEST_NAME},
}
_IMAGES: dict[str, Schema] = {
    "prompt": _PROMPT,
    **_COMMON,
    "n": _whole(1, MOST),
    "background": _words("auto", "opaque"),
    "output_format": _words(*FORMATS),
    "output_compression": _whole(0, 100),
    "response_format": _words("b64_json", "url"),
    "partial_images": _whole(0, 3),
}
_FILE: Schema = {"type": "string", "format": "binary"}
_EDIT_FORM: dict[str, Schema] = {
    **_IMAGES,
    "image": {"type": "array", "items": _FILE},
    "mask": {**_FILE, "description": "A PNG; what is transparent is changed."},
    "input_fidelity": _words("high"),
}
_INLINE = _object({"image_url": {"type": "string", "example": "data:image/png;base64,…"}})
_EDIT_JSON: dict[str, Schema] = {
    **_IMAGES,
    "images": {"type": "array", "items": _INLINE},
    "mask": _INLINE,
    "input_fidelity": _words("high"),
}
_CHAT: dict[str, Schema] = {
    **_COMMON,
    "messages": {
        "type": "array",
        "minItems": 1,
        "items": _object(
            {
                "role": _words("system", "developer", "user", "assistant"),
                "content": {"description": "Text, or parts of text and image_url."},
            },
            "role",
            closed=False,
        ),
        "example": [{"role": "user", "content": "A lighthouse at dawn"}],
    },
    "seed": _whole(-(2**31), 2**31 - 1),
    "temperature": {"type": "number", "minimum": 0, "maximum": 2},
    "top_p": {"type": "number", "minimum": 0, "maximum": 1},
    "reasoning_effort": _words("minimal", "low", "medium", "high"),
    "service_tier": _words("auto", "default", "flex", "priority"),
    "stream_options": _object({"include_usage": _FLAG}),
    "web_search_options": _object({}),
}
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
_MADE = _object(
    {
        "created": {"type": "integer"},
        "data": {"type": "array", "items": _OBJECT},
        "background": _TEXT,
        "output_format": _words(*FORMATS),
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
        "object": _words("chat.completion"),
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
        "object": _words("model"),
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


def description() -> dict[str, Any]:
    """The document, OpenAPI 3.1; its paths are below `/openai/v1`."""
    generation = {"application/json": {"schema": _object(_IMAGES, "prompt")}}
    edit = {
        "multipart/form-data": {"schema": _object(_EDIT_FORM, "prompt", "image")},
        "application/json": {"schema": _object(_EDIT_JSON, "prompt", "images")},
    }
    chat = {"application/json": {"schema": _object(_CHAT, "messages")}}
    models = _object({"object": _words("list"), "data": {"type": "array", "items": _MODEL_ROW}})
    name = {"name": "model", "in": "path", "required": True, "schema": _MODEL}
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
            "schemas": {"Error": _ERROR},
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
    answers["200"]["content"]["text/event-stream"] = {"schema": {"type": "string"}}
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
