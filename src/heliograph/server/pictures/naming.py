"""The `Content-Disposition` of a picture, as RFC 6266 and RFC 8187 have it.

Invariant: whatever the name is, the header is ASCII on one line, names no folder, and its suffix is
that of the bytes.
"""

import unicodedata
from urllib.parse import quote

LONGEST = 120  # characters of a name without its suffix
_RESERVED = frozenset('"*/:<>?\\|%')  # separators and what some system takes for one


def disposition(name: str, suffix: str, *, attachment: bool = False) -> str:
    """The header's value.

    Args:
        name: what the file shall be called; a suffix that a picture can have is replaced.
        suffix: of the bytes, with its dot.
    """
    stem = plain(name)
    if stem.lower().endswith((suffix, ".jpg", ".jpeg", ".png", ".webp", ".avif")):
        stem = stem.rpartition(".")[0].rstrip(". ")
    stem = stem or "picture"
    how = "attachment" if attachment else "inline"
    short = unicodedata.normalize("NFKD", stem).encode("ascii", "ignore").decode()
    value = f'{how}; filename="{plain(short) or "picture"}{suffix}"'
    if not stem.isascii():
        value += f"; filename*=UTF-8''{quote(stem + suffix, safe='')}"
    return value


def plain(name: str) -> str:
    """A name without controls, marks that turn the direction of writing, and separators."""
    kept = "".join(
        "_" if letter in _RESERVED else letter
        for letter in unicodedata.normalize("NFC", name[: 4 * LONGEST])
        # controls, format characters such as marks of direction, surrogates, line separators
        if unicodedata.category(letter) not in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")
    )
    return " ".join(kept.split()).strip(". ")[:LONGEST].strip(". ")
