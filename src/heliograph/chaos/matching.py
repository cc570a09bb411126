"""Which of our calls each line of their bill belongs to.

By the response's own id first, then by the hash of an image, by the id of an interaction, by the
job's number that travelled with the request, and last, among calls that nothing else tells apart,
in order of time. Invariant: one line, one call; what finds no partner is shown, never dropped.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from heliograph.chaos.bill import BillLine, job_of
from heliograph.chaos.evidence import Ours
from heliograph.journal import CallEntry, Stage
from heliograph.ledger import ADJUST, SETTLE
from heliograph.types import LedgerLine, Record

# a call in one of these may have cost something; all others say that it did not
PAYABLE = (Stage.SETTLED, Stage.REFUSED, Stage.QUARANTINED, Stage.UNKNOWN, Stage.HELD)
# U: what we say ourselves that it is not in order
FLAGGED = (Stage.QUARANTINED, Stage.UNKNOWN, Stage.HELD)


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A line of theirs and the call of ours that it is."""

    line: BillLine
    call: CallEntry
    settled: int | None  # micro-dollars that we settled it with; None when we did not
    excuse: str | None  # why our amount may differ from theirs, in our own books' words

    @property
    def difference(self) -> int:
        """Micro-dollars that ours is more than theirs."""
        return 0 if self.settled is None else self.settled - self.line.micro

    @property
    def is_flagged(self) -> bool:
        """Whether our own books say that this call is not in order."""
        return self.call.stage in FLAGGED or self.excuse is not None


@dataclass(frozen=True, kw_only=True)
class Match:
    """Both ledgers side by side."""

    pairs: tuple[Pair, ...]
    lost: tuple[BillLine, ...]  # billed, and none of our calls can be it
    unbilled: tuple[CallEntry, ...]  # we settled an amount, and no line of theirs can be it

    @property
    def flagged_micro(self) -> int:
        """Micro-dollars of theirs that we do not settle, but show as unknown or spoilt."""
        return sum(p.line.micro for p in self.pairs if p.settled is None) + sum(
            abs(p.difference) for p in self.pairs if p.is_flagged
        )


def label_of(call: CallEntry) -> int | None:
    """The number of the job that a call was made for."""
    request = call.plan.get("request")
    prompt = request.get("prompt") if isinstance(request, dict) else None
    return job_of(prompt) if isinstance(prompt, str) else None


def settled_micro(lines: Iterable[LedgerLine]) -> int | None:
    """What lines settle a call with; None when none of them settles."""
    amounts = [line.micro for line in lines if line.kind in (SETTLE, ADJUST)]
    return sum(amounts) if amounts else None


def match(ours: Ours, billed: Sequence[BillLine]) -> Match:
    """Find the call of every line.

    Args:
        billed: the lines that cost something.
    """
    lines_of: dict[str, list[LedgerLine]] = defaultdict(list)
    for entry in ours.lines:
        lines_of[entry.call_id or entry.record_id].append(entry)
    left = _Left(ours, lines_of)
    pairs: dict[str, Pair] = {}
    for claim in (left.by_answer, left.by_remote, left.by_label, left.by_time):
        for line in billed:
            call = None if line.call in pairs else claim(line)
            if call is not None:
                left.take(call)
                mine = lines_of[call.id]
                pairs[line.call] = Pair(
                    line=line, call=call, settled=settled_micro(mine), excuse=_excuse(mine)
                )
    return Match(
        pairs=tuple(pairs.values()),
        lost=tuple(line for line in billed if line.call not in pairs),
        unbilled=tuple(call for call in left.calls() if settled_micro(lines_of[call.id])),
    )


def _excuse(lines: Iterable[LedgerLine]) -> str | None:
    for line in lines:
        for name in ("anomaly", "over_reserve", "note"):
            if line.kind == SETTLE and line.detail.get(name):
                return f"{name}: {line.detail[name]}"
    return None


class _Left:
    """The calls that have no line yet."""

    def __init__(self, ours: Ours, lines_of: dict[str, list[LedgerLine]]) -> None:
        payable = sorted(
            (call for call in ours.calls if call.stage in PAYABLE), key=lambda c: c.begun
        )
        self._calls = {call.id: call for call in payable}
        self._settled = {c.id for c in payable if settled_micro(lines_of[c.id]) is not None}
        self._answers: dict[str, list[Record]] = defaultdict(list)
        for record in ours.records:
            names = [record.response_id, *(image.sha256 for image in record.images)]
            for name in {n for n in names if n}:
                self._answers[name].append(record)
        self._jobs: dict[str, list[CallEntry]] = defaultdict(list)
        self._labels: dict[int | None, list[CallEntry]] = defaultdict(list)
        self._remotes: dict[str | None, CallEntry] = {}
        for call in payable:
            self._jobs[call.job].append(call)
            self._labels[label_of(call)].append(call)
            self._remotes[call.remote] = call

    def calls(self) -> Iterator[CallEntry]:
        return iter(self._calls.values())

    def take(self, call: CallEntry) -> None:
        del self._calls[call.id]

    def by_answer(self, line: BillLine) -> CallEntry | None:
        for name in (line.response, *(image.sha256 for image in line.images)):
            for record in self._answers.get(name, ()):
                # the answer that a record tells of is that of its job's last call with an end
                found = self._best(reversed(self._jobs[record.id]))
                if found is not None:
                    return found
        return None

    def by_remote(self, line: BillLine) -> CallEntry | None:
        found = self._remotes.get(line.remote) if line.remote else None
        return found if found is not None and found.id in self._calls else None

    def by_label(self, line: BillLine) -> CallEntry | None:
        return None if line.job is None else self._best(self._labels.get(line.job, ()))

    def by_time(self, line: BillLine) -> CallEntry | None:
        # with a number on the line, it cannot be another job's
        return self._best(self._labels[None]) if line.job is None else None

    def _best(self, calls: Iterable[CallEntry]) -> CallEntry | None:
        """A settled call before one that is in doubt."""
        left = [call for call in calls if call.id in self._calls]
        wishes: tuple[Callable[[CallEntry], bool], ...] = (
            lambda call: call.id in self._settled,
            lambda call: call.stage in FLAGGED,
            lambda _: True,
        )
        return next((call for wish in wishes for call in left if wish(call)), None)
