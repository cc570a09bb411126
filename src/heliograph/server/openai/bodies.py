"""The request bodies of this face as JSON schemas, one for each model.

Written from the catalogue, so that a body that fits is one that planning takes. Spellings that mean
the same (`4k`, `16×9`, `generationConfig`) are read, too; the usual one stands here. What a schema
cannot say stands in descriptions: a setting that is said in two places is said alike, a fallback
can make the same picture, a talk ends with text of the user.

Invariant: what these forbid, the readers or planning refuse.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from heliograph.planning.catalogue import Model
from heliograph.planning.load import catalogue
from heliograph.server.native.alternatives import NULL, pixels_pattern
from heliograph.server.openai.chat import LONGEST_NAME, MOST_MESSAGES
from heliograph.server.openai.fields import MOST_ITEMS
from heliograph.server.openai.images import FORMATS, MOST
from heliograph.server.openai.names import PREFIXES
from heliograph.server.openai.options import INT32
from heliograph.server.openai.shape import QUALITIES

Schema = dict[str, Any]
MOST_PICTURES = 14  # that a model takes
SAYS = r"[^\s\x1c-\x1f\x85\xa0\ufeff]"  # something but space
_TEXT: Schema = {"type": "string"}
_FLAG: Schema = {"type": "boolean"}
_PROMPT: Schema = {"type": "string", "pattern": SAYS, "example": "A lighthouse at dawn"}
_FRACTION: Schema = {"type": "number", "minimum": 0, "maximum": 1}
_DOLLARS: Schema = {
    "type": "string",
    "pattern": r"^[0-9]{1,5}(\.[0-9]{1,6})?$",
    "description": "Dollars; above the price.",
    "example": "0.30",
}
_NAME: Schema = {"type": "string", "maxLength": LONGEST_NAME}
_URL = "A data: URL with base64; addresses are not fetched."


def words(*known: str) -> Schema:
    """One of a few texts."""
    return {"type": "string", "enum": list(known)}


def whole(low: int, high: int) -> Schema:
    """A whole number in range."""
    return {"type": "integer", "minimum": low, "maximum": high}


def closed(properties: Mapping[str, Schema], *required: str) -> Schema:
    """An object with these members alone; those that need not be there may be null."""
    members = {
        name: schema if name in required else or_null(schema) for name, schema in properties.items()
    }
    found: Schema = {"type": "object", "properties": members, "additionalProperties": False}
    return {**found, "required": list(required)} if required else found


def or_null(schema: Schema) -> Schema:
    """The same, or null, which counts as left out."""
    if "enum" in schema:
        kinds = {"type": [schema["type"], "null"], "enum": [*schema["enum"], None]}
        return {**schema, **kinds}
    if isinstance(schema.get("type"), str):
        return {**schema, "type": [schema["type"], "null"]}
    if NULL in schema.get("anyOf", ()):
        return schema
    return {"anyOf": [schema, NULL]}


def _list(items: Schema, **bounds: int) -> Schema:
    return {"type": "array", "items": items, **bounds}


# ---------------------------------------------------------------- by model


def names_of(row: Model) -> list[str]:
    """How a model is called: its id, alone or as other gateways write it."""
    return [row.id, *(f"{prefix}{row.id}" for prefix in PREFIXES[:2])]


def _model(row: Model, *, is_default: bool) -> Schema:
    schema = words(*names_of(row)) | {"description": "An id of GET models.", "example": row.id}
    return or_null(schema) if is_default else schema


def _ratio(row: Model) -> Schema:
    return words(*row.can.ratios)


def _image_config(row: Model) -> Schema:
    return closed({"aspect_ratio": _ratio(row), "image_size": words(*row.can.sizes)})


def _tools(row: Model) -> dict[str, Schema]:
    """Google's search, as far as the model has it."""
    if not row.can.grounding:
        return {}
    kinds = {"web_search": closed({})}
    if "images" in row.can.grounding:
        kinds["image_search"] = closed({})
    search = closed({"search_types": closed(kinds)})
    return {"tools": _list(closed({"google_search": search}, "google_search"), maxItems=MOST_ITEMS)}


def _safety() -> Schema:
    facts = catalogue().safety
    members = {"category": words(*facts.categories), "threshold": words(*facts.thresholds)}
    return {
        **_list(closed(members, "category", "threshold"), maxItems=MOST_ITEMS),
        "description": "Each category once.",
    }


def _google(row: Model) -> dict[str, Schema]:
    thinking = closed(
        {"thinking_level": words(*row.can.thinking_levels), "include_thoughts": _FLAG}
    )
    config = closed(
        {
            "image_config": _image_config(row),
            "thinking_config": thinking,
            "temperature": _FRACTION,
            "top_p": _FRACTION,
            "seed": whole(-INT32, INT32 - 1),
            "candidate_count": {"type": "integer", "enum": [1]},
            "response_modalities": {
                "type": "array",
                "enum": [["IMAGE"], ["IMAGE", "TEXT"], ["TEXT", "IMAGE"]],
            },
        }
    )
    return {
        "aspect_ratio": _ratio(row),
        "generation_config": config,
        "safety_settings": _safety(),
        **_tools(row),
    }


def _own(row: Model, *, is_chat: bool, is_edit: bool) -> Schema:
    """Our own object."""
    prices = catalogue().price(row.id)
    tiers = [tier for tier in (prices.tiers if prices else ()) if tier != "batch"]
    live = [each.id for each in catalogue().live if each.id != row.id]
    tag: Schema = {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"}
    cast: Schema = {"type": "string", "pattern": "^[A-Za-z][A-Za-z0-9_-]{0,39}$"}
    members: dict[str, Schema] = {
        **dict.fromkeys(("strict", "fresh", "allow_downgrade", "include_thoughts"), _FLAG),
        "thinking": words(*row.can.thinking_levels),
        "system": {"type": "string", "pattern": SAYS},
        "tier": words(*tiers),
        "seed": whole(-INT32, INT32 - 1),
        "temperature": _FRACTION,
        "top_p": _FRACTION,
        "tags": _list(tag, maxItems=MOST_ITEMS),
        "fallback": {
            **_list(words(*live), maxItems=len(live)),
            "description": "Models to ask when the first cannot, each once; each must be able to "
            "make this picture.",
        },
        "casts": _list(cast, maxItems=MOST_ITEMS),
        "max_cost": _DOLLARS,
    }
    if row.can.grounding:
        members["ground"] = words(*row.can.grounding)
    if is_edit:
        members |= {
            "protect": {**_FLAG, "description": "Needs a mask, and a format without loss."},
            "feather": {**whole(0, 256), "description": "Needs a mask."},
        }
    if is_chat:
        members["images"] = words("parts", "markdown")
    return closed(members)


def _common(row: Model, *, is_chat: bool = False, is_edit: bool = False) -> dict[str, Schema]:
    tiers = [*row.can.sizes, "auto"]
    size: Schema = {
        "anyOf": [{"type": "string", "pattern": pixels_pattern([row])}, words(*tiers), NULL],
        "description": "WIDTHxHEIGHT, delivered exactly; a tier; or auto.",
        "example": "1024x768",
    }
    return {
        "size": size,
        "quality": words(*QUALITIES),
        "moderation": words("auto", "low"),
        "image_config": _image_config(row),
        "modalities": {
            "type": "array",
            "enum": [[], ["image"], ["image", "text"], ["text", "image"]],
        },
        **_google(row),
        "extra_body": closed({"google": closed(_google(row))}),
        "heliograph": _own(row, is_chat=is_chat, is_edit=is_edit),
        "stream": _FLAG,
        "user": _NAME,
        "safety_identifier": _NAME,
    }


def _qualities(row: Model) -> list[Schema]:
    """A quality stands for a tier of the model, where the size does not say it."""
    known = [name for name, tier in QUALITIES.items() if tier in (None, *row.can.sizes)]
    if len(known) == len(QUALITIES):
        return [_way({})]
    said = {"type": "string", "not": {"const": "auto"}}
    return [_way({"quality": {"enum": [*known, None]}}), _way({"size": said}, "size")]


# ---------------------------------------------------------------- pictures


def _pictures(row: Model, *, is_edit: bool = False) -> dict[str, Schema]:
    return {
        "prompt": _PROMPT,
        **_common(row, is_edit=is_edit),
        "n": whole(1, MOST),
        "background": words("auto", "opaque"),
        "output_format": words(*FORMATS),
        "output_compression": whole(0, 100),
        "response_format": words("b64_json", "url"),
        "partial_images": whole(0, 3),
    }


def _ways(row: Model) -> list[Schema]:
    """How an answer comes: at once, as links, or as a stream; and which qualities go with it."""
    return [
        _way(
            {**way["properties"], **quality["properties"]},
            *way.get("required", ()),
            *quality.get("required", ()),
        )
        for way in _answers()
        for quality in _qualities(row)
    ]


def _answers() -> list[Schema]:
    found: list[Schema] = []
    no_drafts: dict[str, Schema] = {"partial_images": {"enum": [0, None]}}
    lossy: dict[str, Schema] = {"output_format": {"enum": ["jpeg", "webp", None]}}
    png: dict[str, Schema] = {"output_format": {"const": "png"}, "output_compression": NULL}
    inline: dict[str, Schema] = {"response_format": {"enum": ["b64_json", None]}}
    kinds = ((lossy, ()), (png, ("output_format",)))
    for kind, needed in kinds:
        found += [
            _way({**kind, **inline, **no_drafts}, *needed),
            _way({**kind, **inline, "stream": {"const": True}}, *needed, "stream"),
        ]
    still = {"stream": {"enum": [False, None]}, **no_drafts}
    link = {"response_format": {"const": "url"}, "output_compression": NULL}
    return [*found, _way({**still, **link}, "response_format")]


def _way(properties: dict[str, Schema], *required: str) -> Schema:
    return {"properties": properties, **({"required": [*required]} if required else {})}


def generation(row: Model, *, is_default: bool) -> Schema:
    """A body of images/generations for one model."""
    return _body(row, _pictures(row), ("prompt",), _ways(row), is_default=is_default)


def edit(row: Model, *, is_default: bool) -> Schema:
    """A JSON body of images/edits for one model."""
    picture = {"image_url": {"type": "string", "format": "picture-url", "description": _URL}}
    mask = {"image_url": {"type": "string", "format": "mask-url", "description": _URL}}
    members = {
        **_pictures(row, is_edit=True),
        "images": _list(closed(picture, "image_url"), minItems=1, maxItems=MOST_PICTURES),
        "mask": {**closed(mask, "image_url"), "description": _MASK},
        "input_fidelity": words("high"),
    }
    return _body(row, members, ("prompt", "images"), _ways(row), is_default=is_default)


_MASK = (
    "A PNG of the ratio of the first picture; what is transparent is changed. Beside it there are "
    "13 pictures at most."
)
# what a form can hold: texts, and objects as JSON
_IN_FORMS = (
    *("prompt", "size", "quality", "moderation", "aspect_ratio", "stream", "user"),
    *("safety_identifier", "n", "background", "output_format", "output_compression"),
    *("response_format", "partial_images"),
)


def form(row: Model, *, is_default: bool) -> Schema:
    """A form of images/edits for one model; which answers there are, its JSON body says."""
    members = _pictures(row, is_edit=True)
    objects = ("image_config", "generation_config", "extra_body", "heliograph")
    kept = {name: members[name] for name in (*_IN_FORMS, *objects)}
    kept |= {
        "image": _list(
            {"type": "string", "format": "picture-file"}, minItems=1, maxItems=MOST_PICTURES
        ),
        "mask": {"type": "string", "format": "mask-file", "description": _MASK},
        "input_fidelity": words("high"),
    }
    whole_form = _body(row, kept, ("prompt", "image"), [], is_default=is_default)
    found: Schema = _without_null(whole_form)
    return found


def _without_null(schema: Any) -> Any:
    """A form has no null."""
    if isinstance(schema, list):
        return [_without_null(each) for each in schema if each not in (None, NULL)]
    if not isinstance(schema, dict):
        return schema
    found = {name: _without_null(each) for name, each in schema.items()}
    if isinstance(found.get("type"), list):
        (found["type"],) = [kind for kind in found["type"] if kind != "null"]
    return found


def _body(
    row: Model,
    members: dict[str, Schema],
    required: Sequence[str],
    ways: list[Schema],
    *,
    is_default: bool,
) -> Schema:
    needed = [*required, *(() if is_default else ("model",))]
    found = closed(members, *required)
    found["properties"] = {"model": _model(row, is_default=is_default), **found["properties"]}
    return {**found, "required": needed, **({"anyOf": ways} if ways else {})}


# ---------------------------------------------------------------- chat


def chat(row: Model, *, is_default: bool) -> Schema:
    """A body of chat/completions for one model."""
    prices = catalogue().price(row.id)
    tiers = [tier for tier in ("flex", "priority") if prices and tier in prices.tiers]
    members: dict[str, Schema] = {
        **_common(row, is_chat=True),
        "messages": {
            **_list({"anyOf": list(_messages())}, minItems=1, maxItems=MOST_MESSAGES),
            "description": "The last one is the user's and has text.",
            "example": [{"role": "user", "content": "A lighthouse at dawn"}],
        },
        "seed": whole(-INT32, INT32 - 1),
        "temperature": _FRACTION,
        "top_p": _FRACTION,
        "reasoning_effort": words(*row.can.thinking_levels),
        "service_tier": words("auto", "default", *tiers),
        "stream_options": closed({"include_usage": _FLAG}),
    }
    if row.can.grounding:
        members["web_search_options"] = closed({})
    ways = _qualities(row)
    return _body(row, members, ("messages",), ways, is_default=is_default)


def _messages() -> Iterable[Schema]:
    text = closed({"type": words("text"), "text": _TEXT}, "type", "text")
    url: Schema = {"type": "string", "format": "picture-url", "description": _URL}
    held = closed({"url": url, "detail": words("auto", "high")}, "url")
    picture = closed(
        {"type": words("image_url"), "image_url": {"anyOf": [url, held]}}, "type", "image_url"
    )
    said = {"anyOf": [_TEXT, _list(text, maxItems=MOST_ITEMS)]}
    shown = {"anyOf": [_TEXT, _list({"anyOf": [text, picture]}, maxItems=MOST_ITEMS)]}
    yield closed({"role": words("system", "developer"), "content": said}, "role")
    yield closed({"role": words("user"), "content": shown}, "role")
    yield closed(
        {
            "role": words("assistant"),
            "content": shown,
            "images": _list(picture, maxItems=MOST_ITEMS),
        },
        "role",
    )


# ---------------------------------------------------------------- all models


def for_each(one: Any, default: str) -> dict[str, Schema]:
    """A kind of body for every live model, by model.

    Args:
        one: a function of this module that writes a body.
        default: the model of a body that names none.
    """
    return {row.id: one(row, is_default=row.id == default) for row in catalogue().live}
