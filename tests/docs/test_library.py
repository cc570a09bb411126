"""The hand-written reference names every public method, option and field."""

import dataclasses
import inspect
import re

import pytest
from tests.docs.fenced import ROOT

from heliograph import AsyncHeliograph, Finish, Heliograph, Request
from heliograph.options import Options
from heliograph.types import Export, Outcome, Record, Result, Role, Verdict

LIBRARY = (ROOT / "docs/reference/library.md").read_text(encoding="utf-8")
FILES = (ROOT / "docs/reference/files.md").read_text(encoding="utf-8")
TRUTH = (ROOT / "docs/explanation/pixel-truth.md").read_text(encoding="utf-8")


def _row(page: str, name: str) -> str | None:
    return next((x for x in page.splitlines() if re.match(rf"\|[^|]*`{name}[`(]", x)), None)


def test_every_method_of_the_client() -> None:
    public = [n for n, _ in inspect.getmembers(Heliograph, inspect.isfunction) if n[0] != "_"]
    assert len(public) >= 10
    for name in set(public) - {"close"}:
        assert _row(LIBRARY, name), name
        assert hasattr(AsyncHeliograph, name)
    assert "`close()`" in LIBRARY


def test_every_argument_of_the_client() -> None:
    for name in list(inspect.signature(Heliograph).parameters):
        assert f"{name}=" in LIBRARY, name


@pytest.mark.parametrize("name", sorted(Options.__annotations__))
def test_every_option(name: str) -> None:
    assert _row(LIBRARY, name)
    assert name in {f.name for f in dataclasses.fields(Request)}


def test_how_files_are_made_and_what_they_are() -> None:
    finish = _row(LIBRARY, "finish") or ""
    assert all(f.name in finish for f in dataclasses.fields(Finish))
    exports = _row(LIBRARY, "exports") or ""
    assert all(f"`{f.name}`" in exports for f in dataclasses.fields(Export))


def test_every_attribute_of_a_result() -> None:
    names = {n for n, v in vars(Result).items() if isinstance(v, property)}
    names |= {f.name for f in dataclasses.fields(Result)} - {"preview", "cost_detail"}
    assert [name for name in sorted(names) if not _row(LIBRARY, name)] == []


def test_every_field_of_a_sidecar() -> None:
    missing = [f.name for f in dataclasses.fields(Record) if not _row(FILES, f.name)]
    # a row may name several fields
    assert [name for name in missing if f"`{name}`" not in FILES] == []
    for state in (*Outcome, *Role):
        assert f"`{state.value}`" in FILES


def test_every_verdict() -> None:
    assert all(_row(TRUTH, verdict.value) for verdict in Verdict)
