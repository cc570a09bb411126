"""Bounded reads at any place of a file or of bytes.

Invariant: a read never returns more than was asked and never fails at the end of the data; it
returns what is there.
"""

import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


class Window:
    """Random reads over a seekable stream of known size."""

    def __init__(self, stream: BinaryIO, size: int) -> None:
        self._stream = stream
        self.size = size

    @classmethod
    def over(cls, data: bytes) -> "Window":
        return cls(io.BytesIO(data), len(data))

    def read(self, offset: int, count: int) -> bytes:
        """Up to `count` bytes from `offset`."""
        self._stream.seek(offset)
        return self._stream.read(count)

    def number(self, offset: int, count: int) -> int | None:
        """A big-endian integer of `count` bytes, or None where the data ends before it."""
        data = self.read(offset, count)
        return int.from_bytes(data, "big") if len(data) == count else None


@contextmanager
def open_window(path: Path) -> Iterator[Window]:
    """A window on a file.

    Raises:
        OSError: it cannot be read, or is a folder, a pipe or a device.
    """
    try:
        mode = path.stat().st_mode
    except ValueError as error:  # a NUL in the name
        raise OSError("not a possible file name") from error
    if not stat.S_ISREG(mode):  # opening a pipe would wait for its writer
        raise OSError("not a regular file")
    with path.open("rb") as stream:
        yield Window(stream, os.fstat(stream.fileno()).st_size)
