"""A plan as a request to the Interactions API, and the requests that ask for its answer.

Pure. Field names and values are those of google-genai 3.4.0 (`CreateModelInteraction`). Invariant:
whatever generateContent would be sent is sent, or refused by name; an address that the upstream
gives is only followed on the upstream itself.
"""

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit

from heliograph.errors import Charged, InvalidRequest, Problem, ProtocolError
from heliograph.providers.interaction import Link
from heliograph.providers.wire import WireRequest
from heliograph.types import Plan, Reference

TIERS = ("standard", "flex", "priority")
CATEGORIES = frozenset(
    {
        "hate_speech",
        "dangerous_content",
        "harassment",
        "sexually_explicit",
        "civic_integrity",
        "jailbreak",
        "image_hate",
        "image_dangerous_content",
        "image_harassment",
        "image_sexually_explicit",
    }
)
_FILE = re.compile(r"/v\d+[a-z0-9]*(/files/[A-Za-z0-9_-]{1,128}(?::download)?)\Z")


def unsupported(plan: Plan) -> list[Problem]:
    """What a plan asks for and interactions cannot carry; empty when it can be sent."""
    problems = []
    if plan.request.stream:
        message = "is not for interactions: their answers are asked for, not streamed."
        problems.append(Problem(field="stream", value="true", message=message))
    if plan.tier not in TIERS:
        message = "is no tier of interactions."
        problems.append(Problem(field="tier", value=plan.tier, message=message, nearest=TIERS))
    for category in plan.request.safety:
        if _category(category) not in CATEGORIES:
            message = "is no harm category of interactions."
            problems.append(Problem(field="safety", value=category, message=message))
    return problems


def encode(plan: Plan, *, background: bool = True, delivery: str = "inline") -> WireRequest:
    """The HTTP request that submits a plan.

    Raises:
        InvalidRequest: interactions have no field for something in it; see `unsupported`.
    """
    problems = unsupported(plan)
    if problems:
        raise InvalidRequest(problems)
    request = plan.request
    config = {
        "temperature": request.temperature,
        "top_p": request.top_p,
        "seed": request.seed,
        "thinking_level": plan.thinking.lower() if plan.thinking else None,
        "thinking_summaries": "auto" if request.include_thoughts else None,
    }
    body: dict[str, Any] = {
        "system_instruction": request.system or None,
        "safety_settings": [
            {"type": _category(category), "threshold": threshold.lower()}
            for category, threshold in request.safety.items()
        ],
        "tools": [_search(plan.ground)] if plan.ground else None,
        "service_tier": plan.tier if plan.tier != "standard" else None,
        "generation_config": {k: v for k, v in config.items() if v is not None},
        "response_format": _format(plan, delivery),
        "background": background or None,
        "store": True,
    }
    return WireRequest(
        path="/interactions",
        query="",
        headers={"content-type": "application/json"},
        body=_segments({k: v for k, v in body.items() if v not in (None, [], {})}, plan),
    )


def _format(plan: Plan, delivery: str) -> dict[str, Any]:
    fields = {
        "type": "image",
        "aspect_ratio": plan.aspect,
        "image_size": plan.size,
        # inline is what happens without it, and Google's image models refuse the field itself
        "delivery": delivery if delivery != "inline" else None,
    }
    return {k: v for k, v in fields.items() if v is not None}


def _search(kind: str) -> dict[str, Any]:
    if kind == "web":
        return {"type": "google_search"}
    return {"type": "google_search", "search_types": ["web_search", "image_search"]}


def _category(name: str) -> str:
    return name.removeprefix("HARM_CATEGORY_").lower()


def _segments(body: Mapping[str, Any], plan: Plan) -> tuple[bytes | Reference, ...]:
    """The body in pieces: JSON text, and between it the references to encode while sending."""
    text = _json({"type": "text", "text": plan.request.prompt})
    opening = f'{{"model":{_json(plan.model)},"input":[{text}'
    segments: list[bytes | Reference] = []
    for reference in plan.references:
        media_type = _json(reference.media_type)
        opening += f',{{"type":"image","mime_type":{media_type},"data":"'
        segments += [opening.encode(), reference]
        opening = '"}'
    # the rest of the body goes on inside the same object
    segments.append(f"{opening}],{_json(body)[1:]}".encode())
    return tuple(segments)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def asking(remote: str) -> WireRequest:
    """The request for an interaction as it is now."""
    path = f"/interactions/{quote(remote, safe='')}"
    return WireRequest(path=path, query="", headers={}, body=(), method="GET")


def fetching(link: Link, upstream: str) -> WireRequest:
    """The request for a picture's bytes, which goes to our own upstream or nowhere.

    Args:
        upstream: host and port of the upstream.

    Raises:
        ProtocolError: the picture is said to lie elsewhere.
    """
    try:
        parts = urlsplit(link.uri)
    except ValueError:
        parts = urlsplit("")
    found = _FILE.search(parts.path)
    if parts.scheme not in ("http", "https") or not found or _host(parts.netloc) != _host(upstream):
        raise ProtocolError(
            "The upstream names a picture at an address that is not its own.",
            why=f"It is {link.uri[:200]!r}; the key goes to {upstream} only.",
            remedy="Check any proxy on the way. The picture was made and may be charged.",
            charged=Charged.YES,
        )
    path = found[1] if found[1].endswith(":download") else f"{found[1]}:download"
    return WireRequest(path=path, query="alt=media", headers={}, body=(), method="GET")


def _host(netloc: str) -> str:
    return re.sub(r":(80|443)$", "", netloc.lower())
