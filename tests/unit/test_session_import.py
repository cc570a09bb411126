"""Records of odd shape: what is not understood is left out or refused, and never breaks a turn."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.contract.records import NOON, a_record

from heliograph.calls import Shelf
from heliograph.errors import InvalidRequest, RecordNotFound, StorageError
from heliograph.lineage import chain_of, turns_of
from heliograph.planning import plan
from heliograph.sessions.foreign import DEEPEST, wrong_document, wrong_record
from heliograph.sessions.inherit import INHERITED, inherited
from heliograph.storage import LocalBlobs, MemoryBooks, MemoryJournal
from heliograph.types import LedgerLine, Record, Request

SESSION = "5" * 32


class Counted(MemoryBooks):
    """The books, and how often they are asked for one record."""

    asked = 0

    async def find(self, record_id: str) -> Record:
        self.asked += 1
        return await super().find(record_id)


def shelf_of(home: Path) -> tuple[Shelf, Counted]:
    books = Counted()
    parts = SimpleNamespace(
        books=books, blobs=LocalBlobs(home / "originals"), journal=MemoryJournal(books), home=home
    )
    return cast("Shelf", parts), books


json_values = (
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False)
        | st.text(max_size=9),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3)
        ),
        max_leaves=6,
    )
    | st.sampled_from(["\ud800", ["\ud800"], {"anchor": []}, {"role": [], "key": "x"}, [{}]])
    | st.just([{"text": "\ud800"}, {"sha256": "5" * 64}])
)
READ = (*INHERITED, "references", "area", "words", "history", "told", "casts", "layout")
requests = st.dictionaries(st.sampled_from(READ), json_values, max_size=5)


def bare(**changes: Any) -> Record:
    """A record without pictures, so that no files are needed."""
    return a_record("1" * 32, images=(), **changes)


@given(request=requests)
def test_settings_that_make_no_sense_are_left_open(request: dict[str, Any]) -> None:
    options = inherited(bare(request=request), {})
    try:
        plan(Request(prompt="A fox", **options))
    except InvalidRequest as error:
        assert error.problems  # noqa: PT017 either is an answer


@given(request=requests, prompt=st.text(max_size=9) | st.just("\ud800"))
async def test_a_turn_goes_back_as_far_as_it_makes_sense(
    tmp_path_factory: pytest.TempPathFactory, request: dict[str, Any], prompt: str
) -> None:
    shelf, _ = shelf_of(tmp_path_factory.getbasetemp())
    turn: tuple[Any, ...] = ({"text": 3}, {"text": "\ud800"}, {"image": [], "signature": "x"})
    record = bare(request=request, prompt=prompt, turn=turn)
    (found,), _ = await turns_of((record,), request.get("context"), shelf, simulated=False)
    said = [each.text or each.sha256 or "" for each in found.layout]
    for text in (found.words, found.prompt, *(c.description for c in found.casts), *said):
        text.encode()
    assert found.answer == ()


@given(request=requests)
def test_what_passes_is_taken_over_whole(request: dict[str, Any]) -> None:
    record = bare(request=request)
    if wrong_record(record, NOON) is None:
        given = {k: v for k, v in request.items() if k in ("seed", "stream", "system") and v}
        assert inherited(record, {}).items() >= given.items()


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"created": NOON + timedelta(minutes=1, seconds=1)}, "future"),
        ({"follows": "../x"}, "strange id"),
        ({"cost": -1}, "cost"),
        ({"prompt": "\ud800"}, "sent"),
        ({"turn": ({"text": 3},)}, "turn"),
        ({"turn": ({"signature": "x"},)}, "signature"),
        ({"request": {"references": [{"sha256": "c" * 64}]}}, "references"),
    ],
)
def test_what_is_wrong_is_said(changes: dict[str, Any], what: str) -> None:
    assert wrong_record(bare(), NOON) is None
    assert wrong_record(bare(created=NOON + timedelta(seconds=59)), NOON) is None
    assert what in (wrong_record(replace(bare(), **changes), NOON) or "")


def test_documents_have_an_end() -> None:
    value: Any = 1
    for _ in range(DEEPEST - 1):
        value = [value]
    assert wrong_document(value) is None
    assert "deeper" in (wrong_document([value]) or "")
    assert "number" in (wrong_document({"a": [float("nan")]}) or "")
    assert "number" in (wrong_document({"a": {"b": -(10**30)}}) or "")


# ---------------------------------------------------------------- long talks


async def talk_of(books: MemoryBooks, turns: int) -> list[Record]:
    nothing: tuple[LedgerLine, ...] = ()
    origin = bare()
    records = [origin]
    for number in range(turns):
        follows = records[-1].id
        record = replace(origin, id=f"{number:032x}", session=SESSION, follows=follows)
        records.append(replace(record, created=NOON + timedelta(seconds=number)))
    for record in records:
        await books.keep(record, nothing)
    return records


async def test_a_talk_may_have_thousands_of_turns(tmp_path: Path) -> None:
    shelf, books = shelf_of(tmp_path)
    records = await talk_of(books, 2500)
    assert await chain_of(records[-1], shelf) == tuple(records)
    assert books.asked == 1  # for the picture from outside alone


async def test_a_circle_is_told_as_one(tmp_path: Path) -> None:
    shelf, books = shelf_of(tmp_path)
    one, two = "a" * 32, "b" * 32
    for record_id, follows in ((one, two), (two, one)):
        await books.keep(bare_turn(record_id, follows), ())
    with pytest.raises(StorageError, match="circle"):
        await chain_of(bare_turn(one, two), shelf)
    with pytest.raises(RecordNotFound):
        await chain_of(bare_turn("c" * 32, "d" * 32), shelf)


def bare_turn(record_id: str, follows: str) -> Record:
    return replace(bare(), id=record_id, session=SESSION, follows=follows)
