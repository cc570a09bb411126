"""How much work a piece of code does, counted in lines of Python it runs and not in seconds.

Invariant: the same code on the same input counts the same on every machine, however busy; what a
debugger or a coverage tool had set is set again afterwards.
"""

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, TypeVar

T = TypeVar("T")


class TooMuchWork(AssertionError):
    """More lines ran than were allowed."""


def within(lines: int, work: Callable[[], T]) -> T:
    """What `work` returns, if it runs no more than so many lines of Python in this thread.

    Each turn of a loop counts anew. What libraries do in C counts as the line that asked for it.

    Raises:
        TooMuchWork: it ran more; it was stopped there.
    """
    ran = 0

    def count(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal ran
        del frame, argument
        ran += event == "line"
        if ran > lines:
            raise TooMuchWork(f"more than {lines} lines of Python ran")
        return count

    before = sys.gettrace()
    sys.settrace(count)
    try:
        return work()
    finally:
        sys.settrace(before)
