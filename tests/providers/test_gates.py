"""Gates by both clocks, midnight in Los Angeles, and the ten minutes of spending."""

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from heliograph.providers.gates import Cause, Gate, Moment, next_pacific_midnight
from heliograph.providers.turnstile import Pass, Wait

PACIFIC = ZoneInfo("America/Los_Angeles")
NOON = datetime(2026, 7, 1, 19, tzinfo=UTC)  # 12:00 in Los Angeles; midnight is 12 hours away
HALF_DAY = 12 * 3600.0
DAY = timedelta(days=1)


def at(seconds: float, jump: timedelta = timedelta()) -> Moment:
    """`seconds` after noon, the wall clock off by `jump`."""
    return Moment(now=1000.0 + seconds, wall=NOON + timedelta(seconds=seconds) + jump)


def passing(gate: Gate, moment: Moment) -> Pass:
    passed = gate.may_pass(moment)
    assert isinstance(passed, Pass)
    return passed


def cause_of(gate: Gate) -> Cause | None:
    """The cause, read anew."""
    return gate.cause


def refuse(gate: Gate, cause: Cause, moment: Moment, told: float = 0.0) -> None:
    gate.refused(passing(gate, moment), cause, moment, told=told)


# ---------------------------------------------------------------- midnight


@pytest.mark.parametrize(
    ("now", "midnight"),
    [
        ("2026-07-01T19:00:00+00:00", "2026-07-02T07:00:00+00:00"),
        ("2026-01-01T19:00:00+00:00", "2026-01-02T08:00:00+00:00"),
        ("2026-07-02T06:59:59.999999+00:00", "2026-07-02T07:00:00+00:00"),
        ("2026-07-02T07:00:00+00:00", "2026-07-03T07:00:00+00:00"),
        # spring: 8 March 2026 has 23 hours there; autumn: 1 November has 25
        ("2026-03-08T08:00:00+00:00", "2026-03-09T07:00:00+00:00"),
        ("2026-11-01T07:00:00+00:00", "2026-11-02T08:00:00+00:00"),
        ("2026-12-31T23:59:00-08:00", "2027-01-01T08:00:00+00:00"),
        ("2026-07-02T15:00:00+08:00", "2026-07-03T07:00:00+00:00"),
    ],
)
def test_midnight_in_los_angeles(now: str, midnight: str) -> None:
    found = next_pacific_midnight(datetime.fromisoformat(now))
    assert found == datetime.fromisoformat(midnight)
    assert found.tzinfo is UTC


def test_a_moment_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        next_pacific_midnight(NOON.replace(tzinfo=None))


@given(
    st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)),  # noqa: DTZ001 - zone added below
    st.integers(-14, 14),
)
def test_midnight_is_the_first_one_after_now(naive: datetime, offset: int) -> None:
    now = naive.replace(tzinfo=timezone(timedelta(hours=offset)))
    midnight = next_pacific_midnight(now)
    there = midnight.astimezone(PACIFIC)
    assert (there.hour, there.minute, there.second, there.microsecond) == (0, 0, 0, 0)
    assert timedelta() < midnight - now.astimezone(UTC) <= timedelta(hours=25)
    assert there.date() - now.astimezone(PACIFIC).date() == DAY


# ---------------------------------------------------------------- gates that know their time


def test_an_open_gate_lets_everyone_through() -> None:
    gate = Gate()
    assert cause_of(gate) is None
    assert not passing(gate, at(0)).probe
    assert passing(gate, at(0)) == passing(gate, at(1))
    gate.succeeded(passing(gate, at(0)))
    gate.abandoned(passing(gate, at(0)))
    assert cause_of(gate) is None


@pytest.mark.parametrize(
    ("cause", "told", "seconds"),
    [
        (Cause.SPEND, 0.0, 600.0),
        (Cause.RATE, 400.0, 400.0),
        (Cause.RATE, 86_400.0, 86_400.0),
        (Cause.RATE, 999_999_999.0, 86_400.0),
        (Cause.DAY, 37.0, HALF_DAY),
    ],
)
def test_it_opens_for_everyone_when_its_time_is_over(
    cause: Cause, told: float, seconds: float
) -> None:
    gate = Gate()
    refuse(gate, cause, at(0), told)
    assert cause_of(gate) is cause
    assert gate.may_pass(at(0)) == Wait(seconds=seconds, why=cause.value)
    assert gate.may_pass(at(seconds - 0.5)) == Wait(seconds=0.5, why=cause.value)
    assert not passing(gate, at(seconds)).probe
    assert cause_of(gate) is None
    assert not passing(gate, at(0)).probe, "what was seen open stays open"


@pytest.mark.parametrize("cause", [Cause.FREE_TIER, Cause.DEPLETED])
def test_what_nobody_knows_is_asked_by_one(cause: Cause) -> None:
    gate = Gate()
    refuse(gate, cause, at(0), 37.0)
    assert gate.may_pass(at(599)) == Wait(seconds=1.0, why=cause.value)
    probe = passing(gate, at(600))
    assert probe.probe
    assert gate.may_pass(at(600)) == Wait(seconds=5.0, why=cause.value)
    gate.refused(probe, cause, at(610))
    assert gate.may_pass(at(1209)) == Wait(seconds=1.0, why=cause.value)
    probe = passing(gate, at(1210))
    gate.abandoned(probe)
    assert cause_of(gate) is cause
    second = passing(gate, at(1210))
    assert second.probe
    gate.succeeded(probe)
    gate.abandoned(probe)
    assert isinstance(gate.may_pass(at(1211)), Wait), "an old probe decides nothing"
    gate.succeeded(second)
    assert cause_of(gate) is None
    assert not passing(gate, at(1212)).probe


def test_a_lost_probe_frees_its_place() -> None:
    gate = Gate()
    refuse(gate, Cause.DEPLETED, at(0))
    passing(gate, at(600))
    assert isinstance(gate.may_pass(at(1199)), Wait)
    assert passing(gate, at(1200)).probe


def test_refusals_and_successes_of_calls_that_began_before_are_no_news() -> None:
    gate = Gate()
    early = [passing(gate, at(0)) for _ in range(4)]
    gate.refused(early[0], Cause.SPEND, at(1))
    gate.refused(early[1], Cause.DAY, at(50))
    gate.succeeded(early[2])
    gate.abandoned(early[3])
    assert gate.may_pass(at(51)) == Wait(seconds=550.0, why="spend")
    assert not passing(gate, at(601)).probe
    gate.refused(early[1], Cause.DAY, at(602))
    assert cause_of(gate) is None


def test_an_ordinary_success_does_not_make_others_stale() -> None:
    gate = Gate()
    first, second = passing(gate, at(0)), passing(gate, at(0))
    gate.succeeded(first)
    gate.abandoned(first)
    gate.refused(second, Cause.SPEND, at(1))
    assert cause_of(gate) is Cause.SPEND


def test_the_outcome_of_a_probe_that_the_time_overtook_is_no_news() -> None:
    gate = Gate()
    refuse(gate, Cause.DAY, at(0))
    probe = passing(gate, at(60, DAY))
    assert not passing(gate, at(HALF_DAY)).probe
    gate.refused(probe, Cause.DAY, at(HALF_DAY + 1))
    assert cause_of(gate) is None


def test_a_rate_that_told_no_wait_closes_nothing() -> None:
    gate = Gate()
    gate.refused(passing(gate, at(0)), Cause.RATE, at(0))
    assert not passing(gate, at(0)).probe


def test_the_words_for_causes_stay_the_same() -> None:
    assert [cause.value for cause in Cause] == ["day", "free_tier", "spend", "depleted", "rate"]


# ---------------------------------------------------------------- a day, and clocks that jump


def test_a_second_cause_forgets_the_midnight_of_the_first() -> None:
    gate = Gate()
    refuse(gate, Cause.DAY, at(0))
    probe = passing(gate, at(0, DAY))
    gate.refused(probe, Cause.DEPLETED, at(1, DAY))
    assert isinstance(gate.may_pass(at(2, 3 * DAY)), Wait)


@pytest.mark.parametrize(
    ("into", "seconds"),
    [(timedelta(hours=1, minutes=59), 600.0), (timedelta(hours=2), 22 * 3600.0)],
)
def test_soon_after_midnight_a_clock_may_be_early(into: timedelta, seconds: float) -> None:
    gate = Gate()
    moment = Moment(now=0.0, wall=datetime(2026, 7, 2, 7, tzinfo=UTC) + into)
    refuse(gate, Cause.DAY, moment)
    assert gate.may_pass(moment) == Wait(seconds=seconds, why="day")


def test_dawn_keeps_no_midnight() -> None:
    gate = Gate()
    moment = Moment(now=0.0, wall=datetime(2026, 7, 2, 7, 30, tzinfo=UTC))
    refuse(gate, Cause.DAY, moment)
    jumped = Moment(now=1.0, wall=moment.wall + 2 * DAY)
    assert isinstance(gate.may_pass(jumped), Wait)


def test_a_jump_forward_lets_one_ask_and_the_same_midnight_never_again() -> None:
    gate = Gate()
    refuse(gate, Cause.DAY, at(0))
    probe = passing(gate, at(60, DAY))
    assert probe.probe
    assert isinstance(gate.may_pass(at(60, DAY)), Wait)
    # the upstream says no, by a clock that jumped back meanwhile
    gate.refused(probe, Cause.DAY, at(61))
    assert gate.may_pass(at(61)) == Wait(seconds=HALF_DAY - 61, why="day")
    assert isinstance(gate.may_pass(at(62, DAY)), Wait), "the same midnight must not open it twice"
    assert not passing(gate, at(HALF_DAY)).probe


def test_a_jump_forward_that_stays_closes_until_the_next_midnight_it_shows() -> None:
    gate = Gate()
    refuse(gate, Cause.DAY, at(0))
    gate.refused(passing(gate, at(60, DAY)), Cause.DAY, at(61, DAY))
    assert gate.may_pass(at(61, DAY)) == Wait(seconds=HALF_DAY - 61, why="day")
    assert passing(gate, at(62, 2 * DAY)).probe, "another midnight may open it once, too"


def test_a_probe_by_the_wall_clock_goes_on_when_the_clock_jumps_back() -> None:
    gate = Gate()
    refuse(gate, Cause.DAY, at(0))
    gate.abandoned(passing(gate, at(60, DAY)))
    assert passing(gate, at(61)).probe
    assert not passing(gate, at(HALF_DAY)).probe
    refuse(gate, Cause.SPEND, at(HALF_DAY))
    assert isinstance(gate.may_pass(at(HALF_DAY)), Wait), "the new cause begins its own time"


def test_a_jump_back_does_not_keep_it_closed() -> None:
    gate = Gate()
    refuse(gate, Cause.DAY, at(0))
    assert isinstance(gate.may_pass(at(HALF_DAY - 1, -DAY)), Wait)
    assert not passing(gate, at(HALF_DAY, -DAY)).probe


def test_a_machine_that_slept_over_midnight_asks_when_it_wakes() -> None:
    gate = Gate()
    refuse(gate, Cause.DAY, at(0))
    almost = Moment(now=1060.0, wall=NOON + timedelta(hours=12, microseconds=-1))
    assert isinstance(gate.may_pass(almost), Wait)
    awake = Moment(now=1060.0, wall=NOON + timedelta(hours=12))
    probe = passing(gate, awake)
    assert probe.probe
    gate.succeeded(probe)
    assert not passing(gate, awake).probe


class GateModel(RuleBasedStateMachine):
    """Any causes, outcomes and jumps of the wall clock."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = Gate()
        self.now = 0.0
        self.jump = timedelta()
        self.out: list[Pass] = []
        self.closed_at = 0.0
        self.longest = 0.0

    @property
    def moment(self) -> Moment:
        return Moment(now=self.now, wall=NOON + timedelta(seconds=self.now) + self.jump)

    @initialize(hours=st.integers(0, 24))
    def begin_anywhere_in_the_day(self, hours: int) -> None:
        self.now = hours * 3600.0

    @rule(seconds=st.sampled_from([1.0, 299.0, 600.0, 7200.0, 40_000.0, 90_000.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(days=st.sampled_from([-1, 1]))
    def the_wall_clock_jumps(self, days: int) -> None:
        self.jump += days * DAY

    @rule()
    def somebody_asks(self) -> None:
        before = self.gate.cause
        answer = self.gate.may_pass(self.moment)
        if isinstance(answer, Wait):
            assert before is not None
            assert answer.why == before.value
            assert 0 < answer.seconds <= 90_000
        else:
            if before is None:
                assert not answer.probe
            elif before in (Cause.FREE_TIER, Cause.DEPLETED):
                assert answer.probe
            elif before is not Cause.DAY:
                assert not answer.probe
            if before is not None and before is not Cause.DAY:
                assert self.now - self.closed_at >= self.longest, "earlier than told"
            self.out.append(answer)

    @rule()
    def nothing_is_closed_for_ever(self) -> None:
        cause = self.gate.cause
        late = Moment(now=self.now + 90_000.0 + 600.0, wall=self.moment.wall - 30 * DAY)
        answer = self.gate.may_pass(late)
        assert isinstance(answer, Pass)
        self.now = late.now
        if cause in (Cause.FREE_TIER, Cause.DEPLETED):
            self.gate.succeeded(answer)
        assert self.gate.cause is None

    @precondition(lambda self: self.out)
    @rule(data=st.data(), cause=st.sampled_from(Cause))
    def somebody_is_refused(self, data: st.DataObject, cause: Cause) -> None:
        passed = self.out.pop(data.draw(st.integers(0, len(self.out) - 1)))
        is_news = self.gate._turnstile.is_current(passed)
        before = self.gate.cause
        self.gate.refused(passed, cause, self.moment, told=400.0)
        assert self.gate.cause is (cause if is_news else before)
        if is_news:
            self.closed_at = self.now
            self.longest = 400.0 if cause is Cause.RATE else 600.0

    @precondition(lambda self: self.out)
    @rule(data=st.data(), works=st.booleans())
    def somebody_is_served(self, data: st.DataObject, *, works: bool) -> None:
        passed = self.out.pop(data.draw(st.integers(0, len(self.out) - 1)))
        before = self.gate.cause
        if works:
            self.gate.succeeded(passed)
        else:
            self.gate.abandoned(passed)
        if not (works and passed.probe):
            assert self.gate.cause is before

    @invariant()
    def an_open_gate_is_open(self) -> None:
        if self.gate.cause is None:
            assert isinstance(self.gate.may_pass(self.moment), Pass)


TestGateInAnyOrder = GateModel.TestCase
TestGateInAnyOrder.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


# ---------------------------------------------------------------- spending
