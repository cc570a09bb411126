"""The prompts one can use by name: those that come along, and the user's own.

Own prompts are files `NAME.toml` in a folder beside the library, one may edit them by hand; word
lists are beside them. An own prompt stands before a starter of the same name.

Invariant: a name never leads out of the folder, and nothing is overwritten unless that is asked.
"""

import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory

from heliograph.errors import InvalidRequest, Problem, RecordNotFound
from heliograph.placing import place
from heliograph.prompts.reading import (
    SUFFIXES,
    is_document,
    nearest,
    parse_document,
    read_document,
)
from heliograph.prompts.template import Template, read_template, to_toml
from heliograph.prompts.words import WordLists

STARTER = "starter"
YOURS = "yours"
SUFFIX = ".toml"
_NAME = re.compile(r"\w[\w-]{0,63}")


class Collection:
    """The prompts and word lists of one library.

    Args:
        home: folder of the library; what is missing in it is made when something is saved.
    """

    def __init__(self, home: Path) -> None:
        self.folder = home / "prompts"
        self.lists = WordLists(home / "wildcards")

    def names(self) -> tuple[str, ...]:
        """The names of all prompts, sorted."""
        return tuple(sorted({*self._own(), *_starters()}))

    def find(self, word: str) -> Template:
        """A prompt by its name, or by the path of a TOML, YAML or JSON file.

        Raises:
            RecordNotFound: there is no such prompt.
            InvalidRequest: its file cannot be used; lists every problem.
        """
        path = Path(word)
        if is_document(path) or "/" in word or "\\" in word:
            return read_template(read_document(path), name=path.stem[:64], origin=word)
        if own := self._own().get(word):
            return read_template(read_document(own), name=word, origin=YOURS)
        if word in _starters():
            document = parse_document(_starters()[word], Path(f"{word}{SUFFIX}"))
            return read_template(document, name=word, origin=STARTER)
        near = ", ".join(nearest(word, self.names()))
        raise RecordNotFound(
            f"There is no prompt called {word[:64]!r}.",
            why=f"Nearest: {near}.",
            remedy="`heliograph prompts list` shows all; a file needs its ending "
            f"({', '.join(SUFFIXES)}).",
        )

    def all(self) -> tuple[tuple[Template, ...], tuple[InvalidRequest, ...]]:
        """Every prompt, own ones first, and what is wrong with files that cannot be read."""
        own = self._own()
        found, wrong = list[Template](), list[InvalidRequest]()
        for name in (*sorted(own), *(n for n in _starters() if n not in own)):
            try:
                found.append(self.find(name))
            except InvalidRequest as error:
                problem = Problem(
                    field="prompts",
                    value=str(own.get(name, name)),
                    message=f"cannot be used: {error.why}",
                )
                wrong.append(InvalidRequest([problem]))
        return tuple(found), tuple(wrong)

    def save(self, template: Template, *, force: bool = False) -> Path:
        """Write a prompt as a file of the user's, whole or not at all.

        Raises:
            WouldOverwrite: there is one of that name, and `force` is not set.
            InvalidRequest: the name cannot be used.
            StorageError: the folder cannot be written.
        """
        if not _NAME.fullmatch(template.name):
            plain = re.sub(r"[^\w-]+", "-", template.name).strip("-_")[:64] or "my-prompt"
            message = "is no name: letters, digits, - and _, 64 at most"
            raise InvalidRequest(
                [Problem(field="name", value=template.name, message=message, nearest=(plain,))]
            )
        with TemporaryDirectory(prefix="heliograph-") as scratch:
            made = Path(scratch) / "prompt"
            text = to_toml(template)
            # what is kept can be used: wrong places and braces are found now
            document = parse_document(text, Path(f"{template.name}{SUFFIX}"))
            read_template(document, name=template.name, origin=template.name)
            made.write_text(text, encoding="utf-8")
            return place(made, self.folder / f"{template.name}{SUFFIX}", force=force)

    def _own(self) -> dict[str, Path]:
        if not self.folder.is_dir():
            return {}
        paths = (p for p in self.folder.iterdir() if p.suffix == SUFFIX)
        return {p.stem: p for p in paths if _NAME.fullmatch(p.stem)}


def matches(template: Template, search: str) -> bool:
    """Whether every word of the search stands somewhere in a template, in any case."""
    text = "\n".join(_searched(template)).casefold()
    return all(word in text for word in search.casefold().split())


def _searched(template: Template) -> Iterator[str]:
    yield from (template.name, template.title, template.about, template.text, *template.tags)
    for variable in template.variables:
        yield from (variable.name, variable.help, variable.default or "", *variable.choices)


def _starters() -> dict[str, str]:
    folder = files("heliograph.prompts").joinpath("starter")
    found = {p.name.removesuffix(SUFFIX): p for p in folder.iterdir() if p.name.endswith(SUFFIX)}
    return {name: found[name].read_text(encoding="utf-8") for name in sorted(found)}
