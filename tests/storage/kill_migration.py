"""Started by the tests of migrations: migrates a database, killed at its first statement, then at
its second, and so on until nothing is left to be killed at.

Says how often it was killed; ends with an error if a kill left anything but the old schema.
"""

import os
import signal
import sys

import alembic.command  # noqa: F401  loaded once, not in every process
import sqlalchemy as sa
from sqlalchemy import event

from heliograph.storage.engine import connect
from heliograph.storage.migrating import bring_up_to_date


def migrate(url: str, at: int) -> None:
    """Migrate, killed at statement number `at`; the commit counts as one."""
    engine = connect(url)
    seen = 0

    def count(*_: object) -> None:
        nonlocal seen
        seen += 1
        if seen == at:
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(engine, "after_cursor_execute", count)
    event.listen(engine, "commit", count)
    bring_up_to_date(engine)
    engine.dispose()


def schema(url: str) -> dict[str, object]:
    """The version, and the columns and indices of every table."""
    engine = connect(url)
    with engine.connect() as connection:
        version = connection.exec_driver_sql("SELECT version_num FROM alembic_version")
        found: dict[str, object] = {"": version.scalar_one()}
        seen = sa.inspect(connection)
        for table in seen.get_table_names():
            columns = [column["name"] for column in seen.get_columns(table)]
            indices = sorted(str(index["name"]) for index in seen.get_indexes(table))
            found[table] = (columns, indices)
    engine.dispose()
    return found


def main(url: str) -> None:
    before = schema(url)
    at = 0
    while True:
        at += 1
        child = os.fork()
        if child == 0:
            migrate(url, at)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status):
            sys.exit(f"failed at {at}" if os.WEXITSTATUS(status) else None)
        if schema(url) != before:
            sys.exit(f"torn at {at}: {schema(url)}")
        sys.stdout.write(f"{at}\n")
        sys.stdout.flush()


main(sys.argv[1])
