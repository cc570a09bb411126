"""Event streams: signs of life while a picture is made, then what came of it.

A failure that comes before the first sign of life is a plain error with its own status, which SDKs
understand best; later it is an `error` event.

Invariant: a stream that has begun ends with its result or with an error, never in silence.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing

from heliograph.errors import HeliographError
from heliograph.server.caller import Done
from heliograph.server.openai.body import Body, Sending
from heliograph.server.openai.failures import document

ALIVE = b": keep-alive\n\n"
DONE = b"data: [DONE]\n\n"
Written = Callable[[Done], AsyncIterator[Body]]
"""The events of what was made."""


async def streamed(
    work: "asyncio.Task[Done]",
    written: Written,
    *,
    keepalive: float,
    headers: Callable[[Done], Mapping[str, str]],
    request_id: str,
    ends: bytes = b"",
) -> Sending:
    """The stream of a picture in the making.

    Args:
        work: what makes it; it goes on when nobody listens any more.
        keepalive: seconds between signs of life.
        headers: of the answer, where it is there before the stream begins.
        ends: what comes last.

    Raises:
        HeliographError: it failed before the stream began.
    """
    await asyncio.wait([work], timeout=keepalive)
    known = dict(headers(work.result())) if work.done() else {}

    async def events() -> AsyncGenerator[bytes]:
        while not work.done():
            yield ALIVE
            await asyncio.wait([work], timeout=keepalive)
        try:
            done = work.result()
            async for body in written(done):
                async with aclosing(body.chunks()) as chunks:
                    async for chunk in chunks:
                        yield chunk
        except HeliographError as error:
            said = {"type": "error", "error": document(error, request_id)}
            yield f"event: error\ndata: {json.dumps(said)}\n\n".encode()
            return
        if ends:
            yield ends

    return Sending(
        events(),
        media_type="text/event-stream",
        headers={"cache-control": "no-store", "x-accel-buffering": "no", **known},
    )
