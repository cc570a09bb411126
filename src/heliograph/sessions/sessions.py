"""Edit by conversation: find, go on from, move within and mark sessions.

Invariant: a turn is a paid call like any other, with all its guarantees; nothing here removes a
version, it is only put out of sight.
"""

import hashlib
import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from heliograph.calls import Shelf
from heliograph.errors import (
    Charged,
    HeliographError,
    InvalidRequest,
    Problem,
    RecordNotFound,
    StorageError,
)
from heliograph.lineage import result_of
from heliograph.ports import Card, Search, SessionRow
from heliograph.repaint import picture_of
from heliograph.sessions.folder import read_folder, write_folder
from heliograph.sessions.inherit import inherited
from heliograph.sessions.marks import KIND, change_marks, of_node, read_marks, wrong_name
from heliograph.sessions.said import Listed, Turn
from heliograph.sessions.tree import SHORTEST, SHOWN, Node, Session, moment, stands, tree_of
from heliograph.types import Outcome, Record, Request, Result

LOG = logging.getLogger("heliograph")
Open = Callable[[], Awaitable[Shelf]]
Ask = Callable[..., Request]  # a prompt and options in, a request out
Run = Callable[[Request], Awaitable[Result]]
MOST = 10**6  # more sessions than any library has


class Sessions:
    """The sessions of one library, or of one user of a gateway.

    Args:
        owner: id of that user. A session belongs to whom its records belong to, and is not there
            for anybody else; names are unique for each.
    """

    def __init__(
        self,
        open_library: Open,
        ask: Ask,
        run: Run,
        simulates: Callable[[], bool],
        owner: str | None = None,
    ) -> None:
        self._owner = owner
        self._simulates = simulates
        self._open = open_library
        self._ask = ask
        self._run = run

    # ------------------------------------------------------------ turns

    async def request(
        self,
        prompt: str,
        *,
        of: str | Path | bytes | None = None,
        session: str | None = None,
        drop: Sequence[str] = (),
        options: Mapping[str, Any],
    ) -> Request:
        """The request of a turn; nothing is sent.

        Args:
            of: what is to be changed: a file or its bytes, the id of a kept picture, or within
                `session` a version's number or name. None is where the session stands.
            session: id or name; None is the one that was worked on last.
            drop: settings that are not taken over from that version.
            options: what is to be different from that version.

        Raises:
            RecordNotFound: there is no such session, version or picture.
            InvalidRequest: the picture or a setting cannot be used.
        """
        for name, said, kinds in (("of", of, (str, Path, bytes)), ("session", session, (str,))):
            if said is not None and not isinstance(said, kinds):
                message = f"must be text{', or a file or its bytes' if name == 'of' else ''}."
                raise InvalidRequest([Problem(field=name, value=repr(said), message=message)])
        key = options.get("idempotency_key")
        before = await self._asked_before(key)
        if before and session is not None:
            meant = (await self.find(session)).id
            # where another session is meant, the key says that it is taken
            before = before if meant == before.get("session") else {}
        if isinstance(of, Path | bytes):
            if session is not None:
                message = "cannot come into a session that has begun; leave the session out."
                raise InvalidRequest([Problem(field="of", value="a file", message=message)])
            return self._ask(prompt, **options, base=of, session=await self._new(key))
        if of is None and before.get("follows"):
            of, session = str(before["follows"]), None
        record, session_id = await self._start(of, session)
        result_of(record, "of")
        if of is None and session is None and record.simulated and not self._simulates():
            # nobody asked to pay for changing a picture of the emulator
            raise _nothing_yet("The last picture is simulated; say which one to change.")
        merged = inherited(record, options, drop)
        same = before.get("session") if before.get("follows") == record.id else None
        return self._ask(
            prompt,
            **merged,
            session=same or session_id or await self._new(key),
            follows=record.id,
        )

    async def _new(self, key: Any) -> str:
        """The id of a new session; the same for those who ask with one key at the same time."""
        if isinstance(key, str):
            shelf = await self._open()
            same = hashlib.sha256(f"session {key}".encode("utf-8", "replace")).hexdigest()[:32]
            if await shelf.journal.claim(key) is not None or not await shelf.books.session(same):
                return same
        return secrets.token_hex(16)

    async def _asked_before(self, key: Any) -> Mapping[str, Any]:
        """The request of the turn that an idempotency key stands for already.

        Where a session stands has moved on by then; the same key still means the same turn.
        """
        if not isinstance(key, str):
            return {}
        journal = (await self._open()).journal
        claim = await journal.claim(key)
        calls = await journal.calls(job=claim.job, limit=1) if claim is not None else ()
        asked = calls[0].plan.get("request") if calls else None
        return asked if isinstance(asked, Mapping) else {}

    async def _start(self, of: str | None, session: str | None) -> tuple[Record, str | None]:
        """The version to go on from, and its session if it has one."""
        shelf = await self._open()
        if session is not None:
            tree = await self.find(session)
            if of is not None:
                return tree.find(of).record, tree.id
            if tree.head is None:
                raise _nothing_yet(f"Session {tree.id[:8]} has no picture yet.")
            return tree.nodes[tree.head].record, tree.id
        if of is not None:
            record = await shelf.books.find(of)
            if not self._owns(record):
                raise _nothing_yet(f"No picture is called {of[:SHOWN]!r}.")
            return record, record.session
        return await self._latest(shelf)

    def _owns(self, record: Record) -> bool:
        return self._owner is None or record.owner == self._owner

    async def _latest(self, shelf: Shelf) -> tuple[Record, str | None]:
        """What was worked on last: a picture, or a session that was moved after that."""
        picture, cards = await self._newest(shelf)
        here = [c for c in cards if picture is not None and c.body.get("latest") == picture.id]
        moves = [(at, c.name) for c in here if (at := moment(c.body.get("moved"))) is not None]
        if moves:
            # nothing was made since these were moved, so the last move tells
            tree = await self.find(max(moves)[1])
            if tree.head is not None:
                return tree.nodes[tree.head].record, tree.id
        if picture is None:
            raise _nothing_yet("There is no picture yet to go on from.")
        if picture.session is None:
            return picture, None
        tree = await self.find(picture.session)
        return tree.nodes[tree.head or picture.id].record, tree.id

    async def _newest(self, shelf: Shelf) -> tuple[Record | None, list[Card]]:
        """The newest picture, and the cards of the sessions in sight.

        Pictures of the kind that is made now, real or simulated, come before the others.
        """
        cards = await shelf.cabinet.cards(KIND)
        away = {card.name for card in cards if card.body.get("deleted") is not None}
        if self._owner is None:
            last = await shelf.books.recent(limit=200)
        else:
            last = await shelf.books.search(Search(owner=self._owner), limit=200)
        recent = [r for r in last if r.outcome is Outcome.KEPT]
        seen = [r for r in recent if r.session not in away]
        same = [r for r in seen if r.simulated is self._simulates()]
        newest = next(iter(same or seen), None)
        return newest, [card for card in cards if card.name not in away]

    async def edit(
        self,
        prompt: str,
        *,
        of: str | Path | bytes | None = None,
        session: str | None = None,
        drop: Sequence[str] = (),
        options: Mapping[str, Any],
    ) -> Turn:
        """One turn: change a picture, and keep the result as a new version.

        Raises:
            HeliographError: like `AsyncHeliograph.generate`; arguments and further errors are
                those of `request`.
        """
        request = await self.request(prompt, of=of, session=session, drop=drop, options=options)
        return await self.run(request)

    async def run(self, request: Request) -> Turn:
        """Like `edit`, for a request made by `request`."""
        result = await self._run(request)
        try:
            tree = await self.find(result.record.session or request.session or "")
        except HeliographError as error:
            # it is made, kept and settled; only its session cannot be shown
            error.record_id = result.record.id
            error.charged = Charged.YES if result.cost else Charged.NO
            error.facts |= {"original": str(result.path), "cost_micro": result.cost}
            raise
        await self._number(tree)
        return Turn(session=tree, node=tree.nodes[result.record.id], result=result)

    async def _number(self, tree: Session) -> None:
        """Write down what versions are numbered, so that one that is recovered later moves none.

        It is a convenience: when it cannot be written, numbers follow the order in time.
        """
        numbers = {node.id: node.number for node in tree.nodes.values() if node.number}

        def change(body: dict[str, Any]) -> None:
            # lists name a session by the picture it began with, without looking that up
            body |= {"title": body.get("title") if body.get("name") else tree.name}
            body["numbers"] = {**numbers, **body.get("numbers", {})}

        try:
            await change_marks(tree.id, await self._open(), change)
        except StorageError as error:
            LOG.warning("the numbers of session %s are not written: %s", tree.id, error)

    # ------------------------------------------------------------ finding

    async def list(self, *, search: str | None = None, deleted: bool = False) -> Sequence[Listed]:
        """Sessions, those worked on last first.

        Args:
            search: only those whose name or first prompt holds this, whatever the case.
            deleted: those that were removed instead.
        """
        shelf = await self._open()
        cards = {card.name: card.body for card in await shelf.cabinet.cards(KIND)}
        found = []
        for row in await self._rows(shelf):
            said = cards.get(row.id, {})
            words = " ".join(row.first.split())
            name = str(said.get("name") or said.get("title") or words[:SHOWN])
            if search and search.lower() not in f"{name} {words}".lower():
                continue
            if (said.get("deleted") is not None) is not deleted:
                continue
            found.append(
                Listed(
                    id=row.id,
                    name=name,
                    turns=row.turns,
                    begun=row.begun,
                    changed=row.changed,
                    micro=row.micro,
                    last=row.last,
                    starred=bool(said.get("starred")),
                    deleted=said.get("deleted") is not None,
                )
            )
        return found

    async def find(self, label: str) -> Session:
        """A session by its id, an unambiguous beginning of it, or its name.

        Raises:
            RecordNotFound: none or several match.
        """
        shelf = await self._open()
        session_id = await self._id(label, shelf)
        records = await self._records(session_id, shelf)
        inside = {record.id for record in records}
        outside = next((r.follows for r in records if r.follows and r.follows not in inside), None)
        origin = None
        if outside is not None:
            with suppress(RecordNotFound):  # a session outlives the picture it began with
                origin = await shelf.books.find(outside)
            if origin is not None and not self._owns(origin):
                origin = None
        return tree_of(session_id, records, origin, await read_marks(session_id, shelf))

    async def _id(self, label: str, shelf: Shelf) -> str:
        wanted = label.strip()
        if len(wanted) == 32 and await self._records(wanted, shelf):
            return wanted
        rows = await self._rows(shelf)
        begun = [r.id for r in rows if r.id.startswith(wanted.lower())]
        found = begun if len(wanted) >= SHORTEST else []
        if len(found) != 1:
            cards = {card.name: card.body for card in await shelf.cabinet.cards(KIND)}
            named = [r.id for r in rows if cards.get(r.id, {}).get("name") == wanted]
            # without a name of its own it goes by what lists show, which several may share
            shown = [each.id for each in await self.list() if each.name == wanted]
            away = await self.list(deleted=True) if not (named or shown or found) else ()
            found = named or shown or found or [each.id for each in away if each.name == wanted]
        if len(found) == 1:
            return found[0]
        raise RecordNotFound(
            f"{'Several sessions are' if found else 'No session is'} called {wanted[:SHOWN]!r}.",
            remedy="`heliograph sessions list` shows them, and those removed with --removed.",
        )

    async def _rows(self, shelf: Shelf) -> Sequence[SessionRow]:
        if self._owner is None:
            return await shelf.books.sessions(limit=MOST)
        return await shelf.books.sessions(limit=MOST, owner=self._owner)

    async def _records(self, session_id: str, shelf: Shelf) -> Sequence[Record]:
        return [r for r in await shelf.books.session(session_id) if self._owns(r)]

    async def current(self) -> Session:
        """The session that was worked on last.

        Raises:
            RecordNotFound: there is none, or the last picture belongs to no session.
        """
        return await self._at(None)

    async def picture(self, version: Node | Record) -> Path:
        """A local file with a version, or any kept picture, as its user sees it.

        Raises:
            InvalidRequest: it has no picture.
        """
        record = version.record if isinstance(version, Node) else version
        result_of(record, "version")
        return await picture_of(record, await self._open())

    # ------------------------------------------------------------ moving

    async def undo(self, label: str | None = None) -> Session:
        """Go back to the version before; the next turn changes that one.

        Raises:
            RecordNotFound: there is none before it.
        """
        tree = await self._at(label)
        path = tree.path(tree.head) if tree.head is not None else ()
        before = [node for node in path[:-1] if stands(node)]
        if not before:
            raise _nothing_yet("There is no version before this one.")
        tip = tree.ahead[-1] if tree.ahead else path[-1].id
        return await self._move(tree, before[-1].id, tip=tip)

    async def redo(self, label: str | None = None) -> Session:
        """Go forward again to the version that undo had left.

        Raises:
            RecordNotFound: nothing was undone since the last turn.
        """
        tree = await self._at(label)
        if not tree.ahead:
            raise _nothing_yet("Nothing was undone since the last turn.")
        return await self._move(tree, tree.ahead[0], tip=tree.ahead[-1])

    async def branch(self, version: str, *, session: str | None = None) -> Session:
        """Go to any version; the next turn changes that one and begins a branch.

        Raises:
            RecordNotFound: there is no such version.
            InvalidRequest: it has no picture, or is out of sight.
        """
        tree = await self._at(session)
        node = tree.find(version)
        result_of(node.record, "version")
        if node.deleted:
            message = "is out of sight; bring it back first."
            raise InvalidRequest([Problem(field="version", value=version[:SHOWN], message=message)])
        return await self._move(tree, node.id, tip=node.id)

    async def _move(self, tree: Session, head: str, *, tip: str) -> Session:
        shelf = await self._open()
        newest, _ = await self._newest(shelf)
        last = max(tree.nodes.values(), key=lambda node: node.number)

        def change(body: dict[str, Any]) -> None:
            body |= {"head": head, "tip": tip, "moved": datetime.now(UTC).isoformat()}
            # clocks may be set: what was newest then tells whether anything was made since
            body |= {"last": last.id, "latest": newest.id if newest else None}

        await change_marks(tree.id, await self._open(), change)
        return await self.find(tree.id)

    async def _at(self, label: str | None) -> Session:
        if label is not None:
            return await self.find(label)
        _, session_id = await self._latest(await self._open())
        if session_id is None:
            raise _nothing_yet("The last picture belongs to no session.")
        return await self.find(session_id)

    # ------------------------------------------------------------ marking

    async def mark(
        self,
        label: str,
        version: str | None = None,
        *,
        name: str | None = None,
        starred: bool | None = None,
        deleted: bool | None = None,
    ) -> Session:
        """Name, star or put out of sight a session, or one version of it.

        Args:
            name: what it is called from now on; "" takes a name away.
            deleted: True puts it out of sight, False brings it back; nothing is ever removed.

        Raises:
            RecordNotFound: there is no such session or version.
            InvalidRequest: the name cannot be told from a number or an id.
        """
        tree = await self.find(label)
        node = tree.find(version) if version is not None else None
        if name is not None:
            await self._check_name(name.strip(), tree, node)

        def change(body: dict[str, Any]) -> None:
            marks = body if node is None else of_node(body, node.id)
            if name is not None:
                marks["name"] = name.strip() or None
            if starred is not None:
                marks["starred"] = starred
            if deleted is not None:
                marks["deleted"] = datetime.now(UTC).isoformat() if deleted else None

        await change_marks(tree.id, await self._open(), change)
        return await self.find(tree.id)

    async def _check_name(self, name: str, tree: Session, node: Node | None) -> None:
        why = wrong_name(name)
        if why is None and name and node is not None:
            others = [n for n in tree.nodes.values() if n.id != node.id]
            why = "is another version's name." if any(n.name == name for n in others) else None
        elif why is None and name:
            listed = await self.list()
            others_named = any(s.name == name and s.id != tree.id for s in listed)
            why = "is another session's name." if others_named else None
        if why is not None:
            raise InvalidRequest([Problem(field="name", value=name[:SHOWN], message=why)])

    # ------------------------------------------------------------ folders

    async def export(self, label: str, folder: str | Path, *, force: bool = False) -> Path:
        """Write a session as a folder: its pictures, what they need, and `session.json`.

        Returns:
            The folder.

        Raises:
            WouldOverwrite: the folder holds something already, and `force` is not set.
            StorageError: it cannot be written.
        """
        shelf = await self._open()
        tree = await self.find(label)
        marks = await read_marks(tree.id, shelf)
        return await write_folder(tree, marks, Path(folder), shelf, force=force)

    async def import_folder(self, folder: str | Path) -> Session:
        """Take over a session from a folder that `export` wrote; nothing is paid.

        Raises:
            StorageError: it is no such folder, damaged, or says other things than the library.
        """
        shelf = await self._open()
        session_id, marks = await read_folder(Path(folder), shelf)
        if marks and not await read_marks(session_id, shelf):

            def change(body: dict[str, Any]) -> None:
                for name, value in marks.items():
                    body.setdefault(name, value)

            await change_marks(session_id, shelf, change)
        return await self.find(session_id)


def _nothing_yet(what: str) -> RecordNotFound:
    return RecordNotFound(
        what, remedy="`heliograph sessions list` shows sessions, `images list` all pictures."
    )
