"""The files around the source: what is tracked, what is locked, what contracts there are."""

import re
import subprocess
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from tests.shape.source import ROOT

# Written in pieces, so that this file passes its own test.
FORBIDDEN = {
    "a package registry": ("pypi" + ".org", "python" + "hosted.org", "registry." + "npmjs"),
    "a package index": ("/sim" + "ple/", "index" + "-url", "find" + "-links", "trusted" + "-host"),
    "a path of one machine": ("/wo" + "rk/", "/ro" + "ot/", "/op" + "t/", "/Us" + "ers/"),
}
OFFICIAL = {"--no-emit-index" + "-url"}  # says that there is none
MAX_SCANNED = 2_000_000
PIN = re.compile(r"^(?P<name>[a-z0-9-]+)==(?P<version>[^ ;\\]+)(?P<marker> ;[^\\]+)? \\$")
LOCKS = ("build.txt", "run.txt", "dev.txt")


@cache
def tracked() -> tuple[Path, ...]:
    """What git tracks, and what it would track if it were added."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listing.returncode == 0:
        names = (n for n in listing.stdout.decode().split("\0") if n)
        files = [ROOT / n for n in names]
    else:  # an unpacked source archive
        hidden = re.compile(r"/(\.(?!ci/|gitignore)|__pycache__/|demo-output/)")
        files = [p for p in ROOT.rglob("*") if not hidden.search(f"/{p.relative_to(ROOT)}")]
    return tuple(sorted(p for p in files if p.is_file()))


@cache
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


@cache
def pins(lock: str) -> dict[str, str]:
    lines = (ROOT / "requirements" / lock).read_text("utf-8").splitlines()
    return {m["name"]: m["version"] for m in map(PIN.match, lines) if m}


@pytest.mark.parametrize("kind", FORBIDDEN)
def test_no_tracked_file_names(kind: str) -> None:
    found = []
    for path in tracked():
        data = path.read_bytes()
        if b"\0" in data[:8192] or len(data) > MAX_SCANNED:
            continue
        for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), start=1):
            for allowed in OFFICIAL:
                line = line.replace(allowed, "")
            found += [
                f"{path.relative_to(ROOT)}:{number}: {word}"
                for word in FORBIDDEN[kind]
                if word in line
            ]
    assert not found, f"{kind}:\n" + "\n".join(found)


def test_tracked_files_are_found() -> None:
    assert ROOT / "pyproject.toml" in tracked()
    assert ROOT / "Makefile" in tracked()


@pytest.mark.parametrize("lock", LOCKS)
def test_everything_locked_has_hashes(lock: str) -> None:
    lines = [
        line
        for line in (ROOT / "requirements" / lock).read_text("utf-8").splitlines()
        if line and not line.lstrip().startswith("#")
    ]
    for line, after in zip(lines, [*lines[1:], ""], strict=True):
        if line.startswith(" "):
            assert re.fullmatch(r" +--hash=sha256:[0-9a-f]{64}( \\)?", line), line
        else:
            assert PIN.match(line), f"not pinned: {line}"
            assert after.startswith("    --hash="), f"no hash: {line}"
    assert pins(lock)


def test_locks_agree() -> None:
    """What developers test is what users run, built by what is locked to build."""
    dev = pins("dev.txt")
    assert {n: dev.get(n) for n in pins("run.txt")} == pins("run.txt")
    build = pins("build.txt")
    assert {n: v for n, v in build.items() if n in dev} == {n: dev[n] for n in build if n in dev}


def test_locks_fulfil_the_project() -> None:
    def unmet(wanted: list[str], lock: str) -> list[str]:
        parsed = map(Requirement, wanted)
        return [
            f"{lock}: {r}" for r in parsed if not r.specifier.contains(pins(lock).get(r.name, "0"))
        ]

    needed = project()["project"]["dependencies"]
    built = project()["build-system"]["requires"]
    missing = [
        *unmet(needed, "run.txt"),
        *unmet(project()["dependency-groups"]["dev"], "dev.txt"),
        *unmet(built, "build.txt"),
    ]
    assert not missing, "run `make lock`:\n" + "\n".join(missing)


def test_import_contracts_have_no_exceptions() -> None:
    contracts = project()["tool"]["importlinter"]["contracts"]
    assert [c["id"] for c in contracts if "ignore_imports" in c] == []
    floors = next(c for c in contracts if c["id"] == "floors")
    assert floors["exhaustive"] is True
    assert "exhaustive_ignores" not in floors


def test_every_make_target_is_explained() -> None:
    text = (ROOT / "Makefile").read_text("utf-8")
    shown = set(re.findall(r"^([a-z]+):.*## \S", text, re.MULTILINE))
    assert shown == {
        *("help", "demo", "test", "check", "docs", "soak", "bench", "lock", "clean"),
        *("coverage", "mutation", "npm"),
    }


def test_continuous_integration_runs_the_one_command() -> None:
    script = (ROOT / ".ci" / "run").read_text("utf-8").splitlines()
    assert [line for line in script if not line.startswith("#")] == [
        "set -euo pipefail",
        'cd "$(dirname "${BASH_SOURCE[0]}")/.."',
        "exec make test",
    ]
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111


def test_tests_use_doubles_not_patches() -> None:
    """Doubles ship with the product and loopback is real; a mock only knows what we believe."""
    mock = "unittest" + ".mock"
    found = [
        str(path.relative_to(ROOT))
        for path in tracked()
        if path.suffix == ".py" and path.is_relative_to(ROOT / "tests")
        if re.search(rf"{mock}|from unittest import mock|pytest_mock", path.read_text("utf-8"))
        and path.name != Path(__file__).name
    ]
    assert not found
