"""The Files API over HTTP: resumable upload, get, list, delete.

Source: gemini-api.md 2.9. Invariant: after `start` the id of an upload is its only credential, and
it stands in the address that `start` answers with and nowhere else.
"""

import asyncio
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit
from weakref import WeakValueDictionary

from starlette.requests import Request
from starlette.responses import Response

from heliograph.accounts import Scope
from heliograph.errors import StorageError
from heliograph.server.caller import Caller
from heliograph.server.faults import UrlInputsDisabled
from heliograph.server.gemini.envelope import JSON, bad, dump
from heliograph.server.gemini.files import FILE_LIMIT, FileStore, StoredFile, Upload
from heliograph.server.gemini.inbox import Incoming, limited, parse
from heliograph.server.gemini.models import decoded, encoded, page_size
from heliograph.server.gemini.protojson import first, read, whole
from heliograph.server.health import refuse_low_disk
from heliograph.server.routes import check
from heliograph.types import Enclosed

GRANULARITY = 256 * 1024  # bytes; told to clients, as Google does
META_LIMIT = 1 << 20  # bytes of what `start` says of a file
_CURSOR = re.compile(r"file:([0-9.e+-]{1,30}):([a-z0-9-]{1,40})")
_FILE = re.compile(r"(?:(https?)://([^/?#]+)(/[^?#]*)?/)?files/([^/?#:]+)")


class Uploads:
    """The routes of one version of the API.

    Args:
        outside: how clients reach the gateway, where that is set.
        library: folder on the disk that must keep room for pictures.
    """

    def __init__(
        self, files: FileStore, version: str, *, outside: str | None, library: Path
    ) -> None:
        self._files = files
        self._library = library
        self._version = version
        self._outside = outside
        # a client that repeats a chunk may do so while the first one is still being written
        self._writing: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def take(self, request: Request) -> Response:
        """POST …/upload/VERSION/files: all steps of an upload."""
        commands = {word.strip() for word in _header(request, "command").lower().split(",")}
        upload_id = request.query_params.get("upload_id", "")
        if upload_id:
            return await self._go_on(request, upload_id, commands)
        if _header(request, "protocol").lower() != "resumable" or "start" not in commands:
            raise bad(
                "Only resumable uploads are taken: send X-Goog-Upload-Protocol: resumable and "
                "X-Goog-Upload-Command: start first."
            )
        return await self._start(request, commands)

    async def list(self, request: Request) -> Response:
        """GET VERSION/files."""
        caller: Caller = request.state.caller
        files = await asyncio.to_thread(self._files.listed, caller.user.id)
        rows, more = _page(files, request.query_params)
        return _json({"files": [row.sheet(self.base(request)) for row in rows], **more})

    async def sweep(self) -> None:
        """Remove what has expired, where it is time to look."""
        if self._files.needs_sweep:
            await asyncio.to_thread(self._files.sweep)

    async def get(self, request: Request) -> Response:
        """GET VERSION/files/ID."""
        caller: Caller = request.state.caller
        name = request.path_params["file"]
        if name.endswith(":download"):
            raise bad("Uploaded files cannot be downloaded; only generated ones can.")
        stored = await asyncio.to_thread(self._files.get, caller.user.id, name)
        return _json(stored.sheet(self.base(request)))

    async def delete(self, request: Request) -> Response:
        """DELETE VERSION/files/ID."""
        caller: Caller = request.state.caller
        name = request.path_params["file"]
        await asyncio.to_thread(self._files.delete, caller.user.id, name)
        return _json({})

    def fetch(self, request: Request, incoming: Incoming, uri: str) -> Enclosed:
        """A kept file by the address that a body names; touches the disk.

        Raises:
            UrlInputsDisabled: the address is not one of a file kept here; nothing is fetched.
            Forbidden: the file is not there, or is somebody else's.
        """
        found = _FILE.fullmatch(uri)
        hosts = {request.headers.get("host", ""), urlsplit(self._outside or "").netloc}
        if found is None or (found[1] and found[2] not in hosts):
            raise UrlInputsDisabled(
                "Pictures are not fetched from addresses.",
                why="Only files that were uploaded to this gateway can be named in fileUri.",
                remedy="Upload the picture with the Files API, or send it as inlineData.",
            )
        caller: Caller = request.state.caller
        stored, path = self._files.lend(caller.user.id, found[4], incoming.folder)
        return Enclosed(
            path=path, size=stored.size, sha256=stored.sha256, media_type=stored.media_type
        )

    def base(self, request: Request) -> str:
        """Address of the API with its version, as this client reaches it."""
        before, _, _ = request.url.path.partition(f"/{self._version}/")
        return f"{self._root(request)}{before.removesuffix('/upload')}/{self._version}"

    def _root(self, request: Request) -> str:
        if self._outside:
            return self._outside.rstrip("/")
        return f"{request.url.scheme}://{request.url.netloc}"

    async def _start(self, request: Request, commands: set[str]) -> Response:
        # the route is open, because what follows a start comes without a key
        check(request.scope, Scope.GENERATE)
        caller: Caller = request.state.caller
        if commands != {"start"}:
            raise bad("Bytes cannot come with the start of an upload.")
        declared = whole(_header(request, "header-content-length"))
        expected = FILE_LIMIT if declared is None else min(declared, FILE_LIMIT)
        await refuse_low_disk(self._library, expected)
        body = b"".join([piece async for piece in limited(request, META_LIMIT)])
        message = read(parse(body), "CreateFileRequest", version=self._version)
        upload_id = await asyncio.to_thread(
            self._files.start,
            caller.user.id,
            message.get("file") or {},
            media_type=_header(request, "header-content-type"),
            declared=declared,
            base=self.base(request),
        )
        url = (
            f"{self._root(request)}{request.url.path}"
            f"?upload_id={upload_id}&upload_protocol=resumable"
        )
        headers = {
            "x-goog-upload-url": url,
            "x-goog-upload-control-url": url,
            "x-goog-upload-chunk-granularity": str(GRANULARITY),
            "x-goog-upload-status": "active",
            "cache-control": "no-store",
        }
        return Response(headers=headers, media_type=JSON)

    async def _go_on(self, request: Request, upload_id: str, commands: set[str]) -> Response:
        upload = await asyncio.to_thread(self._files.upload, upload_id)
        lock = self._writing.setdefault(upload_id, asyncio.Lock())
        if commands == {"query"}:
            return _status(upload, "active")
        if commands == {"cancel"}:
            await asyncio.to_thread(self._files.cancel, upload)
            return Response(headers={"x-goog-upload-status": "cancelled"}, media_type=JSON)
        if not commands <= {"upload", "finalize"}:
            raise bad("X-Goog-Upload-Command must be upload, finalize, query or cancel.")
        async with lock:
            if "upload" in commands:
                await self._append(request, upload)
            if "finalize" not in commands:
                return _status(upload, "active")
            stored = await asyncio.to_thread(self._files.finish, upload)
        return _final(stored, upload)

    async def _append(self, request: Request, upload: Upload) -> None:
        there = upload.received
        offset = whole(request.headers.get("x-goog-upload-offset", str(there)))
        if offset is None or offset > there:
            raise bad(f"The upload goes on at {there}.", field="x-goog-upload-offset")
        try:
            with upload.path.open("r+b") as file:
                # what a client sends again, it sends from where it knows that it was taken
                file.truncate(offset)
                file.seek(offset)
                await _copy(request, upload, offset, file)
        except OSError as error:
            raise StorageError(
                "The file cannot be kept.", why=os.strerror(error.errno or 0)
            ) from error


async def _copy(request: Request, upload: Upload, offset: int, file: BinaryIO) -> None:
    async for piece in limited(request, upload.limit - offset):
        file.write(piece)


def _page(
    files: Sequence[StoredFile], query: Mapping[str, str]
) -> tuple[Sequence[StoredFile], dict[str, str]]:
    """One page of files, newest first, and the token of the next one.

    The token says after which file that begins, so files that come and go meanwhile shift nothing.

    Raises:
        BadBody: what is asked for makes no sense.
    """
    size, token = page_size(query), first(query, "pageToken", "page_token")
    after = _cursor(token) if token else None
    rest = [file for file in files if after is None or (-file.created, file.id) > after]
    rows = rest[:size]
    if len(rest) <= size:
        return rows, {}
    return rows, {"nextPageToken": encoded(f"file:{rows[-1].created!r}:{rows[-1].id}")}


def _cursor(token: str) -> tuple[float, str]:
    found = _CURSOR.fullmatch(decoded(token))
    try:
        return -float(found[1] if found else ""), found[2] if found else ""
    except ValueError:
        raise bad("Invalid page token.") from None


def _header(request: Request, name: str) -> str:
    return request.headers.get(f"x-goog-upload-{name}", "")


def _status(upload: Upload, status: str) -> Response:
    headers = {
        "x-goog-upload-status": status,
        "x-goog-upload-size-received": str(upload.received),
    }
    return Response(headers=headers, media_type=JSON)


def _final(stored: StoredFile, upload: Upload) -> Response:
    headers = {"x-goog-upload-status": "final"}
    return _json({"file": stored.sheet(upload.base)}, headers)


def _json(value: object, headers: Mapping[str, str] | None = None) -> Response:
    sent = {"cache-control": "no-store", **(headers or {})}
    return Response(dump(value), media_type=JSON, headers=sent)
