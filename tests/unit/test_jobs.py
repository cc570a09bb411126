"""Jobs go forward only, and what ended stays as it ended."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.jobs import MOVES, OPEN, Job, JobState, WrongJobMove, adopted, moved

NOW = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
JOB = Job(
    id="a" * 32,
    user="u" * 32,
    access=None,
    face="native",
    route="POST /jobs",
    state=JobState.QUEUED,
    mark="m",
    pictures=("a" * 32,),
    prompt="A fox",
    created=NOW,
    changed=NOW,
    owner="one",
    library="here",
    key="k",
    key_expires=NOW + timedelta(hours=72),
)


@given(start=st.sampled_from(JobState), end=st.sampled_from(JobState))
def test_only_the_steps_of_the_table_exist(start: JobState, end: JobState) -> None:
    job = replace(JOB, state=start)
    if end in MOVES[start]:
        assert moved(job, end, NOW).state is end
    else:
        with pytest.raises(WrongJobMove):
            moved(job, end, NOW)


def test_what_ended_is_not_open_and_goes_nowhere() -> None:
    for state in JobState:
        assert state.is_open == (state in OPEN)
        assert bool(MOVES[state]) == state.is_open


def test_a_failure_that_may_be_tried_again_frees_the_key() -> None:
    kept = moved(JOB, JobState.FAILED, NOW, error={"code": "no_image"})
    assert (kept.key, kept.key_expires) == ("k", JOB.key_expires)
    freed = moved(JOB, JobState.FAILED, NOW, error={"code": "overloaded"}, keeps_key=False)
    assert (freed.key, freed.key_expires) == (None, None)


def test_a_clock_that_goes_back_stands_still() -> None:
    before = NOW - timedelta(days=1)
    assert moved(JOB, JobState.RUNNING, before).changed == NOW
    assert adopted(JOB, "two", before).changed == NOW
    assert adopted(JOB, "two", NOW).owner == "two"
