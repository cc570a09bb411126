"""The generated pages are what the code says, and nothing is left out of them."""

import inspect
import io
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from cyclopts import App
from rich.console import Console
from tests.docs.fenced import ROOT

from heliograph import errors
from heliograph.cli import build_app
from heliograph.cli.reference import PAGES, main
from heliograph.settings import KEY_NAMES, POOL_NAMES, Settings

REFERENCE = ROOT / "docs" / "reference"
REMEDY = "run: make docs"
MACHINES = [
    {},
    {"COLUMNS": "37", "TERM": "dumb", "NO_COLOR": "1", "LANG": "C"},
    {"COLUMNS": "300", "HOME": "/nowhere", "XDG_DATA_HOME": "/elsewhere", "FORCE_COLOR": "1"},
]


@pytest.mark.parametrize("machine", MACHINES, ids=["here", "narrow", "wide"])
def test_pages_are_up_to_date_on_any_machine(
    machine: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in machine.items():
        monkeypatch.setenv(name, value)
    main(tmp_path / "new")
    for name in PAGES:
        written = (tmp_path / "new" / name).read_text(encoding="utf-8")
        assert (REFERENCE / name).read_text(encoding="utf-8") == written, REMEDY


def test_every_setting_is_explained() -> None:
    page = (REFERENCE / "settings.md").read_text(encoding="utf-8")
    rows = {line.split("`")[1]: line for line in page.splitlines() if line.startswith("| `")}
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert field.description in rows[f"HELIOGRAPH_{name.upper()}"]
    assert {*KEY_NAMES, *POOL_NAMES} <= rows.keys()


def test_every_error_and_exit_code_is_explained() -> None:
    page = (REFERENCE / "errors.md").read_text(encoding="utf-8")
    for name, kind in vars(errors).items():
        if inspect.isclass(kind) and issubclass(kind, errors.HeliographError):
            assert f"`{name}` | `{kind.code}` | {kind.exit_code} |" in page
            assert f"\n| {kind.exit_code} | " in page
    assert "\n| 130 | " in page


def test_every_command_and_option_is_explained() -> None:
    text = (REFERENCE / "cli.md").read_text(encoding="utf-8")
    seen = list(_commands(build_app(), "heliograph"))
    assert len(seen) >= 10
    for name, app in seen:
        assert re.search(rf"^#+ {name}$", text, re.MULTILINE), name
        for option in _options_in_help(app):
            assert f"`{option}`" in text, f"{name} {option}"


def _commands(app: App, path: str) -> Iterator[tuple[str, App]]:
    for name in app:
        if not name.startswith("-"):
            yield f"{path} {name}", app[name]
            yield from _commands(app[name], f"{path} {name}")


def _options_in_help(app: App) -> set[str]:
    """The options as a reader of `--help` sees them."""
    screen = io.StringIO()
    app.help_print([], console=Console(file=screen, width=250))
    found = re.findall(r"^│ \*? *((?:-[\w-]+ )+)", screen.getvalue(), re.MULTILINE)
    return {word for words in found for word in words.split()} - {"--help", "-h", "--version"}
