"""The ways to pictures: decoding, encoding, storing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from heliograph.types import Export, ExportSpec, Pixels


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """What decoding an image found."""

    intact: bool
    defect: str | None  # the decoder's complaint when not intact
    pixels: Pixels | None
    pages: int = 1
    trailing: int = 0  # bytes behind the end of the picture


@dataclass(frozen=True, kw_only=True)
class AreaShape:
    """The part of a picture that an edit may change: exactly one of `region` and `mask`.

    A mask is a PNG in the picture's ratio. Without transparency white is changed, black is kept
    and grey is mixed. With transparency, as in OpenAI's edits, what is transparent is changed,
    whatever the colours; one that is black and white besides is refused as unclear. White paint on
    a transparent layer is what many draw who mean the white: `strict` refuses that as well.
    """

    region: tuple[int, int, int, int] | None = None  # x, y, width, height; px, picture upright
    mask: Path | None = None
    feather: int = 0  # px of soft edge, inside the area; less where the area is narrow
    protect: bool = False  # the rest will be put back, so `mark` refuses what `blend` would
    strict: bool = False  # refuse light paint on transparency


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One place on a contact sheet."""

    picture: Path | None  # None leaves the place empty
    lines: tuple[str, ...] = ()  # shown below it, at most three
    badge: str | None = None  # a word or two on the picture's corner


class Imager(Protocol):
    """Decodes and encodes pictures, away from the event loop and from our own memory."""

    async def inspect(self, path: Path) -> Inspection:
        """Decode the whole image at warning level."""

    async def finish(self, original: Path, spec: ExportSpec, folder: Path) -> Export:
        """Make one export into `folder`.

        Raises:
            FinishError: it cannot be made as asked (budget unreachable, broken source).
        """

    async def mark(self, picture: Path, area: AreaShape, folder: Path) -> Path:
        """A copy of `picture` for a model's eyes, with the area to change plainly marked.

        A JPEG of at most 2,048 px a side in a new file: translucent magenta in the area, a solid
        magenta outline around it.

        Raises:
            InvalidRequest: the area does not go with the picture (field "region" or "mask"), or
                nothing can be put back from the picture (field "base").
            FinishError: it cannot be made (broken picture, full disk).
            StorageError: no worker can be started.
        """

    async def blend(self, parent: Path, change: Path, area: AreaShape, folder: Path) -> Path:
        """The edit that leaves the rest alone: `change` inside the area, `parent` outside.

        A lossless PNG of the parent's size in a new file. Every pixel outside the area is the
        parent's decoded one; the soft edge lies inside. The parent's transparency, depth and
        colour profile stay. The same inputs give the same bytes.

        Raises:
            InvalidRequest: the area does not go with the parent (field "region" or "mask").
            FinishError: it cannot be made (broken or animated picture, a parent in CMYK).
            StorageError: no worker can be started.
        """

    async def fit(
        self, picture: Path, *, max_bytes: int, max_side: int, max_area: int, folder: Path
    ) -> Path:
        """A copy of `picture` within the limits (bytes, px, px), or itself when it is within.

        A JPEG where nothing is transparent, else a PNG or WebP: upright, 8 bit, sRGB.

        Raises:
            InvalidRequest: it is no picture that is accepted (field "picture").
            FinishError: no copy is that small, or it cannot be written.
            StorageError: no worker can be started.
        """

    async def sheet(self, cells: Sequence[Cell], folder: Path, *, columns: int, title: str) -> Path:
        """A contact sheet as a PNG in a new file: small pictures with words below them.

        A picture that cannot be read leaves an empty cell that says so.

        Raises:
            InvalidRequest: no cells, or too many for one sheet (fields "cells", "columns").
            FinishError: it cannot be made (full disk).
            StorageError: no worker can be started.
        """

    async def tiles(
        self, picture: Path, pixels: Pixels, folder: Path, *, side: int, overlap: int
    ) -> Path:
        """One level of a deep zoom: a new folder in `folder` with files COLUMN_ROW.webp.

        The picture is scaled to `pixels`, upright, in sRGB and 8 bits, without any metadata, and
        cut into squares of `side` px, each with `overlap` px of its neighbours around it.

        Raises:
            FinishError: it cannot be made (broken or animated picture, full disk).
            StorageError: no worker can be started.
        """

    async def close(self) -> None: ...


class Blobs(Protocol):
    """Immutable bytes under content-addressed keys such as `sha256/ab/abcd….jpg`."""

    async def put(self, file: Path, key: str) -> None:
        """Store `file` durably under `key`; a key that exists already is left as it is.

        The file is handed over: it may become the stored one, so nobody writes to it again.

        Raises:
            StorageError: it is not stored.
        """

    async def put_bytes(self, data: bytes, key: str) -> bool:
        """Like `put`; returns whether the key is new."""

    async def put_all(self, contents: Mapping[str, Path | bytes]) -> None:
        """Like `put`, for all that one answer brings, by key: cheaper than one after another."""

    async def read(self, key: str) -> bytes:
        """Raises RecordNotFound when there is no such key."""

    async def local(self, key: str, scratch: Path) -> Path:
        """A local file with these bytes (the stored one, or a copy made in `scratch`)."""

    async def keys(self, prefix: str) -> Sequence[str]:
        """All keys that start with `prefix`, sorted."""
