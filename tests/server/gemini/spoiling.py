"""Bodies for the tests of two readings: values of the SDK's own types, and ways to spoil one."""

import copy
import json
import re
import types as builtin
import typing
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Literal

from google.genai import types
from hypothesis import strategies as st
from pydantic import BaseModel
from tests.server.gemini.conftest import PRO

from heliograph.server.gemini.protojson import camel, snake

# fields of the SDK's own, and those of many types that would say little here
LOCAL = {
    "http_options",
    "should_return_http_response",
    "automatic_function_calling",
    "automatic_continuation",
    "response_schema",
    "speech_config",
}
WORDS = st.sampled_from(["a lake", "", "16:9", "ünï", "models/x", "TEXT"])
JSONS = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | WORDS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(WORDS, inner, max_size=2),
    max_leaves=4,
)
OFFSETS = ("start_offset", "end_offset")
PLAIN: dict[Any, st.SearchStrategy[Any]] = {
    str: WORDS,
    bool: st.booleans(),
    int: st.integers(-5, 5) | st.sampled_from([2**31 - 1, -(2**31), 2**31]),
    float: st.floats(-8, 8) | st.sampled_from([1.0, 1e30]),
    bytes: st.binary(min_size=1, max_size=7),
    datetime: st.just(datetime(2026, 11, 22, 8, 30, tzinfo=UTC)),
    Any: JSONS,
}


def values(kind: Any, depth: int = 4) -> st.SearchStrategy[Any]:
    """Values of a field of the SDK's types, as they can be given to it."""
    if kind in PLAIN:
        return PLAIN[kind]
    if isinstance(kind, type) and issubclass(kind, Enum):
        return st.sampled_from(list(kind))
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return filled(kind, depth)
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin is list:
        return st.lists(values(inner[0], depth), max_size=2)
    if origin is dict:
        return st.dictionaries(WORDS, values(inner[1], depth), max_size=2)
    if origin is Literal:
        return st.sampled_from(inner)
    if origin in (typing.Union, builtin.UnionType):
        return values(next(each for each in inner if each is not type(None)), depth)
    return st.nothing()


def filled(kind: type[BaseModel], depth: int) -> st.SearchStrategy[Any]:
    """An object with at most three of its fields, so that few of them are Vertex's alone."""
    if not depth:
        return st.just(kind())
    fields = {
        name: st.sampled_from(["1s", "0.5s", "-3.000000001s"])
        if name in OFFSETS
        else values(field.annotation, depth - 1)
        for name, field in kind.model_fields.items()
    }

    @st.composite
    def drawn(draw: st.DrawFn) -> Any:
        names = draw(st.lists(st.sampled_from(sorted(fields)), max_size=3, unique=True))
        return kind.model_validate({name: draw(fields[name]) for name in names})

    return drawn() if fields else st.just(kind())


CONTENTS = st.lists(filled(types.Content, 4), min_size=1, max_size=2)
CONFIG_FIELDS: dict[str, st.SearchStrategy[Any]] = {
    name: values(field.annotation)
    for name, field in types.GenerateContentConfig.model_fields.items()
    if name not in LOCAL
} | {
    "system_instruction": filled(types.Content, 3),
    "tools": st.lists(filled(types.Tool, 3), max_size=2),
    "image_config": filled(types.ImageConfig, 2),
    "safety_settings": st.lists(filled(types.SafetySetting, 2), max_size=2),
}


@st.composite
def configs(draw: st.DrawFn) -> dict[str, Any]:
    """Arguments of a GenerateContentConfig."""
    names = draw(st.lists(st.sampled_from(sorted(CONFIG_FIELDS)), max_size=4, unique=True))
    return {name: draw(CONFIG_FIELDS[name]) for name in names}


# ---------------------------------------------------------------- casings and spoiling

# what lies below is no message: its names are the client's own
OPEN = {"labels", "partMetadata", "responseJsonSchema", "args", "response", "customConfigs"} | {
    "headers",
    "properties",
    "additionalProperties",
}


def cased(value: Any, spell: Callable[[str], str]) -> Any:
    """A body with all of its names in one spelling."""
    if isinstance(value, list):
        return [cased(item, spell) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        spell(name): item if camel(name) in OPEN else cased(item, spell)
        for name, item in value.items()
    }


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place of a document below its root."""
    if path:
        yield path
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(item, (*path, key))


def spoiled(document: Any, path: tuple[Any, ...], change: Callable[[Any, Any], None]) -> Any:
    """The document, one place changed by what is given the container and the key."""
    found = copy.deepcopy(document)
    holder = found
    for key in path[:-1]:
        holder = holder[key]
    change(holder, path[-1])
    return found


def renamed(spell: Callable[[str], str]) -> Callable[[Any, Any], None]:
    def change(holder: Any, key: Any) -> None:
        if isinstance(key, str):
            holder[spell(key)] = holder.pop(key)

    return change


def replaced(make: Callable[[Any], Any]) -> Callable[[Any, Any], None]:
    def change(holder: Any, key: Any) -> None:
        holder[key] = make(holder[key])

    return change


def put(new: Any) -> Callable[[Any, Any], None]:
    return replaced(lambda _old: copy.deepcopy(new))


def twice(holder: Any, key: Any) -> None:
    """The name in its other spelling too."""
    if isinstance(key, str):
        other = camel(key) if camel(key) != key else snake(key)
        holder[other] = holder[key]


ODD: list[Any] = json.loads(
    """[
    null, true, false, 0, 1, 3, 7, 99, -1, 1.0, 1.5, 1e10, 1e39, 2147483648, 9223372036854775808,
    "", "x", "7", "1.0", "1e1", "04", " 4", "+4", "1e39", "NaN", "Infinity", "true", "AAAA", "A",
    "!!", "-_8", "-_8=", "1s", "2026-11-22T08:30:00Z", "2026-13-22T08:30:00Z", "IMAGE", "image",
    "FLEX", "OFF", "off", [], [null], ["x"], [[]], [1], [{}], {}, {"x": 1}, {"text": "a"},
    {"text": null}]"""
)
Change = Callable[[Any, Any], None]
CHANGES: tuple[Change, ...] = (
    *(put(odd) for odd in ODD),
    replaced(lambda old: [old]),
    replaced(lambda old: old[0] if isinstance(old, list) and old else old),
    replaced(lambda old: old.lower() if isinstance(old, str) else old),
    replaced(lambda old: str(old) if isinstance(old, int | float) else old),
    renamed(camel),
    renamed(snake),
    renamed(lambda name: f"{name}x"),
    renamed(lambda name: f"_{name}"),
    renamed(str.upper),
    renamed(lambda name: camel(name)[:1].upper() + camel(name)[1:]),
    renamed(lambda name: re.sub(r"_([a-z])", lambda m: f"_{m[1].upper()}", snake(name))),
    twice,
)
# all that is served, and something of each kind
FULL: dict[str, Any] = {
    "model": f"models/{PRO}",
    "contents": [
        {
            "role": "user",
            "parts": [
                {"text": "a lake", "thought": False, "thoughtSignature": "AAAA"},
                {"inlineData": {"mimeType": "image/png", "data": "AAAA"}},
                {"fileData": {"mimeType": "image/png", "fileUri": "files/a"}},
                {"text": "b", "mediaResolution": {"level": "MEDIA_RESOLUTION_LOW"}},
                {"text": "c", "videoMetadata": {"startOffset": "1s", "fps": 1}},
                {"text": "d", "partMetadata": {"a": [1, None]}},
            ],
        }
    ],
    "systemInstruction": {"parts": [{"text": "be brief"}]},
    "tools": [{"googleSearch": {"searchTypes": {"webSearch": {}, "imageSearch": {}}}}],
    "toolConfig": {"functionCallingConfig": {"mode": "NONE", "allowedFunctionNames": ["f"]}},
    "safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}],
    "serviceTier": "flex",
    "store": False,
    "labels": {"team": "sea"},
    "cachedContent": "cachedContents/a",
    "continuationToken": "AAAA",
    "generationConfig": {
        "candidateCount": 1,
        "stopSequences": ["end"],
        "maxOutputTokens": 100,
        "temperature": 0.5,
        "topP": 0.5,
        "topK": 4,
        "seed": 7,
        "presencePenalty": 0.5,
        "frequencyPenalty": 0.5,
        "responseLogprobs": True,
        "logprobs": 1,
        "enableEnhancedCivicAnswers": False,
        "responseModalities": ["TEXT", "IMAGE"],
        "mediaResolution": "MEDIA_RESOLUTION_HIGH",
        "thinkingConfig": {"includeThoughts": True, "thinkingLevel": "HIGH", "thinkingBudget": 1},
        "imageConfig": {"aspectRatio": "16:9", "imageSize": "2K"},
        "responseMimeType": "text/plain",
        "responseFormat": {
            "image": {
                "aspectRatio": "ASPECT_RATIO_SIXTEEN_BY_NINE",
                "imageSize": "IMAGE_SIZE_TWO_K",
                "delivery": "INLINE",
            }
        },
        "responseJsonSchema": {"type": "object"},
    },
}
