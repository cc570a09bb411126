"""The paths of the OpenAI face, and what happens on each.

Invariant: nothing is read of a body before the caller is known (a middleware sees to that), every
failure leaves in OpenAI's envelope, and what a client sends is in no path.
"""

import asyncio
import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from heliograph.accounts import Scope
from heliograph.casts import Casts
from heliograph.errors import HeliographError, InvalidRequest, RecordNotFound
from heliograph.planning import DEFAULT_MODEL
from heliograph.server.caller import Caller, Done, Errand
from heliograph.server.faults import TooLarge, UnsupportedMedia
from heliograph.server.headers import manner, spend_headers
from heliograph.server.native.reading import read_json
from heliograph.server.openai import answers
from heliograph.server.openai.body import Body, Sending
from heliograph.server.openai.chat import read_chat, read_picture
from heliograph.server.openai.description import description
from heliograph.server.openai.events import DONE, streamed
from heliograph.server.openai.failures import error_response, renamed
from heliograph.server.openai.fields import Fields
from heliograph.server.openai.images import read_edit, read_generation
from heliograph.server.openai.multipart import boundary_of, read_form
from heliograph.server.openai.names import model_document, model_list, model_of
from heliograph.server.openai.scratch import Scratch, sweep
from heliograph.server.openai.wanted import Wanted
from heliograph.server.routes import guarded
from heliograph.types import Role

if TYPE_CHECKING:
    from heliograph.server.gateway import Gateway

PREFIX = "/openai/v1"
Handler = Callable[["Face", Request], Awaitable[Response]]


def routes(gateway: "Gateway") -> list[BaseRoute]:
    """Everything below `/openai/v1`."""
    face = Face(gateway)
    post, get = ["POST"], ["GET"]
    return [
        guarded(
            f"{PREFIX}/images/generations", face.generations, methods=post, scope=Scope.GENERATE
        ),
        guarded(f"{PREFIX}/images/edits", face.edits, methods=post, scope=Scope.GENERATE),
        guarded(f"{PREFIX}/chat/completions", face.completions, methods=post, scope=Scope.GENERATE),
        guarded(f"{PREFIX}/openapi.json", face.document, methods=get, scope=Scope.READ),
        guarded(f"{PREFIX}/models", face.models, methods=get, scope=Scope.READ),
        guarded(f"{PREFIX}/models/{{model:path}}", face.model, methods=get, scope=Scope.READ),
    ]


def _enveloped(handler: Handler) -> Handler:
    """The handler with its failures in OpenAI's envelope."""

    @functools.wraps(handler)
    async def wrapped(face: "Face", request: Request) -> Response:
        try:
            return await handler(face, request)
        except HeliographError as error:
            return error_response(error, _caller(request).request_id)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody reads it

    return wrapped


class Face:
    """The handlers; each reads a request, has it performed, and writes the answer."""

    def __init__(self, gateway: "Gateway") -> None:
        self._gateway = gateway
        self._under_way: set[asyncio.Task[Done]] = set()
        sweep(gateway.store.home)

    @property
    def _default_model(self) -> str:
        return self._gateway.settings.model or DEFAULT_MODEL

    @property
    def _is_strict(self) -> bool:
        return self._gateway.settings.server_mismatch == "error"

    # ------------------------------------------------------------ models

    @_enveloped
    async def models(self, _: Request) -> Response:
        """GET models"""
        return JSONResponse(model_list())

    @_enveloped
    async def document(self, _: Request) -> Response:
        """GET openapi.json"""
        return JSONResponse(description(self._gateway.settings.model))

    @_enveloped
    async def model(self, request: Request) -> Response:
        """GET models/{model}"""
        return JSONResponse(model_document(model_of(request.path_params["model"], "")))

    # ------------------------------------------------------------ images

    @_enveloped
    async def generations(self, request: Request) -> Response:
        """POST images/generations"""
        body = Fields(await self._json(request))
        wanted = read_generation(body, default_model=self._default_model)
        return await self._images(request, wanted, Scratch(self._gateway.store.home))

    @_enveloped
    async def edits(self, request: Request) -> Response:
        """POST images/edits"""
        scratch = Scratch(self._gateway.store.home)
        try:
            wanted = await self._edit(request, scratch)
        except BaseException:
            await scratch.close()
            raise
        return await self._images(request, wanted, scratch)

    async def _edit(self, request: Request, scratch: Scratch) -> Wanted:
        kind = request.headers.get("content-type", "")
        if not kind.lower().startswith("multipart/form-data"):
            body = Fields(await self._json(request))
            pictures, mask = await asyncio.to_thread(_inline_inputs, body, scratch)
        else:
            _refuse_encoding(request)
            form = await read_form(
                request.stream(),
                boundary_of(kind),
                files=("image", "mask"),
                new_file=scratch.new,
                limit=self._gateway.settings.server_body_limit,
            )
            body = Fields(form.values, is_form=True)
            if "images" in body:
                body.refuse("images", "is for JSON; in a form, each picture is a file named image.")
            pictures, masks = form.files.get("image", []), form.files.get("mask", [])
            if len(masks) > 1:
                body.problem("mask", f"{len(masks)} files", "is one picture.")
            mask = masks[0] if masks else None
        return read_edit(body, default_model=self._default_model, pictures=pictures, mask=mask)

    async def _images(self, request: Request, wanted: Wanted, scratch: Scratch) -> Response:
        is_edit = request.url.path.endswith("/edits")
        kind = "image_edit" if is_edit else "image_generation"
        route = "POST /images/edits" if is_edit else "POST /images/generations"
        link = answers.linked(self._gateway, self._base(request))
        work = self._work(request, wanted, scratch, route)
        if wanted.stream:
            written = functools.partial(self._image_events, wanted=wanted, kind=kind)
            return await self._streamed(request, work, written)
        done = await asyncio.shield(work)
        return await self._answer(request, done, answers.images_body(done, wanted, link))

    async def _image_events(self, done: Done, *, wanted: Wanted, kind: str) -> AsyncIterator[Body]:
        for place, result in enumerate(done.results):
            drafts = [i for i in result.record.images if i.role is Role.DRAFT]
            folder = self._gateway.store.home / "exports" / result.record.id
            for number, draft in enumerate(drafts[: wanted.partials]):
                path = await self._gateway.store.blobs.local(draft.key, folder)
                shown = answers.Seen(
                    path=path, size=draft.size, format=draft.format, pixels=draft.pixels
                )
                yield answers.draft_event(kind, shown, done, place=place, number=number)
            yield answers.picture_event(kind, done, wanted, place=place)

    # ------------------------------------------------------------ chat

    @_enveloped
    async def completions(self, request: Request) -> Response:
        """POST chat/completions"""
        body = Fields(await self._json(request))
        scratch = Scratch(self._gateway.store.home)
        try:
            wanted = await asyncio.to_thread(
                read_chat, body, default_model=self._default_model, keep=scratch.keep
            )
        except BaseException:
            await scratch.close()
            raise
        work = self._work(request, wanted, scratch, "POST /chat/completions")
        if wanted.stream:
            written = functools.partial(_chat_events, wanted=wanted)
            return await self._streamed(request, work, written, ends=DONE)
        done = await asyncio.shield(work)
        return await self._answer(request, done, answers.chat_body(done, wanted))

    # ------------------------------------------------------------ of all

    def _work(
        self, request: Request, wanted: Wanted, scratch: Scratch, route: str
    ) -> "asyncio.Task[Done]":
        """Have it performed; it goes on when the client leaves, with the pictures it brought."""
        manners = manner(request.headers)
        errand = Errand(
            caller=_caller(request),
            face="openai",
            route=route,
            request=replace(wanted.request, strict=wanted.request.strict or self._is_strict),
            count=wanted.count,
            shape=wanted.shape,
            key=manners.key,
            retries=manners.retries,
            wait=manners.wait,
        )

        async def perform() -> Done:
            try:
                await self._refuse_unknown_casts(errand)
                return await self._gateway.perform(errand)
            except InvalidRequest as error:
                raise renamed(error) from error
            finally:
                await scratch.close()

        work = asyncio.create_task(perform())
        self._under_way.add(work)
        work.add_done_callback(self._over)
        return work

    async def _refuse_unknown_casts(self, errand: Errand) -> None:
        kept = Casts(self._gateway.client.store, errand.caller.user.id)
        for name in errand.request.casts:
            try:
                await kept.find(name)
            except RecordNotFound:
                what = f"There is no such cast: {name[:40]}."
                raise RecordNotFound(what, facts={"field": "heliograph.casts"}) from None

    def _over(self, work: "asyncio.Task[Done]") -> None:
        self._under_way.discard(work)
        if not work.cancelled():
            work.exception()  # somebody who left cannot read it; the job has it

    async def _streamed(
        self,
        request: Request,
        work: "asyncio.Task[Done]",
        written: Callable[[Done], AsyncIterator[Body]],
        *,
        ends: bytes = b"",
    ) -> Response:
        caller = _caller(request)
        balance = await self._gateway.purse.left(caller)
        return await streamed(
            work,
            written,
            keepalive=self._gateway.settings.server_keepalive,
            headers=lambda done: spend_headers(done, balance),
            request_id=caller.request_id,
            ends=ends,
        )

    async def _answer(self, request: Request, done: Done, body: Body) -> Response:
        balance = await self._gateway.purse.left(_caller(request))
        headers: Mapping[str, str] = {
            **spend_headers(done, balance),
            "content-length": str(body.length),
            "cache-control": "no-store",
        }
        return Sending(body.chunks(), media_type="application/json", headers=headers)

    async def _json(self, request: Request) -> Mapping[str, Any]:
        """The body, which must be one JSON object.

        Raises:
            TooLarge, UnsupportedMedia, InvalidRequest: it is not taken.
        """
        _refuse_encoding(request)
        limit = self._gateway.settings.server_body_limit
        data = bytearray()
        async for chunk in request.stream():
            data += chunk
            if len(data) > limit:
                raise TooLarge("The body is too large.", why=f"At most {limit} bytes are taken.")
        kind = request.headers.get("content-type")
        document = await asyncio.to_thread(read_json, bytes(data), kind)
        if not isinstance(document, dict):
            body = Fields({})
            body.problem("body", document, "must be a JSON object.")
            body.check()
        return dict(document)

    def _base(self, request: Request) -> str:
        """How the client reaches the gateway, for links."""
        given = self._gateway.settings.server_url
        return given or f"{request.url.scheme}://{request.headers.get('host', '')}"


async def _chat_events(done: Done, *, wanted: Wanted) -> AsyncIterator[Body]:
    for body in answers.chat_chunks(done, wanted):
        yield body


def _inline_inputs(body: Fields, scratch: Scratch) -> tuple[list[Path], Path | None]:
    """Pictures and mask of an edit that comes as JSON: `images: [{"image_url": "data:…"}]`."""
    found: list[bytes] = []
    for number, item in enumerate(body.items("images")):
        entry = body.entry(f"images[{number}]", item)
        picture = read_picture(entry, "image_url") if entry is not None else None
        if picture is not None:
            found.append(picture)
    if "image" in body:
        body.raw("image")
        body.refuse("image", "is the file of a form; in JSON, pictures stand in images.")
    if isinstance(body.raw("mask"), str):
        body.refuse("mask", "must be an object with a data: URL, or a file of a form.")
    mask = None
    if "mask" in body and not isinstance(body.raw("mask"), str):
        mask = read_picture(body.group("mask"), "image_url")
    paths = [scratch.keep(picture) for picture in found]
    return paths, scratch.keep(mask) if mask is not None else None


def _refuse_encoding(request: Request) -> None:
    encoding = request.headers.get("content-encoding", "identity")
    if encoding.strip().lower() != "identity":
        raise UnsupportedMedia(
            "Compressed bodies are not taken.", remedy="Send it without Content-Encoding."
        )


def _caller(request: Request) -> Caller:
    caller: Caller = request.state.caller
    return caller
