"""F01 to F10: the upstream says not now. Rates, quotas, capacity, deadlines.

Invariant: waits are real and as told; nothing here is scaled.
"""

from heliograph.chaos.checks import (
    answered_soon,
    calls_per_request,
    mostly_kept,
    no_bin_holds_more_than,
    share_of_a_bad_project,
    told_to_wait,
    waited,
    waits_told,
)
from heliograph.chaos.plays import (
    bad_from_the_start,
    gated_for_the_day,
    next_one_is_served,
    outage_of_a_minute,
    two_in_turn,
)
from heliograph.chaos.row import KEPT, Ask, Case, Kind, Project, Row, Span, exactly, up_to

BUSY = ("overloaded", "upstream_closed")


def _rule(action: str, **more: object) -> Project:
    return Project(rules=({"action": action, **more},))


LIMITS: tuple[Row, ...] = (
    Row(
        id="F01",
        title="429 per minute with RetryInfo, once",
        expects="waits as long as told, at most a tenth longer, then succeeds",
        promises=(9,),
        seconds=9,
        cases=(
            Case(
                name="7 s",
                asks=(Ask(fault="rate-minute:7*1"),),
                calls=exactly(2),
                checks=(waited(7.0, 7.7),),
            ),
            Case(
                name="2 s, ten at once",
                asks=(Ask(fault="rate-minute:2*1", times=10),),
                calls=exactly(20),
                billed=exactly(10),
                checks=(waits_told(2.0, 2.2),),
            ),
        ),
    ),
    Row(
        id="F02",
        title="429 without details, once",
        expects="backs off 2.5 to 5 s; many clients do not come back together",
        promises=(9,),
        kind=Kind.LOAD,
        seconds=8,
        cases=(
            Case(
                name="one",
                asks=(Ask(fault="rate-plain*1"),),
                calls=exactly(2),
                checks=(waited(2.5, 5.0),),
            ),
            Case(
                # the second answer is a free one, so that the spread is that of the waits
                name="250 at once",
                asks=(Ask(fault="rate-plain*1]] [[fault:image-safety", times=250),),
                calls=exactly(500),
                billed=exactly(0),
                ends=("policy_blocked",),
                checks=(no_bin_holds_more_than(10, 100),),
            ),
        ),
    ),
    Row(
        id="F03",
        title="429 with RetryInfo 400 s",
        expects="gives up at once and says when to come back",
        promises=(9,),
        cases=(
            Case(
                name="400 s",
                asks=(Ask(fault="rate-minute:400"),),
                billed=exactly(0),
                ends=("rate_limited",),
                checks=(told_to_wait(400), answered_soon(0.5)),
            ),
        ),
    ),
    Row(
        id="F04",
        title="Daily quota used up, with RetryInfo 37 s; also limit: 0",
        expects="terminal until midnight Pacific: the next 100 requests make no call",
        promises=(9,),
        kind=Kind.LOAD,
        seconds=3,
        cases=(
            Case(
                name="daily quota",
                projects=(_rule("rate-day"),),
                billed=exactly(0),
                ends=("quota_exhausted",),
                play=gated_for_the_day,
            ),
            Case(
                name="limit: 0",
                projects=(_rule("limit-zero"),),
                billed=exactly(0),
                ends=("quota_exhausted",),
                play=gated_for_the_day,
            ),
            Case(
                name="next project",
                projects=(_rule("rate-day"), Project()),
                play=two_in_turn,
                calls=exactly(3),
                billed=exactly(2),
            ),
        ),
    ),
    Row(
        id="F05",
        title="429 MODEL_CAPACITY_EXHAUSTED",
        expects="capacity, not quota: at most 3 calls, and the next request is served",
        promises=(9,),
        seconds=5,
        cases=(
            Case(name="once", asks=(Ask(fault="capacity*1"),), calls=exactly(2)),
            Case(
                name="always",
                calls=Span(2, 4),
                billed=exactly(1),
                ends=("overloaded", KEPT),
                asks=(Ask(fault="capacity"),),
                play=next_one_is_served,
            ),
        ),
    ),
    Row(
        id="F06",
        title="429 spend cap, or prepaid credits used up",
        expects="terminal for the project; the next project is asked",
        promises=(9,),
        cases=(
            *(
                Case(
                    name=action,
                    projects=(_rule(action),),
                    billed=exactly(0),
                    ends=("quota_exhausted",),
                )
                for action in ("spend-limit", "depleted")
            ),
            *(
                Case(
                    name=f"{action}, next project",
                    projects=(_rule(action), Project()),
                    calls=exactly(2),
                )
                for action in ("spend-limit", "depleted")
            ),
        ),
    ),
    Row(
        id="F07",
        title="500 once",
        expects="one backoff, then success",
        seconds=2,
        cases=(Case(name="500", asks=(Ask(fault="internal*1"),), calls=exactly(2)),),
    ),
    Row(
        id="F08",
        title="503 for 60 s under 1,000 requests",
        expects="calls/requests ≤ 1.15, fails fast, first success ≤ 35 s after recovery",
        promises=(9,),
        kind=Kind.LOAD,
        seconds=100,
        cases=(
            Case(
                name="60 s",
                projects=(_rule("overloaded", for_seconds=60),),
                # at least: five that fail in a row, one probe that fails, one that succeeds
                calls=Span(7, 1150),
                billed=Span(1, 1000),
                ends=(*BUSY, KEPT),
                checks=(calls_per_request(115),),
                play=outage_of_a_minute,
            ),
        ),
    ),
    Row(
        id="F09",
        title="503 on project A only",
        expects="B is asked after at most two tries; A only by real requests, at most 2 % of them",
        promises=(9,),
        kind=Kind.LOAD,
        seconds=6,
        cases=(
            Case(
                name="A is down",
                projects=(_rule("overloaded"), Project()),
                asks=(Ask(times=150, over=4.0),),
                calls=Span(152, 155),
                billed=exactly(151),
                checks=(mostly_kept(100), share_of_a_bad_project),
                play=bad_from_the_start,
            ),
        ),
    ),
    Row(
        id="F10",
        title="504 with a body",
        expects="one more try with a longer deadline",
        promises=(9,),
        seconds=3,
        cases=(
            Case(name="once", asks=(Ask(fault="deadline*1"),), calls=exactly(2)),
            Case(
                name="always",
                asks=(Ask(fault="deadline"),),
                calls=exactly(2),
                billed=up_to(0),
                ends=("deadline_exceeded",),
            ),
        ),
    ),
)
