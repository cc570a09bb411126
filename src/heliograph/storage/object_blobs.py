"""Blobs in an object store: S3, Google Cloud Storage, Azure, memory, through obstore.

Invariant: a key is created once and whole (`create` mode), never replaced.
"""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from heliograph.errors import StorageError
from heliograph.storage.key import check_key
from heliograph.storage.local_blobs import not_found
from heliograph.storage.refused import os_refused

if TYPE_CHECKING:
    from obstore import GetResult
    from obstore.store import ObjectStore


class ObjectBlobs:
    """The `Blobs` port over one bucket, or a prefix of it."""

    def __init__(self, store: "ObjectStore") -> None:
        self._store = store

    async def put(self, file: Path, key: str) -> None:
        await self._create(file, key)

    async def put_bytes(self, data: bytes, key: str) -> bool:
        return await self._create(data, key)

    async def put_all(self, contents: Mapping[str, Path | bytes]) -> None:
        for key, content in contents.items():
            await self._create(content, key)

    async def read(self, key: str) -> bytes:
        from obstore.exceptions import BaseError

        answer = await self._get(key)
        try:
            return bytes(await answer.bytes_async())
        except (BaseError, OSError) as error:
            raise _refused("A stored object could not be read.", key, error) from error

    async def local(self, key: str, scratch: Path) -> Path:
        from obstore.exceptions import BaseError

        answer = await self._get(key)
        target = scratch / key.rpartition("/")[2]
        aside = scratch / f".{uuid4().hex}"  # two readers of one key do not meet
        try:
            await asyncio.to_thread(scratch.mkdir, parents=True, exist_ok=True, mode=0o700)
            with aside.open("wb") as out:
                async for chunk in answer.stream():
                    await asyncio.to_thread(out.write, chunk)
            return aside.replace(target)
        except (BaseError, OSError) as error:
            aside.unlink(missing_ok=True)
            raise _refused("A stored object could not be copied here.", key, error) from error

    async def keys(self, prefix: str) -> Sequence[str]:
        from obstore import list as list_objects
        from obstore.exceptions import BaseError

        # object stores list by whole segments only, so the last part is compared here
        folder = prefix.rpartition("/")[0]
        try:
            found = await list_objects(self._store, folder or None).collect_async()
        except (BaseError, OSError) as error:
            raise _refused("The stored objects could not be listed.", prefix, error) from error
        return sorted(item["path"] for item in found if item["path"].startswith(prefix))

    async def _get(self, key: str) -> "GetResult":
        from obstore import get_async
        from obstore.exceptions import BaseError, NotFoundError

        try:
            return await get_async(self._store, check_key(key))
        except (FileNotFoundError, NotFoundError) as error:
            raise not_found(key) from error
        except (BaseError, OSError) as error:
            raise _refused("A stored object could not be read.", key, error) from error

    async def _create(self, content: Path | bytes, key: str) -> bool:
        from obstore import put_async
        from obstore.exceptions import AlreadyExistsError, BaseError

        try:
            await put_async(self._store, check_key(key), content, mode="create")
        except AlreadyExistsError:
            return False  # the same key means the same content
        except (BaseError, OSError) as error:
            raise _refused("The object could not be stored.", key, error) from error
        return True


def _refused(what: str, key: str, error: Exception) -> StorageError:
    if isinstance(error, OSError):
        return os_refused(what, error)
    return StorageError(
        what,
        why=type(error).__name__,  # its text may hold signed addresses
        remedy="Check the bucket, its credentials and the network, then run the same step again.",
        facts={"key": key},
    )
