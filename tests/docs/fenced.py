"""Reads the fenced blocks and the links of the pages, and runs blocks as a reader would.

A fence says what becomes of it by the words after its language:

    python, sh          run, in page order, in one folder and one library for each page
    console             the lines after `$ ` are run, the others must come out
    console gateway     one line that starts a gateway, which serves until the page ends
    python pytest       run by pytest
    sh parsed           taken apart by the command line, not run
    sh no-run: REASON   left alone; tests/docs/test_examples.py lists every one
    js no-run: REASON   likewise
    text, yaml          nothing to run

Where examples of a page name the gateway's address, and none starts one, one runs already: on the
page's own library, with the key of its admin in HELIO_KEY.
"""

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import pytest
from tests.docs.serving import GATEWAY_IN_DOCS, Gateway

from heliograph.cli import build_app, with_command
from heliograph.cli.edge import run
from heliograph.cli.screen import SIMULATED

ROOT = Path(__file__).parents[2]
LANGUAGES = {"python", "sh", "console", "js", "text", "yaml"}
RUN = ("python", "sh", "console")
EMULATOR_IN_DOCS = "http://127.0.0.1:8787"
ONE_BY_ONE = "import runpy, sys; [runpy.run_path(f, run_name='__main__') for f in sys.argv[1:]]"
LIMIT = 120  # seconds for one block, on a machine that is busy

_FENCE = re.compile(r"^```(\w*) ?(.*?)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]\n]*\]\(([^)\s]+)\)")
# a word is quoted without anything that a shell would look into, or has none of its signs
_WORD = r"""(?:"[^"$`\\!]*"|'[^']*'|[^\s"'|<>;&$`()*?~#{}\\!\[\]])+"""
_PLAIN = re.compile(rf"heliograph(?: {_WORD})+$")
_ID = re.compile(r"kept as ([0-9a-f]{8})")


@dataclass(frozen=True, kw_only=True)
class Block:
    """One fenced block."""

    page: str
    line: int
    language: str
    info: str
    text: str

    @property
    def runs(self) -> bool:
        return self.language in RUN and self.info in ("", "pytest", "gateway")

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def pages() -> list[Path]:
    """The README and every page below docs/, decisions left out: those are dated records."""
    found = [p for p in (ROOT / "docs").rglob("*.md") if "decisions" not in p.parts]
    return [ROOT / "README.md", *sorted(found)]


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(
            page=page.relative_to(ROOT).as_posix(),
            line=text.count("\n", 0, match.start()) + 1,
            language=match[1],
            info=match[2].strip(),
            text=match[3],
        )
        for match in _FENCE.finditer(text)
    ]


def links(page: Path) -> list[str]:
    """The targets of the links and pictures of a page."""
    return _LINK.findall(_FENCE.sub("", page.read_text(encoding="utf-8")))


def anchors(page: Path) -> set[str]:
    """What a link to a heading of the page may say after `#`."""
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def commands(block: Block) -> Iterator[tuple[str, list[str]]]:
    """The commands of a console block, each with the lines that it must print."""
    command: str | None = None
    expected: list[str] = []
    for line in block.text.splitlines():
        if line.startswith("$ "):
            if command is not None:
                yield command, expected
            command, expected = line[2:], []
        elif line.strip():
            expected.append(line)
    if command is not None:
        yield command, expected


def words_of(line: str) -> list[str]:
    """A command line without its first word and its redirections."""
    words = shlex.split(re.split(r" [<>] ", line)[0])
    assert words[0] == "heliograph", line
    return with_command(words[1:])


class Session:
    """A reader who works through one page."""

    def __init__(self, folder: Path, environment: Mapping[str, str], emulator: str) -> None:
        self._folder = folder
        self._environment = dict(environment)
        self._emulator = emulator
        self._gateway: Gateway | None = None
        self._ids: dict[str, str] = {}

    def close(self) -> None:
        """Stop the gateway, if the page has one."""
        if self._gateway is not None:
            self._gateway.close()

    def work_through(self, page: Path) -> None:
        """Run the blocks of a page as their fences say, in order."""
        wanted = [block for block in blocks(page) if block.runs]
        starts_one = any(block.info == "gateway" for block in wanted)
        if not starts_one and any(GATEWAY_IN_DOCS in block.text for block in wanted):
            self._serve(None, "heliograph serve", [])
        for (language, info), group in groupby(wanted, key=lambda b: (b.language, b.info)):
            if language == "python":
                self._python(list(group), in_pytest=bool(info))
                continue
            for block in group:
                if info == "gateway":
                    for command, expected in commands(block):
                        self._serve(block, command, expected)
                elif language == "console":
                    for command, expected in commands(block):
                        self._console(block, command, expected)
                else:
                    self._shell(block, self._here(block.text))

    def _serve(self, block: Block | None, command: str, expected: list[str]) -> None:
        """Start the gateway of the page; what it says must be as expected."""
        self._gateway = Gateway(words_of(command), self._folder, self._environment)
        self._environment["HELIO_KEY"] = self._gateway.key
        came = iter(self._gateway.said)
        for line in expected:
            assert line in came, f"{block}: {command}: no {line!r} in {self._gateway.said}"

    def _shell(self, block: Block, text: str) -> None:
        """Lines that say nothing to a shell but a command of ours are run in this process."""
        lines = text.splitlines()
        if not all(_PLAIN.match(line) for line in lines):
            self._succeed(block, ["bash", "-euo", "pipefail", "-c", text])
            return
        for line in lines:
            code, output = self._at_once(words_of(line))
            assert code == 0, f"{block}: {line}: exit {code}\n{output}"

    def _python(self, group: list[Block], *, in_pytest: bool) -> None:
        """Examples that follow one another share a process, but no names."""
        files = [f"test_line_{block.line}.py" for block in group]
        for name, block in zip(files, group, strict=True):
            (self._folder / name).write_text(self._here(block.text), encoding="utf-8")
        how = ["-m", "pytest", "-q", "-p", "no:cacheprovider"] if in_pytest else ["-c", ONE_BY_ONE]
        self._succeed(group[0], [sys.executable, *how, *files])

    def _console(self, block: Block, command: str, expected: list[str]) -> None:
        for documented, real in self._ids.items():
            command = command.replace(documented, real)
        code, output = self._at_once(words_of(command))
        fails = any(line.removeprefix(SIMULATED).startswith("error:") for line in expected)
        assert (code != 0) == fails, f"{block}: {command}: exit {code}\n{output}"
        came = iter(_comparable(line) for line in output.splitlines())
        for line in expected:
            # in order, with other lines between them
            assert _comparable(line) in came, f"{block}: {command}: no {line!r} in\n{output}"
        documented_ids = _ID.findall("\n".join(expected))
        self._ids.update(
            zip(documented_ids, _ID.findall(output), strict=True) if documented_ids else ()
        )

    def _at_once(self, words: list[str]) -> tuple[int, str]:
        """Run a command in this process: loading the program takes longer than most of them."""
        screen = io.StringIO()
        with (
            pytest.MonkeyPatch.context() as patch,
            contextlib.chdir(self._folder),
            contextlib.redirect_stdout(screen),
            contextlib.redirect_stderr(screen),
        ):
            for name in set(os.environ) - set(self._environment):
                patch.delenv(name)
            for name, value in self._environment.items():
                patch.setenv(name, value)
            code = run(build_app(), words)
        return code, screen.getvalue()

    def _succeed(self, block: Block, command: list[str]) -> None:
        code, output = self._execute(command)
        assert code == 0, f"{block}: exit {code}\n{output}"

    def _execute(self, command: list[str]) -> tuple[int, str]:
        done = subprocess.run(
            command,
            cwd=self._folder,
            env=dict(self._environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=LIMIT,
            check=False,
        )
        return done.returncode, done.stdout.decode()

    def _here(self, text: str) -> str:
        if self._gateway is not None:
            text = text.replace(GATEWAY_IN_DOCS, self._gateway.url)
        return text.replace(EMULATOR_IN_DOCS, self._emulator)


def _comparable(line: str) -> str:
    """A line without what differs from call to call: ids, seconds, bytes, simulated money."""
    line = " ".join(line.split())
    if "simulated" in line:
        line = re.sub(r"\$\d+\.\d+", "$N", line)
    line = re.sub(r"\b[0-9a-f]{8}\b", "ID", line)
    line = re.sub(r"\b\d+(\.\d+)? s\b", "N s", line)
    return re.sub(r"\b\d+(\.\d+)? (MB|kB)\b", "N bytes", line)
