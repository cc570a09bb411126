"""`heliograph sheet`: one page of HTML and one PNG of many kept pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Group, Parameter

from heliograph.cli.ask import Flag
from heliograph.cli.naming import slug
from heliograph.cli.screen import note, print_json, print_lines
from heliograph.cli.session import open_library, run_with
from heliograph.client import AsyncHeliograph
from heliograph.errors import InvalidRequest, Problem, RecordNotFound
from heliograph.sheets import MOST, Sheet, grounding_of, totals
from heliograph.types import Record

CHOICE = Group("Which pictures", sort_key=1)
FILES = Group("Files", sort_key=2)
LATEST = 40


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Which records are shown; one way of several."""

    records: tuple[str, ...]
    search: str | None
    session: str | None
    limit: int

    @property
    def name(self) -> str | None:
        """What a sheet of this choice is about."""
        if self.session is not None:
            return f"Session {self.session}"
        return f"Pictures of {self.search}" if self.search else None


def sheet(
    *records: Annotated[str, Parameter(group=CHOICE)],
    search: Annotated[str | None, Parameter(group=CHOICE)] = None,
    session: Annotated[str | None, Parameter(group=CHOICE)] = None,
    limit: Annotated[int, Parameter(group=CHOICE)] = LATEST,
    output: Annotated[
        str | None,
        Parameter(name=["--output", "-o"], group=FILES, allow_leading_hyphen=True),
    ] = None,
    title: Annotated[str | None, Parameter(group=FILES)] = None,
    columns: Annotated[int, Parameter(group=FILES)] = 4,
    no_html: Annotated[Flag, Parameter(group=FILES)] = False,
    no_png: Annotated[Flag, Parameter(group=FILES)] = False,
    force: Annotated[Flag, Parameter(group=FILES)] = False,
    json: Annotated[Flag, Parameter(group=FILES)] = False,
    home: Annotated[Path | None, Parameter(group=FILES)] = None,
) -> int:
    """Make a contact sheet: thumbnails with prompts, pixels, cost, and sources where there are.

    The paths of the files go to standard output. Nothing is called and nothing is charged.

    Args:
        records: Ids, or beginnings of ids. Default: the latest pictures.
        search: Only pictures whose prompt contains this text.
        session: All pictures of a session, by its id or name.
        limit: How many of the latest pictures at most; records and sessions are shown whole.
        output: NAME, which gives NAME.html and NAME.png, or a folder. Default: a name made from
            the title, here.
        title: What stands above. Default: what was chosen.
        columns: How many pictures side by side; the page has fewer where there is no room.
        no_html: Leave out the page.
        no_png: Leave out the PNG.
        force: Replace existing files.
        json: Print as JSON.
        home: Folder of the library of originals.
    """
    choice = Choice(records=records, search=search, session=session, limit=limit)
    _refuse_contradictions(choice)
    heading = title or choice.name or "Contact sheet"
    where = _where(output, heading)

    async def work(client: AsyncHeliograph) -> tuple[Sequence[Record], Sheet]:
        chosen = await _chosen(client, choice)
        made = await client.sheet(
            chosen,
            where,
            title=heading,
            columns=columns,
            html=not no_html,
            png=not no_png,
            force=force,
        )
        return chosen, made

    chosen, made = run_with(open_library(home), work)
    if json:
        print_json(_facts(chosen, made, heading))
        return 0
    note(f"{totals(chosen)}", simulated=all(r.simulated for r in chosen))
    if made.html is None and any(_must_show(r) for r in chosen):
        note(
            "warning: Google requires its search suggestions wherever a grounded picture is "
            "shown; the PNG cannot hold them, the page does."
        )
    print_lines(str(path) for path in (made.html, made.png) if path is not None)
    return 0


async def _chosen(client: AsyncHeliograph, choice: Choice) -> Sequence[Record]:
    if choice.records:
        found = [await client.image(record) for record in choice.records]
        return list({record.id: record for record in found}.values())
    if choice.session is not None:
        session = await client.sessions.find(choice.session)
        records = [n.record for n in session.nodes.values() if not n.deleted]
    else:
        records = list(await _latest(client, choice))
    if not records:
        raise RecordNotFound(
            "There is no picture to show.",
            why=f"None is found by {choice.name!r}." if choice.name else "The library is empty.",
            remedy="`heliograph images list` shows what there is.",
        )
    return records


async def _latest(client: AsyncHeliograph, choice: Choice) -> Sequence[Record]:
    """The latest records with a picture; calls without one are no use on a sheet."""
    asked = choice.limit
    while True:
        found = await client.images(limit=asked, search=choice.search)
        pictures = [record for record in found if record.result]
        if len(pictures) >= choice.limit or len(found) < asked:
            return pictures[: choice.limit]
        asked *= 4


def _must_show(record: Record) -> bool:
    grounding = grounding_of(record)
    return grounding is not None and grounding.entry_point is not None


def _where(output: str | None, heading: str) -> str:
    """Where the files go, without a suffix unless the user gave one."""
    name = slug(heading)
    if output is None:
        return name
    if output.startswith("-") or not output.strip():
        message = "is no file name"
        nearest = (f"./{output.strip() or name}",)
        raise InvalidRequest(
            [Problem(field="output", value=output, message=message, nearest=nearest)]
        )
    # a folder that is there gets the same name as one that is not
    is_folder = output.endswith(("/", "\\")) or _is_folder(output)
    return str(Path(output) / name) if is_folder else output


def _is_folder(output: str) -> bool:
    try:
        return Path(output).is_dir()
    except (OSError, ValueError):
        return False  # the name is refused where it is used, and told why


def _refuse_contradictions(choice: Choice) -> None:
    ways = {
        "records": bool(choice.records),
        "search": choice.search is not None,
        "session": choice.session is not None,
    }
    given = [name for name, is_given in ways.items() if is_given]
    problems = []
    if len(given) > 1:
        message = f"cannot go together with {given[0]}; choose one way to name the pictures"
        value = str(getattr(choice, given[1]))
        problems.append(Problem(field=given[1], value=value, message=message))
    if not 1 <= choice.limit <= MOST:
        nearest = ("1" if choice.limit < 1 else str(MOST),)
        message = f"must be from 1 to {MOST}"
        value = str(choice.limit)
        problems.append(Problem(field="limit", value=value, message=message, nearest=nearest))
    if problems:
        raise InvalidRequest(problems)


def _facts(records: Sequence[Record], made: Sheet, title: str) -> dict[str, Any]:
    sums = totals(records)
    return {
        "title": title,
        "html": str(made.html) if made.html else None,
        "png": str(made.png) if made.png else None,
        "records": [record.id for record in records],
        "pictures": sums.pictures,
        "cost_micro": sums.real or 0,
        "simulated_micro": sums.simulated or 0,
    }
