"""F11 to F18 and F38 to F41: the connection misbehaves, or what comes over it is no answer.

Invariant: a call that may have been paid for is never made again by itself.
"""

from heliograph.chaos.checks import (
    charged,
    ended_within,
    quarantined,
    stages,
    warned,
)
from heliograph.chaos.plays import (
    closed_port,
    hung_up,
    late_image,
    redirected,
)
from heliograph.chaos.row import KEPT, Ask, Case, Project, Row, Span, exactly, up_to
from heliograph.journal import Stage

UNKNOWN = ("outcome_unknown",)
MODES = ("on_complete", "on_accept", "on_first_byte")


def _billing(mode: str) -> Project:
    return Project(habits={"billing": mode})


CONNECTIONS: tuple[Row, ...] = (
    Row(
        id="F11",
        title="Connection refused",
        expects="not sent: at most 3 repeats within 5 s, the reservation is given back",
        promises=(1, 2),
        seconds=4,
        cases=(
            Case(
                name="closed port",
                calls=exactly(0),
                billed=exactly(0),
                ends=("not_sent",),
                checks=(charged("no"), stages(Stage.RELEASED), ended_within(0.0, 5.5)),
                play=closed_port,
            ),
        ),
    ),
    Row(
        id="F12",
        title="The name of the upstream cannot be resolved",
        expects="as F11; nothing is charged",
        promises=(1, 2),
        seconds=4,
        cases=(
            Case(
                name="no such name",
                base_url="https://nowhere.invalid",
                calls=exactly(0),
                billed=exactly(0),
                ends=("not_sent",),
                checks=(charged("no"), stages(Stage.RELEASED)),
            ),
        ),
    ),
    Row(
        id="F13",
        title="TLS certificate expired, for another name, self-signed",
        expects="never repeated, never trusted; no byte of the key leaves",
        promises=(11,),
        seconds=4,
        script="trusting:certificates",
    ),
    Row(
        id="F14",
        title="Reset after the request was read",
        expects="unknown, held, not repeated, in every billing mode",
        promises=(1, 2, 5),
        cases=tuple(
            Case(
                name=mode,
                asks=(Ask(fault="reset-after-request"),),
                projects=(_billing(mode),),
                billed=exactly(1 if mode == "on_accept" else 0),
                ends=UNKNOWN,
                checks=(charged("unknown"), stages(Stage.UNKNOWN)),
            )
            for mode in MODES
        ),
    ),
    Row(
        id="F15",
        title="Headers come after our deadline",
        expects="the caller is told in time; the late image is kept and charged once",
        promises=(1, 2, 3),
        seconds=6,
        cases=(
            Case(
                name="3 s late",
                asks=(Ask(fault="delay-headers:4"),),
                settings={"answer_timeout": 1.0, "late_timeout": 20.0},
                ends=("outcome_unknown", "deadline_exceeded", KEPT),
                play=late_image,
            ),
            Case(
                name="never",
                asks=(Ask(fault="delay-headers:8"),),
                settings={"answer_timeout": 0.5, "late_timeout": 0.5},
                ends=UNKNOWN,
                checks=(charged("unknown"), stages(Stage.UNKNOWN), ended_within(0.4, 4.0)),
            ),
        ),
    ),
    Row(
        id="F16",
        title="The caller leaves",
        expects="what has left is finished, kept and settled; the same key gets it",
        promises=(3, 4),
        seconds=4,
        cases=(
            Case(
                name="20 callers",
                asks=(Ask(fault="slow:1", times=20),),
                calls=exactly(20),
                billed=exactly(20),
                play=hung_up,
            ),
        ),
    ),
    Row(
        id="F17",
        title="The body stalls",
        expects="noticed after the setting's seconds of silence: unknown, what came is put aside",
        promises=(1, 2),
        seconds=4,
        cases=tuple(
            Case(
                name=mode,
                asks=(Ask(fault="stall-after"),),
                projects=(_billing(mode),),
                settings={"silence_timeout": 1.0},
                ends=UNKNOWN,
                checks=(charged("unknown"), stages(Stage.UNKNOWN), ended_within(1.0, 4.0)),
            )
            for mode in MODES
        ),
    ),
    Row(
        id="F18",
        title="JSON cut after the image",
        expects="the image is delivered, marked, and has the hash that was emitted",
        promises=(3,),
        cases=tuple(
            Case(
                name=name,
                asks=(Ask(fault=fault),),
                checks=(warned, stages(Stage.SETTLED)),
            )
            for name, fault in (
                ("broken off", "cut-after-image"),
                ("closed politely", "cut-after-image:clean"),
                ("length lies", "length-lie"),
            )
        ),
    ),
    Row(
        id="F18b",
        title="JSON cut inside the image",
        expects="unknown, held, the piece lies in quarantine",
        promises=(1, 2),
        cases=tuple(
            Case(
                name=fault,
                asks=(Ask(fault=fault),),
                ends=UNKNOWN,
                checks=(charged("unknown"), quarantined),
            )
            for fault in ("cut-json", "reset-after-bytes")
        ),
    ),
    Row(
        id="F38",
        title="Redirect to another host",
        expects="not followed: the other host sees no connection",
        promises=(11, 12),
        cases=(
            Case(
                name="canary",
                billed=exactly(0),
                ends=("upstream_protocol",),
                play=redirected,
            ),
        ),
    ),
    Row(
        id="F39",
        title="Oversized headers, 1xx, bad UTF-8, byte order mark",
        expects="understood, or refused as no answer",
        promises=(1,),
        cases=tuple(
            Case(
                name=fault,
                asks=(Ask(fault=fault),),
                billed=up_to(1),
                ends=(KEPT, "upstream_protocol", "outcome_unknown"),
            )
            for fault in ("huge-headers", "informational", "bad-utf8", "bom")
        ),
    ),
    Row(
        id="F40",
        title="Gzip bomb, endless body",
        expects="stops at 96 MB decoded",
        promises=(1,),
        seconds=6,
        cases=(
            *(
                Case(
                    name=fault,
                    asks=(Ask(fault=fault),),
                    billed=up_to(1),
                    ends=("upstream_protocol", "outcome_unknown"),
                )
                for fault in ("gzip-bomb", "endless:256")
            ),
        ),
    ),
    Row(
        id="F41",
        title="Drip of 1 kB/s",
        expects="the deadline of the whole call ends it: unknown",
        promises=(1, 2),
        seconds=3,
        cases=(
            Case(
                name="drip",
                asks=(Ask(fault="drip:1024"),),
                settings={"call_timeout": 2.0, "late_timeout": 0.0},
                billed=Span(0, 1),
                ends=UNKNOWN,
                checks=(charged("unknown"), ended_within(1.5, 5.0)),
            ),
        ),
    ),
)
