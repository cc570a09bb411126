"""Blob keys: relative, lower-case, content-addressed names such as `sha256/ab/abcd….jpg`.

Invariant: a checked key joined to a folder cannot leave it, on any file system or object store,
and two different keys never meet on a file system that ignores case.
"""

import re

from heliograph.errors import StorageError
from heliograph.types import Record

# no segment may begin with a dot: that rules out "..", and leaves dot names to the store itself
SEGMENT = re.compile(r"[a-z0-9_-][a-z0-9._-]*")
RECORDS = "records/"
CONTENT = "sha256/"


def check_key(key: str) -> str:
    """The key itself.

    Raises:
        StorageError: it is not relative, or holds something else than [a-z0-9/._-].
    """
    if all(SEGMENT.fullmatch(segment) for segment in key.split("/")):
        return key
    raise StorageError(
        "This is no valid blob key.",
        why=f"{key!r} must be segments of [a-z0-9._-] that begin with no dot, joined by '/'.",
        facts={"key": key},
    )


def blob_key(sha256: str, suffix: str) -> str:
    """Where bytes with this SHA-256 belong; `suffix` begins with a dot (".jpg", ".sig")."""
    return check_key(f"{CONTENT}{sha256[:2]}/{sha256}{suffix}")


def sidecar_key(record: Record) -> str:
    """Where the record's sidecar belongs: beside its result, or else beside its first image.

    A record without images has its sidecar under `records/`.
    """
    beside = record.result or next(iter(record.images), None)
    if beside is None:
        return check_key(f"{RECORDS}{record.id}.json")
    folder, slash, name = beside.key.rpartition("/")
    stem = name.rpartition(".")[0] or name
    return check_key(f"{folder}{slash}{stem}.{record.id}.json")
