"""The audit of a database: what `auditing.py` asks, in SQL, and what SQLite says of its own file.

Invariant: only reads, in the one transaction it is given.
"""

import json
from collections.abc import Iterator, Mapping

from sqlalchemy import Connection, Text, cast, func, select

from heliograph.journal import Stage
from heliograph.ledger import ACCOUNTS, Balance
from heliograph.ports import Finding
from heliograph.storage.auditing import Audited, Sums, balance_findings, call_findings
from heliograph.storage.tables import balances, calls, ledger


def sql_findings(connection: Connection) -> Iterator[Finding]:
    """The findings of a database, in a transaction that sees one moment."""
    yield from call_findings(_audited(connection))
    kept = [Balance(**row) for row in connection.execute(select(balances)).mappings()]
    yield from balance_findings(
        sorted(kept, key=lambda b: (b.scope, b.simulated)), _summed(connection)
    )


def database_findings(connection: Connection) -> Iterator[Finding]:
    """What SQLite itself finds wrong with its file."""
    if connection.dialect.name != "sqlite":
        return  # Postgres checks its pages with checksums, as it reads them
    for (said,) in connection.exec_driver_sql("PRAGMA integrity_check"):
        if said != "ok":
            yield Finding(subject="database", what=f"SQLite says: {said}.")
    for table, row, other, _ in connection.exec_driver_sql("PRAGMA foreign_key_check"):
        yield Finding(
            subject=str(table), what=f"Row {row} names a row of {other} that is not there."
        )


def _audited(connection: Connection) -> Iterator[Audited]:
    grouped = (
        select(ledger.c.call_id, ledger.c.kind, func.count(), func.sum(ledger.c.micro))
        .where(ledger.c.call_id.is_not(None))
        .group_by(ledger.c.call_id, ledger.c.kind)
    )
    sums: dict[str, Sums] = {}
    for call_id, kind, count, micro in connection.execute(grouped):
        sums.setdefault(str(call_id), {})[kind] = (count, int(micro))
    wanted = select(calls.c.id, calls.c.stage, calls.c.reserved).order_by(calls.c.id)
    for call_id, stage, reserved in connection.execute(wanted):
        yield Audited(id=call_id, stage=Stage(stage), reserved=reserved, sums=sums.get(call_id, {}))


def _summed(connection: Connection) -> Mapping[tuple[str, bool], Mapping[str, int]]:
    scopes = cast(ledger.c.scopes, Text)  # Postgres compares no JSON
    grouped = select(scopes, ledger.c.simulated, ledger.c.kind, func.sum(ledger.c.micro)).group_by(
        scopes, ledger.c.simulated, ledger.c.kind
    )
    sums: dict[tuple[str, bool], dict[str, int]] = {}
    for text, simulated, kind, micro in connection.execute(grouped):
        for scope in json.loads(text):
            accounts = sums.setdefault((scope, simulated), {})
            # a kind that nobody knows is an account of its own, which no balance has
            account = ACCOUNTS.get(kind, kind)
            accounts[account] = accounts.get(account, 0) + int(micro)
    return sums
