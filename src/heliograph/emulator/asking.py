"""From a parsed request to an Ask; invariant: an Ask holds only what the model really can do.

What Google refuses is refused here, with its text where one is known (shared facts 1.2, 2.2, 2.6)
and with the generic 400 where none is, the reason then being in the `x-emu-note` header.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from heliograph.emulator.envelope import ApiError, invalid
from heliograph.emulator.inputs import DOCUMENT_TYPES, VIDEO_TYPES, check_type, measure
from heliograph.emulator.models import Model, nearest_ratio
from heliograph.emulator.prices import Tier, served_tier
from heliograph.emulator.schema import ASPECT_RATIOS, IMAGE_SIZES, PART_DATA
from heliograph.emulator.settings import SizePolicy

FileReader = Callable[[str], tuple[bytes, str]]
"""Bytes and MIME type behind a fileUri; raises ApiError."""

_TIERS: dict[str, Tier] = {"FLEX": "flex", "PRIORITY": "priority"}


@dataclass(frozen=True, kw_only=True)
class Ask:
    """One valid request for a picture, or for text from an image model."""

    model: Model
    prompt: str
    """Text of the last user turn."""
    sources: tuple[bytes, ...]
    """The newest picture of earlier turns, then this turn's; the last is edited."""
    size: str
    ratio: str
    wants_text: bool
    wants_image: bool
    include_thoughts: bool
    thinking_level: str
    tier: Tier
    """The tier it will run in, which may be less than the one asked for."""
    web_search: bool
    image_search: bool
    seed: int | None
    max_output_tokens: int
    """0 leaves it to the model."""
    text_tokens: int
    picture_tokens: int


@dataclass(frozen=True, kw_only=True)
class _Seen:
    """One picture found in the contents."""

    data: bytes
    box: tuple[int, int] | None
    turn: int
    is_image: bool


def read_ask(
    request: dict[str, Any], model: Model, *, read_file: FileReader, size_policy: SizePolicy
) -> Ask:
    """Check a parsed request against the model's row and say what is to be made."""
    config = request.get("generation_config", {})
    contents = request.get("contents", [])
    _check_contents(contents)
    _check_config(config, model)
    _check_request(request, model)
    last = max((i for i, content in enumerate(contents) if _role(content) == "user"), default=None)
    if last is None:
        raise invalid(note="no user turn in contents")
    seen = _pictures(contents, model, read_file)
    sources = _sources(seen, last)
    web_search, image_search = _searches(request, model)
    modalities = _modalities(config, model)
    size, ratio = _image_config(config, model, size_policy, sources)
    thinking = config.get("thinking_config", {})
    text_tokens = count_text(contents, request.get("system_instruction"))
    picture_tokens = len(seen) * model.input_image_tokens
    _check_length(text_tokens + picture_tokens, model)
    return Ask(
        model=model,
        prompt="\n".join(_texts(contents[last])),
        sources=_to_edit(seen, sources),
        size=size,
        ratio=ratio,
        wants_text="TEXT" in modalities,
        wants_image="IMAGE" in modalities,
        include_thoughts=bool(thinking.get("include_thoughts")),
        thinking_level=thinking.get("thinking_level", ""),
        tier=served_tier(model.id, _TIERS.get(request.get("service_tier", ""), "standard")),
        web_search=web_search,
        image_search=image_search,
        seed=config.get("seed"),
        max_output_tokens=config.get("max_output_tokens", 0),
        text_tokens=text_tokens,
        picture_tokens=picture_tokens,
    )


def last_prompt(contents: list[dict[str, Any]]) -> str:
    """Text of the last user turn, for what has to look at a request before it is checked."""
    for content in reversed(contents):
        if _role(content) == "user":
            return "\n".join(_texts(content))
    return ""


def count_text(contents: list[dict[str, Any]], system: dict[str, Any] | None = None) -> int:
    """Text tokens: four ASCII characters, or one of any other kind, make a token."""
    texts = [text for content in (*contents, system or {}) for text in _texts(content)]
    plain = sum(sum(character.isascii() for character in text) for text in texts)
    return -(-plain // 4) + sum(map(len, texts)) - plain


def count_pictures(contents: list[dict[str, Any]]) -> int:
    """How many parts are media."""
    return sum(
        "inline_data" in part or "file_data" in part
        for content in contents
        for part in content.get("parts", ())
    )


def _role(content: dict[str, Any]) -> str:
    return content.get("role") or "user"


def _texts(content: dict[str, Any]) -> list[str]:
    return [part["text"] for part in content.get("parts", ()) if part.get("text")]


def _check_contents(contents: list[dict[str, Any]]) -> None:
    where = "GenerateContentRequest.contents"
    if not contents:
        raise invalid(f"* {where}: contents is not specified\n", field_=where)
    for i, content in enumerate(contents):
        if _role(content) not in {"user", "model"}:
            raise invalid("Please use a valid role: user, model.")
        if not content.get("parts"):
            raise invalid(f"* {where}[{i}].parts: contents.parts must not be empty.\n")
        for j, part in enumerate(content["parts"]):
            if not _has_data(part):
                raise invalid(
                    f"* {where}[{i}].parts[{j}].data: required oneof field 'data' must have one "
                    "initialized field\n"
                )


def _has_data(part: dict[str, Any]) -> bool:
    return not PART_DATA.isdisjoint(part)


def _check_config(config: dict[str, Any], model: Model) -> None:
    name = f"models/{model.id}"
    if config.get("candidate_count", 0) > 1:
        raise invalid(f"Multiple candidates is not enabled for {name}")
    mime = config.get("response_mime_type", "text/plain")
    if mime != "text/plain" or "response_schema" in config or "response_json_schema" in config:
        raise invalid(f"JSON mode is not enabled for {name}")
    for field, low, high in (("temperature", 0.0, 1.0), ("top_p", 0.0, 1.0)):
        if field in config and not low <= float(config[field]) <= high:
            raise invalid(
                f"* GenerateContentRequest.generation_config.{field}: {field} must be in the range "
                f"[{low}, {high}].\n"
            )
    if not 0 <= config.get("max_output_tokens", 0) <= model.output_limit:
        raise invalid(note=f"maxOutputTokens is above {model.output_limit}")
    _check_thinking(config.get("thinking_config", {}), model)


def _check_thinking(thinking: dict[str, Any], model: Model) -> None:
    level = thinking.get("thinking_level")
    if level and "thinking_budget" in thinking:
        raise invalid("You can only set only one of thinking budget and thinking level.")
    if level and level not in (*model.thinking_levels, "THINKING_LEVEL_UNSPECIFIED"):
        raise invalid(
            f"Thinking level {level} is not supported for this model. "
            "Please retry with other thinking level."
        )


def _check_request(request: dict[str, Any], model: Model) -> None:
    name = f"models/{model.id}"
    for part in request.get("system_instruction", {}).get("parts", ()):
        if not PART_DATA.isdisjoint(set(part) - {"text"}):
            raise invalid(note="a system instruction is text only")
    if "cached_content" in request:
        raise invalid(f"CachedContent is not supported by {name}")
    for tool in request.get("tools", ()):
        if "function_declarations" in tool:
            raise invalid(f"Function calling is not enabled for {name}")
        if "code_execution" in tool:
            raise invalid(f"Code execution is not enabled for {name}")
        if set(tool) - {"google_search"}:
            raise invalid(note=f"tools not offered by {name}: {', '.join(sorted(tool))}")
        if "google_search" in tool and not model.web_search:
            raise invalid(f"Search as tool is not enabled for {name}")


def _check_length(tokens: int, model: Model) -> None:
    if tokens > model.input_limit:
        raise invalid(
            f"The input token count ({tokens}) exceeds the maximum number of tokens allowed "
            f"({model.input_limit})."
        )


def _searches(request: dict[str, Any], model: Model) -> tuple[bool, bool]:
    web = image = False
    for tool in request.get("tools", ()):
        if "google_search" in tool:
            kinds = tool["google_search"].get("search_types", {})
            web = web or "web_search" in kinds or not kinds
            image = image or "image_search" in kinds
    if image and not model.image_search:
        raise invalid(note=f"{model.id} has no image search")
    return web, image


def _modalities(config: dict[str, Any], model: Model) -> set[str]:
    asked = set(config.get("response_modalities", ())) - {"MODALITY_UNSPECIFIED"}
    if "AUDIO" in asked:
        combination = ", ".join(sorted(asked))
        raise invalid(
            f"The requested combination of response modalities ({combination}) is not supported "
            f"by the model. models/{model.id} accepts the following combination of response "
            "modalities:\n* TEXT\n* IMAGE\n* TEXT, IMAGE\n"
        )
    return asked or {"TEXT", "IMAGE"}


def _image_config(
    config: dict[str, Any], model: Model, policy: SizePolicy, sources: list[_Seen]
) -> tuple[str, str]:
    image = config.get("image_config", {})
    newer = config.get("response_format", {}).get("image", {})
    size = image.get("image_size") or IMAGE_SIZES.get(newer.get("image_size", ""), "1K")
    ratio = image.get("aspect_ratio") or ASPECT_RATIOS.get(newer.get("aspect_ratio", ""))
    if size not in model.image_tokens:
        known = size in {"512", "1K", "2K", "4K"}
        if known or policy == "strict":
            raise _bad_choice("imageSize", size, tuple(model.image_tokens), model)
        size = "1K"
    if ratio is None:
        boxes = [picture.box for picture in sources if picture.box]
        ratio = nearest_ratio(*boxes[0], model.ratios) if boxes else "1:1"
    if ratio not in model.ratios:
        raise _bad_choice("aspectRatio", ratio, model.ratios, model)
    return size, ratio


def _bad_choice(field: str, value: str, choices: tuple[str, ...], model: Model) -> ApiError:
    return invalid(note=f"{field} {value!a} is not one of {', '.join(choices)} for {model.id}")


def _pictures(contents: list[dict[str, Any]], model: Model, read_file: FileReader) -> list[_Seen]:
    seen: list[_Seen] = []
    for turn, content in enumerate(contents):
        for part in content["parts"]:
            found = _media(part, read_file)
            if found is None or part.get("thought"):
                continue
            data, mime = found
            check_type(mime, video=model.video)
            is_image = mime not in (*DOCUMENT_TYPES, *VIDEO_TYPES)
            theirs = _role(content) == "user"
            box = measure(data, decode=theirs) if is_image else None
            seen.append(_Seen(data=data, box=box, turn=turn, is_image=is_image))
    references = sum(picture.is_image and _is_user(contents, picture) for picture in seen)
    if references > model.reference_images:
        raise invalid(
            note=f"{references} reference images; {model.id} takes {model.reference_images}"
        )
    return seen


def _is_user(contents: list[dict[str, Any]], picture: _Seen) -> bool:
    return _role(contents[picture.turn]) == "user"


def _media(part: dict[str, Any], read_file: FileReader) -> tuple[bytes, str] | None:
    if "inline_data" in part:
        blob = part["inline_data"]
        return blob.get("data", b""), blob.get("mime_type", "")
    if "file_data" in part:
        data, kept_mime = read_file(part["file_data"].get("file_uri", ""))
        return data, part["file_data"].get("mime_type") or kept_mime
    return None


def _to_edit(seen: list[_Seen], sources: list[_Seen]) -> tuple[bytes, ...]:
    """What may be edited: a copy of this turn may only show where an earlier one is meant."""
    earlier = [p for p in seen if p.is_image and p.turn < min((s.turn for s in sources), default=0)]
    return tuple(picture.data for picture in (*earlier[-1:], *sources) if picture.box)


def _sources(seen: list[_Seen], last: int) -> list[_Seen]:
    """The pictures of the last turn; without any, the newest picture before it."""
    images = [picture for picture in seen if picture.is_image]
    now = [picture for picture in images if picture.turn == last]
    return now or images[-1:]
