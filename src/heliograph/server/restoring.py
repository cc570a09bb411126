"""Libraries from backups.

Invariant: a restore writes into no library that is there, and becomes visible whole or not at all.
Money that later files tell of is not lost by restoring an older database, and a key that was ever
revoked stays revoked.
"""

import asyncio
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from sqlite3 import Error as SqliteError
from typing import Any

from heliograph.durable import flush_folder
from heliograph.errors import RecordNotFound, StorageError, WouldOverwrite
from heliograph.server.backup import (
    DATABASE,
    backups,
    copy_hashed,
    is_named_so,
    read_manifest,
    refused,
)
from heliograph.server.catching_up import catch_up
from heliograph.server.revocations import add_revoked, bring_together, read_revoked
from heliograph.server.secrets import PEPPER
from heliograph.storage import open_storage
from heliograph.storage.backup import check_database


@dataclass(frozen=True, kw_only=True)
class Restored:
    """What became of a restore."""

    name: str
    home: str
    files: int
    damaged: tuple[str, ...]  # keys of files that are missing or not what they should be
    later: int  # records that the files tell of and the database did not
    finished: int  # calls that were under way, and that the files know the end of
    revoked: int
    keys: int  # that are good, with the secrets that they were made with
    has_secrets: bool  # in its folder `server/`
    findings: tuple[str, ...]  # what does not add up in the books; nothing, normally


async def restore(
    folder: Path,
    home: Path,
    *,
    name: str | None = None,
    revocations: Sequence[Path] = (),
) -> Restored:
    """Make a library from a backup, in a folder that is empty or not there.

    Args:
        name: which backup; the newest by default.
        revocations: more folders with a list of revoked keys, such as that of the secrets.

    Raises:
        RecordNotFound: there is no such backup.
        WouldOverwrite: something is in `home` already.
        StorageError: the backup's own files are damaged, or the disk refuses.
    """
    known = backups(folder)
    if not known or (name is not None and name not in known):
        raise RecordNotFound(
            "There is no such backup.",
            why=f"{folder} has {', '.join(known) or 'none'}.",
            remedy="Give the folder that `heliograph backup` wrote into.",
        )
    chosen = name or known[-1]
    _refuse_full(home)
    manifest = read_manifest(folder, chosen)
    work = home.with_name(f".{home.name}-{os.urandom(4).hex()}")
    try:
        damaged = await asyncio.to_thread(_lay_out, folder, chosen, manifest, work)
        caught_up = await _bring_up(work, folder, revocations)
        await asyncio.to_thread(_move, work, home)
    except OSError as error:
        raise refused("The library could not be restored.", error) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return Restored(
        name=chosen,
        home=str(home),
        files=len(manifest["files"]) - len(damaged),
        damaged=damaged,
        has_secrets=(home / "server" / PEPPER).is_file(),
        **caught_up,
    )


def _refuse_full(home: Path) -> None:
    if home.exists() and (not home.is_dir() or any(home.iterdir())):
        raise WouldOverwrite(
            "The home folder is not empty; nothing was restored.",
            why=f"{home} holds something, perhaps paid pictures.",
            remedy="Move it away first, or restore into another folder with --home.",
        )


def _lay_out(folder: Path, name: str, manifest: Mapping[str, Any], work: Path) -> tuple[str, ...]:
    """Copy everything, each file against its SHA-256; say which files are not what they were."""
    source = folder / "backups" / name
    work.mkdir(mode=0o700, parents=True)
    for place, facts in manifest["own"].items():
        target = work / place
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not (source / place).is_file() or copy_hashed(source / place, target) != facts:
            raise StorageError(
                "The backup is damaged; nothing was restored.",
                why=f"{place} is not what was written.",
                remedy="Choose another one with --name.",
            )
        target.chmod(0o600)
        _flush(target)
    try:
        check_database(work / DATABASE)
    except SqliteError as error:
        raise StorageError("The database of the backup cannot be used.", why=str(error)) from error
    return tuple(_copy_files(folder, manifest["files"], work))


def _copy_files(folder: Path, files: Mapping[str, Mapping[str, Any]], work: Path) -> Iterator[str]:
    # also what later backups have added: a paid picture has its place, whatever the database says
    later = {
        path.relative_to(folder).as_posix()
        for part in ("originals", "quarantine")
        for path in (folder / part).rglob("*")
        if path.is_file() and not any(p.startswith(".") for p in path.relative_to(folder).parts)
    }
    for place in sorted({*files, *later}):
        target = work / place
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if place not in later:
            yield place
            continue
        facts = copy_hashed(folder / place, target)
        wanted = files.get(place, facts)
        if facts != wanted or not is_named_so(place, facts["sha256"]):
            target.unlink()
            yield place
            continue
        target.chmod(0o400 if place.startswith("originals/") else 0o600)
        _flush(target)


def _flush(path: Path) -> None:
    # kept files can only be read, which is enough for this
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


async def _bring_up(work: Path, folder: Path, revocations: Sequence[Path]) -> dict[str, Any]:
    """What happened after the backup was made, as far as files and lists tell."""
    storage = await asyncio.to_thread(open_storage, work)
    try:
        places = [folder, *(place for place in revocations if place.is_dir())]
        revoked: dict[str, datetime] = {}
        for place in places:
            revoked |= read_revoked(place)
        await asyncio.to_thread(add_revoked, work / "server", revoked)
        every = await bring_together(storage.accounts, [work / "server", folder])
        now = datetime.now(UTC)
        good = [key for key in await storage.accounts.keys() if key.is_good(now)]
        caught = await catch_up(storage, work)
        findings = await storage.journal.audit()
    finally:
        await storage.close()
    return {
        "revoked": len(every),
        "keys": len(good),
        "later": caught.records,
        "finished": caught.calls,
        "findings": tuple(f"{finding.subject}: {finding.what}" for finding in findings),
    }


def _move(work: Path, home: Path) -> None:
    shutil.rmtree(work / "running", ignore_errors=True)
    for path in work.iterdir():
        flush_folder(path) if path.is_dir() else _flush(path)
    flush_folder(work)
    home.parent.mkdir(parents=True, exist_ok=True)
    _refuse_full(home)
    if home.exists():
        home.rmdir()
    work.rename(home)
    flush_folder(home.parent)
