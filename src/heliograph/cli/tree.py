"""A session drawn as a tree of versions.

A version that simply follows another stands below it in the same column; only branches move to the
right, so a long talk stays narrow. Invariant: prompts and names are foreign text and cannot steer
the terminal; without UTF-8, without colour or without room everything is said in ASCII.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from heliograph.cli.screen import printable
from heliograph.money import dollars
from heliograph.sessions import Node, Session
from heliograph.types import Outcome

PIPE_WIDTH = 200  # nothing may be cut off for the program that reads it
NARROW = 60  # columns; below, what is known of a version goes below it
LEAST_LABEL = 24  # columns for the words of a version


@dataclass(frozen=True, kw_only=True)
class Signs:
    """The characters a tree is drawn with."""

    fork: str = "\u251c\u2500 "
    last: str = "\u2514\u2500 "
    along: str = "\u2502  "
    star: str = "\u2605"
    here: str = "\u2192 "  # before the version that the next change goes on from
    more: str = "\u2026"


ASCII = Signs(fork="|- ", last="`- ", along="|  ", star="*", here="> ", more="..")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One version as it is drawn."""

    before: str  # what leads to it
    below: str  # what goes on below it
    node: Node
    apart: int | None = None  # number of the version it goes on from, where no line shows it


def print_tree(tree: Session, *, every: bool) -> None:
    """Draw a session on standard output.

    Args:
        every: also versions that were put out of sight.
    """
    console = _console()
    plain = console.no_color or console.is_dumb_terminal or console.width < NARROW
    is_ascii = plain or not console.encoding.startswith("utf")
    for line in drawn(tree, every=every, width=console.width, signs=ASCII if is_ascii else Signs()):
        console.print(line, no_wrap=True, overflow="ignore", crop=False, soft_wrap=True)


def is_narrow() -> bool:
    """Whether standard output is a terminal that has no room for a table."""
    return _console().width < NARROW


def _console() -> Console:
    console = Console()
    return console if console.is_terminal else Console(width=PIPE_WIDTH)


def drawn(tree: Session, *, every: bool, width: int, signs: Signs) -> list[Text]:
    """The lines of a tree, top to bottom.

    Args:
        width: columns there are.
    """
    rows = list(_rows(tree, every=every, signs=signs, most=width // 3))
    heads = [_head(row, tree, signs) for row in rows]
    facts = [_facts(row.node) for row in rows]
    widths = [max((len(fact[i]) for fact in facts), default=0) for i in range(3)]
    room = width - sum(widths) - 2 * len(widths) - 1
    lines = []
    if width < NARROW or room < LEAST_LABEL:
        for row, head, fact in zip(rows, heads, facts, strict=True):
            known = " ".join(word for word in fact if word)
            lines.append(_styled(_cut(head, width, signs), row.node, tree))
            lines.append(Text(_cut(f"  {row.below}  {known}", width, signs), style="dim"))
        return lines
    used = min(room, max((cell_len(head) for head in heads), default=0))
    for row, head, (size, pixels, cost) in zip(rows, heads, facts, strict=True):
        label = set_cell_size(_cut(head, used, signs), used)
        text = f"{label}  {size:<{widths[0]}}  {pixels:<{widths[1]}}  {cost:<{widths[2]}}"
        lines.append(_styled(text.rstrip(), row.node, tree))
    return lines


def _styled(text: str, node: Node, tree: Session) -> Text:
    if not node.has_picture or node.deleted:
        return Text(text, style="dim")
    return Text(text, style="bold" if node.id == tree.head else "")


def _head(row: Row, tree: Session, signs: Signs) -> str:
    """What leads to a version, its number, marks and words."""
    node = row.node
    words = printable(" ".join(node.record.prompt.split()))
    name = f"{printable(node.name)}: " if node.name else ""
    marks = [signs.star] if node.starred else []
    marks += ["(removed)"] if node.deleted else []
    marks += [f"(from {row.apart})"] if row.apart is not None else []
    gutter = signs.here if node.id == tree.head else "  "
    return gutter + row.before + " ".join((str(node.number), *marks, f"{name}{words}"))


def _facts(node: Node) -> tuple[str, str, str]:
    record = node.record
    kept = record.result
    state = str(kept.pixels) if kept else record.outcome.value
    cost = dollars(record.cost)
    if record.outcome is Outcome.UNKNOWN and not record.cost:
        cost = f"at most {dollars(record.estimate.high)}"
    return record.size or "", state, f"{cost} simulated" if record.simulated else cost


def _cut(text: str, width: int, signs: Signs) -> str:
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, max(0, width - len(signs.more))).rstrip() + signs.more


def _rows(tree: Session, *, every: bool, signs: Signs, most: int) -> Iterator[Row]:
    """The versions in the order in which they are drawn.

    Args:
        most: columns that lines may take; branches further in are not moved to the right.
    """
    shown = _shown(tree, every=every)
    roots = [n for n in tree.nodes.values() if n.parent is None and n.id in shown]
    # (version, what leads to it, what goes on below it, the version it seems not to go on from)
    waiting = [Row(before="", below="", node=root) for root in reversed(roots)]
    while waiting:
        row = waiting.pop()
        yield row
        below, node = row.below, row.node
        kids = [tree.nodes[each] for each in node.children if each in shown]
        twigs = [kid for kid in kids if not kid.has_picture and not _visible_kids(kid, shown)]
        branches = [kid for kid in kids if kid not in twigs]
        goes_straight = len(branches) == 1
        aside = twigs if goes_straight else sorted(kids, key=lambda kid: kid.number)
        deep = len(below) + len(signs.along) > most
        rows = []
        for place, kid in enumerate(aside):
            ends = place == len(aside) - 1 and not goes_straight
            if deep:
                rows.append(Row(before=below, below=below, node=kid, apart=node.number))
                continue
            before = below + (signs.last if ends else signs.fork)
            after = below + (" " * len(signs.last) if ends else signs.along)
            rows.append(Row(before=before, below=after, node=kid))
        if goes_straight:
            rows.append(Row(before=below, below=below, node=branches[0]))
        waiting += reversed(rows)


def _shown(tree: Session, *, every: bool) -> set[str]:
    """What is drawn: all that is in sight, and whatever leads to it."""
    shown: set[str] = set()
    for node in tree.nodes.values():
        if every or not node.deleted:
            step: str | None = node.id
            while step is not None and step not in shown:
                shown.add(step)
                step = tree.nodes[step].parent
    return shown


def _visible_kids(node: Node, shown: set[str]) -> bool:
    return any(each in shown for each in node.children)
