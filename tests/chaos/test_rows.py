"""The rows as data: complete, with ids and names that lead to one thing each."""

import importlib
import re

import pytest

from heliograph.chaos.faces import FACES, question
from heliograph.chaos.row import Span, exactly, tally
from heliograph.chaos.rows import ROWS, find_case, find_rows
from heliograph.chaos.rows.elsewhere import why_not
from heliograph.chaos.run import rows_of_all
from heliograph.errors import InvalidRequest
from heliograph.killpoints import POINTS

FAULTS = [*(f"F{n:02d}" for n in range(1, 54)), "F18b"]
CRASHES = [f"K{n:02d}" for n in range(1, 28)]
PROMISES = range(1, 15)


def test_every_row_of_the_tables_is_listed_once() -> None:
    ids = [row.id for row in ROWS]
    assert len(ids) == len(set(ids))
    assert set(FAULTS) | set(CRASHES) <= set(ids)


def test_what_cannot_be_tried_says_why_and_the_rest_can() -> None:
    for row in ROWS:
        assert bool(row.cases or row.script) is row.is_served, row.id
        assert row.expects
        assert set(row.promises) <= set(PROMISES)
        names = [case.name for case in row.cases]
        assert len(names) == len(set(names)), row.id
    assert {row.needs for row in ROWS if not row.is_served} >= {"batches", "the gateway"}


def test_what_a_face_cannot_be_asked_for_says_why() -> None:
    untried = {face: {row.id for row in ROWS if why_not(row, face)} for face in FACES}
    assert untried["library"] == {"K23", "K25"}
    sessions = {row.id for row in ROWS if row.id.endswith("-session")}
    inside = {"K26", "K27", "KS", "M01", "M02", "M03", "M04"}
    assert untried["openai"] == sessions | inside | {"F34"}
    assert untried["gemini"] == sessions | inside | {"K13", "K14"}
    for face in FACES:
        assert all("only: " in (why_not(row, face) or "only: ") for row in ROWS)


def test_every_option_that_rows_ask_for_has_a_word_on_each_face() -> None:
    for row in ROWS:
        for ask in (ask for case in row.cases for ask in case.asks):
            for face in ("openai", "gemini"):
                if not why_not(row, face):
                    assert question(face, "A fox", ask.options, "key").document


def test_scripts_exist() -> None:
    for row in ROWS:
        if row.script:
            module, _, name = row.script.partition(":")
            assert callable(getattr(importlib.import_module(f"heliograph.chaos.{module}"), name))


def test_every_point_to_die_at_is_tried() -> None:
    tried = {point.name for row in ROWS for point in row.facts.get("points", ())}
    assert tried == set(POINTS)


def test_turns_of_sessions_are_killed_as_well() -> None:
    rows = {row.id for row in ROWS if row.script == "crash:turns_at_points"}
    assert {f"{k}-session" for k in ("K03", "K05", "K07", "K09", "K11", "K12")} <= rows
    assert rows <= {row.id for row in rows_of_all()}
    assert find_rows(["k05-SESSION"])[0].id == "K05-session"


def test_rows_are_found_in_any_case_and_once() -> None:
    assert [row.id for row in find_rows(["f18", "K07", "F18"])] == ["F18", "K07"]
    case = find_rows(["F18"])[0].cases[0]
    assert find_case("F18", case.name) is case


def test_a_wrong_id_is_told_with_the_nearest() -> None:
    with pytest.raises(InvalidRequest, match="F18") as caught:
        find_rows(["F18x", "F01"])
    assert re.search("F18", str(caught.value.problems[0].nearest))


def test_the_soak_is_run_only_when_named() -> None:
    assert "KS" not in {row.id for row in rows_of_all()}
    assert find_rows(["KS"])[0].facts["jobs"] == 10_000


def test_spans() -> None:
    assert 2 in Span(1, 2)
    assert 3 not in Span(1, 2)
    assert (str(exactly(2)), str(Span(0, 3))) == ("2", "0–3")
    cases = find_rows(["F01"])[0].cases
    assert tally(cases, lambda case: case.calls) == exactly(22)
