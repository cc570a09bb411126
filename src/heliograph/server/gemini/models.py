"""models.list and models.get: the live models of our catalogue in the API's own form.

Source: gemini-api.md 1.8. Invariant: only methods that this gateway answers are listed.
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from heliograph.errors import RecordNotFound
from heliograph.planning.catalogue import Model
from heliograph.planning.load import catalogue
from heliograph.server.gemini.envelope import bad, no_model
from heliograph.server.gemini.protojson import first, whole

T = TypeVar("T")
DEFAULT_PAGE, LARGEST_PAGE = 50, 1000
METHODS = ("generateContent", "countTokens")


def live(model: str, version: str, method: str) -> Model:
    """The row of a model that can be used today.

    Raises:
        ModelNotFound: there is none of this name; says what took its place.
    """
    row = catalogue().models.get(model)
    if row is None:
        raise no_model(model[:100], version, method)
    if row.status == "live":
        return row
    ended = f"It was shut down on {row.shut_down}." if row.shut_down else "It is not supported."
    hint = f"{ended} Use {row.replacement} instead." if row.replacement else ended
    raise no_model(model, version, method, hint)


def get_model(model: str, version: str) -> dict[str, Any]:
    """The entry of one model.

    Raises:
        RecordNotFound: there is none, or it is not live.
    """
    row = catalogue().models.get(model)
    if row is not None and row.status == "live":
        return sheet(row)
    hint = f"Use {row.replacement} instead." if row and row.replacement else None
    raise RecordNotFound(
        f"Model is not found: models/{model[:100]} for api version {version}", remedy=hint
    )


def list_models(query: Mapping[str, str]) -> dict[str, Any]:
    """One page of all live models."""
    rows, more = page(catalogue().live, query)
    return {"models": [sheet(row) for row in rows], **more}


def sheet(row: Model) -> dict[str, Any]:
    """A model's entry."""
    found: dict[str, Any] = {
        "name": f"models/{row.id}",
        "version": "3.0",
        "displayName": row.name,
        "description": f"{row.name}: images of {', '.join(row.can.sizes)}",
        "inputTokenLimit": row.can.input_tokens,
        "outputTokenLimit": row.can.output_tokens,
        "supportedGenerationMethods": list(METHODS),
        "temperature": 1,
        "topP": 0.95,
        "topK": 64,
        "maxTemperature": 1,
    }
    return found | ({"thinking": True} if row.can.thinking != "none" else {})


def page(rows: Sequence[T], query: Mapping[str, str]) -> tuple[Sequence[T], dict[str, str]]:
    """The rows that `pageSize` and `pageToken` ask for, and the next token when there is more.

    Only for rows that stay what they are: the token counts them.

    Raises:
        BadBody: they make no sense.
    """
    size = page_size(query)
    start = _offset(first(query, "pageToken", "page_token") or "")
    end = start + size
    more = {"nextPageToken": encoded(f"offset:{end}")} if end < len(rows) else {}
    return rows[start:end], more


def page_size(query: Mapping[str, str]) -> int:
    """How many rows are asked for.

    Raises:
        BadBody: it is no number.
    """
    wanted = first(query, "pageSize", "page_size") or "0"
    size = whole(wanted)
    if size is None:
        raise bad(f"Invalid value at 'page_size' (TYPE_INT32), \"{wanted[:20]}\"")
    return min(size or DEFAULT_PAGE, LARGEST_PAGE)


def encoded(text: str) -> str:
    """A page token with this in it."""
    return base64.urlsafe_b64encode(text.encode()).decode()


def decoded(token: str) -> str:
    """What a page token holds; nothing when it is none."""
    try:
        return base64.b64decode(token, altchars=b"-_", validate=True).decode()
    except (ValueError, binascii.Error):
        return ""


def _offset(token: str) -> int:
    if not token:
        return 0
    offset = whole(decoded(token).removeprefix("offset:"))
    if offset is None:
        raise bad("Invalid page token.")
    return offset
