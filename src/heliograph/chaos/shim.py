"""Puts something of ours between Python and the operating system, for a while.

Invariant: only what the standard library offers is replaced, never anything of the client, and
only in a process that ends with the trial.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any


@dataclass(frozen=True)
class Shim:
    """A function that stands in for another one."""

    owner: ModuleType
    name: str
    stand_in: Callable[..., Any]


@contextmanager
def in_place(*shims: Shim) -> Iterator[None]:
    """Let the shims answer meanwhile."""
    real = [(shim, getattr(shim.owner, shim.name)) for shim in shims]
    for shim in shims:
        setattr(shim.owner, shim.name, shim.stand_in)
    try:
        yield
    finally:
        for shim, function in real:
            setattr(shim.owner, shim.name, function)
