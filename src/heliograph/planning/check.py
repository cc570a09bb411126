"""Holds every field of a request against the model's row, one function a field.

Invariant: whatever the values are, a check adds problems or notes and returns something the
next step can work with; it never raises and never stops the others.
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from heliograph.planning import nearest, normalise
from heliograph.planning.catalogue import Catalogue, Model, PriceRow, Safety
from heliograph.planning.findings import Findings
from heliograph.planning.price import Inputs
from heliograph.types import Anchor, Finish, Given, Request

_TEXTS = ("model", "size", "aspect", "pixels", "use", "system", "thinking", "tier", "ground")
_INT32 = 2**31
_TAG = re.compile(r"[A-Za-z0-9._-]{1,64}")
_KEY = re.compile(r"[\x21-\x7e]{1,255}")


def kinds(asked: Request, found: Findings) -> Request:
    """`asked` with what is read before planning, or taken apart by it, of the kind that it has to
    be; what is not is a problem, and left out."""
    pictures = (str, Path, bytes)
    given = tuple(each.source if isinstance(each, Given) else each for each in asked.references)
    names = (each for each in asked.references if isinstance(each, Given))
    usable: dict[str, Any] = {}

    def needs(name: str, value: object, message: str, *, good: bool, instead: object) -> None:
        if not good:
            found.problem(name, value, message)
            usable[name] = instead

    for name in ("session", "follows", "context"):
        said: object = getattr(asked, name)
        good = said is None or isinstance(said, str)
        needs(name, said, "must be text, or be left out", good=good, instead=None)
    for name in ("base", "mask"):
        said = getattr(asked, name)
        good = said is None or isinstance(said, pictures)
        needs(name, said, "must be a file or its bytes", good=good, instead=None)
    good = all(isinstance(each, pictures) for each in given)
    good = good and all(_is_text(n) for each in names for n in (each.role, each.name))
    message = "must be files, their bytes, or Given with a role and a name"
    needs("references", asked.references, message, good=good, instead=())
    good = all(isinstance(each, str) for each in asked.casts)
    needs("casts", asked.casts, "must be names", good=good, instead=())
    message = "must be four whole numbers of pixels: x, y, width, height"
    needs("region", asked.region, message, good=_is_region(asked.region), instead=None)
    good = asked.feather is None or type(asked.feather) is int
    needs("feather", asked.feather, "must be a whole number of px", good=good, instead=None)
    rules: object = asked.safety
    good = isinstance(rules, Mapping) and all(
        isinstance(v, str) for pair in rules.items() for v in pair
    )
    message = "must be thresholds by category, all of them text"
    needs("safety", rules, message, good=good, instead={})
    finish: object = asked.finish
    good = isinstance(finish, Finish) and isinstance(finish.anchor, Anchor)
    needs("finish", finish, "must be a Finish, its anchor an Anchor", good=good, instead=Finish())
    return replace(asked, **usable)


def _is_text(value: object) -> bool:
    return value is None or isinstance(value, str)


def _is_region(value: object) -> bool:
    if not isinstance(value, tuple | list):
        return value is None
    return len(value) == len(("x", "y", "width", "height")) and all(type(v) is int for v in value)


def typed(asked: Request, found: Findings) -> Request:
    """`asked` with text in every text field; what is no text, or empty, is a problem."""
    asked = kinds(asked, found)
    usable: dict[str, Any] = {}
    for name in _TEXTS:
        value: object = getattr(asked, name)
        if value is not None and not (isinstance(value, str) and value.strip()):
            found.problem(name, value, "must be text that says something, or be left out")
            usable[name] = None
    prompt_given: object = asked.prompt
    if not isinstance(prompt_given, str):
        found.problem("prompt", prompt_given, "must be text")
        usable["prompt"] = "?"
    kind: object = asked.finish.format
    if kind is not None and not isinstance(kind, str):
        found.problem("format", kind, "must be text")
        usable["finish"] = replace(asked.finish, format=None)
    return replace(asked, **usable)


def model(asked: str, facts: Catalogue, found: Findings, fallback: str) -> Model:
    """The model to plan with; a live stand-in for the other checks when `asked` is none."""
    row = facts.models.get(asked)
    if row is None:
        found.problem("model", asked, "is no known image model.", _closest_models(asked, facts))
        return facts.models[fallback]
    if row.status == "retired":
        found.problem(
            "model", asked, f"was shut down on {row.shut_down}.", filter(None, [row.replacement])
        )
    elif facts.price(row.id) is None:
        found.unpriced = True
        found.problem(
            "model",
            asked,
            "has no dated price, so its cost could not be known.",
            filter(None, [row.replacement]),
        )
    elif row.status == "unsupported":
        found.problem("model", asked, "is not supported.", filter(None, [row.replacement]))
    else:
        if row.shut_down:
            found.note(f"{row.id} will be shut down on {row.shut_down}.")
        return row
    return facts.models[row.replacement or fallback]


def _closest_models(asked: str, facts: Catalogue) -> tuple[str, ...]:
    """Live ids whose id or name, or whose predecessor's, is spelled nearly like `asked`."""
    means = {}
    for row in facts.models.values():
        usable = row.id if row.status == "live" else row.replacement or row.id
        means[row.id] = means[row.name] = usable
    return nearest.names(asked, means)


def prompt(asked: Request, model: Model, inputs: Inputs, found: Findings) -> None:
    """Prompt and system instruction: there is one, it can be sent, and it is not too long.

    Args:
        inputs: what goes in in all, earlier turns included.
    """
    if not asked.prompt.strip():
        found.problem("prompt", asked.prompt, "is empty")
    for name in ("prompt", "system"):
        _sendable(name, getattr(asked, name) or "", found)
    if asked.system and not model.can.system:
        found.problem("system", asked.system, f"{model.id} takes no system instruction")
    tokens = inputs.text_tokens + inputs.references * (model.tokens.input_image or 0)
    if tokens > model.can.input_tokens:
        found.problem(
            "prompt",
            asked.prompt,
            f"is about {tokens} tokens with its references, and {model.id} reads at most "
            f"{model.can.input_tokens}",
        )


def _sendable(name: str, text: str, found: Findings) -> None:
    kinds = {unicodedata.category(c) for c in set(text) if c not in "\n\r\t"}
    if "Cs" in kinds:
        found.problem(name, text, "has half a surrogate pair, which cannot be sent as UTF-8")
    if "Cc" in kinds:
        # No more than a note: it can be meant, and it can be sent.
        found.note(f"The {name} has control characters.")


def size(asked: Request, model: Model, found: Findings) -> str | None:
    """The asked size tier, or None when there is none or it is not the model's."""
    known = model.can.sizes
    if asked.size is None or asked.size in known:
        return asked.size
    found.problem(
        "size",
        asked.size,
        f"{model.id} makes {', '.join(known)}.",
        nearest.sizes(asked.size, known),
    )
    return None


def aspect(asked: Request, model: Model, found: Findings) -> str | None:
    """The asked ratio, or None when there is none or it is not the model's."""
    known = model.can.ratios
    if asked.aspect is None or asked.aspect in known:
        return asked.aspect
    found.problem(
        "aspect",
        asked.aspect,
        f"{model.id} makes {', '.join(known)}; for an exact size ask for pixels.",
        nearest.ratios(asked.aspect, known),
    )
    return None


def tier(asked: Request, row: PriceRow | None, facts: Catalogue, found: Findings) -> str:
    """The service tier; standard stands in for one that is not listed."""
    wanted = asked.tier or "standard"
    listed = tuple(row.tiers) if row else ("standard",)
    if wanted not in listed:
        if wanted in facts.tiers:
            message = f"is not listed for {row.model if row else 'this model'}."
            found.problem("tier", wanted, message, listed)
        else:
            found.problem("tier", wanted, "is no service tier.", nearest.names(wanted, listed))
        return "standard"
    if wanted != "standard":
        found.note(f"The {wanted} tier {_within(facts.tiers[wanted].behaviour)}")
    return wanted


def _within(sentence: str) -> str:
    """A sentence as the rest of another one."""
    return sentence[0].lower() + sentence[1:]


def thinking(asked: Request, model: Model, found: Findings) -> str | None:
    """The thinking level to send, or None to leave the model's default."""
    level, known = asked.thinking, model.can.thinking_levels
    if asked.include_thoughts and model.can.thinking == "none":
        found.note(f"{model.id} does not think, so there are no thoughts to include.")
    if level is None:
        return None
    if level not in known:
        has = f"{model.id} has {', '.join(known)}." if known else f"{model.id} has no levels."
        found.problem("thinking", level, has, nearest.levels(level, known))
        return None
    if model.can.thinking == "always":
        found.note(f"{model.id} accepts a thinking level, but it has no effect.")
    return level


def ground(asked: Request, model: Model, facts: Catalogue, found: Findings) -> str | None:
    """The kind of search grounding, or None."""
    kind, known = asked.ground, model.can.grounding
    if kind is None or kind in known:
        return kind
    others = [m.id for m in facts.live if kind in m.can.grounding]
    has = f"{model.id} can ground with {' and '.join(known) or 'nothing'}"
    message = f"{has}; {', '.join(others)} can." if others else f"{has}."
    found.problem("ground", kind, message, nearest.names(kind, known))
    return None


def safety(asked: Mapping[str, str], facts: Safety, found: Findings) -> dict[str, str]:
    """Category → threshold in the API's spelling."""
    result: dict[str, str] = {}
    for given, wanted in asked.items():
        category = normalise.category(given, facts.categories)
        threshold = normalise.threshold(wanted, facts.thresholds)
        if category not in facts.categories:
            short = {c.removeprefix("HARM_CATEGORY_"): c for c in facts.categories}
            close = nearest.names(given.upper().removeprefix("HARM_CATEGORY_"), short)
            found.problem("safety", given, "is no harm category of the Gemini API.", close)
        elif category in facts.deprecated:
            found.note(f"{category} is deprecated.")
        if threshold not in facts.thresholds:
            close = nearest.names(threshold, facts.thresholds)
            found.problem("safety", f"{given}={wanted}", "is no threshold.", close)
        if result.setdefault(category, threshold) != threshold:
            found.problem("safety", given, "is given twice with different thresholds")
    return result


def sampling(asked: Request, found: Findings) -> None:
    """Temperature, top_p, seed and the cost limit."""
    if asked.temperature is not None:
        _fraction("temperature", asked.temperature, found)
        found.note("temperature is deprecated since 2026-07-21; the default of 1 is best kept.")
    if asked.top_p is not None:
        _fraction("top_p", asked.top_p, found)
        found.note("top_p is deprecated since 2026-07-21; the default of 0.95 is best kept.")
    if asked.seed is not None:
        whole("seed", asked.seed, -_INT32, _INT32 - 1, found)
    if asked.max_cost is not None:
        whole("max_cost", asked.max_cost, 0, 10**12, found)


def _fraction(name: str, value: object, found: Findings) -> None:
    if not isinstance(value, int | float) or isinstance(value, bool) or value != value:
        found.problem(name, value, "must be a number from 0 to 1")
    elif not 0 <= value <= 1:
        found.problem(name, value, "must be from 0 to 1", ["0" if value < 0 else "1"])


def whole(name: str, value: object, low: int, high: int, found: Findings) -> None:
    """A problem unless `value` is a whole number in range."""
    if not isinstance(value, int) or isinstance(value, bool):
        found.problem(name, value, f"must be a whole number from {low} to {high}")
    elif not low <= value <= high:
        limit = str(low if value < low else high)
        found.problem(name, value, f"must be from {low} to {high}", [limit])


def is_tag(text: str) -> bool:
    """Whether a text can be a tag: 1 to 64 of a-z, A-Z, 0-9, dot, dash, underscore."""
    return _TAG.fullmatch(text) is not None


def labels(asked: Request, found: Findings) -> None:
    """Tags and the idempotency key: they end up in file names, reports and headers."""
    for tag in asked.tags:
        given: object = tag
        if not isinstance(given, str) or not is_tag(given):
            found.problem("tags", given, "must be 1 to 64 of a-z, A-Z, 0-9, dot, dash, underscore")
    key: object = asked.idempotency_key
    if key is not None and not (isinstance(key, str) and _KEY.fullmatch(key)):
        found.problem("idempotency_key", key, "must be 1 to 255 visible ASCII characters")
    for name in asked.fallback:
        model_name: object = name
        if not isinstance(model_name, str) or not model_name.strip():
            found.problem("fallback", model_name, "must be the name of a model")
