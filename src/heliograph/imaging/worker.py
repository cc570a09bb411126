"""The process that decodes: `python -m heliograph.imaging.worker`.

Reads jobs from stdin and answers on stdout, one JSON line each, until stdin ends; so it goes when
its parent goes, however that happens.
Invariant: nothing but answers is ever written to the parent; whatever a C library prints goes to
stderr.
"""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any, BinaryIO

from heliograph.errors import InvalidRequest, StorageError
from heliograph.imaging.blending import blend
from heliograph.imaging.confinement import allow_cpu, confine_libvips, confine_process
from heliograph.imaging.finishing import finish
from heliograph.imaging.fitting import Limits, fit
from heliograph.imaging.inspecting import inspect
from heliograph.imaging.lettering import use_own_fonts
from heliograph.imaging.marking import mark
from heliograph.imaging.protocol import (
    READY,
    line,
    read_blend,
    read_finish,
    read_fit,
    read_mark,
    read_sheet,
    read_tiles,
    tell_error,
    tell_export,
    tell_inspection,
    tell_path,
    tell_problems,
)
from heliograph.imaging.sheet import sheet
from heliograph.imaging.tiling import tiles

INSPECT_CPU, FINISH_CPU = 30, 180  # seconds; above the parent's patience, in case it is gone
CELL_CPU = 3  # seconds more for each cell of a sheet
NICE = 10  # a picture can wait a little; whoever receives and answers beside it should not


def main() -> None:
    """Give up what a decoder does not need, then serve the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    if sys.platform != "win32":
        os.nice(NICE)
    confine_process()
    confine_libvips()
    use_own_fonts()
    serve(sys.stdin.buffer, _claim_stdout())


def serve(jobs: BinaryIO, answers: BinaryIO) -> None:
    """Answer every line of `jobs` until it ends."""
    answers.write(READY)
    answers.flush()
    for raw in jobs:
        job = json.loads(raw)
        answers.write(line({"id": job["id"], **answer(job)}))
        answers.flush()


def answer(job: dict[str, Any]) -> dict[str, Any]:
    """Do one job; never raises."""
    try:
        return _do(job)
    except InvalidRequest as error:
        return tell_problems(error)
    except StorageError as error:
        return tell_error(error)
    except Exception as error:  # noqa: BLE001  the process edge: the parent must hear of it
        return tell_error(
            StorageError(
                "The image worker failed.",
                why=f"{type(error).__name__}: {error}"[:300],
                remedy="The image is untouched. Try again; if it stays, report it.",
            )
        )


def _do(job: dict[str, Any]) -> dict[str, Any]:
    if "inspect" in job:
        allow_cpu(INSPECT_CPU)
        return tell_inspection(inspect(Path(job["inspect"])))
    if "sheet" in job:
        cells, folder, columns, title = read_sheet(job["sheet"])
        allow_cpu(FINISH_CPU + CELL_CPU * len(cells))
        return tell_path(sheet(cells, folder, columns=columns, title=title))
    allow_cpu(FINISH_CPU)
    if "mark" in job:
        return tell_path(mark(*read_mark(job["mark"])))
    if "blend" in job:
        return tell_path(blend(*read_blend(job["blend"])))
    if "fit" in job:
        picture, limits, folder = read_fit(job["fit"])
        return tell_path(fit(picture, Limits(**limits), folder))
    if "tiles" in job:
        picture, pixels, folder, side, overlap = read_tiles(job["tiles"])
        return tell_path(tiles(picture, pixels, folder, side=side, overlap=overlap))
    return tell_export(finish(*read_finish(job["finish"])))


def _claim_stdout() -> BinaryIO:
    """Our own way to the parent; file descriptor 1 becomes stderr for everybody else."""
    private = os.dup(1)
    os.dup2(2, 1)
    return os.fdopen(private, "wb")


if __name__ == "__main__":
    main()
