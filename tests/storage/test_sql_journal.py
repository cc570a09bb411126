"""`SqlJournal` beyond the contract: what outlives a process, what an audit finds by itself."""

import sqlite3

import pytest
from tests.engines import NewUrl, execute
from tests.storage.calls import ASK, SCOPES, a_call, a_line, brought

from heliograph.errors import StorageError
from heliograph.journal import Stage
from heliograph.ledger import Balance
from heliograph.ports import Finding
from heliograph.storage.database import Database
from heliograph.storage.sql_journal import SqlJournal

TOTAL = ("total",)


async def test_what_is_written_outlives_the_process(new_url: NewUrl) -> None:
    url = new_url()
    database = Database(url)
    first = SqlJournal(database)
    call = await brought(first, Stage.UNKNOWN, a_call())
    await first.set_budget("total", ASK)
    await database.close()
    database = Database(url)
    second = SqlJournal(database)
    assert await second.find_call(call.id) == call
    assert await second.budgets() == {"total": ASK}
    assert await second.balances(TOTAL) == (Balance(scope="total", simulated=False, held=ASK),)
    await database.close()


async def test_an_audit_names_balances_that_are_not_their_sums(new_url: NewUrl) -> None:
    url = new_url()
    database = Database(url)
    journal = SqlJournal(database)
    await brought(journal, Stage.SENT, a_call())
    toy = a_call("toy-1", simulated=True, scopes=TOTAL)
    await brought(journal, Stage.SETTLED, toy)
    execute(
        url,
        "UPDATE balances SET reserved = 1 WHERE scope = 'month/2026-11'",
        "UPDATE balances SET settled = 2, held = 3 WHERE scope = 'total' AND simulated",
        "DELETE FROM balances WHERE scope = 'day/2026-11-30'",
        "INSERT INTO balances VALUES ('tag/never', false, 0, 0, 4)",
        "INSERT INTO ledger (entry_id, record_id, kind, micro, at, model, price_version, "
        "simulated, scopes, detail, day, queries) VALUES "
        "('e', 'r', 'bonus', 5, '2026-11-30', 'm', 'p', false, '[\"tag/never\"]', '{}', '', 0)",
    )
    sum_up = "; its lines sum up to"
    assert await journal.audit() == tuple(
        Finding(subject=subject, what=what)
        for subject, what in (
            ("month/2026-11", f"Its reserved money is 1 micro-dollars{sum_up} {ASK}."),
            ("tag/never", f"Its held money is 4 micro-dollars{sum_up} 0."),
            ("tag/never", f"Its bonus money is 0 micro-dollars{sum_up} 5."),
            ("total", f"Its settled simulated money is 2 micro-dollars{sum_up} {ASK - 1000}."),
            ("total", f"Its held simulated money is 3 micro-dollars{sum_up} 0."),
            ("day/2026-11-30", "Its lines of money are in no balance."),
        )
    )
    await database.close()


async def test_a_database_that_is_gone_is_a_storage_error(new_url: NewUrl) -> None:
    url = new_url()
    database = Database(url)
    journal = SqlJournal(database)
    execute(url, "DROP TABLE calls")
    with pytest.raises(StorageError, match="could not be written"):
        await journal.open(a_call(), a_line(a_call()))
    with pytest.raises(StorageError, match="could not be read"):
        await journal.calls(limit=1)
    assert await journal.balances(SCOPES) == ()  # nothing of it was written
    await database.close()


async def test_an_audit_repeats_what_sqlite_finds_wrong(new_sqlite: NewUrl) -> None:
    url = new_sqlite()
    database = Database(url)
    journal = SqlJournal(database)
    await brought(journal, Stage.SENT, a_call())
    file = sqlite3.connect(url.removeprefix("sqlite:///"))
    file.execute("PRAGMA ignore_check_constraints=ON")
    file.execute("INSERT INTO budgets VALUES ('day', -1, '2026-11-30')")
    file.execute("INSERT INTO record_images VALUES ('gone',0,'s','k','r','f','m',1,1,1,'v',NULL)")
    file.commit()
    file.close()
    assert await journal.audit() == (
        Finding(subject="database", what="SQLite says: CHECK constraint failed in budgets."),
        Finding(subject="record_images", what="Row 1 names a row of records that is not there."),
    )
    await database.close()
