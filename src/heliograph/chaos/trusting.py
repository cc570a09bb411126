"""F13: certificates that must not be trusted, in a process that trusts the emulator's authority.

Invariant: the good certificate of the same authority is tried beside them, so that a refusal
means this certificate and not the authority.
"""

import asyncio
from dataclasses import replace

from heliograph.chaos.checks import charged, keys_nowhere, stages
from heliograph.chaos.nursery import Tell, outcome
from heliograph.chaos.report import Told
from heliograph.chaos.row import KEPT, Case, Row, exactly
from heliograph.chaos.script import Crew
from heliograph.chaos.stage import Where, try_case
from heliograph.journal import Stage

BAD = ("expired", "wrong_name", "self_signed")


async def certificates(row: Row, crew: Crew) -> list[Told]:
    """All of them, in one process."""
    async with crew.room:
        child = crew.start("trusting:try_all", crew.where, trust=crew.where.desk.authority)
        found: list[Told] = await outcome(child)
    return [replace(told, facts={**told.facts, "row": row.id}) for told in found]


async def try_all(where: Where, tell: Tell) -> None:
    """Each kind of certificate as one case."""
    cases = [
        Case(name="good", base_url="tls:good", ends=(KEPT,)),
        *(
            Case(
                name=kind,
                base_url=f"tls:{kind}",
                calls=exactly(0),
                billed=exactly(0),
                ends=("upstream_tls",),
                checks=(charged("no"), stages(Stage.RELEASED), keys_nowhere),
            )
            for kind in BAD
        ),
    ]
    tell("done", list(await asyncio.gather(*(try_case("F13", case, where) for case in cases))))
