"""Requests that are right by themselves and do not go with what is kept: 409, not 400.

Whether they can be done depends on a picture, a version, a cast or a prompt as it is now (RFC 9110,
15.5.10): the document says what is well formed, and what is kept can change. Problems are listed
as for any wrong request.

Invariant: a request that names nothing kept is never a conflict.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager

from heliograph.errors import InvalidRequest, KeyReused, PriceUnknown
from heliograph.server.faults import Fault
from heliograph.server.native.shapes.wanted import KeptPicture, TurnSettings, Wanted

# what planning says of pictures, and of what was done with them before
_OF_PICTURES = frozenset({"base", "context", "follows", "mask", "of", "references", "region"})
_OF_CASTS = frozenset({"casts", "references"})
# what a picture that is protected decides
_OF_THE_REST = frozenset({"aspect", "protect"})
ALL = frozenset[str]()


class Conflict(Fault):
    """It does not go with what is kept."""

    status = 409
    code = "conflict"


@contextmanager
def with_what_is_kept(fields: Collection[str] = ALL) -> Iterator[None]:
    """Problems with fields that what is kept decides are a conflict.

    Args:
        fields: their names; none are all.

    Raises:
        Conflict: there are problems, and with these fields alone.
        InvalidRequest: there are others.
    """
    try:
        yield
    except (KeyReused, PriceUnknown):
        raise
    except InvalidRequest as error:
        named = {problem.field.partition("[")[0].partition(".")[0] for problem in error.problems}
        if fields and not named <= set(fields):
            raise
        raise Conflict(
            "The request does not go with what is kept.",
            why=error.why,
            remedy="Look at what it names, and change what is listed; nothing was sent.",
            facts=error.facts,
        ) from error


def decided(wanted: TurnSettings) -> frozenset[str]:
    """Fields that something kept decides, of a request that stands alone; "-" is none."""
    found = {"-"}
    pictures = [wanted.base] if isinstance(wanted, Wanted) else []
    if any(isinstance(each, KeptPicture) for each in (*pictures, *wanted.references)):
        found |= _OF_PICTURES | _OF_THE_REST
    if isinstance(wanted, Wanted) and (wanted.follows is not None or wanted.session is not None):
        found |= _OF_PICTURES | _OF_THE_REST
    if wanted.casts:
        found |= _OF_CASTS
    return frozenset(found)


def inherited(wanted: TurnSettings) -> frozenset[str]:
    """Fields that the version decides from which a turn goes on.

    Without a model of its own a turn has that version's, which decides all the others.
    """
    if wanted.model is None:
        return ALL
    left = set(TurnSettings.model_fields) - wanted.model_fields_set
    return decided(wanted) | _OF_PICTURES | _OF_THE_REST | left
