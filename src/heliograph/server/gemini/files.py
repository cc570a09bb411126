"""Uploaded files: kept for 48 hours below the gateway's home, each user's apart.

Shapes: gemini-api.md 2.9. Invariant: no name of a client's is ever part of a path; the id of an
upload, which is its only credential, is kept as a digest; nobody sees or uses another user's file.
"""

import base64
import hashlib
import json
import os
import re
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from heliograph.errors import NameTaken, StorageError
from heliograph.server.faults import Forbidden, StorageLow, TooLarge
from heliograph.server.gemini.envelope import bad

LIFETIME = 48 * 3600.0  # seconds
FILE_LIMIT = 100_000_000  # bytes: what one request may carry
USER_LIMIT = 2_000_000_000  # bytes of all files of a user, those of open uploads too
SWEEP_AFTER = 3600.0  # seconds between looks for what has expired
LONGEST_NAME = 512  # characters of a display name
BLOCK = 1 << 20
_ID = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")
_USER = re.compile(r"[0-9a-f]{32}")
_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"
_TYPE = re.compile(r"[a-z0-9!#$&^_.+-]{1,64}/[a-z0-9!#$&^_.+-]{1,64}")


@dataclass(frozen=True, kw_only=True)
class StoredFile:
    """One file that can be used in contents."""

    id: str
    user: str
    display_name: str
    media_type: str
    size: int  # bytes
    sha256: str
    created: float  # seconds since the epoch
    path: Path

    def sheet(self, base: str) -> dict[str, Any]:
        """The File resource.

        Args:
            base: address of the API with its version.
        """
        found: dict[str, Any] = {
            "name": f"files/{self.id}",
            "mimeType": self.media_type,
            "sizeBytes": str(self.size),
            "createTime": _stamp(self.created),
            "updateTime": _stamp(self.created),
            "expirationTime": _stamp(self.created + LIFETIME),
            # the hexadecimal digest in base64, as Google writes it
            "sha256Hash": base64.b64encode(self.sha256.encode()).decode(),
            "uri": f"{base}/files/{self.id}",
            "state": "ACTIVE",
            "source": "UPLOADED",
        }
        return found | ({"displayName": self.display_name} if self.display_name else {})


@dataclass(frozen=True, kw_only=True)
class Upload:
    """An upload that is not finished."""

    file_id: str
    user: str
    display_name: str
    media_type: str
    declared: int | None  # bytes
    base: str  # address of the API with its version, for the file's own address
    created: float
    path: Path

    @property
    def received(self) -> int:
        """Bytes that are there."""
        return self.path.stat().st_size if self.path.exists() else 0

    @property
    def limit(self) -> int:
        """Bytes that are taken."""
        return FILE_LIMIT if self.declared is None else min(self.declared, FILE_LIMIT)


class FileStore:
    """Files and uploads of all users, in one folder. Its methods touch the disk."""

    def __init__(self, home: Path, clock: Callable[[], float] = time.time) -> None:
        self._home = home
        self._clock = clock
        self._swept: float | None = None  # when
        self._starting = threading.Lock()  # what one upload may still take, another may not

    def start(
        self,
        user: str,
        meta: Mapping[str, Any],
        *,
        media_type: str,
        declared: int | None,
        base: str,
    ) -> str:
        """Begin an upload; its id.

        Raises:
            Fault: the file may not be, or there is no room for it.
        """
        self.sweep()
        if declared is not None and declared > FILE_LIMIT:
            raise _too_large()
        file_id = str(meta.get("name", "")).removeprefix("files/") or _word(12)
        if not _ID.fullmatch(file_id):
            raise bad(
                "* CreateFileRequest.file.name: a file id has 1 to 40 lower case letters, digits "
                "and dashes.\n"
            )
        if self._found(user, file_id) is not None:
            raise NameTaken("Requested entity already exists")
        display = str(meta.get("displayName", ""))
        if len(display) > LONGEST_NAME:
            raise bad(f"* CreateFileRequest.file.display_name: at most {LONGEST_NAME} characters\n")
        kind = (media_type or str(meta.get("mimeType", ""))).strip().lower()
        if not _TYPE.fullmatch(kind):
            kind = "application/octet-stream"
        upload_id = secrets.token_urlsafe(32)
        path = self._uploads / _digest(upload_id)
        upload = Upload(
            file_id=file_id,
            user=user,
            display_name=display,
            media_type=kind,
            declared=declared,
            base=base,
            created=self._clock(),
            path=path,
        )
        _make(self._uploads)
        with self._starting:
            if self._weight(user) + upload.limit > USER_LIMIT:
                raise _no_room()
            path.touch(mode=0o600)
            _write(path, upload)
        return upload_id

    def upload(self, upload_id: str) -> Upload:
        """An upload by its id.

        Raises:
            BadBody: there is none, it is finished or too old.
        """
        found = self._open(self._uploads / _digest(upload_id))
        if found is None:
            raise bad("Upload has already been terminated, or its upload_id is wrong.")
        return found

    def finish(self, upload: Upload) -> StoredFile:
        """Turn an upload that is whole into a file.

        Raises:
            Fault: bytes are missing, or its name was taken meanwhile.
        """
        size = upload.received
        if upload.declared is not None and size != upload.declared:
            raise bad(f"Only {size} of {upload.declared} bytes have arrived.")
        if self._found(upload.user, upload.file_id) is not None:
            raise NameTaken("Requested entity already exists")
        if self._weight(upload.user, but=upload) + size > USER_LIMIT:
            # it was begun when another version counted otherwise
            self.cancel(upload)
            raise _no_room()
        stored = StoredFile(
            id=upload.file_id,
            user=upload.user,
            display_name=upload.display_name,
            media_type=upload.media_type,
            size=size,
            sha256=_sha256(upload.path),
            created=self._clock(),
            path=self._place(upload.user, upload.file_id),
        )
        _make(stored.path.parent)
        upload.path.replace(stored.path)
        _write(stored.path, stored)
        _card(upload.path).unlink(missing_ok=True)
        return stored

    def cancel(self, upload: Upload) -> None:
        """Drop an upload."""
        _card(upload.path).unlink(missing_ok=True)
        upload.path.unlink(missing_ok=True)

    def get(self, user: str, file_id: str) -> StoredFile:
        """A file of this user's.

        Raises:
            Forbidden: there is none, in the words that hide which.
        """
        found = self._found(user, file_id) if _ID.fullmatch(file_id) else None
        if found is None:
            raise Forbidden(
                f"You do not have permission to access the File {file_id[:40]} or it may not exist."
            )
        return found

    def listed(self, user: str) -> list[StoredFile]:
        """A user's files, newest first."""
        return sorted(self._all(user), key=lambda file: (-file.created, file.id))

    def delete(self, user: str, file_id: str) -> None:
        """Remove a file.

        Raises:
            Forbidden: there is none.
        """
        _drop(self.get(user, file_id).path)

    def lend(self, user: str, file_id: str, folder: Path) -> tuple[StoredFile, Path]:
        """A file and a copy of it in `folder` that outlives its deletion."""
        stored = self.get(user, file_id)
        copy = folder / f"file-{secrets.token_hex(8)}"
        try:
            os.link(stored.path, copy)
        except OSError:
            shutil.copyfile(stored.path, copy)
        return stored, copy

    @property
    def _uploads(self) -> Path:
        return self._home / "uploads"

    def _folder(self, user: str) -> Path:
        if not _USER.fullmatch(user):
            raise ValueError("no id of a user")
        return self._home / "files" / user

    def _place(self, user: str, file_id: str) -> Path:
        return self._folder(user) / _digest(f"{user}/{file_id}")

    def _found(self, user: str, file_id: str) -> StoredFile | None:
        return self._live(self._place(user, file_id))

    def _live(self, path: Path) -> StoredFile | None:
        found = _read(path)
        if found is None:
            return None
        if self._clock() >= found["created"] + LIFETIME:
            _drop(path)
            return None
        return StoredFile(**found, path=path)

    def _all(self, user: str) -> Iterator[StoredFile]:
        folder = self._folder(user)
        for card in folder.glob("*.json") if folder.is_dir() else ():
            found = self._live(card.with_suffix(""))
            if found is not None:
                yield found

    def _open(self, path: Path) -> Upload | None:
        found = _read(path)
        if found is None or self._clock() >= found["created"] + LIFETIME:
            return None
        return Upload(**found, path=path)

    def _weight(self, user: str, but: Upload | None = None) -> int:
        """Bytes of a user's files, and all that their open uploads may still become."""
        begun = self._uploads.glob("*.json") if self._uploads.is_dir() else ()
        uploads = [self._open(card.with_suffix("")) for card in begun]
        mine = [each for each in uploads if each is not None and each.user == user]
        finished = sum(file.size for file in self._all(user))
        return finished + sum(each.limit for each in mine if but is None or each.path != but.path)

    @property
    def needs_sweep(self) -> bool:
        """Whether nobody has looked for a while."""
        return self._swept is None or self._clock() >= self._swept + SWEEP_AFTER

    def sweep(self) -> None:
        """Remove what has expired, whoever it belongs to; looks once in a while only."""
        if not self.needs_sweep:
            return
        self._swept = self._clock()
        for path in (*self._home.glob("uploads/*"), *self._home.glob("files/*/*")):
            try:
                self._sweep(path)
            except OSError:
                continue  # another process sweeps as well

    def _sweep(self, path: Path) -> None:
        """Remove one file with its card, or without one, if it has expired."""
        bare = path.with_suffix("") if path.suffix == ".json" else path
        found = _read(bare)
        # what has no card was left by a process that died between the two
        since = path.stat().st_mtime if found is None else found["created"]
        if self._clock() >= since + LIFETIME:
            _drop(bare)
            path.unlink(missing_ok=True)


def _word(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def _card(path: Path) -> Path:
    return path.with_name(path.name + ".json")


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise StorageError("The file cannot be kept.", why=os.strerror(error.errno or 0)) from error


def _write(path: Path, noun: Upload | StoredFile) -> None:
    """The noun's fields beside its bytes; whole, or not there."""
    fields = {name: value for name, value in asdict(noun).items() if name != "path"}
    aside = path.with_name(f".{secrets.token_hex(8)}")
    try:
        aside.write_text(json.dumps(fields), encoding="utf-8")
        aside.replace(_card(path))
    except OSError as error:
        raise StorageError("The file cannot be kept.", why=os.strerror(error.errno or 0)) from error


def _read(path: Path) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(_card(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if path.exists() else None


def _drop(path: Path) -> None:
    _card(path).unlink(missing_ok=True)
    path.unlink(missing_ok=True)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _stamp(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _too_large() -> TooLarge:
    return TooLarge(
        f"A file may have at most {FILE_LIMIT} bytes.", remedy="Upload a smaller picture."
    )


def _no_room() -> StorageLow:
    return StorageLow(
        "There is no more room for your files.",
        why=f"All files of a user may have {USER_LIMIT} bytes together.",
        remedy="Delete files, or cancel unfinished uploads; all of them end after 48 hours.",
    )
