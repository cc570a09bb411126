"""A session as a folder: pictures to look at, what they need to go on, and one `session.json`.

    01-a-lighthouse.jpg    the picture of version 1 as it came; 02-…-protected.png as it is seen
    parts/<sha256>.sig     signatures, drafts and input images, named by their content
    session.json           records, marks, and which file holds what

Invariant: a folder is foreign: names in it never lead out of it, every file is what its SHA-256
says, and nothing that the library has is replaced. No money is taken over: it was spent elsewhere.
"""

import asyncio
import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from heliograph.calls import Shelf
from heliograph.errors import InvalidRequest, RecordNotFound, StorageError, WouldOverwrite
from heliograph.placing import place, refuse_own
from heliograph.repaint import DERIVED, is_protected, picture_of
from heliograph.sessions.foreign import ID, KEY, wrong_document, wrong_record
from heliograph.sessions.marks import cleaned
from heliograph.sessions.tree import Node, Session, tree_of
from heliograph.storage import keep, record_from_json, record_to_json
from heliograph.storage.keep import blob_keys
from heliograph.types import Record

SCHEMA = "heliograph.session/1"
DOCUMENT = "session.json"
LARGEST = 64 << 20  # bytes of session.json
MOST = 10_000  # versions
_NAME = re.compile(r"(?:parts/)?[A-Za-z0-9_-][A-Za-z0-9._-]{0,150}")


async def write_folder(
    tree: Session, marks: Mapping[str, Any], folder: Path, shelf: Shelf, *, force: bool
) -> Path:
    """Write a session into a folder that is empty or does not exist yet.

    Raises:
        WouldOverwrite: there is something in it, and `force` is not set.
        StorageError: it cannot be written.
    """
    await asyncio.to_thread(_prepare, folder, force=force)
    files: dict[str, str] = {}
    versions, notes = [], []
    for node in tree.nodes.values():
        picture, note = await _write_pictures(node, folder, files, shelf, force=force)
        notes += [note] if note is not None else []
        for key in blob_keys(node.record):
            if key not in files:
                files[key] = f"parts/{key.rpartition('/')[2]}"
                await _write(key, folder / files[key], shelf, force=force)
        record = json.loads(record_to_json(node.record, ()))
        versions.append({"number": node.number, "picture": picture, "record": record})
    document = {
        "schema": SCHEMA,
        "session": {"id": tree.id, "name": tree.name},
        "marks": dict(marks),
        "versions": versions,
        "files": files,
        **({"notes": notes} if notes else {}),
    }
    text = json.dumps(document, ensure_ascii=False, indent=2)
    with tempfile.TemporaryDirectory() as scratch:
        whole = Path(scratch) / DOCUMENT
        whole.write_bytes(text.encode("utf-8", "backslashreplace") + b"\n")
        # last, so that a folder with it is a whole one
        await asyncio.to_thread(place, whole, folder / DOCUMENT, force=force)
    return folder


def _prepare(folder: Path, *, force: bool) -> None:
    try:
        refuse_own(folder / DOCUMENT)
        taken = folder.exists() and (not folder.is_dir() or any(folder.iterdir()))
        if taken and not (force and folder.is_dir()):
            raise WouldOverwrite(
                f"{folder} holds something already.",
                remedy="Choose another folder, or allow replacing files with force (CLI: --force).",
                facts={"path": str(folder)},
            )
        (folder / "parts").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"{folder} cannot be written.", why=str(error)) from error


async def _write_pictures(
    node: Node, folder: Path, files: dict[str, str], shelf: Shelf, *, force: bool
) -> tuple[str | None, str | None]:
    """Write what there is to look at.

    Returns:
        The name of the picture's file, and what could not be written.
    """
    result = node.record.result
    if result is None:
        return None, None
    words = re.sub(r"[^A-Za-z0-9]+", "-", node.name or node.record.prompt).strip("-").lower()
    stem = f"{node.number:02d}-{words[:40].strip('-') or 'picture'}"
    name = f"{stem}{Path(result.key).suffix}"
    if result.key not in files:
        files[result.key] = name
        await _write(result.key, folder / name, shelf, force=force)
    if is_protected(node.record):
        try:
            seen = await picture_of(node.record, shelf)
        except (InvalidRequest, StorageError) as error:
            # all that it is made of is exported; only the look of it is missing
            note = f"Version {node.number} is here as the model made it alone: {error}"
            return files[result.key], note
        await asyncio.to_thread(place, seen, folder / f"{stem}-protected.png", force=force)
    return files[result.key], None


async def _write(key: str, target: Path, shelf: Shelf, *, force: bool) -> None:
    source = await shelf.blobs.local(key, shelf.home / DERIVED / "inputs")
    await asyncio.to_thread(place, source, target, force=force)


# ---------------------------------------------------------------- reading


async def read_folder(folder: Path, shelf: Shelf) -> tuple[str, Mapping[str, Any]]:
    """Keep everything in a folder that the library does not have yet.

    Returns:
        The session's id, and what was said about it.

    Raises:
        StorageError: it is no such folder, damaged, or says other things than the library.
    """
    document = await asyncio.to_thread(_document, folder)
    session_id = document["session"].get("id")
    if not isinstance(session_id, str) or not ID.fullmatch(session_id):
        raise _damaged(f"{session_id!r} is no id of a session")
    records, origin = _records(document["versions"], session_id)
    files = document["files"]
    now = datetime.now(UTC)
    ids = {record.id for record in (*origin, *records)}
    fresh = []
    # all of it is looked at before anything is kept
    for record in (*origin, *records):
        for key in blob_keys(record):
            await asyncio.to_thread(_checked_file, folder, key, files.get(key))
        if not await _is_there(record, shelf):
            wrong = wrong_record(record, now)
            if wrong is not None:
                raise _damaged(f"version {record.id[:8]} {wrong}")
            await _check_before(record, ids, shelf)
            fresh.append(record)
    for record in origin:
        if record in fresh and record.session is not None:
            raise _damaged(f"version {record.id[:8]} belongs to another session")
    for record in fresh:
        await _keep(record, folder, files, shelf)
    return session_id, cleaned(document["marks"], ids, now)


def _document(folder: Path) -> dict[str, Any]:
    path = folder / DOCUMENT
    try:
        if path.is_symlink() or not path.is_file():
            raise _damaged(f"there is no {DOCUMENT}")
        if path.stat().st_size > LARGEST:
            raise _damaged(f"{DOCUMENT} is larger than {LARGEST >> 20} MiB")
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise _damaged(f"{DOCUMENT} cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise _damaged(f"{DOCUMENT} is no JSON ({error})") from error
    wrong = wrong_document(document)
    if wrong is not None:
        raise _damaged(wrong)
    shape = {"session": dict, "marks": dict, "versions": list, "files": dict}
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise _damaged(f"its schema is not {SCHEMA}")
    for name, kind in shape.items():
        if not isinstance(document.get(name), kind):
            raise _damaged(f"{name!r} is missing or of the wrong kind")
    if len(document["versions"]) > MOST:
        raise _damaged(f"it has more than {MOST} versions")
    return document


def _records(versions: Sequence[Any], session_id: str) -> tuple[list[Record], list[Record]]:
    """The turns of the session, and the picture from outside that it began with."""
    found = [_record(version) for version in versions]
    if len({record.id for record in found}) < len(found):
        raise _damaged("a version is there twice")
    begins = [version.get("number") == 0 for version in versions]
    origin = [record for record, is_first in zip(found, begins, strict=True) if is_first]
    turns = [record for record, is_first in zip(found, begins, strict=True) if not is_first]
    for record in turns:
        if record.session != session_id:
            raise _damaged(f"version {record.id[:8]} belongs to another session")
    followed = {record.follows for record in turns}
    if not turns or len(origin) > 1 or any(record.id not in followed for record in origin):
        raise _damaged("it does not hold the versions of one session")
    tree = tree_of(session_id, turns, origin[0] if origin else None, {})
    inside = {record.id for record in found}
    if any(record.follows in inside for record in origin):
        raise _damaged("its versions lead in a circle")
    if any(r.follows in inside and tree.nodes[r.id].parent is None for r in turns):
        raise _damaged("its versions lead in a circle")
    return turns, origin


def _record(version: Any) -> Record:
    if not isinstance(version, Mapping) or not isinstance(version.get("record"), Mapping):
        raise _damaged("a version has no record")
    try:
        record, lines = record_from_json(json.dumps(version["record"]).encode())
    except OverflowError as error:
        raise _damaged("a version has a time that is none") from error
    if lines or not ID.fullmatch(record.id):
        raise _damaged("a version brings money or a strange id")
    return record


async def _check_before(record: Record, ids: set[str], shelf: Shelf) -> None:
    """Refuse a version that goes on from one that nobody has.

    Raises:
        StorageError: it does.
    """
    if record.follows is None or record.follows in ids:
        return
    try:
        there = (await shelf.books.find(record.follows)).id == record.follows
    except RecordNotFound:
        there = False
    if not there:
        raise StorageError(
            "A version of this session goes on from a picture that is missing; nothing was taken "
            "over.",
            why=f"{record.follows[:8]}, which version {record.id[:8]} changed, is neither in the "
            "folder nor in the library.",
            remedy="Export the session again where that picture is, or take over the session it "
            "is from first.",
        )


def _checked_file(folder: Path, key: str, name: Any) -> Path:
    """The file that holds a blob, once it is what it says.

    Raises:
        StorageError: it is not.
    """
    digest = KEY.fullmatch(key)
    if digest is None or not isinstance(name, str) or not _NAME.fullmatch(name):
        raise _damaged(f"{key[:100]} is in no file with a usable name")
    path = folder / name
    try:
        inside = path.resolve().is_relative_to(folder.resolve())
        if not inside or path.is_symlink() or not path.is_file():
            raise _damaged(f"{name} is no plain file in it")
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise _damaged(f"{name} cannot be read ({error.strerror})") from error
    if found != digest[1]:
        raise _damaged(f"{name} is not what its SHA-256 says")
    return path


async def _is_there(record: Record, shelf: Shelf) -> bool:
    try:
        there = await shelf.books.find(record.id)
    except RecordNotFound:
        return False
    if there != record:
        raise StorageError(
            f"The library has another version {record.id[:8]}; nothing was changed.",
            why="A record never changes, so one of the two is not what was exported.",
        )
    return True


async def _keep(record: Record, folder: Path, files: Mapping[str, str], shelf: Shelf) -> None:
    scratch = shelf.home / DERIVED / "inputs"
    await asyncio.to_thread(scratch.mkdir, parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryDirectory(dir=scratch) as copies:
        handed = {}
        for key in blob_keys(record):
            # checked once more: the copy is what will be kept
            source = await asyncio.to_thread(_checked_file, folder, key, files.get(key))
            copy = Path(copies) / key.rpartition("/")[2]
            await asyncio.to_thread(shutil.copyfile, source, copy)
            await asyncio.to_thread(_checked_file, copy.parent, key, copy.name)
            handed[key] = copy
        await keep(record, (), blobs=shelf.blobs, books=shelf.books, files=handed)


def _damaged(why: str) -> StorageError:
    return StorageError(
        "This is no whole folder of a session; nothing was taken over.",
        why=f"{why[0].upper()}{why[1:]}.",
        remedy="Export it again: heliograph sessions export SESSION FOLDER.",
    )
