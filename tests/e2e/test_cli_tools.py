"""The commands that look after an installation: doctor, config, auth, completion, verify, open."""

import io
import json
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import keyring
import pytest
from PIL import Image
from tests.e2e.conftest import Emulated
from tests.keyring_double import Drawer, Shut, drawer_in_place

from heliograph import Heliograph, Result
from heliograph.cli import build_app
from heliograph.cli.check import State
from heliograph.cli.doctor import check_space, check_versions, check_workers
from heliograph.cli.edge import run
from heliograph.settings import config_file, load_settings

SECRET = "AIzaSy-this-is-a-secret-key-9876"
HELIOGRAPH = str(Path(sys.executable).parent / "heliograph")


class Said:
    """What one command printed, and how it ended."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def facts(self) -> Any:
        return json.loads(self.out)

    @property
    def checks(self) -> dict[str, dict[str, str]]:
        return {c["name"]: c for c in self.facts["checks"]}


Say = Callable[..., Said]


@pytest.fixture(autouse=True)
def drawer() -> Iterator[Drawer]:
    with drawer_in_place() as drawer:
        yield drawer


@pytest.fixture(autouse=True)
def own_config(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "config" / "heliograph" / "config.toml"


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Say:
    """Run a command in this process; what it prints never holds the secret."""

    def call(*words: str) -> Said:
        capsys.readouterr()
        code = run(build_app(), list(words))
        captured = capsys.readouterr()
        assert SECRET not in captured.out + captured.err
        return Said(code, captured.out, captured.err)

    return call


# ---------------------------------------------------------------- doctor


class Upstream(ThreadingHTTPServer):
    """A server that lists models as it is told to."""

    def __init__(self, body: str, off: timedelta) -> None:
        self.body, self.off, self.keys = body, off, list[str]()
        super().__init__(("127.0.0.1", 0), Lister)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Lister(BaseHTTPRequestHandler):
    server: Upstream

    def do_GET(self) -> None:
        found = self.path.startswith("/v1/models")
        if found:
            self.server.keys.append(self.headers.get("x-goog-api-key", ""))
            assert SECRET not in self.path
        body = self.server.body.encode()
        self.send_response(200 if found else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def date_time_string(self, timestamp: float | None = None) -> str:
        del timestamp
        return format_datetime(datetime.now(UTC) + self.server.off, usegmt=True)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def upstream(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Upstream]]:
    servers: list[Upstream] = []

    def serve(*models: str, body: str | None = None, off: timedelta = timedelta()) -> Upstream:
        listed = json.dumps({"models": [{"name": f"models/{m}"} for m in models]})
        servers.append(Upstream(listed if body is None else body, off))
        threading.Thread(target=servers[-1].serve_forever, args=(0.01,), daemon=True).start()
        monkeypatch.setenv("HELIOGRAPH_BASE_URL", servers[-1].url)
        return servers[-1]

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


def test_doctor_without_a_key_uses_the_emulator(tmp_path: Path) -> None:
    done = subprocess.run([HELIOGRAPH, "doctor"], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    lines = {line.split()[1]: line for line in done.stdout.splitlines()}
    assert list(lines) == [
        *("python", "calls", "reuse", "budget"),
        *("key", "upstream", "model", "clock", "disk", "library"),
        *("journal", "limits", "books", "workers"),
    ]
    assert lines["key"].startswith("warn")
    assert "heliograph auth set" in lines["key"]
    assert "emulator" in lines["upstream"]
    assert all(line.startswith("ok") for name, line in lines.items() if name != "key")
    assert str(tmp_path / "library") in lines["library"]


def test_doctor_with_a_key(
    say: Say, monkeypatch: pytest.MonkeyPatch, upstream: Callable[..., Upstream]
) -> None:
    server = upstream("gemini-3-pro-image", "gemini-nano-banana-2.1")
    monkeypatch.setenv("GEMINI_API_KEY", SECRET)
    done = say("doctor", "--json")
    assert done.code == 0
    assert done.facts["ok"] is True
    assert {c["state"] for c in done.checks.values()} == {"ok"}
    assert done.checks["key"]["finding"] == "GEMINI_API_KEY in the environment"
    assert "accepts the key" in done.checks["upstream"]["finding"]
    assert server.keys == [SECRET]


def test_doctor_names_an_emulator_that_runs_already(
    say: Say, monkeypatch: pytest.MonkeyPatch, emulated: Emulated
) -> None:
    monkeypatch.setenv("HELIOGRAPH_BASE_URL", emulated.url)
    done = say("doctor", "--json")
    assert done.code == 0
    assert "local emulator" in done.checks["upstream"]["finding"]
    monkeypatch.setenv("GEMINI_API_KEY", "emu-expired")
    done = say("doctor", "--json")
    assert done.code == 4
    assert "does not accept" in done.checks["upstream"]["finding"]
    assert "Check the key" in done.checks["upstream"]["remedy"]
    assert done.checks["model"]["state"] == "warn"


def test_doctor_misses_a_key_and_refuses_a_broken_one(
    say: Say, monkeypatch: pytest.MonkeyPatch, upstream: Callable[..., Upstream]
) -> None:
    server = upstream("gemini-3-pro-image")
    done = say("doctor", "--json")
    assert (done.code, done.checks["key"]["state"]) == (4, "fail")
    monkeypatch.setenv("GEMINI_API_KEY", "two words")
    done = say("doctor", "--json")
    assert (done.code, done.checks["key"]["state"]) == (4, "fail")
    assert server.keys == []


def test_doctor_sees_a_missing_model_and_a_wrong_clock(
    say: Say, monkeypatch: pytest.MonkeyPatch, upstream: Callable[..., Upstream]
) -> None:
    upstream("gemini-nano-banana-2.1", off=timedelta(minutes=-5))
    monkeypatch.setenv("GEMINI_API_KEY", SECRET)
    monkeypatch.setenv("GOOGLE_API_KEY", f"{SECRET}-other")
    done = say("doctor", "--json")
    assert done.code == 8
    assert done.checks["model"]["state"] == "fail"
    assert "gemini-nano-banana-2.1" in done.checks["model"]["remedy"]
    assert done.checks["clock"]["state"] == "warn"
    assert "ahead of" in done.checks["clock"]["finding"]
    assert done.checks["key"]["state"] == "warn"
    assert "GEMINI_API_KEY is set too" in done.checks["key"]["remedy"]


def test_doctor_names_what_replaces_a_retired_model(
    say: Say, monkeypatch: pytest.MonkeyPatch, upstream: Callable[..., Upstream]
) -> None:
    upstream(body="<html>")
    monkeypatch.setenv("GEMINI_API_KEY", SECRET)
    monkeypatch.setenv("HELIOGRAPH_MODEL", "gemini-3-pro-image-preview")
    done = say("doctor", "--json")
    assert done.code == 8
    assert "does not answer like" in done.checks["upstream"]["finding"]
    assert "retired since 2026-06-25" in done.checks["model"]["finding"]
    assert "gemini-3-pro-image" in done.checks["model"]["remedy"]
    monkeypatch.setenv("HELIOGRAPH_MODEL", "gemini-3-pro-imag")
    assert "no known model" in say("doctor").out


def test_doctor_offline_waits_no_longer_than_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", SECRET)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("HELIOGRAPH_BASE_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        done = subprocess.run(
            [HELIOGRAPH, "doctor", "--json"],
            check=False,
            capture_output=True,
            text=True,
            timeout=120,  # without a deadline of its own it would wait for ever
        )
    said = Said(done.returncode, done.stdout, done.stderr)
    assert said.code == 8
    assert "did not answer within 3 s" in said.checks["upstream"]["finding"]
    assert said.checks["library"]["state"] == "ok"


def test_doctor_reports_a_refused_connection_and_a_broken_library(
    say: Say, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", SECRET)
    monkeypatch.setenv("HELIOGRAPH_BASE_URL", "http://127.0.0.1:9")
    (tmp_path / "file").write_text("in the way")
    done = say("doctor", "--json", "--home", str(tmp_path / "file" / "library"))
    assert done.code == 8
    assert done.checks["upstream"]["state"] == "fail"
    assert done.checks["library"]["state"] == "fail"
    assert done.checks["library"]["remedy"]


def test_doctor_reports_a_database_that_is_none(
    say: Say, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, emulated: Emulated
) -> None:
    monkeypatch.setenv("HELIOGRAPH_BASE_URL", emulated.url)
    for file in (tmp_path / "library").glob("heliograph.db*"):
        file.unlink()
    (tmp_path / "library" / "heliograph.db").write_text("not a database" * 100)
    done = say("doctor", "--json")
    assert (done.code, done.checks["library"]["state"]) == (1, "fail")


def test_doctor_goes_on_with_broken_settings(say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HELIOGRAPH_WORKERS", "many")
    done = say("doctor", "--json")
    assert done.code == 1
    assert list(done.checks) == ["python", "settings", "workers"]
    assert "HELIOGRAPH_WORKERS" in done.checks["settings"]["finding"]


def test_doctor_says_how_calls_are_made_and_bounded(
    say: Say, monkeypatch: pytest.MonkeyPatch, upstream: Callable[..., Upstream]
) -> None:
    upstream("gemini-3-pro-image")
    usual = say("doctor", "--json").checks
    assert usual["calls"]["finding"].startswith("by generate_content: ")
    assert "never asked for again" in usual["calls"]["finding"]
    assert "with a seed for 30 days; an idempotency key for 3 days" in usual["reuse"]["finding"]
    assert "no limit of ours in ten minutes" in usual["budget"]["finding"]
    for name, value in {
        "TRANSPORT": "interactions",
        "RETRY_UNKNOWN": "true",
        "WRITE_TIMEOUT": "61",
        "LATE_TIMEOUT": "0",
        "SILENCE_TIMEOUT": "31.5",
        "CACHE": "off",
        "IDEMPOTENCY_TTL": "90000",
        "BUDGET_ZONE": "America/Los_Angeles",
        "SPEND_PER_10_MINUTES": "10",
    }.items():
        monkeypatch.setenv(f"HELIOGRAPH_{name}", value)
    changed = say("doctor", "--json").checks
    assert changed["calls"]["finding"] == (
        "by interactions: 5 s to connect, 61 s to send, 180 s to the first byte and 0 s more for a "
        "late picture, 31.5 s of silence, 300 s in all; an unknown outcome is asked for once more, "
        "and may be paid twice"
    )
    assert changed["reuse"]["finding"] == (
        "no earlier picture answers; an idempotency key for 25 hours"
    )
    assert changed["budget"]["finding"] == (
        "days and months begin in America/Los_Angeles; at most $10.00 in ten minutes"
    )


def test_doctor_counts_several_keys_and_names_their_projects(
    say: Say, monkeypatch: pytest.MonkeyPatch, upstream: Callable[..., Upstream]
) -> None:
    server = upstream("gemini-3-pro-image")
    monkeypatch.setenv("GEMINI_API_KEYS", f"prod={SECRET},prod={SECRET}-2,spare={SECRET}-3")
    done = say("doctor", "--json")
    assert done.checks["key"]["state"] == "ok"
    assert done.checks["key"]["finding"] == (
        "3 keys from GEMINI_API_KEYS in the environment: prod (2), spare"
    )
    assert server.keys == [SECRET]
    monkeypatch.setenv("GEMINI_API_KEYS", f"prod={SECRET},two words")
    done = say("doctor", "--json")
    assert (done.code, done.checks["key"]["state"]) == (4, "fail")
    assert "entry 2: the key holds characters" in done.checks["key"]["finding"]


async def test_doctor_s_own_checks_can_fail() -> None:
    states = [check_space(Path("/x"), free).state for free in (10**7, 10**9, 10**10)]
    assert states == [State.FAIL, State.WARN, State.OK]
    assert "60.0 MB" in check_space(Path("/x"), 10**9).finding
    assert check_versions(["no-such-package"]).state is State.FAIL
    dead = await check_workers(["false"])
    assert (dead.state, dead.exit_code) == (State.FAIL, 1)
    absent = await check_workers(["/no/such/program"])
    assert (absent.state, bool(absent.remedy)) == (State.FAIL, True)


# ---------------------------------------------------------------- config


def test_config_round_trip(say: Say, own_config: Path) -> None:
    assert say("config", "path").out.strip() == str(own_config)
    assert say("config", "set", "workers", "4").code == 0
    assert own_config.stat().st_mode & 0o777 == 0o600
    own_config.write_text('# mine\nworkers = 4  # a "#" here\n\nmodel = "a # b"\n')
    assert say("config", "set", "workers", "3").code == 0
    assert say("config", "set", "HELIOGRAPH_SIMULATE", "yes").code == 0
    assert say("config", "set", "home", "./pictures").code == 0
    home = Path("pictures").absolute()
    assert own_config.read_text() == (
        f'# mine\nworkers = 3  # a "#" here\n\nmodel = "a # b"\nsimulate = true\nhome = "{home}"\n'
    )
    assert say("config", "set", "model", "--unset").code == 0
    assert "model" not in own_config.read_text()
    assert (load_settings().workers, load_settings().simulate) == (3, True)
    assert say("config", "get", "workers").out == "3\n"
    rows = {r["name"]: r for r in say("config", "get", "--json").facts["settings"]}
    assert (rows["simulate"]["value"], rows["simulate"]["origin"]) == (True, str(own_config))
    assert rows["home"]["origin"] == "the environment"
    assert rows["patience"]["origin"] == "default"


@pytest.mark.parametrize(
    ("words", "code", "complaint"),
    [
        (["workers", "many"], 2, "valid integer"),
        (["workers", "-1"], 2, "greater than"),
        (["wokers", "1"], 2, "workers"),
        (["workers"], 2, "--unset"),
        (["workers", "1", "--unset"], 2, "--unset"),
        (["config", "/x"], 2, "HELIOGRAPH_CONFIG"),
        (["gemini-api-key", SECRET], 2, "heliograph auth set"),
        (["api_key", SECRET], 2, "heliograph auth set"),
        (["gemini-api-keys", SECRET], 2, "heliograph auth set"),
        (["spend_per_10_minutes", "ten"], 2, "not an amount in dollars"),
        (["budget_zone", "Europe/Berln"], 2, "did you mean Europe/Berlin?"),
        (["model", "nonsense"], 2, "is no known image model"),
        (["home", ""], 2, "names no place"),
    ],
)
def test_config_refuses(
    say: Say, own_config: Path, words: list[str], code: int, complaint: str
) -> None:
    done = say("config", "set", *words)
    assert done.code == code
    assert complaint in done.err
    assert not own_config.exists()


@pytest.mark.parametrize("text", ["workers = [\n  2\n]\n", "[x]\na = 1\n", "workers 3\n"])
def test_config_leaves_alone_what_it_cannot_edit(say: Say, own_config: Path, text: str) -> None:
    own_config.parent.mkdir(parents=True)
    own_config.write_text(text)
    done = say("config", "set", "workers", "3")
    assert done.code == 2
    assert "by hand" in done.err
    assert own_config.read_text() == text


def test_config_get_shows_mistakes_and_no_password(
    say: Say, own_config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HELIOGRAPH_DATABASE_URL", "postgresql://me:hunter2@db/x?password=hunter2")
    monkeypatch.setenv("HELIOGRAPH_WORKERS", "many")
    done = say("config", "get")
    assert done.code == 2
    assert "hunter2" not in done.out + done.err
    assert "postgresql://me:…@db/x?password=…" in done.out
    assert "many" in done.out
    assert "HELIOGRAPH_WORKERS" in done.err
    assert say("config", "get", "home").code == 0


def test_config_get_counts_several_keys(say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    assert say("config", "get", "--json").facts["keys"] == []
    monkeypatch.setenv("GEMINI_API_KEY", SECRET)
    assert say("config", "get").err == ""
    monkeypatch.setenv("GEMINI_API_KEYS", f"prod={SECRET},prod={SECRET}-2,spare={SECRET}-3")
    origin = "GEMINI_API_KEYS in the environment"
    assert say("config", "get").err == f"3 keys from {origin}: prod (2), spare\n"
    assert say("config", "get", "--json").facts["keys"] == [
        {"project": project, "origin": origin} for project in ("prod", "prod", "spare")
    ]
    assert "keys" not in say("config", "get", "workers").err
    monkeypatch.setenv("HELIOGRAPH_KEY_SOURCE", "aws-secrets-manager:painter")
    assert (say("config", "get").code, say("config", "get").err) == (0, "")
    monkeypatch.delenv("HELIOGRAPH_KEY_SOURCE")
    monkeypatch.setenv("GEMINI_API_KEYS", f"prod={SECRET},")
    assert say("config", "get").err == ""
    monkeypatch.setenv("GEMINI_API_KEYS", "two words")
    assert (say("config", "get").code, say("config", "get").err) == (0, "")


def test_config_follows_a_link(say: Say, own_config: Path, tmp_path: Path) -> None:
    own_config.parent.mkdir(parents=True)
    own_config.symlink_to(tmp_path / "dotfile.toml")
    assert say("config", "set", "workers", "5").code == 0
    assert own_config.is_symlink()
    assert (tmp_path / "dotfile.toml").read_text() == "workers = 5\n"
    assert config_file() == own_config


# ---------------------------------------------------------------- auth


def feed(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))


def test_auth_set_status_remove(say: Say, monkeypatch: pytest.MonkeyPatch, drawer: Drawer) -> None:
    none = say("auth", "status", "--json")
    assert (none.code, none.facts["used"]) == (4, None)
    assert "auth set" in say("auth", "status").err
    feed(monkeypatch, f"{SECRET}\n")
    assert say("auth", "set").code == 0
    assert drawer.kept == {("heliograph", "GEMINI_API_KEY"): SECRET}
    status = say("auth", "status")
    label, short = (f"key-{sha256(key.encode()).hexdigest()[:6]}" for key in (SECRET, "short"))
    assert status.out == f"used: {label} from GEMINI_API_KEY in the keyring, ends in 9876\n"
    monkeypatch.setenv("GEMINI_API_KEY", "short")
    feed(monkeypatch, SECRET)
    assert "GEMINI_API_KEY in the environment is found first" in say("auth", "set").err
    both = say("auth", "status", "--json").facts
    origin = "GEMINI_API_KEY in the environment"
    assert both["used"] == {"project": short, "origin": origin, "last": None}
    assert both["keys"] == [both["used"]]
    in_keyring = {"project": label, "origin": "GEMINI_API_KEY in the keyring", "last": "9876"}
    assert both["others"] == [in_keyring]
    assert "short" not in say("auth", "status").out.replace("a short one", "")
    assert say("auth", "remove").code == 0
    assert drawer.kept == {}
    assert say("auth", "remove").code == 4


def test_auth_keeps_several_keys(say: Say, monkeypatch: pytest.MonkeyPatch, drawer: Drawer) -> None:
    feed(monkeypatch, f"prod = {SECRET}\n\nspare={SECRET}-2,\n")
    assert say("auth", "set", "--name", "GEMINI_API_KEYS").code == 0
    kept = f"prod={SECRET},spare={SECRET}-2"
    assert drawer.kept == {("heliograph", "GEMINI_API_KEYS"): kept}
    monkeypatch.setenv("GEMINI_API_KEY", f"{SECRET}-3")
    monkeypatch.setenv("GEMINI_API_KEYS", f"one={SECRET}-4,two={SECRET}-5")
    status = say("auth", "status")
    assert status.out == (
        "used: one from GEMINI_API_KEYS in the environment, ends in 76-4\n"
        "used: two from GEMINI_API_KEYS in the environment, ends in 76-5\n"
        "also: prod from GEMINI_API_KEYS in the keyring, ends in 9876\n"
        "also: spare from GEMINI_API_KEYS in the keyring, ends in 76-2\n"
    )
    assert "GEMINI_API_KEY is set too and ignored" in status.err
    facts = say("auth", "status", "--json").facts
    assert [key["project"] for key in facts["keys"]] == ["one", "two"]
    assert [key["project"] for key in facts["others"]] == ["prod", "spare"]
    assert say("auth", "remove").code == 0
    assert drawer.kept == {}


def test_auth_set_refuses_a_pool_with_mistakes_and_what_is_too_long(
    say: Say, monkeypatch: pytest.MonkeyPatch, drawer: Drawer
) -> None:
    feed(monkeypatch, f"prod={SECRET}\n{SECRET}=prod\nspare=\n")
    done = say("auth", "set", "--name", "GEMINI_API_KEYS")
    assert done.code == 2
    assert "entry 2: the label before the = looks like a key; entry 3: nothing" in done.err
    feed(monkeypatch, ",".join([SECRET] * 2000))
    assert "longer than" in say("auth", "set", "--name", "GEMINI_API_KEYS").err
    assert drawer.kept == {}


def test_auth_set_takes_no_key_from_the_arguments(say: Say, drawer: Drawer) -> None:
    assert run(build_app(), ["auth", "set", "--name", "OTHER_KEY"]) == 2
    assert run(build_app(), ["auth", "set", "AIzaSy"]) == 2
    assert drawer.kept == {}


@pytest.mark.parametrize("text", ["", "two words", "x" * 20 + "\ny", "schlüssel"])
def test_auth_set_refuses_what_is_no_key(
    say: Say, monkeypatch: pytest.MonkeyPatch, drawer: Drawer, text: str
) -> None:
    feed(monkeypatch, text)
    done = say("auth", "set")
    assert done.code == 2
    assert not text or text not in done.err
    assert drawer.kept == {}


def test_auth_without_a_keyring(say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    keyring.set_keyring(Shut())
    feed(monkeypatch, SECRET)
    for word in ("set", "remove"):
        done = say("auth", word)
        assert done.code == 2
        assert "no keyring" in done.err
    assert say("auth", "status").code == 4


# ---------------------------------------------------------------- images


@pytest.fixture
def made(emulated: Emulated, project: str) -> Result:
    with Heliograph(base_url=emulated.url, api_key=f"emu-project-{project}") as client:
        return client.generate("A fox", size="4K", aspect="4:3")


def test_verify_finds_a_flipped_byte_and_a_missing_file(say: Say, made: Result) -> None:
    whole = say("images", "verify", made.record.id[:8], "--deep", "--json")
    assert (whole.code, whole.facts["damaged"], whole.facts["missing"]) == (0, 0, 0)
    # the picture, its signature, and that of the text beside it
    assert whole.facts["intact"] == 3
    assert say("images", "verify").out == "3 intact, 0 damaged, 0 missing.\n"
    kept = made.record.result
    assert kept is not None
    signature = made.path.parent.parent.parent / str(kept.signature_key)
    signature.unlink()
    gone = say("images", "verify", "--json")
    assert (gone.code, gone.facts["missing"]) == (9, 1)
    data = bytearray(made.path.read_bytes())
    data[len(data) // 2] ^= 1
    made.path.chmod(0o600)
    made.path.write_bytes(data)
    flipped = say("images", "verify")
    assert flipped.code == 1
    assert f"damaged: {kept.key}" in flipped.out
    assert "SHA-256" in flipped.out
    assert "1 intact, 1 damaged, 1 missing." in flipped.out
    made.path.write_bytes(data[:-9])
    assert "bytes instead of" in say("images", "verify").out or say("images", "verify").code == 1
    assert say("images", "verify", "ffffffff").code == 9


def test_open_hands_the_original_to_the_viewer(
    say: Say, made: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    alone = say("images", "open", made.record.id[:8])
    assert (alone.code, alone.out) == (0, f"{made.path}\n")
    assert "no viewer" in alone.err
    viewer = tmp_path / "bin" / ("open" if sys.platform == "darwin" else "xdg-open")
    viewer.parent.mkdir()
    viewer.write_text(f'#!/bin/sh\necho "$@" > "{tmp_path}/seen.new"\nexec >/dev/null\n')
    viewer.chmod(0o755)
    monkeypatch.setenv("PATH", str(viewer.parent))
    assert say("images", "open", made.record.id[:8]).code == 0
    seen, end = tmp_path / "seen.new", time.monotonic() + 60
    while time.monotonic() < end and not (seen.exists() and seen.read_text()):
        time.sleep(0.02)
    assert seen.read_text() == f"{made.path}\n"
    assert say("images", "open", "ffffffff").code == 9


def test_a_print_may_be_enlarged_a_little_and_a_crop_is_told(say: Say, made: Result) -> None:
    name = made.record.id[:8]
    done = say("images", "export", name, "--for", "A3 print at 300 dpi", "-o", "a3.jpg")
    assert done.code == 0
    assert "enlarged by" in done.err
    assert "cropped away" in done.err
    with Image.open("a3.jpg") as picture:
        assert picture.size == (4961, 3508)
    assert say("images", "export", name, "--pixels", "4961x3508", "-o", "x.jpg").code == 2
    portrait = say("images", "export", name, "--for", "A3 portrait at 300 dpi", "-o", "x.jpg")
    assert portrait.code == 2
    assert not Path("x.jpg").exists()


def test_a_limit_of_nothing_is_refused(say: Say) -> None:
    assert say("images", "list", "--limit", "0").code == 2
    assert say("images", "list", "--limit", "-1").code == 2


# ---------------------------------------------------------------- models, completion


def test_models_alone_lists_them(say: Say) -> None:
    assert say("models", "--json").facts == say("models", "list", "--json").facts
    everything = say("models", "list", "--all", "--json").facts
    assert any(m["status"] == "retired" for m in everything)
    assert "gemini-3-pro-image" in say("models", "show", "models/gemini-3-pro-image").out
    wrong = say("models", "show", "gemini-3-pro-imag")
    assert wrong.code == 2
    assert "gemini-3-pro-image" in wrong.err


def test_completion_scripts(say: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bash = say("completion", "bash").out
    for command in ("doctor", "generate", "verify", "completion"):
        assert command in bash
    assert "complete -F _heliograph helio\n" in bash
    subprocess.run(["bash", "-n"], input=bash, text=True, check=True)
    asked = 'COMP_WORDS=(helio im); COMP_CWORD=1; _heliograph; echo "${COMPREPLY[@]}"'
    found = subprocess.run(
        ["bash"], input=f"{bash}\n{asked}\n", text=True, check=True, capture_output=True
    )
    assert found.stdout.split() == ["images"]
    assert say("completion", "zsh").out.startswith("#compdef heliograph helio\n")
    assert "complete -c helio -w heliograph" in say("completion", "fish").out
    assert say("completion", "tcsh").code == 2
    monkeypatch.setenv("HOME", str(tmp_path / "person"))
    (tmp_path / "person").mkdir()
    installed = say("completion", "bash", "--install")
    assert Path(installed.out.strip()).read_text() == bash
    assert str(tmp_path / "person") in installed.out
    assert shutil.which("bash")
    assert installed.out.strip() in (tmp_path / "person" / ".bashrc").read_text()
