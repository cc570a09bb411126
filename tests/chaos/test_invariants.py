"""Each invariant is shown to fail when it is broken, and all hold on books that are sound."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.chaos.books import (
    COST,
    NOON,
    RESERVED,
    SHA,
    bill,
    call,
    line,
    prompt,
    record,
    sound,
    with_ours,
)

from heliograph.chaos.evidence import Ended, Evidence, Interrupted
from heliograph.chaos.invariants import RULES, after_a_kill, queue_sets, violations
from heliograph.chaos.labour import UnknownShare, unknown_share
from heliograph.chaos.matching import match
from heliograph.chaos.row import KEPT
from heliograph.journal import Stage
from heliograph.ledger import Balance
from heliograph.types import Outcome


def broken(seen: Evidence) -> set[str]:
    return {violation.rule for violation in violations(seen)}


def in_doubt() -> Evidence:
    """A call of unknown outcome, billed upstream."""
    entry = call(stage=Stage.UNKNOWN)
    gone = record(outcome=Outcome.UNKNOWN, response_id=None, cost=0)
    seen = with_ours(
        sound(),
        calls=(entry,),
        lines=(line(entry, "hold", RESERVED),),
        records=(gone,),
        balances=(Balance(scope="total", simulated=True, held=RESERVED),),
        blobs={"records/job1.json": "cd" * 32},
    )
    return replace(seen, ended=())


def test_sound_books_break_nothing() -> None:
    assert violations(sound()) == ()
    assert violations(in_doubt()) == ()
    assert match(in_doubt().ours, in_doubt().billed).flagged_micro == COST


def charged_without_a_bill() -> Evidence:
    return replace(sound(), bill=())


def paid_and_forgotten() -> Evidence:
    return replace(sound(), bill=(bill(), bill(2)))


def released_but_billed() -> Evidence:
    entry = call(stage=Stage.RELEASED)
    return with_ours(sound(), calls=(entry,), lines=(line(entry, "release", 0),), records=())


def paid_twice_without_a_word() -> Evidence:
    return replace(sound(), bill=(bill(), bill(call="another")))


def settled_with_another_amount() -> Evidence:
    return with_ours(sound(), lines=(line(call(), micro=COST + 1),))


def another_image_in_the_file() -> Evidence:
    key = record().images[0].key
    return with_ours(sound(), blobs={**sound().ours.blobs, key: "ef" * 32})


def another_size_than_made() -> Evidence:
    images = (replace(bill().images[0], width=32),)
    return replace(sound(), bill=(bill(images=images),))


def answer_without_a_row() -> Evidence:
    return with_ours(sound(), blobs={**sound().ours.blobs, "answers/job2.json": SHA})


def file_without_a_row() -> Evidence:
    return with_ours(sound(), blobs={**sound().ours.blobs, "sha256/zz/stray.jpg": SHA})


def row_without_a_file() -> Evidence:
    return with_ours(sound(), blobs={})


def old_temporary_file() -> Evidence:
    return with_ours(sound(), leftovers=("originals/.incoming/x",))


def spool_left_behind() -> Evidence:
    return with_ours(sound(), spooled=("job1-1",))


def call_left_open() -> Evidence:
    return with_ours(sound(), calls=(call(), call(2, Stage.SENT)))


def money_left_reserved() -> Evidence:
    balance = Balance(scope="total", simulated=True, settled=COST, reserved=1)
    return with_ours(sound(), balances=(balance,))


def hold_without_a_call() -> Evidence:
    balance = Balance(scope="total", simulated=True, settled=COST, held=RESERVED)
    return with_ours(sound(), balances=(balance,))


def two_images_for_one_key() -> Evidence:
    (first,) = sound().ended
    return replace(sound(), ended=(first, replace(first, sha256="ef" * 32)))


def audit_finds_something() -> Evidence:
    return with_ours(sound(), findings=("job1-1: its lines do not add up",))


def told_and_gone() -> Evidence:
    (first,) = sound().ended
    return replace(sound(), ended=(first, replace(first, record="job9", key="k9")))


def nobody_asked() -> Evidence:
    other = Ended(prompt="another", code="not_sent", began=0.0, seconds=0.0)
    return replace(sound(), ended=(other,))


@pytest.mark.parametrize(
    ("rule", "make"),
    [
        ("I1", charged_without_a_bill),
        ("I2", paid_and_forgotten),
        ("I2", released_but_billed),
        ("I3", paid_twice_without_a_word),
        ("I4", settled_with_another_amount),
        ("I4", paid_and_forgotten),
        ("I5", another_image_in_the_file),
        ("I5", another_size_than_made),
        ("I5", row_without_a_file),
        ("I6", file_without_a_row),
        ("I6", answer_without_a_row),
        ("I6", row_without_a_file),
        ("I6", old_temporary_file),
        ("I6", spool_left_behind),
        ("I7", call_left_open),
        ("I7", money_left_reserved),
        ("I7", hold_without_a_call),
        ("I8", two_images_for_one_key),
        ("I9", audit_finds_something),
        ("I10", told_and_gone),
        ("I10", nobody_asked),
    ],
)
def test_a_broken_invariant_is_found(rule: str, make: Callable[[], Evidence]) -> None:
    assert rule in broken(make())


def test_every_rule_is_shown_to_fail() -> None:
    found: set[str] = set()
    for make in (
        *(charged_without_a_bill, paid_and_forgotten, paid_twice_without_a_word),
        *(settled_with_another_amount, another_image_in_the_file, file_without_a_row),
        *(call_left_open, two_images_for_one_key, audit_finds_something, told_and_gone),
    ):
        found |= broken(make())
    assert found == set(RULES)


def test_a_flagged_difference_is_shown_and_allowed() -> None:
    entry = call()
    seen = with_ours(sound(), lines=(line(entry, micro=COST - 7, anomaly="usage missing"),))
    assert violations(seen) == ()
    assert match(seen.ours, seen.billed).flagged_micro == 7


def test_a_job_that_is_paid_twice_is_allowed_beside_a_call_in_doubt() -> None:
    first, second = call(stage=Stage.UNKNOWN), call(id="job1-2")
    seen = with_ours(
        sound(),
        calls=(first, second),
        lines=(line(first, "hold", RESERVED), line(second)),
        balances=(Balance(scope="total", simulated=True, settled=COST, held=RESERVED),),
    )
    seen = replace(seen, bill=(bill(call="lost", images=()), bill()))
    assert violations(seen) == ()


def test_two_settled_calls_of_one_job_are_shown() -> None:
    first, second = call(), call(id="job1-2")
    seen = with_ours(sound(), calls=(first, second), lines=(line(first), line(second)))
    seen = replace(seen, bill=(bill(), bill(call="again", images=())))
    assert "I3" not in broken(seen)  # the books say so themselves
    assert len(match(seen.ours, seen.billed).pairs) == 2


@pytest.mark.parametrize(
    ("stage", "now", "arrived", "holds"),
    [
        (Stage.INTENT, Stage.RELEASED, 5.0, True),  # paid for by the process after it
        (Stage.INTENT, Stage.RELEASED, -5.0, False),  # was not sent, but billed
        (Stage.RECEIVED, Stage.SETTLED, -5.0, True),
        (Stage.RECEIVED, Stage.UNKNOWN, -5.0, False),  # its answer lay in the spool
        (Stage.RECEIVED, Stage.SETTLED, 5.0, False),  # and was paid for again
        (Stage.SENT, Stage.UNKNOWN, -5.0, True),
    ],
)
def test_what_a_kill_allows(stage: Stage, now: Stage, arrived: float, holds: bool) -> None:
    died = NOON.timestamp()
    seen = replace(
        with_ours(sound(), calls=(call(stage=now),)),
        bill=(bill(arrived=died + arrived),),
        interrupted=(
            Interrupted(call="job1-1", job="job1", number=1, stage=stage, killed_at=died),
        ),
    )
    assert (after_a_kill(seen) == ()) is holds


def test_a_call_that_a_kill_made_vanish_is_found() -> None:
    one = Interrupted(call="job9-1", job="job9", number=9, stage=Stage.SENT, killed_at=1.0)
    assert len(after_a_kill(replace(sound(), interrupted=(one,)))) == 1


def test_queue_sets_tell_what_was_recovered() -> None:
    one = Interrupted(call="job1-1", job="job1", number=1, stage=Stage.RECEIVED, killed_at=1.0)
    seen = replace(sound(), interrupted=(one,))
    sets = queue_sets(seen, match(seen.ours, seen.billed))
    assert (sets.recovered, sets.done, sets.lost) == (("job1",), ("job1",), ())


def test_flagging_everything_as_unknown_does_not_pass() -> None:
    calls = tuple(
        # one second in four between SENT and its end, by the trail of `call`
        call(n, Stage.UNKNOWN)
        for n in range(1, 401)
    )
    deaths = tuple(
        Interrupted(
            call=c.id, job=c.job, number=None, stage=Stage.SENT, killed_at=NOON.timestamp() + 3
        )
        for c in calls
    )
    seen = replace(with_ours(sound(), calls=calls), interrupted=deaths)
    share = unknown_share(seen)
    assert (share.unknown, share.time) == (400, 333)
    assert len(share.complaints()) == 2
    few = tuple(
        replace(c, stage=Stage.SETTLED) if n % 3 else c for n, c in enumerate(calls, start=1)
    )
    assert unknown_share(replace(seen, ours=replace(seen.ours, calls=few))).complaints() == []


def test_where_every_call_is_interrupted_only_chance_is_forgiven() -> None:
    # 250 calls on a machine too slow to end one before the next kill: three deviations are 8.8 %
    slow = UnknownShare(calls=250, interrupted=248, unknown=179, time=676)
    assert slow.complaints() == []
    assert len(replace(slow, unknown=200).complaints()) == 2
    # where most calls end in peace, so much can be no chance
    quick = UnknownShare(calls=2500, interrupted=248, unknown=248, time=60)
    assert len(quick.complaints()) == 2
    assert quick.chance_of_all == quick.chance // 10


def test_an_ended_job_names_its_prompt() -> None:
    (ended,) = sound().ended
    assert (ended.prompt, ended.code) == (prompt(1), KEPT)
