"""What an answer on disk says, for a process that did not receive it itself.

Invariant: nothing is sent. An answer counts as whole only if its own JSON says so, because the
process that received it may have been stopped between any two bytes.
"""

from pathlib import Path

from heliograph.errors import Charged, HeliographError, OutcomeUnknown
from heliograph.providers import gemini, interaction
from heliograph.providers.answers import understand
from heliograph.providers.spool import numbered, reread, skim
from heliograph.types import Reply

ATTEMPT = "attempt"  # begins the names of folders with answers, the last of which counts


def reread_answer(spool: Path, transport: str) -> Reply:
    """The answer of a call from its spool.

    Args:
        spool: the call's folder; the last attempt in it is the one that counts, because every
            earlier one was not charged.
        transport: how the call was made, because that decides the form of its answer.

    Raises:
        HeliographError: there is no usable answer; says whether it was charged.
    """
    attempts = numbered(spool, ATTEMPT)
    wire = reread(attempts[-1][1]) if attempts else None
    if wire is None:
        raise _nothing("Nothing of its answer arrived.")
    decode = gemini.decode if transport == gemini.Gemini.transport else interaction.decode
    try:
        return understand(wire, decode)
    except HeliographError as error:
        if error.charged is Charged.NO:
            raise
        raise _nothing(error.what) from error


def submitted_id(spool: Path) -> str | None:
    """The id in what was spooled, when there was no time to write it down."""
    for _, folder in reversed(numbered(spool, ATTEMPT)):
        wire = skim(folder)
        if wire is not None and wire.status == 200 and (found := interaction.begun_id(wire)):
            return found
    return None


def lies_whole(spool: Path) -> bool:
    """Whether the newest answer in a spool is an interaction that has ended, all of it."""
    attempts = numbered(spool, ATTEMPT)
    wire = skim(attempts[-1][1]) if attempts else None
    if wire is None or wire.status != 200 or wire.incomplete or wire.tapped.cut:
        return False
    try:
        interaction.decode(wire)
    except HeliographError:
        return False
    return True


def _nothing(why: str) -> OutcomeUnknown:
    return OutcomeUnknown(
        "The request went out, and its answer was lost with the process.",
        why=why,
        remedy="It may have been charged. Check the provider's billing, then "
        "`heliograph calls resolve`.",
        charged=Charged.UNKNOWN,
    )
