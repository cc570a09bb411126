"""A create call as the message of generateContent that asks for the same picture.

Fields and values: `createmodelinteraction.py` of google-genai 3.4.0. Invariant: every field that
came is used, or refused by its name; nothing is dropped.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from heliograph.planning.load import catalogue
from heliograph.server.faults import Fault
from heliograph.server.gemini.envelope import bad
from heliograph.server.gemini.interactions.envelope import not_served
from heliograph.server.gemini.protojson import Long
from heliograph.server.gemini.schema import ENUMS

Kinds = Mapping[str, type | tuple[type, ...]]
MOST = 100  # characters of a bad value that are repeated
_BODY: Kinds = {
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
    "service_tier": str,
    "tools": list,
    "safety_settings": list,
}
_NO_BODY: Mapping[str, str] = {
    "agent": "Name a model instead.",
    "agent_config": "Name a model instead.",
    "cached_content": "Image models take none.",
    "continuation_token": "Pictures are made in one piece.",
    "environment": "Image models have none.",
    "labels": "Leave them out.",
    "response_mime_type": "Use response_format.",
    "webhook_config": "Register a webhook with this gateway at /api/v1/webhooks.",
}
_CONFIG: Kinds = {
    "image_config": dict,
    "seed": int,
    "temperature": (int, float),
    "thinking_level": str,
    "thinking_summaries": str,
    "top_p": (int, float),
}
_NO_CONFIG: Mapping[str, str] = {
    "max_output_tokens": "A picture that is cut off is paid for; leave it out.",
    "speech_config": "Image models do not speak.",
    "stop_sequences": "Pictures are not stopped by words.",
    "tool_choice": "Leave it out.",
    "transcription_config": "Image models do not listen.",
    "video_config": "Image models make no videos.",
}
_FORMAT: Kinds = {
    "type": str,
    "aspect_ratio": str,
    "image_size": str,
    "mime_type": str,
    "delivery": str,
}
_SETTING: Kinds = {"type": str, "threshold": str}
_TOOL: Kinds = {"type": str, "search_types": list}
_TEXT: Kinds = {"type": str, "text": str, "annotations": list}
_IMAGE: Kinds = {"type": str, "data": str, "mime_type": str, "uri": str}
_SEARCH_STEPS = ("google_search_call", "google_search_result")
_STEPS = ("user_input", "model_output", "thought", *_SEARCH_STEPS)
_SEARCHES = {"web_search": "webSearch", "image_search": "imageSearch"}
_LEVELS = ("minimal", "low", "medium", "high")
_SUMMARIES = ("auto", "none")
_TIERS = ("flex", "standard", "priority")
_MODALITIES = ("text", "image")
_DELIVERIES = ("inline", "uri")


@dataclass(frozen=True, kw_only=True)
class Wish:
    """One understood create call."""

    model: str
    message: dict[str, Any]  # a GenerateContentRequest in camelCase, its long strings as `Long`
    previous: str | None  # id of the interaction to go on from
    background: bool
    store: bool
    by_uri: bool  # pictures are named by address
    tells_turns: bool  # the input holds turns of the model

    @property
    def is_session(self) -> bool:
        """Whether later calls can go on from it by its id."""
        return self.store and not self.tells_turns


def read_wish(document: Mapping[str, Any]) -> Wish:
    """Understand a create call; the model's own rules are checked later.

    Raises:
        Fault: it has no valid form, or asks for something that is not served.
    """
    body = _object(document, _BODY, "", _NO_BODY)
    for name in ("model", "input"):
        if not body.get(name):
            raise bad(f"'{name}' is required.", field=name)
    if body.get("stream"):
        raise not_served("stream", "Leave it out, or use background and ask for the interaction.")
    contents = _contents(body["input"])
    shape, by_uri = _image_format(body)
    wish = Wish(
        model=body["model"].removeprefix("models/"),
        message={"contents": contents, **_message(body, shape)},
        previous=body.get("previous_interaction_id"),
        background=body.get("background", False),
        store=body.get("store", True),
        by_uri=by_uri,
        tells_turns=any(content["role"] == "model" for content in contents),
    )
    if not wish.tells_turns and not any(map(_says_something, contents[-1]["parts"])):
        raise bad("'input' needs words or a picture.", field="input")
    if wish.background and not wish.store:
        raise bad("'background' needs 'store': what is not kept cannot be asked for later.")
    if wish.tells_turns and wish.previous is not None:
        raise bad("'input' tells turns of the model, and so does 'previous_interaction_id'.")
    if wish.tells_turns and wish.background:
        raise not_served(
            "background", "It needs an input without turns of the model: previous_interaction_id."
        )
    return wish


# ---------------------------------------------------------------- input


def _contents(given: Any) -> list[dict[str, Any]]:
    """The turns of an input; what one side says in several steps is one turn."""
    found: list[dict[str, Any]] = []
    for role, part in _said(given):
        if not found or found[-1]["role"] != role:
            found.append({"role": role, "parts": []})
        found[-1]["parts"].append(part)
    if not found or found[-1]["role"] != "user":
        raise bad("'input' must end with something that the user says.", field="input")
    return found


def _said(given: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(given, str):
        yield "user", {"text": given}
        return
    items = given if isinstance(given, list) else [given]
    if any(isinstance(item, Mapping) and item.get("type") in _STEPS for item in items):
        yield from _steps(items, "input" if isinstance(given, dict) else "input[{}]")
        return
    for i, item in enumerate(items):
        yield "user", _part(item, f"input[{i}]" if isinstance(given, list) else "input")


def _steps(steps: Sequence[Any], place: str) -> Iterator[tuple[str, dict[str, Any]]]:
    signature: Long | None = None
    for i, step in enumerate(steps):
        where = place.format(i)
        kind = step.get("type") if isinstance(step, Mapping) else None
        if kind in ("user_input", "model_output"):
            role = "user" if kind == "user_input" else "model"
            listed = step.get("content") or []
            if not isinstance(listed, list):
                raise _misshapen(f"{where}.content")
            for j, content in enumerate(listed):
                part = _part(content, f"{where}.content[{j}]")
                if role == "model" and signature is not None:
                    # here it belongs to the thought, there to the first thing that came of it
                    part["thoughtSignature"], signature = signature, None
                yield role, part
        elif kind == "thought":
            if signature is not None:
                yield "model", {"text": "", "thoughtSignature": signature}
            signature = _signature(step, where)
        elif kind not in _SEARCH_STEPS:  # what a search found stands in the model's own words
            raise bad(f"Steps of '{where}' can be {', '.join(_STEPS)}.", field=where)
    if signature is not None:
        yield "model", {"text": "", "thoughtSignature": signature}


def _signature(step: Mapping[str, Any], where: str) -> Long | None:
    given = step.get("signature")
    if not given:
        return None
    if not isinstance(given, str):
        raise _misshapen(f"{where}.signature")
    return Long(kind="signature", text=given, where=f"{where}.signature")


def _says_something(part: Mapping[str, Any]) -> bool:
    return "text" not in part or bool(part["text"].strip())


def _part(content: Any, where: str) -> dict[str, Any]:
    kind = content.get("type") if isinstance(content, Mapping) else None
    if kind == "text":
        text = _object(content, _TEXT, where)
        if "text" not in text:
            raise _misshapen(f"{where}.text")
        return {"text": text["text"]}
    if kind != "image":
        raise bad(f"'{where}' must be of the type text or image.", field=where)
    image = _object(content, _IMAGE, where, {"resolution": "Pictures go as they are."})
    if "uri" in image and image.get("data"):
        raise bad(f"'{where}' has both data and uri.", field=where)
    if "uri" in image:
        # a file of this gateway is named by its address, with or without what downloads it
        uri = image["uri"].removesuffix("?alt=media").removesuffix(":download")
        return {"fileData": {"fileUri": uri}}
    for name in ("data", "mime_type"):
        if not image.get(name):
            raise bad(f"'{where}.{name}' is required.", field=f"{where}.{name}")
    data = Long(kind="data", text=image["data"], where=f"{where}.data")
    return {"inlineData": {"mimeType": image["mime_type"], "data": data}}


# ---------------------------------------------------------------- settings


def _message(body: Mapping[str, Any], shape: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {"generationConfig": _config(body, shape)}
    if body.get("system_instruction"):
        found["systemInstruction"] = {"parts": [{"text": body["system_instruction"]}]}
    if "service_tier" in body:
        found["serviceTier"] = _one_of(body["service_tier"], "service_tier", _TIERS)
    found["tools"] = _each(body, "tools", _tool)
    found["safetySettings"] = _each(body, "safety_settings", _setting)
    return {name: value for name, value in found.items() if value}


def _each(
    body: Mapping[str, Any], field: str, read: Callable[[Any, str], dict[str, Any]]
) -> list[dict[str, Any]]:
    return [read(item, f"{field}[{i}]") for i, item in enumerate(body.get(field, ()))]


def _config(body: Mapping[str, Any], shape: Mapping[str, str]) -> dict[str, Any]:
    where = "generation_config"
    given = _object(body.get(where, {}), _CONFIG, where, _NO_CONFIG)
    found: dict[str, Any] = {n: given[n] for n in ("seed", "temperature") if n in given}
    if "top_p" in given:
        found["topP"] = given["top_p"]
    thinking: dict[str, Any] = {}
    if "thinking_level" in given:
        level = _one_of(given["thinking_level"], f"{where}.thinking_level", _LEVELS)
        thinking["thinkingLevel"] = level.upper()
    if "thinking_summaries" in given:
        asked = _one_of(given["thinking_summaries"], f"{where}.thinking_summaries", _SUMMARIES)
        thinking["includeThoughts"] = asked == "auto"
    older = given.get("image_config", {})
    if older.get("delivery") is not None:
        raise not_served(f"{where}.image_config.delivery", "Say it in response_format.")
    image = _shape(older, f"{where}.image_config")
    both = {**image, **shape}
    if any(both[name] != value for name, value in image.items()):
        raise bad(f"'{where}.image_config' and 'response_format' contradict each other.")
    found |= {"thinkingConfig": thinking} if thinking else {}
    return found | ({"imageConfig": both} if both else {})


def _image_format(body: Mapping[str, Any]) -> tuple[dict[str, str], bool]:
    """Size and ratio in the names of generateContent, and whether pictures come by address."""
    given = body.get("response_format", [])
    entries = given if isinstance(given, list) else [given]
    kinds, shape, by_uri = [], {}, False
    for i, entry in enumerate(entries):
        where = f"response_format[{i}]" if isinstance(given, list) else "response_format"
        found = _object(entry, _FORMAT, where)
        kind = _one_of(found.get("type", ""), f"{where}.type", _MODALITIES)
        if kind in kinds:
            raise bad(f"'{where}' is the second one of the type {kind}.", field=where)
        kinds.append(kind)
        if kind == "image":
            shape = _shape({k: v for k, v in found.items() if k != "type"}, where)
            by_uri = found.get("delivery") == "uri"
        elif set(found) - {"type"}:
            raise not_served(where, "Image models answer plain text.")
    for i, word in enumerate(body.get("response_modalities", ())):
        kinds.append(_one_of(word, f"response_modalities[{i}]", _MODALITIES))
    if kinds and "image" not in kinds:
        raise not_served("response_format", "Every model here makes a picture: ask for one.")
    return shape, by_uri


def _shape(given: Any, where: str) -> dict[str, str]:
    found = _object(given, {k: v for k, v in _FORMAT.items() if k != "type"}, where)
    sizes = dict.fromkeys(size for model in catalogue().live for size in model.can.sizes)
    choices = {
        "aspect_ratio": tuple(catalogue().ratios),
        "image_size": tuple(sizes),
        "mime_type": ("image/jpeg",),
        "delivery": _DELIVERIES,
    }
    for name, value in found.items():
        _one_of(value, f"{where}.{name}", choices[name])
    names = {"aspect_ratio": "aspectRatio", "image_size": "imageSize"}
    return {theirs: found[ours] for ours, theirs in names.items() if ours in found}


def _tool(tool: Any, where: str) -> dict[str, Any]:
    if not isinstance(tool, Mapping) or tool.get("type") != "google_search":
        raise not_served(where, "The only tool of image models is google_search.")
    kinds = _object(tool, _TOOL, where).get("search_types") or []
    named = [_one_of(k, f"{where}.search_types[{i}]", _SEARCHES) for i, k in enumerate(kinds)]
    search: dict[str, Any] = (
        {"searchTypes": {_SEARCHES[kind]: {} for kind in named}} if named else {}
    )
    return {"googleSearch": search}


def _setting(setting: Any, where: str) -> dict[str, Any]:
    found = _object(setting, _SETTING, where, {"method": "The default one is used."})
    for name in _SETTING:
        if name not in found:
            raise bad(f"'{where}.{name}' is required.", field=f"{where}.{name}")
    prefix = "HARM_CATEGORY_"
    _, *categories = [word.removeprefix(prefix).lower() for word in ENUMS["HarmCategory"]]
    _, *thresholds = [word.lower() for word in ENUMS["SafetySetting.HarmBlockThreshold"]]
    category = _one_of(found["type"], f"{where}.type", categories)
    threshold = _one_of(found["threshold"], f"{where}.threshold", thresholds)
    return {"category": prefix + category.upper(), "threshold": threshold.upper()}


# ---------------------------------------------------------------- values


def _object(
    value: Any, kinds: Kinds, where: str, refused: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """The fields that are set, all of known names and kinds."""
    if not isinstance(value, Mapping):
        raise _misshapen(where or "request")
    found = {}
    for name, item in value.items():
        path = f"{where}.{name}" if where else name
        if item is None:
            continue
        if refused and name in refused:
            raise not_served(path, refused[name])
        if name not in kinds:
            raise not_served(path[:MOST], "It is no field of this API that we know.")
        wanted = kinds[name]
        # a bool is an int to Python, and not to JSON
        if not isinstance(item, wanted) or (isinstance(item, bool) and wanted is not bool):
            raise _misshapen(path)
        found[name] = item
    return found


def _one_of(value: Any, where: str, choices: Sequence[str] | Mapping[str, Any]) -> str:
    if not isinstance(value, str) or value not in choices:
        supported = ", ".join(f"'{choice}'" for choice in choices)
        raise bad(
            f"The value '{str(value)[:MOST]}' is not supported for '{where}'. "
            f"Supported values: {supported}.",
            field=where,
        )
    return value


def _misshapen(where: str) -> Fault:
    return bad(f"Invalid input at '{where[:MOST]}'.", field=where[:MOST])
