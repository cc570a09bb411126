"""The Files API over HTTP; invariant: after `start`, the upload id is the only credential."""

from aiohttp import web

from heliograph.emulator.catalogue import page
from heliograph.emulator.desk import DESK, Desk, log_body
from heliograph.emulator.envelope import dump, invalid
from heliograph.emulator.files import CHUNK_GRANULARITY, Upload
from heliograph.emulator.generating import api_key
from heliograph.emulator.keys import Caller, admit
from heliograph.emulator.protojson import load, read, whole
from heliograph.emulator.sending import json_response

_JSON = "application/json; charset=UTF-8"


def add_routes(app: web.Application, version: str) -> None:
    """Upload, get, list, delete and download, the last for generated files only."""
    app.router.add_post(f"/upload/{version}/files", _upload)
    app.router.add_put(f"/upload/{version}/files", _upload)
    app.router.add_get(f"/{version}/files", _list)
    app.router.add_get(f"/{version}/files/{{file:[^/:]+}}", _get)
    app.router.add_delete(f"/{version}/files/{{file:[^/:]+}}", _delete)
    app.router.add_get(f"/{version}/files/{{file:[^/:]+}}:download", _download)


async def _upload(request: web.Request) -> web.Response:
    desk = request.app[DESK]
    commands = {word.strip() for word in _header(request, "Command").lower().split(",")}
    if "start" in commands:
        return await _start(desk, request)
    upload_id = request.query.get("upload_id", "")
    if not upload_id:
        raise invalid(note="only the resumable protocol is emulated: X-Goog-Upload-Command: start")
    upload = desk.files.upload(upload_id)
    if "query" in commands:
        return _status(upload, "active")
    if "cancel" in commands:
        desk.files.cancel(upload)
        return web.Response(headers={"X-Goog-Upload-Status": "cancelled"})
    return await _chunk(desk, request, upload, commands)


async def _start(desk: Desk, request: web.Request) -> web.Response:
    caller = _caller(request)
    body = await request.read()
    document = load(body)
    log_body(request, body, document)
    version = request.match_info["version"]
    message = read(document, "CreateFileRequest", version=version)
    upload = desk.files.start(
        message.get("file", {}),
        project=caller.project,
        mime=_header(request, "Header-Content-Type"),
        declared=whole(_header(request, "Header-Content-Length")),
        base=f"{request.scheme}://{request.host}/{version}",
    )
    url = (
        f"{request.scheme}://{request.host}/upload/{version}/files"
        f"?upload_id={upload.id}&upload_protocol=resumable"
    )
    headers = {
        "X-Goog-Upload-URL": url,
        "X-Goog-Upload-Control-URL": url,
        "X-Goog-Upload-Chunk-Granularity": str(CHUNK_GRANULARITY),
        "X-Goog-Upload-Status": "active",
    }
    return web.Response(headers=headers)


async def _chunk(
    desk: Desk, request: web.Request, upload: Upload, commands: set[str]
) -> web.Response:
    if not commands <= {"upload", "finalize"} or not commands:
        raise invalid(note=f"unknown upload command {', '.join(sorted(commands))!a}")
    chunk = await request.read()
    log_body(request, chunk)
    last = "finalize" in commands
    if "upload" in commands:
        offset = whole(_header(request, "Offset"))
        await desk.read_aside(lambda: upload.add(chunk, offset, last=last))
    if not last:
        return _status(upload, "active")
    stored = desk.files.finish(upload)
    headers = {"content-type": _JSON, "X-Goog-Upload-Status": "final"}
    return web.Response(body=dump({"file": stored.sheet(upload.base)}), headers=headers)


def _status(upload: Upload, status: str) -> web.Response:
    return web.Response(
        headers={
            "X-Goog-Upload-Status": status,
            "X-Goog-Upload-Size-Received": str(upload.received),
        }
    )


async def _list(request: web.Request) -> web.Response:
    caller = _caller(request)
    files, token = page(request.app[DESK].files.listed(caller.project), request.query)
    return json_response({"files": [stored.sheet(_base(request)) for stored in files], **token})


async def _get(request: web.Request) -> web.Response:
    caller = _caller(request)
    stored = request.app[DESK].files.get(request.match_info["file"], caller.project)
    return json_response(stored.sheet(_base(request)))


async def _delete(request: web.Request) -> web.Response:
    caller = _caller(request)
    request.app[DESK].files.delete(request.match_info["file"], caller.project)
    return json_response({})


async def _download(request: web.Request) -> web.Response:
    caller = _caller(request)
    stored = request.app[DESK].files.get(request.match_info["file"], caller.project)
    if stored.source == "GENERATED":
        data = await request.app[DESK].read_aside(stored.path.read_bytes)
        return web.Response(body=data, content_type=stored.mime)
    raise invalid(note="uploaded files cannot be downloaded again; only generated ones can")


def _caller(request: web.Request) -> Caller:
    return admit(api_key(request), request.app[DESK].settings.api_keys)


def _base(request: web.Request) -> str:
    return f"{request.scheme}://{request.host}/{request.match_info['version']}"


def _header(request: web.Request, name: str) -> str:
    return request.headers.get(f"X-Goog-Upload-{name}", "")
