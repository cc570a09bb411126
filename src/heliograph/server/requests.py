"""A durable job's request as a document, its input images kept by the library, and back.

Invariant: what comes back asks for the same picture: its fingerprint is equal.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from heliograph.calls import Shelf
from heliograph.errors import InvalidRequest, Problem
from heliograph.imaging import check_references
from heliograph.material import keep_input, kept_key
from heliograph.storage import request_from_document, request_to_document
from heliograph.types import Given, Request


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
