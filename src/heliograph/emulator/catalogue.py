"""models.list, models.get and countTokens; invariant: only live ids exist (section 1.8, 2.8)."""

import base64
import binascii
from collections.abc import Sequence
from typing import Any, TypeVar

from aiohttp import web

from heliograph.emulator.asking import count_pictures, count_text
from heliograph.emulator.desk import DESK, log_body
from heliograph.emulator.envelope import invalid, not_found
from heliograph.emulator.faults.errors import model_not_found
from heliograph.emulator.models import MODELS
from heliograph.emulator.protojson import load, read, whole

_DEFAULT_PAGE = 50
_LARGEST_PAGE = 1000

T = TypeVar("T")


def list_models(query: Any) -> dict[str, Any]:
    """One page of models.list."""
    models, token = page(list(MODELS.values()), query)
    return {"models": [model.sheet() for model in models], **token}


def get_model(name: str, version: str) -> dict[str, Any]:
    """One model, or the 404 of an id that does not live."""
    if name not in MODELS:
        raise not_found(f"Model is not found: models/{name} for api version {version}")
    return MODELS[name].sheet()


async def count_tokens(request: web.Request) -> dict[str, Any]:
    """countTokens: the same counting as generateContent's prompt."""
    name, version = request.match_info["model"], request.match_info["version"]
    body = await request.read()
    aside = request.app[DESK].read_aside
    document = await aside(lambda: load(body))
    await aside(lambda: log_body(request, body, document))
    message = await aside(lambda: read(document, "CountTokensRequest", version=version))
    if name not in MODELS:
        raise model_not_found(name, version, "countTokens")
    inner = message.get("generate_content_request", message)
    contents = inner.get("contents", [])
    text = count_text(contents, inner.get("system_instruction"))
    pictures = count_pictures(contents) * MODELS[name].input_image_tokens
    details = [{"modality": "TEXT", "tokenCount": text}]
    if pictures:
        details.append({"modality": "IMAGE", "tokenCount": pictures})
    return {"totalTokens": text + pictures, "promptTokensDetails": details}


def page(rows: Sequence[T], query: Any) -> tuple[Sequence[T], dict[str, str]]:
    """The rows that pageSize and pageToken ask for, and the next token when there is more."""
    size = query.get("pageSize", query.get("page_size", ""))
    wanted = whole(size or "0")
    if wanted is None:
        raise invalid(f"Invalid value at 'page_size' (TYPE_INT32), \"{size}\"")
    limit = min(wanted or _DEFAULT_PAGE, _LARGEST_PAGE)
    start = _offset(query.get("pageToken", query.get("page_token", "")))
    end = start + limit
    more = {"nextPageToken": _token(end)} if end < len(rows) else {}
    return rows[start:end], more


def _token(offset: int) -> str:
    return base64.urlsafe_b64encode(f"offset:{offset}".encode()).decode()


def _offset(token: str) -> int:
    if not token:
        return 0
    try:
        offset = whole(base64.urlsafe_b64decode(token).decode().removeprefix("offset:"))
    except (ValueError, binascii.Error):
        offset = None
    if offset is None:
        raise invalid("Invalid page token.")
    return offset
