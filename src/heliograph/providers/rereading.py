"""What an answer on disk says, for a process that did not receive it itself.

Invariant: nothing is sent. An answer counts as whole only if its own JSON says so, because the
process that received it may have been stopped between any two bytes.
"""

from pathlib import Path

from heliograph.errors import Charged, HeliographError, OutcomeUnknown
from heliograph.providers import gemini
from heliograph.providers.answers import understand
from heliograph.providers.spool import reread
from heliograph.types import Reply


def reread_answer(spool: Path, transport: str) -> Reply:
    """The answer of a call from its spool.

    Args:
        spool: the call's folder; the last attempt in it is the one that counts, because every
            earlier one was not charged.
        transport: how the call was made, because that decides the form of its answer.

    Raises:
        HeliographError: there is no usable answer; says whether it was charged.
    """
    attempts = sorted(spool.glob("attempt-*"), key=lambda path: int(path.name[8:]))
    wire = reread(attempts[-1]) if attempts else None
    if wire is None:
        raise _nothing("Nothing of its answer arrived.")
    decode = gemini.decode
    if transport != gemini.Gemini.transport:
        from heliograph.providers import interactions

        decode = interactions.decode
    try:
        return understand(wire, decode)
    except HeliographError as error:
        if error.charged is Charged.NO:
            raise
        raise _nothing(error.what) from error


def _nothing(why: str) -> OutcomeUnknown:
    return OutcomeUnknown(
        "The request went out, and its answer was lost with the process.",
        why=why,
        remedy="It may have been charged. Check the provider's billing, then "
        "`heliograph calls resolve`.",
        charged=Charged.UNKNOWN,
    )
