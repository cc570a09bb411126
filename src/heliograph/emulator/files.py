"""Uploaded files; invariant: bytes lie in a private temporary folder and expire after 48 hours.

Shapes and limits: shared facts section 2.9. Nothing here knows HTTP.
"""

import base64
import hashlib
import re
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

from heliograph.emulator.envelope import ApiError, denied, invalid
from heliograph.emulator.inputs import DOCUMENT_TYPES, VIDEO_TYPES

LIFETIME = 48 * 3600.0
MAX_FILE_BYTES = 2 * 1024**3
CHUNK_GRANULARITY = 256 * 1024

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")
_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"


@dataclass(frozen=True, kw_only=True)
class StoredFile:
    """One file that can be used in contents."""

    id: str
    project: str
    display_name: str
    mime: str
    size: int
    sha256: str
    created: float
    path: Path
    source: str = "UPLOADED"
    """UPLOADED, or GENERATED: only those can be downloaded."""

    def sheet(self, base: str) -> dict[str, Any]:
        """The File resource."""
        sheet: dict[str, Any] = {
            "name": f"files/{self.id}",
            "mimeType": self.mime,
            "sizeBytes": str(self.size),
            "createTime": _stamp(self.created),
            "updateTime": _stamp(self.created),
            "expirationTime": _stamp(self.created + LIFETIME),
            "sha256Hash": base64.b64encode(self.sha256.encode()).decode(),
            "uri": f"{base}/files/{self.id}",
            "state": "ACTIVE",
            "source": self.source,
        }
        return {**sheet, "displayName": self.display_name} if self.display_name else sheet


@dataclass(kw_only=True)
class Upload:
    """An upload in progress."""

    id: str
    file_id: str
    project: str
    display_name: str
    mime: str
    declared: int | None
    path: Path
    base: str
    received: int = 0
    digest: Any = field(default_factory=hashlib.sha256)
    _one_at_a_time: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(self, chunk: bytes, offset: int | None, *, last: bool) -> None:
        """Append one chunk, in order and in whole granules; no offset means where it stands."""
        # A client that repeats a chunk may do so while the first is still being written.
        with self._one_at_a_time:
            self._append(chunk, self.received if offset is None else offset, last=last)

    def _append(self, chunk: bytes, offset: int, *, last: bool) -> None:
        if offset != self.received:
            raise invalid(note=f"offset is {offset}, {self.received} bytes have arrived")
        if not last and len(chunk) % CHUNK_GRANULARITY:
            raise invalid(
                note=f"a chunk before the last is a multiple of {CHUNK_GRANULARITY} bytes"
            )
        limit = MAX_FILE_BYTES if self.declared is None else self.declared
        if offset + len(chunk) > limit:
            raise invalid(note=f"more bytes than the {limit} declared or allowed")
        with self.path.open("ab") as file:
            file.write(chunk)
        self.digest.update(chunk)
        self.received += len(chunk)


class FileStore:
    """Files and uploads of all projects."""

    def __init__(self, seed: int, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        # Not the seed alone: an id that another file had before a restart must not come again, or
        # a client that remembers it would be given the wrong picture.
        begun = time.time_ns()
        self._names = Random(f"files:{seed}:{begun}")  # noqa: S311 - names, not secrets
        self._folder: Path | None = None
        self._files: dict[str, StoredFile] = {}
        self._uploads: dict[str, Upload] = {}

    def start(
        self, meta: dict[str, Any], *, project: str, mime: str, declared: int | None, base: str
    ) -> Upload:
        """Begin an upload."""
        if declared is not None and declared > MAX_FILE_BYTES:
            raise invalid(note="files are limited to 2 GB")
        if len(meta.get("display_name", "")) > 512:
            raise invalid(note="displayName is longer than 512 characters")
        file_id = meta.get("name", "").removeprefix("files/") or self._word(12)
        if not _NAME.fullmatch(file_id):
            raise invalid(note=f"{file_id!a} is not a file id")
        self._must_be_new(file_id)
        upload_id = self._word(40)
        upload = Upload(
            id=upload_id,
            file_id=file_id,
            project=project,
            display_name=meta.get("display_name", ""),
            mime=mime or meta.get("mime_type") or "application/octet-stream",
            declared=declared,
            path=self._place(upload_id),
            base=base,
        )
        self._uploads[upload_id] = upload
        return upload

    def upload(self, upload_id: str) -> Upload:
        """An upload by its id, which is the only credential of its chunks."""
        if upload_id not in self._uploads:
            raise invalid(note="no upload has this upload_id")
        return self._uploads[upload_id]

    def finish(self, upload: Upload) -> StoredFile:
        """Turn a complete upload into a file."""
        self.upload(upload.id)
        self._must_be_new(upload.file_id)
        if upload.declared is not None and upload.received != upload.declared:
            raise invalid(note=f"{upload.received} of {upload.declared} declared bytes arrived")
        upload.path.touch()
        stored = StoredFile(
            id=upload.file_id,
            project=upload.project,
            display_name=upload.display_name,
            mime=upload.mime,
            size=upload.received,
            sha256=upload.digest.hexdigest(),
            created=self._clock(),
            path=upload.path,
        )
        del self._uploads[upload.id]
        self._files[stored.id] = stored
        return stored

    def generated(self, data: bytes, *, mime: str, project: str) -> StoredFile:
        """Lay down what a model made."""
        file_id = self._word(12)
        path = self._place(file_id)
        path.write_bytes(data)
        stored = StoredFile(
            id=file_id,
            project=project,
            display_name="",
            mime=mime,
            size=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
            created=self._clock(),
            path=path,
            source="GENERATED",
        )
        self._files[stored.id] = stored
        return stored

    def cancel(self, upload: Upload) -> None:
        """Drop an upload."""
        self._uploads.pop(upload.id, None)
        upload.path.unlink(missing_ok=True)

    def get(self, file_id: str, project: str) -> StoredFile:
        """A live file of this project, else the 403 that hides whether it exists."""
        stored = self._live(file_id)
        if stored is None or stored.project != project:
            raise denied(
                f"You do not have permission to access the File {file_id} or it may not exist."
            )
        return stored

    def listed(self, project: str) -> list[StoredFile]:
        """Live files of a project, newest first."""
        live = [stored for stored in list(self._files.values()) if self._live(stored.id)]
        mine = [stored for stored in live if stored.project == project]
        return sorted(mine, key=lambda stored: (-stored.created, stored.id))

    def delete(self, file_id: str, project: str) -> None:
        """Remove a file."""
        self._drop(self.get(file_id, project))

    def read_uri(self, uri: str, project: str) -> tuple[bytes, str]:
        """Bytes and MIME type behind a fileUri; no bytes of what is never looked at."""
        found = re.search(r"(?:^|/)files/([^/?#]+)$", uri)
        if found is None:
            raise invalid(
                "Cannot fetch content from the provided URL.",
                note="only files uploaded to this emulator can be used by URI",
            )
        stored = self.get(found[1], project)
        # A video may be 2 GB, and nothing reads it.
        unseen = stored.mime in (*DOCUMENT_TYPES, *VIDEO_TYPES)
        return b"" if unseen else stored.path.read_bytes(), stored.mime

    def clear(self) -> None:
        """Drop everything."""
        for stored in list(self._files.values()):
            self._drop(stored)
        for upload in list(self._uploads.values()):
            self.cancel(upload)

    def close(self) -> None:
        """Remove the folder."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _place(self, name: str) -> Path:
        """A path in the folder, made by the first upload and not before."""
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="heliograph-emulator-"))
        return self._folder / name

    def _must_be_new(self, file_id: str) -> None:
        if self._live(file_id) is not None:
            raise ApiError(
                code=409, status="ALREADY_EXISTS", message="Requested entity already exists"
            )

    def _live(self, file_id: str) -> StoredFile | None:
        stored = self._files.get(file_id)
        if stored is not None and self._clock() >= stored.created + LIFETIME:
            self._drop(stored)
            return None
        return stored

    def _drop(self, stored: StoredFile) -> None:
        del self._files[stored.id]
        stored.path.unlink(missing_ok=True)

    def _word(self, length: int) -> str:
        return "".join(self._names.choices(_ALPHABET, k=length))


def _stamp(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
