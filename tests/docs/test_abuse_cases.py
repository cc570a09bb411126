"""The page of abuse cases: each row once, and each named test is there."""

import ast
import re
from functools import cache

import pytest
from tests.docs.fenced import ROOT, links

PAGE = ROOT / "docs/reference/abuse-cases.md"
TEXT = PAGE.read_text(encoding="utf-8")
IDS = [*(f"S{number:02d}" for number in range(1, 101)), "S77b"]
NONE = "no such feature"


def _rows() -> dict[str, list[str]]:
    """The cells of each row, by its id."""
    lines = [line.strip("|").split(" | ") for line in TEXT.splitlines() if line.startswith("| S")]
    rows = {cells[0].strip(): [cell.strip() for cell in cells[1:]] for cells in lines}
    assert len(rows) == len(lines), "an id stands there twice"
    return rows


ROWS = _rows()
NAMED = sorted(set(re.findall(r"`(tests/[\w/.]+)::(\w+)`", TEXT)))


@cache
def _tests(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(
        node.name for node in tree.body if isinstance(node, kinds) and node.name.startswith("test_")
    )


def test_every_case_stands_there_once() -> None:
    assert sorted(ROWS) == sorted(IDS)
    assert [row for row, cells in ROWS.items() if len(cells) != 3 or not all(cells)] == []


def test_a_case_has_a_test_or_no_feature() -> None:
    bare = [row for row, (_, does, tests) in ROWS.items() if "::" not in tests and NONE not in does]
    assert bare == []


@pytest.mark.parametrize(("path", "name"), NAMED)
def test_a_named_test_is_there(path: str, name: str) -> None:
    assert (ROOT / path).is_file()
    assert name in _tests(path)


def _ids_in(text: str) -> set[str]:
    """The ids that a text names, ranges such as “S67 to S72” and “S12–S13” read."""
    found = set()
    range_ = r"\bS(\d{2,3})(b?)(?:\s*(?:to|–|-)\s*S(\d{2,3}))?"
    for first, suffix, last in re.findall(range_, text):
        found.add(f"S{first}{suffix}")
        found |= {f"S{n:02d}" for n in range(int(first), int(last or first) + 1)}
    return found | {f"S{n}" for n in re.findall(r"(?<=_)s(\d{2,3})(?=_)", text)}


@pytest.mark.parametrize("row", [row for row, cells in ROWS.items() if "::" in cells[2]])
def test_a_test_says_whose_case_it_is(row: str) -> None:
    paths = set(re.findall(r"`(tests/[\w/.]+)::", ROWS[row][2]))
    told = {path: _ids_in((ROOT / path).read_text(encoding="utf-8")) for path in paths}
    assert any(row in ids for ids in told.values()), f"none of {sorted(paths)} names {row}"


def test_the_page_is_found() -> None:
    assert "reference/abuse-cases.md" in links(ROOT / "docs/index.md")
