"""Two processes and one budget: together they get what it has, and not one call more."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

from tests.engines import NewUrl
from tests.storage.calls import ASK

from heliograph.storage.database import Database
from heliograph.storage.sql_journal import SqlJournal

OPEN_MANY = Path(__file__).with_name("open_many.py")
ROOT = Path(__file__).parents[2]
ROUNDS, COUNT, ROOM = 6, 100, 10


def start(url: str, name: str) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-W", "error", str(OPEN_MANY), url, name, str(ROUNDS), str(COUNT)]
    return subprocess.Popen(
        arguments,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )


def test_two_processes_share_a_budget_for_exactly_ten(new_url: NewUrl) -> None:
    url = new_url()

    async def set_budgets() -> None:
        database = Database(url)
        journal = SqlJournal(database)
        for number in range(ROUNDS):
            await journal.set_budget(f"tag/{number}", ROOM * ASK + ASK - 1)
        await database.close()

    async def look() -> list[int]:
        database = Database(url)
        journal = SqlJournal(database)
        assert await journal.audit() == ()
        scopes = [f"tag/{number}" for number in range(ROUNDS)]
        taken = [balance.taken for balance in await journal.balances([*scopes, "total"])]
        await database.close()
        return taken

    asyncio.run(set_budgets())
    children = [start(url, name) for name in "ab"]
    for child in children:
        assert child.stdin
        child.stdin.write("go\n")
        child.stdin.flush()
    said = [child.communicate()[0].split("\n")[:-1] for child in children]
    assert [child.returncode for child in children] == [0, 0]
    let_in = [int(one) + int(other) for one, other in zip(*said, strict=True)]
    assert let_in == [ROOM] * ROUNDS
    assert asyncio.run(look()) == [ROOM * ASK] * ROUNDS + [ROUNDS * ROOM * ASK]
