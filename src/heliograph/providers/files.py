"""The Files API: pictures that were uploaded once, and are named by address until they expire.

Resumable protocol, 48 hours, no charge (gemini-api.md 2.9). What was uploaded is remembered in the
cabinet, by upstream, project and digest. Invariant: an address is only remembered for bytes whose
digest was checked on the way out; the key goes with the first request of an upload alone, nothing
goes to another host than the upstream's, and the address that an upload goes on at, which is as
good as a key, is in no error.
"""

import asyncio
import base64
import binascii
import hashlib
import io
import json
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any, BinaryIO
from urllib.parse import parse_qsl, urlsplit
from weakref import WeakValueDictionary

from heliograph.errors import HeliographError, ProtocolError, StorageError
from heliograph.ports import Cabinet, Card
from heliograph.providers.http import Channel, Tell, Told
from heliograph.providers.pool import Place
from heliograph.types import Reference

LOG = logging.getLogger("heliograph")
KIND = "upload"  # of the cards
CHUNK = 8 << 20  # bytes, as in google-genai 3.4.0; the server wants multiples of 256 KiB
LIFETIME = timedelta(hours=48)
UNHARMED = "Nothing was charged."
MARGIN = timedelta(hours=1)  # a call may wait that long before it names a file


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Files:
    """The uploaded pictures of one upstream, project by project.

    Args:
        channels: a way to the upstream for each key of each project.
        now: the time, timezone-aware; for tests.
    """

    def __init__(
        self,
        channels: Mapping[Place, Channel],
        cabinet: Cabinet,
        *,
        now: Callable[[], datetime] = _utc_now,
    ) -> None:
        self._channels = channels
        self._cabinet = cabinet
        self._now = now
        self._is_tidy = False
        # one upload of a picture at a time: whoever comes second finds it done
        self._uploading: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def known(self, place: Place, pictures: Sequence[Reference]) -> dict[str, str]:
        """Addresses of the pictures that are uploaded already, by SHA-256."""
        found = {}
        for digest in {picture.sha256 for picture in pictures}:
            uri = self._good(await self._readable(self._name(place, digest)))
            if uri is not None:
                found[digest] = uri
        return found

    async def upload(self, place: Place, picture: Reference, tell: Tell) -> str:
        """The address of a picture, uploaded now if it was not before.

        Raises:
            UpstreamError, CredentialRejected: it cannot be uploaded; nothing was charged.
            StorageError: its file cannot be read, or is not what it was.
        """
        name = self._name(place, picture.sha256)
        lock = self._uploading.setdefault(name, asyncio.Lock())
        async with lock:
            card = await self._readable(name)
            uri = self._good(card)
            if uri is None:
                uri, expires = await self._send(self._channels[place], picture, tell)
                body = {"uri": uri, "name": _file_name(uri), "media_type": picture.media_type}
                await self._remember(name, body, expires, card)
            return uri

    async def forget(self, place: Place, digests: Sequence[str]) -> None:
        """Drop what is remembered of pictures, because the upstream has them no more."""
        for digest in digests:
            await self._drop(self._name(place, digest))

    def _name(self, place: Place, digest: str) -> str:
        return f"{self._channels[place].upstream}/{place.project}/{digest}"

    async def _card(self, name: str) -> Card | None:
        try:
            return await self._cabinet.card(KIND, name)
        except StorageError as error:
            LOG.warning("nothing is known of uploads: %s", error)
            return None

    async def _readable(self, name: str) -> Card | None:
        """The card of a picture; one that says nothing is dropped."""
        card = await self._card(name)
        if card is None or _said(card) is not None:
            return card
        await self._drop(name)
        return None

    async def _drop(self, name: str) -> None:
        try:
            await self._cabinet.drop(KIND, name)
        except StorageError as error:
            LOG.warning("an upload is not forgotten: %s", error)

    def _good(self, card: Card | None) -> str | None:
        """The address on a card, while it can be relied on."""
        uri, expires = (card and _said(card)) or ("", None)
        return uri if expires is not None and self._lasts(expires) else None

    def _lasts(self, expires: datetime) -> bool:
        # the margin is added to our own clock: a time that was told may be the first there is
        return expires > self._now() + MARGIN

    async def _remember(
        self, name: str, body: Mapping[str, Any], expires: datetime, card: Card | None
    ) -> None:
        try:
            await self._tidy()
            card = await self._cabinet.card(KIND, name) if card is not None else None
            if not self._lasts(expires):
                # of no use to the next call; some say the year 1 where they know no end
                if card is not None:
                    await self._cabinet.drop(KIND, name)
                return
            body = {**body, "expires": expires.isoformat()}
            await self._cabinet.put(KIND, name, body, version=card.version if card else 0)
        except StorageError as error:
            # another process was quicker, or the database said no: the file is there all the same
            LOG.warning("an upload is not remembered: %s", error)

    async def _tidy(self) -> None:
        """Drop the cards of files that are gone, once."""
        if self._is_tidy:
            return
        self._is_tidy = True
        for card in await self._cabinet.cards(KIND):
            said = _said(card)
            if said is None or said[1] < self._now():
                await self._cabinet.drop(KIND, card.name)

    async def _send(self, channel: Channel, picture: Reference, tell: Tell) -> tuple[str, datetime]:
        """Upload a picture's bytes; its address, and when that ends."""
        told = await channel.begin_upload(
            {
                "X-Goog-Upload-Protocol": "resumable",
                "X-Goog-Upload-Command": "start",
                "X-Goog-Upload-Header-Content-Length": str(picture.size),
                "X-Goog-Upload-Header-Content-Type": picture.media_type,
            },
            _sheet(picture),
        )
        if told.status != 200:
            raise channel.refused(told)
        url = upload_address(told.headers.get("x-goog-upload-url", ""), channel.base)
        digest, offset = hashlib.sha256(), 0
        with closing(await asyncio.to_thread(_open, picture)) as file:
            while True:
                chunk = await asyncio.to_thread(_read, file, picture)
                digest.update(chunk)
                offset += len(chunk)
                is_last = offset >= picture.size or not chunk
                if is_last and (offset, digest.hexdigest()) != (picture.size, picture.sha256):
                    raise StorageError(
                        f"{picture.name} changed while it was being sent.", remedy=UNHARMED
                    )
                tell("uploading", {"bytes": offset, "of": picture.size, "picture": picture.sha256})
                told = await channel.continue_upload(
                    url, _chunk_head(offset, chunk, is_last=is_last), chunk
                )
                if told.status != 200:
                    raise _without(url, channel.refused(told))
                if told.headers.get("x-goog-upload-status") != ("final" if is_last else "active"):
                    raise _odd("It does not say that it took the bytes.")
                if is_last:
                    return self._uploaded(told, picture)

    def _uploaded(self, told: Told, picture: Reference) -> tuple[str, datetime]:
        """What the upstream says of a file that it has.

        Raises:
            ProtocolError: it has another one, or cannot use it.
        """
        try:
            file = json.loads(told.body)["file"]
            uri, state = file["uri"], file.get("state", "ACTIVE")
            size, digest = file.get("sizeBytes"), file.get("sha256Hash")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise _odd("Its answer names no file.") from error
        if not isinstance(uri, str) or not 0 < len(uri) <= 2048 or not _file_name(uri):
            raise _odd("Its answer names no address.")
        if state != "ACTIVE":
            raise _odd(f"The file is {str(state)[:40]}.")
        if size is not None and str(size) != str(picture.size):
            raise _odd(f"It has {str(size)[:40]} bytes of {picture.size}.")
        if digest is not None and not _is_digest(digest, picture.sha256):
            raise _odd("The file has another digest.")
        return uri, _moment(file.get("expirationTime")) or self._now() + LIFETIME


def upload_address(url: str, base: str) -> str:
    """The address that an upload goes on at, which is on our own upstream or refused.

    Args:
        base: scheme, host and port of the upstream, and perhaps a path.

    Raises:
        ProtocolError: it lies elsewhere.
    """
    try:
        theirs, ours = urlsplit(url), urlsplit(base)
    except ValueError:
        theirs, ours = urlsplit(""), urlsplit(base)
    if (theirs.scheme, _host(theirs.netloc)) != (ours.scheme, _host(ours.netloc)):
        raise _odd(f"It wants the bytes at {theirs.netloc[:100]!r}, which is not itself.")
    return url


def _host(netloc: str) -> str:
    return re.sub(r":(80|443)$", "", netloc.lower())


def _sheet(picture: Reference) -> bytes:
    file = {"mimeType": picture.media_type, "sizeBytes": str(picture.size)}
    return json.dumps({"file": file}).encode()


def _chunk_head(offset: int, chunk: bytes, *, is_last: bool) -> dict[str, str]:
    return {
        "X-Goog-Upload-Command": "upload, finalize" if is_last else "upload",
        "X-Goog-Upload-Offset": str(offset - len(chunk)),
        "content-type": "application/octet-stream",
    }


def _open(picture: Reference) -> BinaryIO:
    if isinstance(picture.source, bytes):
        return io.BytesIO(picture.source)
    try:
        return picture.source.open("rb")
    except OSError as error:
        raise StorageError(
            f"{picture.name} cannot be read.", why=str(error), remedy=UNHARMED
        ) from error


def _read(file: BinaryIO, picture: Reference) -> bytes:
    try:
        return file.read(CHUNK)
    except OSError as error:
        raise StorageError(
            f"{picture.name} cannot be read.", why=str(error), remedy=UNHARMED
        ) from error


def _said(card: Card) -> tuple[str, datetime] | None:
    """The address on a card, and when it ends; None when it does not say so."""
    uri, expires = card.body.get("uri"), _moment(card.body.get("expires"))
    if not isinstance(uri, str) or not _file_name(uri) or expires is None:
        return None
    return uri, expires


def _without(url: str, error: HeliographError) -> HeliographError:
    """The error of a refusal, which may repeat the address that the bytes went to."""
    parts = urlsplit(url)
    raw = [pair.partition("=")[2] for pair in parts.query.split("&")]
    read = [value for _, value in parse_qsl(parts.query)]
    secrets = {url, f"{parts.path}?{parts.query}", parts.query, *raw, *read} - {""}

    def hidden(text: str) -> str:
        for secret in sorted(secrets, key=len, reverse=True):
            text = text.replace(secret, "(upload)")
        return text

    error.why = error.why and hidden(error.why)
    for name, value in error.facts.items():
        if isinstance(value, str):
            error.facts[name] = hidden(value)
    return error


def _file_name(uri: str) -> str:
    """The id at the end of a file's address."""
    return uri.rpartition("/")[2]


def _is_digest(told: object, sha256: str) -> bool:
    """Whether a `sha256Hash` is this digest; Google writes base64 of the hexadecimal letters."""
    try:
        raw = base64.b64decode(str(told), validate=True)
    except (binascii.Error, ValueError):
        return False
    return raw in (sha256.encode(), bytes.fromhex(sha256))


def _moment(value: object) -> datetime | None:
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return found if found is not None and found.tzinfo is not None else None


def _odd(why: str) -> ProtocolError:
    return ProtocolError(
        "The upstream did not take the upload.",
        why=why,
        remedy="Check the base URL and any proxy on the way; nothing was charged.",
    )
