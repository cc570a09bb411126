"""S68, S96: places are never more than allowed, never lost, and given in fair turns."""

import asyncio
import contextlib
from collections import Counter
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.server.counting import lines_of
from tests.server.waiting import HANG

from heliograph.server.admission import Admission, Place, Share
from heliograph.server.faults import Busy, TooMany


def share(user: str, most: int, key: str = "", most_of_key: int | None = None) -> Share:
    return Share(user=user, most=most, key=key, most_of_key=most_of_key)


async def settle() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


class Turns(RuleBasedStateMachine):
    """Users come, wait, give up and leave, in any order."""

    @initialize(
        at_once=st.integers(1, 4), waiting=st.integers(0, 8), user_waiting=st.integers(0, 5)
    )
    def begin(self, at_once: int, waiting: int, user_waiting: int) -> None:
        self.loop = asyncio.new_event_loop()
        self.at_once, self.most, self.most_of_user = at_once, waiting, user_waiting
        self.admission = Admission(at_once, waiting, user_waiting)
        self.held: list[tuple[Share, Place]] = []
        self.tasks: list[tuple[Share, asyncio.Task[Place]]] = []
        self.closed = False

    def run(self, what: Any) -> Any:
        return self.loop.run_until_complete(what)

    def gather(self) -> None:
        self.run(settle())
        for wanted, task in [t for t in self.tasks if t[1].done()]:
            if not task.cancelled() and task.exception() is None:
                self.held.append((wanted, task.result()))
        self.tasks = [t for t in self.tasks if not t[1].done()]

    def has_room(self, wanted: Share) -> bool:
        of_user = [held for held, _ in self.held if held.user == wanted.user]
        of_key = [held for held in of_user if held.key == wanted.key]
        return (
            len(self.held) < self.at_once
            and len(of_user) < wanted.most
            and (wanted.most_of_key is None or len(of_key) < wanted.most_of_key)
        )

    @rule(
        wanted=st.builds(
            share,
            st.sampled_from("abc"),
            st.integers(1, 3),
            st.sampled_from("xy"),
            st.none() | st.integers(1, 2),
        ),
        now=st.booleans(),
    )
    def come(self, wanted: Share, now: bool) -> None:
        of_user = [waits for waits, _ in self.tasks if waits.user == wanted.user]
        mine = len(of_user)
        fits = self.has_room(wanted) and all(waits.key != wanted.key for waits in of_user)
        full = len(self.tasks) >= self.most or mine >= self.most_of_user

        async def enter() -> Place:
            return await self.admission.enter(wanted)

        if self.closed or (full and not fits):
            kind = Busy if self.closed or mine < self.most_of_user else TooMany
            with pytest.raises(kind) as caught:
                self.admission.enter_now(wanted) if now else self.run(enter())
            assert caught.value.retry_after is not None
            assert 1 <= caught.value.retry_after <= 600
        elif now:
            place = self.admission.enter_now(wanted)
            assert (place is not None) is fits
            if place is not None:
                self.held.append((wanted, place))
        else:
            self.tasks.append((wanted, self.loop.create_task(enter())))
            self.gather()

    @rule(data=st.data(), twice=st.booleans())
    def leave(self, data: st.DataObject, twice: bool) -> None:
        if self.held:
            _, place = self.held.pop(data.draw(st.integers(0, len(self.held) - 1)))
            place.leave()
            if twice:
                place.leave()
            self.gather()

    @rule(data=st.data(), leaves=st.booleans())
    def give_up(self, data: st.DataObject, leaves: bool) -> None:
        if not self.tasks:
            return
        _, task = self.tasks[data.draw(st.integers(0, len(self.tasks) - 1))]
        if leaves and self.held:
            # in the same turn of the loop, so that the place may already be on its way
            self.held.pop()[1].leave()
        task.cancel()
        self.gather()

    @rule()
    def close(self) -> None:
        if len(self.held) > 1:
            self.admission.close()
            self.closed = True
            waiting = [task for _, task in self.tasks]
            self.gather()
            assert all(isinstance(task.exception(), Busy) for task in waiting)

    @invariant()
    def the_books_agree(self) -> None:
        if not hasattr(self, "admission"):
            return
        self.gather()
        assert self.admission.under_way == len(self.held) <= self.at_once
        assert self.admission.waiting == len(self.tasks) <= self.most
        # nobody waits who may start: of each key, the first one
        first: dict[tuple[str, str], Share] = {}
        for waits, _ in self.tasks:
            first.setdefault((waits.user, waits.key), waits)
        assert not any(self.has_room(waits) for waits in first.values())

    def teardown(self) -> None:
        if not hasattr(self, "admission"):
            return
        while self.held:
            self.held.pop()[1].leave()
            self.gather()
        assert not self.tasks, "everybody had a turn"
        assert not self.admission._users
        self.run(asyncio.wait_for(self.admission.drained(), HANG))
        self.loop.close()


TestTurns = Turns.TestCase
TestTurns.settings = settings(max_examples=60, stateful_step_count=40)


async def test_a_user_never_has_more_than_its_limit() -> None:
    admission = Admission(10, 100, 100)
    most, now = Counter[str](), Counter[str]()

    async def work(user: str, limit: int) -> None:
        place = await admission.enter(share(user, limit))
        now[user] += 1
        most[user] = max(most[user], now[user])
        await asyncio.sleep(0)
        now[user] -= 1
        place.leave()

    await asyncio.gather(*(work("a", 3) for _ in range(40)), *(work("b", 20) for _ in range(40)))
    assert most["a"] == 3
    assert 7 <= most["b"] <= 10, "what one may not use, the other gets"


async def test_a_key_that_has_its_fill_holds_up_no_other_key_of_its_user() -> None:
    admission = Admission(10, 100, 100)
    first = await admission.enter(share("a", 5, "narrow", 1))
    waits = admission.line_up(share("a", 5, "narrow", 1))
    assert not waits.has_come
    others = [admission.line_up(share("a", 5, "wide")) for _ in range(5)]
    assert [turn.has_come for turn in others] == [True, True, True, True, False], "five in all"
    first.leave()  # one place of the user is free, and of the narrow key as well
    assert sorted([waits.has_come, others[-1].has_come]) == [False, True]
    (await others[0].place()).leave()
    assert [waits.has_come, others[-1].has_come] == [True, True]


async def test_the_keys_of_a_user_take_turns() -> None:
    admission = Admission(1, 100, 100)
    place = await admission.enter(share("a", 1, "x"))
    many = [admission.line_up(share("a", 1, "x")) for _ in range(10)]
    one = admission.line_up(share("a", 1, "y"))
    place.leave()
    assert sum(turn.has_come for turn in (*many, one)) == 1
    if not one.has_come:
        (await many[0].place()).leave()
    assert one.has_come, "not after all ten"


async def test_ten_thousand_jobs_of_one_user_hold_up_nobody_else() -> None:
    """S96: what others wait, counted in places that became free, is at most twice of alone."""
    at_once = 4

    async def turns(heavy: int) -> list[int]:
        admission = Admission(at_once, 20_000, 20_000)
        places = [await admission.enter(share("busy", 1000)) for _ in range(at_once)]
        tasks = [asyncio.ensure_future(admission.enter(share("heavy", 1000))) for _ in range(heavy)]
        await settle()
        others = [asyncio.ensure_future(admission.enter(share("light", 1000))) for _ in range(20)]
        await settle()
        freed, waited = 0, list[int]()
        while others:
            places.pop(0).leave()
            freed += 1
            await settle()
            waited += [freed for t in others if t.done()]
            places += [t.result() for t in (*tasks, *others) if t.done()]
            tasks, others = ([t for t in some if not t.done()] for some in (tasks, others))
        for task in tasks:
            task.cancel()
        for place in places:
            place.leave()
        await asyncio.gather(*tasks, return_exceptions=True)
        await admission.drained()
        return waited

    alone, beside = await turns(0), await turns(10_000)
    assert len(alone) == len(beside) == 20
    assert all(b <= 2 * a for a, b in zip(alone, beside, strict=True))


class Compared(asyncio.Future[Place]):
    """A turn that counts how often it is compared with another: by whoever looks for one."""

    count = 0

    def __eq__(self, other: object) -> bool:
        Compared.count += 1
        return self is other

    __hash__ = asyncio.Future.__hash__


async def test_ten_thousand_that_give_up_cost_little(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each the same few steps, however many others wait: nobody is looked for in a queue."""
    loop = asyncio.get_running_loop()
    monkeypatch.setattr(loop, "create_future", lambda: Compared(loop=loop))
    monkeypatch.setattr(Compared, "count", 0)
    admission = Admission(1, 20_000, 20_000)
    place = await admission.enter(share("a", 1))
    tasks = [asyncio.ensure_future(admission.enter(share("a", 1))) for _ in range(10_000)]
    await settle()
    assert admission.waiting == 10_000
    # the last ones first, so that whoever searches from the front passes all the others
    with lines_of("heliograph.server.admission") as lines:
        for task in reversed(tasks[1:]):
            task.cancel()
        await settle()
    assert all(task.cancelled() for task in tasks[1:])
    assert admission.waiting == 1
    assert 0 < lines.count < 50 * len(tasks)
    assert Compared.count < len(tasks)
    place.leave()
    (await tasks[0]).leave()
    await admission.drained()


async def test_the_time_that_is_told_follows_the_pace() -> None:
    now = [0.0]
    admission = Admission(2, 1, 1, clock=lambda: now[0])
    places = [await admission.enter(share("a", 9)) for _ in range(2)]
    task = asyncio.ensure_future(admission.enter(share("a", 9)))
    await settle()

    def told(user: str) -> float:
        with pytest.raises((Busy, TooMany)) as caught:
            admission.enter_now(share(user, 9))
        assert caught.value.retry_after is not None
        return caught.value.retry_after

    # nothing measured: 40 s a call, two at a time
    assert told("b") == 20.0
    assert told("c") == 40.0, "the next one is told a later time"
    for _ in range(20):
        now[0] += 3.0
        places.pop(0).leave()
        places.append(await task)
        task = asyncio.ensure_future(admission.enter(share("a", 9)))
        await settle()
    assert 2.5 < told("b") < 3.5
    assert told("a") >= 1.0
    now[0] += 120.0  # a jam
    assert told("b") > 5
    admission.close()
    with pytest.raises(Busy):
        await task
    for place in places:
        place.leave()


async def test_a_turn_is_taken_in_the_moment_it_is_asked_for() -> None:
    admission = Admission(1, 1, 1)
    first = admission.line_up(share("a", 9))
    assert first.has_come
    second = admission.line_up(share("b", 9))
    assert not second.has_come
    with pytest.raises(Busy):
        admission.line_up(share("c", 9))
    second.give_up()
    third = admission.line_up(share("c", 9))
    first.give_up()  # its place had come already, and goes on
    assert third.has_come
    (await third.place()).leave()
    assert (admission.under_way, admission.waiting) == (0, 0)


async def test_closing_ends_the_wait_and_drained_the_work() -> None:
    admission = Admission(1, 10, 10)
    await asyncio.wait_for(admission.drained(), HANG)
    place = await admission.enter(share("a", 1))
    waiting = asyncio.ensure_future(admission.enter(share("b", 1)))
    drained = asyncio.ensure_future(admission.drained())
    await settle()
    admission.close()
    for new in (admission.enter(share("a", 1)), waiting):
        with pytest.raises(Busy) as caught:
            await new
        assert caught.value.retry_after == 10.0
    with pytest.raises(Busy):
        admission.enter_now(share("c", 1))
    assert not drained.done()
    place.leave()
    place.leave()
    await asyncio.wait_for(drained, HANG)


async def test_a_place_that_comes_as_its_waiter_goes_is_not_lost() -> None:
    admission = Admission(1, 10, 10)
    place = await admission.enter(share("a", 1))
    task = asyncio.ensure_future(admission.enter(share("b", 1)))
    await settle()
    place.leave()  # given to b now
    task.cancel()  # which goes before it hears of it
    with contextlib.suppress(asyncio.CancelledError):
        (await task).leave()
    assert admission.under_way == 0
    assert admission.enter_now(share("c", 1)) is not None
