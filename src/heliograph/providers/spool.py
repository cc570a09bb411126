"""An answer on disk while it arrives: once as it came, and once taken apart by the tap.

    <folder>/head.json   status and headers
    <folder>/body.raw    the body as it came, not through any buffer of ours
    <folder>/part-000 …  the long strings of the body, decoded

The raw body is what another process finishes from when this one is killed: a byte that was
written survives us, and the same tap reads it again. Invariant: a disk that refuses costs nothing
that was paid for; the answer then goes on in memory and is put together in a second place.
"""

import contextlib
import json
import logging
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from heliograph.killpoints import reach
from heliograph.providers.tap import SKELETON_LIMIT, SPOOL_LIMIT, AnswerTooLarge, Tap, Tapped
from heliograph.providers.wire import WireReply
from heliograph.types import Timing

LOG = logging.getLogger("heliograph")
HEAD = "head.json"
RAW = "body.raw"
RAW_LIMIT = SPOOL_LIMIT * 4 // 3 + SKELETON_LIMIT  # base64 takes four bytes for three
PIECE = 1 << 20


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
        self._head = json.dumps(head)
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
            second = Path(tempfile.mkdtemp(prefix="heliograph-rescue-"))
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

    def _pieces(self) -> list[bytes]:
        pieces = []
        if self._written:
            with (self._folder / RAW).open("rb") as raw:
                while piece := raw.read(PIECE):
                    pieces.append(piece)
        return [*pieces, bytes(self._memory or b"")]


def reread(folder: Path) -> WireReply | None:
    """An answer that another process began to spool; None when not even its head is there.

    Whether it is whole is for the reader of its JSON to say: a killed process cannot tell.
    The parts go into a folder of their own, beside what the other process left.
    """
    try:
        head = json.loads((folder / HEAD).read_text(encoding="utf-8"))
        status, headers = int(head["status"]), dict(head["headers"])
        is_direct = head.get("is_direct") is True
    except (OSError, ValueError, KeyError, TypeError):
        return None
    again = folder / "again"
    shutil.rmtree(again, ignore_errors=True)
    again.mkdir()
    tap = Tap(again)
    incomplete = None
    try:
        with (folder / RAW).open("rb") as raw:
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
        is_direct=is_direct,
    )
