"""`heliograph images`: find, show and export what was kept."""

import os
import shutil
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from heliograph.cli import examples
from heliograph.cli.ask import Finishing, Flag, refuse_limit
from heliograph.cli.naming import destination, refuse_library, write_files
from heliograph.cli.report import (
    VERDICT_WORDS,
    Searches,
    export_facts,
    grounding_words,
    record_facts,
    searches_facts,
    searches_of,
)
from heliograph.cli.screen import (
    facts_lines,
    note,
    print_json,
    print_lines,
    print_table,
    size_text,
)
from heliograph.cli.session import open_library, run_with
from heliograph.client import AsyncHeliograph
from heliograph.errors import RecordNotFound
from heliograph.money import dollars
from heliograph.provenance import plain
from heliograph.storage import Condition, FileCheck, RebuildReport
from heliograph.types import Export, Outcome, Record

app = App(
    name="images",
    help="Find, show, open, export, verify and rebuild kept images.",
    help_format="plaintext",
    help_epilogue=examples("heliograph images list", "heliograph images show 3f2a91c0"),
    result_action="return_value",
)

SHOWN_PROMPT = 48
NOTICEABLE = 0.5  # per cent of a crop
FINISHING = Finishing()
DAMAGED_CODE = 1
Json = Annotated[Flag, Parameter()]


@app.command(
    name="list",
    help_epilogue=examples("heliograph images list", "heliograph images list leopard --limit 5"),
)
def list_(
    search: str | None = None,
    /,
    *,
    limit: int = 20,
    json: Json = False,
    home: Path | None = None,
) -> int:
    """List past calls, newest first.

    Args:
        search: Only prompts that contain this text.
        limit: How many at most.
        json: Print as JSON.
        home: Folder of the library of originals.
    """

    async def work(client: AsyncHeliograph) -> list[Record]:
        return list(await client.images(limit=limit, search=search))

    refuse_limit(limit)
    records = run_with(open_library(home), work)
    if json:
        print_json([record_facts(r) for r in records])
        return 0
    if not records:
        print_lines(['There is nothing yet. Try: heliograph generate "A lighthouse at dawn"'])
        return 0
    print_table(
        ["id", "when (UTC)", "prompt", "pixels", "", "cost", ""],
        [_row(r) for r in records],
        right=("cost", "pixels"),
    )
    return 0


@app.command(help_epilogue=examples("heliograph images show 3f2a91c0"))
def show(record: str, /, *, json: Json = False, home: Path | None = None) -> int:
    """Show everything that is known of one call.

    Args:
        record: Id, or the beginning of one (4 characters or more).
        json: Print as JSON.
        home: Folder of the library of originals.
    """

    async def work(
        client: AsyncHeliograph,
    ) -> tuple[Record, Path | None, Searches | None, list[dict[str, object]]]:
        found = await client.image(record)
        original = await client.original(found) if found.result else None
        lines = [
            {"entry": x.entry_id, "kind": x.kind, "micro": x.micro, "detail": dict(x.detail)}
            for x in await client.lines(found.id)
        ]
        return found, original, await searches_of(client, found), lines

    found, original, searches, lines = run_with(open_library(home), work)
    if json:
        facts = {"original": str(original) if original else None, "ledger": lines}
        print_json({**record_facts(found), "searches": searches_facts(searches), **facts})
        return 0
    words = {**_words(found, original), **_grounding(found, searches)}
    print_lines(facts_lines(words), simulated=found.simulated)
    return 0


@app.command(
    help_epilogue=examples(
        "heliograph images export 3f2a91c0 --pixels 1920x1080 -o wallpaper.png",
        'heliograph images export 3f2a91c0 --for "youtube thumbnail"',
    )
)
def export(
    record: str,
    /,
    *,
    output: Annotated[
        str | None, Parameter(name=["--output", "-o"], allow_leading_hyphen=True)
    ] = None,
    force: Annotated[Flag, Parameter()] = False,
    json: Json = False,
    home: Path | None = None,
    finishing: Finishing = FINISHING,
) -> int:
    """Make files of a kept image again, at no cost and without any call.

    Args:
        record: Id, or the beginning of one (4 characters or more).
        output: File or folder to write to. Default: a name made from the prompt, here.
        force: Replace an existing file.
        json: Print as JSON.
        home: Folder of the library of originals.
    """
    where = destination(output)
    refuse_library(where)
    options = finishing.options(where.suffix)

    async def work(client: AsyncHeliograph) -> tuple[Record, Path, tuple[Export, ...]]:
        found = await client.image(record)
        return found, await client.original(found), await client.export(found.id, **options)

    found, original, exports = run_with(open_library(home), work)
    files = write_files(found, original, exports, where, force=force)
    if json:
        print_json([export_facts(f) for f in files])
    else:
        for line in _changes(found, exports):
            note(line, simulated=found.simulated)
        for file in files:
            line = f"wrote {file.path}  {file.pixels}  {size_text(file.size)}"
            note(line, simulated=found.simulated)
        if not where.to_stdout:
            print_lines(str(f.path) for f in files)
    return 0


@app.command(name="open", help_epilogue=examples("heliograph images open 3f2a91c0"))
def open_(record: str, /, *, home: Path | None = None) -> int:
    """Open the original with the system's viewer and print its path.

    Args:
        record: Id, or the beginning of one (4 characters or more).
        home: Folder of the library of originals.
    """

    async def work(client: AsyncHeliograph) -> Path:
        return await client.original(await client.image(record))

    original = run_with(open_library(home), work)
    print_lines([str(original)])
    if not view(original):
        note("There is no viewer to open it with.")
    return 0


def view(file: Path) -> bool:
    """Hand a file to the system's viewer; False when there is none."""
    try:
        if sys.platform == "win32":
            os.startfile(file)  # noqa: S606 - what a double click does
            return True
        viewer = shutil.which("open" if sys.platform == "darwin" else "xdg-open")
        if viewer is None:
            return False
        process = subprocess.Popen(
            [viewer, str(file)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        # it may stay open for hours, and nobody waits for it
        threading.Thread(target=process.wait, daemon=True).start()
    except OSError:
        return False
    return True


@app.command(
    help_epilogue=examples("heliograph images verify", "heliograph images verify 3f2a91c0 --deep")
)
def verify(
    *records: str,
    deep: Annotated[Flag, Parameter()] = False,
    json: Json = False,
    home: Path | None = None,
) -> int:
    """Check that every stored original and signature is what was stored.

    Exits with 0 when all are intact, 1 when one is damaged, 9 when one is missing.

    Args:
        records: Ids, or beginnings of ids. Default: the whole library.
        deep: Decode each picture as well.
        json: Print as JSON.
        home: Folder of the library of originals.
    """

    async def work(client: AsyncHeliograph) -> tuple[FileCheck, ...]:
        return await client.verify(records, deep=deep)

    checks = run_with(open_library(home), work)
    count = {c: sum(check.condition is c for check in checks) for c in Condition}
    if json:
        print_json({**{c.value: n for c, n in count.items()}, "files": [plain(c) for c in checks]})
    else:
        print_lines(
            f"{c.condition.value}: {c.key} of {c.record_id[:8]}: {c.reason}"
            for c in checks
            if c.condition is not Condition.INTACT
        )
        print_lines([", ".join(f"{n} {c.value}" for c, n in count.items()) + "."])
    if count[Condition.DAMAGED]:
        return DAMAGED_CODE
    return RecordNotFound.exit_code if count[Condition.MISSING] else 0


@app.command(help_epilogue=examples("heliograph images rebuild"))
def rebuild(*, json: Json = False, home: Path | None = None) -> int:
    """Re-create the database from the files beside the originals; nothing is ever deleted.

    Args:
        json: Print as JSON.
        home: Folder of the library of originals.
    """

    async def work(client: AsyncHeliograph) -> RebuildReport:
        return await client.rebuild()

    report = run_with(open_library(home), work)
    if json:
        print_json(plain(report))
    else:
        print_lines(
            [
                f"{len(report.added)} records re-created, {len(report.already)} there already.",
                f"{report.intact} files are intact.",
                *(f"Damaged: {d.key}: {d.reason}" for d in report.damaged),
                *(f"No record names {key}; it is kept." for key in report.unclaimed),
            ]
        )
    return 9 if report.damaged else 0


def _changes(record: Record, exports: Sequence[Export]) -> Iterator[str]:
    """What an exact size did to the picture, which must not happen in silence."""
    kept = record.result
    for export in exports:
        if kept is None or export.name != "export":
            continue
        have, got = kept.pixels, export.pixels
        scale = min(Fraction(have.width, got.width), Fraction(have.height, got.height))
        lost = round(100 * (1 - float(scale**2 * got.area / have.area)), 1)
        if lost >= NOTICEABLE:
            yield f"{lost:g} % of the original is cropped away; --anchor says which part stays."
        if scale < 1:
            yield f"The file is enlarged by {round(100 * (1 / float(scale) - 1), 1):g} %."


def _row(record: Record) -> list[str]:
    kept = record.result
    prompt = " ".join(record.prompt.split())
    short = prompt if len(prompt) <= SHOWN_PROMPT else prompt[: SHOWN_PROMPT - 1] + "…"
    return [
        record.id[:8],
        f"{record.created:%Y-%m-%d %H:%M}",
        short,
        str(kept.pixels) if kept else "",
        _state(record),
        dollars(record.cost),
        "simulated" if record.simulated else "",
    ]


def _state(record: Record) -> str:
    if record.outcome is Outcome.KEPT and record.verdict is not None:
        return VERDICT_WORDS[record.verdict]
    return record.outcome.value


def _words(record: Record, original: Path | None) -> dict[str, str]:
    words = {
        "Id": record.id,
        "When": f"{record.created:%Y-%m-%d %H:%M:%S} UTC",
        "Prompt": record.prompt,
        "Model": f"{record.model_version or record.model}, tier {record.tier}",
        "Asked": " ".join(x for x in (record.size, record.aspect) if x) or "no exact size",
        "Got": f"{record.result.pixels} {record.result.format}" if record.result else "no image",
        "State": _state(record),
        "Cost": f"{dollars(record.cost)} (estimated {dollars(record.estimate.expected)}, "
        f"prices of {record.estimate.priced_on})",
        "Original": str(original) if original else "none",
        "SHA-256": record.result.sha256 if record.result else "none",
        "Upstream": f"{record.upstream}, response {record.response_id or 'unknown'}",
    }
    for index, image in enumerate(i for i in record.images if i is not record.result):
        words[f"Also kept {index + 1}"] = f"{image.role.value} {image.pixels} {image.key}"
    for index, warning in enumerate(record.warnings):
        words[f"Warning {index + 1}"] = warning
    return words


def _grounding(record: Record, searches: Searches | None) -> dict[str, str]:
    """What the picture rests on; a name that comes several times is numbered."""
    found = list(grounding_words(record, searches))
    often = Counter(name for name, _ in found)
    seen: Counter[str] = Counter()
    words = {}
    for name, value in found:
        seen[name] += 1
        number = f" {seen[name]}" if often[name] > 1 else ""
        words[f"{name.capitalize()}{number}"] = value
    return words
