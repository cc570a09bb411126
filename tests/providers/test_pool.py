"""Where a request goes next: places, obstacles, hops and repeats, and whole outages in minutes."""

import heapq
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from heliograph.errors import (
    Charged,
    CredentialRejected,
    DeadlineExceeded,
    HeliographError,
    NoImage,
    NotSent,
    OutcomeUnknown,
    Overloaded,
    PolicyBlocked,
    QuotaExhausted,
    RateLimited,
    RequestRejected,
    UntrustedUpstream,
)
from heliograph.providers.breaker import State
from heliograph.providers.gates import Moment
from heliograph.providers.pool import Closed, GiveUp, Obstacle, Pause, Place, Pool, Step, Trip, Try

NOON = datetime(2026, 7, 1, 19, tzinfo=UTC)  # 12:00 in Los Angeles
MODEL = "gemini-3-pro-image"
OTHER = "gemini-3.1-flash-image"
A, A2, B, C = Place(project="a"), Place(project="a", key=1), Place(project="b"), Place(project="c")


class Middle(random.Random):
    """Always the middle of what is asked."""

    def uniform(self, a: float, b: float) -> float:
        return (a + b) / 2


CHANCE = Middle()


def at(now: float) -> Moment:
    return Moment(now=now, wall=NOON + timedelta(seconds=now))


def place(step: Step | Closed) -> Place:
    assert isinstance(step, Try), step
    return step.place


def start(pool: Pool, now: float = 0.0, model: str = MODEL, patience: float = 600.0) -> Trip:
    """A trip whose first attempt is on its way."""
    trip = pool.trip(model, now + patience)
    assert isinstance(trip.begin(at(now)), Try)
    return trip


def fail(trip: Trip, error: HeliographError, now: float = 0.0) -> Step:
    return trip.failed(error, at(now), CHANCE)


def closed(pool: Pool, now: float = 0.0, model: str = MODEL) -> Closed:
    found = pool.trip(model, math.inf).begin(at(now))
    assert isinstance(found, GiveUp)
    assert found.closed is not None
    assert not found.other_model
    return found.closed


def first(pool: Pool, now: float = 0.0, model: str = MODEL) -> Place:
    """Where a new request would go; it does not go."""
    trip = pool.trip(model, math.inf)
    found = place(trip.begin(at(now)))
    trip.abandoned()
    return found


def tokens(pool: Pool, at_place: Place = A, model: str = MODEL) -> float:
    return pool.lane(at_place, model).budget.tokens


def open_breaker(pool: Pool, project: Place, now: float = 0.0) -> None:
    for _ in range(5):
        tried = pool.choose(MODEL, at(now), first=project)
        assert place(tried) == project
        assert isinstance(tried, Try)
        pool.failed(tried, MODEL, OutcomeUnknown("x", charged=Charged.UNKNOWN), at(now))


DAILY = QuotaExhausted("x", facts={"quota": "day"})
FREE = QuotaExhausted("x", facts={"quota": "free_tier"})
SPEND = QuotaExhausted("x", facts={"quota": "spend"})
DEPLETED = QuotaExhausted("x", facts={"quota": "depleted"})
BAD_KEY = CredentialRejected("x", facts={"http_status": 403, "status": "PERMISSION_DENIED"})


# ---------------------------------------------------------------- one place


def test_without_places_nothing_can_be_tried() -> None:
    found = closed(Pool([]))
    assert found.obstacles == ()
    assert found.seconds == math.inf


def test_an_outcome_needs_an_attempt() -> None:
    trip = Pool([A]).trip(MODEL, 600.0)
    with pytest.raises(RuntimeError, match="without an attempt"):
        trip.abandoned()
    trip.begin(at(0))
    trip.succeeded(1.0)
    with pytest.raises(RuntimeError):
        trip.succeeded(1.0)


@pytest.mark.parametrize(
    ("error", "waits"),
    [
        (NotSent("x"), [0.25, 0.5, 1.0]),
        (RateLimited("x"), [3.75, 6.25, 11.25]),
        (RateLimited("x", retry_after=10.0), [10.5, 10.5, 10.5]),
        (Overloaded("x"), [0.5, 1.0]),
        (DeadlineExceeded("x"), [0.5]),
        (OutcomeUnknown("x", charged=Charged.UNKNOWN), []),
        (Overloaded("x", charged=Charged.UNKNOWN), []),
        (PolicyBlocked("x"), []),
        (NoImage("x"), []),
        (RequestRejected("x"), []),
        (UntrustedUpstream("x"), []),
        (DAILY, []),
        (BAD_KEY, []),
    ],
)
def test_how_often_one_place_is_asked(error: HeliographError, waits: list[float]) -> None:
    pool = Pool([A])
    trip = start(pool)
    now = 0.0
    for n, wait in enumerate(waits, start=1):
        step = fail(trip, error, now)
        assert isinstance(step, Pause)
        assert step.seconds == pytest.approx(wait)
        assert trip.failures == n
        now += wait
        assert place(trip.resume(at(now))) == A
    assert fail(trip, error, now) == GiveUp()
    assert trip.hops == 0


@pytest.mark.parametrize(
    ("error", "cost"), [(Overloaded("x"), 1.0), (NotSent("x"), 1.0), (RateLimited("x"), 0.0)]
)
def test_repeats_are_paid_from_the_budget_unless_the_upstream_told_the_wait(
    error: HeliographError, cost: float
) -> None:
    pool = Pool([A])
    trip = start(pool)
    fail(trip, error)
    assert tokens(pool) == 10.0 - cost
    trip.resume(at(1.0))
    assert tokens(pool) == 10.0 - cost
    start(pool)
    assert tokens(pool) == pytest.approx(min(10.0, 10.1 - cost))


def test_an_empty_budget_means_no_repeat() -> None:
    pool = Pool([A])
    for _ in range(10):
        pool.lane(A, MODEL).budget.spend()
    assert fail(start(pool), Overloaded("x")) == GiveUp()
    assert isinstance(fail(start(pool), RateLimited("x")), Pause)
    assert isinstance(fail(start(pool, model=OTHER), Overloaded("x")), Pause)


def test_no_wait_goes_past_the_deadline() -> None:
    told = RateLimited("x", retry_after=10.0)
    assert fail(start(Pool([A]), patience=10.5), told) == Pause(seconds=10.5)
    assert fail(start(Pool([A]), patience=10.4), told) == GiveUp()
    assert fail(start(Pool([A]), patience=0.4), Overloaded("x")) == GiveUp()


def test_a_breaker_that_opened_is_not_waited_for() -> None:
    pool = Pool([A])
    trips: list[Trip] = []
    steps: list[Step] = []
    for _ in range(5):
        trips.append(start(pool))
        steps.append(fail(trips[-1], Overloaded("x")))
    assert steps == [*[Pause(seconds=0.5)] * 4, GiveUp()]
    assert tokens(pool) == 6.4  # four repeats, and four first attempts after the first repeat
    found = trips[0].resume(at(0.5))
    assert isinstance(found, GiveUp)
    assert found.closed is not None
    assert found.closed.seconds == 29.5
    assert pool.state(A, MODEL) is State.OPEN
    assert pool.state(A, OTHER) is State.CLOSED


def test_a_model_that_is_gone_calls_for_another_model() -> None:
    gone = RequestRejected("x", facts={"http_status": 404, "status": "NOT_FOUND"})
    pool = Pool([A, A2, B])
    assert fail(start(pool), gone) == GiveUp(other_model=True)
    assert fail(start(pool), RequestRejected("x", facts={"http_status": 400})) == GiveUp()
    assert first(pool) == A


# ---------------------------------------------------------------- the next place


@pytest.mark.parametrize(
    "error",
    [NotSent("x"), Overloaded("x"), DeadlineExceeded("x"), DAILY, FREE, SPEND, DEPLETED],
)
def test_another_project_is_tried_at_once_and_for_nothing(error: HeliographError) -> None:
    pool = Pool([A, A2, B, C])
    trip = start(pool)
    assert place(fail(trip, error)) == B
    assert trip.hops == 1
    assert tokens(pool) == tokens(pool, B) == 10.0
    trip.succeeded(1.0)


@pytest.mark.parametrize(
    "error",
    [
        PolicyBlocked("x"),
        NoImage("x"),
        RequestRejected("x"),
        OutcomeUnknown("x", charged=Charged.UNKNOWN),
        UntrustedUpstream("x"),
        RateLimited("x", charged=Charged.UNKNOWN),
    ],
)
def test_what_goes_nowhere_else(error: HeliographError) -> None:
    pool = Pool([A, A2, B])
    trip = start(pool)
    assert fail(trip, error) == GiveUp()
    assert trip.hops == 0


def test_the_second_hop_is_paid_by_the_place_it_goes_to() -> None:
    pool = Pool([A, B, C])
    trip = start(pool)
    assert place(fail(trip, Overloaded("x"))) == B
    assert place(fail(trip, Overloaded("x"))) == C
    assert (tokens(pool, A), tokens(pool, B), tokens(pool, C)) == (10.0, 10.0, 9.0)
    assert trip.hops == 2
    assert fail(trip, Overloaded("x")) == GiveUp(), "three attempts in all"


def test_hops_count_as_repeats() -> None:
    pool = Pool([A, B, C, Place(project="d")])
    trip = start(pool)
    assert place(fail(trip, Overloaded("x"))) == B
    assert place(fail(trip, Overloaded("x"))) == C
    assert fail(trip, Overloaded("x")) == GiveUp(), "two repeats, wherever they go"
    assert trip.hops == 2


def test_only_a_rate_closes_a_gate_by_the_told_wait() -> None:
    pool = Pool([A])
    fail(start(pool), Overloaded("x", retry_after=400.0))
    assert first(pool) == A


def test_a_project_has_one_key_unless_said_otherwise() -> None:
    assert Place(project="a").key == 0


def test_a_second_hop_that_nobody_can_pay_takes_nothing() -> None:
    pool = Pool([A, B, C])
    for _ in range(10):
        pool.lane(C, MODEL).budget.spend()
    open_breaker(pool, C)
    trip = start(pool, 30.0)
    fail(trip, Overloaded("x"), 30.0)
    assert fail(trip, Overloaded("x"), 30.0) == Pause(seconds=1.0)
    assert place(pool.choose(MODEL, at(30.0), first=C)) == C, "the probe's place must be free"


def test_a_repeat_comes_back_to_the_last_place() -> None:
    pool = Pool([A, B])
    trip = start(pool)
    assert place(fail(trip, Overloaded("x"))) == B
    assert fail(trip, Overloaded("x")) == Pause(seconds=1.0)
    assert (tokens(pool, A), tokens(pool, B)) == (10.0, 9.0)
    assert place(trip.resume(at(1.0))) == B
    assert fail(trip, Overloaded("x")) == GiveUp()


def test_a_rate_is_waited_for_before_another_project_is_asked() -> None:
    pool = Pool([A, B])
    trip = start(pool)
    for now in (0.0, 10.0, 20.0):
        assert isinstance(fail(trip, RateLimited("x", retry_after=7.0), now), Pause)
        assert place(trip.resume(at(now + 8.0))) == A
    assert place(fail(trip, RateLimited("x", retry_after=7.0), 30.0)) == B
    assert fail(trip, RateLimited("x", retry_after=7.0), 31.0) == GiveUp()


@pytest.mark.parametrize(("told", "patience"), [(300.1, 1000.0), (10.0, 5.0)])
def test_a_rate_that_takes_too_long_goes_to_another_project(told: float, patience: float) -> None:
    pool = Pool([A, B])
    assert place(fail(start(pool, patience=patience), RateLimited("x", retry_after=told))) == B


def test_after_the_deadline_nothing_new_begins() -> None:
    pool = Pool([A, B])
    assert fail(start(pool, patience=10.0), DAILY, 10.0) == GiveUp()
    assert place(fail(start(Pool([A, B]), patience=10.0), DAILY, 9.9)) == B


def test_a_bad_key_leaves_the_projects_other_key() -> None:
    pool = Pool([A, A2, B])
    trip = start(pool)
    assert place(fail(trip, BAD_KEY)) == A2
    assert place(fail(trip, BAD_KEY)) == B
    assert fail(trip, BAD_KEY) == GiveUp()
    assert trip.hops == 2
    assert tokens(pool, A2) == tokens(pool, B) == 10.0
    found = closed(pool)
    assert found.seconds == math.inf
    assert [o.cause for o in found.obstacles] == ["quarantine"] * 3
    assert [o.place for o in found.obstacles] == [A, A2, B]
    assert closed(pool, 1e9, OTHER).seconds == math.inf, "a bad key is bad for every model"
    pool.pardon(A2)
    pool.pardon(A2)
    assert first(pool) == A2


@pytest.mark.parametrize(
    ("facts", "ends"),
    [
        ({"http_status": 403, "status": None, "reasons": []}, True),
        ({"http_status": 403, "status": "PERMISSION_DENIED", "reasons": []}, False),
        ({"http_status": 400, "status": None, "reasons": ["API_KEY_INVALID"]}, False),
        ({}, True),
    ],
)
def test_a_refusal_that_is_not_the_upstreams_own_is_doubted(
    facts: dict[str, object], *, ends: bool
) -> None:
    pool = Pool([A])
    fail(start(pool, 100.0), CredentialRejected("x", facts=facts), 100.0)
    assert closed(pool, 100.0).seconds == (600.0 if ends else math.inf)
    assert closed(pool, 699.0).seconds == (1.0 if ends else math.inf)
    if ends:
        assert first(pool, 700.0) == A


# ---------------------------------------------------------------- gates


@pytest.mark.parametrize(
    ("error", "cause", "seconds", "other_model"),
    [
        (DAILY, "day", 12 * 3600.0, True),
        (FREE, "free_tier", 600.0, True),
        (QuotaExhausted("x"), "free_tier", 600.0, True),
        (SPEND, "spend", 600.0, False),
        (DEPLETED, "depleted", 600.0, False),
        (RateLimited("x", retry_after=300.1), "rate", 300.1, True),
    ],
)
def test_a_quota_closes_the_project_for_this_model_or_for_all(
    error: HeliographError, cause: str, seconds: float, *, other_model: bool
) -> None:
    pool = Pool([A, A2])
    assert fail(start(pool), error) == GiveUp()
    found = closed(pool)
    assert found.obstacles == tuple(
        Obstacle(place=p, cause=cause, seconds=seconds) for p in (A, A2)
    )
    assert found.seconds == seconds
    if other_model:
        assert first(pool, model=OTHER) == A
    else:
        assert closed(pool, model=OTHER).seconds == seconds
    assert first(pool, seconds) == A


@pytest.mark.parametrize("error", [RateLimited("x"), RateLimited("x", retry_after=300.0)])
def test_a_short_rate_closes_nothing(error: HeliographError) -> None:
    pool = Pool([A])
    fail(start(pool), error)
    assert first(pool) == A


@pytest.mark.parametrize("error", [FREE, DEPLETED])
def test_one_request_asks_whether_the_project_is_served_again(error: HeliographError) -> None:
    pool = Pool([A])
    fail(start(pool), error)
    trip = pool.trip(MODEL, math.inf)
    step = trip.begin(at(600.0))
    assert isinstance(step, Try)
    assert step.probe
    assert closed(pool, 600.0).seconds == 5.0
    # an overload tells nothing about the quota
    fail(trip, Overloaded("x"), 601.0)
    trip.resume(at(602.0))
    assert closed(pool, 602.0).seconds == 5.0
    trip.succeeded(603.0)
    other = pool.trip(MODEL, math.inf).begin(at(603.0))
    assert isinstance(other, Try)
    assert not other.probe
    assert first(pool, 603.0) == A


@pytest.mark.parametrize("quota", [FREE, DEPLETED])
@pytest.mark.parametrize("answer", [PolicyBlocked("x"), NoImage("x")])
def test_a_refused_picture_shows_that_the_project_is_served(
    quota: HeliographError, answer: HeliographError
) -> None:
    pool = Pool([A])
    fail(start(pool), quota)
    fail(start(pool, 600.0), answer, 601.0)
    step = pool.trip(MODEL, math.inf).begin(at(601.0))
    assert isinstance(step, Try)
    assert not step.probe


def test_a_place_that_stays_closed_keeps_no_probe_of_its_other_guards() -> None:
    pool = Pool([A])
    probing = start(pool)
    model = start(pool)
    for _ in range(5):
        fail(start(pool), OutcomeUnknown("x", charged=Charged.UNKNOWN), 590.0)
    fail(probing, DEPLETED)
    fail(model, FREE)
    # at 600 s both gates would admit a probe, and the breaker says no until 620 s
    assert closed(pool, 600.0).obstacles == (Obstacle(place=A, cause="breaker", seconds=20.0),)
    assert closed(pool, 601.0).seconds == 19.0
    trip = pool.trip(MODEL, math.inf)
    step = trip.begin(at(620.0))
    assert isinstance(step, Try)
    assert step.project_pass.probe
    assert step.model_pass.probe
    assert step.breaker_pass.probe
    trip.succeeded(621.0)
    after = pool.trip(MODEL, math.inf).begin(at(621.0))
    assert isinstance(after, Try)
    assert not after.probe


def test_the_models_gate_frees_the_projects_probe() -> None:
    pool = Pool([A])
    early, late = start(pool), start(pool)
    fail(early, DEPLETED)
    fail(late, DAILY)
    assert closed(pool, 600.0).obstacles[0].cause == "day"
    assert first(pool, 600.0, OTHER) == A


@pytest.mark.parametrize(
    ("field", "setup"),
    [("project_pass", DEPLETED), ("model_pass", FREE), ("breaker_pass", UntrustedUpstream("x"))],
)
def test_a_probe_of_any_guard_is_a_probe(field: str, setup: HeliographError) -> None:
    pool = Pool([A])
    fail(start(pool), setup)
    step = pool.choose(MODEL, at(600.0))
    assert isinstance(step, Try)
    assert step.probe
    others = {"project_pass", "model_pass", "breaker_pass"} - {field}
    assert getattr(step, field).probe
    assert not any(getattr(step, other).probe for other in others)
    pool.abandoned(step, MODEL)
    assert isinstance(pool.choose(MODEL, at(600.0)), Try), "abandoned: free again"


def test_facts_of_an_obstacle_are_json() -> None:
    assert Obstacle(place=A2, cause="day", seconds=1.23456).facts() == {
        "project": "a",
        "key": 1,
        "cause": "day",
        "seconds": 1.235,
    }
    assert Obstacle(place=A, cause="quarantine", seconds=math.inf).facts()["seconds"] is None


def test_the_soonest_place_says_when_to_come_back() -> None:
    pool = Pool([A, B, C])
    fail(start(pool), BAD_KEY)
    fail(start(pool), DAILY)
    fail(start(pool), SPEND)
    found = closed(pool, 100.0)
    assert [(o.place, o.cause) for o in found.obstacles] == [
        (A, "quarantine"),
        (B, "day"),
        (C, "spend"),
    ]
    assert found.seconds == 500.0


# ---------------------------------------------------------------- the order


def test_a_place_that_failed_rests_behind_the_others() -> None:
    pool = Pool([A, B, C])
    assert first(pool) == A
    assert place(fail(start(pool), Overloaded("x"), 100.0)) == B
    assert first(pool, 100.0) == B
    assert first(pool, 100.0, OTHER) == A
    assert first(pool, 129.9) == B
    assert first(pool, 130.0) == A


def test_of_those_that_rest_the_longest_failed_comes_first() -> None:
    pool = Pool([A, B])
    for project, now in ((A, 5.0), (B, 0.0)):
        tried = pool.choose(MODEL, at(now), first=project)
        assert isinstance(tried, Try)
        pool.failed(tried, MODEL, Overloaded("x"), at(now))
    assert first(pool, 10.0) == B


@pytest.mark.parametrize("answer", [None, PolicyBlocked("x")])
def test_an_answer_ends_the_rest(answer: HeliographError | None) -> None:
    pool = Pool([A, B])
    fail(start(pool), Overloaded("x"))
    tried = pool.choose(MODEL, at(1.0), first=A)
    assert isinstance(tried, Try)
    assert tried.place == A
    if answer is None:
        pool.succeeded(tried, MODEL, 1.0)
    else:
        pool.failed(tried, MODEL, answer, at(1.0))
    assert first(pool, 1.0) == A


def test_what_is_no_fault_of_the_place_does_not_send_it_to_rest() -> None:
    pool = Pool([A, B])
    for error in (RateLimited("x"), RequestRejected("x"), PolicyBlocked("x")):
        fail(start(pool), error)
        assert first(pool) == A


def test_a_slow_place_opens_its_breaker() -> None:
    pool = Pool([A])
    for i in range(20):
        start(pool, i * 100.0).succeeded(i * 100.0, slow=i >= 4)
    assert pool.state(A, MODEL) is State.OPEN
    quick = Pool([A])
    for _ in range(20):
        start(quick).succeeded(0.0)
    for _ in range(20):
        tried = quick.choose(MODEL, at(0.0))
        assert isinstance(tried, Try)
        quick.succeeded(tried, MODEL, 0.0)
    assert quick.state(A, MODEL) is State.CLOSED


# ---------------------------------------------------------------- whole outages, simulated


@dataclass
class Outage:
    """Requests over time against projects that fail by a timetable, on a clock of its own.

    Every request is a loop as a caller would write it; events are run in the order of time.
    """

    pool: Pool
    bad: Callable[[str, float], bool]
    fails_in: float = 0.1  # seconds a refusal takes
    answers_in: float = 0.3  # seconds a picture takes
    chance: random.Random = field(default_factory=lambda: random.Random(7))
    calls: list[tuple[float, str]] = field(default_factory=list)
    successes: list[float] = field(default_factory=list)
    attempts: list[int] = field(default_factory=list)  # of each request that ended
    opened: float | None = None  # when the first project's breaker was first seen open
    events: list[tuple[float, int, Callable[[float], None]]] = field(default_factory=list)

    def run(self, requests: int, seconds: float) -> None:
        for i in range(requests):
            self.after(i * seconds / requests, self.request)
        while self.events:
            now, _, event = heapq.heappop(self.events)
            event(now)
            if self.opened is None and self.pool.state(A, MODEL) is State.OPEN:
                self.opened = now

    def after(self, when: float, event: Callable[[float], None]) -> None:
        self.serial = getattr(self, "serial", 0) + 1
        heapq.heappush(self.events, (when, self.serial, event))

    def request(self, now: float) -> None:
        trip = self.pool.trip(MODEL, now + 600.0)
        self.go(trip, trip.begin(at(now)), now)

    def go(self, trip: Trip, step: Step, now: float) -> None:
        if isinstance(step, Pause):
            then = now + step.seconds
            self.after(then, lambda now: self.go(trip, trip.resume(at(now)), now))
        elif isinstance(step, GiveUp):
            self.attempts.append(trip.failures)
        else:
            project = step.place.project
            self.calls.append((now, project))
            if self.bad(project, now):
                self.after(now + self.fails_in, lambda now: self.fail(trip, now))
            else:
                self.after(now + self.answers_in, lambda now: self.succeed(trip, now))

    def fail(self, trip: Trip, now: float) -> None:
        self.go(trip, trip.failed(Overloaded("x"), at(now), self.chance), now)

    def succeed(self, trip: Trip, now: float) -> None:
        trip.succeeded(now)
        self.attempts.append(trip.failures + 1)
        self.successes.append(now)


@pytest.mark.parametrize("fails_in", [0.02, 0.1, 1.0])
def test_f08_an_overload_of_a_minute(fails_in: float) -> None:
    outage = Outage(Pool([A]), lambda _, now: now < 60.0, fails_in=fails_in)
    outage.run(1000, 100.0)
    assert len(outage.attempts) == 1000
    assert len(outage.calls) / 1000 <= 1.15
    assert max(outage.attempts) <= 3
    assert outage.opened is not None
    assert outage.opened <= 10.0
    recovered = min(t for t in outage.successes if t > 60.0)
    assert recovered - outage.answers_in <= 60.0 + 35.0
    probes = [t for t, _ in outage.calls if outage.opened + fails_in < t < 90.0]
    assert len(probes) == 1, "while it is open only one real request asks"
    late = [t for t in outage.successes if t > recovered]
    assert len(late) >= (100.0 - recovered) * 10 - 2, "all that come later are served"


@pytest.mark.parametrize("fails_in", [0.02, 0.1, 1.0])
def test_f09_one_project_is_bad(fails_in: float) -> None:
    outage = Outage(Pool([A, B]), lambda project, _: project == "a", fails_in=fails_in)
    outage.run(2000, 200.0)
    assert len(outage.successes) == 2000
    assert max(outage.attempts) == 2, "B after one try at A"
    asked = [t for t, project in outage.calls if project == "a"]
    later = [t for t in asked if t > 30.0]
    assert len(later) / 1700 <= 0.02
    assert later, "real requests find out whether A is back"


def test_f09_the_bad_project_comes_back() -> None:
    outage = Outage(Pool([A, B]), lambda project, now: project == "a" and now < 60.0)
    outage.run(1000, 100.0)
    assert len(outage.successes) == 1000
    assert {project for t, project in outage.calls if t > 96.0} == {"a"}


@pytest.mark.parametrize("rate", [1, 3, 10, 30])  # requests a second
@pytest.mark.parametrize("first_bad", ["a", "b"])
def test_f53_two_projects_that_are_bad_in_turn(rate: float, first_bad: str) -> None:
    def bad(project: str, now: float) -> bool:
        return (project == first_bad) == (int(now / 5.0) % 2 == 0)

    outage = Outage(Pool([A, B]), bad)
    requests = round(rate * 200)
    outage.run(requests, 200.0)
    assert len(outage.calls) / requests <= 1.3
    assert len(outage.successes) / requests >= 0.95
