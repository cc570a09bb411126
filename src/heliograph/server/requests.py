"""What a job is written down as, and the one that a repeat stands for; a durable one with its
request, its input images kept.

Invariant: a document that is read again asks for the same picture: its fingerprint is equal.
"""

import asyncio
import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from heliograph.accounts import new_id
from heliograph.cache import fingerprint
from heliograph.calls import Shelf
from heliograph.errors import InvalidRequest, Problem
from heliograph.imaging import check_references
from heliograph.jobs import Job, JobState
from heliograph.library import Store
from heliograph.material import keep_input, kept_key
from heliograph.pipeline import Order
from heliograph.ports import Jobs
from heliograph.server.caller import Errand
from heliograph.storage import request_from_document, request_to_document
from heliograph.types import Given, Request

JOIN_WITHIN = timedelta(minutes=15)  # an SDK's own retry belongs to a request that recent


async def new_job(errand: Errand, order: Order, state: JobState, store: Store, *, mark: str) -> Job:
    """The job of an errand, not yet written.

    Args:
        mark: what `mark_of` gives for it.

    Raises:
        InvalidRequest: it cannot wait for another process.
    """
    now = datetime.now(UTC)
    first = new_id()
    document = await keep_request(order.plan.request, store) if errand.durable else None
    return Job(
        id=first,
        user=errand.caller.user.id,
        access=errand.caller.key.id,
        face=errand.face,
        route=errand.route,
        state=state,
        mark=mark,
        pictures=(first, *(new_id() for _ in range(errand.count - 1))),
        prompt=order.plan.request.prompt,
        created=now,
        changed=now,
        owner=store.lease.owner,
        library=store.lease.library,
        durable=errand.durable,
        request=document,
        key=errand.key,
        key_expires=now + store.rules.key_life if errand.key else None,
        webhook=errand.webhook,
    )


def mark_of(errand: Errand, order: Order, *, simulated: bool) -> str:
    """The `Job.mark` of an errand; what it may cost is not part of it."""
    picture = fingerprint(order.plan, simulated=simulated)
    asked = [errand.route, picture, errand.count, dict(errand.shape)]
    text = json.dumps(asked, sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def joins_since(errand: Errand, now: datetime) -> datetime | None:
    """From when on a job may be that an SDK's repeat joins; None for what is no such repeat."""
    implied = errand.retries and errand.key is None  # a key says by itself what is the same
    return now - JOIN_WITHIN if implied else None


async def standing(errand: Errand, mark: str, jobs: Jobs) -> Job | None:
    """The job that an errand stands for already, by its idempotency key or as an SDK's repeat.

    `Jobs.submit` alone decides; this tells before an errand is refused for want of what the job
    that is there may have taken.
    """
    user, since = errand.caller.user.id, joins_since(errand, datetime.now(UTC))
    if errand.key is not None:
        return await jobs.holder(user, errand.key)
    return None if since is None else await jobs.joinable(user, mark, since)


async def keep_request(request: Request, shelf: Shelf) -> Mapping[str, Any]:
    """The request's document; its images are in the library from now on.

    Raises:
        InvalidRequest: an image cannot be used, or the request cannot wait for another process.
    """
    if request.verbatim is not None:
        problem = Problem(field="durable", value="true", message="needs a request of our own form")
        raise InvalidRequest([problem])

    async def kept(source: Path | bytes) -> Path:
        (reference,) = await asyncio.to_thread(check_references, [source])
        await keep_input(reference, shelf)
        return Path(kept_key(reference))

    return request_to_document(await _with_sources(request, kept))


async def kept_request(document: Mapping[str, Any], shelf: Shelf) -> Request:
    """The request of a document.

    Raises:
        StorageError: the document is damaged.
        RecordNotFound: an image is not in the library any more.
    """

    async def there(source: Path | bytes) -> Path:
        return await shelf.blobs.local(str(source), shelf.home / "inputs")

    return await _with_sources(request_from_document(document), there)


async def _with_sources(request: Request, change: Any) -> Request:
    references: list[Path | bytes | Given] = []
    for item in request.references:
        if isinstance(item, Given):
            references.append(replace(item, source=await change(item.source)))
        else:
            references.append(await change(item))
    return replace(
        request,
        references=tuple(references),
        base=None if request.base is None else await change(request.base),
        mask=None if request.mask is None else await change(request.mask),
    )
