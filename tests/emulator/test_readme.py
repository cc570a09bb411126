"""The emulator's README against the emulator."""

import re
from pathlib import Path

import pytest

import heliograph.emulator
from heliograph.emulator.__main__ import main
from heliograph.emulator.faults import FAULTS

README = (Path(heliograph.emulator.__file__).parent / "README.md").read_text(encoding="utf-8")


def test_every_fault_is_in_the_readme_and_no_other() -> None:
    section = README.partition("## Faults")[2]
    assert set(re.findall(r"^\| `([a-z0-9-]+)` \|", section, re.MULTILINE)) == set(FAULTS)


def test_every_option_is_in_the_readme(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    options = set(re.findall(r"--[a-z-]+", capsys.readouterr().out)) - {"--help"}
    assert len(options) > 10
    missing = {option for option in options if f"`{option}" not in README}
    # `--host` and `--port` share a row.
    assert not missing
