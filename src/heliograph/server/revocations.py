"""Which keys were revoked, apart from the database, so that no older copy of it revives one.

    {"key": "3fA81bQz", "at": "2026-11-23T01:30:00+00:00"}     one a line

The file lies with the gateway's secrets and in every backup folder. Invariant: it only grows.
"""

import asyncio
import json
import os
import tempfile
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from heliograph.durable import flush_folder
from heliograph.errors import RecordNotFound, StorageError
from heliograph.ports import Accounts
from heliograph.server.secrets import alone

NAME = "revoked.jsonl"
Revoked = Mapping[str, datetime]  # when, by the key's public id


def read_revoked(folder: Path) -> Revoked:
    """What the file in a folder says; nothing when there is none.

    Raises:
        StorageError: it cannot be read, or somebody has changed it.
    """
    path = folder / NAME
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        rows = [json.loads(line) for line in lines if line.strip()]
        return {str(row["key"]): datetime.fromisoformat(row["at"]).astimezone(UTC) for row in rows}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StorageError(
            "The list of revoked keys cannot be read.",
            why=f"{path}: {error}",
            remedy="Mend its lines, or take the file from a backup; without it revoked keys could "
            "come back with an older database.",
        ) from error


def add_revoked(folder: Path, revoked: Revoked) -> None:
    """Add to the file in a folder; whoever is in it already keeps the earlier time.

    Raises:
        StorageError: it cannot be read or written.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with alone(folder):
            _add(folder, revoked)
    except OSError as error:
        raise StorageError(
            "The list of revoked keys cannot be written.",
            why=str(error),
            remedy="Give this user write access to the folder of the gateway's secrets.",
        ) from error


def _add(folder: Path, revoked: Revoked) -> None:
    known = read_revoked(folder)
    new = {key: at for key, at in revoked.items() if key not in known}
    if not new:
        return
    rows = sorted({**new, **known}.items(), key=lambda row: (row[1], row[0]))
    text = "".join(json.dumps({"key": key, "at": at.isoformat()}) + "\n" for key, at in rows)
    handle, name = tempfile.mkstemp(dir=folder, prefix=f".{NAME}-")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    Path(name).replace(folder / NAME)
    flush_folder(folder)


async def end_key(accounts: Accounts, folder: Path, key: str, at: datetime) -> None:
    """Revoke a key, and write down that it is, where no older database can undo it.

    Raises:
        RecordNotFound: there is no such key.
        StorageError: it could not be written down; a key may be good still.
    """
    # the list first: what only it says is revoked in the database at the next start
    await asyncio.to_thread(add_revoked, folder, {key: at})
    await accounts.revoke_key(key, at)


async def bring_together(accounts: Accounts, folders: Iterable[Path]) -> Revoked:
    """Revoke in the database what any of the files says, and say in each file what all know.

    Raises:
        StorageError: a file or the database refuses.
    """
    folders = tuple(folders)
    revoked: dict[str, datetime] = {}
    for folder in folders:
        revoked |= read_revoked(folder)
    keys = {key.id: key.revoked for key in await accounts.keys()}
    for key, at in revoked.items():
        if key in keys and keys[key] is None:
            try:
                await accounts.revoke_key(key, at)
            except RecordNotFound:
                continue  # made later than this database: there is nothing to revive
    revoked |= {key: at for key, at in keys.items() if at is not None}
    for folder in folders:
        add_revoked(folder, revoked)
    return revoked
