"""Reads the members of a request body one by one, by type, and remembers which were asked for.

Invariant: nothing here raises before the end, so that all problems are listed together; a member
that no reader asked for is a problem, too. In JSON a number is a number: `"1"` and `true` are none.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from heliograph.errors import InvalidRequest, Problem
from heliograph.planning import nearest
from heliograph.server.native.reading import read_json

SHOWN = 80  # characters of a wrong value that are repeated to the reader
LONGEST_TEXT = 4 << 20  # characters of one text
MOST_ITEMS = 256  # of one list
_WHOLE = re.compile(r"-?[0-9]{1,18}")
_NUMBER = re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,18})?")
_FLAGS = {"true": True, "false": False}


class Fields:
    """The members of one JSON object, or of a form.

    Args:
        given: the members; those that are null count as left out.
        path: the name of the object, for messages; "" for the body itself.
        is_form: numbers and truth values come as text.
        problems: what is wrong so far; shared with the objects within.
    """

    def __init__(
        self,
        given: Mapping[str, Any],
        *,
        path: str = "",
        is_form: bool = False,
        problems: list[Problem] | None = None,
    ) -> None:
        self._given = {name: value for name, value in given.items() if value is not None}
        self._path = path
        self._is_form = is_form
        self.problems: list[Problem] = [] if problems is None else problems
        self._known: dict[str, None] = {}
        self._within: list[Fields] = []

    def __contains__(self, name: str) -> bool:
        return name in self._given

    @property
    def names(self) -> tuple[str, ...]:
        """Every member that is given."""
        return tuple(self._given)

    def spelled(self, *names: str) -> str:
        """The first of several spellings that is given, else the first one."""
        self._known |= dict.fromkeys(names)
        found = [name for name in names if name in self._given]
        for name in found[1:]:
            self.refuse(name, f"is {found[0]} once more; give one of them.")
        return found[0] if found else names[0]

    def raw(self, name: str) -> Any:
        """A member as it is, for a reader of its own."""
        self._known[name] = None
        return self._given.get(name)

    def text(self, name: str, *, most: int = LONGEST_TEXT) -> str | None:
        """A text, or None."""
        value = self.raw(name)
        if value is None:
            return None
        if not isinstance(value, str):
            self.refuse(name, "must be text.")
            return None
        if len(value) > most:
            self.refuse(name, f"has {len(value)} characters, and at most {most} are read.")
            return None
        return value

    def flag(self, name: str) -> bool | None:
        """True, False or None."""
        value = self.raw(name)
        if self._is_form and isinstance(value, str):
            value = _FLAGS.get(value.lower(), value)
        if value is None or isinstance(value, bool):
            return value
        self.refuse(name, "must be true or false.", ("true", "false"))
        return None

    def whole(self, name: str, low: int, high: int) -> int | None:
        """A whole number in range, or None."""
        value = self.raw(name)
        if self._is_form and isinstance(value, str) and _WHOLE.fullmatch(value):
            value = int(value)
        if isinstance(value, float) and value.is_integer():
            value = int(value)  # in JSON 4.0 is the same whole number as 4
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            self.refuse(name, f"must be a whole number from {low} to {high}.", (str(low),))
            return None
        return value

    def number(self, name: str, low: float, high: float) -> float | None:
        """A number in range, or None."""
        value = self.raw(name)
        if self._is_form and isinstance(value, str) and _NUMBER.fullmatch(value):
            value = float(value)
        if value is None:
            return None
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not math.isfinite(value) or not low <= value <= high:
            self.refuse(name, f"must be a number from {low:g} to {high:g}.")
            return None
        return float(value)

    def choice(self, name: str, known: Sequence[str]) -> str | None:
        """One of a few words, or None."""
        value = self.text(name, most=LONGEST_TEXT)
        if value is None or value in known:
            return value
        self.refuse(name, f"must be one of {', '.join(known)}.", nearest.names(value, known))
        return None

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of texts; one text alone is a list of one."""
        value = self.raw(name)
        if value is None:
            return ()
        items = [value] if isinstance(value, str) else value
        if (
            not isinstance(items, list)
            or len(items) > MOST_ITEMS
            or not all(isinstance(item, str) for item in items)
        ):
            self.refuse(name, f"must be a list of at most {MOST_ITEMS} texts.")
            return ()
        return tuple(items)

    def items(self, name: str) -> tuple[Any, ...]:
        """A list of anything."""
        value = self.raw(name)
        if value is None:
            return ()
        if not isinstance(value, list) or len(value) > MOST_ITEMS:
            self.refuse(name, f"must be a list of at most {MOST_ITEMS}.")
            return ()
        return tuple(value)

    def group(self, name: str) -> "Fields":
        """An object within; an empty one where there is none."""
        value = self.raw(name)
        if self._is_form and isinstance(value, str):
            value = _object(value)
        if value is not None and not isinstance(value, dict):
            self.refuse(name, "must be an object.")
            value = None
        found = Fields(
            value or {}, path=self.path(name), is_form=self._is_form, problems=self.problems
        )
        self._within.append(found)
        return found

    def entry(self, name: str, value: Any) -> "Fields | None":
        """An object in a list, read like a group; None, with a problem, when it is none."""
        if not isinstance(value, dict):
            self.problem(name, value, "must be an object.")
            return None
        found = Fields(value, path=name, is_form=self._is_form, problems=self.problems)
        self._within.append(found)
        return found

    def only(self, name: str, asks_nothing: Iterable[Any], why: str) -> None:
        """A member that is taken only with the values that ask for nothing."""
        value = self.raw(name)
        if value is not None and not any(_is_same(value, each) for each in asks_nothing):
            self.refuse(name, why)

    def refuse(self, name: str, message: str, near: Iterable[str] = ()) -> None:
        """Add a problem with a member."""
        self.problem(self.path(name), self._given.get(name), message, near)

    def problem(self, field: str, value: object, message: str, near: Iterable[str] = ()) -> None:
        """Add a problem with anything."""
        self.problems.append(
            Problem(field=field, value=shown(value), message=message, nearest=tuple(near))
        )

    def path(self, name: str) -> str:
        """How a member is called in messages."""
        return f"{self._path}.{name}" if self._path else name

    def refuse_unknown(self) -> None:
        """A problem for every member that nobody asked for, here and within."""
        for name in self._given:
            if name not in self._known:
                close = nearest.names(name, tuple(self._known)) if self._known else ()
                self.refuse(
                    name,
                    "is no parameter that is known here; "
                    f"those are {', '.join(sorted(self._known)) or 'none'}.",
                    close[:3],
                )
        for each in self._within:
            each.refuse_unknown()

    def check(self) -> None:
        """Raise what has been found.

        Raises:
            InvalidRequest: lists every problem.
        """
        self.refuse_unknown()
        if self.problems:
            raise InvalidRequest(self.problems)


def shown(value: object) -> str:
    """A value short and clean enough for a message."""
    if isinstance(value, int) and value.bit_length() > 256:
        return "a number of more than 256 bits"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict | list):
        return f"{'an object' if isinstance(value, dict) else 'a list'} of {len(value)}"
    text = value if isinstance(value, str) else repr(value)
    text = text[: SHOWN + 1].encode("utf-8", "replace").decode()
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def _object(text: str) -> Any:
    """An object that a form holds as JSON; the text itself when it is none."""
    try:
        return read_json(text.encode(), "application/json")
    except InvalidRequest:
        return text


def _is_same(value: Any, other: Any) -> bool:
    return isinstance(value, bool) == isinstance(other, bool) and bool(value == other)
