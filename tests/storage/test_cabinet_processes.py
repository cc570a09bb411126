"""Several processes that change one card of one SQLite file: none undoes what another did."""

import asyncio
import subprocess
import sys
from pathlib import Path

from heliograph.ports import Card
from heliograph.storage import open_storage

PUT_CARDS = Path(__file__).with_name("put_cards.py")
COUNT = 40


def start(root: Path, name: str, count: int) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-W", "error", str(PUT_CARDS), str(root), name, str(count)]
    return subprocess.Popen(
        arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def look(root: Path) -> Card:
    async def read() -> Card:
        storage = open_storage(root)
        found = await storage.cabinet.card("cast", "all")
        await storage.close()
        assert found is not None
        return found

    return asyncio.run(read())


def test_two_processes_lose_no_change(tmp_path: Path) -> None:
    children = [start(tmp_path, name, COUNT) for name in "ab"]
    for child in children:
        assert child.stdin
        child.stdin.write("go\n")
        child.stdin.flush()
    complaints = [child.communicate()[1] for child in children]
    assert [child.returncode for child in children] == [0, 0], complaints
    card = look(tmp_path)
    assert sorted(card.body["numbers"]) == sorted(f"{n}{i}" for n in "ab" for i in range(COUNT))
    assert card.version == 2 * COUNT


def test_a_killed_process_leaves_what_it_said_and_no_more_than_one_change(tmp_path: Path) -> None:
    with start(tmp_path, "a", 10**6) as child:
        assert child.stdin
        assert child.stdout
        child.stdin.write("go\n")
        child.stdin.flush()
        said = [child.stdout.readline().strip() for _ in range(5)]
        child.kill()
        said += [line.strip() for line in child.stdout if line.endswith("\n")]
    card = look(tmp_path)
    assert card.body["numbers"][: len(said)] == said
    assert card.version == len(card.body["numbers"]) <= len(said) + 1
