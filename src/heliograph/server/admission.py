"""Who may start a call now, and who waits how long for a turn.

Places are given round robin: each free place goes to the user whose last one is longest ago, so
that somebody with 10,000 jobs waiting delays others by one place a turn, not by 10,000. The keys
of a user share its turns in the same way.

Invariant: never more places than allowed are taken, in all, by one user or by one key; no place is
lost, whatever is cancelled; and while a place is free nobody waits who may have it.
"""

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NoReturn

from heliograph.server.faults import Busy, TooMany

MEASURED = 64  # places that became free lately; their rate says how long others take
USUAL = 40.0  # seconds that a call takes, while nothing is measured
STOPPING = 10.0  # seconds until another process of the gateway may answer
SHORTEST, LONGEST = 1.0, 600.0  # seconds of a Retry-After


@dataclass(frozen=True, kw_only=True)
class Share:
    """Who asks for a place, and how many it may have at once."""

    user: str
    most: int  # of the user, with whatever key
    key: str = ""
    most_of_key: int | None = None  # None: as many as its user


class Place:
    """The right to one call; give it back with `leave`, which may be called again."""

    def __init__(self, leave: Callable[[], None]) -> None:
        self._leave: Callable[[], None] | None = leave

    def leave(self) -> None:
        leave, self._leave = self._leave, None
        if leave is not None:
            leave()


class Turn:
    """The right to the next place but so many, or to one already; await `place`, or give it up."""

    def __init__(self, place: "asyncio.Future[Place]", give_up: Callable[[], None]) -> None:
        self._place = place
        self.give_up = give_up

    @property
    def has_come(self) -> bool:
        """Whether `place` would not wait."""
        return self._place.done()

    async def place(self) -> Place:
        """The place, once it is free.

        Raises:
            Busy: the gateway stops.
        """
        try:
            return await self._place
        except asyncio.CancelledError:
            self.give_up()
            raise


@dataclass(eq=False, kw_only=True)
class _Key:
    """What one key of a user holds and waits for."""

    held: int = 0
    # an ordered dictionary, because one that waits may go from the middle
    waiting: "OrderedDict[asyncio.Future[Place], Share]" = field(default_factory=OrderedDict)

    def has_room(self, share: Share) -> bool:
        return share.most_of_key is None or self.held < share.most_of_key


@dataclass(eq=False, kw_only=True)
class _User:
    """What one user holds and waits for; forgotten when that is nothing."""

    held: int = 0
    waiting: int = 0
    refused: int = 0  # since the last place became free
    keys: "OrderedDict[str, _Key]" = field(default_factory=OrderedDict)  # next turn first

    def key(self, name: str) -> _Key:
        return self.keys.setdefault(name, _Key())

    def ready(self) -> Iterator[str]:
        """Keys of which the first one waiting only needs a free place; next turn first."""
        for name, key in self.keys.items():
            share = next(iter(key.waiting.values()), None)
            if share is not None and self.held < share.most and key.has_room(share):
                yield name

    def forget(self, name: str) -> None:
        """Keep nothing of a key that holds nothing and waits for nothing."""
        key = self.keys.get(name)
        if key is not None and not key.held and not key.waiting:
            del self.keys[name]


class Admission:
    """Gives places to users.

    Args:
        at_once: places in all.
        waiting: turns that may be waited for, in all.
        user_waiting: and by one user.
    """

    def __init__(
        self,
        at_once: int,
        waiting: int,
        user_waiting: int,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._free = at_once
        self._at_once = at_once
        self._most_waiting = waiting
        self._most_of_user = user_waiting
        self._clock = clock
        self._users: dict[str, _User] = {}
        self._turns: OrderedDict[str, None] = OrderedDict()  # users that may start, next first
        self._waiting = 0
        self._refused = 0  # since the last place became free
        self._freed: deque[float] = deque(maxlen=MEASURED)  # when
        self._is_closed = False
        self._empty = asyncio.Event()
        self._empty.set()

    @property
    def under_way(self) -> int:
        """Places that are taken."""
        return self._at_once - self._free

    @property
    def waiting(self) -> int:
        """Turns that are waited for."""
        return self._waiting

    def enter_now(self, share: Share) -> Place | None:
        """A place, if there is one and it is nobody else's turn; None: `enter` would wait.

        Raises:
            Busy, TooMany: `enter` would raise it, too.
        """
        return self._give(share) if self.has_place(share) else None

    def line_up(self, share: Share) -> "Turn":
        """A turn, taken in this moment: who has one is not refused any more.

        Raises:
            Busy: as many wait as may, or the gateway stops.
            TooMany: as many of this user wait as may.
        """
        mine: asyncio.Future[Place] = asyncio.get_running_loop().create_future()
        place = self.enter_now(share)
        if place is not None:
            mine.set_result(place)
        else:
            known = self._users.setdefault(share.user, _User())
            known.key(share.key).waiting[mine] = share
            known.waiting += 1
            self._waiting += 1
            self._line_up(share)
        return Turn(mine, lambda: self._give_up(share, mine))

    def has_place(self, share: Share) -> bool:
        """Whether `enter_now` would give a place now; nothing is taken.

        Raises:
            Busy, TooMany: `enter` would raise it, too.
        """
        if self._is_closed:
            raise _stopping()
        known = self._users.get(share.user) or _User()
        key = known.keys.get(share.key) or _Key()
        # nobody who may start waits while a place is free, so one's own turns are all to look at
        if self._free and known.held < share.most and key.has_room(share) and not key.waiting:
            return True
        self._refuse_full(known)
        return False

    async def enter(self, share: Share) -> Place:
        """A place, after a fair turn.

        Raises:
            Busy: as many wait as may, or the gateway stops.
            TooMany: as many of this user wait as may.
        """
        return await self.line_up(share).place()

    async def drained(self) -> None:
        """Returns when no place is taken."""
        await self._empty.wait()

    def close(self) -> None:
        """Give no place any more; who waits gets `Busy`."""
        self._is_closed = True
        for known in self._users.values():
            for name, key in list(known.keys.items()):
                for future in key.waiting:
                    if not future.done():
                        future.set_exception(_stopping())
                key.waiting.clear()
                known.forget(name)
            known.waiting = 0
        self._users = {name: known for name, known in self._users.items() if known.held}
        self._turns.clear()
        self._waiting = 0

    def _give_up(self, share: Share, mine: "asyncio.Future[Place]") -> None:
        known = self._users.get(share.user)
        key = None if known is None else known.keys.get(share.key)
        if known is not None and key is not None and mine in key.waiting:
            del key.waiting[mine]
            known.waiting -= 1
            self._waiting -= 1
            self._hand_out(share)
        elif mine.done() and not mine.cancelled() and mine.exception() is None:
            mine.result().leave()  # it came while its waiter went

    def _give(self, share: Share) -> Place:
        self._free -= 1
        known = self._users.setdefault(share.user, _User())
        known.held += 1
        known.key(share.key).held += 1
        self._empty.clear()
        return Place(lambda: self._take_back(share))

    def _take_back(self, share: Share) -> None:
        self._free += 1
        known = self._users[share.user]
        known.held -= 1
        known.keys[share.key].held -= 1
        self._freed.append(self._clock())
        self._refused = max(0, self._refused - 1)
        known.refused = max(0, known.refused - 1)
        self._hand_out(share)
        if self._free == self._at_once:
            self._empty.set()
            self._freed.clear()  # a quiet hour is no sign of slow calls

    def _hand_out(self, changed: Share) -> None:
        """Give free places to those whose turn it is, after something changed for one user."""
        self._line_up(changed)
        while self._free and self._turns:
            user, _ = self._turns.popitem(last=False)
            known = self._users[user]
            name = next(known.ready())
            known.keys.move_to_end(name)
            mine, share = known.keys[name].waiting.popitem(last=False)
            known.waiting -= 1
            self._waiting -= 1
            if not mine.done():  # a cancelled one has only not come round to say so
                mine.set_result(self._give(share))
            self._line_up(share)

    def _line_up(self, changed: Share) -> None:
        user = changed.user
        known = self._users.get(user)
        if known is None:
            return
        known.forget(changed.key)
        if next(known.ready(), None) is not None:
            self._turns.setdefault(user, None)
            return
        self._turns.pop(user, None)
        if not known.keys:
            del self._users[user]

    def _refuse_full(self, known: _User) -> None:
        if known.waiting >= self._most_of_user:
            known.refused += 1
            # its share of what becomes free, as turns go round
            sharing = sum(1 for _ in self._sharing()) or 1
            self._too_many(self._seconds(known.refused * sharing))
        if self._waiting >= self._most_waiting:
            self._refused += 1
            raise Busy(
                "The gateway has no place for this request now.",
                why="As many wait already as may.",
                remedy="Send it again later; nothing was charged.",
                retry_after=self._seconds(self._refused),
            )

    def _sharing(self) -> Iterator[_User]:
        return (known for known in self._users.values() if known.waiting)

    def _too_many(self, seconds: float) -> NoReturn:
        raise TooMany(
            "Too many requests of this user wait already.",
            why=f"At most {self._most_of_user} may.",
            remedy="Send it again later; nothing was charged.",
            retry_after=seconds,
        )

    def _seconds(self, places: int) -> float:
        """Until so many places became free, at the rate of late.

        Everybody who is refused is told a later time than the one before, so that they do not
        all come back for the same place.
        """
        each = USUAL / self._at_once
        if len(self._freed) > 1:
            # silence since the last one counts, too: a jam is told as one
            each = (self._clock() - self._freed[0]) / len(self._freed)
        return min(max(places * each, SHORTEST), LONGEST)


def _stopping() -> Busy:
    return Busy(
        "The gateway is stopping.",
        remedy="Send it again; nothing was charged.",
        retry_after=STOPPING,
    )
