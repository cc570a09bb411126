"""Sidecars: exact both ways, readable by people, strict with damage."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph.errors import StorageError
from heliograph.storage import record_from_json, record_to_json, sidecar_key
from heliograph.types import LedgerLine, Record, Role

GOLDEN = Path(__file__).with_name("record_v4.json")
FREE = Path(__file__).with_name("record_v3.json")  # names no owner
OLD = Path(__file__).with_name("record_v2.json")  # names no session
OLDER = Path(__file__).with_name("record_v1.json")  # nor do its lines name call or scopes

# fixed offsets: Python calls a time that a zone skips or repeats unequal to the same time in UTC
zones = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = st.datetimes(
    min_value=datetime(1970, 1, 1),  # noqa: DTZ001  hypothesis adds the zone
    max_value=datetime(2200, 1, 1),  # noqa: DTZ001
    timezones=zones,
)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
finite = scalars.filter(lambda value: value not in {float("inf"), float("-inf")})
json_values = st.recursive(
    finite, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8
)
objects = st.dictionaries(st.text(), json_values, max_size=4)
records = st.builds(
    Record,
    created=moments,
    request=objects,
    usage=objects,
    grounding=objects,
    timing=objects,
)
ledger_lines = st.builds(LedgerLine, at=moments, detail=objects)


@given(record=records, lines=st.lists(ledger_lines, max_size=3))
@settings(max_examples=40, deadline=None)
def test_any_record_comes_back_equal(record: Record, lines: list[LedgerLine]) -> None:
    data = record_to_json(record, lines)
    assert record_from_json(data) == (record, tuple(lines))
    assert record_to_json(*record_from_json(data)) == data


@given(record=records, at=st.integers(0, 10**6), byte=st.integers(0, 255))
@settings(max_examples=40, deadline=None)
def test_a_damaged_byte_is_refused_or_still_a_record(record: Record, at: int, byte: int) -> None:
    data = bytearray(record_to_json(record, []))
    data[at % len(data)] = byte
    for damaged in (bytes(data), bytes(data[: at % len(data)])):
        try:
            kept, _ = record_from_json(damaged)
        except StorageError:
            continue
        assert isinstance(kept, Record)


def test_the_golden_sidecar_reads_and_writes_byte_for_byte() -> None:
    data = GOLDEN.read_bytes()
    record, lines = record_from_json(data)
    assert record.prompt == "“金色的灯塔” at golden hour, 4K\n"
    assert (record.cost, lines[0].micro) == (240_000, 240_000)
    assert record_to_json(record, lines) == data


def test_the_golden_sidecar_of_version_0_1_reads_as_it_was() -> None:
    record, (line,) = record_from_json(OLDER.read_bytes())
    newer, (named,) = record_from_json(OLD.read_bytes())
    assert record == newer
    assert (line.call_id, line.scopes) == (None, ())
    assert named.call_id == f"{record.id}-1"
    assert record_from_json(record_to_json(record, [line])) == (record, (line,))


def test_the_golden_sidecar_of_version_0_2_reads_as_it_was() -> None:
    record, lines = record_from_json(OLD.read_bytes())
    newer, same = record_from_json(GOLDEN.read_bytes())
    assert (record.session, record.follows) == (None, None)
    assert (newer.session, newer.follows) == ("5e55100000000000000000000000000a", "01kb3m0000q0")
    alone = replace(newer, session=None, follows=None, owner=None)
    assert (record, lines) == (alone, same)


def test_a_golden_sidecar_without_an_owner_reads_as_it_was() -> None:
    record, lines = record_from_json(FREE.read_bytes())
    newer, same = record_from_json(GOLDEN.read_bytes())
    assert (record.owner, newer.owner) == (None, "a11ce00000000000000000000000000a")
    assert (record, lines) == (replace(newer, owner=None), same)


def test_equal_records_give_equal_bytes() -> None:
    record, lines = record_from_json(GOLDEN.read_bytes())
    turned = replace(record, usage=dict(sorted(record.usage.items(), reverse=True)))
    turned = replace(turned, created=record.created.astimezone(UTC))
    assert record_to_json(turned, lines) == record_to_json(record, lines)


def test_a_lone_surrogate_survives() -> None:
    record, lines = record_from_json(GOLDEN.read_bytes())
    odd = replace(record, texts=("half \ud83d pair",))
    data = record_to_json(odd, lines)
    data.decode("utf-8")  # the file itself stays valid
    assert record_from_json(data)[0] == odd


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"schema": "heliograph.record/2"}, "schema is 'heliograph.record/2'"),
        ({"schema": 1}, "schema is 1"),
        ({"lines": {}}, "list of ledger lines"),
        ({"extra": 1}, "one record and a list"),
        ({"record": None}, "Record: expected an object"),
        ({"record.id": 5}, "Record.id: expected str"),
        ({"record.attempts": True}, "Record.attempts: expected int"),
        ({"record.cost": 0.24}, "Record.cost: expected int"),
        ({"record.outcome": "lost"}, "Record.outcome: expected one of"),
        ({"record.outcome": []}, "Record.outcome: expected one of"),
        ({"record.created": "yesterday"}, "Record.created: expected a time"),
        ({"record.created": "2026-11-30T12:00:00"}, "expected a time with its zone"),
        ({"record.texts": "one"}, "Record.texts: expected a list"),
        ({"record.request": []}, "Record.request: expected an object"),
        ({"record.session": 5}, "Record.session: expected str"),
        ({"record.colour": "red"}, "no fields named ['colour']"),
    ],
    ids=str,
)
def test_damage_is_refused_with_its_place(change: dict[str, Any], why: str) -> None:
    sidecar = json.loads(GOLDEN.read_bytes())
    for path, value in change.items():
        *parents, name = path.split(".")
        (sidecar[parents[0]] if parents else sidecar)[name] = value
    with pytest.raises(StorageError) as caught:
        record_from_json(json.dumps(sidecar).encode())
    assert why in (caught.value.why or "")


@pytest.mark.parametrize("data", [b"", b"{", b"null", b"[]", b"\xff", b"{}", b"[" * 100_000])
def test_what_is_no_sidecar_is_refused(data: bytes) -> None:
    with pytest.raises(StorageError, match="cannot be read"):
        record_from_json(data)


def test_a_missing_field_is_refused_and_a_later_one_takes_its_default() -> None:
    sidecar = json.loads(GOLDEN.read_bytes())
    del sidecar["record"]["finish_reason"]
    assert record_from_json(json.dumps(sidecar).encode())[0].finish_reason is None
    del sidecar["record"]["prompt"]
    with pytest.raises(StorageError, match="fields named"):
        record_from_json(json.dumps(sidecar).encode())


@pytest.mark.parametrize(
    "value",
    [float("nan"), float("inf"), {1: "x"}, object(), datetime(2026, 1, 1), b"x"],  # noqa: DTZ001
)
def test_what_has_no_exact_form_is_refused(value: Any) -> None:
    record, _ = record_from_json(GOLDEN.read_bytes())
    with pytest.raises(StorageError, match="cannot be written exactly"):
        record_to_json(replace(record, usage={"value": value}), [])


def test_kinds_of_the_plain_ones_are_written_like_them() -> None:
    record, _ = record_from_json(GOLDEN.read_bytes())
    odd = replace(record, usage={"path": Path("a/b"), "size": Header(8, 9), "code": Code("x")})
    kept, _ = record_from_json(record_to_json(odd, []))
    assert kept.usage == {"path": "a/b", "size": [8, 9], "code": "x"}


class Code(str):
    """A kind of text."""

    __slots__ = ()


class Header(NamedTuple):
    """A kind of tuple."""

    width: int
    height: int


def test_lies_beside_the_result_or_else_the_first_image() -> None:
    record, _ = record_from_json(GOLDEN.read_bytes())
    draft, result = record.images
    assert (draft.role, result.role) == (Role.DRAFT, Role.RESULT)
    assert sidecar_key(record) == f"sha256/{result.sha256[:2]}/{result.sha256}.{record.id}.json"
    no_result = replace(record, images=(draft,))
    assert sidecar_key(no_result) == f"sha256/{draft.sha256[:2]}/{draft.sha256}.{record.id}.json"
    assert sidecar_key(replace(record, images=())) == f"records/{record.id}.json"
    with pytest.raises(StorageError, match="no valid blob key"):
        sidecar_key(replace(record, images=(), id="../../etc/cron"))
