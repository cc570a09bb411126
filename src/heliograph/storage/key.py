"""Blob keys: relative, lower-case, content-addressed names such as `sha256/ab/abcd….jpg`.

Invariant: a checked key joined to a folder cannot leave it, on any file system or object store,
and two different keys never meet on a file system that ignores case.
"""

import re

from heliograph.errors import StorageError
from heliograph.types import Record

# no segment may begin with a dot: that rules out "..", and leaves dot names to the store itself
SEGMENT = re.compile(r"[a-z0-9_-][a-z0-9._-]*")
NAME = re.compile(r"[a-z0-9_-]+")
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


def sidecar_key(record: Record, name: str | None = None) -> str:
    """Where the record's sidecar belongs: beside its result, or else beside its first image.

    A record without images has its sidecar under `records/`.

    Args:
        name: of a further sidecar with later ledger lines; letters, digits, "-" and "_".
    """
    suffix = ".json" if name is None else f".{_checked(name)}.json"
    beside = record.result or next(iter(record.images), None)
    if beside is None:
        return check_key(f"{RECORDS}{record.id}{suffix}")
    folder, slash, file = beside.key.rpartition("/")
    stem = file.rpartition(".")[0] or file
    return check_key(f"{folder}{slash}{stem}.{record.id}{suffix}")


def is_sidecar_of(record: Record, key: str) -> bool:
    """Whether a sidecar of this record, the first or a further one, belongs at `key`."""
    first = sidecar_key(record)
    if key == first:
        return True
    begin = first.removesuffix("json")
    name = key.removeprefix(begin).removesuffix(".json")
    return key == f"{begin}{name}.json" and NAME.fullmatch(name) is not None


def _checked(name: str) -> str:
    if NAME.fullmatch(name):
        return name
    raise StorageError(
        "This is no name for a further sidecar.",
        why=f"{name!r} must be of [a-z0-9_-].",
        facts={"name": name},
    )
