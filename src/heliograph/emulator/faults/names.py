"""Other names of faults; invariant: every name leads to one fault, and a name here is not its own.

The contract of the project writes names with underscores and arguments in brackets, and groups some
faults under one name (`reset`, `usage`, `parts`); toxiproxy has words of its own for three of them.
"""

import re
from collections.abc import Mapping

from heliograph.emulator.envelope import misused

ALIASES: Mapping[str, str] = {
    "dup-keys": "duplicate-keys",
    "model-retired": "not-found",
    "down": "refuse",
    "reset-peer": "reset-after-request",
    "limit-data": "cut-json",
}
"""One name for another; the argument stays."""

GROUPS: Mapping[str, Mapping[str, str]] = {
    "reset": {
        "before": "reset-before",
        "after-request": "reset-after-request",
        "after-n-bytes": "reset-after-bytes",
    },
    "usage": {
        "missing": "usage-missing",
        "negative": "usage-negative",
        "huge": "usage-huge",
        "nan": "usage-nan",
    },
    "parts": {
        "thought-first": "thought-first",
        "extra-images": "extra-images",
        "image-only": "image-only",
        "image-first": "image-first",
        "text-only": "text-refusal",
        "thoughts-only": "thoughts-only",
        "link": "image-link",
        "empty": "empty-content",
        "no-candidates": "empty-candidates",
    },
}
"""A name whose argument begins with the fault that is meant."""

_BRACKETS = re.compile(r"([A-Za-z0-9_-]+)\((.*)\)", re.DOTALL)


def written(text: str) -> tuple[str, str]:
    """Name and argument of `NAME`, `NAME:ARG` or `NAME(ARG)`."""
    if found := _BRACKETS.fullmatch(text.strip()):
        return found[1], found[2].strip()
    name, _, arg = text.partition(":")
    return name.strip(), arg.strip()


def resolve(name: str, arg: str) -> tuple[str, str]:
    """The real name behind one, and the argument that is left; unknown names stay as they are."""
    name = name.replace("_", "-")
    if name == "batch":
        raise misused("Fault batch: batches are not served yet, so none can fail; see COVERAGE.md.")
    group = GROUPS.get(name)
    if group is None:
        return ALIASES.get(name, name), arg
    first, _, rest = re.sub("[,=]", ":", arg, count=1).partition(":")
    kind = first.strip().replace("_", "-")
    if kind not in group:
        raise misused(f"Fault {name}: argument {arg[:64]!a} is not one of {', '.join(group)}.")
    return group[kind], rest.strip()


def also_known(name: str) -> list[str]:
    """The other names of a fault."""
    found = [alias for alias, real in ALIASES.items() if real == name]
    for group, kinds in GROUPS.items():
        found += [f"{group}:{kind}" for kind, real in kinds.items() if real == name]
    return found
