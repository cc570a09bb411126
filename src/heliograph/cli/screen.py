"""What a terminal shows: lines, tables, JSON. Simulated images say so on every line."""

import codecs
import json
import shutil
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

SIMULATED = "[simulated] "


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    print(json_text(value, indent=2))


def json_text(value: Any, *, indent: int | None = None) -> str:
    """JSON for standard output: letters as they are where it can hold every one of them.

    What a narrower encoding cannot hold would become an escape that JSON does not know.
    """
    is_utf = codecs.lookup(sys.stdout.encoding or "utf-8").name.startswith("utf")
    return json.dumps(value, ensure_ascii=not is_utf, indent=indent)


def print_lines(lines: Iterable[str], *, simulated: bool = False) -> None:
    """Plain lines on standard output."""
    for line in lines:
        print(f"{SIMULATED if simulated else ''}{printable(line)}")


def note(line: str, *, simulated: bool = False) -> None:
    """A line for the person watching, on standard error."""
    print(f"{SIMULATED if simulated else ''}{printable(line)}", file=sys.stderr, flush=True)


def printable(text: str) -> str:
    """Text that cannot steer a terminal: control characters become visible."""
    return "".join(c if c.isprintable() or c == "\t" else f"\\x{ord(c):02x}" for c in text)


def print_table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[str] = ()
) -> None:
    """A table on standard output; `right` names the columns of numbers."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in columns:
        table.add_column(
            column,
            justify="right" if column in right else "left",
            overflow="fold" if column not in right else "ellipsis",
            no_wrap=column in right,
        )
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    console = Console()
    # a pipe has no width; nothing may be cut off for the program that reads it
    console = console if console.is_terminal else Console(width=200)
    console.print(table)


def size_text(count: int) -> str:
    """Bytes for people: 8.3 MB."""
    if count >= 10**6:
        return f"{count / 10**6:.1f} MB"
    return f"{count / 1000:.0f} kB" if count >= 1000 else f"{count} bytes"


def facts_lines(facts: Mapping[str, str]) -> list[str]:
    """Name and value pairs, aligned."""
    width = max((len(name) for name in facts), default=0)
    return [f"{name.ljust(width)}  {value}" for name, value in facts.items()]


def folded(text: str, indent: str, *, taken: int = 0) -> list[str]:
    """Text in lines that fit a terminal; in a pipe it stays one line.

    Args:
        taken: characters of each line that something else stands in.
    """
    if not sys.stdout.isatty():
        return [indent + text]
    width = shutil.get_terminal_size().columns - taken
    return textwrap.wrap(
        text,
        max(width, 40),
        initial_indent=indent,
        subsequent_indent=indent,
        break_on_hyphens=False,
    )
