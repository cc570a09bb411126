"""Alembic's entry: runs the migrations inside the transaction that `migrating.py` opened.

Invariant: logging is left as it is, and no connection is opened here.
"""

from alembic import context

context.configure(connection=context.config.attributes["connection"], transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
