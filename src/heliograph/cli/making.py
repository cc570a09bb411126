"""What every command that makes pictures tells and writes, whichever it is.

Invariant: paths go to standard output as soon as their picture is done, all else to the person
watching.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from heliograph.cli.naming import Destination, same_kind
from heliograph.cli.progress import Progress
from heliograph.cli.report import Searches, result_lines
from heliograph.cli.stages import SHORT
from heliograph.errors import Charged, HeliographError, OutcomeUnknown
from heliograph.planning import catalogue
from heliograph.types import Export, Plan, Request, Result


def usual(plan: Plan) -> str | None:
    """How long a picture usually takes, measured where it was measured."""
    seconds = catalogue().models[plan.model].seconds
    return f"usually {seconds.typical} to {seconds.slow} s" if seconds else None


def small_files(request: Request) -> list[str]:
    """Which smaller files are made too: "preview", "thumbnail"."""
    return [name for name in ("preview", "thumbnail") if getattr(request.finish, name)]


def tell(
    result: Result,
    files: Sequence[Export],
    searches: Searches | None,
    where: Destination,
    progress: Progress,
) -> None:
    """Say what became of a picture; its paths go to standard output."""
    for line in result_lines(result, files, searches):
        progress.say(line)
    actual = files[0].path.suffix
    if where.suffix and not same_kind(where.suffix, actual):
        progress.say(f"note: it came as {actual[1:]}, so the file is not called {where.suffix}")
    if not where.to_stdout:
        for file in files:
            progress.result(str(file.path))


def given_up(progress: Progress) -> list[OutcomeUnknown]:
    """The calls that nobody waited for any more, as errors that say what they may cost."""
    return [
        OutcomeUnknown(
            "Given up while waiting.",
            remedy=f"See heliograph calls show {event.job[:SHORT]}.",
            charged=Charged.UNKNOWN,
            record_id=event.job,
            facts=event.facts,
        )
        for event in progress.given_up
    ]


def interrupted(progress: Progress) -> Mapping[str, Any]:
    """What `--json` says of one picture that was not waited for, under "error"."""
    unknown = given_up(progress)
    if unknown:
        return unknown[0].as_dict()
    error = HeliographError(
        "Interrupted; what was finished is kept.",
        remedy="See heliograph calls list.",
        charged=Charged.UNKNOWN if progress.has_sent else Charged.NO,
    )
    return {**error.as_dict(), "code": "interrupted"}
