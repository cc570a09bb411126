"""Where the next page of a list begins, as an opaque text.

Invariant: a cursor is good for one user and one list. It holds no secret and opens nothing: the
list itself looks only at what its user may see.
"""

import base64
import binascii
import hashlib
import hmac
import json
from datetime import datetime

from heliograph.errors import InvalidRequest, Problem
from heliograph.server.caller import Caller

Place = tuple[datetime, str]
_MARK = 12  # characters of its binding


def cursor_after(caller: Caller, which: str, place: Place) -> str:
    """The cursor of what comes after (created, id) in a list."""
    text = json.dumps([place[0].isoformat(), place[1]])
    whole = _binding(caller, which, text) + text
    return base64.urlsafe_b64encode(whole.encode()).decode().rstrip("=")


def place_of(caller: Caller, which: str, cursor: str | None) -> Place | None:
    """Where a page begins.

    Raises:
        InvalidRequest: it is no cursor, or another user's or another list's.
    """
    if cursor is None:
        return None
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        whole = base64.b64decode(padded, altchars=b"-_", validate=True).decode()
        binding, text = whole[:_MARK], whole[_MARK:]
        if not hmac.compare_digest(binding.encode(), _binding(caller, which, text).encode()):
            raise _wrong(cursor)
        created, record_id = json.loads(text)
        return datetime.fromisoformat(created), str(record_id)
    except (ValueError, TypeError, binascii.Error) as error:
        raise _wrong(cursor) from error


def _binding(caller: Caller, which: str, text: str) -> str:
    said = f"{caller.user.id}\n{caller.is_admin}\n{which}\n{text}"
    return hashlib.sha256(said.encode()).hexdigest()[:_MARK]


def _wrong(cursor: str) -> InvalidRequest:
    message = "is no cursor of this list; begin without one."
    return InvalidRequest([Problem(field="cursor", value=cursor[:40], message=message)])
