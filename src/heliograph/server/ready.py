"""Answers to refusals, written once and sent again with another request's id.

A refusal is cheap to decide, and whoever is refused comes again; to make the same document anew
each time would cost more than all the rest of the request. Invariant: what is sent is what the
face would write for this error and this request, byte for byte; nothing of one request is in the
answer to another.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass

from starlette.responses import Response

from heliograph.accounts import new_id
from heliograph.errors import HeliographError

MOST = 500  # answers that are remembered
LONGEST = 2000  # bytes of one
MARK = new_id()  # stands for the id of the request; nobody else knows it, so nobody can send it
_MARK = MARK.encode()

Write = Callable[[HeliographError, str], Response]


@dataclass(frozen=True, kw_only=True)
class _Written:
    """An answer without its request's id."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    parts: tuple[bytes, ...]  # of the body; the id stands between them


class _Ready(Response):
    """An answer that needs no encoding any more."""

    def __init__(self, written: _Written, request_id: bytes) -> None:
        self.status_code = written.status
        self.background = None
        self.body = request_id.join(written.parts)
        self.raw_headers = [
            (name, request_id if value == _MARK else value) for name, value in written.headers
        ]


_written: dict[Hashable, _Written] = {}


def ready(error: HeliographError, request_id: str, write: Write) -> Response:
    """What a face writes for an error.

    Args:
        request_id: 32 characters, or what is not remembered.
        write: makes an error and a request's id an answer; always the same one for the same error.
    """
    key = _key(error, request_id, write)
    if key is None:
        return write(error, request_id)
    found = _written.get(key)
    if found is None:
        answer = write(error, MARK)
        found = _Written(
            status=answer.status_code,
            headers=tuple(answer.raw_headers),
            parts=tuple(bytes(answer.body).split(_MARK)),
        )
        if len(answer.body) <= LONGEST:
            if len(_written) >= MOST:
                _written.clear()
            _written[key] = found
    return _Ready(found, request_id.encode())


def _key(error: HeliographError, request_id: str, write: Write) -> Hashable:
    """What makes two errors equal; None when this one is not likely to come again."""
    wait = error.retry_after
    if error.record_id or len(request_id) != len(MARK) or (wait is not None and wait % 1):
        return None
    facts = error.facts
    if facts and ("job" in facts or any(type(fact) is not str for fact in facts.values())):
        return None
    return (
        *(write, type(error), error.what, error.why, error.remedy, error.charged, wait),
        *facts.items(),
    )
