"""Collects everything that is wrong or worth knowing about one request.

Invariant: planning never stops at the first problem; all of them are raised at once.
"""

from collections.abc import Iterable

from heliograph.errors import InvalidRequest, PriceUnknown, Problem
from heliograph.types import Request

SHOWN = 80  # characters of a wrong value that are repeated to the reader


class Findings:
    """Problems and notes of one request, in the order they were found."""

    def __init__(self, given: Request) -> None:
        self._given = given
        self.problems: list[Problem] = []
        self.notes: list[str] = []
        self.unpriced = False

    def problem(self, field: str, value: object, message: str, nearest: Iterable[str] = ()) -> None:
        """Add a problem; the reader sees the value as the caller spelled it."""
        spelled = getattr(self._given, field, getattr(self._given.finish, field, None))
        self.problems.append(
            Problem(
                field=field,
                value=shown(spelled if isinstance(spelled, str) else value),
                message=message.rstrip(".") + ".",
                nearest=tuple(nearest),
            )
        )

    def note(self, sentence: str) -> None:
        self.notes.append(sentence)

    def raise_problems(self) -> None:
        """Raises InvalidRequest (PriceUnknown when a price is missing) if there is a problem."""
        if self.problems:
            raise (PriceUnknown if self.unpriced else InvalidRequest)(self.problems)


def shown(value: object) -> str:
    """A value short and clean enough for a message."""
    if isinstance(value, int) and value.bit_length() > 256:
        return "a number of more than 256 bits"  # Python refuses to print very long ones
    text = value if isinstance(value, str) else repr(value)
    text = text.encode("utf-8", "replace").decode("utf-8")  # lone surrogates cannot be printed
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
