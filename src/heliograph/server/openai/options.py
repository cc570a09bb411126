"""What OpenAI's API has no parameter for: Google's compatibility layer, the habits of aggregators,
and our own `heliograph` object.

    extra_body.google   aspect_ratio, generation_config, safety_settings, tools (gemini-api.md 7.1);
                        the same names are also taken at the top
    image_config        aspect_ratio, image_size (gemini-api.md 7.2)
    heliograph          strict, ground, thinking, seed, tags, max_cost …

Invariant: both casings of Google's names mean the same; what is said twice is a problem.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from heliograph.money import parse_dollars
from heliograph.planning.load import catalogue
from heliograph.server.openai.fields import Fields
from heliograph.types import NOTHING

INT32 = 2**31
# what `moderation: low` means: block only what is surely harmful
RELAXED = "BLOCK_ONLY_HIGH"
_TIERS = ("standard", "flex", "priority")
_GROUNDS = ("web", "images")


@dataclass(frozen=True, kw_only=True)
class Options:
    """Fields of `types.Request`, and what goes into `shape.read_shape`."""

    fields: Mapping[str, Any]
    aspect: str | None = None
    size: str | None = None  # tier
    style: Mapping[str, Any] = field(default_factory=lambda: NOTHING)  # of the answer


class _Said:
    """What was said of each field of a request, and where."""

    def __init__(self, body: Fields) -> None:
        self._body = body
        self._where: dict[str, str] = {}
        self.values: dict[str, Any] = {}

    def set(self, name: str, value: Any, where: str) -> None:
        if value is None or value == ():
            return
        if name in self.values and self.values[name] != value:
            self._body.problem(where, value, f"contradicts {self._where[name]}.")
            return
        self.values[name] = value
        self._where.setdefault(name, where)


def read_options(body: Fields) -> Options:
    """Everything that is not OpenAI's own, from all the places where it can stand."""
    said = _Said(body)
    _google(body, said)
    outer = body.group("extra_body")
    google = outer.group("google")
    _google(google, said)
    config = body.group("image_config")
    _image_config(config, said)
    modalities = body.texts("modalities")
    if modalities and (set(modalities) - {"image", "text"} or "image" not in modalities):
        body.refuse("modalities", "must be image and text: these models make pictures.")
    own = body.group("heliograph")
    style = _own(own, said)
    relaxed = _relaxed(body)
    if "safety" not in said.values:
        said.set("safety", relaxed, "moderation")
    values = said.values
    size, aspect = values.pop("size", None), values.pop("aspect", None)
    return Options(fields=values, size=size, aspect=aspect, style=style)


def _relaxed(body: Fields) -> dict[str, str] | None:
    if body.choice("moderation", ("auto", "low")) != "low":
        return None
    known = catalogue().safety
    every = [c for c in known.categories if c not in known.deprecated]
    return dict.fromkeys((c for c in every if "JAILBREAK" not in c), RELAXED)


def _google(body: Fields, said: _Said) -> None:
    name = body.spelled("aspect_ratio", "aspectRatio")
    said.set("aspect", body.text(name, most=64), body.path(name))
    generation = body.group(body.spelled("generation_config", "generationConfig"))
    name = body.spelled("safety_settings", "safetySettings")
    said.set("safety", _safety(body, name), body.path(name))
    said.set("ground", search_of(body, "tools"), body.path("tools"))
    _generation(generation, said)


def _generation(config: Fields, said: _Said) -> None:
    _image_config(config.group(config.spelled("image_config", "imageConfig")), said)
    thinking = config.group(config.spelled("thinking_config", "thinkingConfig"))
    name = thinking.spelled("thinking_level", "thinkingLevel")
    said.set("thinking", _lower(thinking.text(name, most=64)), thinking.path(name))
    name = thinking.spelled("include_thoughts", "includeThoughts")
    said.set("include_thoughts", thinking.flag(name), thinking.path(name))
    for name, low, high in (("temperature", 0, 2), ("top_p", 0, 1)):
        name_given = config.spelled(name, "topP") if name == "top_p" else config.spelled(name)
        said.set(name, config.number(name_given, low, high), config.path(name_given))
    said.set("seed", config.whole("seed", -INT32, INT32 - 1), config.path("seed"))
    name = config.spelled("candidate_count", "candidateCount")
    config.only(name, (1,), "must be 1; ask for more pictures with n.")
    name = config.spelled("response_modalities", "responseModalities")
    words = {word.upper() for word in config.texts(name)}
    if words and (words - {"IMAGE", "TEXT"} or "IMAGE" not in words):
        config.refuse(name, "must be IMAGE and TEXT: these models make pictures.")


def _image_config(config: Fields, said: _Said) -> None:
    name = config.spelled("aspect_ratio", "aspectRatio")
    said.set("aspect", config.text(name, most=64), config.path(name))
    name = config.spelled("image_size", "imageSize")
    said.set("size", config.text(name, most=64), config.path(name))


def _safety(body: Fields, name: str) -> dict[str, str] | None:
    found: dict[str, str] = {}
    for number, item in enumerate(body.items(name)):
        entry = body.entry(f"{body.path(name)}[{number}]", item)
        if entry is None:
            continue
        category = entry.text("category", most=80)
        threshold = entry.text("threshold", most=80)
        if category is None or threshold is None:
            body.problem(entry.path("category"), item, "needs a category and a threshold.")
        elif found.setdefault(category, threshold) != threshold:
            body.problem(entry.path("category"), category, "is given twice.")
    return found or None


def search_of(body: Fields, name: str) -> str | None:
    """The kind of grounding that a list of tools asks for: Google's search is the only tool."""
    kind: str | None = None
    for number, item in enumerate(body.items(name)):
        entry = body.entry(f"{body.path(name)}[{number}]", item)
        if entry is None:
            continue
        spelled = next((n for n in ("google_search", "googleSearch") if n in entry), None)
        if spelled is None:
            for other in entry.names:
                entry.raw(other)
            body.problem(
                f"{body.path(name)}[{number}]",
                item,
                "is no tool of these models; they can search: {'google_search': {}}.",
            )
            continue
        search = entry.group(spelled)
        types = search.group(search.spelled("search_types", "searchTypes"))
        with_images = types.spelled("image_search", "imageSearch") in types
        types.spelled("web_search", "webSearch")
        kind = "images" if with_images else "web"
    return kind


def _own(own: Fields, said: _Said) -> dict[str, Any]:
    """Our own object; what is left over is about the answer's form."""
    for name in ("strict", "fresh", "allow_downgrade", "include_thoughts", "protect"):
        said.set(name, own.flag(name), own.path(name))
    said.set("ground", own.choice("ground", _GROUNDS), own.path("ground"))
    said.set("thinking", _lower(own.text("thinking", most=64)), own.path("thinking"))
    said.set("system", own.text("system"), own.path("system"))
    said.set("tier", own.choice("tier", _TIERS), own.path("tier"))
    said.set("seed", own.whole("seed", -INT32, INT32 - 1), own.path("seed"))
    said.set("feather", own.whole("feather", 0, 256), own.path("feather"))
    said.set("temperature", own.number("temperature", 0, 2), own.path("temperature"))
    said.set("top_p", own.number("top_p", 0, 1), own.path("top_p"))
    for name in ("tags", "fallback", "casts"):
        said.set(name, own.texts(name), own.path(name))
    said.set("max_cost", _dollars(own), own.path("max_cost"))
    return {"images": own.choice("images", ("parts", "markdown"))}


def _dollars(own: Fields) -> int | None:
    value = own.raw("max_cost")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        own.refuse("max_cost", 'must be dollars, such as "0.30".')
        return None
    try:
        return parse_dollars(str(value))
    except ValueError as error:
        own.refuse("max_cost", f"{error}.")
        return None


def _lower(text: str | None) -> str | None:
    return text.lower() if text else text
