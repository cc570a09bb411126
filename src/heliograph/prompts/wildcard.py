"""Wildcards: one text that stands for many, in the syntax that prompt tools share.

    {a|b}             one of them
    {3::a|b}          with weights; without one the weight is 1
    {2$$a|b|c}        two of them, joined by ", "; also {1-2$$…}, {2-$$…}, {-2$$…}
    {2$$ and $$a|b}   with a joiner of one's own
    __name__          one entry of a word list; {2$$__name__} takes two
    \\{ \\} \\| \\_ \\$ \\: \\# \\\\   the character itself

What is taken stays in the order written. Options keep their spaces; a line break beside a brace
or a bar is dropped, with the spaces around it. All of it nests. Braces around a single option
make no choice and are refused: they are most likely meant as braces.

Invariant: the same text, word lists and seed give the same expansion on every machine, and each
expansion is one of `every`. Work, depth and size are bounded, whatever the text says.
"""

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, combinations, product
from typing import NoReturn, Protocol

from heliograph.errors import InvalidRequest, Problem

MOST_CHARACTERS = 100_000  # of a text, and of one expansion
MOST_DEPTH = 20  # groups in groups, and word lists in word lists
MOST_PICKED = 100  # options that one group may take
MOST_STEPS = 600_000  # parts and options looked at for one answer: about a second
COUNTED = 10**12  # as many or more are not told apart
JOINER = ", "

_ESCAPED = re.compile(r"\\([\\{}|_$:#])")
_NEEDS_ESCAPE = re.compile(r"[\\{}|_$:#]")
_PLAIN = re.compile(r"[^\\{}|_]+")
_PLAIN_OUTSIDE = re.compile(r"[^\\{}_]+")
_NAME = re.compile(r"__(?P<name>[\w*](?:(?!__)[\w./*-])*?)__")
_PICK = re.compile(r"\s*(?:(?P<low>\d{1,9})(?P<to>-(?P<high>\d{1,9})?)?|-(?P<most>\d{1,9}))\$\$")
_JOINER = re.compile(r"((?:\\.|[^\\{}|$]|\$(?!\$))*)\$\$", re.DOTALL)
_WEIGHT = re.compile(r"\s*(\d{1,6}(?:\.\d{1,6})?|\.\d{1,6})\s*::")
_BREAK_BEFORE = re.compile(r"\A[^\S\n]*\n\s*")
_BREAK_AFTER = re.compile(r"\s*\n[^\S\n]*\Z")
_LOOKS_WILD = re.compile(r"\{[^{}|]*\||\{\s*[\d-]{1,19}\$\$|" + _NAME.pattern)


@dataclass(frozen=True, kw_only=True)
class Name:
    """A place for one entry of a word list."""

    name: str


@dataclass(frozen=True, kw_only=True)
class Option:
    """One way to go on, and how often against the others."""

    tree: "Tree"
    weight: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Group:
    """A place for some of several options."""

    options: tuple[Option, ...]
    low: int = 1
    high: int | None = 1  # None: all of them
    joiner: str = JOINER
    start: int = 0  # where its brace stands, from 0


@dataclass(frozen=True, kw_only=True)
class Tree:
    """A text taken apart; literal parts are unescaped."""

    parts: tuple[str | Name | Group, ...]
    field: str = "prompt"  # what the text is, for messages

    @property
    def is_plain(self) -> bool:
        """Whether it has no choice to make."""
        return all(isinstance(part, str) for part in self.parts)


class Lists(Protocol):
    """Where word lists come from."""

    def entries(self, name: str) -> Sequence[Option]:
        """The entries of a list; raises InvalidRequest when there is none."""
        ...


class NoLists:
    """No word lists at all."""

    def entries(self, name: str) -> Sequence[Option]:
        raise _refused(f"__{name}__", "is a word list, and there are none here")


NO_LISTS = NoLists()


def parse(text: str, *, field: str = "prompt") -> Tree:
    """Take a text apart.

    Args:
        field: what the text is, for messages.

    Raises:
        InvalidRequest: a brace is unbalanced, or a group makes no sense; says where.
    """
    if len(text) > MOST_CHARACTERS:
        message = f"has {len(text)} characters; with wildcards at most {MOST_CHARACTERS} are read"
        raise _refused(text, message, field=field)
    reader = _Reader(text, field)
    return Tree(parts=reader.sequence(0), field=field)


def option(line: str, *, field: str) -> Option:
    """One entry of a word list: a text, with a weight before it or not."""
    weight, at = _weight(line, 0, field)
    return Option(tree=parse(line[at:], field=field), weight=weight)


def escape(text: str) -> str:
    """Text that comes out of an expansion as it is."""
    return _NEEDS_ESCAPE.sub(lambda found: "\\" + found[0], text)


def looks_wild(text: str) -> bool:
    """Whether the text holds something that is a wildcard where wildcards are on."""
    return _LOOKS_WILD.search(text) is not None


class Steps:
    """Work that is left before an answer is given up; several answers may share it.

    Args:
        most: parts and options that are looked at.
    """

    def __init__(self, most: int = MOST_STEPS) -> None:
        self._left = most

    def take(self, number: int, tree: Tree) -> None:
        """So much work on a tree; raises InvalidRequest when less is left."""
        self._left -= number
        if self._left < 0:
            raise _refused("", "has too many parts to be worked out", field=tree.field)


def expand(tree: Tree, seed: int, lists: Lists = NO_LISTS, *, steps: Steps | None = None) -> str:
    """One text, chosen by the seed.

    Raises:
        InvalidRequest: a word list is missing or goes in a circle, or the text grows too long.
    """
    return "".join(_Chooser(lists, seed, steps or Steps()).texts(tree, ()))


def count(tree: Tree, lists: Lists = NO_LISTS, *, steps: Steps | None = None) -> int:
    """How many combinations there are, by position; `COUNTED` stands for so many or more."""
    return _Counter(lists, steps or Steps()).of(tree, ())


def every(tree: Tree, lists: Lists = NO_LISTS, *, most: int) -> tuple[str, ...]:
    """All combinations, the last choice changing first; equal texts are not merged.

    Raises:
        InvalidRequest: there are more than `most`, or as with `expand`.
    """
    total = count(tree, lists)
    if total > most:
        told = "a million million or more" if total == COUNTED else f"{total}"
        raise _refused(
            f"{told} combinations",
            f"are more than {most}, the most that are made at once",
            remedy="Take options away, or let the seed choose: --wildcards -n 10.",
        )
    return tuple(_Lister(lists, Steps()).of(tree, ()))


class _Reader:
    """Reads one text from left to right."""

    def __init__(self, text: str, field: str) -> None:
        self._text = text
        self._field = field
        self._at = 0

    def sequence(self, depth: int) -> tuple[str | Name | Group, ...]:
        """Parts up to the end, or up to the bar or brace that ends an option."""
        text, parts, literal = self._text, list[str | Name | Group](), list[str]()
        while self._at < len(text):
            plain = (_PLAIN if depth else _PLAIN_OUTSIDE).match(text, self._at)
            if plain:
                literal.append(plain[0])
                self._at = plain.end()
                continue
            part = self._special(depth)
            if part is None:
                break
            if isinstance(part, str):
                literal.append(part)
                continue
            if literal:
                parts.append("".join(literal))
                literal.clear()
            parts.append(part)
        if literal:
            parts.append("".join(literal))
        return tuple(parts)

    def _special(self, depth: int) -> str | Name | Group | None:
        """What stands at a special character; None at the end of an option."""
        text, at = self._text, self._at
        character = text[at]
        if escaped := _ESCAPED.match(text, at):
            self._at = escaped.end()
            return escaped[1]
        if found := _NAME.match(text, at):
            self._at = found.end()
            return Name(name=found["name"])
        if character == "{":
            return self._group(depth + 1)
        if character in "|}" and depth:
            return None
        if character == "}":
            self._refuse(at, "closes a group that was never opened", "Write \\} for a brace.")
        self._at = at + 1
        return character

    def _group(self, depth: int) -> Group:
        start = self._at
        if depth > MOST_DEPTH:
            self._refuse(start, f"is group in group more than {MOST_DEPTH} deep", "Nest less.")
        self._at += 1
        pick = _PICK.match(self._text, self._at)
        joiner = JOINER
        if pick:
            self._at = pick.end()
            if own := _JOINER.match(self._text, self._at):
                joiner = _ESCAPED.sub(r"\1", own[1])
                self._at = own.end()
        options = tuple(self._options(start, depth))
        low, high = _span(pick)
        group = Group(options=options, low=low, high=high, joiner=joiner, start=start)
        if len(options) == 1 and not _list_of(group) and not pick:
            self._refuse(
                start,
                "opens a group with one option, which leaves nothing to choose",
                "Write \\{ and \\} for braces that are meant, or {a|b} for a choice.",
            )
        if not _list_of(group):
            _check_span(group, len(options), self._field)
        return group

    def _options(self, start: int, depth: int) -> Iterator[Option]:
        while True:
            weight, self._at = _weight(self._text, self._at, self._field)
            parts = _without_breaks(self.sequence(depth))
            yield Option(tree=Tree(parts=parts, field=self._field), weight=weight)
            if self._at >= len(self._text):
                self._refuse(start, "is never closed", "Close it with }, or write \\{ for a brace.")
            self._at += 1
            if self._text[self._at - 1] == "}":
                return

    def _refuse(self, at: int, message: str, remedy: str) -> NoReturn:
        shown = self._text[max(0, at - 20) : at + 20]
        said = f"the brace at character {at + 1} {message}"
        raise _refused(shown, said, field=self._field, remedy=remedy)


class _Walk:
    """What every walk through a tree needs: word lists, their trail, and a bound."""

    def __init__(self, lists: Lists, steps: Steps) -> None:
        self._lists = lists
        self.steps = steps

    def entries(self, name: str, trail: tuple[str, ...]) -> Sequence[Option]:
        """The entries of a list, unless the way to it leads in a circle."""
        if name in trail or len(trail) >= MOST_DEPTH:
            way = " → ".join((*trail, name))
            raise _refused(way, "goes in a circle of word lists, or too deep", field="wildcards")
        found = self._lists.entries(name)
        if not found:
            raise _refused(f"__{name}__", "is an empty word list", field="wildcards")
        return found

    def options(
        self, group: Group, tree: Tree, trail: tuple[str, ...]
    ) -> tuple[Sequence[Option], tuple[str, ...], int, int]:
        """The options of a group with the trail below them, and how many are taken."""
        options: Sequence[Option] = group.options
        name = _list_of(group)
        if name:
            options, trail = self.entries(name, trail), (*trail, name)
            _check_span(group, len(options), tree.field)
        self.steps.take(len(options), tree)
        return options, trail, group.low, len(options) if group.high is None else group.high


class _Chooser(_Walk):
    """Goes one way through a tree, from left to right."""

    def __init__(self, lists: Lists, seed: int, steps: Steps) -> None:
        super().__init__(lists, steps)
        # only random() is used: it alone gives the same numbers on every Python
        self._random = random.Random(seed).random  # noqa: S311 - to be repeated, not secret
        self._left = MOST_CHARACTERS

    def texts(self, tree: Tree, trail: tuple[str, ...]) -> Iterator[str]:
        for part in tree.parts:
            self.steps.take(1, tree)
            match part:
                case str():
                    yield self._bounded(part, tree)
                case Name():
                    entries = self.entries(part.name, trail)
                    self.steps.take(len(entries), tree)
                    (chosen,) = self._pick(entries, 1)
                    yield from self.texts(entries[chosen].tree, (*trail, part.name))
                case Group():
                    yield from self._group(part, tree, trail)

    def _group(self, group: Group, tree: Tree, trail: tuple[str, ...]) -> Iterator[str]:
        options, trail, low, high = self.options(group, tree, trail)
        number = low + int(self._random() * (high - low + 1)) if high > low else low
        self.steps.take(len(options) * number, tree)
        for position, chosen in enumerate(self._pick(options, number)):
            if position:
                yield self._bounded(group.joiner, tree)
            yield from self.texts(options[chosen].tree, trail)

    def _pick(self, options: Sequence[Option], number: int) -> list[int]:
        """Positions by weight, none twice, in the order written."""
        left, picked = list(range(len(options))), list[int]()
        for _ in range(number):
            sums = list(accumulate(options[i].weight for i in left))
            at = self._random() * sums[-1]
            chosen = next((n for n, edge in enumerate(sums) if at < edge), len(sums) - 1)
            picked.append(left.pop(chosen))
        return sorted(picked)

    def _bounded(self, text: str, tree: Tree) -> str:
        self._left -= len(text)
        if self._left < 0:
            message = f"grows longer than {MOST_CHARACTERS} characters"
            raise _refused("", message, field=tree.field)
        return text


class _Counter(_Walk):
    """Counts the ways through a tree without going them."""

    def __init__(self, lists: Lists, steps: Steps) -> None:
        super().__init__(lists, steps)
        self._known: dict[str, list[int]] = {}  # counts of the entries by list

    def of(self, tree: Tree, trail: tuple[str, ...]) -> int:
        total = 1
        for part in tree.parts:
            self.steps.take(1, tree)
            match part:
                case Name():
                    number = min(sum(self._list(part.name, trail)), COUNTED)
                case Group():
                    number = self._group(part, tree, trail)
                case _:
                    number = 1
            total = min(total * number, COUNTED)
        return total

    def _group(self, group: Group, tree: Tree, trail: tuple[str, ...]) -> int:
        options, below, low, high = self.options(group, tree, trail)
        name = _list_of(group)
        counts = self._list(name, trail) if name else [self.of(o.tree, below) for o in options]
        self.steps.take(len(counts) * high, tree)
        # ways[k]: to take k of the options seen so far, each in one of its own ways
        ways = [1] + [0] * high
        for number in counts:
            for k in range(high, 0, -1):
                ways[k] = min(ways[k] + ways[k - 1] * number, COUNTED)
        return min(sum(ways[low:]), COUNTED)

    def _list(self, name: str, trail: tuple[str, ...]) -> list[int]:
        if name not in self._known:
            entries = self.entries(name, trail)
            self._known[name] = [self.of(e.tree, (*trail, name)) for e in entries]
        return self._known[name]


class _Lister(_Walk):
    """Goes every way through a tree; only for trees that are known to have few."""

    def of(self, tree: Tree, trail: tuple[str, ...]) -> list[str]:
        columns = [self._part(part, tree, trail) for part in tree.parts]
        return self._rows(columns, "", tree)

    def _part(self, part: str | Name | Group, tree: Tree, trail: tuple[str, ...]) -> list[str]:
        match part:
            case str():
                return [part]
            case Name():
                below = (*trail, part.name)
                entries = self.entries(part.name, trail)
                return [text for e in entries for text in self.of(e.tree, below)]
            case Group():
                return self._group(part, tree, trail)

    def _group(self, group: Group, tree: Tree, trail: tuple[str, ...]) -> list[str]:
        options, below, low, high = self.options(group, tree, trail)
        if high == 0:
            return [""]
        texts = [self.of(o.tree, below) for o in options]
        return [
            row
            for number in range(low, high + 1)
            for chosen in combinations(texts, number)
            for row in self._rows(list(chosen), group.joiner, tree)
        ]

    def _rows(self, columns: list[list[str]], joiner: str, tree: Tree) -> list[str]:
        rows = []
        for row in product(*columns):
            self.steps.take(1 + len(columns), tree)
            text = joiner.join(row)
            if len(text) > MOST_CHARACTERS:
                message = f"grows longer than {MOST_CHARACTERS} characters"
                raise _refused("", message, field=tree.field)
            rows.append(text)
        return rows


def _list_of(group: Group) -> str | None:
    """The word list that a group takes from, when it has nothing else."""
    if len(group.options) != 1:
        return None
    parts = [p for p in group.options[0].tree.parts if not isinstance(p, str) or p.strip()]
    only = parts[0] if len(parts) == 1 else None
    return only.name if isinstance(only, Name) else None


def _span(pick: re.Match[str] | None) -> tuple[int, int | None]:
    """The least and the most that are taken; None for all."""
    if pick is None:
        return 1, 1
    if pick["most"]:
        return 1, int(pick["most"])
    low = int(pick["low"])
    if pick["to"]:
        return low, int(pick["high"]) if pick["high"] else None
    return low, low


def _check_span(group: Group, options: int, field: str) -> None:
    high = options if group.high is None else group.high
    if group.low <= high <= min(options, MOST_PICKED):
        return
    most = min(options, MOST_PICKED)
    asked = f"{group.low}" if group.low == high else f"{group.low}-{high}"
    message = f"the group at character {group.start + 1} cannot take {asked} of {options} options"
    if high > MOST_PICKED:
        message += f"; {MOST_PICKED} are the most"
    raise InvalidRequest(
        [Problem(field=field, value=f"{asked}$$", message=message, nearest=(f"{most}$$",))]
    )


def _weight(text: str, at: int, field: str) -> tuple[float, int]:
    found = _WEIGHT.match(text, at)
    if not found:
        return 1.0, at
    weight = float(found[1])
    if weight <= 0:
        raise _refused(
            found[0].strip(),
            f"the weight at character {at + 1} is 0, so the option would never come",
            field=field,
            remedy="Leave the option out.",
        )
    return weight, found.end()


def _without_breaks(parts: tuple[str | Name | Group, ...]) -> tuple[str | Name | Group, ...]:
    if parts and isinstance(parts[0], str):
        parts = (_BREAK_BEFORE.sub("", parts[0]), *parts[1:])
    if parts and isinstance(parts[-1], str):
        parts = (*parts[:-1], _BREAK_AFTER.sub("", parts[-1]))
    return tuple(part for part in parts if part != "")


def _refused(
    value: str, message: str, *, field: str = "prompt", remedy: str | None = None
) -> InvalidRequest:
    return InvalidRequest([Problem(field=field, value=value[:80], message=message)], remedy=remedy)
