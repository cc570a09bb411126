"""What the pages tell a reader to type does what they say."""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.docs.fenced import LANGUAGES, ROOT, Session, blocks, pages, words_of

from heliograph.cli import build_app

ALL = [block for page in pages() for block in blocks(page)]
WITH_EXAMPLES = [page for page in pages() if any(block.runs for block in blocks(page))]

NOT_RUN = [
    ("README.md", "installs packages"),
    ("README.md", "installs packages"),
    ("README.md", "needs Node.js and the openai package"),
    ("README.md", "needs a real key and costs money"),
    ("docs/how-to/in-the-shell.md", "changes the settings of your shell"),
    ("docs/how-to/keys-and-secrets.md", "needs a cloud account"),
    ("docs/how-to/keys-and-secrets.md", "needs a keyring and a real key"),
    ("docs/how-to/test-your-code-with-the-emulator.md", "runs until Ctrl-C"),
    ("docs/how-to/use-with-openai.md", "needs Node.js and the openai package"),
    ("docs/tutorial/first-picture.md", "needs a real key and costs money"),
]


@pytest.mark.parametrize("page", WITH_EXAMPLES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_every_example_of_a_page(page: Path, session: Session) -> None:
    session.work_through(page)


def test_every_example_of_the_command_line_is_understood() -> None:
    parsed = [block for block in ALL if block.info == "parsed"]
    lines = [line for block in parsed for line in block.text.splitlines()]
    assert len(lines) >= 15
    for line in lines:
        build_app().parse_args(words_of(line))


def test_few_examples_are_not_run() -> None:
    left = [b for b in ALL if b.language not in ("text", "yaml") and not b.runs]
    reasons = [(b.page, b.info.removeprefix("no-run: ")) for b in left if b.info != "parsed"]
    assert sorted(reasons) == NOT_RUN


def test_every_fence_says_what_it_is() -> None:
    assert [str(block) for block in ALL if block.language not in LANGUAGES] == []
    assert sum(block.runs for block in ALL) >= 30


def _told_names(page: Path) -> set[str]:
    """Names without `.py` under which a reader is told to save or run an example."""
    text = page.read_text(encoding="utf-8")
    return set(re.findall(r"(?:as `|\bpython |\bpytest )([\w-]+)\.py\b", text))


def _imported() -> Iterator[str]:
    """The packages that the examples of all pages import."""
    for block in ALL:
        for node in ast.walk(ast.parse(block.text if block.language == "python" else "")):
            if isinstance(node, ast.Import):
                yield from (alias.name.partition(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                yield node.module.partition(".")[0]


def test_no_example_is_saved_under_the_name_of_what_is_imported() -> None:
    # the folder of a script is searched first: google.py would hide the package google
    taken = {*_imported(), *sys.stdlib_module_names}
    assert {"google", "openai"} <= taken
    told = {page.relative_to(ROOT).as_posix(): _told_names(page) for page in pages()}
    assert any(told.values())
    assert {page: sorted(names & taken) for page, names in told.items() if names & taken} == {}
