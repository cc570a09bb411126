"""Word lists for `__name__`: text files with one entry a line.

Invariant: a name never leads out of the folders of lists; a list is read once, and its size is
bounded. A list of the user's stands before one of the same name that comes along.
"""

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from heliograph.errors import InvalidRequest, Problem
from heliograph.prompts.reading import nearest
from heliograph.prompts.wildcard import Option, option

SUFFIX = ".txt"
MOST_BYTES = 1 << 20  # of one list
MOST_ENTRIES = 5000  # of one list, and of all that one `*` stands for
MOST_LISTS = 2000
_SAFE = re.compile(r"[\w*-][\w.*-]*(?:/[\w*-][\w.*-]*)*")


class WordLists:
    """The lists of a folder and those that come along.

    Args:
        folder: the user's own lists; it need not exist.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._known: dict[str, tuple[Option, ...]] = {}
        self._places: dict[str, Traversable] | None = None

    def names(self) -> tuple[str, ...]:
        """The names of all lists, sorted."""
        return tuple(sorted(self._found()))

    def entries(self, name: str) -> Sequence[Option]:
        """The entries of a list; `*` in its name stands for any letters, so for several lists.

        Raises:
            InvalidRequest: there is no such list, it is empty or too large, or no text.
        """
        if name not in self._known:
            self._known[name] = tuple(self._read(name))
        return self._known[name]

    def _read(self, name: str) -> list[Option]:
        places = self._found()
        chosen = [n for n in sorted(places) if n == name or fnmatchcase(n, name)]
        if not chosen or not _SAFE.fullmatch(name):
            raise InvalidRequest(
                [
                    Problem(
                        field="wildcards",
                        value=f"__{name}__",
                        message="is no word list",
                        nearest=tuple(f"__{n}__" for n in nearest(name, sorted(places))),
                    )
                ],
                remedy=f"Lists are files such as {self._example()}, one entry a line; for "
                "underscores that are meant write \\_\\_.",
            )
        entries = [entry for one in chosen for entry in _entries(one, places[one])]
        if not entries or len(entries) > MOST_ENTRIES:
            message = f"has {len(entries)} entries; 1 to {MOST_ENTRIES} can be used"
            raise _problem(name, message)
        return entries

    def _example(self) -> str:
        return str((self._folder or Path("wildcards")) / f"colours{SUFFIX}")

    def _found(self) -> dict[str, Traversable]:
        if self._places is None:
            along = files("heliograph.prompts").joinpath("wordlists")
            places: dict[str, Traversable] = {
                place.name.removesuffix(SUFFIX): place
                for place in along.iterdir()
                if place.name.endswith(SUFFIX)
            }
            if self._folder is not None and self._folder.is_dir():
                for number, path in enumerate(self._folder.rglob(f"*{SUFFIX}")):
                    if number >= MOST_LISTS:
                        message = f"holds more than {MOST_LISTS} lists"
                        raise _problem(str(self._folder), message)
                    name = path.relative_to(self._folder).as_posix().removesuffix(SUFFIX)
                    places[name] = path
            self._places = places
        return self._places


def _entries(name: str, place: Traversable) -> list[Option]:
    try:
        with place.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise _problem(name, f"is larger than {MOST_BYTES} bytes")
        lines = data.decode("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise _problem(name, f"cannot be read ({error})") from error
    meant = (line.strip() for line in lines)
    return [option(line, field=f"__{name}__") for line in meant if line and line[0] != "#"]


def _problem(name: str, message: str) -> InvalidRequest:
    return InvalidRequest([Problem(field="wildcards", value=name, message=message)])
