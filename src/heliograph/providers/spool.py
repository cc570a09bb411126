"""An answer on disk while it arrives: once as it came, and once taken apart by the tap.

    <folder>/head.json   status and headers, and where the rest lies if this disk refuses
    <folder>/body.raw    the body as it came, not through any buffer of ours
    <folder>/part-000 …  the long strings of the body, decoded

The raw body is what another process finishes from when this one is killed: a byte that was
written survives us, and the same tap reads it again. Invariant: a disk that refuses costs nothing
that was paid for; the answer then goes on in memory and is put together in a second place, which
whoever reads the answer again finds by the head, or by its name.
"""

import contextlib
import json
import logging
import shutil
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from heliograph.killpoints import reach
from heliograph.providers.tap import SKELETON_LIMIT, SPOOL_LIMIT, AnswerTooLarge, Tap, Tapped
from heliograph.providers.wire import WireReply
from heliograph.types import Timing

LOG = logging.getLogger("heliograph")
HEAD = "head.json"
RAW = "body.raw"
RAW_LIMIT = SPOOL_LIMIT * 4 // 3 + SKELETON_LIMIT  # base64 takes four bytes for three
PIECE = 1 << 20
RESCUE = "heliograph-rescue-"  # begins the names of second places


class Spool:
    """Takes one answer in pieces."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._raw: BinaryIO | None = None
        self._tap: Tap | None = Tap(folder)
        self._written = 0  # bytes of the raw file
        self._memory: bytearray | None = None  # what the raw file could not take
        self._head = ""
        self.trouble: str | None = None  # why the disk refused, when it did

    def head(self, status: int, headers: Mapping[str, str], *, is_direct: bool = False) -> None:
        """Keep status, headers and whether Google itself says so."""
        head = {"status": status, "headers": dict(headers), "is_direct": is_direct}
        rescue = _rescue_named(self._folder)
        self._head = json.dumps({**head, "rescue": str(rescue) if rescue else None})
        try:
            (self._folder / HEAD).write_text(self._head, encoding="utf-8")
        except OSError as error:
            self._note(error)  # only a crash would miss it
        reach("headers")

    def feed(self, chunk: bytes) -> None:
        """Take the next piece of the body.

        Raises:
            AnswerTooLarge: a limit was passed; nothing more should be read.
        """
        self._keep(chunk)
        if self._written + len(self._memory or b"") > RAW_LIMIT:
            raise AnswerTooLarge(f"more than {RAW_LIMIT >> 20} MiB")
        if self._tap is not None:
            try:
                self._tap.feed(chunk)
            except OSError as error:
                self._note(error)
                with contextlib.suppress(OSError):
                    self._tap.close()
                self._tap = None
        reach("body")

    def close(self) -> Tapped:
        """The body taken apart; also right after a failure, to keep what arrived."""
        tapped: Tapped | None = None
        try:
            if self._raw is not None:
                self._raw.close()
            if self._tap is not None:
                tapped = self._tap.close()
        except OSError as error:
            self._note(error)
        if tapped is not None and self._memory is None:
            return tapped
        return self._elsewhere()

    def _keep(self, chunk: bytes) -> None:
        if self._memory is not None:
            self._memory += chunk
            return
        rest = memoryview(chunk)
        try:
            if self._raw is None:
                self._raw = (self._folder / RAW).open("wb", buffering=0)
            while rest:
                count = self._raw.write(rest) or 0
                self._written += count
                rest = rest[count:]
        except OSError as error:
            self._note(error)
            self._memory = bytearray(rest)

    def _note(self, error: OSError) -> None:
        self.trouble = error.strerror or str(error)
        LOG.warning("the spool %s refuses (%s); going on elsewhere", self._folder, self.trouble)

    def _elsewhere(self) -> Tapped:
        """The whole answer again, in the system's folder for temporary files."""
        try:
            second = self._second()
            (second / HEAD).write_text(self._head, encoding="utf-8")
            tap = Tap(second)
            # an answer that is too large was called so while it arrived
            with (second / RAW).open("wb") as raw, contextlib.suppress(AnswerTooLarge):
                for piece in self._pieces():
                    raw.write(piece)
                    tap.feed(piece)
            LOG.warning("the answer was put together in %s", second)
            return tap.close()
        except OSError as error:
            self._note(error)
            return Tapped(skeleton=b"", spools={}, cut=f"the disk refused it ({self.trouble})")

    def _second(self) -> Path:
        place = _rescue_named(self._folder)
        if place is not None:
            with contextlib.suppress(FileExistsError):  # somebody else's: never written over
                place.mkdir(mode=0o700)
                return place
        return Path(tempfile.mkdtemp(prefix=RESCUE))

    def _pieces(self) -> list[bytes]:
        pieces = []
        if self._written:
            with (self._folder / RAW).open("rb") as raw:
                while piece := raw.read(PIECE):
                    pieces.append(piece)
        return [*pieces, bytes(self._memory or b"")]


def _rescue_named(folder: Path) -> Path | None:
    """The second place of a folder by its name, which no disk need have written down."""
    try:
        return Path(tempfile.gettempdir()) / f"{RESCUE}{folder.parent.name}-{folder.name}"
    except OSError:
        return None  # there is no folder for temporary files


def _rescue_of(folder: Path) -> Path | None:
    """The second place of a folder, when it has one."""
    said = (_head_in(folder) or {}).get("rescue")
    for place in (Path(said) if isinstance(said, str) else None, _rescue_named(folder)):
        with contextlib.suppress(OSError, ValueError):
            found = place and place.lstat()
            # where everybody may write, a folder of that name may be somebody else's
            if found and stat.S_ISDIR(found.st_mode) and found.st_uid == folder.stat().st_uid:
                return place
    return None


def places_of(spool: Path) -> list[Path]:
    """Every folder that holds something of a call's answer: second places first, the newest
    before the others, and last the spool itself, which need not exist.
    """
    folders = [spool]
    # somebody else may clear it away meanwhile; a pattern would look first and then be surprised
    with contextlib.suppress(FileNotFoundError):
        folders += [path for path in spool.iterdir() if path.is_dir()]
    folders.sort(key=lambda path: (len(path.name), path.name), reverse=True)
    return [*filter(None, map(_rescue_of, folders)), spool]


def discard(spool: Path) -> None:
    """Delete a spool, or one folder of it, with everything of it that lies elsewhere."""
    for place in places_of(spool):
        shutil.rmtree(place, ignore_errors=True)


def numbered(spool: Path, kind: str) -> list[tuple[int, Path]]:
    """The folders of a kind in a spool, oldest first, with their numbers."""
    found = [(path.name.rpartition("-")[2], path) for path in spool.glob(f"{kind}-*")]
    return sorted((int(number), path) for number, path in found if number.isdecimal())


def _head_in(folder: Path) -> dict[str, Any] | None:
    try:
        head = json.loads((folder / HEAD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return head if isinstance(head, dict) else None


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return -1


def reread(folder: Path) -> WireReply | None:
    """An answer that another process began to spool; None when not even its head is there.

    Whether it is whole is for the reader of its JSON to say: a killed process cannot tell.
    The parts go into a folder of their own, beside what the other process left.
    """
    held = _longest(folder)
    if held is None:
        return None
    again = folder / "again"
    shutil.rmtree(again, ignore_errors=True)
    again.mkdir()
    return _reread(held, Tap(again))


def skim(folder: Path) -> WireReply | None:
    """The same without its long strings; nothing is written, so that no full disk is in the way."""
    held = _longest(folder)
    return None if held is None else _reread(held, Tap(None))


def _longest(folder: Path) -> Path | None:
    """Of the places of an answer, the one that has it all."""
    # the process may have been killed while it wrote either
    places = [place for place in (folder, _rescue_of(folder)) if place and _head_in(place)]
    return max(places, key=lambda place: _size(place / RAW), default=None)


def _reread(held: Path, tap: Tap) -> WireReply | None:
    try:
        head = _head_in(held) or {}
        status, headers = int(head["status"]), dict(head["headers"])
    except (ValueError, KeyError, TypeError):
        return None
    incomplete = None
    try:
        with (held / RAW).open("rb") as raw:
            while piece := raw.read(PIECE):
                tap.feed(piece)
    except FileNotFoundError:
        incomplete = "nothing of its body arrived"
    except AnswerTooLarge as error:
        incomplete = str(error)
    return WireReply(
        status=status,
        headers=headers,
        tapped=tap.close(),
        timing=Timing(),
        incomplete=incomplete,
        is_direct=head.get("is_direct") is True,
    )
