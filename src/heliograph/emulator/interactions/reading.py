"""From the JSON of a create call to a Wish; invariant: what is not understood is refused.

Fields and literals: SDK 3.4.0 `createmodelinteraction.py`. What the SDK has and the emulator does
not is a 400 whose reason is in the `x-emu-note` header, never ignored.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from heliograph.emulator.envelope import invalid
from heliograph.emulator.interactions.refusing import misshapen, unsupported
from heliograph.emulator.models import FOURTEEN_RATIOS

_KINDS: Mapping[str, type | tuple[type, ...]] = {
    "model": str,
    "input": (str, list, dict),
    "background": bool,
    "store": bool,
    "stream": bool,
    "previous_interaction_id": str,
    "system_instruction": str,
    "generation_config": dict,
    "response_format": (dict, list),
    "response_modalities": list,
    "response_mime_type": str,
    "service_tier": str,
    "tools": list,
    "labels": dict,
    "safety_settings": list,
}
_NOT_SERVED = {
    "agent",
    "agent_config",
    "cached_content",
    "continuation_token",
    "environment",
    "webhook_config",
}
_CONFIG_KINDS: Mapping[str, type | tuple[type, ...]] = {
    "image_config": dict,
    "max_output_tokens": int,
    "seed": int,
    "stop_sequences": list,
    "temperature": (int, float),
    "thinking_level": str,
    "thinking_summaries": str,
    "tool_choice": (str, dict),
    "top_p": (int, float),
}
_FORMAT_KINDS: Mapping[str, type | tuple[type, ...]] = {
    "type": str,
    "aspect_ratio": str,
    "image_size": str,
    "mime_type": str,
    "delivery": str,
}
_LEVELS = ("minimal", "low", "medium", "high", "xhigh")
_MODALITIES = ("text", "image", "audio", "video", "document")
_TIERS = ("flex", "standard", "priority", "deferred")
_FORMATS = ("text", "audio", "image", "video")
_RATIOS = (*FOURTEEN_RATIOS[:10], "1:8", "8:1", "1:4", "4:1")
_SIZES = ("512", "1K", "2K", "4K")
_SEARCHES = ("web_search", "image_search", "enterprise_web_search")


@dataclass(frozen=True, kw_only=True)
class Wish:
    """One understood create call."""

    model: str
    input: Any
    """As it came: a text, a content, a list of contents or a list of steps."""
    message: dict[str, Any]
    """The rest as a GenerateContentRequest without contents."""
    previous: str
    background: bool
    store: bool
    stream: bool
    by_uri: bool
    """Whether pictures are named by a URI, in place of their base64."""


def read_wish(document: Any) -> Wish:
    """Understand a create call, or raise the 400 that says what is wrong."""
    body = _object(document, _KINDS, "")
    for name in ("model", "input"):
        if not body.get(name):
            raise invalid(note=f"{name} is missing")
    if body.get("response_mime_type"):
        raise invalid(note="response_mime_type is deprecated and not served; use response_format")
    wish = Wish(
        model=body["model"],
        input=body["input"],
        message=_message(body),
        previous=body.get("previous_interaction_id", ""),
        background=body.get("background", False),
        store=body.get("store", True),
        stream=body.get("stream", False),
        by_uri=_image_format(body).get("delivery") == "uri",
    )
    if wish.background and not wish.store:
        raise invalid(note="background needs store: an answer that is not kept cannot be fetched")
    if wish.background and wish.stream:
        raise invalid(note="streams of background interactions are not emulated")
    return wish


def _message(body: dict[str, Any]) -> dict[str, Any]:
    message: dict[str, Any] = {"generation_config": _config(body)}
    if "system_instruction" in body:
        message["system_instruction"] = {"parts": [{"text": body["system_instruction"]}]}
    if "service_tier" in body:
        message["service_tier"] = _one_of(body["service_tier"], "service_tier", _TIERS).upper()
    message["tools"] = [_tool(tool, f"tools[{i}]") for i, tool in enumerate(body.get("tools", ()))]
    return message


def _config(body: dict[str, Any]) -> dict[str, Any]:
    given = _object(body.get("generation_config", {}), _CONFIG_KINDS, "generation_config")
    config: dict[str, Any] = {
        name: given[name]
        for name in ("max_output_tokens", "seed", "temperature", "top_p")
        if name in given
    }
    thinking: dict[str, Any] = {}
    if "thinking_level" in given:
        where = "generation_config.thinking_level"
        thinking["thinking_level"] = _one_of(given["thinking_level"], where, _LEVELS).upper()
    if "thinking_summaries" in given:
        where = "generation_config.thinking_summaries"
        asked = _one_of(given["thinking_summaries"], where, ("auto", "none"))
        thinking["include_thoughts"] = asked == "auto"
    config["thinking_config"] = thinking
    older = given.get("image_config", {})
    image = {**_sizes(older, "generation_config.image_config"), **_image_format(body)}
    config["image_config"] = {
        name: image[name] for name in ("aspect_ratio", "image_size") if name in image
    }
    config["response_modalities"] = _modalities(body)
    return config


def _modalities(body: dict[str, Any]) -> list[str]:
    """What is to come out: an image format alone leaves no room for words (seen)."""
    formats = [entry["type"] for entry, _ in _formats(body)]
    asked = formats or [
        _one_of(word, f"response_modalities[{i}]", _MODALITIES)
        for i, word in enumerate(body.get("response_modalities", ()))
    ]
    if unwanted := set(asked) - {"text", "image"}:
        raise invalid(note=f"an image model does not answer {', '.join(sorted(unwanted))}")
    return [word.upper() for word in asked]


def _formats(body: dict[str, Any]) -> list[tuple[dict[str, Any], str]]:
    given = body.get("response_format", [])
    entries = given if isinstance(given, list) else [given]
    found = []
    for i, entry in enumerate(entries):
        path = f"response_format[{i}]" if isinstance(given, list) else "response_format"
        if not isinstance(entry, dict):
            raise misshapen(path)
        if "type" not in entry or entry["type"] not in _FORMATS:
            raise unsupported(entry.get("type", ""), f"{path}.type", _FORMATS)
        found.append((entry, path))
    return found


def _image_format(body: dict[str, Any]) -> dict[str, Any]:
    for entry, path in _formats(body):
        if entry["type"] == "image":
            return _sizes(entry, path)
        if set(entry) - {"type"} and entry.get("mime_type", "text/plain") != "text/plain":
            raise invalid(note="JSON mode is not enabled for image models")
    return {}


def _sizes(given: Any, path: str) -> dict[str, Any]:
    found = _object(given, _FORMAT_KINDS, path)
    literals = {
        "aspect_ratio": _RATIOS,
        "image_size": _SIZES,
        "mime_type": ("image/jpeg",),
        "delivery": ("inline", "uri"),
    }
    for name, choices in literals.items():
        if name in found:
            _one_of(found[name], f"{path}.{name}", choices)
    return found


def _tool(tool: Any, path: str) -> dict[str, Any]:
    if not isinstance(tool, dict):
        raise misshapen(path)
    if tool.get("type") == "function":
        return {"function_declarations": [tool]}
    if tool.get("type") != "google_search":
        raise invalid(note=f"{path}: image models have no tool but google_search")
    kinds = tool.get("search_types", [])
    if not isinstance(kinds, list):
        raise misshapen(f"{path}.search_types")
    for i, kind in enumerate(kinds):
        _one_of(kind, f"{path}.search_types[{i}]", _SEARCHES)
    if "enterprise_web_search" in kinds:
        raise invalid(note="enterprise_web_search is not offered here")
    return {"google_search": {"search_types": {kind: {} for kind in kinds}}}


def _object(value: Any, kinds: Mapping[str, type | tuple[type, ...]], path: str) -> dict[str, Any]:
    """The fields that are set, all of known names and kinds."""
    if not isinstance(value, dict):
        raise misshapen(path or "request")
    found = {}
    for name, item in value.items():
        where = f"{path}.{name}" if path else name
        if not path and name in _NOT_SERVED:
            raise invalid(note=f"{name} is not emulated")
        if name not in kinds:
            raise invalid(note=f"unknown field {where[:100]!a}")
        if item is None:
            continue
        wanted = kinds[name]
        # A bool is an int to Python, not to JSON.
        if not isinstance(item, wanted) or (isinstance(item, bool) and wanted is not bool):
            raise misshapen(where)
        found[name] = item
    return found


def _one_of(value: Any, path: str, choices: tuple[str, ...]) -> str:
    if value not in choices:
        raise unsupported(str(value)[:100], path, choices)
    return str(value)
