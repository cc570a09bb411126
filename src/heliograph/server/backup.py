"""Backups of a library, made while it is in use.

    <folder>/originals/        by content, shared by all backups: only new files are copied
    <folder>/quarantine/       likewise
    <folder>/revoked.jsonl     keys that stay revoked, whichever backup is restored
    <folder>/backups/<name>/   one backup: heliograph.db, library-id, prompts/, wildcards/,
                               manifest.json, and server/ with the gateway's secrets when they
                               were asked for

Invariant: a backup becomes visible whole or not at all, and the database is copied before the
files are listed, so every file that it names is among them.
"""

import asyncio
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from heliograph.client import AsyncHeliograph
from heliograph.durable import flush_file, flush_folder
from heliograph.errors import ConfigurationError, StorageError
from heliograph.ports import Blobs
from heliograph.server.revocations import bring_together
from heliograph.server.secrets import PEPPER, secrets_folder
from heliograph.settings import Settings
from heliograph.storage import LocalBlobs
from heliograph.storage.backup import copy_database

DATABASE, MANIFEST, LIBRARY = "heliograph.db", "manifest.json", "library-id"
YOURS = ("prompts", "wildcards")  # own prompts and word lists, one may edit them by hand
FORMAT = 1
CHUNK = 1 << 20
FORGOTTEN = 86400.0  # seconds after which a backup that was never finished has no living writer
POSTGRES = "Back it up with pg_dump (or your provider's snapshots), and restore it with pg_restore."


@dataclass(frozen=True, kw_only=True)
class Backup:
    """One backup that was made."""

    name: str
    folder: str
    files: int  # originals, sidecars and what lies in quarantine
    copied: int  # of them now; all others were there
    bytes: int  # copied
    revoked: int  # keys
    has_secrets: bool
    unreadable: tuple[str, ...]  # the latest backups, if no manifest of theirs can be used


# ------------------------------------------------------------ making


async def back_up(
    client: AsyncHeliograph, folder: Path, *, secrets: bool = False, verify: bool = False
) -> Backup:
    """Add a backup to a folder, while everything goes on.

    Args:
        secrets: copy the gateway's own secrets, too; without them restored keys are not valid.
        verify: read what earlier backups had copied again, and hold it against its SHA-256.

    Raises:
        ConfigurationError: the database is not ours to copy.
        StorageError: something cannot be read or written; there is no new backup then.
    """
    settings = client.settings
    source = database_of(settings)
    store = await client.store()
    # to the microsecond: names are sorted by time
    name = f"{datetime.now(UTC):%Y-%m-%dT%H%M%S.%fZ}-{os.urandom(2).hex()}"
    aside = folder / "backups" / f".{name}"
    try:
        await asyncio.to_thread(_prepare, folder, aside)
        await asyncio.to_thread(copy_database, source, aside / DATABASE)
        copy = _Copy(folder, verify=verify)
        await copy.blobs(store.blobs)
        await asyncio.to_thread(copy.quarantine, store.home / "quarantine")
        await asyncio.to_thread(_copy_plain, store.home / LIBRARY, aside / LIBRARY)
        await asyncio.to_thread(_copy_yours, store.home, aside)
        has_secrets = secrets and await asyncio.to_thread(
            _copy_folder, secrets_folder(settings), aside / "server"
        )
        places = [secrets_folder(settings), folder]
        revoked = await bring_together(store.accounts, places)
        await asyncio.to_thread(_publish, aside, folder / "backups" / name, copy.files)
    except OSError as error:
        raise refused("The backup could not be made.", error) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return Backup(
        name=name,
        folder=str(folder),
        files=len(copy.files),
        copied=copy.copied,
        bytes=copy.bytes,
        revoked=len(revoked),
        has_secrets=bool(has_secrets),
        unreadable=copy.unreadable,
    )


def database_of(settings: Settings) -> Path:
    """The file of the library's database.

    Raises:
        ConfigurationError: it is no file of ours.
    """
    url = settings.database_url
    if url is None:
        return settings.home / DATABASE
    scheme, _, path = url.partition(":///")
    if not scheme.startswith("sqlite"):
        raise ConfigurationError(
            "The library's database is on a server; its backup is made there.",
            why="HELIOGRAPH_DATABASE_URL names it.",
            remedy=f"{POSTGRES} Copy the folder `originals/` as well, unless it is a bucket.",
        )
    return Path(path.partition("?")[0])


class _Copy:
    """Files on their way into a backup folder."""

    def __init__(self, folder: Path, *, verify: bool) -> None:
        self.files: dict[str, dict[str, Any]] = {}  # size and SHA-256 by place in the folder
        self.copied = 0
        self.bytes = 0
        self._folder = folder
        self._verify = verify
        self._known, self.unreadable = _known_files(folder)

    async def blobs(self, source: Blobs) -> None:
        """Copy what is new of the originals and their sidecars."""
        target = LocalBlobs(self._folder / "originals")
        target.sweep()
        there = set(await target.keys(""))
        for key in await source.keys(""):
            place = f"originals/{key}"
            if key in there:
                self.files[place] = await asyncio.to_thread(self._facts, place)
                continue
            with tempfile.TemporaryDirectory(dir=self._folder, prefix=".copy-") as scratch:
                found = await source.local(key, Path(scratch) / "from")
                # a copy of its own: a link would share the fate of the original
                copy = Path(scratch) / "copy"
                facts = await asyncio.to_thread(copy_hashed, found, copy)
                _refuse_wrong(key, facts["sha256"])
                await target.put(copy, key)
            self._add(place, facts)

    def quarantine(self, source: Path) -> None:
        """Copy what is new of the bytes that were paid for and are no pictures."""
        for path in sorted(p for p in source.rglob("*") if p.is_file()):
            place = f"quarantine/{path.relative_to(source).as_posix()}"
            target = self._folder / place
            if target.exists() and target.stat().st_size == path.stat().st_size:
                self.files[place] = self._facts(place)
                continue
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            aside = target.with_name(f".{target.name}")
            facts = copy_hashed(path, aside)
            flush_file(aside)
            aside.replace(target)
            flush_folder(target.parent)
            self._add(place, facts)

    def _add(self, place: str, facts: dict[str, Any]) -> None:
        self.files[place] = facts
        self.copied += 1
        self.bytes += int(facts["size"])

    def _facts(self, place: str) -> dict[str, Any]:
        """Of a file that an earlier backup has copied."""
        path, known = self._folder / place, self._known.get(place)
        if known is None or self._verify or known["size"] != path.stat().st_size:
            facts: dict[str, Any] = {"size": path.stat().st_size, "sha256": _sha256(path)}
            if known is not None and known != facts:
                raise StorageError(
                    "A file of an earlier backup is damaged.",
                    why=f"{place} has other bytes than were copied.",
                    remedy="Move it away; the next backup copies it anew.",
                    facts={"file": place},
                )
            _refuse_wrong(place, facts["sha256"])
            return facts
        return dict(known)


def _known_files(folder: Path) -> tuple[Mapping[str, dict[str, Any]], tuple[str, ...]]:
    """What the newest backup holds that can be read, and the names of those after it."""
    unreadable: list[str] = []
    for name in reversed(backups(folder)):
        try:
            return read_manifest(folder, name)["files"], tuple(unreadable)
        except StorageError:  # one damaged backup must not be in the way of a good one
            unreadable.append(name)
    return {}, tuple(unreadable)


def _prepare(folder: Path, aside: Path) -> None:
    for made in (folder, folder / "backups", aside):
        made.mkdir(mode=0o700, parents=True, exist_ok=True)
    oldest = time.time() - FORGOTTEN
    for left in [*folder.glob(".copy-*"), *folder.glob("backups/.*")]:
        with suppress(FileNotFoundError):  # another backup is done with it
            if left.stat().st_mtime < oldest:
                shutil.rmtree(left, ignore_errors=True)


def _publish(aside: Path, target: Path, files: Mapping[str, Mapping[str, Any]]) -> None:
    own = sorted(p for p in aside.rglob("*") if p.is_file())
    manifest = {
        "format": FORMAT,
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "own": {
            path.relative_to(aside).as_posix(): {
                "size": path.stat().st_size,
                "sha256": _sha256(path),
            }
            for path in own
        },
        "files": files,
    }
    (aside / MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")
    for path in (*own, aside / MANIFEST):
        flush_file(path)
    for part in (*(p for p in aside.rglob("*") if p.is_dir()), aside):
        flush_folder(part)
    aside.rename(target)
    flush_folder(target.parent)


# ------------------------------------------------------------ reading


def backups(folder: Path) -> tuple[str, ...]:
    """Names of the backups in a folder, the oldest first."""
    found = (folder / "backups").glob("[!.]*/" + MANIFEST)
    return tuple(sorted(path.parent.name for path in found))


def read_manifest(folder: Path, name: str) -> Mapping[str, Any]:
    """What a backup says it holds.

    Raises:
        StorageError: it cannot be read, is no manifest, or is of a newer version.
    """
    path = folder / "backups" / name / MANIFEST
    try:
        manifest: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if manifest["format"] > FORMAT:
            raise StorageError(
                "The backup was made by a newer Heliograph.", remedy="Upgrade heliograph."
            )
        _refuse_odd(manifest["own"])
        _refuse_odd(manifest["files"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StorageError(
            "The manifest of the backup cannot be read.",
            why=f"{path}: {error}",
            remedy="Choose another backup with --name.",
        ) from error
    return manifest


def _refuse_odd(files: Any) -> None:
    if not isinstance(files, dict):
        raise TypeError("what it lists is no object")
    for place, facts in files.items():
        size, sha256 = facts["size"], facts["sha256"]
        if not isinstance(size, int) or not isinstance(sha256, str):
            raise TypeError(f"{place} has no size and SHA-256")
        path = Path(place)
        if path.anchor or ".." in path.parts:
            raise ValueError(f"{place} leads out of the backup")


# ------------------------------------------------------------ files


def copy_hashed(source: Path, target: Path) -> dict[str, Any]:
    """Copy a file, and return its size and SHA-256 as it was read."""
    digest, size = hashlib.sha256(), 0
    with source.open("rb") as reads, target.open("wb") as writes:
        while chunk := reads.read(CHUNK):
            digest.update(chunk)
            size += len(chunk)
            writes.write(chunk)
    return {"size": size, "sha256": digest.hexdigest()}


def _copy_plain(source: Path, target: Path) -> None:
    if source.exists():
        shutil.copyfile(source, target)


def _copy_yours(home: Path, aside: Path) -> None:
    for path in sorted(p for part in YOURS for p in (home / part).rglob("*") if p.is_file()):
        place = path.relative_to(home)
        if any(part.startswith(".") for part in place.parts):
            continue  # on its way to its name
        (aside / place).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(FileNotFoundError):  # it was renamed or removed meanwhile
            shutil.copyfile(path, aside / place)


def _copy_folder(source: Path, target: Path) -> bool:
    if not (source / PEPPER).is_file():
        return False
    target.mkdir(mode=0o700)
    for path in sorted(p for p in source.iterdir() if p.is_file() and p.name[0] != "."):
        shutil.copyfile(path, target / path.name)
        (target / path.name).chmod(0o600)
    return True


def is_named_so(place: str, sha256: str) -> bool:
    """Whether a file has the bytes that its name promises; sidecars promise nothing."""
    _, found, rest = place.partition("sha256/")
    return not found or place.endswith(".json") or rest.rpartition("/")[2].split(".")[0] == sha256


def _refuse_wrong(place: str, sha256: str) -> None:
    if not is_named_so(place, sha256):
        raise StorageError(
            "A file of the library is damaged; the backup was not made.",
            why=f"{place} has SHA-256 {sha256}.",
            remedy="See which: heliograph images verify. Take it from an earlier backup.",
            facts={"file": place},
        )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def refused(what: str, error: OSError) -> StorageError:
    """The storage error for what the disk said; the caller raises it `from` the original."""
    return StorageError(
        what,
        why=str(error),
        remedy="Check space and access rights of both folders; nothing half-made is left.",
    )
