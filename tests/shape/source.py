"""The source as syntax trees, parsed once, for the rules to walk."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src" / "heliograph"

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, kw_only=True)
class Module:
    """One source file."""

    place: str  # relative to the package: "imaging/worker.py"
    text: str
    tree: ast.Module

    @property
    def room(self) -> str:
        """The folder or file right under the package: "imaging", "money.py"."""
        return self.place.partition("/")[0]

    @property
    def stem(self) -> str:
        """The name without folder and ending: "worker"."""
        return Path(self.place).stem

    @property
    def is_private(self) -> bool:
        """Whether any part of its path begins with one underscore."""
        return any(p.startswith("_") and not p.startswith("__") for p in self.place.split("/"))


def module(place: str, text: str) -> Module:
    """A module from its text."""
    return Module(place=place, text=text, tree=ast.parse(text))


@cache
def modules() -> tuple[Module, ...]:
    """Every Python file of the package, sorted by place."""
    return tuple(
        module(path.relative_to(SRC).as_posix(), path.read_text("utf-8"))
        for path in sorted(SRC.rglob("*.py"))
    )


def functions(tree: ast.AST, prefix: str = "") -> Iterator[tuple[str, Function]]:
    """Every function and method with its dotted name inside the file, nested ones included."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield prefix + node.name, node
            yield from functions(node, f"{prefix}{node.name}.")
        elif isinstance(node, ast.ClassDef):
            yield from functions(node, f"{prefix}{node.name}.")
        else:
            yield from functions(node, prefix)


def dotted(node: ast.AST) -> str:
    """`a.b.c` of a name or attribute chain, else an empty string."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        base = dotted(node.value)
        return f"{base}.{node.attr}" if base else ""
    return ""


def imports(tree: ast.AST) -> Iterator[tuple[str, ast.stmt]]:
    """Every imported name, dotted in full: `from a import b` gives `a.b`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield f"{'.' * node.level}{node.module or ''}.{alias.name}", node
