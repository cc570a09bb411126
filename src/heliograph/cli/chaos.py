"""`heliograph chaos`: try the promises again, on this machine, at no cost."""

import asyncio
import secrets
from collections.abc import Sequence
from json import dumps
from pathlib import Path
from typing import Literal

from cyclopts import App

from heliograph.chaos.report import Report, RowReport, Verdict, as_json
from heliograph.chaos.row import Row, tally
from heliograph.chaos.rows import ROWS, find_rows
from heliograph.chaos.rows.elsewhere import cases_of, why_not
from heliograph.chaos.run import Progress, Wish, rows_of_all, run
from heliograph.cli import examples
from heliograph.cli.ask import Flag
from heliograph.cli.screen import note, print_json, print_lines, print_table
from heliograph.errors import InvalidRequest, Problem, StorageError
from heliograph.money import dollars

Through = Literal["library", "openai", "gemini"]  # `faces.FACES`
SHOWN = 4  # complaints of one row on the screen; the report has them all
app = App(
    name="chaos",
    help="Inject faults and crashes into real runs, and compare both ledgers.",
    help_format="plaintext",
    help_epilogue=examples("heliograph chaos list", "heliograph chaos run F18 K07"),
    result_action="return_value",
)


@app.default
@app.command(name="list", help_epilogue=examples("heliograph chaos list"))
def list_(*, face: Through = "library", json: Flag = False) -> int:
    """Show every row: what goes wrong, what must happen, which promises it proves.

    Args:
        face: What the rows are asked through; some rows only exist on some faces.
        json: Print as JSON.
    """
    if json:
        print_json([_described(row, face) for row in ROWS])
        return 0
    print_table(
        ("id", "what goes wrong", "what must happen", "C", "B", "promises"),
        [_listed(row, face) for row in ROWS],
    )
    print_lines(
        [
            "",
            "C: calls that upstream counts; B: of these, billed; over all cases of a row.",
            "Try one: heliograph chaos run F18",
        ]
    )
    return 0


@app.command(
    name="run",
    help_epilogue=examples(
        "heliograph chaos run F18", "heliograph chaos run K05 --repeat 20 --keep crashed"
    ),
)
def run_(
    *ids: str,
    face: Through = "library",
    repeat: int = 3,
    seed: int | None = None,
    report: Path | None = None,
    keep: Path | None = None,
    json: Flag = False,
) -> int:
    """Try some rows.

    Args:
        ids: Rows, such as F18 K07.
        face: Ask the library itself, or a gateway through its OpenAI or Gemini API.
        repeat: Kills at each point of a crash row; more also widens K26, K27, KR, M01, M02.
        seed: Same seed, same chances. Without it one is drawn and shown.
        report: File for the report, as JSON.
        keep: Folder in which the libraries of all trials are kept.
        json: Print the report instead of a table.
    """
    if not ids:
        problem = Problem(field="row", value="", message="no row is named", nearest=("all",))
        raise InvalidRequest([problem], remedy="`heliograph chaos list` shows every row.")
    return _try(find_rows(ids), (repeat, seed), report, keep, face=face, as_document=json)


@app.command(name="all", help_epilogue=examples("heliograph chaos all --report chaos.json"))
def all_(
    *,
    face: Through = "library",
    repeat: int = 3,
    seed: int | None = None,
    report: Path | None = None,
    keep: Path | None = None,
    json: Flag = False,
) -> int:
    """Try every row but the soak; two to five minutes.

    Args:
        face: Ask the library itself, or a gateway through its OpenAI or Gemini API.
        repeat: Kills at each point of a crash row; more also widens K26, K27, KR, M01, M02.
        seed: Same seed, same chances. Without it one is drawn and shown.
        report: File for the report, as JSON.
        keep: Folder in which the libraries of all trials are kept.
        json: Print the report instead of a table.
    """
    return _try(rows_of_all(), (repeat, seed), report, keep, face=face, as_document=json)


def _try(
    rows: Sequence[Row],
    chance: tuple[int, int | None],
    file: Path | None,
    keep: Path | None,
    *,
    face: Through,
    as_document: Flag,
) -> int:
    repeat, seed = chance
    if repeat < 1:
        problem = Problem(field="repeat", value=str(repeat), message="is no number from 1")
        raise InvalidRequest([problem])
    seed = secrets.randbelow(10**6) if seed is None else seed
    through = "" if face == "library" else f" through the {face} face of a gateway"
    note(f"Trying {len(rows)} rows{through} against a local emulator, at no cost; seed {seed}.")
    wish = Wish(rows=tuple(rows), repeat=repeat, seed=seed, keep=keep, face=face)
    found = asyncio.run(run(wish, _tell))
    if file is not None:
        _write(file, found)
    if as_document:
        print_json(as_json(found))
    else:
        _show(found)
    untried = (Verdict.NOT_SERVED, Verdict.ELSEWHERE)
    absent = [row for row in found.rows if row.verdict in untried]
    # among all rows they are merely listed; asked for by name, they are not what was wanted
    is_fine = found.holds and (not absent or rows == rows_of_all())
    return 0 if is_fine else 1


def _tell(progress: Progress) -> None:
    """One line for each row that is over, and for what takes long."""
    if progress.report is not None:
        report = progress.report
        note(f"{report.row.id:4} {report.verdict.value:9} {report.seconds:6.1f} s")
        for complaint in report.complaints[:SHOWN]:
            note(f"     {complaint}")
    elif progress.line:
        note(f"     {progress.line}")


def _write(file: Path, found: Report) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(dumps(as_json(found), ensure_ascii=False, indent=2) + "\n", "utf-8")
    except OSError as error:
        raise StorageError(
            "The report cannot be written.",
            why=str(error),
            remedy="Choose another --report, or use --json.",
        ) from error


def _show(found: Report) -> None:
    print_table(
        ("id", "what went wrong", "C", "B", "result", "seconds", "flagged"),
        [_row(row) for row in found.rows],
        right=("C", "B", "seconds", "flagged"),
    )
    lines = [
        f"{row.row.id}: {complaint}"
        for row in found.rows
        if row.verdict is not Verdict.HOLDS
        for complaint in row.complaints[:SHOWN]
    ]
    lines += [f"{row.row.id}: {remark}" for row in found.rows for remark in row.remarks]
    counts = {verdict: sum(r.verdict is verdict for r in found.rows) for verdict in Verdict}
    words = ", ".join(f"{n} {verdict.value}" for verdict, n in counts.items() if n)
    lines.append(f"{len(found.rows)} rows in {found.seconds:.0f} s: {words}. Seed {found.seed}.")
    if counts[Verdict.BROKEN]:
        lines.append(
            "Add --report FILE for everything that was found, --keep FOLDER to look at it."
        )
    print_lines(["", *lines])


def _row(row: RowReport) -> tuple[str, ...]:
    if row.verdict is Verdict.NOT_SERVED:
        return (row.row.id, row.row.title, "", "", f"not served: needs {row.row.needs}", "", "")
    if row.verdict is Verdict.ELSEWHERE:
        return (row.row.id, row.row.title, "", "", str(row.elsewhere), "", "")
    return (
        row.row.id,
        row.row.title,
        str(row.calls),
        str(row.billed),
        row.verdict.value,
        f"{row.seconds:.1f}",
        dollars(row.flagged_micro) if row.flagged_micro else "",
    )


def _listed(row: Row, face: str) -> tuple[str, ...]:
    expects = why_not(row, face) or row.expects
    if not row.is_served:
        expects = f"not served: needs {row.needs}"
    calls, billed = _spans(row, face)
    return (row.id, row.title, expects, calls, billed, ", ".join(map(str, row.promises)))


def _spans(row: Row, face: str) -> tuple[str, str]:
    cases = cases_of(row, face)
    if not cases:
        return "", ""
    return (
        str(tally(cases, lambda case: case.calls)),
        str(tally(cases, lambda case: case.billed)),
    )


def _described(row: Row, face: str) -> dict[str, object]:
    calls, billed = _spans(row, face)
    return {
        "id": row.id,
        "title": row.title,
        "expects": row.expects,
        "promises": list(row.promises),
        "C": calls or None,
        "B": billed or None,
        "served": row.is_served,
        "needs": row.needs,
        "other_face": why_not(row, face),
        "cases": [case.name for case in cases_of(row, face)],
        "only_when_named": bool(row.facts.get("only_when_named")),
    }
