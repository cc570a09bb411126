"""Documents that hold a prompt: YAML, JSON and TOML, read as data and nothing else.

Invariant: a document is hostile until read: its size and depth are bounded, a name comes once in
a table, and nothing is guessed. YAML has no aliases here, and its values are text as written
(elsewhere `16:9` without quotes is the number 969, and `no` is false); TOML and JSON say themselves
what is text.
"""

import json
import tomllib
from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from heliograph.errors import InvalidRequest, Problem

SUFFIXES = (".toml", ".yaml", ".yml", ".json")
MOST_BYTES = 1 << 18
MOST_DEPTH = 8
MOST_VALUES = 5000
MOST_NEAR = 8  # names in one hint
_SHOWN = 80  # characters of a value in a message
_COMPARED = 60  # characters; comparing long ones is slow, and no name is longer


def is_document(path: Path) -> bool:
    """Whether a file name promises a structured document."""
    return path.suffix.lower() in SUFFIXES


def read_document(path: Path) -> dict[str, Any]:
    """The table at the top of a YAML, JSON or TOML file.

    Raises:
        InvalidRequest: it cannot be read, is too large, or is no such document.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        raise _refused(path, f"cannot be read ({error})") from error
    if len(data) > MOST_BYTES:
        raise _refused(path, f"is larger than {MOST_BYTES} bytes")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _refused(path, f"is no UTF-8 text ({error})") from error
    return parse_document(text, path)


def parse_document(text: str, path: Path) -> dict[str, Any]:
    """Like `read_document`, of a text; the path says its kind and names it in messages."""
    try:
        match path.suffix.lower():
            case ".toml":
                document = tomllib.loads(text)
            case ".json":
                document = json.loads(text, object_pairs_hook=_once)
            case ".yaml" | ".yml":
                document = _yaml(text)
            case _:
                raise _refused(path, f"does not end with {', '.join(SUFFIXES)}")
    except (tomllib.TOMLDecodeError, ValueError) as error:
        raise _refused(path, f"cannot be understood: {error}") from error
    except RecursionError as error:
        raise _refused(path, f"is nested more than {MOST_DEPTH} deep") from error
    if not isinstance(document, dict):
        raise _refused(path, "must be a table with names such as subject and style")
    _check(document, path)
    return document


def nearest(name: str, known: Iterable[str]) -> tuple[str, ...]:
    """Known names by spelling, else the first eight as they come."""
    names = list(known)
    close = get_close_matches(name.lower()[:_COMPARED], names, n=3, cutoff=0.6)
    return tuple(close) or tuple(names[:MOST_NEAR])


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError("a name comes twice in one table")
    return table


def _yaml(text: str) -> Any:
    # loading it takes 20 ms, and most prompts are no YAML
    import yaml

    depth = 0
    try:
        for event in yaml.parse(text, Loader=yaml.BaseLoader):
            if isinstance(event, yaml.AliasEvent):
                raise ValueError("it uses an alias (*name); write the value out")  # noqa: TRY004
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > MOST_DEPTH + 1:
                raise ValueError(f"it is nested more than {MOST_DEPTH} deep")
        loader = yaml.BaseLoader(text)  # makes text, lists and tables, and nothing else
        try:
            node = loader.get_single_node()
            _refuse_twice(node)
            return loader.construct_document(node) if node is not None else None
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error


def _refuse_twice(node: Any) -> None:
    """YAML lets a later name win in silence; nobody means that."""
    if node is None or node.id == "scalar":
        return
    if node.id == "sequence":
        for item in node.value:
            _refuse_twice(item)
        return
    names = [key.value for key, _ in node.value if key.id == "scalar"]
    if len(set(names)) != len(names):
        raise ValueError("a name comes twice in one table")
    for _, value in node.value:
        _refuse_twice(value)


def _check(document: Mapping[str, Any], path: Path) -> None:
    """Depth and number of values, whatever the format was."""
    waiting: list[tuple[Any, int]] = [(document, 1)]
    seen = 0
    while waiting:
        value, depth = waiting.pop()
        seen += 1
        if depth > MOST_DEPTH + 1 or seen > MOST_VALUES:
            bounds = f"more than {MOST_DEPTH} deep or has more than {MOST_VALUES} values"
            raise _refused(path, f"is nested {bounds}")
        if isinstance(value, Mapping):
            waiting += [(v, depth + 1) for v in value.values()]
        elif isinstance(value, list):
            waiting += [(v, depth + 1) for v in value]


class Table:
    """Takes values out of one table by name, and collects what is wrong with all of them.

    Args:
        values: the table.
        where: names it in messages: "prompt", "variables.product".
    """

    def __init__(self, values: Mapping[str, Any], where: str, problems: list[Problem]) -> None:
        self._values = values
        self._where = where
        self._taken: set[str] = set()
        self.problems = problems

    def text(self, name: str) -> str | None:
        """A text, or None when it is not there."""
        value = self.raw(name)
        if value is None or isinstance(value, str):
            return value
        self.problem(name, value, _not_text(value))
        return None

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of texts; one text stands for a list of one."""
        value = self.raw(name)
        values = [] if value is None else value if isinstance(value, list) else [value]
        for one in values:
            if not isinstance(one, str):
                self.problem(name, one, _not_text(one))
        return tuple(one for one in values if isinstance(one, str))

    def number(self, name: str) -> Decimal | None:
        """A number, written as one or as text."""
        value = self.raw(name)
        if value is None:
            return None
        found = decimal(_shown(value)) if not isinstance(value, bool) else None
        if found is None:
            self.problem(name, value, "is no number")
        return found

    def raw(self, name: str) -> Any:
        """The value as it was read."""
        self._taken.add(name)
        return self._values.get(name)

    def has(self, name: str) -> bool:
        """Whether the table names it at all."""
        return name in self._values

    def problem(self, name: str, value: Any, message: str, close: tuple[str, ...] = ()) -> None:
        """Note what is wrong with a value."""
        field = f"{self._where}.{name}" if self._where else name
        self.problems.append(
            Problem(field=field, value=_shown(value), message=message, nearest=close)
        )

    def refuse_others(self) -> None:
        """Note every name that nobody has asked for."""
        for name in self._values:
            if name not in self._taken:
                self.problem(name, self._values[name], "is no known name", self._near(name))

    def _near(self, name: str) -> tuple[str, ...]:
        free = sorted(self._taken - set(self._values))
        return nearest(name, free or sorted(self._taken))


def decimal(text: str) -> Decimal | None:
    """The number that a text says, or None."""
    try:
        found = Decimal(text.strip())
    except InvalidOperation:
        return None
    return found if found.is_finite() else None


def _not_text(value: Any) -> str:
    is_one = not isinstance(value, dict | list)
    return "is not text; put it in quotes" if is_one else "must be text"


def _shown(value: Any) -> str:
    try:
        return str(value)[:_SHOWN]
    except ValueError:  # a number with more digits than Python writes out
        return "(a very long number)"


def _refused(path: Path, message: str) -> InvalidRequest:
    return InvalidRequest([Problem(field="document", value=str(path)[:_SHOWN], message=message)])
