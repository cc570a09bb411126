"""The page of promises names only what exists: rows that say they prove it, and tests."""

import re

import pytest
from tests.docs.fenced import ROOT

from heliograph.chaos.rows import ROWS

PAGE = (ROOT / "docs/explanation/promises.md").read_text(encoding="utf-8")
PROVEN_BY = {row.id: row.promises for row in ROWS}
_ROW = re.compile(r"\b([FKMSI])(\d\d)(b?)\b(?: to \1(\d\d)\b)?")


def _promises() -> dict[int, str]:
    """The last cell of each guarantee, by its number."""
    table = PAGE.partition("## We guarantee")[2].partition("## ")[0]
    cells = [line.strip("|").split("|") for line in table.splitlines() if line.startswith("| ")]
    return {int(first): last for first, *_, last in cells if first.strip().isdigit()}


def _rows_named(cell: str) -> list[str]:
    found = []
    for kind, first, suffix, last in _ROW.findall(cell):
        numbers = range(int(first), int(last or first) + 1)
        found += [f"{kind}{number:02d}{suffix}" for number in numbers]
    return found


@pytest.mark.parametrize(("number", "cell"), _promises().items())
def test_a_promise_names_rows_and_tests_that_prove_it(number: int, cell: str) -> None:
    rows, paths = _rows_named(cell), re.findall(r"`(tests/[\w/.]+)`", cell)
    assert rows or paths or "every row" in cell
    # a row that is not there proves nothing, and one that does not say so proves something else
    assert [row for row in rows if number not in PROVEN_BY.get(row, ())] == []
    assert [path for path in paths if not (ROOT / path).is_file()] == []


def test_the_promises_are_numbered_as_the_rows_number_them() -> None:
    told = set(_promises())
    assert {number for row in ROWS for number in row.promises} <= told
    assert told == set(range(1, 15))
