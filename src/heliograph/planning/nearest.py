"""The valid values nearest to one that is not valid: by meaning where it can be measured
(sizes, ratios, levels), by spelling elsewhere.

Invariant: everything returned is valid, nearest first, and never empty while there is a
valid value at all.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches

_LEVELS = ("none", "minimal", "low", "medium", "high", "xhigh")
_COMPARED = 60  # characters; difflib is slow on long texts, and no name is longer


def names(value: str, known: Iterable[str] | Mapping[str, str]) -> tuple[str, ...]:
    """Known names by spelling; a mapping gives what each spelling stands for."""
    means = known if isinstance(known, Mapping) else {name: name for name in known}
    lower: dict[str, str] = {spelling.lower(): name for spelling, name in means.items()}
    close = get_close_matches(value.lower()[:_COMPARED], lower, n=5, cutoff=0.6)
    return tuple(dict.fromkeys(lower[c] for c in close)) or tuple(dict.fromkeys(means.values()))


def sizes(value: str, known: Sequence[str]) -> tuple[str, ...]:
    """Sizes by the edge they mean; the largest first when `value` means none."""
    edge = _edge(value)
    if not edge:
        return tuple(reversed(known))
    return tuple(sorted(known, key=lambda s: abs(math.log(_edge(s) / edge))))


def ratios(value: str, known: Sequence[str]) -> tuple[str, ...]:
    """The three nearest in shape; all of them when `value` is no ratio."""
    shape = _shape(value)
    if not shape:
        return tuple(known)
    return tuple(sorted(known, key=lambda r: abs(math.log(_shape(r) / shape))))[:3]


def levels(value: str, known: Sequence[str]) -> tuple[str, ...]:
    """Thinking levels by strength, else by spelling."""
    word = {"off": "none", "max": "xhigh"}.get(value, value)
    if word not in _LEVELS:
        return names(value, known)
    strength = _LEVELS.index(word)
    return tuple(sorted(known, key=lambda k: abs(_LEVELS.index(k) - strength)))


def _edge(text: str) -> float:
    """The edge in pixels that a size means, or 0."""
    found = re.fullmatch(r"([0-9]{1,6}(?:\.[0-9]{1,3})?)(K?)", text)
    return float(found[1]) * (1024 if found[2] else 1) if found else 0.0


def _shape(text: str) -> float:
    """Width by height, or 0."""
    pair = re.fullmatch(r"([0-9]{1,6}):([0-9]{1,6})", text)
    if pair:
        return int(pair[1]) / int(pair[2]) if int(pair[2]) else 0.0
    return float(text) if re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,9})?", text) else 0.0
