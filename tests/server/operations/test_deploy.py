"""What lies in deploy/ fits the program: settings exist, stops have time, images name no host."""

import re
import shutil
import subprocess
import sys
from configparser import RawConfigParser
from pathlib import Path
from typing import Any

import pytest
import yaml

from heliograph.cli import build_app
from heliograph.settings import PREFIX, Settings, config_file

DEPLOY = Path(__file__).parents[3] / "deploy"
DRAIN = Settings.model_fields["server_drain"].default
FILES = sorted(path for path in DEPLOY.iterdir() if path.is_file())


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.name)
def test_every_setting_that_is_named_is_one(path: Path) -> None:
    for name in re.findall(rf"\b{PREFIX}([A-Z_]+)", path.read_text()):
        assert name.lower() in Settings.model_fields, name


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.name)
def test_every_command_that_is_named_is_one(path: Path) -> None:
    text = path.read_text().replace('", "', " ")
    found = re.findall(r"heliograph (serve|users|keys|backup|doctor)\b((?: [\w-]+)*)", text)
    for command, rest in found:
        words = [word for word in rest.split() if word != "NAME"]
        build_app().parse_args([command, *words, *(["NAME"] if "NAME" in rest else [])])


def _unit() -> dict[str, str]:
    parser = RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(DEPLOY / "heliograph.service")
    return dict(parser["Service"])


def _compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    return dict(found["services"]["gateway"])


def test_nobody_is_killed_before_the_drain_is_over() -> None:
    assert int(_unit()["TimeoutStopSec"]) > DRAIN
    assert int(_compose()["stop_grace_period"].removesuffix("s")) > DRAIN
    assert _unit()["KillSignal"] == "SIGTERM"


def test_the_unit_gives_nothing_away() -> None:
    unit = _unit()
    assert unit["UMask"] == "0077"
    assert unit["StateDirectoryMode"] == "0700"
    for name in ("NoNewPrivileges", "PrivateTmp", "PrivateDevices", "ProtectHome", "DynamicUser"):
        assert unit[name] == "yes", name
    assert unit["ProtectSystem"] == "strict"
    assert "LoadCredential" in unit


def test_images_name_no_registry_and_run_as_nobody() -> None:
    text = (DEPLOY / "Containerfile").read_text()
    images = re.findall(r"^FROM (\S+)", text, re.MULTILINE)
    assert images
    assert not [image for image in images if "/" in image]
    assert re.search(r"^USER [1-9]\d*:[1-9]\d*$", text, re.MULTILINE)
    port = Settings.model_fields["server_port"].default
    assert f"EXPOSE {port}" in text
    assert _compose()["ports"] == [f"127.0.0.1:{port}:{port}"]
    assert _compose()["cap_drop"] == ["ALL"]


def test_the_settings_file_of_the_unit_may_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    text = (DEPLOY / "heliograph.service").read_text()
    told = dict(re.findall(r"^Environment=(\w+)=(\S+)$", text, re.MULTILINE))
    assert "HELIOGRAPH_CONFIG" not in told  # a file that is named so must be there
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    assert str(config_file()) in text


# macOS and most containers have no systemd, and no package brings it; what a text alone can tell
# of the unit is tested above, everywhere
@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd")
def test_systemd_itself_has_nothing_against_the_unit(tmp_path: Path) -> None:
    text = (DEPLOY / "heliograph.service").read_text()
    program = _unit()["ExecStart"].split()[0]
    copy = tmp_path / "heliograph.service"
    copy.write_text(text.replace(program, sys.executable))  # one that is installed here
    said = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", copy],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (said.returncode, said.stdout, said.stderr) == (0, "", "")
