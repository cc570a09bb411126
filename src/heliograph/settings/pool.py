"""Keys as text: one key, or several of one or more projects.

Invariant: no message shows any part of a key, and what is shown as a label cannot be one.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from heliograph.errors import ConfigurationError

# The official SDK prefers GOOGLE_API_KEY when both are set; the same key must pay in both.
KEY_NAMES = ("GOOGLE_API_KEY", "GEMINI_API_KEY")
POOL_NAMES = ("GOOGLE_API_KEYS", "GEMINI_API_KEYS")
NAMES = (*POOL_NAMES, *KEY_NAMES)  # the first that a place has is the one that counts

BETWEEN = re.compile(r"[,\r\n]+")
LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}")
LIKE_A_KEY = re.compile(r"AIza|AQ\.", re.IGNORECASE)  # how keys of Google begin
LONG_LABEL = 16  # characters; a longer one that is longer than its key is taken for a key
QUOTES = frozenset("\"'`")
REMEDY = "Write `label=KEY` or `KEY` for each, with commas or line breaks between them."


@dataclass(frozen=True, kw_only=True)
class Key:
    """An API key, whose it is, and where it came from."""

    secret: str = field(repr=False)
    origin: str  # "GEMINI_API_KEY in the environment", "… in .env" …
    project: str = ""  # label of the project that pays, never secret; "" where nobody pays
    note: str | None = None  # something to tell the user, such as a second key that is ignored


def read_key(text: str, origin: str) -> Key:
    """One key, whose project is known by nothing but the key itself.

    Raises:
        ConfigurationError: it holds what cannot be sent as a header.
    """
    secret = text.strip()
    if not _can_be_sent(secret):
        raise ConfigurationError(
            f"The API key from {origin} holds characters that no key has.",
            remedy="Copy it again from AI Studio, without quotes or line breaks.",
        )
    return Key(secret=secret, origin=origin, project=_label_of(secret))


def read_pool(text: str, origin: str) -> tuple[Key, ...]:
    """Several keys, in the order in which they are written; each only once.

    Args:
        text: `label=KEY` or `KEY`, with commas or line breaks between them; keys with one label
            are of one project.

    Raises:
        ConfigurationError: lists every entry that is wrong, by its number.
    """
    entries = [entry.strip() for entry in BETWEEN.split(text) if entry.strip()]
    mistakes = [
        f"entry {number}: {mistake}"
        for number, entry in enumerate(entries, start=1)
        for mistake in _mistakes(entry)
    ]
    if not entries:
        mistakes = ["there is no key in it"]
    if mistakes:
        count = f"{len(mistakes)} mistake{'s' if len(mistakes) != 1 else ''}"
        raise ConfigurationError(
            f"The API keys from {origin} have {count}.",
            why="; ".join(mistakes),
            remedy=REMEDY,
            facts={"mistakes": mistakes},
        )
    kept: dict[str, Key] = {}
    notes: list[str] = []
    for label, secret in map(_parted, entries):
        if secret not in kept:
            kept[secret] = Key(secret=secret, origin=origin, project=label)
        elif kept[secret].project != label:
            used = kept[secret].project
            notes.append(f"One key has the labels {used} and {label}; it is used for {used}.")
    first, *others = kept.values()
    return replace(first, note=" ".join(notes) or None), *others


def read_place(found: Mapping[str, str], place: str) -> tuple[Key, ...]:
    """The keys of one place; what it holds besides is told in the note of the first.

    Args:
        found: what the place holds under any of `NAMES`; at least one.
        place: what to call it, such as "the environment".

    Raises:
        ConfigurationError: what counts there cannot be a key.
    """
    name = next(n for n in NAMES if n in found)
    origin = f"{name} in {place}"
    keys = (
        read_pool(found[name], origin) if name in POOL_NAMES else (read_key(found[name], origin),)
    )
    known = {found[name].strip(), *(key.secret for key in keys)}
    others = [n for n in NAMES if n in found and found[n].strip() not in known]
    if not others:
        return keys
    ignored = f"{' and '.join(others)} {'are' if len(others) > 1 else 'is'} set too and ignored"
    why = ", as in Google's own SDK." if name in KEY_NAMES else f", since {name} is set."
    note = " ".join(filter(None, [f"{ignored}{why}", keys[0].note]))
    return replace(keys[0], note=note), *keys[1:]


def describe_keys(keys: Sequence[Key]) -> str:
    """How many keys there are, where they are from and whose; a line for people."""
    of_each = Counter(key.project for key in keys)
    labels = (f"{label} ({count})" if count > 1 else label for label, count in of_each.items())
    return f"{len(keys)} keys from {keys[0].origin}: {', '.join(labels)}"


def _mistakes(entry: str) -> Iterator[str]:
    """What is wrong with one entry, in words that hold no part of it."""
    label, secret = _parted(entry)
    if not secret.strip("="):
        yield "nothing that can be a key follows the ="
    elif not _can_be_sent(secret) or QUOTES & set(secret):
        yield "the key holds characters that no key has"
    if not LABEL.fullmatch(label):
        yield "the label before the = must be 1 to 32 letters, digits, dots, _ or -"
    elif LIKE_A_KEY.match(label) or LONG_LABEL <= len(label) > len(secret):
        yield "the label before the = looks like a key"


def _parted(entry: str) -> tuple[str, str]:
    label, equals, secret = entry.partition("=")
    return (label.strip(), secret.strip()) if equals else (_label_of(entry), entry)


def _label_of(secret: str) -> str:
    """A label for a key without one; six digits of a sum tell keys apart and give none away."""
    return f"key-{hashlib.sha256(secret.encode()).hexdigest()[:6]}"


def _can_be_sent(secret: str) -> bool:
    """Whether it can stand in a header, for whatever upstream."""
    return bool(secret) and secret.isascii() and secret.isprintable() and " " not in secret
