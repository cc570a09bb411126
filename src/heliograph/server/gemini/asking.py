"""From a message of generateContent to a request of ours.

The client's own body goes upstream, with what must be mended in it: the spelling of size and ratio,
and files kept here in place of their addresses. Invariant: what Google refuses on image models is
refused here in Google's words, before anything is planned; no address of a client's is fetched.
"""

import json
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from heliograph.planning import normalise
from heliograph.planning.catalogue import Model
from heliograph.planning.load import catalogue
from heliograph.server.faults import Fault
from heliograph.server.gemini.envelope import bad
from heliograph.server.gemini.inbox import Incoming, too_large
from heliograph.server.gemini.protojson import Long
from heliograph.server.gemini.schema import RATIOS, SIZES
from heliograph.types import Enclosed, Given, Request, Said, Verbatim

# a kept file by its address
Fetch = Callable[[str], Enclosed]
_OTHER_DATA = {
    "functionCall": "Function calling is not enabled for models/{model}",
    "functionResponse": "Function calling is not enabled for models/{model}",
    "toolCall": "Function calling is not enabled for models/{model}",
    "toolResponse": "Function calling is not enabled for models/{model}",
    "executableCode": "Code execution is not enabled for models/{model}",
    "codeExecutionResult": "Code execution is not enabled for models/{model}",
}
_TOOLS = {
    "functionDeclarations": "Function calling is not enabled for models/{model}",
    "codeExecution": "Code execution is not enabled for models/{model}",
}
_DATA = ("text", "inlineData", "fileData", *_OTHER_DATA)
_REQUEST = "GenerateContentRequest"
_JPEG = ("IMAGE/JPEG", "IMAGE_JPEG", "MIME_TYPE_UNSPECIFIED")  # the type in both its spellings
WORDLESS = "(a request without words)"  # the prompt of a record needs some; it is never sent


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A body on its way to becoming a request."""

    model: Model
    incoming: Incoming
    fetch: Fetch
    message: dict[str, Any]  # camelCase, checked; changed in place


def as_request(asked: Asked, *, stream: bool, strict: bool) -> Request:
    """The request; touches the disk.

    Args:
        strict: a picture of other pixels becomes an error.

    Raises:
        Fault: Google would refuse it on this model, or we do; nothing was sent.
    """
    message, model = asked.message, asked.model
    contents = message.get("contents") or []
    _check_contents(contents, model)
    _check_system(message.get("systemInstruction") or {})
    config = message.get("generationConfig") or {}
    _check_config(config, model)
    _check_tools(message, model)
    size, aspect = _image_config(message, config, model)
    thinking = config.get("thinkingConfig") or {}
    level = thinking.get("thinkingLevel", "THINKING_LEVEL_UNSPECIFIED")
    last = _last_user(contents)
    pictures = _enclose(asked, contents)
    system = "\n".join(_texts(message.get("systemInstruction") or {}))
    tier = message.get("serviceTier", "unspecified")
    words = "\n".join(_texts(contents[last]))
    # blanks that stand alone are refused like everywhere; beside a picture they are no words
    is_wordless = not words.strip() and (not words or any(turn == last for turn, _ in pictures))
    return Request(
        prompt=WORDLESS if is_wordless else words,
        model=model.id,
        size=size,
        aspect=aspect,
        references=tuple(Given(source=p.path) for turn, p in pictures if turn == last),
        system=system if system.strip() else None,
        temperature=config.get("temperature"),
        top_p=config.get("topP"),
        seed=config.get("seed"),
        safety=_safety(message),
        thinking=None if level.endswith("UNSPECIFIED") else level.lower(),
        include_thoughts=bool(thinking.get("includeThoughts")),
        tier="standard" if tier == "unspecified" else tier,
        ground=_ground(message),
        stream=stream,
        strict=strict,
        verbatim=Verbatim(
            pieces=pieces(message, asked.incoming),
            images=len(pictures),
            words="\n".join([system, *(text for c in contents for text in _texts(c))]),
        ),
    )


def layout(turn: Mapping[str, Any]) -> tuple[Said, ...]:
    """The words and pictures of a turn in their order, as `as_request` has left it.

    Returns:
        Nothing, when one text comes before all pictures: requests of ours are sent like that.
    """
    found = []
    for part in turn["parts"]:
        if "inlineData" in part:
            found.append(Said(sha256=part["inlineData"]["data"].sha256))
        elif part.get("text"):
            found.append(Said(text=part["text"]))
    begins = bool(found and (found[0].text or "").strip())
    is_usual = begins and all(one.text is None for one in found[1:])
    return () if is_usual else tuple(found)


def pieces(message: Mapping[str, Any], incoming: Incoming) -> tuple[str | Enclosed, ...]:
    """The message as JSON in pieces, between them the files that stand in it.

    Raises:
        TooLarge: it is more than one request may carry.
    """
    mark = secrets.token_hex(16)
    files: list[Enclosed] = []

    def stand_in(value: object) -> str:
        if isinstance(value, Long):
            value = incoming.enclosed(value, None)
        if not isinstance(value, Enclosed):
            raise TypeError(f"not JSON: {type(value).__name__}")
        files.append(value)
        return mark

    text = json.dumps(message, default=stand_in, ensure_ascii=False, separators=(",", ":"))
    around = text.split(mark)
    limit = catalogue().limits.inline_bytes
    sent = sum(f.size if f.media_type is None else -(-f.size // 3) * 4 for f in files)
    if sent + len(text) > limit:
        raise too_large(limit)
    found: list[str | Enclosed] = [around[0]]
    for file, after in zip(files, around[1:], strict=True):
        found += [file, after]
    return tuple(found)


def count_pictures(contents: list[dict[str, Any]]) -> int:
    """How many parts are pictures."""
    parts = (part for content in contents for part in content.get("parts") or ())
    return sum("inlineData" in part or "fileData" in part for part in parts)


def words_of(message: Mapping[str, Any]) -> str:
    """All text of a message, for counting."""
    said = [message.get("systemInstruction") or {}, *(message.get("contents") or ())]
    return "\n".join(text for content in said for text in _texts(content))


# ---------------------------------------------------------------- contents


def _check_contents(contents: list[dict[str, Any]], model: Model) -> None:
    where = f"{_REQUEST}.contents"
    if not contents:
        raise bad(f"* {where}: contents is not specified\n", field=where)
    for i, content in enumerate(contents):
        if _role(content) not in ("user", "model"):
            raise bad("Please use a valid role: user, model.", field=f"contents[{i}].role")
        parts = content.get("parts")
        if not parts:
            raise bad(f"* {where}[{i}].parts: contents.parts must not be empty.\n")
        for j, part in enumerate(parts):
            _check_part(part, f"{where}[{i}].parts[{j}]", model)


def _check_system(instruction: Mapping[str, Any]) -> None:
    """Text is all that it may hold, as the published `.proto` says."""
    for j, part in enumerate(instruction.get("parts") or ()):
        if any(name in part for name in _DATA if name != "text"):
            where = f"system_instruction.parts[{j}]"
            raise bad(f"* {_REQUEST}.{where}.data: only text is supported here.\n", field=where)


def _check_part(part: Mapping[str, Any], where: str, model: Model) -> None:
    data = [name for name in _DATA if name in part]
    for name in data:
        if name in _OTHER_DATA:
            raise bad(_OTHER_DATA[name].format(model=model.id))
    if not data:
        raise bad(f"* {where}.data: required oneof field 'data' must have one initialized field\n")
    if len(data) > 1:
        raise bad(f"* {where}.data: oneof field 'data' is already set.\n")
    for name in ("videoMetadata", "partMetadata", "mediaResolution"):
        if _has_long_string(part.get(name)):
            raise bad(f"Invalid value at '{where}.{name}'.")


def _has_long_string(value: object) -> bool:
    """Whether a field that is taken as it is holds what the tap takes for data."""
    if isinstance(value, dict):
        return any(key in _LONG_KEYS or _has_long_string(each) for key, each in value.items())
    return isinstance(value, list) and any(map(_has_long_string, value))


_LONG_KEYS = ("data", "signature", "thoughtSignature", "thought_signature")


def _role(content: Mapping[str, Any]) -> str:
    return content.get("role") or "user"


def _texts(content: Mapping[str, Any]) -> Iterator[str]:
    for part in content.get("parts") or ():
        if part.get("text"):
            yield part["text"]


def _last_user(contents: list[dict[str, Any]]) -> int:
    found = [i for i, content in enumerate(contents) if _role(content) == "user"]
    if not found:
        raise bad("Please ensure that multiturn requests end with a user turn.")
    return found[-1]


def _enclose(asked: Asked, contents: list[dict[str, Any]]) -> list[tuple[int, Enclosed]]:
    """Put files where long strings and addresses stand; every picture, with its turn."""
    found = []
    for turn, content in enumerate(contents):
        for place, part in enumerate(content["parts"]):
            where = f"contents[{turn}].parts[{place}]"
            picture = _picture(asked, part, where)
            if picture is not None:
                found.append((turn, picture))
            signature = part.get("thoughtSignature")
            if isinstance(signature, Long):
                if signature.text:
                    part["thoughtSignature"] = asked.incoming.enclosed(signature, None)
                    if not part["thoughtSignature"].size:
                        del part["thoughtSignature"]
                else:
                    del part["thoughtSignature"]
    return found


def _picture(asked: Asked, part: dict[str, Any], where: str) -> Enclosed | None:
    if "inlineData" in part:
        blob = part["inlineData"]
        kind = _media_type(blob.get("mimeType", ""), asked.model)
        data = blob.get("data")
        if data is None:
            raise bad(f"* {_REQUEST}.{where}.inline_data.data: required field is not set.\n")
        file = asked.incoming.enclosed(data, kind)
        blob["data"] = file
        return file
    if "fileData" in part:
        link = part.pop("fileData")
        file = asked.fetch(link.get("fileUri", ""))
        kind = _media_type(file.media_type or "", asked.model)
        label = {"displayName": link["displayName"]} if "displayName" in link else {}
        part["inlineData"] = {"mimeType": kind, "data": file, **label}
        return file
    return None


def _media_type(given: str, model: Model) -> str:
    if given not in model.can.media_types:
        raise bad(f"Unsupported MIME type: {given[:100]}")
    return given


# ---------------------------------------------------------------- settings


def _check_config(config: Mapping[str, Any], model: Model) -> None:
    name = f"models/{model.id}"
    if not 0 <= config.get("candidateCount", 0) <= 1:
        raise bad(f"Multiple candidates is not enabled for {name}")
    wants_json = config.get("responseMimeType", "text/plain") != "text/plain"
    if wants_json or "responseSchema" in config or "responseJsonSchema" in config:
        raise bad(f"JSON mode is not enabled for {name}")
    formats = config.get("responseFormat") or {}
    if set(formats) - {"image"}:
        raise bad(f"JSON mode is not enabled for {name}")
    asked = config.get("responseModalities") or []
    if "AUDIO" in asked:
        combination = ", ".join(sorted(set(asked)))
        raise bad(
            f"The requested combination of response modalities ({combination}) is not supported "
            f"by the model. {name} accepts the following combination of response modalities:\n"
            "* TEXT\n* IMAGE\n* TEXT, IMAGE\n"
        )
    for field in ("speechConfig", "audioTranscriptionConfig"):
        if field in config:
            raise bad(f"Audio is not enabled for {name}")
    if not 0 <= config.get("maxOutputTokens", 0) <= model.can.output_tokens:
        raise bad(
            f"Unable to submit request because it has a maxOutputTokens value of "
            f"{config['maxOutputTokens']} but the supported range is from 1 (inclusive) to "
            f"{model.can.output_tokens + 1} (exclusive). Update the value and try again."
        )
    thinking = config.get("thinkingConfig") or {}
    if "thinkingBudget" in thinking and "thinkingLevel" in thinking:
        raise bad("You can only set only one of thinking budget and thinking level.")


def _check_tools(message: Mapping[str, Any], model: Model) -> None:
    name = f"models/{model.id}"
    if message.get("cachedContent"):
        raise bad(f"CachedContent is not supported by {name}")
    for field in ("toolConfig", "labels"):
        if _has_long_string(message.get(field)):
            raise bad(f"Invalid value at '{field}'.")
    for tool in message.get("tools") or ():
        for kind in tool:
            if kind != "googleSearch":
                words = _TOOLS.get(kind, "Tool {kind} is not enabled for models/{model}")
                raise bad(words.format(kind=kind, model=model.id))
        if "googleSearch" in tool and not model.can.grounding:
            raise bad(f"Search as tool is not enabled for {name}")
        if _has_long_string(tool.get("googleSearch")):
            raise bad("Invalid value at 'tools.google_search'.")


def _ground(message: Mapping[str, Any]) -> str | None:
    found = None
    for tool in message.get("tools") or ():
        if "googleSearch" in tool:
            kinds = (tool["googleSearch"] or {}).get("searchTypes") or {}
            found = "images" if "imageSearch" in kinds or found == "images" else "web"
    return found


def _safety(message: Mapping[str, Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    for setting in message.get("safetySettings") or ():
        category = setting.get("category", "HARM_CATEGORY_UNSPECIFIED")
        if category in found:
            raise bad(f"Safety settings provided for {category} multiple times.")
        found[category] = setting.get("threshold", "HARM_BLOCK_THRESHOLD_UNSPECIFIED")
    return {k: v for k, v in found.items() if not v.endswith("UNSPECIFIED")}


def _image_config(
    message: dict[str, Any], config: dict[str, Any], model: Model
) -> tuple[str | None, str | None]:
    """Size and ratio in Google's spelling, in the body as in what is returned.

    The newer form becomes the older one, which every version of the API takes (gemini-api.md 2.2).
    """
    newer = (config.pop("responseFormat", None) or {}).get("image") or {}
    older = config.get("imageConfig") or {}
    _check_newer(newer)
    shape = {
        "aspectRatio": _one(
            "aspect_ratio",
            older.get("aspectRatio"),
            _plain(newer.get("aspectRatio"), RATIOS),
        ),
        "imageSize": _one(
            "image_size",
            older.get("imageSize"),
            _plain(newer.get("imageSize"), SIZES),
        ),
    }
    aspect, size = shape["aspectRatio"], shape["imageSize"]
    aspect = normalise.ratio(aspect, catalogue().ratios) if aspect else None
    size = normalise.size(size) if size else None
    said = {k: v for k, v in (("aspectRatio", aspect), ("imageSize", size)) if v is not None}
    if said:
        config["imageConfig"] = said
        message["generationConfig"] = config
    else:
        config.pop("imageConfig", None)
    return size or model.can.default_size, aspect


def _check_newer(newer: Mapping[str, Any]) -> None:
    where = "generation_config.response_format.image"
    if newer.get("mimeType", "IMAGE_JPEG").upper() not in _JPEG:
        raise bad(f"Invalid value at '{where}.mime_type'.", field=f"{where}.mime_type")
    if newer.get("delivery") == "URI":
        raise bad(f"Invalid value at '{where}.delivery'.", field=f"{where}.delivery")


def _plain(given: str | None, names: Mapping[str, str | None]) -> str | None:
    """An enum name as the word it stands for; plain words stay."""
    return None if given is None else names.get(given.upper(), given)


def _one(field: str, older: str | None, newer: str | None) -> str | None:
    if older and newer and older != newer:
        raise _contradiction(field)
    return older or newer or None


def _contradiction(field: str) -> Fault:
    return bad(
        f"'generation_config.image_config.{field}' and "
        f"'generation_config.response_format.image.{field}' contradict each other.",
        field=f"generation_config.image_config.{field}",
    )
