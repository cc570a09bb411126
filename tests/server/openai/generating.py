"""Teaches schemathesis the formats of the OpenAI face's document, and what no schema can say.

As `tests/server/native/generating.py`: members of a body that fits the document are brought to
agreement with each other (what is said in two places is said alike, a talk ends with the user);
no check is changed, and what does not fit the document is sent as it is.
"""

import base64
from collections.abc import Iterator
from typing import Any

import schemathesis
from hypothesis import strategies as st
from tests.server.native.generating import MASKS, PICTURES

PNG = "data:image/png;base64,"
ENOUGH = "10"  # dollars; no single picture costs as much
# the same setting in all the places where it can stand
PLACES = {
    "aspect": ("aspect_ratio", "aspectRatio"),
    "size": ("size", "image_size"),
    "thinking": ("thinking", "thinking_level", "reasoning_effort"),
    "tier": ("tier", "service_tier"),
    "ground": ("ground", "tools", "web_search_options"),
    "safety": ("safety_settings", "moderation"),
    **{name: (name,) for name in ("seed", "temperature", "top_p", "include_thoughts")},
}
# objects in which they stand
WITHIN = (
    *("image_config", "generation_config", "thinking_config", "extra_body", "google"),
    "heliograph",
)

schemathesis.openapi.format("picture-url", st.sampled_from([PNG + each for each in PICTURES]))
schemathesis.openapi.format("mask-url", st.sampled_from([PNG + each for each in MASKS]))
schemathesis.openapi.format(
    "picture-file", st.sampled_from([base64.b64decode(each) for each in PICTURES])
)
schemathesis.openapi.format(
    "mask-file", st.sampled_from([base64.b64decode(each) for each in MASKS])
)


def agree(body: dict[str, Any]) -> None:
    """Brings the members of a body to agreement."""
    for names in PLACES.values():
        for place, name in list(_said(body, names))[1:]:
            del place[name]
    if "image" in body:
        _answer(body)
    exact = "x" in str(body.get("size") or "")
    if exact:
        for place, name in list(_said(body, PLACES["aspect"])):
            del place[name]
        if body.get("response_format") == "url":
            del body["response_format"]  # links lead to some exact sizes only
    if body.get("mask") is not None:
        for name in ("image", "images"):
            if name in body:
                body[name] = body[name][:12]
    own = body.get("heliograph")
    if isinstance(own, dict):
        _own(own, body)
    if "messages" in body:
        body["messages"].append({"role": "user", "content": "a lake"})
    for place, name in _said(body, ("safety_settings",)):
        place[name] = list({each["category"]: each for each in place[name]}.values())


def _answer(body: dict[str, Any]) -> None:
    """What the document says of a JSON body, and not of a form."""
    if body.get("response_format") == "url":
        for name in ("stream", "partial_images", "output_compression"):
            body.pop(name, None)
    if not body.get("stream"):
        body.pop("partial_images", None)
    if body.get("output_format") == "png":
        body.pop("output_compression", None)
    if body.get("size") in (None, "auto"):
        body.pop("quality", None)  # it may stand for a tier that the model lacks


def _own(own: dict[str, Any], body: dict[str, Any]) -> None:
    if own.get("max_cost") is not None:
        own["max_cost"] = ENOUGH
    if body.get("mask") is None:
        own.pop("protect", None)
        own.pop("feather", None)
    if own.get("protect"):
        body.pop("output_format", None)
        for names in (PLACES["aspect"], PLACES["size"]):
            for place, name in list(_said(body, names)):
                del place[name]
    if own.get("fallback"):
        # a fallback can make the same picture
        particular = ("aspect", "size", "thinking", "tier", "ground")
        is_plain = not any(any(_said(body, PLACES[name])) for name in particular)
        is_plain = is_plain and not body.get("quality") and body.get("mask") is None
        own["fallback"] = list(dict.fromkeys(own["fallback"])) if is_plain else []
        own["allow_downgrade"] = True


def _said(place: dict[str, Any], names: tuple[str, ...]) -> Iterator[tuple[dict[str, Any], str]]:
    """Where a setting is said, outside first."""
    for name in names:
        if place.get(name) is not None:
            yield place, name
    for name in WITHIN:
        if isinstance(place.get(name), dict):
            yield from _said(place[name], names)
