"""The imager without worker processes: the same steps in a thread of this process.

For notebooks' previews, tools and tests, on pictures that are trusted: a decoder that crashes
takes the program with it. Invariant: one picture at a time, because libvips keeps its complaints
in one place for all threads.
"""

import asyncio
import tempfile
import threading
from pathlib import Path

from heliograph.ports import Inspection
from heliograph.types import Export, ExportSpec

_ONE_AT_A_TIME = threading.Lock()
_PREVIEW_SIDE = 1024  # px


class DirectImager:
    """Decodes and encodes in this process; implements `ports.Imager`."""

    async def inspect(self, path: Path) -> Inspection:
        """Decode the whole picture.

        Raises:
            StorageError: the file cannot be read.
        """
        return await asyncio.to_thread(self._inspect, path)

    async def finish(self, original: Path, spec: ExportSpec, folder: Path) -> Export:
        """Make one export.

        Raises:
            FinishError: it cannot be made as asked.
        """
        return await asyncio.to_thread(self._finish, original, spec, folder)

    async def close(self) -> None:
        """Nothing is held between jobs."""

    def preview_png(self, original: Path) -> bytes:
        """A PNG of at most 1024 px a side; blocks.

        Raises:
            FinishError: the original does not decode.
        """
        spec = ExportSpec(name="preview", format="png", fit_within=_PREVIEW_SIDE)
        with tempfile.TemporaryDirectory() as folder:
            return self._finish(original, spec, Path(folder)).path.read_bytes()

    # late imports: they load libvips, which this process may never need

    def _inspect(self, path: Path) -> Inspection:
        from heliograph.imaging.inspecting import inspect

        with _ONE_AT_A_TIME:
            return inspect(path)

    def _finish(self, original: Path, spec: ExportSpec, folder: Path) -> Export:
        from heliograph.imaging.finishing import finish

        with _ONE_AT_A_TIME:
            return finish(original, spec, folder)
