"""Started by test_budget_processes.py: opens `count` calls at once in each of `rounds` rounds.

Says how many were let in, round by round. A round has its own tag, and its own budget.
"""

import asyncio
import sys

from tests.storage.calls import a_call, a_line

from heliograph.errors import BudgetExceeded
from heliograph.storage.database import Database
from heliograph.storage.sql_journal import SqlJournal


async def main(url: str, name: str, rounds: int, count: int) -> None:
    database = Database(url)
    journal = SqlJournal(database)
    await asyncio.to_thread(sys.stdin.readline)  # until the other process is ready as well
    for number in range(rounds):
        # the scopes of neighbouring rounds cross, so that a wrong order of locks would show
        scopes = tuple(sorted({"total", f"tag/{number}", f"day/{number % 2}"}))
        calls = [a_call(f"{name}{number}x{n}-1", scopes=scopes) for n in range(count)]
        opening = (journal.open(call, a_line(call)) for call in calls)
        said = await asyncio.gather(*opening, return_exceptions=True)
        wrong = [answer for answer in said if answer and not isinstance(answer, BudgetExceeded)]
        sys.stdout.write(f"{said.count(None)} {wrong[:1] or ''}\n")
    await database.close()


asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
