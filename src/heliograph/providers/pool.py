"""Where a request may be tried next: places in order, and what is known about each.

A `Pool` lives as long as its places and knows them for all requests; a `Trip` is one request's way
through it. Pure: both clocks and the chance of the jitter are passed in, waiting is the caller's.
Invariant: an attempt begins only where the key is not quarantined, the gates are open and the
breaker passes; each `Try` is handed back with exactly one outcome; a request that a policy refused,
that is wrong, or that may have been paid for goes nowhere else (reliability.md section 3).

    trip = pool.trip(model, deadline)          step = trip.begin(moment)
    Try      attempt at `step.place`, then `succeeded`, `abandoned`, or step = trip.failed(…)
    Pause    sleep `step.seconds`, then step = trip.resume(moment)
    GiveUp   raise: the last error, or what `step.closed` tells when there was no attempt
"""

import math
import random
from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import Any

from heliograph.errors import HeliographError
from heliograph.providers.breaker import Breaker, State
from heliograph.providers.gates import Cause, Gate, Moment
from heliograph.providers.kinds import (
    ANSWERED,
    LONGEST_TOLD_WAIT,
    POLICY,
    Kind,
    kind_of,
    model_is_gone,
    wait_before,
)
from heliograph.providers.retry_budget import RetryBudget
from heliograph.providers.turnstile import Pass, Wait

REST = 30.0  # seconds for which a place that failed is asked after the others
SUSPICION = 600.0  # seconds of quarantine when a 401 or 403 is not in Google's own words


@dataclass(frozen=True, kw_only=True)
class Place:
    """One key of one project at one upstream."""

    project: str  # label; quotas and capacity belong to the project
    key: int = 0  # index among the project's keys; never the key itself


@dataclass(frozen=True, kw_only=True)
class Obstacle:
    """Why a place cannot be tried now."""

    place: Place
    cause: str  # "quarantine", "breaker", or the value of a gate's `Cause`
    seconds: float  # until asking again can help; infinite when waiting cannot

    def facts(self) -> dict[str, Any]:
        """For an error's facts: JSON-ready, and no secret."""
        seconds = None if math.isinf(self.seconds) else round(self.seconds, 3)
        return {
            "project": self.place.project,
            "key": self.place.key,
            "cause": self.cause,
            "seconds": seconds,
        }


@dataclass(frozen=True, kw_only=True)
class Closed:
    """No place may be tried now."""

    obstacles: tuple[Obstacle, ...]  # in the order of the places

    @property
    def seconds(self) -> float:
        """Until the soonest place may be asked; infinite when waiting cannot help."""
        return min((o.seconds for o in self.obstacles), default=math.inf)


@dataclass(frozen=True, kw_only=True)
class Try:
    """Make one attempt at this place."""

    place: Place
    project_pass: Pass
    model_pass: Pass
    breaker_pass: Pass

    @property
    def probe(self) -> bool:
        """Whether its outcome decides for requests that are kept waiting."""
        return self.project_pass.probe or self.model_pass.probe or self.breaker_pass.probe


@dataclass(frozen=True, kw_only=True)
class Pause:
    """Sleep, then resume."""

    seconds: float


@dataclass(frozen=True, kw_only=True)
class GiveUp:
    """No further attempt is right."""

    closed: Closed | None = None  # when there is no place to try
    other_model: bool = False  # the model is gone: another model may do, another place will not


Step = Try | Pause | GiveUp


class Lane:
    """What is known about one model in one project."""

    def __init__(self) -> None:
        self.gate = Gate()
        self.breaker = Breaker()
        self.budget = RetryBudget()
        self.failed_at: float | None = None  # since the last success


class Pool:
    """The places of one upstream, in the order in which they are preferred."""

    def __init__(self, places: Sequence[Place]) -> None:
        self._places = tuple(places)
        self._projects: dict[str, Gate] = {}
        self._lanes: dict[tuple[str, str], Lane] = {}
        self._quarantine: dict[Place, float] = {}  # monotonic end

    def trip(self, model: str, deadline: float, *, home: str | None = None) -> "Trip":
        """The way of one request.

        Args:
            deadline: monotonic seconds after which nothing new is begun or waited for.
            home: a project to prefer over the order, because it has a part of the request already.
        """
        return Trip(self, model, deadline, home=home)

    def pardon(self, place: Place) -> None:
        """End a quarantine: the operator gave the place a new key, or repaired the old one."""
        self._quarantine.pop(place, None)

    def state(self, place: Place, model: str) -> State:
        """The breaker's state, for metrics and `doctor`."""
        return self.lane(place, model).breaker.state

    def lane(self, place: Place, model: str) -> Lane:
        """What is known about the model in the place's project."""
        return self._lanes.setdefault((place.project, model), Lane())

    def choose(
        self,
        model: str,
        moment: Moment,
        *,
        first: Place | None = None,
        home: str | None = None,
        without: Set[str] = frozenset(),
    ) -> Try | Closed:
        """The next place that may be tried.

        Places keep their order, but one that failed within the last 30 s comes after the others,
        the longest failed first: projects that fail in turn are then not asked in turn.

        Args:
            first: a place to prefer over the order.
            home: a project to prefer, after that place.
            without: projects not to try.
        """
        obstacles: dict[Place, Obstacle] = {}

        def order(place: Place) -> tuple[bool, bool, float]:
            return place != first, place.project != home, self._rest(place, model, moment)

        for place in sorted(self._places, key=order):
            if place.project in without:
                continue
            found = self._enter(place, model, moment)
            if isinstance(found, Try):
                return found
            obstacles[place] = found
        return Closed(obstacles=tuple(obstacles[p] for p in self._places if p in obstacles))

    def _rest(self, place: Place, model: str, moment: Moment) -> float:
        """When the place failed, if that was lately: a number to order places by."""
        failed_at = self.lane(place, model).failed_at
        if failed_at is None or moment.now - failed_at >= REST:
            return -math.inf
        return failed_at

    def _enter(self, place: Place, model: str, moment: Moment) -> Try | Obstacle:
        quarantined = self._quarantine.get(place, -math.inf) - moment.now
        if quarantined > 0:
            return Obstacle(place=place, cause="quarantine", seconds=quarantined)
        project, lane = self._project(place), self.lane(place, model)
        project_pass = project.may_pass(moment)
        if isinstance(project_pass, Wait):
            return _obstacle(place, project_pass)
        model_pass = lane.gate.may_pass(moment)
        if isinstance(model_pass, Wait):
            project.abandoned(project_pass)
            return _obstacle(place, model_pass)
        breaker_pass = lane.breaker.may_pass(moment.now)
        if isinstance(breaker_pass, Wait):
            project.abandoned(project_pass)
            lane.gate.abandoned(model_pass)
            return _obstacle(place, breaker_pass)
        return Try(
            place=place,
            project_pass=project_pass,
            model_pass=model_pass,
            breaker_pass=breaker_pass,
        )

    def _project(self, place: Place) -> Gate:
        return self._projects.setdefault(place.project, Gate())

    def succeeded(self, tried: Try, model: str, now: float, *, slow: bool = False) -> None:
        """The attempt brought a whole answer with a picture."""
        lane = self.lane(tried.place, model)
        lane.breaker.succeeded(tried.breaker_pass, now, slow=slow)
        lane.gate.succeeded(tried.model_pass)
        lane.failed_at = None
        self._project(tried.place).succeeded(tried.project_pass)

    def abandoned(self, tried: Try, model: str) -> None:
        """The attempt ended without an outcome, or was never made."""
        lane = self.lane(tried.place, model)
        lane.breaker.abandoned(tried.breaker_pass)
        lane.gate.abandoned(tried.model_pass)
        self._project(tried.place).abandoned(tried.project_pass)

    def failed(self, tried: Try, model: str, error: HeliographError, moment: Moment) -> None:
        """The attempt failed; every guard hears what concerns it."""
        kind = kind_of(error)
        lane, project = self.lane(tried.place, model), self._project(tried.place)
        lane.breaker.failed(tried.breaker_pass, moment.now, kind)
        if POLICY[kind].counts_for_breaker:
            lane.failed_at = moment.now
        if kind in ANSWERED:
            lane.failed_at = None
            lane.gate.succeeded(tried.model_pass)
            project.succeeded(tried.project_pass)
            return
        told = error.retry_after or 0.0
        if kind is Kind.SPEND_LIMIT:
            project.refused(tried.project_pass, Cause(error.facts["quota"]), moment)
        elif kind is Kind.TERMINAL_QUOTA:
            day = error.facts.get("quota") == "day"
            lane.gate.refused(tried.model_pass, Cause.DAY if day else Cause.FREE_TIER, moment)
        elif kind is Kind.RATE and told > LONGEST_TOLD_WAIT:
            lane.gate.refused(tried.model_pass, Cause.RATE, moment, told=told)
        elif kind is Kind.CREDENTIAL:
            googles = bool(error.facts.get("status") or error.facts.get("reasons"))
            self._quarantine[tried.place] = math.inf if googles else moment.now + SUSPICION
        # guards that were not refused learned nothing; for those that were this is no news
        lane.gate.abandoned(tried.model_pass)
        project.abandoned(tried.project_pass)


def _obstacle(place: Place, wait: Wait) -> Obstacle:
    return Obstacle(place=place, cause=wait.why, seconds=wait.seconds)


class Trip:
    """One request's way from its first attempt to its end."""

    def __init__(self, pool: Pool, model: str, deadline: float, *, home: str | None = None) -> None:
        self._pool = pool
        self._model = model
        self._home = home
        self._deadline = deadline
        self._tried: Try | None = None  # the attempt on its way
        self._last: Place | None = None
        self._projects: set[str] = set()  # where nothing new is hoped for, other keys included
        self._failures = 0
        self._hops = 0

    @property
    def failures(self) -> int:
        """Attempts that failed so far."""
        return self._failures

    @property
    def hops(self) -> int:
        """How many times the request went on to another place."""
        return self._hops

    def begin(self, moment: Moment) -> Step:
        """The first attempt, or why there is none."""
        step = self.resume(moment)
        if isinstance(step, Try):
            self._pool.lane(step.place, self._model).budget.first_attempt()
        return step

    def resume(self, moment: Moment) -> Step:
        """The next attempt after a pause: at the same place, or where one may be made."""
        found = self._pool.choose(self._model, moment, first=self._last, home=self._home)
        return self._go(found) if isinstance(found, Try) else GiveUp(closed=found)

    def succeeded(self, now: float, *, slow: bool = False) -> None:
        """The attempt brought a whole answer with a picture."""
        self._pool.succeeded(self._take(), self._model, now, slow=slow)

    def abandoned(self) -> None:
        """The attempt ended without an outcome (cancelled, or our own fault)."""
        self._pool.abandoned(self._take(), self._model)

    def failed(self, error: HeliographError, moment: Moment, chance: random.Random) -> Step:
        """The attempt failed: where and when to go on, if at all."""
        tried = self._take()
        kind = kind_of(error)
        self._pool.failed(tried, self._model, error, moment)
        self._failures += 1
        if kind is not Kind.CREDENTIAL:
            self._projects.add(tried.place.project)
        treatment = POLICY[kind]
        wait = wait_before(error, self._failures, chance)
        if wait is not None and moment.now + wait > self._deadline:
            wait = None
        if treatment.uses_retry_budget:
            if self._failures > treatment.retries:
                return GiveUp()
            return self._hop(moment, kind) or self._repeat(tried.place, wait) or GiveUp()
        if wait is not None:
            return Pause(seconds=wait)
        return self._hop(moment, kind) or GiveUp(other_model=model_is_gone(error))

    def _hop(self, moment: Moment, kind: Kind) -> Try | None:
        """Another project, or after a bad key another key, that may be tried now.

        The first hop is a new place, not a repeat; later ones that stand for a repeat are paid
        from the budget of the place they go to.
        """
        if not POLICY[kind].may_fail_over or moment.now >= self._deadline:
            return None
        found = self._pool.choose(self._model, moment, home=self._home, without=self._projects)
        if isinstance(found, Closed):
            return None
        budget = self._pool.lane(found.place, self._model).budget
        if self._hops and POLICY[kind].uses_retry_budget and not budget.spend():
            self._pool.abandoned(found, self._model)
            return None
        self._hops += 1
        return self._go(found)

    def _repeat(self, place: Place, wait: float | None) -> Pause | None:
        lane = self._pool.lane(place, self._model)
        # the pause is shorter than an opening: after it the breaker would only say no
        if wait is None or lane.breaker.state is State.OPEN or not lane.budget.spend():
            return None
        return Pause(seconds=wait)

    def _go(self, tried: Try) -> Try:
        self._tried, self._last = tried, tried.place
        return tried

    def _take(self) -> Try:
        if self._tried is None:
            raise RuntimeError("an outcome without an attempt")
        tried, self._tried = self._tried, None
        return tried
