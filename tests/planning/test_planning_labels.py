"""Tags, the idempotency key and the names of fallback models, character by character."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.errors import Problem
from heliograph.planning.check import labels
from heliograph.planning.findings import Findings
from heliograph.types import Request


def problems(**fields: Any) -> list[Problem]:
    asked = Request(prompt="A", **fields)
    found = Findings(asked)
    labels(asked, found)
    return list(found.problems)


@pytest.mark.parametrize("tag", ["a", "Z9", "a.b-c_d", "-", "x" * 64, "2026-11-30"])
def test_tags_that_fit_into_file_names(tag: str) -> None:
    assert problems(tags=(tag,)) == []


@pytest.mark.parametrize(
    "tag", ["", "x" * 65, "a b", "a/b", "a\n", "ä", "a,b", "\u0661", 7, None, b"a"]
)
def test_tags_that_do_not(tag: Any) -> None:
    (problem,) = problems(tags=("fine", tag, "good"))
    assert problem.field == "tags"
    assert "1 to 64 of a-z" in problem.message


@pytest.mark.parametrize("key", [None, "k", "!~", "x" * 255, "9f6e:2026/11#1"])
def test_keys_that_fit_into_a_header(key: str | None) -> None:
    assert problems(idempotency_key=key) == []


@pytest.mark.parametrize(
    "key", ["", "x" * 256, "a b", " a", "a\t", "a\n", "ä", "\x7f", "\x00", 7, b"k"]
)
def test_keys_that_do_not(key: Any) -> None:
    (problem,) = problems(idempotency_key=key)
    assert problem.field == "idempotency_key"
    assert "visible ASCII" in problem.message


@pytest.mark.parametrize("name", ["", "  ", "\n", 7, None])
def test_a_fallback_has_a_name(name: Any) -> None:
    (problem,) = problems(fallback=("gemini-3-pro-image", name))
    assert problem.field == "fallback"
    assert "name of a model" in problem.message


def test_all_are_told_together() -> None:
    found = problems(tags=("a b", "ok", ""), idempotency_key="a b", fallback=("", " "))
    assert [p.field for p in found] == ["tags", "tags", "idempotency_key", "fallback", "fallback"]


@given(st.text(max_size=70))
def test_a_tag_is_refused_exactly_when_it_does_not_fit(tag: str) -> None:
    fits = 1 <= len(tag) <= 64 and re.search(r"[^A-Za-z0-9._-]", tag) is None
    assert (problems(tags=(tag,)) == []) == fits
