"""What may become a card, the same for all implementations of the `Cabinet`.

Invariant: a body is what its JSON text says, so the card that `put` returns is the card that is
read later, and nobody who holds one can change what is stored.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from heliograph.errors import CardChanged, StorageError
from heliograph.ports import Card
from heliograph.storage.document import to_document

# both together fit into a key of Postgres (2704 bytes), written as `tables.AnyText` writes them
MAX_KIND = 100  # characters
MAX_NAME = 400  # characters


def canonical_body(kind: str, name: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """The body as it will be read back.

    Raises:
        StorageError: it has no exact JSON form, or kind or name are too long.
    """
    if len(kind) > MAX_KIND or len(name) > MAX_NAME:
        raise StorageError(
            "This name is too long.",
            why=f"It has {len(name)} characters, and {len(kind)} say what kind of thing it is.",
            remedy=f"Choose a name of at most {MAX_NAME} characters.",
            facts={"kind": kind[:MAX_KIND], "most": MAX_NAME},
        )
    try:
        made: dict[str, Any] = json.loads(json.dumps(to_document(body)))
    except (ValueError, RecursionError) as error:
        # a number of more digits than Python writes, or lists within lists without end
        raise StorageError(
            "This cannot be kept exactly.", why=f"Its JSON cannot be written: {error}."
        ) from error
    return made


def next_card(
    kind: str, name: str, body: Mapping[str, Any], *, version: int, now: datetime
) -> Card:
    """The card that follows `version`, with a body that is canonical already."""
    return Card(kind=kind, name=name, body=body, version=version + 1, changed=now.astimezone(UTC))


def card_changed(kind: str, name: str, *, version: int, stored: int) -> CardChanged:
    """The error for a card that is of another version than its writer has read; 0 is none."""
    if not stored:
        found = "is not there"
    elif not version:
        found = f"is there already, in version {stored}"
    else:
        found = f"is of version {stored} now, not {version}"
    return CardChanged(
        "This was changed meanwhile.",
        why=f"The {kind} {name!r} {found}.",
        remedy="Read it again and change what is there now; nothing was written.",
        facts={"kind": kind, "name": name, "version": stored, "expected": version},
    )
