"""The tables of docs/reference/wildcards.md, executed row by row."""

import re
from pathlib import Path

import pytest

from heliograph.errors import InvalidRequest
from heliograph.prompts.wildcard import count, every, expand, parse
from heliograph.prompts.words import MOST_ENTRIES, WordLists

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "wildcards.md"
TEXT = PAGE.read_text(encoding="utf-8")
LISTS = re.findall(r"^```text\n# wildcards/(\S+)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
EMPTY = "(nothing)"


def rows(title: str) -> list[list[str]]:
    """The cells of the table below a heading; a bar within a cell has a backslash before it."""
    section = TEXT.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    cells = [[c.strip() for c in re.split(r"(?<!\\)\|", f"{line} ")[1:-1]] for line in lines]
    return [[cell.replace("\\|", "|") for cell in row] for row in cells[1:]]


def code(cell: str) -> list[str]:
    return [text.replace(EMPTY, "") for text in re.findall(r"`([^`]*)`", cell)]


SYNTAX = [(code(row[0])[0], code(row[1])) for row in rows("Syntax")]
REFUSED = [(code(row[0])[0], row[1]) for row in rows("What is refused")]


@pytest.fixture
def lists(tmp_path: Path) -> WordLists:
    for name, entries in LISTS:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(entries, encoding="utf-8")
    return WordLists(tmp_path)


def test_the_page_has_tables() -> None:
    assert len(LISTS) == 3
    assert len(SYNTAX) >= 20
    assert len(REFUSED) >= 8


@pytest.mark.parametrize(("text", "wanted"), SYNTAX, ids=[text for text, _ in SYNTAX])
def test_row_of_the_syntax(text: str, wanted: list[str], lists: WordLists) -> None:
    tree = parse(text)
    assert list(every(tree, lists, most=len(wanted))) == wanted
    assert count(tree, lists) == len(wanted)
    assert {expand(tree, seed, lists) for seed in range(200)} == set(wanted)


@pytest.mark.parametrize(("text", "why"), REFUSED, ids=[text for text, _ in REFUSED])
def test_row_of_what_is_refused(text: str, why: str, lists: WordLists) -> None:
    with pytest.raises(InvalidRequest) as refused:
        every(parse(text), lists, most=100)
    (problem,) = refused.value.problems
    assert why in problem.message


def test_numbers_on_the_page() -> None:
    from heliograph.cli.wording import MOST_TEXTS
    from heliograph.prompts.wildcard import MOST_DEPTH

    assert f"Groups nest {MOST_DEPTH} deep" in TEXT
    assert f"makes {MOST_TEXTS} combinations at most" in TEXT
    assert f"holds {MOST_ENTRIES:,} entries at most" in TEXT


def test_lists_that_come_along_are_named_on_the_page() -> None:
    for name in WordLists().names():
        assert f"`{name}`" in TEXT
