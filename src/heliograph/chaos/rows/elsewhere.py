"""Rows that a face cannot be asked for, each with the reason.

Invariant: what is not tried through a face is told with its reason, and never counts as tried.
"""

from collections.abc import Mapping

from heliograph.chaos.faces import GEMINI, LIBRARY, OPENAI
from heliograph.chaos.row import Case, Row

_SESSIONS = "library only: turns of sessions are asked for through the library or the native face"
_EXPORTS = "library and openai only: the Gemini API has no word for exact pixels"
_IN_PROCESS = "library only: it breaks the files of the process that asks"
_MANY = "library only: it counts what processes that share a library agree on by themselves"
_BETWEEN = "gateway only: it is about keys, or leases, of gateways; choose a --face"

_ROWS: Mapping[str, str] = {
    "K26": _IN_PROCESS,
    "K27": _IN_PROCESS,
    **dict.fromkeys(("KS", "M01", "M02", "M03", "M04"), _MANY),
}


def why_not(row: Row, face: str) -> str | None:
    """Why a row is not tried through a face; None when it is."""
    if row.cases and not cases_of(row, face):
        return _SESSIONS
    if face == LIBRARY:
        return _BETWEEN if row.facts.get("faces_only") else None
    if face == GEMINI and row.id in ("K13", "K14"):
        return _EXPORTS
    if face in (OPENAI, GEMINI) and row.id.endswith("-session"):
        return _SESSIONS
    return _ROWS.get(row.id)


def cases_of(row: Row, face: str) -> tuple[Case, ...]:
    """The cases of a row that are tried through a face."""
    return tuple(case for case in row.cases if not case.faces or face in case.faces)
