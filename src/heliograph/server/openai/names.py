"""Models by the names that OpenAI clients use for them, and the list of them.

Invariant: a name leads to one model or to a 404 that names ours; no name of another provider's
model is ever taken for one of ours.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import Any

from heliograph.planning import nearest, normalise
from heliograph.planning.catalogue import Model
from heliograph.planning.load import catalogue
from heliograph.planning.price import image_price
from heliograph.server.headers import usd
from heliograph.server.openai.failures import ModelNotFound

PREFIXES = ("models/", "google/", "gemini/")  # as Google, OpenRouter and LiteLLM write them


def model_of(asked: str | None, default: str) -> Model:
    """The catalogue's row for a name; the default one for none.

    Raises:
        ModelNotFound: it is no model of ours, or was shut down.
    """
    facts = catalogue()
    name = normalise.word(asked) if asked is not None else default
    for prefix in PREFIXES:
        name = name.removeprefix(prefix)
    row = facts.models.get(name) or _by_display_name().get(name)
    if row is None:
        shown = (asked or default)[:80]
        raise ModelNotFound(
            f"The model {shown.encode('utf-8', 'replace').decode()!r} is not served here.",
            why=f"This gateway makes pictures with {_ours()}.",
            remedy=f"Ask for {near}." if (near := _nearest(shown)) else None,
            facts={"field": "model"},
        )
    if row.status == "retired":
        after = f"Use {row.replacement} instead." if row.replacement else None
        raise ModelNotFound(
            f"The model {row.id} was shut down on {row.shut_down}.",
            remedy=after or f"Use one of {_ours()}.",
            facts={"field": "model"},
        )
    return row


@cache
def _by_display_name() -> Mapping[str, Model]:
    """The live models by their display names, where no other live one is called so."""
    words = [(normalise.word(row.name), row) for row in catalogue().live]
    names = [name for name, _ in words]
    return {name: row for name, row in words if names.count(name) == 1}


@lru_cache(maxsize=256)  # who asks for a wrong name asks for it again and again
def _nearest(asked: str) -> str | None:
    near = nearest.names(asked, [row.id for row in catalogue().live])
    return near[0] if near else None


@cache
def _ours() -> str:
    return ", ".join(row.id for row in catalogue().live)


def model_list() -> dict[str, Any]:
    """The live models, in the shape of OpenAI's list."""
    return {"object": "list", "data": [model_document(row) for row in catalogue().live]}


def model_document(row: Model) -> dict[str, Any]:
    """One model in OpenAI's shape, what it can do under `heliograph`."""
    facts = catalogue()
    prices = facts.price(row.id)
    rates = prices.rates("standard") if prices else None
    return {
        "id": row.id,
        "object": "model",
        "created": _seconds(row.released),
        "owned_by": "google",
        "shutdown_date": row.shut_down.isoformat() if row.shut_down else None,
        "heliograph": {
            "name": row.name,
            "sizes": list(row.can.sizes),
            "aspect_ratios": list(row.can.ratios),
            "pixels": {
                size: {ratio: str(facts.expected(row, size, ratio)) for ratio in row.can.ratios}
                for size in row.can.sizes
            },
            "usd_per_image": {size: usd(image_price(row, size, rates)) for size in row.can.sizes}
            if rates
            else None,
            "priced_on": prices.checked.isoformat() if prices else None,
            "input_images": row.can.references,
            "thinking": list(row.can.thinking_levels),
            "grounding": list(row.can.grounding),
        },
    }


def _seconds(released: str) -> int:
    """The day of a release, as exactly as it is known, in seconds since 1970."""
    year, month, day = (*released.split("-"), "1", "1")[:3]
    return int(datetime(int(year), int(month), int(day), tzinfo=UTC).timestamp())
