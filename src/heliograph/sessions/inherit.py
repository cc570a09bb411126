"""What a turn takes over from the version it goes on from. Pure.

Invariant: one field is overridden and all others stay; what belongs to one turn alone (its prompt,
its images, its area, its limits and keys) is never taken over.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from heliograph.errors import InvalidRequest, Problem, StorageError
from heliograph.planning import nearest
from heliograph.storage.document import from_document
from heliograph.types import Finish, Record

SHAPE = ("size", "aspect", "pixels", "use")
PLAIN = (
    *("system", "temperature", "top_p", "seed", "thinking", "include_thoughts", "ground"),
    *("stream", "strict", "allow_downgrade", "context"),
)
LISTS = ("tags", "fallback")
INHERITED = ("model", *SHAPE, *PLAIN, "tier", "safety", *LISTS, "finish")


_FLAGS = ("include_thoughts", "stream", "strict", "allow_downgrade")
_NUMBERS = ("temperature", "top_p")


def settings_of(record: Record) -> dict[str, Any]:
    """The settings of a version as options of a request; what makes no sense is left out."""
    facts = {name: v for name, v in record.request.items() if makes_sense(name, v)}
    options: dict[str, Any] = {"model": record.model, "tier": record.tier}
    options |= {name: facts[name] for name in PLAIN if name in facts}
    options |= {name: tuple(facts[name]) for name in LISTS if facts.get(name)}
    if facts.get("safety"):
        options["safety"] = dict(facts["safety"])
    if facts.get("pixels") or facts.get("use"):
        options |= {name: facts[name] for name in ("pixels", "use") if facts.get(name)}
    else:
        options |= {"size": record.size, "aspect": record.aspect}
    options["finish"] = _finish(record.request.get("finish"))
    return {name: value for name, value in options.items() if value is not None}


def makes_sense(name: str, value: object) -> bool:
    """Whether a setting of a record can be meant, by its kind; planning looks at the rest."""
    if value is None:
        return True
    if name in _FLAGS:
        return isinstance(value, bool)
    if name == "seed":
        return type(value) is int
    if name in _NUMBERS:
        return type(value) in (int, float)
    if name in LISTS:
        return isinstance(value, list | tuple) and all(isinstance(each, str) for each in value)
    if name == "safety":
        return isinstance(value, Mapping) and all(isinstance(v, str) for v in value.values())
    if name == "finish":
        return isinstance(value, Mapping) and all(_is_finish(k, v) for k, v in value.items())
    return isinstance(value, str) or name not in (*SHAPE, *PLAIN)


def _finish(said: object) -> Finish:
    """The finish of a record, as far as this version knows what is said of it."""
    named = said if isinstance(said, Mapping) else {}
    known = {name: value for name, value in named.items() if _is_finish(name, value)}
    return from_document(Finish, known)


def _is_finish(name: str, value: object) -> bool:
    try:
        from_document(Finish, {name: value})
    except StorageError:
        return False
    return True


def inherited(record: Record, given: Mapping[str, Any], drop: Sequence[str] = ()) -> dict[str, Any]:
    """The options of a turn: those given, over those of the version it goes on from.

    A size in pixels or a use says everything about the shape; a ratio or a tier that is given
    replaces what a use or pixels had meant.

    Args:
        given: None is no value: it leaves a setting open, like `drop`.
        drop: settings that are not taken over, by name.

    Raises:
        InvalidRequest: there is no such setting.
    """
    problems = [
        Problem(
            field="drop",
            value=name,
            message="is no setting.",
            nearest=nearest.names(name, INHERITED),
        )
        for name in drop
        if name not in INHERITED
    ]
    if problems:
        raise InvalidRequest(problems)
    drop = (*drop, *(name for name, value in given.items() if value is None))
    given = {name: value for name, value in given.items() if value is not None}
    base = {name: value for name, value in settings_of(record).items() if name not in drop}
    if "pixels" in given or "use" in given:
        base = {name: value for name, value in base.items() if name not in SHAPE}
    elif "size" in given or "aspect" in given:
        # what pixels or a use had come to, since they cannot stand beside a ratio or a tier
        meant = {"size": record.size, "aspect": record.aspect}
        base = {name: value for name, value in base.items() if name not in ("pixels", "use")}
        base = {name: value for name, value in meant.items() if name not in drop} | base
    return {name: v for name, v in base.items() if v is not None} | given
