"""generateContent, streamGenerateContent and countTokens: from a body to an answer.

Invariant: a paid answer is Google's own, whether it is given for the first time, again, or to
somebody who joined; what Google refused is answered in Google's words, with what it cost.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from heliograph.errors import HeliographError, RecordNotFound, Refused
from heliograph.planning.catalogue import Model
from heliograph.planning.load import catalogue
from heliograph.server.caller import Caller, Done, Errand
from heliograph.server.gateway import Gateway
from heliograph.server.gemini.answer import answer_of
from heliograph.server.gemini.asking import Asked, as_request, count_pictures, words_of
from heliograph.server.gemini.envelope import (
    JSON,
    bad,
    dump,
    error_document,
    error_response,
)
from heliograph.server.gemini.inbox import Inbox, receive
from heliograph.server.gemini.models import live
from heliograph.server.gemini.protojson import first, read
from heliograph.server.gemini.rendering import Framing, Rendered, framed_error, render
from heliograph.server.gemini.uploads import Uploads
from heliograph.server.gemini.waiting import Errands, kept_alive, settled
from heliograph.server.headers import manner, spend_headers, usd
from heliograph.types import Record
from heliograph.types import Request as Wanted

EVENTS = "text/event-stream"
KEEPALIVE = "x-heliograph-keepalive"  # seconds; only for clients that know what they ask for
LONGEST_KEEPALIVE = 600.0
# the only signs of life that JSON readers and google-genai's event reader pass over
BEATS: Mapping[Framing, bytes] = {"single": b" ", "sse": b"\r\n", "array": b"\r\n"}


@dataclass(frozen=True, kw_only=True)
class Turn:
    """One call on its way."""

    request: Request
    caller: Caller
    framing: Framing

    @property
    def request_id(self) -> str:
        return self.caller.request_id


class Calling:
    """The methods of models, for one version of the API."""

    def __init__(
        self, gateway: Gateway, version: str, *, inbox: Inbox, uploads: Uploads, errands: Errands
    ) -> None:
        self._gateway = gateway
        self._version = version
        self._inbox = inbox
        self._uploads = uploads
        self._errands = errands

    async def generate(self, request: Request, model: str) -> Response:
        """POST models/MODEL:generateContent."""
        turn = Turn(request=request, caller=request.state.caller, framing="single")
        return await self._make(turn, model, "generateContent", _keepalive(request))

    async def stream(self, request: Request, model: str) -> Response:
        """POST models/MODEL:streamGenerateContent."""
        alt = first(request.query_params, "alt", "$alt") or "json"
        # what may follow says how enums are written, for which we have one way as in whole answers
        alt = alt.partition(";")[0]
        if alt not in ("sse", "json"):
            raise bad(f"Invalid value for alt: {alt[:20]}.")
        turn = Turn(
            request=request,
            caller=request.state.caller,
            framing="sse" if alt == "sse" else "array",
        )
        silence = self._gateway.settings.server_keepalive
        try:
            return await self._make(turn, model, "streamGenerateContent", silence)
        except HeliographError as error:
            return error_response(error, turn.request_id, as_list=turn.framing == "array")

    async def count(self, request: Request, model: str) -> Response:
        """POST models/MODEL:countTokens."""
        row = live(model, self._version, "countTokens")
        message = await self._counted(request)
        inner = message.get("generateContentRequest") or message
        words = words_of(inner)
        text = await self._gateway.client.count_tokens(words, row.id) if words.strip() else 0
        pictures = count_pictures(inner.get("contents") or [])
        details = [{"modality": "TEXT", "tokenCount": text}]
        weight = pictures * (row.tokens.input_image or 0)
        if weight:
            details.append({"modality": "IMAGE", "tokenCount": weight})
        found = {"totalTokens": text + weight, "promptTokensDetails": details}
        return Response(dump(found), media_type=JSON)

    async def _counted(self, request: Request) -> dict[str, Any]:
        with self._inbox.folder() as folder:
            incoming = await receive(request, folder, self._limit)
            return read(incoming.document, "CountTokensRequest", version=self._version)

    @property
    def _limit(self) -> int:
        """Bytes of a body: what is more could not go on upstream."""
        return min(self._gateway.settings.server_body_limit, catalogue().limits.inline_bytes)

    # ------------------------------------------------------------ asking

    async def _make(self, turn: Turn, model: str, method: str, silence: float | None) -> Response:
        """Make the call; wait in silence for so many seconds at most, None for any length."""
        row = live(model, self._version, method)
        asked = manner(turn.request.headers)
        with ExitStack() as files:
            wanted = await self._read(turn, row, method, files)
            errand = Errand(
                caller=turn.caller,
                face="gemini",
                route=f"POST /models/{{model}}:{method}",
                request=wanted,
                shape={"framing": turn.framing},
                key=asked.key,
                retries=asked.retries,
                wait=asked.wait,
            )
            # the files belong to the errand from now on, which outlives this request
            task = self._errands.begin(self._gateway.perform(errand), files.pop_all())
        if silence is None or await settled(task, silence):
            return await self._whole(turn, task)
        return self._begun(turn, task, silence)

    async def _read(self, turn: Turn, row: Model, method: str, files: ExitStack) -> Wanted:
        self._inbox.sweep()
        await self._uploads.sweep()
        folder = files.enter_context(self._inbox.folder())
        incoming = await receive(turn.request, folder, self._limit)
        strict = self._gateway.settings.server_mismatch == "error"

        def understood() -> Wanted:
            message = read(incoming.document, "GenerateContentRequest", version=self._version)
            _same_model(message, row)
            asked = Asked(
                model=row,
                incoming=incoming,
                fetch=lambda uri: self._uploads.fetch(turn.request, incoming, uri),
                message=message,
            )
            return as_request(asked, stream=method == "streamGenerateContent", strict=strict)

        return await asyncio.to_thread(understood)

    # ------------------------------------------------------------ answering

    async def _whole(self, turn: Turn, task: "asyncio.Task[Done]") -> Response:
        """The answer of an errand that is over, its length and cost in the headers."""
        body, headers = await self._answer(turn, task)
        return StreamingResponse(
            body.stream(),
            media_type=EVENTS if turn.framing == "sse" else JSON,
            headers={**headers, **_OURS, "content-length": str(body.length)},
        )

    def _begun(self, turn: Turn, task: "asyncio.Task[Done]", silence: float) -> Response:
        """An answer that is begun before it is known: whatever comes of it stands in its body."""

        async def rest() -> AsyncIterator[bytes]:
            try:
                body, _ = await self._answer(turn, task)
            except HeliographError as error:
                yield framed_error(error_document(error, turn.request_id), turn.framing)
                return
            async for piece in body.stream():
                yield piece

        return StreamingResponse(
            kept_alive(task, BEATS[turn.framing], silence, rest),
            media_type=EVENTS if turn.framing == "sse" else JSON,
            headers=_OURS,
        )

    async def _answer(
        self, turn: Turn, task: "asyncio.Task[Done]"
    ) -> tuple[Rendered, Mapping[str, str]]:
        store = self._gateway.store
        try:
            done = await asyncio.shield(task)
        except Refused as error:
            record = await self._refused(turn, error)
            answer = await answer_of(record, store, error)
            headers = _refusal_headers(record, error)
        else:
            record = done.results[0].record
            answer = await answer_of(record, store)
            headers = spend_headers(done, await self._gateway.purse.left(turn.caller))
        return await render(answer, turn.framing, store), headers

    async def _refused(self, turn: Turn, error: Refused) -> Record:
        """The record of what Google refused.

        Raises:
            Refused: nothing of it is kept.
        """
        if error.record_id is None:
            raise error
        try:
            return await self._gateway.record(turn.caller, error.record_id)
        except RecordNotFound:
            raise error from None


# a proxy that gathers an answer before it passes it on would hold back the signs of life
_OURS: Mapping[str, str] = {"cache-control": "no-store", "x-accel-buffering": "no"}


def _refusal_headers(record: Record, error: Refused) -> dict[str, str]:
    found = {
        "x-heliograph-charged": error.charged.value,
        "x-heliograph-cost-usd": usd(0 if error.facts.get("replayed") else record.cost),
        "x-heliograph-simulated": "true" if record.simulated else "false",
    }
    job = error.facts.get("job")
    if isinstance(job, str):
        found["x-heliograph-job"] = job
    if error.facts.get("replayed"):
        found["idempotency-replayed"] = "true"
    return found


def _same_model(message: dict[str, Any], row: Model) -> None:
    """The path names the model; a body that names another one can be read in two ways."""
    named = message.pop("model", None)
    if named and named.removeprefix("models/") != row.id:
        raise bad(f"The model of the body, {named[:100]}, is not the one of the path.")


def _keepalive(request: Request) -> float | None:
    """How long a client that can read an early success bears silence."""
    given = request.headers.get(KEEPALIVE)
    if given is None:
        return None
    seconds = float(given) if given.isascii() and given.isdecimal() and len(given) < 5 else 0.0
    if not 1 <= seconds <= LONGEST_KEEPALIVE:
        raise bad(f"{KEEPALIVE} must be a whole number of seconds from 1 to 600.")
    return seconds
