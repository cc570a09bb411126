"""The words that name input images: `[ROLE:][NAME=]IMAGE`, as in `character:hero=hero.png`.

IMAGE is a file, the id of a kept picture, `-` for standard input or `clipboard`. Invariant: a word
that is the name of a file as it stands is that file, whatever is in it; `./` before a file's name
says that it is one, and what stands before that is role and name.
"""

import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from heliograph.cli.clipboard import clipboard_picture
from heliograph.client import AsyncHeliograph
from heliograph.errors import InvalidRequest, Problem
from heliograph.imaging.reference import MAX_BYTES
from heliograph.planning import nearest
from heliograph.planning.wording import NAME
from heliograph.types import ROLES, Given

STDIN, CLIPBOARD = "-", "clipboard"
_ID = re.compile(r"[0-9a-f]{4,32}")
_DRIVE = re.compile(r"[A-Za-z]:[\\/]")
_WORD = re.compile(r"[A-Za-z][A-Za-z _-]{0,30}")
_PLAIN = re.compile(r"[^\s/\\.:]{1,60}")  # what was meant as a name, whether it is one or not


@dataclass(frozen=True, kw_only=True)
class Named:
    """One word, taken apart."""

    source: str
    role: str | None = None
    name: str | None = None


def is_file(word: str) -> bool:
    """Whether there is something of this name in the file system."""
    try:
        return bool(word.strip()) and Path(word).exists()
    except (OSError, ValueError):
        return False


def take_apart(word: str, exists: Callable[[str], bool] = is_file) -> Named:
    """Role, name and source of a word.

    Args:
        exists: whether a file has this name.

    Raises:
        InvalidRequest: there is no such role, the name is none, or no image is named.
    """
    if exists(word):
        return Named(source=word)
    role, rest = _role(word)
    if role is not None and exists(rest):
        return Named(role=role, source=rest)
    name, source = _name(rest, word)
    if not source.strip():
        raise _problem(word, "names no image")
    return Named(role=role, name=name, source=source)


def _role(word: str) -> tuple[str | None, str]:
    head, colon, rest = word.partition(":")
    if not colon or rest.startswith("//") or _DRIVE.match(word) or not _WORD.fullmatch(head):
        return None, word
    if head.lower() in ROLES:
        return head.lower(), rest
    message = f"{head} is no role of an image (a file of that name: ./{word})"
    raise _problem(word, message, nearest.names(head, ROLES))


def _name(rest: str, word: str) -> tuple[str | None, str]:
    head, equals, source = rest.partition("=")
    if not equals or "://" in rest or not _PLAIN.fullmatch(head):
        return None, rest
    if not NAME.fullmatch(head):
        message = f"{head} is no name for an image: a letter, then letters, digits, - and _"
        raise _problem(word, message)
    return head, source


def reads_stdin(words: Sequence[str]) -> bool:
    """Whether one of the words is standard input."""
    return any(word == STDIN or word.endswith((f":{STDIN}", f"={STDIN}")) for word in words)


class Images:
    """Finds what the words of one command name; standard input is read once."""

    def __init__(self, client: AsyncHeliograph) -> None:
        self._client = client
        self._stdin_read = False

    async def references(self, words: Sequence[str]) -> list[Path | bytes | Given]:
        """The images of `-i`, in order.

        Raises:
            InvalidRequest: lists every word that names none.
            RecordNotFound: no kept picture has such an id.
        """
        found: list[Path | bytes | Given] = []
        problems: list[Problem] = []
        for word in words:
            try:
                named = take_apart(word)
                source = await self.source(named.source)
            except InvalidRequest as error:
                problems += error.problems
                continue
            plain = named.role is None and named.name is None
            found.append(
                source if plain else Given(source=source, role=named.role, name=named.name)
            )
        if problems:
            raise InvalidRequest(problems)
        return found

    async def source(self, word: str) -> Path | bytes:
        """One image: a file, or its bytes.

        Raises:
            InvalidRequest: the word names none.
            RecordNotFound: no kept picture has such an id.
        """
        if word == STDIN:
            return self._stdin()
        if word == CLIPBOARD:
            return clipboard_picture()
        if "://" in word:
            message = "addresses are not fetched; download it first and give the file"
            raise _problem(word, message)
        if is_id(word):
            record = await self._client.image(word)
            return await self._client.sessions.picture(record)
        return Path(word)

    def _stdin(self) -> bytes:
        if self._stdin_read:
            raise _problem(STDIN, "is standard input a second time; it can be read once")
        self._stdin_read = True
        if sys.stdin.isatty():
            raise _problem(STDIN, "is the terminal; send a picture into it: cat photo.jpg | …")
        data = sys.stdin.buffer.read(MAX_BYTES + 1)
        if not data:
            raise _problem(STDIN, "is empty; a picture was to come from standard input")
        return data


def is_id(word: str) -> bool:
    """Whether a word is the id of a kept picture, or the beginning of one, and no file."""
    return bool(_ID.fullmatch(word)) and not is_file(word)


def _problem(word: str, message: str, close: Sequence[str] = ()) -> InvalidRequest:
    shown = word if len(word) <= 200 else f"{word[:199]}…"
    return InvalidRequest(
        [Problem(field="image", value=shown, message=message, nearest=tuple(close))]
    )
