"""The imager without worker processes: the same steps in a thread of this process.

For notebooks' previews, tools and tests, on pictures that are trusted: a decoder that crashes
takes the program with it. Invariant: one picture at a time, because libvips keeps its complaints
in one place for all threads.
"""

import asyncio
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from heliograph.ports import AreaShape, Cell, Inspection
from heliograph.types import Export, ExportSpec, Pixels

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

    async def mark(self, picture: Path, area: AreaShape, folder: Path) -> Path:
        """A copy with the area marked.

        Raises:
            InvalidRequest: the area does not go with the picture.
            FinishError: it cannot be made.
        """

        def work() -> Path:
            from heliograph.imaging.marking import mark

            return mark(picture, area, folder)

        return await _alone(work)

    async def blend(self, parent: Path, change: Path, area: AreaShape, folder: Path) -> Path:
        """The change inside the area, the parent outside.

        Raises:
            InvalidRequest: the area does not go with the parent.
            FinishError: it cannot be made.
        """

        def work() -> Path:
            from heliograph.imaging.blending import blend

            return blend(parent, change, area, folder)

        return await _alone(work)

    async def fit(
        self, picture: Path, *, max_bytes: int, max_side: int, max_area: int, folder: Path
    ) -> Path:
        """A copy within the limits, or the picture itself.

        Raises:
            InvalidRequest: it is no picture that is accepted.
            FinishError: no copy is that small, or it cannot be written.
        """

        def work() -> Path:
            from heliograph.imaging.fitting import Limits, fit

            limits = Limits(max_bytes=max_bytes, max_side=max_side, max_area=max_area)
            return fit(picture, limits, folder)

        return await _alone(work)

    async def sheet(self, cells: Sequence[Cell], folder: Path, *, columns: int, title: str) -> Path:
        """A contact sheet.

        Raises:
            InvalidRequest: no cells, or too many for one sheet.
            FinishError: it cannot be made.
        """

        def work() -> Path:
            from heliograph.imaging.sheet import sheet

            return sheet(cells, folder, columns=columns, title=title)

        return await _alone(work)

    async def tiles(
        self, picture: Path, pixels: Pixels, folder: Path, *, side: int, overlap: int
    ) -> Path:
        """One level of a deep zoom.

        Raises:
            FinishError: it cannot be made.
        """

        def work() -> Path:
            from heliograph.imaging.tiling import tiles

            return tiles(picture, pixels, folder, side=side, overlap=overlap)

        return await _alone(work)

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


async def _alone(work: Callable[[], Path]) -> Path:
    def locked() -> Path:
        with _ONE_AT_A_TIME:
            return work()

    return await asyncio.to_thread(locked)
