"""F48 to F53: models, keys, usage numbers, other upstreams, clocks, projects that flap.

Invariant: a bad key is asked once, and what it says of itself stands nowhere.
"""

from heliograph.chaos.checks import (
    calls_per_request,
    charged,
    keys_nowhere,
    mostly_kept,
    nothing_negative,
    stages,
    warned,
)
from heliograph.chaos.plays import two_in_turn
from heliograph.chaos.row import KEPT, Ask, Case, Kind, Project, Row, Span, exactly
from heliograph.chaos.talks import pointed_elsewhere
from heliograph.journal import Stage


def _rule(action: str, **more: object) -> Project:
    return Project(rules=({"action": action, **more},))


ACCOUNTS: tuple[Row, ...] = (
    Row(
        id="F48",
        title="The model is retired (404)",
        expects="terminal: no repeat, no other key",
        promises=(8,),
        cases=(
            Case(
                name="two projects",
                asks=(Ask(fault="not-found"),),
                projects=(Project(), Project()),
                billed=exactly(0),
                ends=("request_rejected",),
                checks=(charged("no"), stages(Stage.RELEASED)),
            ),
        ),
    ),
    Row(
        id="F49",
        title="Key invalid, leaked, expired, blocked",
        expects="the key is not asked again, the next project is; the key stands nowhere",
        promises=(11,),
        seconds=2,
        cases=(
            *(
                Case(
                    name=f"{action}, next project",
                    projects=(_rule(action), Project()),
                    play=two_in_turn,
                    calls=exactly(3),
                    billed=exactly(2),
                    checks=(keys_nowhere,),
                )
                for action in ("api-key-invalid", "leaked", "key-expired", "service-blocked")
            ),
            Case(
                name="the only one",
                projects=(_rule("leaked"),),
                play=two_in_turn,
                billed=exactly(0),
                ends=("credential_rejected",),
                checks=(keys_nowhere, charged("no")),
            ),
        ),
    ),
    Row(
        id="F50",
        title="Usage missing, negative, enormous, not a number",
        expects="settled by the price table, marked, never negative",
        promises=(5,),
        cases=tuple(
            Case(
                name=fault,
                asks=(Ask(fault=fault),),
                checks=(nothing_negative, warned),
            )
            for fault in ("usage-missing", "usage-negative", "usage-huge", "usage-nan")
        ),
    ),
    Row(
        id="F51",
        title="The answer names an address instead of bytes",
        expects="nothing is fetched: no_image, and the address sees no connection",
        promises=(12,),
        cases=(
            Case(
                name="address and data address",
                calls=exactly(2),
                billed=exactly(2),
                ends=("no_image",),
                play=pointed_elsewhere,
            ),
        ),
    ),
    Row(
        id="F52",
        title="The wall clock jumps by a day, forward and back",
        expects="waits are not touched, and no budget window begins twice",
        promises=(6, 9),
        seconds=5,
        script="clocks:jumps",
    ),
    Row(
        id="F53",
        title="Two projects, bad in turn every 5 s",
        expects="calls/requests ≤ 1.3, at least 95 % succeed",
        promises=(9,),
        kind=Kind.LOAD,
        seconds=45,
        cases=(
            Case(
                name="40 s",
                projects=(
                    _rule("overloaded", every={"seconds": 5, "of": 10}),
                    _rule("overloaded", every={"seconds": 5, "of": 10, "phase": 5}),
                ),
                asks=(Ask(times=100, over=40.0),),
                calls=Span(95, 130),
                billed=Span(95, 100),
                ends=(KEPT, "overloaded", "upstream_closed"),
                checks=(calls_per_request(130), mostly_kept(95)),
            ),
        ),
    ),
)
