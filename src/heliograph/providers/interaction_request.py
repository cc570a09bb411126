"""A plan as a request to the Interactions API, and the requests that ask for its answer.

Pure. Field names and values are those of google-genai 3.4.0 (`CreateModelInteraction`). Invariant:
whatever generateContent would be sent is sent, or refused by name; an address that the upstream
gives is only followed on the upstream itself.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlsplit

from heliograph.errors import Charged, InvalidRequest, Problem, ProtocolError
from heliograph.providers.interaction import Link
from heliograph.providers.talk import NO_LINKS, Content, asked, contents, dumps, joined
from heliograph.providers.wire import Segment, WireRequest
from heliograph.types import Part, Plan, Signature

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


def encode(
    plan: Plan,
    *,
    background: bool = True,
    delivery: str = "inline",
    links: Mapping[str, str] = NO_LINKS,
    follows: str | None = None,
) -> WireRequest:
    """The HTTP request that submits a plan.

    Args:
        links: address of an uploaded picture by its SHA-256; what has none is sent inline.
        follows: id of the interaction that ends the plan's history; the history is then left out,
            for the upstream has it.

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
        "previous_interaction_id": follows,
    }
    fields = {k: v for k, v in body.items() if v not in (None, [], {})}
    return WireRequest(
        path="/interactions",
        query="",
        headers={"content-type": "application/json"},
        body=joined(_segments(fields, plan, links, is_alone=follows is not None)),
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


def _segments(
    body: Mapping[str, Any], plan: Plan, links: Mapping[str, str], *, is_alone: bool
) -> Iterator[Segment]:
    """The body in pieces: JSON text, and between it the files to read while sending."""
    yield f'{{"model":{dumps(plan.model)},"input":['.encode()
    if is_alone or not plan.history:
        yield from _contents(asked(plan), links)
    else:
        yield from _steps(contents(plan), links)
    # the rest of the body goes on inside the same object
    yield f"],{dumps(body)[1:]}".encode()


def _steps(talk: Sequence[Content], links: Mapping[str, str]) -> Iterator[Segment]:
    before = b""
    for content in talk:
        is_users = content.role == "user"
        for signature, parts in [(None, content.parts)] if is_users else _thoughts(content.parts):
            if signature is not None:
                yield before + b'{"type":"thought","signature":"'
                yield signature
                yield b'"}'
                before = b","
            if parts:
                yield (
                    before + f'{{"type":"{"user_input" if is_users else "model_output"}",'.encode()
                )
                yield b'"content":['
                yield from _contents(parts, links if is_users else NO_LINKS)
                yield b"]}"
                before = b","


def _thoughts(parts: Sequence[Part]) -> Iterator[tuple[Signature | None, tuple[Part, ...]]]:
    """A model's turn, cut before each signature: here it sits on the thought that led there."""
    signature: Signature | None = None
    led_to: list[Part] = []
    for part in parts:
        if part.signature is not None:
            if signature is not None or led_to:
                yield signature, tuple(led_to)
            signature, led_to = part.signature, []
        if part.text or part.image is not None:
            led_to.append(part)
    yield signature, tuple(led_to)


def _contents(parts: Sequence[Part], links: Mapping[str, str]) -> Iterator[Segment]:
    before = ""
    for part in parts:
        image = part.image
        if image is None:
            yield (before + dumps({"type": "text", "text": part.text or ""})).encode()
        elif image.sha256 in links:
            uri = {"uri": links[image.sha256]}
            yield (before + dumps({"type": "image", "mime_type": image.media_type, **uri})).encode()
        else:
            media_type = dumps(image.media_type)
            yield f'{before}{{"type":"image","mime_type":{media_type},"data":"'.encode()
            yield image
            yield b'"}'
        before = ","


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
