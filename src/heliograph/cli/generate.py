"""`heliograph generate`: from a prompt to a verified file."""

import re
import sys
import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from cyclopts import Group, Parameter

from heliograph.cli.ask import Asking, Finishing, Flag
from heliograph.cli.progress import Progress
from heliograph.cli.report import result_facts, result_lines
from heliograph.cli.screen import print_json, print_lines
from heliograph.cli.session import open_client, patiently, run_with
from heliograph.client import Access, AsyncHeliograph, Options
from heliograph.errors import WouldOverwrite
from heliograph.placing import place
from heliograph.types import Export, Record, Result

OUTPUT = Group("Output", sort_key=0)
SLUG_LENGTH = 48
ASKING = Asking()
FINISHING = Finishing()


def generate(
    prompt: str | None = None,
    /,
    *,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"], group=OUTPUT)] = None,
    force: Annotated[Flag, Parameter(group=OUTPUT)] = False,
    json: Annotated[Flag, Parameter(group=OUTPUT)] = False,
    simulate: Annotated[bool | None, Parameter(group=OUTPUT)] = None,
    home: Annotated[Path | None, Parameter(group=OUTPUT)] = None,
    asking: Asking = ASKING,
    finishing: Finishing = FINISHING,
) -> int:
    """Make one image, check its pixels, keep it, settle its cost, and write the file.

    Args:
        prompt: What to draw. Default: read it from standard input.
        output: File or folder to write to. Default: a name made from the prompt, here.
        force: Replace an existing file.
        json: Print the result as JSON.
        simulate: Use the local emulator, or with --no-simulate insist on a key. Default: the
            emulator when there is no key.
        home: Folder of the library of originals.
    """
    text = sys.stdin.read().strip() if prompt is None else prompt
    options: Options = {**asking.options(), **finishing.options(output)}
    progress = Progress(quiet=json)
    client = open_client(simulate=simulate, home=home, observer=progress)
    request = client.request(text, **options)
    _refuse_existing(output, force=force)

    async def work(client: AsyncHeliograph) -> tuple[Result, Access]:
        plan = await client.plan_request(request)
        access = await client.access()
        progress.start(plan, access)
        with progress:
            made = client.run(request)
            return await patiently(made, lambda: progress.sent, progress.held_back), access

    result, access = run_with(client, work)
    files = write_files(result.record, result.path, result.exports, output, force=force)
    if json:
        print_json(result_facts(result, files, access))
    else:
        print_lines(result_lines(result, files), simulated=result.simulated)
    return 0


def write_files(
    record: Record,
    original: Path,
    exports: Sequence[Export],
    output: Path | None,
    *,
    force: bool,
) -> tuple[Export, ...]:
    """Put every finished file where the user wants it; the main file comes first."""
    if not any(e.name == "export" for e in exports):
        exports = (_untouched(record, original), *exports)
    stem, folder, suffix = _name(output, record)
    written: list[Export] = []
    for export in exports:
        main = export.name == "export"
        name = stem if main else f"{stem}-{export.name}"
        ending = suffix if main and _same_type(suffix, export.path.suffix) else export.path.suffix
        path = place(export.path, folder / f"{name}{ending}", force=force)
        written.append(replace(export, path=path))
    return tuple(written)


def slug(prompt: str) -> str:
    """A file name from a prompt: letters and digits of any script, dashes, not too long."""
    cleaned = re.sub(r"\[\[.*?\]\]", " ", unicodedata.normalize("NFKC", prompt))
    words = re.findall(r"\w+", cleaned.lower())
    name = "-".join(w for w in words if w not in ("a", "an", "the", "of", "on", "at", "in"))
    shortened = name[:SLUG_LENGTH].rsplit("-", 1)[0] if len(name) > SLUG_LENGTH else name
    return shortened.strip("-_") or "image"


def _name(output: Path | None, record: Record) -> tuple[str, Path, str]:
    if output is None or output.is_dir():
        return f"{slug(record.prompt)}-{record.id[:8]}", output or Path(), ""
    return output.stem, output.parent, output.suffix


def _same_type(wanted: str, actual: str) -> bool:
    groups = ({".jpg", ".jpeg", ".jpe"}, {".tif", ".tiff"})
    wanted, actual = wanted.lower(), actual.lower()
    return wanted == actual or any(wanted in g and actual in g for g in groups)


def _untouched(record: Record, original: Path) -> Export:
    kept = record.result
    if kept is None:
        raise AssertionError("a result without an image")
    return Export(
        name="export",
        path=original,
        sha256=kept.sha256,
        size=kept.size,
        format=kept.format,
        pixels=kept.pixels,
    )


def _refuse_existing(output: Path | None, *, force: bool) -> None:
    """Before anything is paid for; `place` checks again when it writes."""
    if output is not None and output.is_file() and not force:
        raise WouldOverwrite(
            f"{output} exists already; nothing was sent.",
            remedy="Choose another name, or add --force to replace it.",
        )
