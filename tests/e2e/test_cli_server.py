"""The commands about the gateway: users, keys, backup, restore, doctor, and serve with its SDKs."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from google import genai
from google.genai import types
from openai import OpenAI
from tests.e2e.saying import Say
from tests.living import read_all

from heliograph.accounts import digest, is_same, key_id
from heliograph.cli import server_checks
from heliograph.cli.check import State
from heliograph.server.secrets import open_secrets
from heliograph.settings import load_settings


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "library"


# ------------------------------------------------------------ users


def test_a_user_from_add_to_disable(say: Say) -> None:
    words = ("--role", "member", "--per-minute", "60", "--month", "20")
    added = say("users", "add", "Anna", *words, "--json").facts
    assert (added["role"], added["per_minute"]) == ("member", 60)
    assert added["budgets_micro"] == {"month": 20_000_000}
    assert say("users", "add", "anna").code == 2  # the same name
    changed = say(
        *("users", "set", "anna", "--name", "anne", "--role", "viewer"),
        *("--per-minute", "0", "--month", "none", "--day", "1.50", "--json"),
    ).facts
    assert (changed["name"], changed["role"], changed["per_minute"]) == ("anne", "viewer", None)
    assert changed["budgets_micro"] == {"day": 1_500_000}
    said = say("users", "disable", "anne")
    assert "No admin is left" in said.err
    assert say("users", "show", added["id"], "--json").facts["disabled"] is True
    assert "enabled" in say("users", "enable", "anne").out
    listed = say("users", "list").out
    assert "anne" in listed
    assert "$1.50 a day" in listed


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("show", "nobody"), 9),
        (("add", ""), 2),
        (("add", "a\x1b[31m"), 2),
        (("add", "x" * 101), 2),
        (("add", "ok", "--month", "much"), 2),
        (("add", "ok", "--per-minute", "-1"), 2),
        (("add", "ok", "--role", "god"), 2),
        (("disable", "nobody"), 9),
    ],
)
def test_users_that_cannot_be(say: Say, words: tuple[str, ...], code: int) -> None:
    assert say("users", *words).code == code
    assert say("users", "list", "--json").facts == {"users": []}


# ------------------------------------------------------------ keys


def test_a_key_from_create_to_revoke(say: Say, home: Path) -> None:
    say("users", "add", "anna")
    said = say("keys", "create", "anna", "--name", "laptop", "--expires", "90d", "--json")
    text, made = said.facts["key"], said.facts
    assert key_id(text) == made["id"]
    assert made["scopes"] == ["generate", "read", "manage"]
    pepper = open_secrets(home / "server").pepper
    assert is_same(text, digest(text, pepper), pepper)
    plain = say("keys", "create", "anna")
    assert key_id(plain.out.strip()) is not None  # the key alone, for whoever pipes it on
    assert say("budget", "set", f"key/{made['id']}/day", "2").code == 0
    new = say("keys", "rotate", made["id"], "--json").facts
    rows = say("budget", "show", "--json").facts["budgets"]
    assert {f"key/{each['id']}/day" for each in (made, new)} <= {row["name"] for row in rows}
    assert (new["name"], new["expires"]) == ("laptop", made["expires"])
    assert say("keys", "revoke", made["id"]).code == 0
    listed = {row["id"]: row for row in say("keys", "list", "anna", "--json").facts["keys"]}
    assert listed[made["id"]]["state"] == "revoked"
    assert listed[new["id"]]["state"] == "good"
    assert made["id"] in (home / "server" / "revoked.jsonl").read_text()
    assert say("keys", "rotate", made["id"]).code == 2  # it is revoked
    assert say("keys", "rotate", new["id"], "--now", "--json").code == 0
    for output in (say("keys", "list"), say("keys", "list", "--json"), say("users", "list")):
        assert text not in output.out
    for path, data in read_all(home):
        assert text.encode() not in data, path


def test_a_whole_key_does_not_belong_on_the_command_line(say: Say) -> None:
    say("users", "add", "anna")
    made = say("keys", "create", "anna", "--json").facts
    said = say("keys", "revoke", made["key"])
    assert said.code == 2
    assert made["key"] not in said.out + said.err
    assert f"heliograph keys revoke {made['id']}" in said.err


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("create", "nobody"), 9),
        (("create", "lee", "--scope", "admin"), 2),
        (("create", "lee", "--expires", "soon"), 2),
        (("create", "lee", "--expires", "0d"), 2),
        (("create", "lee", "--at-once", "0"), 2),
        (("revoke", "12345678"), 9),
        (("rotate", "12345678"), 9),
        (("list", "nobody"), 9),
    ],
)
def test_keys_that_cannot_be(say: Say, words: tuple[str, ...], code: int) -> None:
    say("users", "add", "lee", "--role", "viewer")
    assert say("keys", *words).code == code
    assert say("keys", "list", "--json").facts == {"keys": []}


def test_budgets_of_users_and_keys_are_shown(say: Say) -> None:
    user = say("users", "add", "anna", "--day", "5", "--json").facts["id"]
    key = say("keys", "create", "anna", "--json").facts["id"]
    assert say("budget", "set", f"key/{key}", "7").code == 0
    assert say("budget", "set", "key/abcdefgh", "7").code == 2
    assert say("budget", "set", "user/Anna/day", "6").code == 0  # calls count by ids
    for nobody in ("user/", "user/ben", "user/ben/day", f"user/{user[:8]}"):
        assert say("budget", "set", nobody, "7").code == 2
    rows = {b["name"]: b for b in say("budget", "show", "--json").facts["budgets"]}
    day = rows[f"user/{user}/day"]
    assert day["limit_micro"] == day["left_micro"] == 6_000_000
    assert day["called"] == "user/anna/day"
    assert "user/anna/day" in say("budget", "show").out
    assert day["scope"].startswith(f"user/{user}/day/20")
    assert rows[f"key/{key}"]["limit_micro"] == 7_000_000
    assert say("budget", "remove", "user/anna/day").code == 0
    assert say("budget", "remove", "user/anna/day").code == 2
    assert say("budget", "remove", f"key/{key}").code == 0


# ------------------------------------------------------------ backup and restore


def test_backup_and_restore(say: Say, home: Path, tmp_path: Path) -> None:
    say("generate", "A fox", "--size", "1K", "-o", "fox.jpg")
    say("users", "add", "anna")
    key = say("keys", "create", "anna", "--json").facts["id"]
    said = say("backup", str(tmp_path / "b"))
    assert said.code == 0
    assert "--secrets" in said.err
    made = say("backup", str(tmp_path / "b"), "--secrets", "--verify", "--json").facts
    assert (made["copied"], made["has_secrets"]) == (0, True)
    say("keys", "revoke", key)
    say("backup", str(tmp_path / "b"))
    assert say("restore", str(tmp_path / "b")).code == 2  # the home is not empty
    costs = say("costs", "--json").out
    shutil.rmtree(home)
    found = say("restore", str(tmp_path / "b"), "--name", made["name"], "--json")
    assert found.code == 0
    assert (found.facts["damaged"], found.facts["findings"]) == ([], [])
    assert say("costs", "--json").out == costs
    assert say("keys", "list", "--json").facts["keys"][0]["state"] == "revoked"
    assert "1 intact" in say("images", "verify").out or say("images", "verify").code == 0
    assert say("restore", str(tmp_path / "nothing"), "--home", str(tmp_path / "n")).code == 9


def test_a_restore_without_secrets_says_what_becomes_of_the_keys(
    say: Say, home: Path, tmp_path: Path
) -> None:
    said = say("backup", str(tmp_path / "none"), "--secrets")
    assert "nothing to copy" in said.err
    assert "secrets" not in say("backup", str(tmp_path / "none")).err  # no gateway, no secrets
    said = say("restore", str(tmp_path / "none"), "--home", str(tmp_path / "keyless"))
    assert "secrets" not in said.err
    say("users", "add", "anna", "--role", "admin")
    old = say("keys", "create", "anna").out.strip()
    kept = tmp_path / "kept"
    shutil.copytree(home / "server", kept)
    folder, new = str(tmp_path / "b"), str(tmp_path / "new")
    say("backup", folder)

    said = say("restore", folder, "--home", new)
    assert said.code == 0
    assert "401 to all keys made before: 1." in said.err
    assert str(Path(new) / "server") in said.err
    rows = {
        row["name"]: row
        for row in say("doctor", "--server", "--json", "--home", new).facts["checks"]
    }
    assert rows["secrets"]["state"] == "warn"
    assert "401: 1" in rows["secrets"]["finding"]
    assert "get 401: 1." in say("keys", "create", "anna", "--home", new).err
    assert "401" not in say("keys", "create", "anna", "--home", new).err

    shutil.rmtree(new)
    assert not say("restore", folder, "--home", new, "--json").facts["has_secrets"]
    shutil.copytree(kept, Path(new) / "server", dirs_exist_ok=True)
    assert "401" not in say("keys", "create", "anna", "--home", new).err
    pepper = open_secrets(Path(new) / "server").pepper
    assert is_same(old, digest(old, pepper), open_secrets(home / "server").pepper)
    shutil.rmtree(new)
    say("backup", folder, "--secrets")
    assert "secrets" not in say("restore", folder, "--home", new).err


def test_the_manifest_of_another_backup_is_damaged(say: Say, tmp_path: Path) -> None:
    folder = tmp_path / "b"
    name = say("backup", str(folder), "--json").facts["name"]
    (folder / "backups" / name / "manifest.json").write_text("{")
    said = say("backup", str(folder))
    assert said.code == 0
    assert f"{name} cannot be read" in said.err


def test_a_damaged_backup_says_so(say: Say, tmp_path: Path) -> None:
    say("generate", "A fox", "--size", "1K", "-o", "fox.jpg")
    say("backup", str(tmp_path / "b"))
    picture = next((tmp_path / "b" / "originals").rglob("*.jpg"))
    picture.chmod(0o600)
    picture.write_bytes(b"no picture")
    said = say("restore", str(tmp_path / "b"), "--home", str(tmp_path / "new"))
    assert said.code == 1
    assert picture.name in said.err


# ------------------------------------------------------------ doctor


def test_doctor_of_the_gateway(say: Say, home: Path) -> None:
    names = {row["name"] for row in say("doctor", "--server", "--json").facts["checks"]}
    assert {"secrets", "users", "address", "port", "room", "log"} <= names
    assert not (home / "server").exists()  # it only looks
    say("users", "add", "root", "--role", "admin")
    rows = {row["name"]: row for row in say("doctor", "--server", "--json").facts["checks"]}
    assert rows["users"]["state"] == "warn"
    say("keys", "create", "root")
    rows = {row["name"]: row for row in say("doctor", "--server", "--json").facts["checks"]}
    assert rows["users"]["state"] == rows["secrets"]["state"] == "ok"
    (home / "server" / "pepper").chmod(0o644)
    rows = {row["name"]: row for row in say("doctor", "--server", "--json").facts["checks"]}
    assert rows["secrets"]["state"] == "fail"


def test_doctor_knows_which_addresses_are_safe() -> None:
    public = load_settings(server_host="0.0.0.0")  # noqa: S104  nothing listens
    behind = load_settings(server_host="0.0.0.0", server_url="https://images.example.com")  # noqa: S104
    assert server_checks.check_address(load_settings(), has_key=False).state is State.OK
    assert server_checks.check_address(public, has_key=False).state is State.FAIL
    assert server_checks.check_address(public, has_key=True).state is State.WARN
    assert server_checks.check_address(behind, has_key=True).state is State.OK


def test_doctor_says_what_deserves_a_second_look(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert list(server_checks.check_choices(load_settings())) == []
    risky = load_settings(
        server_query_keys=True, server_metrics="open", server_webhook_hosts="*", server_drain=10
    )
    found = list(server_checks.check_choices(risky))
    assert [check.state for check in found] == [State.WARN] * 4
    assert server_checks.check_log(home).state is State.OK
    with (home / "heliograph.db-wal").open("wb") as log:
        log.truncate(65 << 20)
    assert server_checks.check_log(home).state is State.WARN
    for free, state in ((10**12, State.OK), (3 * 10**9, State.WARN), (10**9, State.FAIL)):
        usage = shutil._ntuple_diskusage(10**13, 0, free)
        monkeypatch.setattr(shutil, "disk_usage", lambda _, usage=usage: usage)
        assert server_checks.check_room(home).state is state


# ------------------------------------------------------------ serve


def test_serve_and_unmodified_sdks(home: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "heliograph", "serve", "--port", "0", "--simulate", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "HELIOGRAPH_HOME": str(home)},
    )
    try:
        assert process.stdout is not None
        said = json.loads(process.stdout.readline())
        key = said["admin_key"]
        google = genai.Client(api_key=key, http_options=types.HttpOptions(base_url=said["gemini"]))
        answer = google.models.generate_content(
            model="gemini-3-pro-image",
            contents="A lighthouse",
            config=types.GenerateContentConfig(
                image_config=types.ImageConfig(image_size="1K"), response_modalities=["IMAGE"]
            ),
        )
        assert any(part.inline_data for part in answer.parts or ())
        openai = OpenAI(api_key=key, base_url=said["openai"])
        made = openai.images.generate(model="gemini-3-pro-image", prompt="A fox", size="1024x1024")
        assert made.data
    finally:
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 0
    assert key not in errors
    lines = [json.loads(line) for line in errors.splitlines() if line.startswith("{")]
    costs = [line["cost_micro"] for line in lines if line.get("cost_micro")]
    assert len(costs) == 2
