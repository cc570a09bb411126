"""S14: secrets are made once, kept from others, and refused when they are no secrets."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from heliograph.errors import ConfigurationError
from heliograph.server.secrets import open_secrets, turn_signing

NAMES = ["pepper", "signing", "webhooks"]


def test_they_are_made_once_and_read_ever_after(tmp_path: Path) -> None:
    folder = tmp_path / "home" / "server"
    first = open_secrets(folder)
    assert open_secrets(folder) == first
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert sorted(f.name for f in folder.iterdir()) == NAMES
    assert {stat.S_IMODE(f.stat().st_mode) for f in folder.iterdir()} == {0o600}
    assert len(first.signing) == 2
    assert len(set(first.texts())) == 4
    assert all(len(bytes.fromhex(text)) == 32 for text in first.texts())
    assert open_secrets(tmp_path / "other").pepper != first.pepper


def test_no_secret_is_shown(tmp_path: Path) -> None:
    found = open_secrets(tmp_path / "s")
    shown = repr(found) + str(found)
    assert not any(text in shown for text in found.texts())
    assert repr(found.pepper) not in shown


def test_a_new_signing_key_signs_and_the_last_one_still_counts(tmp_path: Path) -> None:
    first = open_secrets(tmp_path / "s")
    second = turn_signing(tmp_path / "s")
    assert second.signing[1] == first.signing[0]
    assert second.signing[0] not in first.signing
    assert (second.pepper, second.webhooks) == (first.pepper, first.webhooks)
    assert turn_signing(tmp_path / "s").signing[1] == second.signing[0]


GOOD = bytes(range(32)).hex()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty"),
        ("\n \n", "empty"),
        ("changeme", "short"),
        (GOOD[:-2], "short"),
        ("z" * 64, "form"),
        (GOOD[:30] + " " + GOOD[31:], "form"),
        ("0" * 64, "guessed"),
        ("ab" * 32, "guessed"),
        ("deadbeef" * 8, "guessed"),
    ],
)
def test_what_is_no_secret_is_refused(tmp_path: Path, name: str, text: str, said: str) -> None:
    open_secrets(tmp_path)
    line = f"k1 {text}" if name == "signing" and text.strip() else text
    (tmp_path / name).write_text(line)
    with pytest.raises(ConfigurationError, match=said) as caught:
        open_secrets(tmp_path)
    assert name in str(caught.value)
    assert not text.strip() or text not in str(caught.value)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    open_secrets(tmp_path)
    (tmp_path / "pepper").write_bytes(b"\xff" * 64)
    with pytest.raises(ConfigurationError, match="form"):
        open_secrets(tmp_path)


@pytest.mark.parametrize("text", ["k!1 " + GOOD, f"k1 {GOOD}\nk1 {GOOD[::-1]}"])
def test_signing_keys_have_ids_of_their_own(tmp_path: Path, text: str) -> None:
    open_secrets(tmp_path)
    (tmp_path / "signing").write_text(text)
    with pytest.raises(ConfigurationError):
        open_secrets(tmp_path)


def test_one_secret_for_two_uses_is_refused(tmp_path: Path) -> None:
    open_secrets(tmp_path)
    (tmp_path / "webhooks").write_text((tmp_path / "pepper").read_text())
    with pytest.raises(ConfigurationError, match="twice"):
        open_secrets(tmp_path)


@pytest.mark.parametrize("name", [*NAMES, "."])
@pytest.mark.parametrize("more", [0o040, 0o004, 0o002])
def test_what_others_can_read_is_refused(tmp_path: Path, name: str, more: int) -> None:
    folder = tmp_path / "s"
    open_secrets(folder)
    file = folder / name
    file.chmod(stat.S_IMODE(file.stat().st_mode) | more)
    with pytest.raises(ConfigurationError, match="chmod"):
        open_secrets(folder)


@pytest.mark.parametrize("name", NAMES)
def test_a_lost_secret_is_not_made_again_in_silence(tmp_path: Path, name: str) -> None:
    open_secrets(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(ConfigurationError, match="missing"):
        open_secrets(tmp_path)


def test_a_link_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    open_secrets(folder)
    (folder / "pepper").rename(tmp_path / "elsewhere")
    (folder / "pepper").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigurationError, match="plain file"):
        open_secrets(folder)


def test_a_first_start_that_was_cut_short_is_finished(tmp_path: Path) -> None:
    whole = open_secrets(tmp_path)
    for name in ("signing", "webhooks"):  # written, but not yet named
        (tmp_path / name).rename(tmp_path / f"{name}.new")
    assert open_secrets(tmp_path) == whole
    # nothing had its name yet: what was half written does not count
    for name in NAMES:
        (tmp_path / name).unlink()
    (tmp_path / "pepper.new").write_text("half")
    assert open_secrets(tmp_path).pepper != whole.pepper
    assert sorted(f.name for f in tmp_path.iterdir()) == NAMES


def test_a_folder_that_cannot_be_made_is_a_wrong_setting(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="cannot be used"):
        open_secrets(tmp_path / "file" / "s")


def test_processes_that_start_at_once_agree(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from heliograph.server.secrets import open_secrets;"
        "print(open_secrets(Path(sys.argv[1])).texts())"
    )
    environment = {**os.environ, "PYTHONPATH": "src"}
    running = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path / "s")],
            stdout=subprocess.PIPE,
            env=environment,
        )
        for _ in range(4)
    ]
    told = {process.communicate(timeout=60)[0] for process in running}
    assert len(told) == 1
    assert told != {b""}
