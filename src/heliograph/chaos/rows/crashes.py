"""K01 to K14, K24, K26, K27 and random kills: the process dies, the disk fails.

Invariant: a point to die at is named once, and says what a careful caller finds afterwards.
"""

from heliograph.chaos.crash import Point
from heliograph.chaos.row import KEPT, Kind, Row, Span

UNKNOWN = "outcome_unknown"
PERHAPS = Span(0, 1)
SMALLER = {"pixels": "512x512"}
SUBMITS = {"transport": "interactions"}


def _row(number: int, title: str, expects: str, *points: Point) -> Row:
    return Row(
        id=f"K{number:02d}",
        title=title,
        expects=expects,
        promises=(1, 2, 3, 4, 5),
        kind=Kind.CRASH,
        script="crash:at_points",
        seconds=3.0 * len(points),
        facts={"points": points},
    )


def _turns(number: int, title: str, expects: str, *points: Point) -> Row:
    return Row(
        id=f"K{number:02d}-session",
        title=title,
        expects=f"{expects}; the tree is right, the session goes on, no 400",
        promises=(1, 2, 3, 4, 5),
        kind=Kind.CRASH,
        script="crash:turns_at_points",
        seconds=3.0 * len(points),
        facts={"points": points},
    )


SESSIONS: tuple[Row, ...] = (
    _turns(3, "INTENT of a turn written", "given back, runs once", Point(name="intent")),
    _turns(
        5,
        "A turn sent, waiting for its answer",
        "unknown and held, a version without a picture",
        Point(name="last-byte", ends=(UNKNOWN,), billed=PERHAPS),
    ),
    _turns(7, "Last byte of a turn spooled", "a version with its picture", Point(name="spooled")),
    _turns(9, "Half of a turn's image written", "made again", Point(name="blob-half")),
    _turns(11, "Inside a turn's settlement", "all or nothing", Point(name="settling")),
    _turns(12, "A turn settled, caller not answered", "the same key", Point(name="settled")),
)

CRASHES: tuple[Row, ...] = (
    _row(1, "Request read, nothing committed", "the same key runs fresh", Point(name="parsed")),
    _row(2, "Job and reservation committed", "given back, runs once", Point(name="reserved")),
    _row(3, "INTENT written, not connected", "given back, runs once", Point(name="intent")),
    _row(
        4,
        "Sent up to its last byte, SENT not committed",
        "upstream cannot have it: runs once",
        Point(name="before-sent"),
    ),
    _row(
        5,
        "SENT committed, waiting for an answer",
        "unknown and held; never asked again by itself",
        Point(name="sent", ends=(UNKNOWN,), billed=PERHAPS),
        Point(name="last-byte", ends=(UNKNOWN,), billed=PERHAPS),
    ),
    _row(
        6,
        "First bytes of the answer",
        "unknown, or saved when enough has come",
        Point(name="headers", ends=(UNKNOWN, KEPT)),
        Point(name="body", ends=(UNKNOWN, KEPT)),
    ),
    _row(7, "Last byte spooled", "the image, without another call", Point(name="spooled")),
    _row(
        8,
        "RECEIVED written, nothing decoded",
        "the image, without another call",
        Point(name="received"),
        Point(name="looked"),
    ),
    _row(9, "Half of an image file written", "made again from the spool", Point(name="blob-half")),
    _row(
        10,
        "Files named, database not written",
        "one row, one file",
        Point(name="blob-named"),
        Point(name="filed"),
        Point(name="sidecar"),
        Point(name="stored"),
    ),
    _row(11, "Inside the transaction that settles", "all or nothing", Point(name="settling")),
    _row(12, "Settled, caller not answered", "the same key, no call", Point(name="settled")),
    _row(
        13,
        "Half of the caller's files written",
        "the same key, no call",
        Point(name="settled", options=SMALLER),
    ),
    _row(
        14,
        "Export in the making",
        "made again, no call",
        Point(name="exporting", options=SMALLER),
    ),
    Row(
        id="K24",
        title="SIGTERM, then SIGKILL at the limit",
        expects="calls under way are finished, or left as at any kill",
        promises=(13,),
        kind=Kind.CRASH,
        script="crash:drained",
        seconds=8,
    ),
    Row(
        id="K23",
        title="Key revoked, gateway killed",
        expects="refused within 1 s, and after the restart",
        promises=(11,),
        kind=Kind.CRASH,
        script="served:revoked",
        seconds=4,
        facts={"faces_only": True},
    ),
    Row(
        id="K25",
        title="Two gateways on one library, one killed with jobs in hand",
        expects="no key is paid for twice; the other answers for what can be answered",
        promises=(2, 3, 4),
        kind=Kind.CRASH,
        script="served:two_gateways",
        seconds=8,
        facts={"faces_only": True, "jobs": 16, "kill_after": (0.2, 0.6, 1.0)},
    ),
    Row(
        id="K26",
        title="Power loss: every prefix of the file operations",
        expects="I1 to I10 with unsynced writes dropped or torn",
        facts={"runs": (("one picture", 1, ""), ("one cut", 0, "cut-json")), "repeats": 3},
        promises=(1, 3, 5),
        kind=Kind.CRASH,
        script="power:losses_of",
        seconds=30,
    ),
    Row(
        id="K27",
        title="The n-th operation fails, for every n",
        expects="a clear error or success, then all invariants",
        promises=(1, 3, 5),
        kind=Kind.CRASH,
        script="failing:loops",
        facts={"most": 10, "repeats": 3},
        seconds=30,
    ),
    Row(
        id="KI",
        title="A submitted call: its id not written down, or written down",
        expects="unknown at most without the id; with it the next process fetches the answer",
        promises=(1, 2, 3),
        kind=Kind.CRASH,
        script="crash:at_points",
        seconds=12,
        facts={
            "points": (
                # the id may stand in what was spooled by then
                Point(name="headers", ends=(UNKNOWN, KEPT), settings=SUBMITS),
                Point(name="created", ends=(UNKNOWN, KEPT), settings=SUBMITS),
                Point(name="submitted", settings=SUBMITS),
                Point(name="spooled", settings=SUBMITS),
            )
        },
    ),
    Row(
        id="KR",
        title="100 kills at random moments",
        expects="0 lost, 0 paid twice in silence; no more unknowns than the kills explain",
        promises=(1, 2, 3, 4, 5),
        kind=Kind.CRASH,
        script="crash:random_kills",
        seconds=60,
        facts={"storms": 2, "kills": 100},
    ),
    Row(
        id="KS",
        title="Soak: 10,000 jobs under a kill every 1 to 5 s",
        expects="as KR; only when named, or by `make soak`",
        promises=(1, 2, 3, 4, 5),
        kind=Kind.CRASH,
        script="crash:soak",
        seconds=900,
        facts={"jobs": 10_000, "only_when_named": True, "options": ("--tiny",)},
    ),
)
