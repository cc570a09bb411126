"""One mutant in one child: a warmed process forks, the child swaps the module and runs its tests.

Invariant: the parent never runs a mutant and the child never returns; whatever a mutant does, to
the file descriptors, the memory or the clock, ends with its process group.
"""

import ast
import contextlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import resource
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, ModuleType
from typing import NoReturn

import hypothesis
import pytest
from hypothesis import Phase
from tests.mutation.subjects import quick_tests, source_of

MEMORY = 2 << 30  # bytes a mutant may take
PLUGINS = ("-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:randomly")
# what is imported already is rewritten already
SILENCE = ("-W", "ignore::pytest.PytestAssertRewriteWarning")
OPTIONS = ("-q", "--no-header", "-x", "--hypothesis-profile=mutation", *SILENCE)


class _Loader(importlib.machinery.SourceFileLoader):
    """Loads one module from a changed tree."""

    def __init__(self, name: str, path: Path, tree: ast.Module) -> None:
        super().__init__(name, str(path))
        self._tree = tree

    def get_code(self, fullname: str) -> CodeType:  # noqa: ARG002 - importlib's signature
        return compile(self._tree, self.path, "exec")


class _Finder(importlib.abc.MetaPathFinder):
    """Finds that module before anything else does."""

    def __init__(self, loader: _Loader) -> None:
        self._loader = loader

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002 - importlib's signature
        target: ModuleType | None = None,  # noqa: ARG002 - likewise
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._loader.name:
            return None
        return importlib.util.spec_from_file_location(
            fullname, self._loader.path, loader=self._loader
        )


class _Order:
    """Tests that found other mutants first, property tests last; tells which one found this."""

    def __init__(self, finders: Counter[str], found: int) -> None:
        self._finders = finders
        self._found = found

    @pytest.hookimpl(trylast=True)  # after hypothesis has marked its own
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items.sort(key=lambda i: ("hypothesis" in i.keywords, -self._finders[i.nodeid]))

    @pytest.hookimpl
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            os.write(self._found, f"{report.nodeid}\n".encode()[:1000])


def warm(modules: Sequence[str]) -> None:
    """Import what the tests of all these modules import."""
    # no search for the smallest example: the first one that fails is enough
    hypothesis.settings.register_profile(
        "mutation",
        deadline=None,
        derandomize=True,
        database=None,
        phases=(Phase.explicit, Phase.generate),
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    files = sorted({name for module in modules for name in quick_tests(module)})
    code = _quietly(lambda: pytest.main([*files, "--collect-only", *PLUGINS, *OPTIONS]))
    if code != 0:
        raise SystemExit(f"the tests cannot be collected: {' '.join(files)}")


def _quietly(work: Callable[[], int]) -> int:
    kept = os.dup(1), os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    try:
        return int(work())
    finally:
        os.dup2(kept[0], 1)
        os.dup2(kept[1], 2)
        for file in (*kept, nowhere):
            os.close(file)


@dataclass(kw_only=True)
class Child:
    """A process that tries one mutant."""

    pid: int
    found: int  # pipe that tells which test failed
    begun: float  # monotonic

    def outcome(self, limit: float) -> tuple[str, str] | None:
        """What became of it, and which test found it; None while it runs.

        A child that runs longer than `limit` seconds is ended.
        """
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if pid:
            test = os.read(self.found, 4000).decode().partition("\n")[0]
            os.close(self.found)
            return ("survived" if status == 0 else "killed"), test
        if time.monotonic() - self.begun > limit:
            self.end()
            return "timeout", ""
        return None

    def end(self) -> None:
        """Stop it, with everything it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        os.kill(self.pid, signal.SIGKILL)  # it may not have its own group yet
        os.waitpid(self.pid, 0)
        os.close(self.found)


def fork(
    module: str,
    tree: ast.Module,
    apply: Callable[[], None],
    finders: Counter[str],
    folder: Path,
) -> Child:
    """Start a child that makes one change and runs the module's tests.

    Args:
        apply: makes the change, in the child's own copy of `tree`.
        finders: how many mutants each test found so far.
        folder: where its tests may write; must not exist.
    """
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        _try(module, tree, apply, _Order(finders, writing), folder)
    os.close(writing)
    return Child(pid=pid, found=reading, begun=time.monotonic())


def _try(
    module: str, tree: ast.Module, apply: Callable[[], None], order: _Order, folder: Path
) -> NoReturn:
    code = 1
    try:
        os.setsid()
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, hard))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        apply()
        name = f"heliograph.{module}"
        forget(name)
        sys.meta_path.insert(0, _Finder(_Loader(name, source_of(module), tree)))
        arguments = [*quick_tests(module), f"--basetemp={folder}", *PLUGINS, *OPTIONS]
        code = _quietly(lambda: pytest.main(arguments, plugins=[order]))
    finally:
        os._exit(code)


def forget(name: str) -> None:
    """Drop a module, and every module of ours that imported it, so that they are loaded anew."""
    ours = [n for n in sys.modules if n.partition(".")[0] in ("heliograph", "tests")]
    uses = {n: _imported(sys.modules[n]) for n in ours if not n.startswith("tests.mutation")}
    stale = {name}
    while more := {n for n, used in uses.items() if used & stale} - stale:
        stale |= more
    for gone in stale:
        sys.modules.pop(gone, None)
        parent, _, child = gone.rpartition(".")
        if parent in sys.modules and hasattr(sys.modules[parent], child):
            delattr(sys.modules[parent], child)


def _imported(module: ModuleType) -> set[str]:
    """Every name that a module imports; `from a import b` may mean the module `a.b`."""
    path = getattr(module, "__file__", None)
    found: set[str] = set()
    if path is None:
        return found
    for node in ast.walk(ast.parse(Path(path).read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found
