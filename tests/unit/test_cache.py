"""Twins: which requests are the same picture, and who waits for, joins and stops a call."""

import asyncio
import gc
from collections.abc import Awaitable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from heliograph.cache import VERSION, Flight, Flights, canonical_key, fingerprint, ride
from heliograph.money import Rates
from heliograph.types import (
    Alternative,
    Anchor,
    Area,
    Cast,
    Enclosed,
    Estimate,
    ExportSpec,
    Finish,
    Part,
    Pixels,
    Plan,
    PricedModel,
    Reference,
    Request,
    Said,
    Signature,
    Turn,
    Verbatim,
)

RATES = Rates(input_pico=2_000_000, text_pico=12_000_000, image_pico=120_000_000)
ESTIMATE = Estimate(low=1, expected=2, high=3, priced_on="2026-11-22", price_version="p1")
REFERENCE = Reference(
    source=b"", media_type="image/png", pixels=Pixels(8, 8), size=0, sha256="a" * 64, name="a.png"
)
OTHER = replace(REFERENCE, sha256="b" * 64)
EXPORT = ExportSpec(name="export")
SIGNED = Signature(path=Path("s.sig"), size=3, sha256="5" * 64)
ANSWER = (Part(text="Here."), Part(image=REFERENCE, signature=SIGNED))
TURN = Turn(record="r1", words="A fox", references=(OTHER,), answer=ANSWER, model="m", signed=True)
AREA = Area(picture=REFERENCE, region=(0, 0, 4, 4), feather=2)
PLAN = Plan(
    request=Request(prompt="A snow leopard, 金"),
    model="gemini-3-pro-image",
    size="4K",
    aspect="16:9",
    tier="standard",
    expected=Pixels(5504, 3072),
    tolerance=0.01,
    sizes={"4K": Pixels(5504, 3072)},
    references=(REFERENCE,),
    ground=None,
    thinking=None,
    exports=(EXPORT,),
    estimate=ESTIMATE,
    prices=PricedModel(
        rates={"standard": RATES}, version="p1", image_tokens={"4K": 2000}, free_queries=5000
    ),
)

texts = st.text(st.characters(exclude_categories=()), max_size=6)
maybe_text = st.none() | texts
# turns that are asked with, and what is left of them where something is left out
histories = st.lists(
    st.sampled_from(
        [
            TURN,
            replace(TURN, words="A hare"),
            replace(TURN, references=()),
            replace(TURN, layout=(Said(text="A hare"), Said(sha256="5" * 64))),
            replace(TURN, layout=(Said(sha256="5" * 64), Said(text="A hare"))),
            replace(TURN, answer=()),
            replace(TURN, answer=ANSWER[1:]),
            replace(TURN, answer=(ANSWER[0], replace(ANSWER[1], signature=None))),
            replace(TURN, answer=(ANSWER[0], replace(ANSWER[1], image=OTHER))),
        ]
    ),
    max_size=2,
).map(tuple)
areas = st.sampled_from(
    [
        None,
        AREA,
        replace(AREA, picture=OTHER),
        replace(AREA, region=(0, 0, 4, 5)),
        replace(AREA, region=None, mask=OTHER),
        replace(AREA, region=None, mask=REFERENCE),
        replace(AREA, feather=3),
        replace(AREA, protect=True),
    ]
)
references = st.lists(st.sampled_from([REFERENCE, OTHER]), max_size=3).map(tuple)
ENCLOSED = Enclosed(path=Path("a"), size=3, sha256="5" * 64, media_type="image/png")
bodies = st.none() | st.lists(
    texts | st.sampled_from([ENCLOSED, replace(ENCLOSED, sha256="6" * 64)]), max_size=3
).map(lambda pieces: Verbatim(pieces=tuple(pieces), images=1, words=""))
layouts = st.lists(
    st.builds(Said, text=texts) | st.builds(Said, sha256=st.sampled_from(["5" * 64, "6" * 64])),
    max_size=3,
).map(tuple)
# what can change the picture, what only changes what is made of it, and values of each
PICTURE: dict[str, st.SearchStrategy[Any]] = {
    "model": texts,
    "size": maybe_text,
    "aspect": maybe_text,
    "references": references,
    "ground": maybe_text,
    "thinking": maybe_text,
    "request.prompt": texts,
    "request.system": maybe_text,
    "request.temperature": st.none() | st.floats(0, 1),
    "request.top_p": st.none() | st.floats(0, 1),
    "request.seed": st.none() | st.integers(-(2**31), 2**31 - 1),
    "request.safety": st.dictionaries(texts, texts, max_size=3),
    "request.include_thoughts": st.booleans(),
    "request.verbatim": bodies,
    "request.layout": layouts,
    "request.owner": maybe_text,  # nobody gets another user's picture
    "history": histories,
    "words": texts.filter(bool),
    "area": areas,
}
MADE_OF_IT: dict[str, st.SearchStrategy[Any]] = {
    "tier": texts,
    "exports": st.lists(
        st.builds(
            ExportSpec,
            name=st.sampled_from(["export", "preview"]),
            pixels=st.sampled_from([None, Pixels(1, 2), Pixels(12, 2)]),
            fit_within=st.none() | st.integers(1, 3),
            format=st.sampled_from([None, "png", "webp"]),
            quality=st.none() | st.integers(1, 3),
            max_bytes=st.none() | st.integers(1, 3),
            dpi=st.none() | st.integers(1, 3),
            anchor=st.sampled_from(Anchor),
            srgb=st.booleans(),
        ),
        max_size=2,
    ).map(tuple),
    "request.stream": st.booleans(),
    "request.strict": st.booleans(),
    "request.session": maybe_text,
}
WITHOUT_EFFECT: dict[str, Any] = {
    "expected": None,
    "tolerance": 0.5,
    "sizes": {},
    "estimate": replace(ESTIMATE, high=9),
    "prices": replace(PLAN.prices, version="p2"),
    "alternatives": (Alternative(model="m", size=None, tier="t", expected=1, saves=1, loses=()),),
    "notes": ("a note",),
    # casts are words and references of the plan
    "casts": (Cast(name="hero", description="Red scarf."),),
    # the plan's own words count, not the caller's spelling
    "request.model": "pro",
    "request.size": "4k",
    "request.aspect": "9:16",
    "request.pixels": "64x64",
    "request.use": "A3",
    "request.references": (b"x",),
    "request.thinking": "HIGH",
    "request.tier": "Flex",
    "request.ground": "web",
    "request.finish": Finish(format="png"),
    # who asks, and what it may cost
    "request.max_cost": 1,
    "request.tags": ("a",),
    "request.fallback": ("m",),
    "request.allow_downgrade": True,
    "request.fresh": True,
    "request.idempotency_key": "k",
    # what it goes on from is told by the turns; in a session also by itself, see below
    "request.follows": "e" * 32,
    "request.access": "k",
    # the plan's own turns, words, images and area count
    "request.casts": ("hero",),
    "request.base": b"x",
    "request.context": "all",
    "request.region": (0, 0, 1, 1),
    "request.mask": b"x",
    "request.protect": True,
    "request.feather": 3,
}


def changed(plan: Plan, field: str, value: Any) -> Plan:
    owner, _, name = field.rpartition(".")
    if owner:
        return replace(plan, request=replace(plan.request, **{name: value}))
    return replace(plan, **{name: value})


def value_of(plan: Plan, field: str) -> Any:
    owner, _, name = field.rpartition(".")
    return getattr(plan.request if owner else plan, name)


def keys(plan: Plan) -> tuple[str, str]:
    return canonical_key(plan), fingerprint(plan, simulated=True)


# ---------------------------------------------------------------- keys


def test_every_field_of_a_request_was_thought_about() -> None:
    known = {*PICTURE, *MADE_OF_IT, *WITHOUT_EFFECT}
    there = {f.name for f in fields(Plan)} - {"request"}
    assert known == there | {f"request.{f.name}" for f in fields(Request)}


def test_the_key_of_a_picture_is_the_same_in_every_process_and_release() -> None:
    assert VERSION == 1
    assert keys(PLAN) == (
        "3813329ef5b8a97e5ed1ba6b2a02511859629ebaa3fb82754c629add6642db17",
        "015911143db9186c5a6eb1373eccd5229064d3d703543cf5aa1daf53c028eb2e",
    )
    turn = replace(PLAN, history=(TURN,), words="A snow leopard, 金\n\nImage 1.", area=AREA)
    turn = changed(changed(turn, "request.session", "f" * 32), "request.follows", "e" * 32)
    assert keys(turn) == (
        "f4f049026cf504518147b32652852269c38604937607d409656042b4c8388c31",
        "39334f29d946d43396c5788179b3d05ee8e20e6eb6b39dbf7c0e60e9227d22ad",
    )


@pytest.mark.parametrize("field", PICTURE)
@given(data=st.data())
def test_what_can_change_the_picture_changes_the_key(field: str, data: st.DataObject) -> None:
    one, two = data.draw(PICTURE[field]), data.draw(PICTURE[field])
    first, second = changed(PLAN, field, one), changed(PLAN, field, two)
    if one == two:
        assert keys(first) == keys(second)
    else:
        assert canonical_key(first) != canonical_key(second)
        assert fingerprint(first, simulated=True) != fingerprint(second, simulated=True)


@pytest.mark.parametrize("field", MADE_OF_IT)
@given(data=st.data())
def test_what_is_made_of_it_changes_the_fingerprint_only(field: str, data: st.DataObject) -> None:
    one, two = data.draw(MADE_OF_IT[field]), data.draw(MADE_OF_IT[field])
    first, second = changed(PLAN, field, one), changed(PLAN, field, two)
    assert canonical_key(first) == canonical_key(second) == canonical_key(PLAN)
    assert (fingerprint(first, simulated=True) == fingerprint(second, simulated=True)) == (
        one == two
    )


def test_a_drawn_picture_repeats_no_real_one() -> None:
    assert fingerprint(PLAN, simulated=True) != fingerprint(PLAN, simulated=False)


@pytest.mark.parametrize("field", WITHOUT_EFFECT)
def test_what_it_costs_and_who_asks_changes_nothing(field: str) -> None:
    value = WITHOUT_EFFECT[field]
    assert value_of(PLAN, field) != value
    assert keys(changed(PLAN, field, value)) == keys(PLAN)


@pytest.mark.parametrize("field", ["request.temperature", "request.top_p"])
def test_one_number_has_one_key_however_it_is_written(field: str) -> None:
    assert keys(changed(PLAN, field, 1)) == keys(changed(PLAN, field, 1.0))
    assert keys(changed(PLAN, field, 0)) != keys(changed(PLAN, field, None))


def test_where_a_turn_lies_upstream_and_here_is_of_no_account() -> None:
    one = changed(PLAN, "history", (TURN,))
    elsewhere = replace(TURN, record="r2", remote="x", project="p", model="n", signed=False)
    assert keys(changed(PLAN, "history", (elsewhere,))) == keys(one)
    assert keys(changed(PLAN, "history", (TURN, TURN))) != keys(one)


def test_a_turn_is_one_of_its_session_and_of_the_version_it_goes_on_from() -> None:
    turn = changed(PLAN, "request.session", "f" * 32)
    other = changed(turn, "request.follows", "e" * 32)
    assert canonical_key(turn) == canonical_key(other)
    assert fingerprint(turn, simulated=True) != fingerprint(other, simulated=True)


def test_words_are_those_that_are_sent() -> None:
    said = changed(PLAN, "words", "A snow leopard, 金")
    assert keys(said) == keys(PLAN)  # the prompt itself


def test_settings_in_another_order_are_the_same_settings() -> None:
    one = changed(PLAN, "request.safety", {"a": "1", "b": "2"})
    assert keys(one) == keys(changed(PLAN, "request.safety", {"b": "2", "a": "1"}))


def test_references_count_by_what_they_show_in_their_order() -> None:
    both = changed(PLAN, "references", (REFERENCE, OTHER))
    turned = changed(PLAN, "references", (OTHER, REFERENCE))
    assert canonical_key(both) != canonical_key(turned)
    named = replace(REFERENCE, name="b.png", source=b"x", media_type="image/webp", size=7)
    assert keys(changed(PLAN, "references", (named, OTHER))) == keys(both)


@given(st.text(st.characters(exclude_categories=()), max_size=20))
@example("half a pair: \ud800")
def test_any_prompt_has_a_key(prompt: str) -> None:
    assert len(canonical_key(changed(PLAN, "request.prompt", prompt))) == 64


@pytest.mark.parametrize(
    "change",
    [
        {"name": "preview"},
        {"pixels": Pixels(1, 1)},
        {"fit_within": 1},
        {"format": "png"},
        {"quality": 1},
        {"max_bytes": 1},
        {"dpi": 1},
        {"anchor": Anchor.TOP},
        {"srgb": True},
    ],
)
def test_every_wish_for_an_export_counts(change: dict[str, Any]) -> None:
    other = replace(PLAN, exports=(replace(EXPORT, **change),))
    assert fingerprint(other, simulated=True) != fingerprint(PLAN, simulated=True)
    assert canonical_key(other) == canonical_key(PLAN)


# ---------------------------------------------------------------- flights


class Air:
    """Flights whose work waits for a word, and what became of each."""

    def __init__(self) -> None:
        self.flights: Flights[str] = Flights()
        self.go = asyncio.Event()
        self.tidy = asyncio.Event()
        self.tidy.set()
        self.ended: list[str] = []

    async def work(self, flight: Flight[str]) -> str:
        flight.job = "job"
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            await self.tidy.wait()
            self.ended.append("stopped")
            raise
        self.ended.append("landed")
        return "picture"

    def start(self, *names: str) -> Flight[str]:
        return self.flights.start(self.work, names=names)


def rider(flight: Flight[str], *, is_patient: bool = False) -> "asyncio.Task[str | None]":
    waiting = ride(flight, is_patient=is_patient)
    return asyncio.create_task(waiting)


async def settled() -> None:
    """Let everything that can happen now happen."""
    for _ in range(20):
        await asyncio.sleep(0)


async def is_cancelled(task: Awaitable[Any]) -> bool:
    try:
        await asyncio.wait_for(task, 60)
    except asyncio.CancelledError:
        return True
    return False


async def test_many_share_one_flight() -> None:
    air = Air()
    flight = air.flights.start(air.work, names=("a", "b"), fingerprint="mark")
    assert (flight.fingerprint, flight.riders, flight.left) == ("mark", 0, False)
    assert air.flights.find("a") is air.flights.find("b") is flight
    assert air.flights.find("c") is None
    riders = [rider(flight), rider(flight), rider(flight, is_patient=True)]
    await settled()
    assert flight.riders == 3
    assert air.flights.has("job")
    assert not air.flights.has("other")
    air.go.set()
    assert await asyncio.gather(*riders) == ["picture"] * 3
    assert air.ended == ["landed"]
    assert flight.riders == 0
    await settled()
    assert air.flights.find("a") is None
    assert air.flights.find("b") is None
    assert not air.flights.has("job")


async def test_a_flight_without_a_name_cannot_be_joined() -> None:
    air = Air()
    flight = air.start()
    assert flight.fingerprint == ""
    assert air.flights.find("") is None
    air.go.set()
    assert await ride(flight, is_patient=False) == "picture"


async def test_what_went_wrong_is_told_to_every_rider() -> None:
    async def fails(flight: Flight[str]) -> str:
        await asyncio.sleep(0)
        raise OSError("no")

    flights: Flights[str] = Flights()
    flight = flights.start(fails, names=("a",))
    found = await asyncio.gather(rider(flight), rider(flight), return_exceptions=True)
    assert [str(error) for error in found] == ["no", "no"]
    await settled()
    assert flights.find("a") is None


async def test_a_failure_for_which_nobody_waits_is_no_noise(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def fails(flight: Flight[str]) -> str:
        raise OSError("no")

    flights: Flights[str] = Flights()
    flights.start(fails)
    await flights.wait()
    await settled()
    gc.collect()
    assert caplog.records == []


async def test_the_last_rider_who_gets_off_stops_it(caplog: pytest.LogCaptureFixture) -> None:
    air = Air()
    flight = air.start("a")
    first, second = rider(flight), rider(flight)
    await settled()
    first.cancel()
    assert await is_cancelled(first)
    await settled()
    assert (air.ended, flight.riders) == ([], 1), "somebody still waits for it"
    assert air.flights.find("a") is flight
    second.cancel()
    assert await is_cancelled(second)
    assert air.ended == ["stopped"], "the rider comes back when it is written down"
    assert flight.riders == 0
    assert air.flights.find("a") is None
    assert caplog.records == []


async def test_riders_who_get_off_together_stop_it_once() -> None:
    air = Air()
    flight = air.start()
    riders = [rider(flight) for _ in range(3)]
    await settled()
    for task in riders:
        task.cancel()
    assert [await is_cancelled(task) for task in riders] == [True] * 3
    assert air.ended == ["stopped"]


async def test_what_may_be_paid_for_is_not_stopped_by_impatience() -> None:
    air = Air()
    flight = air.start("a")
    only = rider(flight)
    await settled()
    flight.left = True
    only.cancel()
    assert await is_cancelled(only)
    await settled()
    assert air.ended == []
    assert air.flights.find("a") is flight, "another may still join it"
    late = rider(flight)
    air.go.set()
    assert await late == "picture"
    assert air.ended == ["landed"]


async def test_nobody_gets_on_a_flight_that_is_being_stopped() -> None:
    air = Air()
    air.tidy.clear()
    flight = air.start("a")
    only = rider(flight)
    await settled()
    only.cancel()
    await settled()
    assert air.ended == [], "it is still writing down what is known"
    assert not only.done(), "and its rider waits for that"
    assert air.flights.find("a") is None
    assert air.flights.has("job"), "recovery must leave it alone"
    second = air.start("a")
    air.tidy.set()
    assert await is_cancelled(only)
    assert air.flights.find("a") is second, "the end of the first takes no name from the second"
    air.go.set()
    assert await ride(second, is_patient=False) == "picture"


async def test_a_rider_who_is_cancelled_as_it_lands_does_not_stop_it() -> None:
    air = Air()
    flight = air.start()
    only = rider(flight)
    await settled()
    assert flight.task is not None
    flight.task.add_done_callback(lambda _: only.cancel())
    air.go.set()
    assert await is_cancelled(only)
    assert air.ended == ["landed"]
    assert not flight.stopped
    assert flight.task.result() == "picture"


@pytest.mark.parametrize("is_patient", [True, False])
async def test_who_is_patient_waits_for_a_late_one(*, is_patient: bool) -> None:
    air = Air()
    flight = air.start()
    flight.left = True
    waiting = rider(flight, is_patient=is_patient)
    await settled()
    assert not waiting.done()
    flight.late.set()
    await settled()
    assert waiting.done() != is_patient
    if not is_patient:
        assert await waiting is None
        assert flight.riders == 0
        assert air.ended == [], "it goes on"
    air.go.set()
    await air.flights.wait()
    assert air.ended == ["landed"]
    if is_patient:
        assert await waiting == "picture"


async def test_an_answer_that_is_there_is_not_late() -> None:
    air = Air()
    flight = air.start()
    flight.late.set()
    air.go.set()
    await air.flights.wait()
    assert await ride(flight, is_patient=False) == "picture"


async def test_leaving_waits_for_all_or_stops_all() -> None:
    air = Air()
    await air.flights.wait()
    await air.flights.abandon()
    flights = [air.start(name) for name in "abc"]
    waiting = asyncio.create_task(air.flights.wait())
    await settled()
    assert not waiting.done()
    flights[0].left = True
    passenger = rider(flights[0])
    await settled()
    await air.flights.abandon()
    assert air.ended == ["stopped"] * 3
    await waiting
    assert await is_cancelled(passenger)
    assert [air.flights.find(name) for name in "abc"] == [None] * 3
    assert flights[0].stopped


async def test_one_who_waits_for_all_waits_for_those_that_come_later() -> None:
    air = Air()
    air.start("a")
    waiting = asyncio.create_task(air.flights.wait())
    await settled()
    more = Air()
    later = air.flights.start(more.work)
    air.go.set()
    await settled()
    assert not waiting.done()
    more.go.set()
    await waiting
    assert later.task is not None
    assert later.task.done()


async def test_only_what_was_started_can_be_ridden() -> None:
    with pytest.raises(AssertionError, match="after its start"):
        await ride(Flight(), is_patient=True)


async def test_nothing_is_left_running() -> None:
    air = Air()
    flight = air.start()
    impatient = rider(flight)
    rider(flight, is_patient=True)
    await settled()
    impatient.cancel()
    await settled()
    air.go.set()
    await settled()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_job_has_landed_when_its_flight_has_and_others_may_go_on() -> None:
    gates = {"mine": asyncio.Event(), "other": asyncio.Event()}
    flights: Flights[str] = Flights()

    async def fly(flight: Flight[str], job: str) -> str:
        flight.job = job
        await gates[job].wait()
        return job

    for job in gates:
        flights.start(lambda flight, job=job: fly(flight, job))  # type: ignore[misc]
    await asyncio.sleep(0)
    waiting = asyncio.ensure_future(flights.landed("mine"))
    await asyncio.sleep(0.01)
    assert not waiting.done()
    gates["mine"].set()
    await asyncio.wait_for(waiting, 60)
    assert (flights.has("mine"), flights.has("other")) == (False, True)
    await asyncio.wait_for(flights.landed("unknown"), 60)  # nothing to wait for
    gates["other"].set()
    await flights.wait()
