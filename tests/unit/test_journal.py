"""The journal's rules: which steps a call may take, and what each leaves behind."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.journal import (
    MOVES,
    OPEN,
    UNSENT,
    CallEntry,
    ClaimState,
    Stage,
    WrongMove,
    adopted,
    is_overdue,
    moved,
    opened,
    submitted,
)

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
ENDS = {Stage.SETTLED, Stage.REFUSED, Stage.QUARANTINED, Stage.RELEASED}


def an_entry(**changes: Any) -> CallEntry:
    entry = CallEntry(
        id="job-1",
        job="job",
        stage=Stage.RESERVED,
        owner="me",
        library="here",
        model="gemini-3-pro-image",
        upstream="example",
        project="",
        simulated=True,
        transport="generate_content",
        reserved=250_000,
        scopes=("total",),
        twin="0" * 64,
        plan={},
        begun=NOON,
        changed=NOON,
    )
    return replace(entry, **changes)


def test_the_happy_path_is_written_step_by_step() -> None:
    entry = opened(an_entry())
    path = [Stage.INTENT, Stage.SENT, Stage.RECEIVED, Stage.STORED, Stage.SETTLED]
    for number, stage in enumerate(path, 1):
        entry = moved(entry, stage, NOON + timedelta(seconds=number))
    assert [step.stage for step in entry.trail] == [Stage.RESERVED, *path]
    assert [step.at for step in entry.trail] == [
        NOON + timedelta(seconds=number) for number in range(6)
    ]
    assert entry.changed == NOON + timedelta(seconds=5)
    assert entry.begun == NOON
    assert entry.trail[0].facts == {"micro": 250_000}


def test_every_stage_has_its_moves_and_no_end_has_any() -> None:
    assert set(MOVES) == set(Stage)
    assert {stage for stage in Stage if not MOVES[stage]} == ENDS
    assert OPEN == (Stage.RESERVED, Stage.INTENT, Stage.SENT, Stage.RECEIVED, Stage.STORED)
    assert {stage for stage in Stage if stage.is_open} == set(OPEN)
    assert {stage for stage in Stage if stage.is_doubtful} == {Stage.UNKNOWN, Stage.HELD}
    assert UNSENT == (Stage.RESERVED, Stage.INTENT)


def test_the_table_of_moves() -> None:
    allowed = {(a.value, b.value) for a, targets in MOVES.items() for b in targets}
    assert allowed == {
        ("reserved", "intent"),
        ("reserved", "released"),
        ("intent", "intent"),
        ("intent", "sent"),
        ("intent", "released"),
        ("sent", "intent"),
        ("sent", "received"),
        ("sent", "unknown"),
        ("sent", "released"),
        ("received", "intent"),
        ("received", "stored"),
        ("received", "unknown"),
        ("received", "released"),
        ("stored", "settled"),
        ("stored", "refused"),
        ("stored", "quarantined"),
        ("unknown", "held"),
        ("unknown", "settled"),
        ("unknown", "released"),
        ("held", "settled"),
        ("held", "released"),
    }


@given(st.sampled_from(list(Stage)), st.sampled_from(list(Stage)))
def test_nothing_else_is_possible(before: Stage, after: Stage) -> None:
    entry = an_entry(stage=before)
    if after in MOVES[before]:
        assert moved(entry, after, NOON).stage is after
    else:
        with pytest.raises(WrongMove, match=f"job-1 is {before.value} and cannot become"):
            moved(entry, after, NOON)


@given(st.lists(st.sampled_from(list(Stage)), max_size=30))
def test_a_call_never_ends_twice_and_never_forgets(stages: list[Stage]) -> None:
    entry = opened(an_entry())
    for stage in stages:
        try:
            entry = moved(entry, stage, NOON)
        except WrongMove:
            continue
    ends = [step.stage for step in entry.trail if step.stage in ENDS]
    assert len(ends) <= 1
    assert entry.trail[-1].stage is entry.stage
    sent = [step.stage for step in entry.trail].count(Stage.SENT)
    answered = entry.stage in (Stage.SETTLED, Stage.REFUSED, Stage.QUARANTINED)
    assert sent >= 1 if answered else True


def test_a_step_keeps_what_is_not_said_and_takes_what_is() -> None:
    entry = opened(an_entry(project="a", attempts=2, note="n"))
    kept = moved(entry, Stage.INTENT, NOON)
    assert (kept.project, kept.attempts, kept.note) == ("a", 2, "n")
    said = moved(entry, Stage.INTENT, NOON, project="b", attempts=3, note="m", facts={"x": 1})
    assert (said.project, said.attempts, said.note) == ("b", 3, "m")
    assert said.trail[-1].facts == {"x": 1}


def test_a_clock_that_goes_back_stands_still() -> None:
    entry = opened(an_entry())
    after = moved(entry, Stage.INTENT, NOON - timedelta(days=1))
    assert after.changed == NOON
    assert after.trail[-1].at == NOON
    assert submitted(after, "v1_abc", NOON - timedelta(days=1)).changed == NOON


def test_a_submitted_call_stays_where_it_is_and_knows_its_id() -> None:
    entry = moved(moved(opened(an_entry()), Stage.INTENT, NOON), Stage.SENT, NOON)
    later = NOON + timedelta(seconds=2)
    known = submitted(entry, "v1_abc", later)
    assert (known.stage, known.remote, known.changed) == (Stage.SENT, "v1_abc", later)
    assert known.trail[-1].facts == {"remote": "v1_abc"}
    assert moved(known, Stage.RECEIVED, later).remote == "v1_abc"


def test_a_call_begins_as_reserved() -> None:
    with pytest.raises(WrongMove, match="begins as reserved, not as sent"):
        opened(an_entry(stage=Stage.SENT))


def test_a_new_call_was_never_tried() -> None:
    new = an_entry()
    assert (new.attempts, new.remote, new.note, new.trail) == (0, None, None, ())


def test_words_that_databases_keep_stay_the_same() -> None:
    assert [stage.value for stage in Stage] == [stage.name.lower() for stage in Stage]
    assert [state.value for state in ClaimState] == ["running", "final", "dropped"]


def test_adoption_changes_the_owner_only() -> None:
    assert adopted(an_entry(), "you") == an_entry(owner="you")
    assert an_entry().spool == "job-1"


@pytest.mark.parametrize(
    ("stage", "hours", "overdue"),
    [
        (Stage.UNKNOWN, 24, True),
        (Stage.UNKNOWN, 25, True),
        (Stage.UNKNOWN, 23.999, False),
        (Stage.HELD, 48, False),
        (Stage.SENT, 48, False),
    ],
)
def test_a_hold_stays_for_good_after_a_day(stage: Stage, hours: float, overdue: bool) -> None:
    now = NOON + timedelta(hours=hours)
    assert is_overdue(an_entry(stage=stage), now, timedelta(hours=24)) is overdue
