"""A session as a folder: whole when it is taken over, and nothing of it trusted before."""

import json
import os
import random
import shutil
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import Bill, Emulated
from tests.e2e.talking import Log, pictures, settled, shape, stands_at
from tests.e2e.test_sessions import begun, small

from heliograph import AsyncHeliograph, Refused, StorageError
from heliograph.errors import HeliographError, RecordNotFound, WouldOverwrite
from heliograph.types import Record

Opened = Callable[[str], AsyncHeliograph]


@pytest.fixture
async def opened(
    emulated: Emulated, project: str, tmp_path: Path, blank: Path
) -> AsyncIterator[Opened]:
    """Opens libraries by name; those that are not there begin empty."""
    clients = []

    def library(name: str) -> AsyncHeliograph:
        home = tmp_path / name
        if not home.exists():
            shutil.copytree(blank, home)
        key = f"emu-project-{project}"
        clients.append(AsyncHeliograph(base_url=emulated.url, api_key=key, home=home))
        return clients[-1]

    yield library
    for client in clients:
        assert await client.audit() == ()
        assert {check.reason for check in await client.verify()} <= {None}
        await client.close()


@pytest.fixture
async def folder(opened: Opened, tmp_path: Path) -> Path:
    """A session of five versions, two branches, marks, references and a part that was changed."""
    helio = opened("ours")
    await begun(helio, 2)
    await helio.edit("A hat", references=[small(1)])
    await helio.sessions.undo()
    turn = await helio.edit("A red roof", region=(300, 300, 200, 200), protect=True)
    await helio.sessions.mark(turn.session.id, name="Foxes")
    await helio.sessions.mark("Foxes", "3", name="with hat", starred=True)
    await helio.sessions.undo()
    return await helio.sessions.export("Foxes", tmp_path / "out")


def inside(home: Path) -> dict[str, bytes]:
    """Every kept file of a library by its place."""
    kept = home / "originals"
    return {
        str(path.relative_to(home)): path.read_bytes() for path in kept.rglob("*") if path.is_file()
    }


def beside(folder: Path) -> dict[str, bytes]:
    """The files of a folder, those below it left out."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


async def test_a_session_goes_on_in_an_empty_library(
    opened: Opened, folder: Path, emulated: Emulated, tmp_path: Path
) -> None:
    ours, theirs = opened("ours"), opened("theirs")
    one = await ours.sessions.find("Foxes")
    two = await theirs.sessions.import_folder(folder)
    assert two == one
    assert (shape(two), stands_at(two)) == ({0: None, 1: 0, 2: 1, 3: 2, 4: 2}, 2)
    assert two.find("with hat").starred
    assert stands_at(await theirs.sessions.redo("Foxes")) == 4
    for node in two.nodes.values():
        seen = [(await helio.sessions.picture(node)).read_bytes() for helio in (ours, theirs)]
        assert seen[0] == seen[1]
    # the part that was changed is seen as it was, and the talk goes on with its signature
    log = Log(emulated.url)
    turn = await theirs.edit("At night")
    assert shape(turn.session)[5] == 4
    assert log.last.images("model") == pictures(two.find("4").record)
    assert turn.node.record.warnings == ()
    assert await settled(theirs) == turn.node.record.cost
    await theirs.sessions.branch("with hat", session="Foxes")
    await theirs.edit("At dawn", context="last-1")
    assert log.last.images("user") == list(two.find("with hat").record.parents)


async def test_turns_after_a_move_build_on_each_other_elsewhere_too(
    opened: Opened, tmp_path: Path
) -> None:
    ours, theirs = opened("ours"), opened("theirs")
    await begun(ours, 2)
    await ours.sessions.undo()
    for words in ("A hat", "A scarf"):
        turn = await ours.edit(words)
    place = await ours.sessions.export(turn.session.id, tmp_path / "out")
    tree = await theirs.sessions.import_folder(place)
    assert tree == turn.session
    assert (shape(tree), stands_at(tree)) == ({0: None, 1: 0, 2: 1, 3: 1, 4: 3}, 4)
    for words in ("A pond", "A boat"):
        turn = await theirs.edit(words)
    assert shape(turn.session) == shape(tree) | {5: 4, 6: 5}
    assert stands_at(turn.session) == 6


async def test_versions_keep_their_numbers_elsewhere(
    opened: Opened, folder: Path, tmp_path: Path
) -> None:
    document = json.loads((folder / "session.json").read_text())
    first, *_, last = [version["record"]["record"]["id"] for version in document["versions"]]
    document["marks"]["numbers"] |= {last: 7, first: 0, "nobody": 9}
    (folder / "session.json").write_text(json.dumps(document))
    tree = await opened("theirs").sessions.import_folder(folder)
    assert [node.number for node in tree.nodes.values()] == [0, 1, 2, 3, 7]


async def test_a_move_that_says_not_when_it_was_holds_nothing(opened: Opened, folder: Path) -> None:
    document = json.loads((folder / "session.json").read_text())
    assert document["marks"].pop("last")
    (folder / "session.json").write_text(json.dumps(document))
    theirs = opened("theirs")
    assert stands_at(await theirs.sessions.import_folder(folder)) == 4
    assert shape((await theirs.edit("At night")).session)[5] == 4
    assert shape((await theirs.edit("At dawn")).session)[6] == 5


async def test_nothing_is_paid_by_taking_over(opened: Opened, folder: Path, bill: Bill) -> None:
    calls = len(bill.lines)
    theirs = opened("theirs")
    await theirs.sessions.import_folder(folder)
    assert await settled(theirs) == 0
    assert len(bill.lines) == calls


async def test_taking_over_again_changes_nothing(
    opened: Opened, folder: Path, tmp_path: Path
) -> None:
    for name in ("theirs", "ours"):
        helio = opened(name)
        await helio.sessions.import_folder(folder)
        await helio.sessions.mark("Foxes", name="Ours")
        before, files = await helio.sessions.find("Ours"), inside(tmp_path / name)
        assert await helio.sessions.import_folder(folder) == before
        assert inside(tmp_path / name) == files


async def test_what_is_there_is_not_replaced(opened: Opened, folder: Path, tmp_path: Path) -> None:
    sessions = opened("ours").sessions
    before = beside(folder)
    with pytest.raises(WouldOverwrite):
        await sessions.export("Foxes", folder)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(WouldOverwrite):
        await sessions.export("Foxes", tmp_path / "file", force=True)
    (folder / "mine.txt").write_text("mine")
    await sessions.export("Foxes", folder, force=True)
    assert beside(folder) == before | {"mine.txt": b"mine"}
    assert (tmp_path / "file").read_text() == "mine"


# ---------------------------------------------------------------- hostile ones

Document = dict[str, Any]
Spoil = Callable[[Document, Path], None]
SPOILERS: dict[str, Spoil] = {}


def spoiler(spoil: Spoil) -> Spoil:
    SPOILERS[spoil.__name__] = spoil
    return spoil


def some_file(document: Document) -> str:
    files: dict[str, str] = document["files"]
    return next(key for key, name in files.items() if name.startswith("parts/"))


@spoiler
def another_schema(document: Document, _: Path) -> None:
    document["schema"] = "heliograph.session/2"


@spoiler
def a_name_that_leads_out(document: Document, folder: Path) -> None:
    key = some_file(document)
    shutil.copy(folder / document["files"][key], folder.parent / "outside.sig")
    document["files"][key] = "../outside.sig"


@spoiler
def an_absolute_name(document: Document, folder: Path) -> None:
    key = some_file(document)
    document["files"][key] = str(folder / document["files"][key])


@spoiler
def a_name_that_goes_round(document: Document, _: Path) -> None:
    key = some_file(document)
    document["files"][key] = "parts/../" + document["files"][key]


@spoiler
def a_name_that_is_none(document: Document, _: Path) -> None:
    document["files"][some_file(document)] = ["parts"]


@spoiler
def a_link_out_of_the_folder(document: Document, folder: Path) -> None:
    path = folder / document["files"][some_file(document)]
    path.rename(folder.parent / "outside.sig")
    path.symlink_to(folder.parent / "outside.sig")


@spoiler
def a_link_within_the_folder(document: Document, folder: Path) -> None:
    path = folder / document["files"][some_file(document)]
    path.rename(folder / "moved.sig")
    path.symlink_to("../moved.sig")


@spoiler
def a_linked_subfolder(_: Document, folder: Path) -> None:
    (folder / "parts").rename(folder.parent / "parts")
    (folder / "parts").symlink_to(folder.parent / "parts")


@spoiler
def a_pipe_for_a_file(document: Document, folder: Path) -> None:
    path = folder / document["files"][some_file(document)]
    path.unlink()
    os.mkfifo(path)


@spoiler
def a_file_that_is_another(document: Document, folder: Path) -> None:
    (folder / document["files"][some_file(document)]).write_bytes(b"other")


@spoiler
def a_file_that_is_missing(document: Document, folder: Path) -> None:
    (folder / document["files"][some_file(document)]).unlink()


@spoiler
def a_picture_under_another_ones_name(document: Document, _: Path) -> None:
    images = document["versions"][-1]["record"]["record"]["images"]
    images[0]["sha256"] = "0" * 64


@spoiler
def a_key_that_leads_out(document: Document, folder: Path) -> None:
    image = document["versions"][-1]["record"]["record"]["images"][0]
    name = document["files"].pop(image["key"])
    image["key"] = f"../../{image['sha256']}.jpg"
    document["files"][image["key"]] = name


@spoiler
def a_version_of_another_session(document: Document, _: Path) -> None:
    document["versions"][-1]["record"]["record"]["session"] = "f" * 32


@spoiler
def a_first_version_of_another_session(document: Document, _: Path) -> None:
    document["versions"][0]["record"]["record"]["session"] = "f" * 32


@spoiler
def a_version_of_no_session(document: Document, _: Path) -> None:
    document["versions"][-1]["record"]["record"]["session"] = None


@spoiler
def two_first_versions(document: Document, _: Path) -> None:
    document["versions"][1]["number"] = 0


@spoiler
def a_version_that_leads_nowhere(document: Document, _: Path) -> None:
    document["versions"].append(
        {"number": 0, "record": changed(document["versions"][0]["record"], id="a" * 32)}
    )
    document["versions"].pop(0)


@spoiler
def a_circle(document: Document, _: Path) -> None:
    last = document["versions"][-1]["record"]["record"]
    document["versions"][1]["record"]["record"]["follows"] = last["id"]
    document["versions"].pop(0)


@spoiler
def a_version_twice(document: Document, _: Path) -> None:
    document["versions"].append(document["versions"][-1])


@spoiler
def no_versions(document: Document, _: Path) -> None:
    document["versions"] = []


@spoiler
def a_version_without_a_record(document: Document, _: Path) -> None:
    document["versions"][-1].pop("record")


@spoiler
def a_record_that_is_none(document: Document, _: Path) -> None:
    document["versions"][-1]["record"]["record"]["cost"] = "much"


@spoiler
def a_strange_id(document: Document, _: Path) -> None:
    document["versions"][-1]["record"]["record"]["id"] = "../../../etc"


@spoiler
def a_strange_session(document: Document, _: Path) -> None:
    document["session"]["id"] = "../.."


@spoiler
def money(document: Document, _: Path) -> None:
    record = document["versions"][-1]["record"]
    line = {"entry_id": "x", "record_id": record["record"]["id"], "kind": "settle", "micro": 1}
    line |= {"at": record["record"]["created"], "model": "m", "size": None, "price_version": "p"}
    line |= {"simulated": True, "call_id": None, "scopes": [], "detail": {}}
    record["lines"] = [line]


@spoiler
def marks_that_are_none(document: Document, _: Path) -> None:
    document["marks"] = ["Foxes"]


def changed(record: Document, **values: Any) -> Document:
    copy: Document = json.loads(json.dumps(record))
    copy["record"] |= values
    return copy


@spoiler
def a_first_version_that_is_nowhere(document: Document, _: Path) -> None:
    document["versions"].pop(0)


@spoiler
def a_first_version_that_follows_a_later_one(document: Document, _: Path) -> None:
    last = document["versions"][-1]["record"]["record"]
    document["versions"][0]["record"]["record"]["follows"] = last["id"]


@spoiler
def a_version_of_the_future(document: Document, _: Path) -> None:
    late = datetime.now(UTC) + timedelta(minutes=2)
    document["versions"][-1]["record"]["record"]["created"] = late.isoformat()


@spoiler
def a_time_before_all_times(document: Document, _: Path) -> None:
    early = "0001-01-01T00:00:00+14:00"
    document["versions"][-1]["record"]["record"]["created"] = early


@spoiler
def a_cost_that_no_ledger_takes(document: Document, _: Path) -> None:
    document["versions"][-1]["record"]["record"]["cost"] = 10**12 + 1


@spoiler
def a_number_that_no_database_takes(document: Document, _: Path) -> None:
    document["versions"][-1]["record"]["record"]["attempts"] = 10**30


@spoiler
def a_number_that_is_none(document: Document, _: Path) -> None:
    document["versions"][-1]["record"]["record"]["usage"] = {"tokens": float("inf")}


@spoiler
def lists_without_end(document: Document, _: Path) -> None:
    deep: list[Any] = []
    for _level in range(200):
        deep = [deep]
    document["versions"][-1]["record"]["record"]["usage"] = {"tokens": deep}


STRANGE: dict[str, tuple[Any, ...]] = {
    "references": (3, [None], [[]], [{"key": []}], {"a": 1}),
    "area": (3, [], {"protect": True}, {"feather": "x"}),
    "finish": (3, "x", {"a": 1}, {"anchor": 1.5}, {"anchor": []}),
    "safety": (3, ["a"], {"a": 1}),
    "tags": (3, "ab", [None]),
    "fallback": (True, [1]),
    "context": (["a"], "\ud800"),
    "words": ("\ud800", 3),
    "history": (3, [None], [{"record": 1}]),
    "told": (3, [None], [{"name": "a", "description": "\ud800"}]),
    "system": (3, "\ud800"),
    "seed": (1.5, True),
    "stream": (1,),
}


async def refused(helio: AsyncHeliograph, folder: Path, home: Path) -> StorageError:
    """It is refused, and nothing of it is kept."""
    before = inside(home)
    with pytest.raises(StorageError) as caught:
        await helio.sessions.import_folder(folder)
    assert inside(home) == before
    assert await helio.sessions.list() == []
    assert await helio.images() == ()
    return caught.value


def _strange() -> Iterator[tuple[str, Spoil]]:
    for name, values in STRANGE.items():
        for place, value in enumerate(values):

            def spoil(document: Document, _: Path, name: str = name, value: Any = value) -> None:
                document["versions"][-1]["record"]["record"]["request"][name] = value

            yield f"{name}-{place}", spoil


async def test_a_folder_that_is_not_what_it_says_is_refused(
    opened: Opened, folder: Path, tmp_path: Path
) -> None:
    theirs = opened("theirs")
    for name, spoil in {**SPOILERS, **dict(_strange())}.items():
        place = tmp_path / name / "out"
        shutil.copytree(folder, place)
        document = json.loads((place / "session.json").read_text())
        spoil(document, place)
        (place / "session.json").write_text(json.dumps(document))
        error = await refused(theirs, place, tmp_path / "theirs")
        assert "nothing was taken over" in str(error) or "damaged" in str(error).lower(), name
    # it was none of these that made the folder unusable
    assert len((await theirs.sessions.import_folder(folder)).nodes) == 5


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '"x"', "[" * 100_000, '{"schema": 9e999}', "{}", "\x00", "1" * 5000],
)
async def test_a_document_that_is_none_is_refused(
    opened: Opened, tmp_path: Path, text: str
) -> None:
    place = tmp_path / "out"
    place.mkdir()
    theirs = opened("theirs")
    await refused(theirs, place, tmp_path / "theirs")
    (place / "session.json").write_text(text)
    await refused(theirs, place, tmp_path / "theirs")


async def test_a_giant_or_a_linked_document_is_refused(
    opened: Opened, folder: Path, tmp_path: Path
) -> None:
    theirs = opened("theirs")
    (folder / "session.json").rename(tmp_path / "session.json")
    (folder / "session.json").symlink_to(tmp_path / "session.json")
    await refused(theirs, folder, tmp_path / "theirs")
    (folder / "session.json").unlink()
    with (folder / "session.json").open("wb") as file:
        file.truncate((64 << 20) + 1)
    assert "64 MiB" in str(await refused(theirs, folder, tmp_path / "theirs"))


async def test_another_version_of_what_the_library_has_is_refused(
    opened: Opened, folder: Path, tmp_path: Path
) -> None:
    ours = opened("ours")
    document = json.loads((folder / "session.json").read_text())
    # one that is new comes first: it must not be kept either
    extra = changed(document["versions"][-1]["record"], id="a" * 32)
    document["versions"].insert(1, {"number": 9, "record": extra})
    document["versions"][-1]["record"]["record"]["prompt"] = "Something else"
    (folder / "session.json").write_text(json.dumps(document))
    before, files = await ours.sessions.find("Foxes"), inside(tmp_path / "ours")
    with pytest.raises(StorageError, match="another version"):
        await ours.sessions.import_folder(folder)
    assert await ours.sessions.find("Foxes") == before
    assert inside(tmp_path / "ours") == files


async def test_only_marks_that_can_be_meant_are_taken_over(opened: Opened, folder: Path) -> None:
    document = json.loads((folder / "session.json").read_text())
    ids = [version["record"]["record"]["id"] for version in document["versions"]]
    document["marks"] = {
        "name": "7",
        "head": ids[0],
        "tip": ids[0],
        "moved": "9999-01-01T00:00:00+00:00",
        "starred": "yes",
        "deleted": 3,
        "nodes": {ids[1]: {"name": "x" * 900}, "nobody": {"name": "me"}, ids[2]: {"starred": True}},
    }
    (folder / "session.json").write_text(json.dumps(document))
    theirs = opened("theirs")
    tree = await theirs.sessions.import_folder(folder)
    assert (tree.name, tree.starred, tree.deleted, stands_at(tree)) == ("A fox", False, False, 4)
    assert [(n.name, n.starred) for n in tree.nodes.values()][1:3] == [(None, False), (None, True)]
    with pytest.raises(RecordNotFound):
        await theirs.sessions.find("nobody")


async def test_a_version_without_a_picture_is_taken_over_too(
    opened: Opened, tmp_path: Path
) -> None:
    ours = opened("ours")
    (turn,) = await begun(ours)
    with pytest.raises(Refused):
        await ours.edit("Never [[fault:text-refusal]]")
    place = await ours.sessions.export(turn.session.id, tmp_path / "out")
    tree = await opened("theirs").sessions.import_folder(place)
    dead: Record = tree.find("2").record
    assert (dead.result, stands_at(tree), len(tree.nodes)) == (None, 1, 3)


async def test_what_it_goes_on_from_may_be_in_the_library(opened: Opened, folder: Path) -> None:
    document = json.loads((folder / "session.json").read_text())
    first = document["versions"].pop(0)
    (folder / "session.json").write_text(json.dumps(document))
    ours = opened("ours")
    assert first["record"]["record"]["id"] in (await ours.sessions.find("Foxes")).nodes
    assert len((await ours.sessions.import_folder(folder)).nodes) == 5


async def test_the_missing_picture_is_named_and_nothing_is_kept(
    opened: Opened, folder: Path, tmp_path: Path
) -> None:
    document = json.loads((folder / "session.json").read_text())
    first = document["versions"].pop(0)["record"]["record"]["id"]
    (folder / "session.json").write_text(json.dumps(document))
    error = await refused(opened("theirs"), folder, tmp_path / "theirs")
    assert first[:8] in (error.why or "")
    assert error.remedy


async def test_a_picture_that_cannot_be_repainted_is_noted(
    opened: Opened, folder: Path, tmp_path: Path
) -> None:
    ours = opened("ours")
    node = (await ours.sessions.find("Foxes")).find("4")
    parent = (await ours.sessions.find("Foxes")).find("2").record.result
    assert parent is not None
    # what was put back is made again from the picture before, which has come to harm
    shutil.rmtree(tmp_path / "ours" / "derived")
    kept = tmp_path / "ours" / "originals" / parent.key
    whole = kept.read_bytes()
    kept.write_bytes(b"\xff" * len(whole))
    place = await ours.sessions.export("Foxes", tmp_path / "again")
    kept.write_bytes(whole)
    document = json.loads((place / "session.json").read_text())
    (note,) = document["notes"]
    assert note.startswith(f"Version {node.number} ")
    assert not [name for name in beside(place) if name.endswith("-protected.png")]
    assert [name for name in beside(folder) if name.endswith("-protected.png")]
    assert "notes" not in json.loads((folder / "session.json").read_text())
    # it is the look alone that was missing
    shutil.copy(kept, place / document["files"][parent.key])
    tree = await opened("theirs").sessions.import_folder(place)
    assert (await opened("theirs").sessions.picture(tree.find("4"))).suffix == ".png"


# ---------------------------------------------------------------- any change at all

VALUES: tuple[Any, ...] = (
    *(None, True, -1, 0, 10**30, 1.5, "", "x\x1b]0;p\x07", "../../etc/passwd", "\ud800"),
    *([], {}, ["a"], {"a": 1}, [None], [[]], "0001-01-01T00:00:00+00:00", "1x1", "0x0"),
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place of a document."""
    yield path
    items: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for name, item in items:
        yield from places(item, (*path, name))


def put(document: Any, path: tuple[Any, ...], value: Any) -> None:
    for step in path[:-1]:
        document = document[step]
    document[path[-1]] = value


async def survives(helio: AsyncHeliograph, session: str, place: Path) -> None:
    """Everything later does what it should, or says what is wrong."""
    await helio.sessions.list()
    tree = await helio.sessions.find(session)
    for node in tree.nodes.values():
        try:
            if node.has_picture:
                await helio.sessions.picture(node)
            request = await helio.sessions.request("x", session=session, of=node.id, options={})
            helio.wire(await helio.plan_request(request))
        except HeliographError:
            continue
    await helio.sessions.export(session, place)


@pytest.mark.parametrize("seed", range(2))
async def test_any_change_is_refused_or_harmless(
    opened: Opened, folder: Path, tmp_path: Path, seed: int
) -> None:
    drawn = random.Random(seed)
    theirs = opened("theirs")
    whole = json.loads((folder / "session.json").read_text())
    every = [path for path in places(whole) if path]
    of_requests = [path for path in every if {"request", "turn", "marks"} & set(path)]
    taken = 0
    for turn in range(40):
        document = json.loads(json.dumps(whole))
        path = drawn.choice(of_requests if turn % 4 else every)
        put(document, path, drawn.choice(VALUES))
        text = json.dumps(document)
        session = uuid.uuid4().hex
        text = text.replace(whole["session"]["id"], session)
        for version in whole["versions"]:
            text = text.replace(version["record"]["record"]["id"], uuid.uuid4().hex)
        (folder / "session.json").write_text(text)
        before = inside(tmp_path / "theirs")
        try:
            tree = await theirs.sessions.import_folder(folder)
        except StorageError:
            assert inside(tmp_path / "theirs") == before, path
            continue
        taken += 1
        await survives(theirs, tree.id, tmp_path / "again" / str(turn))
    assert 0 < taken < 40
