"""Twins: requests that ask for the same thing, and the calls in the air that they can share.

`canonical_key` is pure. Invariant: two requests have one key only if nothing that can change the
picture differs between them; a flight is paid for once, however many wait for it.
"""

import asyncio
import hashlib
import json
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from heliograph.types import Area, ExportSpec, Plan, Said, Turn

T = TypeVar("T")
VERSION = 1  # of the key; a new one makes every earlier picture a stranger


def canonical_key(plan: Plan) -> str:
    """SHA-256 over everything that can change the picture: model, size, ratio, prompt,
    references by their SHA-256, in order, earlier turns, and every setting of the model.

    What it costs, how it is finished and who asks for it is not part of it.
    """
    return _digest(_picture(plan))


def fingerprint(plan: Plan, *, simulated: bool) -> str:
    """SHA-256 over everything that an idempotency key promises to repeat: the picture, what is
    made of it, and whether it is a real one.
    """
    exports = [_export(spec) for spec in plan.exports]
    order: dict[str, Any] = {
        "tier": plan.tier,
        "strict": plan.request.strict,
        "exports": exports,
    }
    if plan.request.session is not None:
        order["session"] = [plan.request.session, plan.request.follows]
    return _digest(
        {**_picture(plan), **order, "stream": plan.request.stream, "simulated": simulated}
    )


def _picture(plan: Plan) -> Mapping[str, Any]:
    request = plan.request
    # what a plain request does not have is not there, so that its key stays what it was
    more: dict[str, Any] = {}
    if request.owner is not None:
        more["owner"] = request.owner  # nobody gets another user's picture
    if request.verbatim is not None:
        more["verbatim"] = [
            piece if isinstance(piece, str) else piece.sha256 for piece in request.verbatim.pieces
        ]
    if request.layout:
        more["layout"] = _layout(request.layout)
    if plan.history:
        more["history"] = [_turn(turn) for turn in plan.history]
    if plan.area is not None:
        more["area"] = _area(plan.area)
    return more | {
        "version": VERSION,
        "model": plan.model,
        "size": plan.size,
        "aspect": plan.aspect,
        "prompt": plan.text,
        "references": [reference.sha256 for reference in plan.references],
        "system": request.system,
        # 1 and 1.0 are one temperature
        "temperature": None if request.temperature is None else float(request.temperature),
        "top_p": None if request.top_p is None else float(request.top_p),
        "seed": request.seed,
        "safety": dict(request.safety),
        "thinking": plan.thinking,
        "include_thoughts": request.include_thoughts,
        "ground": plan.ground,
    }


def _layout(said: Sequence[Said]) -> list[list[str | None]]:
    return [[one.text, one.sha256] for one in said]


def _turn(turn: Turn) -> Mapping[str, Any]:
    layout = {"layout": _layout(turn.layout)} if turn.layout else {}
    return layout | {
        "words": turn.words,
        "references": [reference.sha256 for reference in turn.references],
        "answer": [
            {
                "text": part.text,
                "image": part.image and part.image.sha256,
                "signature": part.signature and part.signature.sha256,
            }
            for part in turn.answer
        ],
    }


def _export(spec: ExportSpec) -> Mapping[str, Any]:
    return {**vars(spec), "pixels": str(spec.pixels), "anchor": spec.anchor.value}


def _area(area: Area) -> Mapping[str, Any]:
    mask = area.mask and area.mask.sha256
    return {
        "picture": area.picture.sha256,
        "region": area.region,
        "mask": mask,
        "feather": area.feather,
        "protect": area.protect,
    }


def _digest(document: Mapping[str, Any]) -> str:
    text = json.dumps(document, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    # a prompt may hold half a surrogate pair, which has no UTF-8
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


# ---------------------------------------------------------------- flights


@dataclass(eq=False, kw_only=True)
class Flight(Generic[T]):
    """One call in the air and how many wait for it."""

    fingerprint: str = ""
    left: bool = False  # it may be paid for: nobody's impatience stops it any more
    stopped: bool = False  # its end is ordered: nobody gets on any more
    riders: int = 0
    late: asyncio.Event = field(default_factory=asyncio.Event)
    job: str | None = None  # set as soon as it is known
    task: "asyncio.Task[T] | None" = None


class Flights(Generic[T]):
    """The calls in the air of one client."""

    def __init__(self) -> None:
        self._named: dict[str, Flight[T]] = {}
        self._all: dict[Flight[T], asyncio.Task[T]] = {}

    def find(self, name: str) -> Flight[T] | None:
        """The flight that goes by a name, if it is in the air and takes riders."""
        flight = self._named.get(name)
        return None if flight is None or flight.stopped else flight

    def has(self, job: str) -> bool:
        """Whether a job is being made here."""
        return any(flight.job == job for flight in self._all)

    def start(
        self,
        work: Callable[[Flight[T]], Coroutine[Any, Any, T]],
        *,
        names: tuple[str, ...] = (),
        fingerprint: str = "",
    ) -> Flight[T]:
        """Send one off; others may join it by its names."""
        flight: Flight[T] = Flight(fingerprint=fingerprint)
        flight.task = self._all[flight] = asyncio.ensure_future(work(flight))
        self._named |= dict.fromkeys(names, flight)

        def landed(task: "asyncio.Task[T]") -> None:
            del self._all[flight]
            for name in names:
                if self._named.get(name) is flight:
                    del self._named[name]
            if not task.cancelled():
                task.exception()  # when nobody waits any more, it is written down already

        flight.task.add_done_callback(landed)
        return flight

    async def wait(self) -> None:
        """Until every flight has landed."""
        while self._all:
            await asyncio.wait(self._all.values())

    async def landed(self, job: str) -> None:
        """Until no flight of a job is in the air."""
        tasks = [task for flight, task in self._all.items() if flight.job == job]
        if tasks:
            await asyncio.wait(tasks)

    async def abandon(self) -> None:
        """Stop every flight; each writes down what is known of it."""
        for flight, task in self._all.items():
            _stop(flight, task)
        await self.wait()


def _stop(flight: Flight[Any], task: "asyncio.Task[Any]") -> None:
    flight.stopped = True  # who got on now would be cancelled with it, and by nobody
    task.cancel()


async def ride(flight: Flight[T], *, is_patient: bool) -> T | None:
    """Wait for a flight.

    A rider who is cancelled gets off; the flight is stopped with the last one, unless it may be
    paid for already.

    Returns:
        What the flight brings, or None when it is late and the rider does not wait for that.
    """
    task = flight.task
    if task is None:
        raise AssertionError("a flight is found only after its start")
    flight.riders += 1
    delay = asyncio.ensure_future(flight.late.wait())
    try:
        waits = [task] if is_patient else [task, delay]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    except asyncio.CancelledError:
        if flight.riders == 1 and not flight.left and not task.done():
            _stop(flight, task)
            await asyncio.wait([task])
        raise
    finally:
        flight.riders -= 1
        delay.cancel()
