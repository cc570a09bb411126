"""The breaker at its borders, and against a slow, plain model of the rules."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from heliograph.providers.breaker import Breaker, State
from heliograph.providers.kinds import POLICY, Kind
from heliograph.providers.turnstile import Pass, Turnstile, Wait

COUNTED = [Kind.NOT_SENT, Kind.CAPACITY, Kind.DEADLINE, Kind.UNKNOWN, Kind.PROTOCOL]
NEUTRAL = [Kind.RATE, Kind.TERMINAL_QUOTA, Kind.SPEND_LIMIT, Kind.CREDENTIAL, Kind.CALLER]
ANSWERS = [Kind.POLICY, Kind.NO_IMAGE]


def passing(breaker: Breaker, now: float) -> Pass:
    passed = breaker.may_pass(now)
    assert isinstance(passed, Pass)
    return passed


def state(breaker: Breaker) -> State:
    """The state, read anew."""
    return breaker.state


def fail(breaker: Breaker, now: float, kind: Kind = Kind.CAPACITY, times: int = 1) -> None:
    for _ in range(times):
        breaker.failed(passing(breaker, now), now, kind)


def succeed(breaker: Breaker, now: float, times: int = 1, *, slow: bool = False) -> None:
    for _ in range(times):
        breaker.succeeded(passing(breaker, now), now, slow=slow)


def opened(at: float = 0.0) -> Breaker:
    breaker = Breaker()
    fail(breaker, at, times=5)
    return breaker


# ---------------------------------------------------------------- opening


def test_it_begins_closed_for_everyone() -> None:
    breaker = Breaker()
    assert state(breaker) is State.CLOSED
    assert breaker.openings == 0
    assert not passing(breaker, 0.0).probe
    assert passing(breaker, 0.0) == passing(breaker, 0.0)


@pytest.mark.parametrize("kind", COUNTED)
def test_five_failures_in_a_row_open_it(kind: Kind) -> None:
    breaker = Breaker()
    fail(breaker, 0.0, kind, times=4)
    assert state(breaker) is State.CLOSED
    fail(breaker, 0.0, kind)
    assert state(breaker) is State.OPEN
    assert breaker.openings == 1


@pytest.mark.parametrize("answer", [None, *ANSWERS])
def test_an_answer_ends_the_row(answer: Kind | None) -> None:
    breaker = Breaker()
    fail(breaker, 0.0, times=4)
    if answer is None:
        succeed(breaker, 0.0)
    else:
        fail(breaker, 0.0, answer)
    fail(breaker, 0.0, times=4)
    assert state(breaker) is State.CLOSED
    fail(breaker, 0.0)
    assert state(breaker) is State.OPEN


def test_failures_that_were_on_their_way_together_are_one() -> None:
    breaker = Breaker()
    for round_ in range(4):
        together = [passing(breaker, round_) for _ in range(4)]
        for passed in together:
            breaker.failed(passed, round_ + 0.5, Kind.CAPACITY)
    assert state(breaker) is State.CLOSED
    fail(breaker, 5.0)
    assert state(breaker) is State.OPEN


def test_an_answer_between_two_that_were_together_does_not_make_them_two() -> None:
    breaker = Breaker()
    first, second = passing(breaker, 0.0), passing(breaker, 0.0)
    breaker.failed(first, 0.0, Kind.CAPACITY)
    succeed(breaker, 0.0)
    breaker.failed(second, 0.0, Kind.CAPACITY)
    fail(breaker, 0.0, times=4)
    assert state(breaker) is State.CLOSED
    fail(breaker, 0.0)
    assert state(breaker) is State.OPEN


def test_failures_a_second_apart_are_two_whenever_they_began() -> None:
    breaker = Breaker()
    together = [passing(breaker, 0.0) for _ in range(6)]
    for number, passed in enumerate(together[:4]):
        breaker.failed(passed, 10.0 + number, Kind.CAPACITY)
    breaker.failed(together[4], 13.99, Kind.CAPACITY)
    assert state(breaker) is State.CLOSED
    breaker.failed(together[5], 14.0, Kind.CAPACITY)
    assert state(breaker) is State.OPEN


def test_twenty_that_fail_together_open_it() -> None:
    breaker = Breaker()
    together = [passing(breaker, 0.0) for _ in range(20)]
    for passed in together[:19]:
        breaker.failed(passed, 1.0, Kind.CAPACITY)
    assert state(breaker) is State.CLOSED
    breaker.failed(together[19], 1.0, Kind.CAPACITY)
    assert state(breaker) is State.OPEN


def half_fail_together(breaker: Breaker, now: float) -> None:
    """Twenty on their way at once; every second one fails, the last one does not."""
    together = [passing(breaker, now) for _ in range(20)]
    for number, passed in enumerate(together):
        if number % 2:
            breaker.succeeded(passed, now)
        else:
            breaker.failed(passed, now, Kind.CAPACITY)


def test_one_moment_that_many_met_at_once_is_no_share_of_failures() -> None:
    breaker = Breaker()
    succeed(breaker, 0.0, times=8)
    together = [passing(breaker, 5.0) for _ in range(19)]
    for passed in together:
        breaker.failed(passed, 5.5, Kind.CAPACITY)
    assert state(breaker) is State.CLOSED
    succeed(breaker, 6.0)
    assert state(breaker) is State.CLOSED


@pytest.mark.parametrize(("apart", "wanted"), [(2.5, State.OPEN), (2.6, State.CLOSED)])
def test_five_moments_within_ten_seconds_are_a_share(apart: float, wanted: State) -> None:
    breaker = Breaker()
    for moment in range(4):
        half_fail_together(breaker, moment * apart)
    assert state(breaker) is State.CLOSED
    half_fail_together(breaker, 4 * apart)
    assert state(breaker) is wanted


def test_five_moments_among_the_last_twenty_are_a_share_however_far_apart() -> None:
    breaker = Breaker()
    for number in range(10):
        fail(breaker, number * 5.0)
        succeed(breaker, number * 5.0)
    assert state(breaker) is State.OPEN


@pytest.mark.parametrize("kind", NEUTRAL)
def test_what_says_nothing_about_the_upstream_changes_nothing(kind: Kind) -> None:
    breaker = Breaker()
    fail(breaker, 0.0, kind, times=50)
    assert state(breaker) is State.CLOSED
    fail(breaker, 0.0, times=4)
    fail(breaker, 0.0, kind)
    assert state(breaker) is State.CLOSED
    fail(breaker, 0.0)
    assert state(breaker) is State.OPEN


def test_a_bad_certificate_opens_it_at_once() -> None:
    breaker = Breaker()
    fail(breaker, 0.0, Kind.TLS_TRUST)
    assert state(breaker) is State.OPEN


def test_corrupt_answers_are_counted_apart() -> None:
    breaker = Breaker()
    fail(breaker, 0.0, times=4)
    fail(breaker, 0.0, Kind.CORRUPT_PAID, times=4)
    assert state(breaker) is State.CLOSED
    fail(breaker, 0.0, Kind.CORRUPT_PAID)
    assert state(breaker) is State.OPEN


def test_corrupt_answers_neither_end_nor_lengthen_a_row() -> None:
    breaker = Breaker()
    fail(breaker, 0.0, times=4)
    fail(breaker, 0.0, Kind.CORRUPT_PAID)
    assert state(breaker) is State.CLOSED
    fail(breaker, 0.0)
    assert state(breaker) is State.OPEN


def test_an_answer_ends_the_row_of_corrupt_ones() -> None:
    breaker = Breaker()
    fail(breaker, 0.0, Kind.CORRUPT_PAID, times=4)
    succeed(breaker, 0.0)
    fail(breaker, 0.0, Kind.CORRUPT_PAID, times=4)
    assert state(breaker) is State.CLOSED
    fail(breaker, 0.0, Kind.CORRUPT_PAID)
    assert state(breaker) is State.OPEN


def test_the_words_for_states_stay_the_same() -> None:
    assert [one.value for one in State] == ["closed", "open", "half_open"]


def mixed(breaker: Breaker, failures: int, now: float = 0.0, begin: float = 0.0) -> None:
    """19 outcomes, never more than two failures in a row, a success at the end."""
    pattern = [True, True, False] * 6 + [False]
    surplus = sum(pattern) - failures
    for i, is_failure in enumerate(pattern):
        at = begin if i == 0 else now
        if is_failure and surplus > 0:
            surplus -= 1
            is_failure = False
        if is_failure:
            fail(breaker, at)
        else:
            succeed(breaker, at)


def test_half_of_the_last_twenty_open_it() -> None:
    breaker = Breaker()
    mixed(breaker, 9)
    assert state(breaker) is State.CLOSED
    fail(breaker, 0.0)
    assert state(breaker) is State.OPEN


def test_less_than_half_does_not() -> None:
    breaker = Breaker()
    mixed(breaker, 8)
    fail(breaker, 0.0)
    assert state(breaker) is State.CLOSED


def test_nineteen_outcomes_are_too_few() -> None:
    breaker = Breaker()
    mixed(breaker, 12)
    assert state(breaker) is State.CLOSED
    succeed(breaker, 0.0)
    assert state(breaker) is State.OPEN


@pytest.mark.parametrize(("now", "wanted"), [(60.0, State.OPEN), (60.1, State.CLOSED)])
def test_the_last_twenty_must_lie_within_a_minute(now: float, wanted: State) -> None:
    breaker = Breaker()
    mixed(breaker, 9, now=now, begin=0.0)
    fail(breaker, now)
    assert state(breaker) is wanted
    later = Breaker()
    mixed(later, 9, now=1000.0 + now, begin=1000.0)
    fail(later, 1000.0 + now)
    assert state(later) is wanted


def test_only_the_last_twenty_count() -> None:
    breaker = Breaker()
    fail(breaker, 0.0, times=4)
    succeed(breaker, 0.0, times=17)
    for _ in range(3):
        fail(breaker, 0.0, times=3)
        succeed(breaker, 0.0)
    assert state(breaker) is State.CLOSED


@pytest.mark.parametrize(("slow", "wanted"), [(15, State.CLOSED), (16, State.OPEN)])
def test_four_fifths_slow_open_it_however_long_they_took(slow: int, wanted: State) -> None:
    breaker = Breaker()
    for i in range(20):
        succeed(breaker, i * 100.0, slow=i < slow)
    assert state(breaker) is wanted


def test_an_upstream_that_gives_up_is_slow() -> None:
    breaker = Breaker()
    for i in range(20):
        if i % 5 == 4:
            succeed(breaker, i * 100.0)
        else:
            fail(breaker, i * 100.0, Kind.DEADLINE)
    assert state(breaker) is State.OPEN
    other = Breaker()
    for i in range(20):
        if i % 5 == 4:
            succeed(other, i * 100.0)
        else:
            fail(other, i * 100.0, Kind.UNKNOWN)
    assert state(other) is State.CLOSED


# ---------------------------------------------------------------- open, and the probe


def test_it_stays_open_for_half_a_minute() -> None:
    breaker = opened(at=100.0)
    assert breaker.may_pass(100.0) == Wait(seconds=30.0, why="breaker")
    assert breaker.may_pass(129.0) == Wait(seconds=1.0, why="breaker")
    assert isinstance(breaker.may_pass(129.9), Wait)
    assert state(breaker) is State.OPEN
    assert passing(breaker, 130.0).probe
    assert state(breaker) is State.HALF_OPEN


def test_one_probe_at_a_time() -> None:
    breaker = opened()
    passing(breaker, 30.0)
    assert breaker.may_pass(30.0) == Wait(seconds=5.0, why="breaker")
    assert isinstance(breaker.may_pass(629.9), Wait)


def test_a_lost_probe_frees_its_place_and_counts_no_longer() -> None:
    breaker = opened()
    lost = passing(breaker, 30.0)
    second = passing(breaker, 630.0)
    assert second.probe
    breaker.succeeded(lost, 631.0)
    assert state(breaker) is State.HALF_OPEN
    assert isinstance(breaker.may_pass(631.0), Wait)
    breaker.succeeded(second, 632.0)
    assert state(breaker) is State.CLOSED


@pytest.mark.parametrize("answer", [None, *ANSWERS])
def test_a_probe_that_is_answered_closes_it(answer: Kind | None) -> None:
    breaker = opened()
    probe = passing(breaker, 30.0)
    if answer is None:
        breaker.succeeded(probe, 31.0, slow=True)
    else:
        breaker.failed(probe, 31.0, answer)
    assert state(breaker) is State.CLOSED
    assert breaker.openings == 0
    assert not passing(breaker, 31.0).probe
    fail(breaker, 31.0, times=4)
    assert state(breaker) is State.CLOSED
    fail(breaker, 31.0)
    assert breaker.may_pass(31.0) == Wait(seconds=30.0, why="breaker")


@pytest.mark.parametrize("kind", [*COUNTED, Kind.TLS_TRUST, Kind.CORRUPT_PAID])
def test_each_failed_probe_opens_it_for_longer_up_to_five_minutes(kind: Kind) -> None:
    breaker = opened()
    now = 0.0
    for seconds in (30, 60, 90, 120, 150, 180, 210, 240, 270, 300, 300, 300):
        assert breaker.may_pass(now) == Wait(seconds=seconds, why="breaker")
        now += seconds
        breaker.failed(passing(breaker, now), now, kind)
    assert breaker.openings == 13


@pytest.mark.parametrize("kind", [None, *NEUTRAL])
def test_a_probe_that_tells_nothing_frees_its_place(kind: Kind | None) -> None:
    breaker = opened()
    probe = passing(breaker, 30.0)
    if kind is None:
        breaker.abandoned(probe)
    else:
        breaker.failed(probe, 30.0, kind)
    assert state(breaker) is State.HALF_OPEN
    assert breaker.openings == 1
    assert passing(breaker, 30.0).probe
    breaker.abandoned(probe)
    assert isinstance(breaker.may_pass(30.0), Wait), "an old probe must not free a new one's place"


def test_what_began_before_it_opened_changes_nothing() -> None:
    breaker = Breaker()
    early = [passing(breaker, 0.0) for _ in range(9)]
    fail(breaker, 1.0, times=5)
    assert breaker.may_pass(1.0) == Wait(seconds=30.0, why="breaker")
    breaker.failed(early[5], 2.0, Kind.CAPACITY)
    breaker.failed(early[6], 2.0, Kind.TLS_TRUST)
    breaker.succeeded(early[7], 2.0)
    breaker.abandoned(early[8])
    assert breaker.may_pass(2.0) == Wait(seconds=29.0, why="breaker")
    probe = passing(breaker, 31.0)
    breaker.failed(early[5], 31.0, Kind.CAPACITY)
    breaker.succeeded(early[7], 31.0)
    breaker.abandoned(early[8])
    assert state(breaker) is State.HALF_OPEN
    assert isinstance(breaker.may_pass(31.0), Wait)
    breaker.succeeded(probe, 32.0)
    assert state(breaker) is State.CLOSED


def test_an_ordinary_attempt_that_is_abandoned_leaves_the_others_counting() -> None:
    breaker = Breaker()
    passed = passing(breaker, 0.0)
    breaker.abandoned(passing(breaker, 0.0))
    breaker.failed(passed, 0.0, Kind.CAPACITY)
    fail(breaker, 0.0, times=4)
    assert state(breaker) is State.OPEN


def test_closing_begins_a_new_count() -> None:
    breaker = Breaker()
    mixed(breaker, 12)
    fail(breaker, 0.0)
    assert state(breaker) is State.OPEN
    breaker.succeeded(passing(breaker, 30.0), 30.0)
    succeed(breaker, 30.0)
    fail(breaker, 30.0, times=2)
    assert state(breaker) is State.CLOSED


def test_a_probe_decides_once() -> None:
    breaker = opened()
    probe = passing(breaker, 30.0)
    breaker.succeeded(probe, 30.0)
    breaker.failed(probe, 30.0, Kind.CAPACITY)
    assert state(breaker) is State.CLOSED


def test_answers_are_quick_unless_said_otherwise() -> None:
    breaker = Breaker()
    for _ in range(20):
        breaker.succeeded(passing(breaker, 0.0), 0.0)
    assert state(breaker) is State.CLOSED


def test_slow_probes_do_not_begin_the_new_count() -> None:
    breaker = opened()
    breaker.succeeded(passing(breaker, 30.0), 30.0, slow=True)
    for i in range(19):
        succeed(breaker, 30.0, slow=i < 16)
    assert state(breaker) is State.CLOSED
    succeed(breaker, 30.0)
    assert state(breaker) is State.OPEN


def test_turns_are_told_apart() -> None:
    turnstile = Turnstile()
    first = turnstile.admit()
    assert turnstile.is_current(first)
    turnstile.turn()
    assert not turnstile.is_current(first)
    probe = turnstile.admit_one(0.0, "x")
    assert isinstance(probe, Pass)
    assert turnstile.admit_one(1.0, "x") == Wait(seconds=5.0, why="x")
    assert turnstile.is_current(probe)
    assert not turnstile.is_current(first)


# ---------------------------------------------------------------- any order of events


class BreakerModel(RuleBasedStateMachine):
    """Many requests at once, in any order, against the rules written down plainly."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker = Breaker()
        self.now = 0.0
        self.out: list[Pass] = []
        self.openings = 0
        self.until = 0.0
        self.probe_since = 0.0

    @property
    def probes(self) -> list[Pass]:
        """Probes on their way; none of them is lost in this model."""
        return [p for p in self.out if p.probe]

    @rule(seconds=st.sampled_from([0.0, 0.5, 4.0, 29.5, 30.0, 61.0, 299.0]))
    def time_passes(self, seconds: float) -> None:
        if not self.probes or self.now + seconds - self.probe_since < 600.0:
            self.now += seconds

    @rule()
    def somebody_asks(self) -> None:
        before = state(self.breaker)
        answer = self.breaker.may_pass(self.now)
        if before is State.CLOSED:
            assert isinstance(answer, Pass)
            assert not answer.probe
        elif self.now < self.until or self.probes:
            assert isinstance(answer, Wait)
            assert 0 < answer.seconds <= 300
        else:
            assert isinstance(answer, Pass)
            assert answer.probe
            self.probe_since = self.now
        if isinstance(answer, Pass):
            self.out.append(answer)

    @precondition(lambda self: self.out)
    @rule(data=st.data(), kind=st.sampled_from([None, "abandoned", *Kind]))
    def somebody_is_done(self, data: st.DataObject, kind: Kind | str | None) -> None:
        passed = self.out.pop(data.draw(st.integers(0, len(self.out) - 1)))
        before = state(self.breaker)
        if kind is None:
            self.breaker.succeeded(passed, self.now)
        elif isinstance(kind, Kind):
            self.breaker.failed(passed, self.now, kind)
        else:
            self.breaker.abandoned(passed)
        after = state(self.breaker)
        answered = kind in (None, *ANSWERS)
        counts = isinstance(kind, Kind) and POLICY[kind].counts_for_breaker
        if passed.probe:
            assert before is State.HALF_OPEN
            wanted = State.CLOSED if answered else State.OPEN if counts else State.HALF_OPEN
            assert after is wanted
        elif before is not State.CLOSED:
            assert after is before
        if after is State.OPEN and before is not State.OPEN:
            self.openings += 1
            self.until = self.now + min(300.0, 30.0 * self.openings)
        if after is State.CLOSED and before is not State.CLOSED:
            self.openings = 0

    @rule()
    def many_failures(self) -> None:
        for _ in range(5):
            if state(self.breaker) is State.CLOSED:
                self.breaker.failed(passing(self.breaker, self.now), self.now, Kind.UNKNOWN)
                if state(self.breaker) is State.OPEN:
                    self.openings += 1
                    self.until = self.now + 30.0
        assert state(self.breaker) is not State.CLOSED

    @invariant()
    def openings_are_counted(self) -> None:
        assert self.breaker.openings == self.openings
        assert len(self.probes) <= 1
        assert (self.breaker.state is State.CLOSED) == (self.openings == 0)


TestBreakerInAnyOrder = BreakerModel.TestCase
TestBreakerInAnyOrder.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
