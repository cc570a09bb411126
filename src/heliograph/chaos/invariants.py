"""I1 to I11 of the reliability page, each a rule over plain values: evidence in, violations out.

Invariant: a rule never repairs, excuses or guesses; every violation names the call, line, file or
key that breaks it.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from heliograph.chaos.bill import BillLine
from heliograph.chaos.evidence import Evidence, Interrupted
from heliograph.chaos.matching import FLAGGED, Match, label_of, match
from heliograph.chaos.row import KEPT
from heliograph.journal import UNSENT, CallEntry, Stage
from heliograph.money import dollars
from heliograph.provenance import answer_key
from heliograph.storage import sidecar_key
from heliograph.types import KeptImage, Outcome


@dataclass(frozen=True, kw_only=True)
class Violation:
    """A rule that does not hold."""

    rule: str  # "I1" …
    what: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.what}"


Rule = Callable[[Evidence, Match], Iterator[str]]


def nobody_is_charged_for_nothing(_seen: Evidence, both: Match) -> Iterator[str]:
    """I1: G ⊆ E."""
    for call in both.unbilled:
        yield f"{call.id} is settled, and no billed call upstream is it"


def nothing_paid_is_lost(_seen: Evidence, both: Match) -> Iterator[str]:
    """I2: E ∖ G ⊆ U."""
    for line in both.lost:
        yield f"upstream billed {dollars(line.micro)} for {line.call}, and no call of ours is it"
    for pair in both.pairs:
        if pair.settled is None and pair.call.stage not in FLAGGED:
            yield (
                f"{pair.call.id} is {pair.call.stage.value} without a settlement, but upstream "
                f"billed {dollars(pair.line.micro)} ({pair.line.call})"
            )


def nothing_is_paid_twice_in_silence(seen: Evidence, both: Match) -> Iterator[str]:
    """I3: more than one line of a job only beside a line in U, or with a call of its own each."""
    of_job: dict[str, list[BillLine]] = defaultdict(list)
    for pair in both.pairs:
        of_job[pair.call.job].append(pair.line)
    calls: dict[str, list[CallEntry]] = defaultdict(list)
    for call in seen.ours.calls:
        calls[call.job].append(call)
    for job, lines in of_job.items():
        explained = any(call.stage in FLAGGED for call in calls[job]) or len(calls[job]) > 1
        if len(lines) > 1 and not explained:
            yield f"{job} was billed {len(lines)} times, and nothing in our books says so"
    of_label = Counter(line.job for line in seen.billed if line.job is not None)
    for number, count in of_label.items():
        mine = [call for call in seen.ours.calls if label_of(call) == number]
        if count > 1 and not any(c.stage in FLAGGED for c in mine) and len(mine) < count:
            yield f"job {number} was billed {count} times, and our books know {len(mine)} calls"


def ledgers_agree(seen: Evidence, both: Match) -> Iterator[str]:
    """I4: Σ micro(G) + Σ micro(billed part of U) = Σ micro(E), exactly."""
    for pair in both.pairs:
        if pair.difference and not pair.is_flagged:
            yield (
                f"{pair.call.id} is settled with {pair.settled}, upstream billed "
                f"{pair.line.micro} micro-dollars ({pair.line.call})"
            )
    settled = sum(pair.settled for pair in both.pairs if pair.settled is not None)
    doubtful = sum(pair.line.micro for pair in both.pairs if pair.settled is None)
    flagged = sum(pair.difference for pair in both.pairs if pair.is_flagged)
    theirs = sum(line.micro for line in seen.billed)
    if settled - flagged + doubtful != theirs:
        yield (
            f"settled {settled} and in doubt {doubtful} micro-dollars, upstream billed {theirs} "
            f"(differences that our books explain: {flagged})"
        )


def every_image_is_the_one_paid_for(seen: Evidence, both: Match) -> Iterator[str]:
    """I5: every g ∈ G has its file, its hash, its size."""
    records = {record.id: record for record in seen.ours.records}
    for pair in both.pairs:
        if pair.call.stage is not Stage.SETTLED:
            continue
        record = records.get(pair.call.job)
        if record is None:
            yield f"{pair.call.id} is settled, but there is no record {pair.call.job}"
            continue
        kept = record.result
        if kept is None:
            if record.outcome is Outcome.KEPT:
                yield f"{record.id} is kept without an image"
            continue
        yield from _file_problems(record.id, kept, seen.ours.blobs)
        # what stood behind the end of a picture may have been cut off, so sizes are compared too
        made = [i for i in pair.line.images if i.sha256 == kept.sha256]
        sizes = {str(kept.pixels), *(f"{i.width}x{i.height}" for i in made[:1])}
        if len(sizes) > 1 and not pair.line.is_spoilt:
            yield f"{record.id} has another size than was made: {', '.join(sorted(sizes))}"
        if not made and not record.warnings:
            yield f"{record.id} holds an image that upstream never made for {pair.line.call}"


def _file_problems(owner: str, kept: KeptImage, blobs: Mapping[str, str]) -> Iterator[str]:
    found = blobs.get(kept.key)
    if found is None:
        yield f"{owner} has no file {kept.key}"
    elif found != kept.sha256:
        yield f"{kept.key} of {owner} holds other bytes than its hash says"


def files_and_rows_agree(seen: Evidence, _both: Match) -> Iterator[str]:
    """I6: no row without file, no file without row, no old temporary file, no abandoned spool."""
    wanted: dict[str, str] = {}
    for record in seen.ours.records:
        for image in record.images:
            wanted[image.key] = record.id
            if image.signature_key:
                wanted[image.signature_key] = record.id
        for part in record.turn:
            if isinstance(part.get("signature"), str):
                wanted.setdefault(part["signature"], record.id)
    for key in sorted(wanted.keys() - seen.ours.blobs.keys()):
        yield f"{wanted[key]} names {key}, which is not there"
    sidecars = {sidecar_key(record): record.id for record in seen.ours.records}
    for key in sorted(sidecars.keys() - seen.ours.blobs.keys()):
        yield f"{sidecars[key]} has no sidecar {key}"
    # answers as they came, which only some faces ask to be kept
    answers = {answer_key(record.id) for record in seen.ours.records}
    for key in sorted(seen.ours.blobs.keys() - wanted.keys() - sidecars.keys() - answers):
        yield f"{key} belongs to no record"
    for path in seen.ours.leftovers:
        yield f"{path} is a temporary file that nobody cleared away"
    unfinished = {call.id for call in seen.ours.calls if call.stage.is_open}
    # a call in doubt may keep its spool: what arrived of it is paid for, perhaps
    unfinished |= {call.id for call in seen.ours.calls if call.stage in FLAGGED}
    for folder in seen.ours.spooled:
        if folder not in unfinished:
            yield f"spool/{folder} was left behind by a call that has ended"


def nothing_is_set_aside_at_rest(seen: Evidence, _both: Match) -> Iterator[str]:
    """I7: reservations = 0, holds = lines in U."""
    for call in seen.ours.calls:
        if call.stage.is_open:
            yield f"{call.id} is still {call.stage.value}"
    for balance in seen.ours.balances:
        held = sum(
            call.reserved
            for call in seen.ours.calls
            if call.stage.is_doubtful
            and balance.scope in call.scopes
            and call.simulated == balance.simulated
        )
        if balance.reserved:
            yield f"{balance.scope} has {balance.reserved} micro-dollars reserved at rest"
        if balance.held != held:
            yield f"{balance.scope} holds {balance.held}, its calls in doubt {held} micro-dollars"


def one_key_one_image(seen: Evidence, _both: Match) -> Iterator[str]:
    """I8: one idempotency key → one image hash for ever."""
    images: dict[str, set[str]] = defaultdict(set)
    for ended in seen.ended:
        if ended.key and ended.sha256:
            images[ended.key].add(ended.sha256)
    for key, hashes in images.items():
        if len(hashes) > 1:
            yield f"key {key} was answered with {len(hashes)} different images"


def books_are_sound(seen: Evidence, _both: Match) -> Iterator[str]:
    """I9: the database's own checks and the audit of the ledger are clean."""
    yield from seen.ours.findings


def no_job_is_lost(seen: Evidence, both: Match) -> Iterator[str]:
    """I10: lost = ∅, duplicated = ∅, unexpected = ∅."""
    sets = queue_sets(seen, both)
    for name in ("lost", "duplicated", "unexpected"):
        for job in getattr(sets, name):
            yield f"{name}: {job}"


RULES: Mapping[str, Rule] = {
    "I1": nobody_is_charged_for_nothing,
    "I2": nothing_paid_is_lost,
    "I3": nothing_is_paid_twice_in_silence,
    "I4": ledgers_agree,
    "I5": every_image_is_the_one_paid_for,
    "I6": files_and_rows_agree,
    "I7": nothing_is_set_aside_at_rest,
    "I8": one_key_one_image,
    "I9": books_are_sound,
    "I10": no_job_is_lost,
}


def violations(seen: Evidence) -> tuple[Violation, ...]:
    """Everything that does not hold; I11 needs the moment of a kill, see `after_a_kill`."""
    both = match(seen.ours, seen.billed)
    return tuple(
        Violation(rule=name, what=what) for name, rule in RULES.items() for what in rule(seen, both)
    )


# ---------------------------------------------------------------- queue sets


@dataclass(frozen=True, kw_only=True)
class QueueSets:
    """What became of the jobs, by job id."""

    lost: tuple[str, ...]  # handed over to a caller once, and not in the books
    duplicated: tuple[str, ...]  # settled more than once without a word
    unexpected: tuple[str, ...]  # in the books, and nobody asked for it
    recovered: tuple[str, ...]  # finished by another process than the one that began
    done: tuple[str, ...]  # an image is kept


def queue_sets(seen: Evidence, both: Match) -> QueueSets:
    """Compare what callers were told with what the books say."""
    records = {record.id: record for record in seen.ours.records}
    told = {ended.record for ended in seen.ended if ended.code == KEPT and ended.record}
    asked = {ended.prompt for ended in seen.ended}
    settled = Counter(p.call.job for p in both.pairs if p.settled and p.call.stage not in FLAGGED)
    calls = Counter(call.job for call in seen.ours.calls)
    return QueueSets(
        lost=tuple(sorted(told - records.keys())),
        duplicated=tuple(sorted(j for j, n in settled.items() if n > 1 and calls[j] < n)),
        unexpected=tuple(
            sorted(r.id for r in seen.ours.records if asked and r.prompt not in asked)
        ),
        recovered=tuple(sorted(_recovered(seen))),
        done=tuple(sorted(r.id for r in seen.ours.records if r.outcome is Outcome.KEPT)),
    )


def _recovered(seen: Evidence) -> set[str]:
    """Jobs that a process left open when it died, and that have come to an end since."""
    now = {call.id: call for call in seen.ours.calls}
    return {
        one.job for one in seen.interrupted if one.call in now and not now[one.call].stage.is_open
    }


# ---------------------------------------------------------------- I11


def after_a_kill(seen: Evidence) -> tuple[Violation, ...]:
    """I11: before SENT upstream knows nothing of the call, and after the last byte was spooled
    the image is delivered without another one being paid for.
    """
    now = {call.id: call for call in seen.ours.calls}
    return tuple(
        Violation(rule="I11", what=what)
        for one in seen.interrupted
        for what in _told_by_death(one, seen.billed, now.get(one.call))
    )


def _told_by_death(
    one: Interrupted, billed: tuple[BillLine, ...], now: CallEntry | None
) -> Iterator[str]:
    mine = [line for line in billed if line.job is not None and line.job == one.number]
    before = [line for line in mine if line.arrived <= one.killed_at]
    after = [line for line in mine if line.arrived > one.killed_at]
    if now is None:
        yield f"{one.call} was {one.stage.value} and is gone"
    elif one.stage in UNSENT:
        # an earlier attempt of the same call was told to be free, so nothing may be billed
        if before:
            yield f"{one.call} was {one.stage.value}, but upstream billed {before[0].call}"
    elif one.spooled or one.stage in (Stage.RECEIVED, Stage.STORED):
        if now.stage not in (Stage.SETTLED, Stage.REFUSED, Stage.QUARANTINED):
            yield f"{one.call} had its whole answer in the spool and became {now.stage.value}"
        if after:
            yield f"{one.call} had its whole answer, and later {after[-1].call} was paid for"
