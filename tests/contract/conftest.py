"""Every implementation of the `Books` port, new and empty."""

from collections.abc import AsyncIterator

import pytest

from heliograph.ports import Books
from heliograph.storage import MemoryBooks
from heliograph.storage.sql_books import SqlBooks


@pytest.fixture(params=["memory", "sqlite", "postgres"])
async def books(request: pytest.FixtureRequest) -> AsyncIterator[Books]:
    opened: Books
    if request.param == "memory":
        opened = MemoryBooks()
    else:
        opened = SqlBooks(request.getfixturevalue(f"new_{request.param}")())
    yield opened
    await opened.close()
