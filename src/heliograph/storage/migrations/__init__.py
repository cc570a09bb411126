"""Numbered migrations, oldest first; alembic runs them, `migrating.py` decides when.

Invariant: a migration that was released never changes, and there is no way back down, because
going back would drop what was paid for. A new one: copy the last file, give it the next number.
"""
