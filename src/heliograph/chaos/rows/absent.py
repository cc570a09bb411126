"""Rows of the tables whose feature does not exist yet: listed, never passed.

Invariant: a row leaves this file when it can be tried, not before.
"""

from collections.abc import Mapping

from heliograph.chaos.row import Kind, Row

_BATCHES: Mapping[str, tuple[str, str]] = {
    "F42": ("Batch: 3 of 10 failed", "7 stored and settled, 3 released"),
    "F43": ("Batch expired at 48 h", "all released"),
    "F44": ("Batch succeeded, and is unreadable", "free reads again, then an alarm"),
    "F45": ("Batch create: reset after it was sent", "found by its name, created once"),
    "F46": ("Batch lines shuffled, doubled, missing, broken", "matched by key"),
    "F47": ("Batch result file is gone", "an alarm that says what was billed"),
    "K15": ("Batch rows written, create not sent", "created once"),
    "K16": ("Batch create sent, its name unknown", "adopted by name"),
    "K17": ("Half of a batch result read", "read again, free"),
    "K18": ("Some batch results imported", "the rest imported, none twice"),
}
_OTHERS: Mapping[str, tuple[str, str, str]] = {
    "K19": ("Checkpoint, backup or vacuum running", "backup valid or absent", "backups"),
    "K20": ("Inside a schema migration", "old or new, never between", "a second released schema"),
    "K21": ("Deletion half done", "finished by the sweep", "deletion"),
    "K22": ("Webhook sent, not recorded", "sent again, same event id", "the gateway"),
}


def _row(id_: str, title: str, expects: str, needs: str) -> Row:
    kind = Kind.FAULT if id_.startswith("F") else Kind.CRASH
    return Row(id=id_, title=title, expects=expects, needs=needs, kind=kind)


ABSENT: tuple[Row, ...] = (
    *(_row(id_, title, expects, "batches") for id_, (title, expects) in _BATCHES.items()),
    *(_row(id_, title, expects, needs) for id_, (title, expects, needs) in _OTHERS.items()),
)
