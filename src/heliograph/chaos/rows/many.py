"""M01 to M04: many at once. Budgets, two processes on one library, submitted calls.

Invariant: the numbers are exact; "about ten" would be a budget that can be passed.
"""

from heliograph.chaos.row import Kind, Row

MANY: tuple[Row, ...] = (
    Row(
        id="M01",
        title="200 requests at once, a budget for 10, one process",
        expects="exactly 10 are billed, in every round",
        promises=(6,),
        kind=Kind.LOAD,
        script="parallel:budgets",
        seconds=30,
        facts={"processes": 1, "rounds": 4, "asks": 200, "room": 10},
    ),
    Row(
        id="M02",
        title="200 requests at once, a budget for 10, two processes",
        expects="exactly 10 are billed, in every round",
        promises=(6,),
        kind=Kind.LOAD,
        script="parallel:budgets",
        seconds=30,
        facts={"processes": 2, "rounds": 4, "asks": 200, "room": 10},
    ),
    Row(
        id="M03",
        title="Two processes on one library, the same keys; one of them dies",
        expects="no call is sent twice",
        promises=(2, 4),
        kind=Kind.CRASH,
        script="parallel:shared",
        seconds=15,
        facts={"jobs": 24},
    ),
    Row(
        id="M04",
        title="200 submitted calls of 2 to 6 s, SIGKILL midway (Interactions)",
        expects="0 lost, 0 paid twice, at most 5 % unknown",
        promises=(1, 2, 3),
        kind=Kind.CRASH,
        script="parallel:submitted",
        seconds=40,
        facts={"jobs": 200, "after": 4.0},
    ),
)
