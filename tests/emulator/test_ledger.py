"""The ledger file: appended, read back, never rewritten."""

import json
from pathlib import Path

from heliograph.emulator.desk import Desk
from heliograph.emulator.ledger import Call, Ledger
from heliograph.emulator.prices import Bill
from heliograph.emulator.settings import EmulatorSettings


def closed_call(ledger: Ledger, name: str, micro: int, project: str = "default") -> None:
    call = Call(id=name, method="generateContent", model="m", path="/p", project=project)
    ledger.open(call)
    call.bill = Bill(image=micro * 1_000_000)
    ledger.close(call)


def test_one_line_per_finished_call(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "ledger.jsonl"
    ledger = Ledger(path)
    closed_call(ledger, "a" * 16, 5)
    closed_call(ledger, "b" * 16, 7)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["call"] for line in lines] == ["a" * 16, "b" * 16]
    assert [line["billed_micro"] for line in lines] == [5, 7]
    assert all(isinstance(line["billed_micro"], int) for line in lines)
    assert lines[0]["split_pico"] == {
        "input": 0,
        "image": 5_000_000,
        "text_thinking": 0,
        "search": 0,
    }


def test_a_call_is_visible_while_open_but_not_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    ledger = Ledger(path)
    call = Call(id="c" * 16, method="generateContent", model="m", path="/p")
    ledger.open(call)
    assert [(line["call"], line["state"]) for line in ledger.lines()] == [("c" * 16, "open")]
    assert not path.exists()
    ledger.close(call)
    ledger.close(call)
    assert len(path.read_text().splitlines()) == 1


def test_it_continues_a_file_and_survives_a_torn_line(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    closed_call(Ledger(path), "a" * 16, 5)
    with path.open("a") as file:
        file.write('{"call": "tor')
    ledger = Ledger(path)
    assert ledger.calls_ever == 1
    closed_call(ledger, "b" * 16, 7)
    assert [line["call"] for line in Ledger(path).lines()] == ["a" * 16, "b" * 16]
    assert ledger.total() == {
        "calls": 2,
        "billed_calls": 2,
        "billed_micro": 12,
        "by_project": {"default": 12},
    }


def test_reset_forgets_but_the_file_keeps(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    ledger = Ledger(path)
    closed_call(ledger, "a" * 16, 5)
    ledger.reset()
    closed_call(ledger, "b" * 16, 7)
    assert [line["call"] for line in ledger.lines()] == ["b" * 16]
    assert "a" * 16 in path.read_text()
    assert [line["call"] for line in Ledger(path).lines()] == ["b" * 16]
    assert ledger.calls_ever == 2


def test_searches_count_by_project() -> None:
    ledger = Ledger()
    for project, queries in (("one", 2), ("two", 3), ("one", 4)):
        call = Call(id=project, method="generateContent", model="m", path="/p", project=project)
        call.search_queries = queries
        ledger.open(call)
        ledger.close(call)
    assert ledger.searches_this_month("one") == 6
    assert ledger.searches_this_month("three") == 0


def test_an_id_in_the_file_is_never_given_again(tmp_path: Path) -> None:
    """Calls in flight when an emulator is killed leave no line, so lines count less than ids."""
    settings = EmulatorSettings(ledger=tmp_path / "ledger.jsonl", seed=1)

    def open_calls(count: int) -> list[Call]:
        desk = Desk(settings)
        calls = [
            desk.open_call(method="generateContent", model="m", path="/p") for _ in "x" * count
        ]
        desk.ledger.close(calls[-1])
        desk.close()
        return calls

    kept = open_calls(3)[-1].id
    again = [call.id for call in open_calls(4)]
    assert kept not in again
    assert len(set(again)) == 4


def test_lines_of_another_program_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    path.write_text('{"hello": 1}\n')
    assert Ledger(path).lines() == []
