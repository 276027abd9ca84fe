"""Alembic loads this. The connection comes from ``ekiden.store.migrate``, already inside a transaction."""

from __future__ import annotations

from alembic import context

from ekiden.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # SQLite cannot alter a table in place; batch operations copy it.
    render_as_batch=True,
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
