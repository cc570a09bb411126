"""Work in numbers that are the same on every machine: lines that ran, and calls in their order.

Invariant: what was set before for tracing is set again, so that a debugger or a measurement of
coverage goes on.
"""

import asyncio
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any


@dataclass
class Lines:
    """How many lines of some modules ran; a loop counts each of its turns."""

    count: int = 0


@contextmanager
def lines_of(*modules: str) -> Iterator[Lines]:
    """Count the lines of these modules, and of those below them, that run meanwhile.

    Those of this thread, of threads that it starts, and of those in which a running event loop
    lets functions run; the loop gets new ones for that.

    Args:
        modules: such as "heliograph.server.documents".
    """
    found = Lines()

    def inside(_: FrameType, event: str, __: Any) -> Any:
        if event == "line":
            found.count += 1
        return inside

    def begin(frame: FrameType, _: str, __: Any) -> Any:
        name = frame.f_globals.get("__name__", "")
        return inside if any(name == m or name.startswith(f"{m}.") for m in modules) else None

    with _new_threads():
        before, of_others = sys.gettrace(), threading.gettrace()
        threading.settrace(begin)
        sys.settrace(begin)
        try:
            yield found
        finally:
            sys.settrace(before)
            threading.settrace(of_others)


@contextmanager
def _new_threads() -> Iterator[None]:
    """Of a running event loop, if there is one; afterwards it has others again."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        yield
        return
    ours = ThreadPoolExecutor()
    loop.set_default_executor(ours)
    try:
        yield
    finally:
        loop.set_default_executor(ThreadPoolExecutor())
        ours.shutdown(wait=False)


@contextmanager
def called() -> Iterator[set[str]]:
    """The names of all functions that are called meanwhile, in the threads of `lines_of`."""
    found: set[str] = set()

    def note(frame: FrameType, event: str, argument: Any) -> None:
        if event == "call":
            found.add(frame.f_code.co_qualname)
        elif event == "c_call":
            found.add(argument.__qualname__)

    with _new_threads():
        before, of_others = sys.getprofile(), threading.getprofile()
        threading.setprofile(note)
        sys.setprofile(note)
        try:
            yield found
        finally:
            sys.setprofile(before)
            threading.setprofile(of_others)


def calls_of(work: Callable[[], object]) -> list[str]:
    """The names of all functions, Python's and C's, that some work calls, in their order."""
    found: list[str] = []

    def note(frame: FrameType, event: str, argument: Any) -> None:
        if event == "call":
            found.append(frame.f_code.co_qualname)
        elif event == "c_call":
            found.append(argument.__qualname__)

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(before)
    return found[:-1]  # the last one is `setprofile`
