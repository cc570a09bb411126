"""`heliograph sessions`: pictures as trees of versions: look, move, mark, take along.

Invariant: nothing here is paid for and nothing is ever deleted; what is removed is put out of sight
and comes back with `restore`.
"""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from heliograph.cli import examples
from heliograph.cli.ask import Flag, refuse_limit
from heliograph.cli.screen import facts_lines, note, print_json, print_lines, print_table
from heliograph.cli.session import open_library, run_with
from heliograph.cli.session_report import (
    SHORT,
    listed_facts,
    place_of,
    session_facts,
    session_words,
)
from heliograph.cli.tree import is_narrow, print_tree
from heliograph.cli.wording import refused
from heliograph.client import AsyncHeliograph
from heliograph.money import dollars
from heliograph.sessions import Listed, Node, Session

app = App(
    name="sessions",
    help="Pictures as trees of versions: show, go back, branch, name, export.",
    help_format="plaintext",
    help_epilogue=examples(
        "heliograph sessions list", "heliograph sessions show", "heliograph sessions undo"
    ),
    result_action="return_value",
)

Json = Annotated[Flag, Parameter()]
Work = Callable[[AsyncHeliograph], Awaitable[Session]]


@app.command(
    name="list",
    help_epilogue=examples(
        "heliograph sessions list",
        "heliograph sessions list --search lighthouse",
        "heliograph sessions list --removed",
    ),
)
def list_(
    *,
    search: str | None = None,
    removed: Annotated[Flag, Parameter()] = False,
    limit: int = 20,
    json: Json = False,
    home: Path | None = None,
) -> int:
    """List sessions, those worked on last first.

    Args:
        search: Only those whose name or first prompt contains this text.
        removed: Those that were removed instead.
        limit: How many at most.
        json: Print as JSON.
        home: Folder of the library of originals.
    """
    refuse_limit(limit)

    async def work(client: AsyncHeliograph) -> list[tuple[Listed, bool]]:
        found = await client.sessions.list(search=search, deleted=removed)
        return [(row, (await client.image(row.last)).simulated) for row in found[:limit]]

    rows = run_with(open_library(home), work)
    if json:
        print_json([listed_facts(row, simulated=simulated) for row, simulated in rows])
        return 0
    if not rows:
        print_lines([_none_yet(search, removed=removed)])
        return 0
    _print_list(rows)
    return 0


def _print_list(rows: Sequence[tuple[Listed, bool]]) -> None:
    cells = [
        [
            row.id[:SHORT],
            f"* {row.name}" if row.starred else row.name,
            f"{row.changed:%Y-%m-%d %H:%M}",
            str(row.turns),
            dollars(row.micro),
            "simulated" if simulated else "",
        ]
        for row, simulated in rows
    ]
    if is_narrow():
        for number, called, when, turns, *rest in cells:
            facts = " ".join((when, _count(int(turns), "turn"), *rest)).strip()
            print_lines([f"{number} {called}", f"  {facts}"])
        return
    columns = ["id", "name", "worked on (UTC)", "turns", "cost", ""]
    print_table(columns, cells, right=("turns", "cost"))


@app.command(
    help_epilogue=examples("heliograph sessions show", "heliograph sessions show lighthouse --all")
)
def show(
    session: str | None = None,
    /,
    *,
    all: Annotated[Flag, Parameter()] = False,  # noqa: A002 - the option's name
    json: Json = False,
    home: Path | None = None,
) -> int:
    """Show what is known of a session, and its versions as a tree.

    Args:
        session: Id, the beginning of one, or name. Default: the one worked on last.
        all: Also versions that were removed.
        json: Print as JSON.
        home: Folder of the library of originals.
    """
    tree = _found(session, home)
    if json:
        print_json(session_facts(tree))
        return 0
    print_lines(facts_lines(session_words(tree)), simulated=tree.simulated)
    print_lines([""])
    print_tree(tree, every=all)
    return 0


@app.command(
    help_epilogue=examples("heliograph sessions tree", "heliograph sessions tree lighthouse")
)
def tree(
    session: str | None = None,
    /,
    *,
    all: Annotated[Flag, Parameter()] = False,  # noqa: A002 - the option's name
    json: Json = False,
    home: Path | None = None,
) -> int:
    """Draw the versions of a session as a tree.

    Args:
        session: Id, the beginning of one, or name. Default: the one worked on last.
        all: Also versions that were removed.
        json: Print as JSON.
        home: Folder of the library of originals.
    """
    found = _found(session, home)
    if json:
        print_json(session_facts(found))
    else:
        print_tree(found, every=all)
    return 0


# ---------------------------------------------------------------- moving


@app.command(
    help_epilogue=examples(
        "heliograph sessions branch 2", "heliograph sessions branch 2 --session lighthouse"
    )
)
def branch(
    version: str,
    /,
    *,
    session: str | None = None,
    json: Json = False,
    home: Path | None = None,
) -> int:
    """Go to a version; the next change of it begins a branch.

    Args:
        version: Its number, name or id.
        session: Id, the beginning of one, or name. Default: the one worked on last.
        json: Print as JSON.
        home: Folder of the library of originals.
    """
    return _moved(lambda c: c.sessions.branch(version, session=session), home, as_json=json)


@app.command(
    help_epilogue=examples("heliograph sessions undo", "heliograph sessions undo 4f2a91c0")
)
def undo(session: str | None = None, /, *, json: Json = False, home: Path | None = None) -> int:
    """Go back to the version before; nothing is deleted.

    Args:
        session: Id, the beginning of one, or name. Default: the one worked on last.
        json: Print as JSON.
        home: Folder of the library of originals.
    """
    return _moved(lambda client: client.sessions.undo(session), home, as_json=json)


@app.command(help_epilogue=examples("heliograph sessions redo"))
def redo(session: str | None = None, /, *, json: Json = False, home: Path | None = None) -> int:
    """Go forward again to the version that undo had left.

    Args:
        session: Id, the beginning of one, or name. Default: the one worked on last.
        json: Print as JSON.
        home: Folder of the library of originals.
    """
    return _moved(lambda client: client.sessions.redo(session), home, as_json=json)


# ---------------------------------------------------------------- marking


@app.command(
    help_epilogue=examples(
        "heliograph sessions star lighthouse", "heliograph sessions star lighthouse 3"
    )
)
def star(
    session: str, version: str | None = None, /, *, json: Json = False, home: Path | None = None
) -> int:
    """Star a session, or one version of it.

    Args:
        session: Id, the beginning of one, or name.
        version: Its number, name or id.
        json: Print as JSON.
        home: Folder of the library of originals.
    """
    return _marked(session, version, "is starred", home, as_json=json, starred=True)


@app.command(help_epilogue=examples("heliograph sessions unstar lighthouse 3"))
def unstar(
    session: str, version: str | None = None, /, *, json: Json = False, home: Path | None = None
) -> int:
    """Take a star away.

    Args:
        session: Id, the beginning of one, or name.
        version: Its number, name or id.
        json: Print as JSON.
        home: Folder of the library of originals.
    """
    return _marked(session, version, "is not starred any more", home, as_json=json, starred=False)


@app.command(
    help_epilogue=examples(
        "heliograph sessions name 4f2a91c0 lighthouse",
        "heliograph sessions name lighthouse 3 final",
        'heliograph sessions name lighthouse 3 ""',
    )
)
def name(
    session: str,
    /,
    *words: str,
    json: Json = False,
    home: Path | None = None,
) -> int:
    """Name a session, or one version of it.

    Args:
        session: Id, the beginning of one, or name.
        words: The new name, or a version and its new name; an empty one takes a name away.
        json: Print as JSON.
        home: Folder of the library of originals.
    """
    if not words or len(words) > 2:
        message = "must be a name, or a version and a name; several words go into quotes"
        raise refused("name", " ".join(words), message)
    version, called = (words[0] if words[1:] else None), words[-1]
    said = f'is called "{called}"' if called.strip() else "has no name any more"
    return _marked(session, version, said, home, as_json=json, name=called)


@app.command(
    help_epilogue=examples("heliograph sessions rm lighthouse 4", "heliograph sessions rm 4f2a91c0")
)
def rm(
    session: str, version: str | None = None, /, *, json: Json = False, home: Path | None = None
) -> int:
    """Put a session, or one version of it, out of sight; nothing is deleted.

    Args:
        session: Id, the beginning of one, or name.
        version: Its number, name or id.
        json: Print as JSON.
        home: Folder of the library of originals.
    """
    tree, node = _mark(session, version, home, deleted=True)
    if json:
        print_json(session_facts(tree))
        return 0
    _tell(tree, node, "is out of sight")
    # by its id: a session without a name of its own can share what it is shown as
    words = f"{tree.id[:SHORT]} {node.number}" if node else tree.id[:SHORT]
    note(f"Nothing was deleted; it comes back with: heliograph sessions restore {words}")
    return 0


@app.command(
    help_epilogue=examples(
        "heliograph sessions restore lighthouse 4", "heliograph sessions restore 4f2a91c0"
    )
)
def restore(
    session: str, version: str | None = None, /, *, json: Json = False, home: Path | None = None
) -> int:
    """Bring back what was removed.

    Args:
        session: Id, the beginning of one, or name.
        version: Its number, name or id.
        json: Print as JSON.
        home: Folder of the library of originals.
    """
    return _marked(session, version, "is back", home, as_json=json, deleted=False)


# ---------------------------------------------------------------- folders


@app.command(
    help_epilogue=examples(
        "heliograph sessions export lighthouse lighthouse/",
        "heliograph sessions export 4f2a91c0 backup/ --force",
    )
)
def export(
    session: str,
    folder: Path,
    /,
    *,
    force: Annotated[Flag, Parameter()] = False,
    json: Json = False,
    home: Path | None = None,
) -> int:
    """Write a session into a folder: its pictures, and what is needed to go on elsewhere.

    Args:
        session: Id, the beginning of one, or name.
        folder: A new or empty folder.
        force: Replace files in a folder that holds some.
        json: Print as JSON.
        home: Folder of the library of originals.
    """

    async def work(client: AsyncHeliograph) -> tuple[Session, Path]:
        found = await client.sessions.find(session)
        return found, await client.sessions.export(found.id, folder, force=force)

    found, written = run_with(open_library(home), work)
    if json:
        print_json({"session": found.id, "versions": len(found.nodes), "folder": str(written)})
        return 0
    note(f"{_called(found)}, {_count(len(found.nodes), 'version')}", simulated=found.simulated)
    print_lines([str(written)])
    return 0


@app.command(name="import", help_epilogue=examples("heliograph sessions import lighthouse/"))
def import_(folder: Path, /, *, json: Json = False, home: Path | None = None) -> int:
    """Take over a session from a folder that `export` wrote; nothing is charged.

    Args:
        folder: The folder.
        json: Print as JSON.
        home: Folder of the library of originals.
    """

    async def work(client: AsyncHeliograph) -> Session:
        return await client.sessions.import_folder(folder)

    found = run_with(open_library(home), work)
    if json:
        print_json(session_facts(found))
        return 0
    count = _count(len(found.nodes), "version")
    print_lines([f"{_called(found)} is here, with {count}."], simulated=found.simulated)
    note(f"Go on with: heliograph edit --session {found.id[:SHORT]} …")
    return 0


# ---------------------------------------------------------------- the same for several


def _called(tree: Session) -> str:
    return f"session {tree.id[:SHORT]} ({tree.name})"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _none_yet(search: str | None, *, removed: bool) -> str:
    if search or removed:
        return "There is none."
    return 'There is none yet. Try: heliograph edit photo.jpg "Make it night"'


def _found(label: str | None, home: Path | None) -> Session:
    async def work(client: AsyncHeliograph) -> Session:
        if label is None:
            return await client.sessions.current()
        return await client.sessions.find(label)

    return run_with(open_library(home), work)


def _moved(work: Work, home: Path | None, *, as_json: bool) -> int:
    tree = run_with(open_library(home), work)
    if as_json:
        print_json(session_facts(tree))
        return 0
    print_lines([f"{_called(tree)} stands at {place_of(tree)}."], simulated=tree.simulated)
    for line in _ways_on(tree):
        note(line)
    return 0


def _ways_on(tree: Session) -> Iterator[str]:
    yield "Change it with: heliograph edit -c …"
    if tree.ahead:
        number = tree.nodes[tree.ahead[0]].number
        yield f"Forward to version {number} with: heliograph sessions redo"


def _marked(
    session: str, version: str | None, said: str, home: Path | None, *, as_json: bool, **marks: Any
) -> int:
    tree, node = _mark(session, version, home, **marks)
    if as_json:
        print_json(session_facts(tree))
    else:
        _tell(tree, node, said)
    return 0


def _mark(
    session: str, version: str | None, home: Path | None, **marks: Any
) -> tuple[Session, Node | None]:
    async def work(client: AsyncHeliograph) -> tuple[Session, Node | None]:
        before = await client.sessions.find(session)
        node = before.find(version) if version is not None else None
        return await client.sessions.mark(before.id, node.id if node else None, **marks), node

    return run_with(open_library(home), work)


def _tell(tree: Session, node: Node | None, said: str) -> None:
    what = f"version {node.number} of {_called(tree)}" if node else _called(tree)
    print_lines([f"{what} {said}."], simulated=tree.simulated)
