"""The error tree: what is drawn at the top of `errors.py` is what is there."""

import ast
import re
from dataclasses import dataclass

from tests.shape.source import modules

from heliograph import errors
from heliograph.errors import HeliographError

DRAWN = re.compile(r"^ {4}(?P<lead>[│├└─ ]*)(?P<name>[A-Z]\w+)(?P<words>.*)$")
EXIT = re.compile(r"\bexit (\d+)$")


@dataclass(frozen=True, kw_only=True)
class Branch:
    """One line of the drawing."""

    parent: str | None
    words: str
    exit_code: int | None


def drawing() -> dict[str, Branch]:
    branches: dict[str, Branch] = {}
    above: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        match = DRAWN.match(line)
        if match is None:
            continue
        depth = len(match["lead"]) // 4
        del above[depth:]
        number = EXIT.search(match["words"].strip())
        branches[match["name"]] = Branch(
            parent=above[-1] if above else None,
            words=match["words"].strip(),
            exit_code=int(number[1]) if number else None,
        )
        above.append(match["name"])
    return branches


def tree(of: type[HeliographError] = HeliographError) -> list[type[HeliographError]]:
    # what the gateway refuses by itself is no part of it; see `server/faults.py`
    below = [c for c in of.__subclasses__() if c.__module__ == HeliographError.__module__]
    return [of, *(e for c in below for e in tree(c))]


def test_the_drawing_is_the_tree() -> None:
    real = {e.__name__: e.__bases__[0].__name__ for e in tree()}
    real["HeliographError"] = ""
    assert {name: b.parent or "" for name, b in drawing().items()} == real


def test_drawn_exit_codes_are_real() -> None:
    """A branch without a number has its parent's."""
    branches = drawing()
    wrong = []
    for error in tree()[1:]:
        name: str | None = error.__name__
        while name and branches[name].exit_code is None:
            name = branches[name].parent
        drawn = branches[name].exit_code if name else HeliographError.exit_code
        if drawn != error.exit_code:
            wrong.append(f"{error.__name__}: drawn as exit {drawn}, is {error.exit_code}")
    assert not wrong, "\n".join(wrong)


def test_codes_are_unique() -> None:
    inherited = [e.__name__ for e in tree() if "code" not in e.__dict__]
    assert not inherited, "each error has a code of its own"
    codes = [e.code for e in tree()]
    assert sorted(codes) == sorted(set(codes))
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", code) for code in codes)


def test_every_error_says_what_it_means() -> None:
    silent = [e.__name__ for e in tree() if not (e.__dict__.get("__doc__") or "").strip()]
    assert not silent


def test_every_error_lives_in_errors() -> None:
    """Foreign and private exceptions may exist elsewhere; what callers catch is in one file."""
    elsewhere = [
        f"{module.place}:{node.lineno}: {node.name}"
        for module in modules()
        # what the gateway itself refuses is an HTTP answer; no caller of the library meets it
        if module.place not in ("errors.py", "server/faults.py")
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ClassDef)
        and any(isinstance(b, ast.Name) and b.id in drawing() for b in node.bases)
    ]
    assert not elsewhere
