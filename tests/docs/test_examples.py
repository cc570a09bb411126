"""What the pages tell a reader to type does what they say."""

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
