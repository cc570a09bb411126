"""`heliograph chaos` as it is typed."""

import json
from pathlib import Path

import pytest

from heliograph.cli import main


def typed(*words: str) -> int:
    with pytest.raises(SystemExit) as left:
        main(["chaos", *words])
    return int(left.value.code or 0)


def test_list_names_what_is_not_served(capsys: pytest.CaptureFixture[str]) -> None:
    assert typed("list") == 0
    text = capsys.readouterr().out
    assert "F18" in text
    assert "not served: needs batches" in text
    assert typed("list", "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["id"] for row in rows if row["needs"]} >= {"F42", "K15"}
    assert next(row for row in rows if row["id"] == "F01")["C"] == "22"


def test_list_says_what_a_face_cannot_be_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert typed("list", "--face", "gemini") == 0
    assert "library and openai only: the Gemini API" in capsys.readouterr().out
    assert typed("list", "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["id"] for row in rows if row["other_face"]} == {"K23", "K25"}


def test_a_row_of_another_face_does_not_pass(capsys: pytest.CaptureFixture[str]) -> None:
    assert typed("run", "K23") == 1
    assert "gateway only" in capsys.readouterr().out
    assert typed("run", "K23", "--face", "telepathy") == 2


def test_a_wrong_row_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert typed("run", "F99") == 2
    assert "nearest" in capsys.readouterr().err
    assert typed("run") == 2
    assert typed("run", "F03", "--repeat", "0") == 2


def test_run_writes_a_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = tmp_path / "new" / "report.json"
    assert typed("run", "F03", "--seed", "5", "--report", str(report)) == 0
    assert "1 holds" in capsys.readouterr().out
    document = json.loads(report.read_text())
    assert (document["holds"], document["seed"]) == (True, 5)
    assert document["machine"]["processors"]


def test_a_row_that_is_not_served_does_not_pass(capsys: pytest.CaptureFixture[str]) -> None:
    assert typed("run", "F42") == 1
    assert "not served" in capsys.readouterr().out
